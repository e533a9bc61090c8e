//! People, centers and eligibilities from CSV and JSONL files. Pure: no I/O, no database.
//!
//! A CSV file goes through three steps, and nothing is changed by any of them:
//!
//! 1. [`parse`] reads the whole file into a [`Roster`], or says everything that is wrong with it. [`RosterFile`] does that for
//!    a file of any length, and gives it in parts.
//! 2. [`Roster::lookups`] says what the store has to be asked; the caller answers into a [`Found`] and asks again until
//!    nothing is left to ask (three rounds at most, whatever the size of the file).
//! 3. [`Roster::plan`] gives the entities to write, in one transaction or not at all. What is equal already is not
//!    among them, so the same file twice changes nothing.
//!
//! # Files
//!
//! As TAO's importers take them (FEATURES H1–H3): UTF-8 with or without byte order mark; comma, semicolon or tab; the
//! first line names the columns; lists are separated by `|`; a reference is a login, a label, an organisation id (of a
//! center) or a URI. Case, spaces, underscores and hyphens of a column's name do not matter.
//!
//! | file | must have | may have |
//! |---|---|---|
//! | test-centers | label, organisation id | administrators, proctors, sub centers, uri |
//! | administrators, proctors | label, interface language, login, password | default language, first name, last name, mail, test centers, uri |
//! | test-takers | label, interface language, login, password | default language, first name, last name, mail, uri |
//! | sync-managers | label, interface language, login, password, organisation id | default language, first name, last name, mail, uri |
//! | eligibilities | test center, delivery, test takers | is proctored, label, uri |
//!
//! Also understood: `username`; `email`, `email address`; `given name`; `family name`, `surname`; `ui language`,
//! `data language`; `organization id`, `org id`; `center(s)`, `centre(s)`, `test centre(s)`; `sub centres`, `children`;
//! `test taker`; `proctored`.
//!
//! An empty optional cell says nothing: what is stored stays. The lists of centers and people *add* relations, as in
//! TAO; the test takers of an eligibility *replace* those it had.
//!
//! [`parse_jsonl`] reads whole entities, one a line, for `entity load`.

mod cells;
mod columns;
mod file;
mod jsonl;
mod kind;
mod lookup;
mod parse;
mod plan;
mod problem;
mod records;
mod rows;
mod text;

pub use file::{PartPlace, RosterFile};
pub use jsonl::parse_jsonl;
pub use kind::{RosterKind, UnknownKind};
pub use lookup::{Found, FoundEntity, Lookup, LookupBy};
pub use parse::{MAX_FILE, MAX_ROWS, parse};
pub use plan::{Claims, Naming, Plan};
pub use problem::{MAX_PROBLEMS, RosterProblem};

/// A file that was read without a problem. Its rows hold passwords, so they are never shown.
pub struct Roster {
    kind: RosterKind,
    file: String,
    rows: rows::Rows,
}

impl Roster {
    /// What the file speaks of.
    pub fn kind(&self) -> RosterKind {
        self.kind
    }

    /// Label and organisation id of each row of a file of test centers; nothing of any other file.
    pub fn places(&self) -> Vec<(&str, &str)> {
        match &self.rows {
            rows::Rows::Centers(rows) => rows.iter().map(|row| (&*row.label, &*row.organisation_id)).collect(),
            rows::Rows::People(_) | rows::Rows::Eligibilities(_) => Vec::new(),
        }
    }

    /// Rows in the file, without the header and blank lines.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roster")
            .field("kind", &self.kind)
            .field("file", &self.file)
            .field("rows", &self.rows.len())
            .finish()
    }
}
