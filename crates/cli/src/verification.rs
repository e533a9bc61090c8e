//! Recomputing everything that can be recomputed: the work behind `taosync verify` and the daily pass of a running
//! server. What a pass found is kept, for *ready*.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use taosync_model::{Digest, OrgId};
use taosync_store::blobs::Blobs;
use taosync_store::packages::PackageState;
use taosync_store::settings::Role;
use taosync_store::{Durability, Store, StoreError};
use taosync_sync::packages::contents;
use uuid::Uuid;

use crate::failure::Failure;
use crate::node::Node;

/// Setting: what the last pass found, as JSON of [`LastPass`].
const LAST: &str = "last_verification";
/// Setting: how many passes were begun.
const BEGUN: &str = "verifications_begun";
/// Problems that are kept by name.
const KEPT: usize = 20;
/// Items of results looked at in one read.
const PAGE: u32 = 100;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Entities, links and their sums.
    Data,
    /// Results, and receipts for them.
    Result,
    /// A part of a test, as a file.
    Chunk,
    /// A test: its tree and its compiled form.
    Package,
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Result => "result",
            Self::Chunk => "chunk",
            Self::Package => "package",
        }
    }

    /// What mends such a thing.
    const fn mended_by(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::Data | Self::Chunk | Self::Package, Role::Local) => "run 'taosync sync all': it is fetched again",
            (Self::Data, Role::Central) => {
                "run 'taosync verify --mend': sums and digests are made again; a damaged body comes from a backup, or by importing the entity again"
            }
            (Self::Chunk | Self::Package, Role::Central) => {
                "publish the same package again with 'taosync delivery publish', or restore the folder 'chunks' from a backup"
            }
            (Self::Result, Role::Local) => {
                "what central has confirmed is safe there; else restore a backup of this machine, and tell the office"
            }
            (Self::Result, Role::Central) => {
                "restore it from a backup, or ask the school for it: it keeps what it has handed in for some time"
            }
        }
    }
}

/// One thing that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing.
    pub part: Part,
    /// The org, where one is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// Which one: a URI, an id or a name.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl Finding {
    /// One line for people.
    pub fn to_text(&self) -> String {
        let org = self.org.as_ref().map(|org| format!(" (org {org})")).unwrap_or_default();
        format!("{} {}{org}: {}", self.part.as_str(), self.what, self.problem)
    }
}

/// What a pass looked at, and what it found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Entities.
    pub entities: i64,
    /// Results.
    pub results: u64,
    /// Parts of tests.
    pub chunks: usize,
    /// Tests.
    pub packages: usize,
    /// Everything that is wrong.
    pub problems: Vec<Finding>,
    /// Chunks that have to be fetched again.
    pub damaged_chunks: Vec<Digest>,
    /// Rows of packages that have to be fetched again.
    pub damaged_packages: Vec<Uuid>,
}

/// What is remembered of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPass {
    /// Which pass it was, in the order they began.
    #[serde(default)]
    pub number: i64,
    /// When it ended.
    pub at: Timestamp,
    /// How many problems it found.
    pub problems: usize,
    /// The first of them.
    pub first: Vec<Finding>,
}

/// How fast a pass goes.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Somebody waits for it.
    AtOnce,
    /// Beside an exam or a sync: a rest after every slice.
    Gentle(Duration),
}

impl Pace {
    async fn rest(self) {
        if let Self::Gentle(pause) = self {
            tokio::time::sleep(pause).await;
        }
    }
}

/// What is being looked at, for the person watching: a phase, done, of how many.
pub type Watch<'a> = &'a (dyn Fn(&str, usize, usize) + Send + Sync);

/// Looks at everything, marks on a local server what the next sync has to fetch again, and keeps what was found. What
/// it saw may be mended by now if another pass, begun after it, was faster: then that one's word stands.
pub async fn pass(node: &Node, pace: Pace, watch: Watch<'_>) -> Result<Found, Failure> {
    let number = begin(&node.store).await?;
    let mut found = Found::default();
    data(node, pace, watch, &mut found).await?;
    results(node, pace, watch, &mut found).await?;
    chunks(node, pace, watch, &mut found).await?;
    packages(node, pace, watch, &mut found).await?;
    keep(node, number, &found).await?;
    Ok(found)
}

/// Numbers a pass: clocks jump, and would not tell which of two began first.
async fn begin(store: &Store) -> Result<i64, StoreError> {
    let mut tx = store.write("verification_begin", Durability::Relaxed).await?;
    let number = tx.setting_add(BEGUN, 1).await?;
    tx.commit().await?;
    Ok(number)
}

async fn keep(node: &Node, number: i64, found: &Found) -> Result<(), Failure> {
    let store = &node.store;
    if is_outrun(store, number).await? {
        return Ok(());
    }
    if node.identity.role == Role::Local {
        mark(store, found).await?;
    }
    let first = found.problems.iter().take(KEPT).cloned().collect();
    let last = LastPass { number, at: node.clock.now(), problems: found.problems.len(), first };
    let text = serde_json::to_string(&last)
        .map_err(|e| Failure::new("TS-900", "what was found cannot be kept", "report it").because(e))?;
    // Nobody else writes while this transaction is open.
    let mut tx = store.write("verification_keep", Durability::Flushed).await?;
    if !is_outrun(store, number).await? {
        tx.setting_set(LAST, &text).await?;
    }
    Ok(tx.commit().await?)
}

