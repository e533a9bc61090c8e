//! Connections to TAO's database, unchanging pictures to read from, and transactions to write in.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, MySqlConnection, PgConnection};

use crate::connection::Connection;
use crate::{Row, Statement, TaoError};

/// Connections at once: an exam in TAO needs its own.
const CONNECTIONS: u32 = 3;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which kind of database TAO runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

impl Kind {
    /// The name, for people and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL or MariaDB",
        }
    }

    /// The kind an address names.
    fn of_address(address: &str) -> Result<Self, TaoError> {
        let url = url::Url::parse(address).map_err(|_| TaoError::BadAddress("it is no address"))?;
        if url.path().trim_matches('/').is_empty() {
            return Err(TaoError::BadAddress("it names no database"));
        }
        match url.scheme() {
            "postgres" | "postgresql" => Ok(Self::Postgres),
            "mysql" | "mariadb" => Ok(Self::MySql),
            _ => Err(TaoError::BadAddress("it is neither of PostgreSQL nor of MySQL")),
        }
    }
}

/// TAO's database.
#[derive(Clone, Debug)]
pub enum Database {
    /// PostgreSQL.
    Postgres(PgPool, Gate),
    /// MySQL or MariaDB.
    MySql(MySqlPool, Gate),
}

/// What has to be so before anything is written.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    is_adopted: bool,
    is_recognised: Arc<AtomicBool>,
}

/// One unchanging picture of TAO's database; it ends when it is dropped.
pub struct Reading {
    connection: Connection,
    is_recognised: Arc<AtomicBool>,
}

/// An open transaction that changes TAO's database; dropping it undoes everything.
pub struct Change {
    connection: Connection,
    name: &'static str,
}

impl Database {
    /// Connects, to read only; [`Database::adopted`] opens it for changes. The address may hold a password, so no error
    /// shows it.
    pub async fn connect(url: &SecretString) -> Result<Self, TaoError> {
        let address = url.expose_secret();
        match Kind::of_address(address)? {
            Kind::Postgres => Ok(Self::Postgres(postgres(address).await?, Gate::default())),
            Kind::MySql => Ok(Self::MySql(mysql(address).await?, Gate::default())),
        }
    }

    /// The same database, for changes too: somebody has adopted it.
    #[must_use]
    pub fn adopted(mut self) -> Self {
        let (Self::Postgres(_, gate) | Self::MySql(_, gate)) = &mut self;
        gate.is_adopted = true;
        self
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Postgres(..) => Kind::Postgres,
            Self::MySql(..) => Kind::MySql,
        }
    }

    /// Opens a picture that does not change while it is read, whatever TAO writes meanwhile. MySQL's tables of the kind
    /// MyISAM (`synchronisation`, `synchronisation_result`) have none: they are read as they are.
    pub async fn read(&self) -> Result<Reading, TaoError> {
        let mut connection = self.acquire().await?;
        let begin = match self.kind() {
            Kind::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Kind::MySql => {
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
            }
        };
        connection.run(begin).await.map_err(TaoError::sql("read"))?;
        Ok(Reading { connection, is_recognised: self.gate().is_recognised.clone() })
    }

    /// Opens a transaction that changes TAO's data, after the one of any other taosync (10 s at most). Refused when the
    /// tables were not recognised ([`crate::Schema::recognise`]) or nobody has adopted the installation.
    pub async fn change(&self, name: &'static str) -> Result<Change, TaoError> {
        if !self.gate().is_adopted {
            return Err(TaoError::NotAdopted);
        }
        if !self.gate().is_recognised.load(Ordering::SeqCst) {
            return Err(TaoError::NotExamined);
        }
        let connection = self.acquire().await?;
        let mut change = Change { connection, name };
        change.begin().await?;
        Ok(change)
    }

    /// Ends all connections.
    pub async fn close(&self) {
        match self {
            Self::Postgres(pool, _) => pool.close().await,
            Self::MySql(pool, _) => pool.close().await,
        }
    }

    const fn gate(&self) -> &Gate {
        let (Self::Postgres(_, gate) | Self::MySql(_, gate)) = self;
        gate
    }

    async fn acquire(&self) -> Result<Connection, TaoError> {
        match self {
            Self::Postgres(pool, _) => pool.acquire().await.map(Connection::postgres),
            Self::MySql(pool, _) => pool.acquire().await.map(Connection::mysql),
        }
        .map_err(TaoError::unreachable)
    }
}

impl Reading {
    /// What a statement answers.
    pub async fn rows(&mut self, statement: &Statement) -> Result<Vec<Row>, TaoError> {
        self.connection.rows(statement, "read").await
    }

    /// Whether the user has the right to run a statement that only explains a change. In PostgreSQL an unanswered one ends
    /// the picture.
    pub async fn is_allowed(&mut self, statement: &Statement) -> Result<bool, TaoError> {
        match self.rows(statement).await {
            Err(TaoError::Refused { source, .. }) => Ok(!source.is_denied()),
            Err(error) => Err(error),
            Ok(_) => Ok(true),
        }
    }

