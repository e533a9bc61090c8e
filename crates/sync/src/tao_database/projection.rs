//! Local, down: the replica is written into TAO's database as `taoSync` would write it (WIRE §7, §8), so that a TAO in a
//! school delivers what central sent. Our store stays the replica; TAO's is a projection of it with a cursor of its own
//! ([`taosync_store::projection`]): what was given as it is now is not read again, what differs is written, entity by
//! entity whole.
//!
//! The order of a run: classes, then the types in the order of a sync (`entities`), then what is gone, eligibilities
//! first, so that nothing new starts on what follows (`removals`), then deliveries, each handed to TAO's own import
//! (`deliveries`).

mod deliveries;
mod entities;
mod outcome;
mod place;
mod release;
mod removals;

use std::collections::BTreeSet;
use std::path::Path;

use taosync_model::{Digest, EntityType};
use taosync_store::projection::ImportState;
use taosync_store::{Store, StoreError};
use taosync_tao::read::languages::languages;
use taosync_tao::write::entities::Moment;
use taosync_tao::write::history;
use taosync_tao::write::wanted::Languages;
use taosync_tao::{Change, Database, Reading, Schema, TaoError};

use crate::down::guard::Removals;
use crate::packages::contents::ContentsError;
use crate::session::Mode;

pub use outcome::{DeliveryOutcome, DeliveryState, Projected, Tally, Waiting};
pub use release::hand_back;

/// What was given and where the sync counter stood then, hashed: nothing has to be looked at while it stays.
const STANDING: &str = "tao_projected";
/// Where TAO's sync counter stood after our last write: another number means that somebody else has synced, or that TAO
/// was restored.
const COUNTER: &str = "tao_sync_counter";
/// Form of what is written; a higher one lets everything be compared again.
const FORM: u8 = 1;

/// Whether entities that were given as they are now are compared with TAO's database all the same, and imports that
/// failed tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only what has changed.
    Changes,
    /// Everything.
    Everything,
}

/// A projection to be done.
#[derive(Clone, Copy, Debug)]
pub struct Projection<'a> {
    /// Our store, which holds the replica.
    pub store: &'a Store,
    /// TAO's database.
    pub database: &'a Database,
    /// Its variant.
    pub schema: &'a Schema,
    /// Where TAO keeps the files of its file systems, when it is known.
    pub files: Option<&'a Path>,
    /// What hands a package to TAO's own import, when it is configured.
    pub command: Option<&'a str>,
    /// Do it, or only say.
    pub mode: Mode,
    /// A person's word about large removals.
    pub removals: Removals,
    /// How much is looked at.
    pub reach: Reach,
}

/// Why a projection stopped. What was written until then is whole, entity by entity, and the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// Our database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// TAO's database.
    #[error(transparent)]
    Tao(#[from] TaoError),
    /// A package that is here cannot be read.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// A file of TAO's.
    #[error(
        "the package cannot be written to {path}; check that the directory exists and that this program may write there"
    )]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A package would be written outside of the files of TAO.
    #[error("delivery {0} names a place for its package that is not below the files of TAO; nothing was written there")]
    Place(String),
    /// There is nothing to give yet.
    #[error("nothing has been received from central yet; run 'taosync sync data' first")]
    NotSynced,
}

/// Writes the replica into TAO's database, or says what would be written.
pub async fn project(plan: &Projection<'_>) -> Result<Projected, ProjectionError> {
    let mut run = Run::begin(plan).await?;
    if run.is_quiet().await? {
        return Ok(run.outcome);
    }
    run.types().await?;
    run.removals().await?;
    run.touch().await?;
    run.deliveries().await?;
    run.end().await
}

/// A projection under way.
struct Run<'a> {
    plan: &'a Projection<'a>,
    languages: Languages,
    moment: Moment,
    orgs: BTreeSet<String>,
    /// Everything of the replica was received at least once.
    is_complete: bool,
    /// Where TAO's counter stood when this began.
    counter: i64,
    /// Somebody else has changed TAO's data since our last write, or we never wrote.
    is_doubted: bool,
    /// Deliveries that TAO has imported: what happens to them is history for `taoSync` too.
    imported: BTreeSet<String>,
    outcome: Projected,
}

