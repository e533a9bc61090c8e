//! The removal guard on local: what central removes in large numbers without an approval is held, and everything else
//! goes on (DESIGN §4).

use std::collections::BTreeMap;

use taosync_model::EntityType;
use taosync_store::replica::{ChunkEffect, HeldTally, RemovalRule, ReplicaScope};
use taosync_store::scopes::Turnover;
use taosync_wire::v1::feed::{FeedFrame, Hello};

/// A person's word about removals, given with the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removals {
    /// Large ones that nobody approved wait.
    Guarded,
    /// All are applied (`--accept-removals`).
    Accepted,
}

/// Decides which removals of a feed wait. While the feed is read, too many rather than too few: what central announces
/// may be about entities that were never here. At the end [`Guard::free`] says which turned out to be ordinary.
pub struct Guard {
    word: Removals,
    approved: BTreeMap<EntityType, i64>,
    before: BTreeMap<EntityType, u64>,
    seen: BTreeMap<EntityType, u64>,
    went: BTreeMap<EntityType, u64>,
    rules: BTreeMap<EntityType, RemovalRule>,
}

impl Guard {
    /// By what central announces. A type of which some are `held` already goes on being held: after a cut, what is left
    /// of a large removal may look small.
    pub fn new(word: Removals, hello: &Hello, replica: &ReplicaScope, held: &BTreeMap<EntityType, HeldTally>) -> Self {
        let before = replica.types.iter().map(|(t, state)| (*t, state.count.unsigned_abs())).collect();
        let approved = hello.removals_approved_through.clone();
        let (seen, went, rules) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut guard = Self { word, approved, before, seen, went, rules };
        for entity_type in held.keys() {
            guard.hold(*entity_type);
        }
        for (&entity_type, ahead) in &hello.counts {
            guard.weigh(entity_type, ahead.removals.unsigned_abs());
        }
        guard
    }

    /// Notes a word that came: there may be more removals than were announced.
    pub fn saw(&mut self, frame: &FeedFrame) {
        let FeedFrame::Remove(remove) = frame else { return };
        if remove.seq <= self.approved_through(remove.entity_type) {
            return;
        }
        let seen = self.seen.entry(remove.entity_type).or_default();
        *seen += 1;
        let seen = *seen;
        self.weigh(remove.entity_type, seen);
        if !self.rules.contains_key(&remove.entity_type) {
            *self.went.entry(remove.entity_type).or_default() += 1;
        }
    }

    /// What to do with the removals of each type from here on.
    pub const fn rules(&self) -> &BTreeMap<EntityType, RemovalRule> {
        &self.rules
    }

    /// Up to which number held removals are to be applied now, of the types that were read to their end: those that
    /// central has approved, and all of a type when they are few after all, by what really left and came.
    pub fn free(
        &self,
        types: &[EntityType],
        held: &BTreeMap<EntityType, HeldTally>,
        effect: &ChunkEffect,
    ) -> BTreeMap<EntityType, i64> {
        let through = |entity_type: EntityType, tally: &HeldTally| {
            let went = self.went.get(&entity_type).copied().unwrap_or(0);
            let entered = effect.get(&entity_type).map_or(0, |tally| tally.created);
            let turnover = Turnover { entered, left: tally.held + went, before: tally.before };
            if turnover.is_large_removal(entity_type) { self.approved_through(entity_type) } else { i64::MAX }
        };
        let read = held.iter().filter(|(t, _)| types.contains(t));
        read.map(|(entity_type, tally)| (*entity_type, through(*entity_type, tally))).collect()
    }

    fn approved_through(&self, entity_type: EntityType) -> i64 {
        self.approved.get(&entity_type).copied().unwrap_or(0)
    }

    /// Arrivals are not known yet: the last of a type is held until the end tells whether another took its place.
    fn weigh(&mut self, entity_type: EntityType, left: u64) {
        let before = self.before.get(&entity_type).copied().unwrap_or(0);
        if before > 0 && (Turnover { entered: 0, left, before }).is_large_removal(entity_type) {
            self.hold(entity_type);
        }
    }

    fn hold(&mut self, entity_type: EntityType) {
        if self.word == Removals::Guarded {
            let approved = self.approved_through(entity_type);
            let before = self.before.get(&entity_type).copied().unwrap_or(0);
            self.rules.insert(entity_type, RemovalRule::Hold { approved, before });
        }
    }
}