/// Whether a pass that began later has ended already.
async fn is_outrun(store: &Store, number: i64) -> Result<bool, StoreError> {
    Ok(last(store).await?.is_some_and(|last| last.number > number))
}

/// What the last pass found; none before the first.
pub async fn last(store: &Store) -> Result<Option<LastPass>, StoreError> {
    Ok(store.setting_get(LAST).await?.and_then(|text| serde_json::from_str(&text).ok()))
}

impl Found {
    fn add(&mut self, role: Role, part: Part, org: Option<OrgId>, what: String, problem: String) {
        self.problems.push(Finding { part, org, what, problem, advice: part.mended_by(role).to_owned() });
    }
}

async fn mark(store: &Store, found: &Found) -> Result<(), StoreError> {
    if found.problems.iter().any(|finding| finding.part == Part::Data) {
        for replica in store.replicas_list().await? {
            store.replica_recount(replica.id).await?;
        }
    }
    if !found.damaged_chunks.is_empty() || !found.damaged_packages.is_empty() {
        store.packages_mend(&found.damaged_chunks, &found.damaged_packages).await?;
    }
    Ok(())
}

/// Recomputes digests, lists and sums, slice by slice.
async fn data(node: &Node, pace: Pace, watch: Watch<'_>, found: &mut Found) -> Result<(), Failure> {
    const PHASE: &str = "recomputing digests";
    let role = node.identity.role;
    let mut rows = 0;
    let mut looked_at = |more: u64| {
        rows += more;
        watch(PHASE, usize::try_from(rows).unwrap_or(usize::MAX), 0);
    };
    looked_at(0);
    let counts = match role {
        Role::Central => {
            let mut check = node.store.scopes_check_begin().await?;
            while let Some(slice) = check.next().await? {
                looked_at(slice.rows);
                slice.problems.into_iter().for_each(|p| found.add(role, Part::Data, p.org, p.what, p.problem));
                pace.rest().await;
            }
            node.store.entities_count().await?
        }
        Role::Local => {
            let mut check = node.store.replica_check_begin().await?;
            while let Some(slice) = check.next().await? {
                looked_at(slice.rows);
                slice.problems.into_iter().for_each(|p| found.add(role, Part::Data, Some(p.org), p.what, p.problem));
                pace.rest().await;
            }
            node.store.replica_count().await?
        }
    };
    found.entities = counts.values().sum();
    Ok(())
}

/// Opens every payload and compares it with its digest; on local, verifies every receipt too.
async fn results(node: &Node, pace: Pace, watch: Watch<'_>, found: &mut Found) -> Result<(), Failure> {
    let role = node.identity.role;
    let mut after = None;
    loop {
        let page = match role {
            Role::Central => node.store.received_check(after, PAGE).await?,
            Role::Local => node.store.outbox_check(after, PAGE).await?,
        };
        found.results += page.looked_at;
        watch("opening results", usize::try_from(found.results).unwrap_or(usize::MAX), 0);
        for problem in page.problems {
            found.add(role, Part::Result, Some(problem.org), problem.what, problem.problem);
        }
        let Some(last) = page.last else { return Ok(()) };
        after = Some(last);
        pace.rest().await;
    }
}

/// Reads every chunk: its name is its hash.
async fn chunks(node: &Node, pace: Pace, watch: Watch<'_>, found: &mut Found) -> Result<(), Failure> {
    let blobs: Blobs = node.blobs().await?;
    let chunks = node.store.chunks_list().await?;
    for (done, chunk) in chunks.iter().enumerate() {
        watch("reading all parts of tests", done, chunks.len());
        let problem = match blobs.get(chunk.name).await {
            Ok(bytes) if bytes.len() as u64 == chunk.bytes => None,
            Ok(_) => Some("has another size than noted"),
            Err(StoreError::NotFound { .. }) => Some("is missing"),
            Err(StoreError::Damaged { .. }) => Some("is damaged"),
            Err(error) => return Err(error.into()),
        };
        if let Some(problem) = problem {
            found.damaged_chunks.push(chunk.name);
            found.add(node.identity.role, Part::Chunk, None, chunk.name.to_hex(), problem.to_owned());
        }
        pace.rest().await;
    }
    found.chunks = chunks.len();
    Ok(())
}

/// Opens and compiles every package that should be whole.
async fn packages(node: &Node, pace: Pace, watch: Watch<'_>, found: &mut Found) -> Result<(), Failure> {
    let is_whole = |state| matches!(state, PackageState::Published | PackageState::Ready);
    let mut packages = node.store.packages_list().await?;
    packages.retain(|package| package.unlocked && is_whole(package.state));
    for (done, package) in packages.iter().enumerate() {
        watch("compiling tests", done, packages.len());
        let problem = match contents::problem_with(&node.store, package).await {
            Ok(problem) => problem,
            Err(contents::ContentsError::Store(error @ (StoreError::Busy | StoreError::DiskFull))) => {
                return Err(error.into());
            }
            Err(contents::ContentsError::Store(StoreError::Damaged { .. })) => {
                Some("its key, its list of files or its compiled form is damaged in the database".to_owned())
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = problem {
            found.damaged_packages.push(package.id);
            let what = format!("{} version {}", package.delivery, package.version);
            found.add(node.identity.role, Part::Package, None, what, problem);
        }
        pace.rest().await;
    }
    found.packages = packages.len();
    Ok(())
}
