//! The database and the blobs of a node: one file per noun. SQL stands here and nowhere else (apart from `tao`).
//!
//! * [`tx`]: every transaction: named, flushed or relaxed, one writer at a time.
//! * Central: [`entities`] (what is true), [`scopes`] (who may see what, and the feed's sequence numbers), [`feed`]
//!   (reading it), [`received`] (results that came in), [`results_keys`] (who opens them), [`consumers`] and their [`tokens`], how they
//!   come to machines ([`enrolment`]) and get other secrets ([`rotation`]), the [`authorities`] of central's certificate, [`nodes`],
//!   [`tao`] (what TAO clients ask).
//! * Local: [`remotes`], [`replica`], [`executions`], [`outbox`], [`projection`] (what TAO's own database was given).
//! * Both: [`packages`], when they open ([`releases`]), which of them stay ([`retention`]), their [`chunks`], [`blobs`], [`intact`], [`history`], [`accounts`], [`audit`], [`settings`], [`copies`],
//!   [`reseal`] (after a key was rotated), [`tao_results`] (beside a TAO's own database).

pub mod accounts;
pub mod audit;
pub mod authorities;
pub mod blobs;
pub mod chunks;
pub mod consumers;
pub mod copies;
pub mod enrolment;
pub mod entities;
mod error;
pub mod executions;
#[cfg(feature = "faults")]
pub mod faults;
pub mod feed;
pub mod history;
pub mod intact;
pub mod nodes;
pub mod outbox;
pub mod packages;
mod predicates;
pub mod projection;
pub mod proofs;
pub mod received;
pub mod releases;
pub mod remotes;
pub mod replica;
pub mod reported_runs;
pub mod reseal;
pub mod results_keys;
pub mod retention;
pub mod rotation;
mod rows;
pub mod runner_keys;
pub mod scopes;
pub mod settings;
mod sqlite;
#[cfg(test)]
mod steps;
pub mod subjects;
pub mod tao;
pub mod tao_results;
pub mod tokens;
pub mod tx;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use taosync_model::Clock;
use taosync_model::scope::FieldChoices;
use taosync_vault::keyring::Keyring;

pub use error::StoreError;
pub use results_keys::Results;
pub use tx::{Durability, Tx};

/// The open database of one node.
#[derive(Clone)]
pub struct Store {
    pools: sqlite::Pools,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    fields: Arc<FieldChoices>,
    polls: Arc<audit::polls::Polls>,
    results: Results,
}

impl Store {
    /// Opens (and, the first time, makes) the database in a node's directory, and brings its schema up to date. A
    /// schema newer than this program is refused, and so is a keyring without a key that values are sealed with.
    pub async fn open(dir: &Path, keyring: Arc<Keyring>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let pools = sqlite::Pools::open(&dir.join("taosync.sqlite")).await?;
        let fields = Arc::new(FieldChoices::tao_default());
        let store = Self {
            pools,
            keyring,
            clock,
            dir: dir.to_owned(),
            fields,
            results: Results::default(),
            polls: Arc::default(),
        };
        store.column_keys_check().await?;
        store.column_key_note().await?;
        Ok(store)
    }

    /// The same store with another choice of which predicates travel. Call [`Store::views_refresh`] afterwards.
    #[must_use]
    pub fn with_fields(self, fields: FieldChoices) -> Self {
        Self { fields: Arc::new(fields), ..self }
    }

    /// The same store with another rule for results.
    #[must_use]
    pub fn with_results(self, results: Results) -> Self {
        Self { results, ..self }
    }

    /// Which predicates travel.
    pub fn fields(&self) -> &FieldChoices {
        &self.fields
    }

    /// The node's keys.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// The node's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The node's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Milliseconds since 1970 by the node's clock: the form of every time column.
    pub fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// Waits for running statements and closes the files.
    pub async fn close(&self) {
        self.pools.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}
