//! Rows as read: texts only, nothing looked up yet.

use secrecy::SecretString;

use crate::RosterKind;

/// A row of a centers file.
#[derive(Debug)]
pub(crate) struct CenterRow {
    pub(crate) line: u64,
    pub(crate) uri: Option<String>,
    pub(crate) label: String,
    pub(crate) organisation_id: String,
    pub(crate) administrators: Vec<String>,
    pub(crate) proctors: Vec<String>,
    pub(crate) sub_centers: Vec<String>,
}

/// A row of a file of people.
pub(crate) struct PersonRow {
    pub(crate) line: u64,
    pub(crate) uri: Option<String>,
    pub(crate) label: String,
    pub(crate) login: String,
    pub(crate) password: SecretString,
    /// URI of the language.
    pub(crate) interface_language: String,
    /// URI of the language.
    pub(crate) default_language: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) mail: Option<String>,
    pub(crate) organisation_id: Option<String>,
    pub(crate) test_centers: Vec<String>,
}

/// A row of an eligibilities file.
pub(crate) struct EligibilityRow {
    pub(crate) line: u64,
    pub(crate) uri: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) test_center: String,
    pub(crate) delivery: String,
    pub(crate) test_takers: Vec<String>,
    pub(crate) proctored: Option<Proctoring>,
}

/// The column `is proctored`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proctoring {
    Needed,
    ByPassed,
}

/// All rows of a file.
pub(crate) enum Rows {
    Centers(Vec<CenterRow>),
    People(Vec<PersonRow>),
    Eligibilities(Vec<EligibilityRow>),
}

impl Rows {
    /// None yet.
    pub(crate) fn of(kind: RosterKind) -> Self {
        match kind {
            RosterKind::TestCenters => Self::Centers(Vec::new()),
            RosterKind::Eligibilities => Self::Eligibilities(Vec::new()),
            _ => Self::People(Vec::new()),
        }
    }

    /// Adds rows of the same kind.
    pub(crate) fn append(&mut self, more: Self) {
        match (self, more) {
            (Self::Centers(rows), Self::Centers(more)) => rows.extend(more),
            (Self::People(rows), Self::People(more)) => rows.extend(more),
            (Self::Eligibilities(rows), Self::Eligibilities(more)) => rows.extend(more),
            _ => debug_assert!(false, "one file has rows of one kind"),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Centers(rows) => rows.len(),
            Self::People(rows) => rows.len(),
            Self::Eligibilities(rows) => rows.len(),
        }
    }
}
