//! Bad moments on demand: a disk that is full from a chosen write on, a process that stops at a chosen commit. Compiled
//! for the simulation of whole nodes only (feature `faults`); a test holds that the program is built without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::SqliteConnection;
use tokio::sync::Notify;

use crate::StoreError;

/// What happens to the node in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// After so many more writes (commits and files of chunks) the disk is full.
    DiskFull {
        /// Writes that still work.
        after: u32,
    },
    /// The database cannot grow by more than so many pages, so that any statement may meet the full disk.
    NoMorePages {
        /// Pages it may still grow.
        left: u32,
    },
    /// The process stops for ever before a commit takes place.
    StopBeforeCommit {
        /// Commits that still work.
        after: u32,
    },
    /// The process stops for ever once a commit has taken place, before anybody hears of it.
    StopAfterCommit {
        /// Commits that still work before this one.
        after: u32,
    },
}

struct Armed {
    fault: Fault,
    writes: u32,
    fired: u64,
    bell: Arc<Notify>,
}

static ARMED: Mutex<BTreeMap<PathBuf, Armed>> = Mutex::new(BTreeMap::new());

fn armed() -> MutexGuard<'static, BTreeMap<PathBuf, Armed>> {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Arms a fault for the node in a directory, in place of an earlier one; gives the bell that rings when it fires.
pub fn arm(dir: &Path, fault: Fault) -> Arc<Notify> {
    let bell = Arc::new(Notify::new());
    armed().insert(dir.to_owned(), Armed { fault, writes: 0, fired: 0, bell: bell.clone() });
    bell
}

/// Takes the fault away, and says how often it fired.
pub fn disarm(dir: &Path) -> u64 {
    armed().remove(dir).map_or(0, |armed| armed.fired)
}

/// Counts a write, which may meet a full disk.
pub(crate) fn write(dir: &Path) -> Result<(), StoreError> {
    let mut all = armed();
    let Some(armed) = all.get_mut(dir) else { return Ok(()) };
    let Fault::DiskFull { after } = armed.fault else { return Ok(()) };
    if armed.writes >= after {
        armed.fired += 1;
        armed.bell.notify_one();
        return Err(StoreError::DiskFull);
    }
    armed.writes += 1;
    Ok(())
}

pub(crate) async fn before_commit(dir: &Path) -> Result<(), StoreError> {
    if stops(dir, |fault| matches!(fault, Fault::StopBeforeCommit { .. })) {
        stay().await;
    }
    write(dir)
}

pub(crate) async fn after_commit(dir: &Path) {
    if stops(dir, |fault| matches!(fault, Fault::StopAfterCommit { .. })) {
        stay().await;
    }
}

/// Stays until the runtime of the machine ends, then panics: work on a thread of its own, which nobody drops, must not
/// keep the database locked when its machine is dead.
async fn stay() {
    loop {
        tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    }
}

fn stops(dir: &Path, is_here: impl Fn(Fault) -> bool) -> bool {
    let mut all = armed();
    let Some(armed) = all.get_mut(dir).filter(|armed| is_here(armed.fault)) else { return false };
    let (Fault::StopBeforeCommit { after } | Fault::StopAfterCommit { after }) = armed.fault else { return false };
    armed.writes += 1;
    let stops = armed.writes > after;
    if stops {
        armed.fired += 1;
        armed.bell.notify_one();
    }
    stops
}

/// Notes when the database is full.
pub(crate) fn noting(dir: PathBuf, name: impl Fn(sqlx::Error) -> StoreError) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        let error = name(error);
        if matches!(error, StoreError::DiskFull)
            && let Some(armed) = armed().get_mut(&dir)
        {
            armed.fired += 1;
        }
        error
    }
}

/// Limits the database's growth on the connection of a transaction that begins, or lifts the limit of an earlier one.
pub(crate) async fn limit_pages(dir: &Path, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let left = armed().get(dir).and_then(|armed| match armed.fault {
        Fault::NoMorePages { left } => Some(left),
        _ => None,
    });
    let most = match left {
        Some(left) => {
            sqlx::query_scalar::<_, i64>("PRAGMA page_count").fetch_one(&mut *connection).await? + i64::from(left)
        }
        None => i64::from(u32::MAX) - 1,
    };
    sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {most}"))).execute(connection).await?;
    Ok(())
}

impl crate::Store {
    /// Runs a statement behind everybody's back: a test of tests breaks with it what they must notice. Says how many
    /// rows it touched.
    pub async fn tamper(&self, statement: &'static str) -> Result<u64, StoreError> {
        let mut tx = self.write("tamper", crate::Durability::Flushed).await?;
        let sql = tx.sql();
        let done = sqlx::query(statement).execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Rows of the outbox whose payload was erased for good.
    pub async fn outbox_erased(&self) -> Result<Vec<uuid::Uuid>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM outbox_content WHERE payload IS NULL");
        query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("outbox_erased"))
    }
}
