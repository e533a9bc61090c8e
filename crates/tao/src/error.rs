//! What can go wrong with TAO's database.

/// An error of TAO's database. Nothing that was begun is left half done.
#[derive(Debug, thiserror::Error)]
pub enum TaoError {
    /// The address is not one of a database TAO runs on.
    #[error(
        "the address of TAO's database cannot be used: {0}; give postgres://USER:PASSWORD@HOST/DATABASE or mysql://…"
    )]
    BadAddress(&'static str),
    /// Nobody answers, or not as a database.
    #[error("TAO's database cannot be reached; check the address, the password and that the database runs")]
    Unreachable(#[source] sqlx::Error),
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
        source: sqlx::Error,
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

impl TaoError {
    /// Whether trying again later can help.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unreachable(_))
    }

    /// Names the failed statement, and recognises what passes by itself.
    pub(crate) fn sql(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| {
            let code = source.as_database_error().and_then(sqlx::error::DatabaseError::code);
            match code.as_deref() {
                // PostgreSQL: lock not available, deadlock, serialisation. MySQL shares 40001 (deadlock), and its wait for
                // a lock that ended has no state of its own.
                Some("55P03" | "40P01" | "40001") => Self::Busy { what },
                _ if mysql_number(&source) == Some(1205) => Self::Busy { what },
                _ if matches!(source, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_)) => {
                    Self::Unreachable(source)
                }
                _ => Self::Refused { what, source },
            }
        }
    }
}

fn mysql_number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()?;
    Some(error.number())
}
