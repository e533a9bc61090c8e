//! What a list means for the replica: what to ask for, what has gone, and which removals wait for a person.

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::EntityType;
use taosync_model::tao::TaoChecksum;
use taosync_store::replica::RemovalRule;
use taosync_store::scopes::Turnover;

use super::listing::Listing;
use crate::down::guard::Removals;

/// What is held of a type: URIs, with the checksums central gave.
pub type Held = BTreeMap<String, Option<TaoChecksum>>;

/// The differences of a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// To be asked for: new, changed, held without a checksum, or held though a removal waits.
    pub ask: Vec<String>,
    /// Held, but not in a list that is whole.
    pub gone: Vec<String>,
    /// Of `ask`, ones that are new here.
    pub new: usize,
}

impl Differences {
    /// Compares a list with what is held. `waiting` are removals that wait: what is listed again is asked for, which ends
    /// the waiting.
    pub fn of(listing: &Listing, held: &Held, waiting: &BTreeSet<String>) -> Self {
        let is_same = |uri: &String, checksum: &TaoChecksum| {
            !waiting.contains(uri) && held.get(uri).is_some_and(|known| known.as_ref() == Some(checksum))
        };
        let differing = listing.entities.iter().filter(|(uri, checksum)| !is_same(uri, checksum));
        let ask: Vec<String> = differing.map(|(uri, _)| uri.clone()).collect();
        let new = ask.iter().filter(|uri| !held.contains_key(*uri)).count();
        let is_gone = |uri: &&String| listing.is_whole && !listing.entities.contains_key(*uri);
        Self { ask, gone: held.keys().filter(is_gone).cloned().collect(), new }
    }

    /// Whether the removals wait for a person: many of a type, or an empty list, which TAO also answers when it cannot
    /// search (WIRE §7.4).
    pub fn rule(&self, entity_type: EntityType, held: &Held, listing: &Listing, word: Removals) -> Option<RemovalRule> {
        let turnover = Turnover { entered: self.new as u64, left: self.gone.len() as u64, before: held.len() as u64 };
        let asks = listing.entities.is_empty() || turnover.is_large_removal(entity_type);
        let waits = word == Removals::Guarded && !self.gone.is_empty() && asks;
        waits.then_some(RemovalRule::Hold { approved: 0, before: turnover.before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKER: EntityType = EntityType::TestTaker;

    fn sum(byte: u8) -> TaoChecksum {
        TaoChecksum([byte; 16])
    }

    fn listing(entities: &[(&str, u8)], is_whole: bool) -> Listing {
        Listing { entities: entities.iter().map(|(uri, byte)| ((*uri).to_owned(), sum(*byte))).collect(), is_whole }
    }

    fn held(entities: &[(&str, Option<u8>)]) -> Held {
        entities.iter().map(|(uri, byte)| ((*uri).to_owned(), byte.map(sum))).collect()
    }

    #[test]
    fn only_what_differs_is_asked_for() {
        let list = listing(&[("new", 1), ("same", 2), ("changed", 3), ("unproven", 4), ("back", 5)], true);
        let held =
            held(&[("same", Some(2)), ("changed", Some(9)), ("unproven", None), ("back", Some(5)), ("gone", None)]);
        let differences = Differences::of(&list, &held, &BTreeSet::from(["back".to_owned()]));
        assert_eq!(differences.ask, ["back", "changed", "new", "unproven"]);
        assert_eq!((differences.gone, differences.new), (vec!["gone".to_owned()], 1));
    }

    #[test]
    fn a_list_in_doubt_removes_nothing_and_an_empty_one_asks() {
        let held = held(&[("a", None), ("b", None), ("c", None), ("d", None), ("e", None), ("f", None)]);
        let none = BTreeSet::new();
        let doubtful = listing(&[("a", 1)], false);
        assert_eq!(Differences::of(&doubtful, &held, &none).gone.len(), 0);
        let less = listing(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)], true);
        let differences = Differences::of(&less, &held, &none);
        assert_eq!(differences.gone, ["f"]);
        assert_eq!(differences.rule(TAKER, &held, &less, Removals::Guarded), None);
        let few = listing(&[("a", 1), ("b", 1)], true);
        let rule = Differences::of(&few, &held, &none).rule(TAKER, &held, &few, Removals::Guarded);
        assert_eq!(rule, Some(RemovalRule::Hold { approved: 0, before: 6 }));
        let one = [("a", None)].map(|(uri, sum)| (uri.to_owned(), sum)).into();
        let empty = listing(&[], true);
        let differences = Differences::of(&empty, &one, &none);
        assert!(differences.rule(TAKER, &one, &empty, Removals::Guarded).is_some());
        assert_eq!(differences.rule(TAKER, &one, &empty, Removals::Accepted), None, "a person's word");
    }
}
