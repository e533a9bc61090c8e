//! What a projection did, or would do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taosync_model::EntityType;

/// Entities of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// New to TAO.
    pub created: u64,
    /// Changed in TAO.
    pub updated: u64,
    /// Brought by `taoSync` or somebody else before, and as central has them.
    pub recognised: u64,
    /// As they were given before.
    pub unchanged: u64,
    /// Removed from TAO.
    pub removed: u64,
}

/// A removal that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// URI.
    pub uri: String,
    /// Why, in words.
    pub reason: String,
}

/// Where a delivery stands in TAO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// TAO has it from the package central has.
    Ready,
    /// It was imported now, or would be.
    Imported,
    /// It waits for something.
    Waiting,
    /// TAO could not import it; it is not tried again until its package changes or a person asks.
    Failed,
}

/// A delivery in TAO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryOutcome {
    /// URI.
    pub uri: String,
    /// Label.
    pub label: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it waits or failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a projection did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Projected {
    /// Nothing was written.
    pub dry_run: bool,
    /// TAO's number of this sync; none when there was nothing to write.
    pub sync: Option<i64>,
    /// Entities, by type.
    pub types: BTreeMap<EntityType, Tally>,
    /// Removals that wait, each with its reason.
    pub waiting: Vec<Waiting>,
    /// Entities that `taoSync` brought, that central does not have, and that are so many that a person has to agree.
    pub held: BTreeMap<EntityType, u64>,
    /// Deliveries.
    pub deliveries: Vec<DeliveryOutcome>,
}

impl Projected {
    /// What was counted of a type.
    pub fn of(&self, entity_type: EntityType) -> Tally {
        self.types.get(&entity_type).copied().unwrap_or_default()
    }

    /// Whether the next run has something to look at although nothing changed.
    pub fn waits(&self) -> bool {
        let waits = |delivery: &DeliveryOutcome| delivery.state == DeliveryState::Waiting;
        !self.waiting.is_empty() || !self.held.is_empty() || self.deliveries.iter().any(waits)
    }

    /// Whether anything was written, or would be.
    pub fn is_change(&self) -> bool {
        let changes = |tally: &Tally| tally.created + tally.updated + tally.removed > 0;
        self.types.values().any(changes) || self.deliveries.iter().any(|d| d.state == DeliveryState::Imported)
    }

    pub(super) fn tally(&mut self, entity_type: EntityType) -> &mut Tally {
        self.types.entry(entity_type).or_default()
    }
}
