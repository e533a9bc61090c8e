//! The six files a roster comes in.

use taosync_model::EntityType;

/// What a file speaks of; spelled as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RosterKind {
    /// Test centers, with their people and sub centers.
    TestCenters,
    /// Test center administrators.
    Administrators,
    /// Proctors.
    Proctors,
    /// Test takers.
    TestTakers,
    /// People allowed to start a sync.
    SyncManagers,
    /// Who may sit which delivery at which center.
    Eligibilities,
}

/// Text that names no kind of file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "'{0}' cannot be imported; use one of: test-centers, administrators, proctors, test-takers, sync-managers, eligibilities"
)]
pub struct UnknownKind(String);

impl RosterKind {
    /// All kinds, in the order in which they are best imported: eligibilities need everything else.
    pub const ALL: [Self; 6] = [
        Self::Administrators,
        Self::Proctors,
        Self::SyncManagers,
        Self::TestTakers,
        Self::TestCenters,
        Self::Eligibilities,
    ];

    /// The spelling on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TestCenters => "test-centers",
            Self::Administrators => "administrators",
            Self::Proctors => "proctors",
            Self::TestTakers => "test-takers",
            Self::SyncManagers => "sync-managers",
            Self::Eligibilities => "eligibilities",
        }
    }

    /// The type of what a row makes.
    pub const fn entity_type(self) -> EntityType {
        match self {
            Self::TestCenters => EntityType::TestCenter,
            Self::Administrators => EntityType::Administrator,
            Self::Proctors => EntityType::Proctor,
            Self::TestTakers => EntityType::TestTaker,
            Self::SyncManagers => EntityType::SyncManager,
            Self::Eligibilities => EntityType::Eligibility,
        }
    }
}

impl std::fmt::Display for RosterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for RosterKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|k| k.as_str() == text).ok_or_else(|| UnknownKind(text.chars().take(64).collect()))
    }
}
