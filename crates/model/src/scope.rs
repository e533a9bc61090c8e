//! Organisations, scopes, and positions in a feed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::{EntityType, vocabulary};

/// An organisation id: free text of 1 to 128 bytes on a test center that scopes all data of a local server; `*` is
/// the unscoped scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrgId(String);

/// Text that cannot be an organisation id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an organisation id has 1 to 128 bytes and no control characters; got {0} bytes")]
pub struct BadOrg(usize);

impl OrgId {
    /// Checks and takes a text, exactly as given: ids stay text, `007` is not `7`.
    pub fn new(text: impl Into<String>) -> Result<Self, BadOrg> {
        let text = text.into();
        if text.is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
            return Err(BadOrg(text.len()));
        }
        Ok(Self(text))
    }

    /// The unscoped scope: everything.
    pub fn everything() -> Self {
        Self("*".to_owned())
    }

    /// Whether this is the unscoped scope.
    pub fn is_everything(&self) -> bool {
        self.0 == "*"
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OrgId {
    type Error = BadOrg;

    fn try_from(text: String) -> Result<Self, BadOrg> {
        Self::new(text)
    }
}

impl std::str::FromStr for OrgId {
    type Err = BadOrg;

    fn from_str(text: &str) -> Result<Self, BadOrg> {
        Self::new(text)
    }
}

impl From<OrgId> for String {
    fn from(org: OrgId) -> Self {
        org.0
    }
}

impl std::fmt::Display for OrgId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// A position per type in the feed of one org: everything up to and including that seq is applied.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positions(pub BTreeMap<EntityType, i64>);

impl Positions {
    /// The position of a type; 0 before anything was applied.
    pub fn get(&self, entity_type: EntityType) -> i64 {
        self.0.get(&entity_type).copied().unwrap_or(0)
    }

    /// `class:3,test-center:12`: the form of the `after` parameter.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|(t, seq)| format!("{t}:{seq}")).collect::<Vec<_>>().join(",")
    }

    /// Reads the `after` parameter. Bounded: one entry a type, no negative number.
    pub fn from_text(text: &str) -> Result<Self, BadPositions> {
        let mut positions = Self::default();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let bad = || BadPositions(part.chars().take(64).flat_map(char::escape_debug).collect());
            let (name, seq) = part.split_once(':').ok_or_else(bad)?;
            let entity_type = name.parse().map_err(|_| bad())?;
            let seq = seq.parse::<i64>().ok().filter(|s| *s >= 0).ok_or_else(bad)?;
            if positions.0.insert(entity_type, seq).is_some() {
                return Err(bad());
            }
        }
        Ok(positions)
    }
}

/// A malformed `after` parameter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is not a feed position; expected type:number, each type once")]
pub struct BadPositions(String);

/// Which predicates of a type travel: `[sync_service.<type>] fields | excluded_properties` (WIRE §2.1). A non-empty
/// white list wins and the exclude list is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FieldChoice {
    /// White list.
    pub fields: BTreeSet<String>,
    /// Exclude list.
    pub excluded_properties: BTreeSet<String>,
}

impl FieldChoice {
    /// TAO's default for a type.
    pub fn default_for(entity_type: EntityType) -> Self {
        let excluded = vocabulary::excluded_by_default(entity_type);
        Self { fields: BTreeSet::new(), excluded_properties: excluded.iter().map(|&p| p.to_owned()).collect() }
    }

    /// Whether a predicate travels.
    pub fn carries(&self, predicate: &str) -> bool {
        if self.fields.is_empty() {
            !self.excluded_properties.contains(predicate)
        } else {
            self.fields.contains(predicate)
        }
    }

    /// Drops what does not travel.
    pub fn apply(&self, entity: &mut Entity) {
        entity.properties.retain(|p| self.carries(&p.predicate));
    }
}

/// The field choice of every type. Types without a choice of their own have TAO's default.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldChoices(pub BTreeMap<EntityType, FieldChoice>);

impl FieldChoices {
    /// TAO's defaults for all types.
    pub fn tao_default() -> Self {
        Self(EntityType::FEED.into_iter().map(|t| (t, FieldChoice::default_for(t))).collect())
    }

    /// The choice for a type.
    pub fn of(&self, entity_type: EntityType) -> std::borrow::Cow<'_, FieldChoice> {
        match self.0.get(&entity_type) {
            Some(choice) => std::borrow::Cow::Borrowed(choice),
            None => std::borrow::Cow::Owned(FieldChoice::default_for(entity_type)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_stay_text() {
        assert_ne!(OrgId::new("007"), OrgId::new("7"));
        assert!(OrgId::new("").is_err());
        assert!(OrgId::new("a\nb").is_err());
        assert!(OrgId::new("x".repeat(128)).is_ok());
        assert!(OrgId::new("x".repeat(129)).is_err());
    }

    #[test]
    fn positions_refuse_rubbish() {
        for text in ["test-taker", "test-taker:x", "test-taker:-1", "cat:1", "class:1,class:2"] {
            assert!(Positions::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_position_cannot_steer_a_terminal() {
        let error = Positions::from_text("a\u{1b}[2J\0:1").expect_err("no type").to_string();
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }

    #[test]
    fn a_white_list_wins() {
        let mut choice = FieldChoice::default_for(EntityType::Proctor);
        assert!(!choice.carries(vocabulary::AUTHORIZED_PROCTOR));
        choice.fields.insert(vocabulary::AUTHORIZED_PROCTOR.to_owned());
        assert!(choice.carries(vocabulary::AUTHORIZED_PROCTOR));
        assert!(!choice.carries(vocabulary::RDFS_LABEL));
    }

    proptest! {
        #[test]
        fn positions_read_back(a in 0i64..i64::MAX, b in 0i64..i64::MAX) {
            let positions = Positions([(EntityType::Class, a), (EntityType::TestTaker, b)].into());
            prop_assert_eq!(Positions::from_text(&positions.to_text()), Ok(positions));
        }

        #[test]
        fn positions_never_panic(text in ".{0,80}") {
            let _ = Positions::from_text(&text);
        }
    }
}
