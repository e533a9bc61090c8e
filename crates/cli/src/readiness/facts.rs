//! What the checks look at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use taosync_model::OrgId;
use taosync_model::execution::ExecutionState;
use taosync_store::Store;
use taosync_store::history::{SyncOutcome, SyncRun};
use taosync_store::outbox::OutboxCounts;
use taosync_store::packages::PackageState;
use taosync_store::projection::{Import, ImportState};
use taosync_store::releases::Release;
use taosync_sync::session::held::{self, HeldGroup};
use taosync_sync::tao_database::Installation;

use crate::failure::Failure;
use crate::node::{Node, VERSION};
use crate::verification::{self, LastPass};

/// Past syncs that are searched for a measured clock and line.
const LOOK_BACK: u32 = 50;

/// Everything known about a local server.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub now: Timestamp,
    pub orgs: Vec<Org>,
    pub last_sync: Option<LastSync>,
    pub tests: Vec<Test>,
    pub outbox: OutboxCounts,
    pub executions: Vec<(ExecutionState, u64)>,
    pub held: Vec<HeldGroup>,
    pub free_bytes: u64,
    /// Tests a TAO here has not imported, and why; nothing where no TAO is adopted.
    pub tao: Option<Vec<Lacking>>,
    /// Seconds this clock is ahead of central's.
    pub clock: Option<i64>,
    /// Bytes a second.
    pub line: Option<u64>,
    /// What the last pass over everything stored found.
    pub pass: Option<LastPass>,
    pub version: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Org {
    pub org: OrgId,
    pub verified_at: Option<Timestamp>,
    pub synced_at: Option<Timestamp>,
}

/// A test that TAO has not.
#[derive(Clone, Debug)]
pub(super) struct Lacking {
    pub label: String,
    pub reason: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct LastSync {
    pub outcome: SyncOutcome,
    pub at: Timestamp,
    pub code: Option<String>,
    pub reason: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Test {
    pub label: String,
    pub uri: String,
    pub state: Option<PackageState>,
    pub unlocked: bool,
    /// When it opens, while it is locked.
    pub release: Option<Release>,
    pub reason: Option<String>,
}

impl Facts {
    /// When the data of all orgs were last verified.
    pub fn verified_at(&self) -> Option<Timestamp> {
        self.orgs.iter().filter_map(|org| org.verified_at).min()
    }
}

/// Asks the database and the disk.
pub(super) async fn gather(node: &Node) -> Result<Facts, Failure> {
    let store = &node.store;
    let replicas = store.replicas_list().await?;
    let runs = store.sync_list(None, LOOK_BACK).await?;
    Ok(Facts {
        now: node.clock.now(),
        orgs: replicas
            .into_iter()
            .map(|r| Org { org: r.org, verified_at: r.verified_at, synced_at: r.synced_at })
            .collect(),
        last_sync: runs.first().map(|run| LastSync {
            outcome: run.outcome,
            at: run.ended_at.unwrap_or(run.started_at),
            code: run.code.clone(),
            reason: run.reason.clone(),
        }),
        tests: tests(node).await?,
        outbox: store.outbox_counts().await?,
        executions: store.executions_count().await?,
        held: held::groups(store).await?,
        tao: lacking_in_tao(store).await?,
        free_bytes: node.blobs().await?.free_bytes().await?,
        clock: measured_clock(&runs),
        line: runs.iter().find_map(|run| run.summary.get("line_speed")?.as_u64()),
        pass: verification::last(store).await?,
        version: VERSION,
    })
}

/// Seconds this clock is ahead of central's, as the last sync that could measure it says.
pub async fn clock_ahead(store: &Store) -> Result<Option<i64>, Failure> {
    Ok(measured_clock(&store.sync_list(None, LOOK_BACK).await?))
}

fn measured_clock(runs: &[SyncRun]) -> Option<i64> {
    runs.iter().find_map(|run| run.summary.get("clock_ahead")?.as_i64())
}

async fn lacking_in_tao(store: &Store) -> Result<Option<Vec<Lacking>>, Failure> {
    if !Installation::is_adopted(store).await? {
        return Ok(None);
    }
    let imports = store.imports_list().await?;
    let imports: BTreeMap<&str, &Import> = imports.iter().map(|import| (import.delivery.as_str(), import)).collect();
    let mut lacking = Vec::new();
    for (uri, entity) in store.replica_deliveries().await? {
        let Some(wanted) = &entity.package else { continue };
        let import = imports.get(uri.as_str()).filter(|import| import.tree == wanted.tree_digest);
        if import.is_none_or(|import| import.state != ImportState::Done) {
            let reason = import.and_then(|import| import.reason.clone());
            lacking.push(Lacking { label: entity.label().to_owned(), reason });
        }
    }
    Ok(Some(lacking))
}

async fn tests(node: &Node) -> Result<Vec<Test>, Failure> {
    let mut tests = Vec::new();
    for (uri, entity) in node.store.replica_deliveries().await? {
        let Some(reference) = &entity.package else { continue };
        let package = node.store.package_get(&uri, reference.version).await?;
        // A package that central lost and replaced is not the one that is wanted, though it has its number.
        let package = package.filter(|p| p.state != PackageState::Ready || p.reference == *reference);
        let release = match &package {
            Some(package) if !package.unlocked => node.store.release_of(package.id).await?,
            _ => None,
        };
        tests.push(Test {
            release,
            label: entity.label().to_owned(),
            uri,
            state: package.as_ref().map(|p| p.state),
            unlocked: package.as_ref().is_some_and(|p| p.unlocked),
            reason: package.and_then(|p| p.reason),
        });
    }
    Ok(tests)
}
