//! Where clients that count their own offset have come to. The address of the next page says after which number of the feed
//! it begins; whoever counts instead is remembered, so that his next page costs no more than his first, and begins where
//! his last one ended, whatever has changed meanwhile.
//!
//! Nothing depends on it: what is not remembered is counted. A position from before can only lie too early, as members
//! only move to higher numbers: then somebody is listed twice, and nobody is left out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use taosync_model::EntityType;
use taosync_store::tao::TaoScope;

/// Walks that are remembered at once; each has some hundred bytes.
const MOST: usize = 4_096;

/// Whose walk through which list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Walk {
    /// Who asks: the consumer's key, or the manager's login.
    pub caller: String,
    /// What it calls itself: many boxes can share a consumer.
    pub client: String,
    /// Whose members are listed.
    pub scope: TaoScope,
    /// Of which type.
    pub entity_type: EntityType,
}

/// The last two places of every walk: the page that was given, in case it is asked for again, and the one after it.
#[derive(Debug, Default)]
pub struct Walks(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    clock: u64,
    walks: HashMap<Walk, Places>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Places {
    touched: u64,
    /// Offset, and the number of the feed after which the page begins there.
    this: (u64, i64),
    next: (u64, i64),
}

impl Walks {
    /// After which number of the feed the page at an offset begins, when that is known.
    pub fn begins(&self, walk: &Walk, offset: u64) -> Option<i64> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = remembered.walks.get(walk)?;
        [places.next, places.this].into_iter().find(|(at, _)| *at == offset).map(|(_, after)| after)
    }

    /// Notes that the page at `offset`, which begins after `after`, was given, and that the next one begins after `last`.
    pub fn given(&self, walk: Walk, (offset, after): (u64, i64), (next, last): (u64, i64)) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.clock += 1;
        let touched = remembered.clock;
        if remembered.walks.len() >= MOST && !remembered.walks.contains_key(&walk) {
            // The older half goes: so this is done once in thousands of walks.
            let oldest = touched.saturating_sub(MOST as u64 / 2);
            remembered.walks.retain(|_, places| places.touched > oldest);
        }
        remembered.walks.insert(walk, Places { touched, this: (offset, after), next: (next, last) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::OrgId;

    fn walk(number: usize) -> Walk {
        let (scope, entity_type) = (TaoScope::Seen(OrgId::new("a").unwrap()), EntityType::TestTaker);
        Walk { caller: "key".into(), client: number.to_string(), scope, entity_type }
    }

    #[test]
    fn a_page_may_be_asked_for_again_and_the_next_one_is_known() {
        let walks = Walks::default();
        assert_eq!(walks.begins(&walk(1), 0), None);
        walks.given(walk(1), (0, 0), (100, 140));
        walks.given(walk(1), (100, 140), (200, 333));
        assert_eq!([0, 100, 200, 300].map(|offset| walks.begins(&walk(1), offset)), [None, Some(140), Some(333), None]);
        assert_eq!(walks.begins(&walk(2), 100), None, "of another box");
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let walks = Walks::default();
        for number in 0..3 * MOST {
            walks.given(walk(number), (0, 0), (100, 1));
            assert_eq!(walks.begins(&walk(number), 100), Some(1));
        }
        assert!(walks.0.lock().unwrap().walks.len() <= MOST);
        assert_eq!(walks.begins(&walk(0), 100), None);
    }
}