    /// The kind of database.
    pub fn kind(&self) -> Kind {
        self.connection.kind()
    }

    /// Notes whether the tables are those of a TAO this program knows.
    pub(crate) fn note_recognised(&self, yes: bool) {
        self.is_recognised.store(yes, Ordering::SeqCst);
    }
}

impl Change {
    async fn begin(&mut self) -> Result<(), TaoError> {
        let name = self.name;
        let begin = match self.kind() {
            Kind::Postgres => "BEGIN; SET LOCAL lock_timeout = '10s'",
            Kind::MySql => "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION",
        };
        // "taosync" in ASCII; MySQL's names of locks belong to the whole server.
        let lock = Statement::default().either(
            "SELECT 1 FROM (SELECT pg_advisory_xact_lock(32758228605038179)) AS taken",
            "SELECT GET_LOCK(CONCAT('taosync-', MD5(DATABASE())), 10)",
        );
        self.connection.run(begin).await.map_err(TaoError::sql(name))?;
        let taken = self.connection.rows(&lock, name).await?;
        match taken.first().map(|row| row.optional_integer(0)).transpose()?.flatten() {
            Some(1) => Ok(()),
            _ => Err(TaoError::Busy { what: name }),
        }
    }

    /// What a statement answers.
    pub async fn rows(&mut self, statement: &Statement) -> Result<Vec<Row>, TaoError> {
        self.connection.rows(statement, self.name).await
    }

    /// Runs a statement; gives the number of rows it concerned.
    pub async fn execute(&mut self, statement: &Statement) -> Result<u64, TaoError> {
        self.connection.execute(statement, self.name).await
    }

    /// The kind of database.
    pub fn kind(&self) -> Kind {
        self.connection.kind()
    }

    /// Makes everything done in the transaction true.
    pub async fn commit(mut self) -> Result<(), TaoError> {
        self.connection.run("COMMIT").await.map_err(TaoError::sql(self.name))?;
        self.unlock().await
    }

    /// Undoes everything.
    pub async fn rollback(mut self) -> Result<(), TaoError> {
        self.connection.run("ROLLBACK").await.map_err(TaoError::sql(self.name))?;
        self.unlock().await
    }

    /// PostgreSQL's lock ends with the transaction.
    async fn unlock(&mut self) -> Result<(), TaoError> {
        match self.kind() {
            Kind::Postgres => Ok(()),
            Kind::MySql => self.connection.run(MYSQL_UNLOCK).await.map_err(TaoError::sql(self.name)),
        }
    }
}

const MYSQL_UNLOCK: &str = "DO RELEASE_LOCK(CONCAT('taosync-', MD5(DATABASE())))";

async fn postgres(address: &str) -> Result<PgPool, TaoError> {
    let options =
        PgConnectOptions::from_str(address).map_err(|_| TaoError::BadAddress("a part of it cannot be read"))?;
    let options = options.application_name("taosync").disable_statement_logging();
    drop(answered(PgConnection::connect_with(&options)).await?);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_TIMEOUT)
        .after_connect(|connection, _| {
            // Undoing where nothing is to be undone is no news.
            Box::pin(async move { connection.execute("SET client_min_messages = error").await.map(drop) })
        })
        // What was dropped half done, also by a caller that was cancelled (sqlx#4385), is undone before anybody else
        // gets the connection.
        .after_release(|connection, _| Box::pin(async move { connection.execute("ROLLBACK").await.map(|_| true) }))
        .connect_lazy_with(options);
    Ok(pool)
}

/// A first connection, outside of a pool: that one goes on trying in silence, and at the end has no reason to tell.
async fn answered<C>(connecting: impl Future<Output = Result<C, sqlx::Error>>) -> Result<C, TaoError> {
    let answer = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    answer.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(TaoError::unreachable)
}

async fn mysql(address: &str) -> Result<MySqlPool, TaoError> {
    let options =
        MySqlConnectOptions::from_str(address).map_err(|_| TaoError::BadAddress("a part of it cannot be read"))?;
    let options = options.disable_statement_logging();
    drop(answered(MySqlConnection::connect_with(&options)).await?);
    let pool = MySqlPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // A text that is too long is refused, never cut; a lock is waited for as in PostgreSQL.
                let session = "SET sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), innodb_lock_wait_timeout = 10";
                connection.execute(session).await.map(drop)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.execute("ROLLBACK").await?;
                connection.execute(MYSQL_UNLOCK).await.map(|_| true)
            })
        })
        .connect_lazy_with(options);
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_which_database_it_is() {
        assert_eq!(Kind::of_address("postgres://tao:x@db/tao").unwrap(), Kind::Postgres);
        assert_eq!(Kind::of_address("mariadb://tao@db:3307/tao").unwrap(), Kind::MySql);
        for wrong in ["sqlite://tao", "mysql://db", "tao", "postgres://db/"] {
            let error = Kind::of_address(wrong).unwrap_err().to_string();
            assert!(!error.contains("tao@") && error.starts_with("the address of TAO's"), "{error}");
        }
    }
}