impl<'a> Run<'a> {
    async fn begin(plan: &'a Projection<'a>) -> Result<Self, ProjectionError> {
        let replicas = plan.store.replicas_list().await?;
        if replicas.iter().all(|replica| replica.synced_at.is_none()) {
            return Err(ProjectionError::NotSynced);
        }
        let mut reading = plan.database.read().await?;
        let languages = languages(&mut reading).await?;
        let counter = history::counter(&mut reading).await?;
        drop(reading);
        let known = plan.store.setting_get(COUNTER).await?.and_then(|text| text.parse().ok());
        let imports = plan.store.imports_list().await?;
        let imported = imports.into_iter().filter(|import| import.state == ImportState::Done);
        Ok(Self {
            plan,
            languages,
            moment: Moment::of_milliseconds(plan.store.now_ms()),
            orgs: replicas.iter().map(|replica| replica.org.to_string()).collect(),
            is_complete: replicas.iter().all(|replica| replica.synced_at.is_some()),
            counter,
            is_doubted: known != Some(counter) || plan.reach == Reach::Everything,
            imported: imported.map(|import| import.delivery).collect(),
            outcome: Projected { dry_run: plan.mode == Mode::DryRun, ..Projected::default() },
        })
    }

    /// Whether there is nothing to look at.
    async fn is_quiet(&mut self) -> Result<bool, ProjectionError> {
        if self.is_doubted {
            if self.plan.mode == Mode::Apply {
                self.plan.store.projection_doubt().await?;
            }
            return Ok(false);
        }
        let kept = self.plan.store.setting_get(STANDING).await?;
        Ok(kept == Some(self.standing().await?.to_hex()))
    }

    /// A hash of everything the projection depends on.
    async fn standing(&self) -> Result<Digest, ProjectionError> {
        let replica = self.plan.store.projection_standing().await?;
        let choices = serde_json::to_string(self.plan.store.fields()).unwrap_or_default();
        let settings = (self.plan.files, self.plan.command, &self.languages, FORM);
        Ok(Digest::of(format!("{replica} {choices} {settings:?}").as_bytes()))
    }

    /// Remembers where everything stands, if nothing waits.
    async fn end(self) -> Result<Projected, ProjectionError> {
        if self.plan.mode == Mode::Apply {
            let counter = self.outcome.sync.unwrap_or(self.counter);
            self.plan.store.setting_set(COUNTER, &counter.to_string()).await?;
            let standing = if self.outcome.waits() { String::new() } else { self.standing().await?.to_hex() };
            self.plan.store.setting_set(STANDING, &standing).await?;
        }
        Ok(self.outcome)
    }

    /// Opens a transaction; the first that writes counts one sync more.
    async fn change(&mut self) -> Result<Change, ProjectionError> {
        Ok(self.plan.database.change("tao pull").await?)
    }

    async fn reading(&self) -> Result<Reading, ProjectionError> {
        Ok(self.plan.database.read().await?)
    }

    /// The number of this sync; the first transaction that needs it counts it. The caller notes it once that is true.
    async fn sync(&self, change: &mut Change) -> Result<i64, ProjectionError> {
        if let Some(sync) = self.outcome.sync {
            return Ok(sync);
        }
        let ids = || self.new_id();
        Ok(history::begin(change, self.plan.schema, &self.orgs, &self.moment, &ids).await?)
    }

    /// A new id of a row, for TAOs where it is a text.
    fn new_id(&self) -> String {
        self.plan.store.clock().new_id().simple().to_string()
    }

    /// What came with earlier syncs and is as it was is part of this one too.
    async fn touch(&mut self) -> Result<(), ProjectionError> {
        let Some(sync) = self.outcome.sync else { return Ok(()) };
        let mut change = self.change().await?;
        for entity_type in EntityType::SYNCED {
            history::touch(&mut change, self.plan.schema, sync, entity_type, &self.moment).await?;
        }
        Ok(change.commit().await?)
    }
}
