//! Every transaction goes through here: named, one writer at a time, flushed to disk where a promise is made.

use std::time::{Duration, Instant};

use sqlx::{Sqlite, SqliteConnection, Transaction};
use tokio::sync::OwnedMutexGuard;

use crate::{Store, StoreError};

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After it has reached the disk. For everything promised to the other side or to a person.
    Flushed,
    /// Consistent, but the last commits may be lost with the power. For what central can send again.
    Relaxed,
}

/// Transactions longer than this are logged: they hold up every other writer.
const SLOW: Duration = Duration::from_secs(2);

/// An open write transaction; dropping it undoes everything.
pub struct Tx {
    inner: Transaction<'static, Sqlite>,
    name: &'static str,
    since: Instant,
    #[cfg(feature = "faults")]
    dir: std::path::PathBuf,
    _turn: OwnedMutexGuard<()>,
}

/// An open read transaction: one unchanging picture of the database.
pub struct Snapshot {
    inner: Transaction<'static, Sqlite>,
    name: &'static str,
}

impl Store {
    /// Opens a write transaction, waiting for the writers before it.
    pub async fn write(&self, name: &'static str, durability: Durability) -> Result<Tx, StoreError> {
        let turn = self.pools.turn.clone().lock_owned().await;
        // Another process may have put a new key in front: whoever writes after it seals with that.
        self.keyring.columns().refresh();
        let pool = match durability {
            Durability::Flushed => &self.pools.flushed,
            Durability::Relaxed => &self.pools.relaxed,
        };
        #[cfg_attr(not(feature = "faults"), expect(unused_mut, reason = "only a fault needs the connection here"))]
        let mut inner = pool.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::sql(name))?;
        #[cfg(feature = "faults")]
        crate::faults::limit_pages(&self.dir, &mut inner).await.map_err(StoreError::sql(name))?;
        Ok(Tx {
            inner,
            name,
            since: Instant::now(),
            #[cfg(feature = "faults")]
            dir: self.dir.clone(),
            _turn: turn,
        })
    }

    /// Opens a read transaction. Never hold one while bytes go to the network.
    pub async fn read(&self, name: &'static str) -> Result<Snapshot, StoreError> {
        let inner = self.pools.readers.begin_with("BEGIN DEFERRED").await.map_err(StoreError::sql(name))?;
        Ok(Snapshot { inner, name })
    }
}

impl Tx {
    /// The connection to run statements on.
    pub(crate) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// Names the transaction in errors.
    #[cfg(not(feature = "faults"))]
    pub(crate) fn sql(&self) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        StoreError::sql(self.name)
    }

    /// Names the transaction in errors, and notes a full database.
    #[cfg(feature = "faults")]
    pub(crate) fn sql(&self) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        crate::faults::noting(self.dir.clone(), StoreError::sql(self.name))
    }

    /// Makes everything done in the transaction true.
    pub async fn commit(self) -> Result<(), StoreError> {
        let name = self.name;
        #[cfg(feature = "faults")]
        crate::faults::before_commit(&self.dir).await?;
        self.inner.commit().await.map_err(StoreError::sql(name))?;
        #[cfg(feature = "faults")]
        crate::faults::after_commit(&self.dir).await;
        let took = self.since.elapsed();
        if took > SLOW {
            tracing::info!(transaction = name, milliseconds = took.as_millis() as u64, "slow transaction");
        }
        Ok(())
    }

    /// Undoes everything, for a dry run.
    pub async fn undo(self) -> Result<(), StoreError> {
        let name = self.name;
        self.inner.rollback().await.map_err(StoreError::sql(name))
    }
}

impl Snapshot {
    /// The connection to run statements on.
    pub(crate) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// Names the transaction in errors.
    pub(crate) fn sql(&self) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        StoreError::sql(self.name)
    }
}
