//! What can go wrong with TAO's database.

use std::fmt;

/// An error of TAO's database. Nothing that was begun is left half done.
#[derive(Debug, thiserror::Error)]
pub enum TaoError {
    /// The address is not one of a database TAO runs on.
    #[error(
        "the address of TAO's database cannot be used: {0}; give postgres://USER:PASSWORD@HOST/DATABASE or mysql://…"
    )]
    BadAddress(&'static str),
    /// Nobody answers, or not as a database, or nobody is let in.
    #[error("TAO's database cannot be reached; check the address, the password and that the database runs")]
    Unreachable(#[source] Told),
    /// The user sees no table of a TAO.
    #[error(
        "there is no TAO in this database, or its user may not see it; check the name of the database and the user's rights"
    )]
    NoTao,
    /// The tables are not those of a TAO this program knows.
    #[error(
        "TAO's database is not as expected: {what}; nothing was written, tell the taosync project which TAO this is"
    )]
    Unrecognised {
        /// Table and column, and what is wrong with it.
        what: String,
    },
    /// Somebody wanted to write without having recognised the tables.
    #[error("TAO's database was not examined before it was to be changed; run 'taosync tao check'")]
    NotExamined,
    /// Somebody wanted to write without having adopted the installation.
    #[error("TAO's database is read only until it is adopted; run 'taosync tao adopt'")]
    NotAdopted,
    /// Another taosync changes this database, or TAO keeps a row locked.
    #[error("TAO's database is busy in '{what}': another program is changing it; try again in a moment")]
    Busy {
        /// Name of the transaction.
        what: &'static str,
    },
    /// A statement failed; the transaction is undone.
    #[error("TAO's database refused '{what}'")]
    Refused {
        /// Name of the transaction.
        what: &'static str,
        /// The database's own words.
        #[source]
        source: Told,
    },
    /// A statement is too large: more values or text than a database takes at once.
    #[error(
        "a statement of '{what}' has {values} values and {bytes} bytes of them, more than a database takes; please report this"
    )]
    TooLarge {
        /// Name of the transaction.
        what: &'static str,
        /// Its values.
        values: usize,
        /// Bytes of all of them.
        bytes: usize,
    },
    /// A value that was read is not what it has to be.
    #[error("TAO's database holds what cannot be read: {what}")]
    Damaged {
        /// Which value, not what is in it.
        what: String,
    },
}

/// What a database or the way to it says, once and in its own words.
#[derive(Debug)]
pub struct Told(sqlx::Error);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            sqlx::Error::Database(error) => f.write_str(error.message()),
            sqlx::Error::Io(error) => write!(f, "{error}"),
            sqlx::Error::PoolTimedOut => f.write_str("it gave no answer within 10 seconds"),
            other => write!(f, "{other}"),
        }
    }
}

impl std::error::Error for Told {}

impl Told {
    /// Whether the database knows no such user, password or database: trying again changes nothing.
    fn is_turned_away(&self) -> bool {
        matches!(state(&self.0).as_deref(), Some("28P01" | "28000" | "3D000"))
            || matches!(mysql_number(&self.0), Some(1044 | 1045 | 1049 | 1130 | 1698))
    }

    /// Whether the user lacks a right.
    pub(crate) fn is_denied(&self) -> bool {
        state(&self.0).as_deref() == Some("42501") || matches!(mysql_number(&self.0), Some(1142 | 1143 | 1227))
    }
}

impl TaoError {
    /// Whether trying again later can help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Unreachable(told) => !told.is_turned_away(),
            _ => false,
        }
    }

    /// Nobody answered, or nobody was let in.
    pub(crate) const fn unreachable(source: sqlx::Error) -> Self {
        Self::Unreachable(Told(source))
    }

    /// Names the failed statement, and recognises what passes by itself.
    pub(crate) fn sql(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| {
            match state(&source).as_deref() {
                // PostgreSQL: lock not available, deadlock, serialisation. MySQL shares 40001 (deadlock), and its wait for
                // a lock that ended has no state of its own.
                Some("55P03" | "40P01" | "40001") => Self::Busy { what },
                _ if mysql_number(&source) == Some(1205) => Self::Busy { what },
                // It is being stopped, or starts: whoever comes later is answered.
                Some("57P01" | "57P02" | "57P03" | "53300") => Self::unreachable(source),
                _ if matches!(mysql_number(&source), Some(1040 | 1053 | 1927)) => Self::unreachable(source),
                _ if matches!(source, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_)) => {
                    Self::unreachable(source)
                }
                _ => Self::Refused { what, source: Told(source) },
            }
        }
    }
}

fn state(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

fn mysql_number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()?;
    Some(error.number())
}
