//! The removal guard on local: what central removes in large numbers without an approval is held, and everything else
//! goes on (DESIGN §4).

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::EntityType;
use taosync_store::replica::{RemovalRule, ReplicaScope};
use taosync_store::scopes::is_large_removal;
use taosync_wire::v1::feed::{FeedFrame, Hello};

/// A person's word about removals, given with the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removals {
    /// Large ones that nobody approved wait.
    Guarded,
    /// All are applied (`--accept-removals`).
    Accepted,
}

/// Decides which removals of a feed wait.
pub struct Guard {
    word: Removals,
    approved: BTreeMap<EntityType, i64>,
    before: BTreeMap<EntityType, u64>,
    seen: BTreeMap<EntityType, u64>,
    rules: BTreeMap<EntityType, RemovalRule>,
}

impl Guard {
    /// By what central announces. A type of which some are `held` already goes on being held: after a cut, what is left
    /// of a large removal may look small.
    pub fn new(word: Removals, hello: &Hello, replica: &ReplicaScope, held: &BTreeSet<EntityType>) -> Self {
        let before = replica.types.iter().map(|(t, state)| (*t, state.count.unsigned_abs())).collect();
        let approved = hello.removals_approved_through.clone();
        let mut guard = Self { word, approved, before, seen: BTreeMap::new(), rules: BTreeMap::new() };
        for entity_type in held {
            guard.hold(*entity_type);
        }
        for (&entity_type, ahead) in &hello.counts {
            guard.weigh(entity_type, ahead.removals.unsigned_abs());
        }
        guard
    }

    /// Notes a word that came. There may be more removals than were announced; what came with the same feed may go
    /// with it again.
    pub fn saw(&mut self, frame: &FeedFrame) {
        match frame {
            FeedFrame::Upsert(upsert) => *self.before.entry(upsert.entity_type).or_default() += 1,
            FeedFrame::Remove(remove) => {
                let seen = self.seen.entry(remove.entity_type).or_default();
                *seen += 1;
                let seen = *seen;
                self.weigh(remove.entity_type, seen);
            }
            _ => {}
        }
    }

    /// What to do with the removals of each type from here on.
    pub const fn rules(&self) -> &BTreeMap<EntityType, RemovalRule> {
        &self.rules
    }

    fn weigh(&mut self, entity_type: EntityType, removals: u64) {
        if self.before.get(&entity_type).is_some_and(|before| is_large_removal(removals, *before)) {
            self.hold(entity_type);
        }
    }

    fn hold(&mut self, entity_type: EntityType) {
        if self.word == Removals::Guarded {
            let approved = self.approved.get(&entity_type).copied().unwrap_or(0);
            self.rules.insert(entity_type, RemovalRule::HoldAfter(approved));
        }
    }
}
