//! What only SQLite needs: pools, pragmas, migrations.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _, SqlitePool};
use tokio::sync::Mutex;

use crate::{Store, StoreError};

/// The schema, step by step; a released step is never edited.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let steps = [(1, "first", include_str!("../migrations/sqlite/0001_first.sql"))];
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(steps.into_iter().map(migration).collect())
});

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Readers that can run at once.
const READERS: u32 = 6;

/// One writer connection per durability, and some readers. Writers of this process queue at `turn`, so that SQLite's
/// own polling is only needed between processes.
#[derive(Clone)]
pub(crate) struct Pools {
    pub flushed: SqlitePool,
    pub relaxed: SqlitePool,
    pub readers: SqlitePool,
    pub turn: Arc<Mutex<()>>,
}

impl Pools {
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("secure_delete", "ON")
            .pragma("cache_size", "-16384")
            .pragma("temp_store", "MEMORY")
            .pragma("journal_size_limit", "67108864")
            .statement_cache_capacity(256)
            // A slow statement is our business, not a teacher's: tx.rs logs slow transactions.
            .disable_statement_logging();
        let full = options.clone().synchronous(SqliteSynchronous::Full);
        let normal = options.synchronous(SqliteSynchronous::Normal);
        let open_error = |source| StoreError::Open { path: path.to_owned(), source };
        let flushed = writer().connect_with(full).await.map_err(open_error)?;
        migrate(&flushed).await?;
        let relaxed = writer().connect_lazy_with(normal.clone());
        let readers = pool(READERS).connect_lazy_with(normal.read_only(true));
        Ok(Self { flushed, relaxed, readers, turn: Arc::default() })
    }

    pub async fn close(&self) {
        self.readers.close().await;
        self.relaxed.close().await;
        self.flushed.close().await;
    }
}

impl Store {
    /// Cuts the database's log to nothing after a large transaction: SQLite would keep a file of that size. Waits for
    /// nobody: while somebody reads, the log stays, and is cut to its limit when it begins anew.
    pub async fn log_cut(&self) -> Result<(), StoreError> {
        let _turn = self.pools.turn.lock().await;
        let sql = StoreError::sql("log_cut");
        let mut connection = self.pools.flushed.acquire().await.map_err(&sql)?;
        let mut outcome = Ok(());
        let patience = format!("PRAGMA busy_timeout = {}", BUSY_TIMEOUT.as_millis());
        for pragma in ["PRAGMA busy_timeout = 0", "PRAGMA wal_checkpoint(TRUNCATE)", patience.as_str()] {
            let pragma = sqlx::AssertSqlSafe(pragma.to_owned());
            outcome = outcome.and(sqlx::query(pragma).execute(&mut *connection).await.map(drop));
        }
        outcome.map_err(sql)
    }
}

/// Connections to a file do not age. With a lifetime, sqlx 0.9.0 also starts a task that now and then reads its count of
/// idle connections in the middle of a change, finds it below zero, and never stops counting down from there.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).idle_timeout(None).max_lifetime(None)
}

/// A pool of one writer. When the disk fills up, SQLite undoes the transaction by itself; sqlx then fails to undo it
/// once more, and believes for ever that one is open. Such a connection is thrown away.
fn writer() -> SqlitePoolOptions {
    pool(1).after_release(|connection, _| {
        Box::pin(async move {
            // A dropped transaction is undone behind our back; the answer to this comes after it.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    let has_table: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_optional(pool)
            .await
            .map_err(StoreError::sql("schema version"))?;
    if has_table.is_some() {
        let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(pool)
            .await
            .map_err(StoreError::sql("schema version"))?;
        if let Some(found) = found.filter(|f| *f > known) {
            return Err(StoreError::NewerSchema { found, known });
        }
    }
    MIGRATIONS.run(pool).await.map_err(StoreError::Migrate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transaction_that_sqlite_undid_by_itself_does_not_block_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let pools = Pools::open(&dir.path().join("taosync.sqlite")).await.unwrap();
        for pool in [&pools.flushed, &pools.relaxed] {
            let mut undone = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
            // What SQLite does when the disk is full.
            sqlx::query("ROLLBACK").execute(&mut *undone).await.unwrap();
            drop(undone);
            pool.begin_with("BEGIN IMMEDIATE").await.unwrap().commit().await.unwrap();
        }
        pools.close().await;
    }
}
