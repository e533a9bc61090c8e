//! The kinds of things taosync knows, spelled as TAO spells them.

use serde::{Deserialize, Serialize};

/// The type of an entity. The order of the variants is the order of a sync: classes first, then TAO's six types
/// (WIRE §2). [`EntityType::SyncManager`] lives on central only and never travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum EntityType {
    /// A class of the ontology, sent so that the receiver has the class tree of what follows.
    Class = 0,
    /// A test center; its organisation id scopes everything else.
    TestCenter = 1,
    /// A test center administrator.
    Administrator = 2,
    /// A proctor.
    Proctor = 3,
    /// A test taker.
    TestTaker = 4,
    /// Who may sit which delivery at which center.
    Eligibility = 5,
    /// A published test.
    Delivery = 6,
    /// A person allowed to start a sync for a center. Never sent to local servers.
    SyncManager = 7,
}

/// Text that names no entity type.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "'{0}' is not a type; use one of: test-center, administrator, proctor, test-taker, eligibility, delivery, class"
)]
pub struct UnknownType(pub String);

impl EntityType {
    /// The six synced types in TAO's order.
    pub const SYNCED: [Self; 6] =
        [Self::TestCenter, Self::Administrator, Self::Proctor, Self::TestTaker, Self::Eligibility, Self::Delivery];

    /// Everything a feed carries, in feed order: classes, then the six types.
    pub const FEED: [Self; 7] = [
        Self::Class,
        Self::TestCenter,
        Self::Administrator,
        Self::Proctor,
        Self::TestTaker,
        Self::Eligibility,
        Self::Delivery,
    ];

    /// The types that are people.
    pub const PEOPLE: [Self; 4] = [Self::Administrator, Self::Proctor, Self::TestTaker, Self::SyncManager];

    /// Whether entities of the type are people.
    pub const fn is_person(self) -> bool {
        matches!(self, Self::Administrator | Self::Proctor | Self::TestTaker | Self::SyncManager)
    }

    /// The spelling used on the command line, in JSON and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::TestCenter => "test-center",
            Self::Administrator => "administrator",
            Self::Proctor => "proctor",
            Self::TestTaker => "test-taker",
            Self::Eligibility => "eligibility",
            Self::Delivery => "delivery",
            Self::SyncManager => "sync-manager",
        }
    }

    /// The number stored in database columns.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The bit of this type in a set of types.
    pub const fn bit(self) -> i64 {
        1 << self.code()
    }

    /// The types in a set of bits, in feed order.
    pub fn from_bits(bits: i64) -> impl Iterator<Item = Self> {
        Self::FEED.into_iter().chain([Self::SyncManager]).filter(move |t| bits & t.bit() != 0)
    }

    /// The type with this database number.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::FEED.into_iter().chain([Self::SyncManager]).find(|t| t.code() == code)
    }
}

impl std::fmt::Display for EntityType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for EntityType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        Self::FEED
            .into_iter()
            .chain([Self::SyncManager])
            .find(|t| t.as_str() == text)
            .ok_or_else(|| UnknownType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_from_its_spelling_and_number() {
        for t in EntityType::FEED.into_iter().chain([EntityType::SyncManager]) {
            assert_eq!(t.as_str().parse(), Ok(t));
            assert_eq!(EntityType::from_code(t.code()), Some(t));
        }
        assert!("Test-Taker".parse::<EntityType>().is_err());
        assert_eq!(EntityType::from_code(8), None);
    }
}
