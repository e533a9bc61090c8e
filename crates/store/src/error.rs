//! What can go wrong with the database or the blobs.

use std::path::PathBuf;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("cannot open the database {}; check that the directory exists and belongs to this user", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// The database's own words.
        #[source]
        source: sqlx::Error,
    },
    /// The schema was made by a newer program.
    #[error(
        "the database has schema {found}, this program knows up to {known}: it was used by a newer taosync; install that version or restore a backup"
    )]
    NewerSchema {
        /// Version found.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// Values are sealed with a key that is not there: going on would lose what cannot be read.
    #[error(
        "column key {key_id}, which values in the database are sealed with, is not in keys/columns.json; put the keys of this database back ('taosync keys import', or a backup)"
    )]
    MissingKey {
        /// Number of the key.
        key_id: u32,
    },
    /// The disk is full; nothing was changed.
    #[error("the disk is full: nothing was changed; make room and run the command again")]
    DiskFull,
    /// Somebody else kept the database locked for too long.
    #[error("the database is busy: another taosync process is writing; try again in a moment")]
    Busy,
    /// A statement failed.
    #[error("the database refused '{what}'")]
    Database {
        /// Name of the transaction.
        what: &'static str,
        /// The database's own words.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value cannot be read: a damaged disk or the wrong key.
    #[error("{what} is damaged or sealed with another key: run 'taosync verify' to see what else is")]
    Damaged {
        /// What could not be read.
        what: String,
    },
    /// Something that was named does not exist.
    #[error("{what} does not exist; {advice}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// The request contradicts what is stored.
    #[error("{0}")]
    Refused(String),
    /// A file of the object store could not be read or written.
    #[error("cannot {act} {}", path.display())]
    Blob {
        /// `read`, `write` …
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    /// Names the failed statement and recognises the two errors a person can do something about.
    pub(crate) fn sql(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| {
            let code =
                source.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned);
            match code.as_deref() {
                Some("13" | "778" | "1034" | "4874") => Self::DiskFull,
                Some("5" | "261" | "517" | "6" | "262") => Self::Busy,
                _ => Self::Database { what, source },
            }
        }
    }

    /// Whether trying again later can help.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Busy)
    }
}
