//! The removal guard on local: what central removes in large numbers without an approval is held, and everything else
//! goes on (DESIGN §4).

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::EntityType;
use taosync_store::replica::{RemovalRule, ReplicaScope};
use taosync_store::scopes::is_large_removal;
use taosync_wire::v1::feed::Hello;

/// A person's word about removals, given with the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removals {
    /// Large ones that nobody approved wait.
    Guarded,
    /// All are applied (`--accept-removals`).
    Accepted,
}

/// What to do with the removals of each type of this feed. A type of which some are `held` already goes on being held:
/// after a cut, what is left of a large removal may look small.
pub fn rules(
    word: Removals,
    hello: &Hello,
    replica: &ReplicaScope,
    held: &BTreeSet<EntityType>,
) -> BTreeMap<EntityType, RemovalRule> {
    if word == Removals::Accepted {
        return BTreeMap::new();
    }
    let mut rules = BTreeMap::new();
    for (&entity_type, ahead) in &hello.counts {
        let Some(state) = replica.types.get(&entity_type) else { continue };
        let large = is_large_removal(ahead.removals.unsigned_abs(), state.count.unsigned_abs());
        let approved = hello.removals_approved_through.get(&entity_type).copied().unwrap_or(0);
        if large || held.contains(&entity_type) {
            rules.insert(entity_type, RemovalRule::HoldAfter(approved));
        }
    }
    rules
}
