//! `[sync_service]`: how data travels, and which fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use taosync_model::EntityType;
use taosync_model::scope::{FieldChoice, FieldChoices};

/// `[sync_service]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyncService {
    /// Entities between two checkpoints, from 1 to 100,000.
    pub chunk_size: u32,
    /// Days for which central remembers what was removed, from 1 to 3,660.
    pub keep_removals_days: u32,
    /// Days for which the history of syncs is kept, from 1 to 3,660.
    pub keep_history_days: u32,
    /// Properties that never travel, whatever the type.
    pub never_travels: BTreeSet<String>,
    #[serde(alias = "test_center", rename = "test-center")]
    test_center: Fields,
    administrator: Fields,
    proctor: Fields,
    #[serde(alias = "test_taker", rename = "test-taker")]
    test_taker: Fields,
    eligibility: Fields,
    delivery: Fields,
}

/// `[sync_service.<type>]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    fields: Option<BTreeSet<String>>,
    excluded_properties: Option<BTreeSet<String>>,
}

impl Default for SyncService {
    fn default() -> Self {
        Self {
            chunk_size: 2_000,
            keep_removals_days: 30,
            keep_history_days: 400,
            never_travels: BTreeSet::new(),
            test_center: Fields::default(),
            administrator: Fields::default(),
            proctor: Fields::default(),
            test_taker: Fields::default(),
            eligibility: Fields::default(),
            delivery: Fields::default(),
        }
    }
}

impl SyncService {
    /// A property that a white list names although it never travels: one of the two is a mistake.
    pub fn contradiction(&self) -> Option<&str> {
        let types = [
            &self.test_center,
            &self.administrator,
            &self.proctor,
            &self.test_taker,
            &self.eligibility,
            &self.delivery,
        ];
        let mut listed = types.into_iter().flat_map(|fields| fields.fields.iter().flatten());
        listed.find(|field| self.never_travels.contains(*field)).map(String::as_str)
    }

    /// Which predicates travel: TAO's defaults, except where a key says otherwise.
    pub fn field_choices(&self) -> FieldChoices {
        let own: BTreeMap<EntityType, &Fields> = [
            (EntityType::TestCenter, &self.test_center),
            (EntityType::Administrator, &self.administrator),
            (EntityType::Proctor, &self.proctor),
            (EntityType::TestTaker, &self.test_taker),
            (EntityType::Eligibility, &self.eligibility),
            (EntityType::Delivery, &self.delivery),
        ]
        .into();
        let mut choices = FieldChoices::tao_default();
        for (entity_type, fields) in own {
            let default = FieldChoice::default_for(entity_type);
            let mut choice = FieldChoice {
                fields: fields.fields.clone().unwrap_or(default.fields),
                excluded_properties: fields.excluded_properties.clone().unwrap_or(default.excluded_properties),
            };
            choice.excluded_properties.extend(self.never_travels.iter().cloned());
            choices.0.insert(entity_type, choice);
        }
        choices
    }
}
