//! `taosync verify`: recomputes everything that can be recomputed, and names what differs.

use clap::Args;
use serde::Serialize;
use taosync_model::Digest;
use taosync_store::blobs::Blobs;
use taosync_store::packages::PackageState;
use taosync_store::settings::Role;
use taosync_store::{Store, StoreError};
use taosync_sync::packages::contents;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;
use crate::progress::Bar;

/// Setting: when everything was last found whole.
pub const VERIFIED_AT: &str = "verified_at";

/// Recompute every digest from what is stored
#[derive(Debug, Args)]
#[command(after_help = "Recomputes digests from stored bodies, sums from members, hashes of all parts
of tests, and compiles every test again. Exit code 1 when something differs.
On a local server what differs is marked, so that the next 'sync all' fetches
it again from central; nothing else is changed.

Example:
  taosync --dir /srv/local verify")]
pub struct Options {}

/// One thing that is not what it must be.
#[derive(Debug, Serialize)]
struct Finding {
    part: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    what: String,
    problem: String,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Verified {
    ok: bool,
    entities: i64,
    chunks: usize,
    packages: usize,
    problems: Vec<Finding>,
}

impl Options {
    /// Verifies.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open(context).await?;
        let bar = Bar::phase(context.output, "recomputing digests");
        let (entities, mut problems) = data(&node).await?;
        let mut damaged = Damaged { data: !problems.is_empty(), ..Damaged::default() };
        let chunks = chunks(&node, &bar, &mut problems, &mut damaged).await?;
        let packages = packages(&node.store, &bar, &mut problems, &mut damaged).await?;
        bar.end();
        let ok = problems.is_empty();
        if node.identity.role == Role::Local {
            damaged.mark(&node.store).await?;
        }
        if ok {
            node.store.setting_set(VERIFIED_AT, &node.clock.now().to_string()).await?;
        }
        let verified = Verified { ok, entities, chunks, packages, problems };
        context.output.answer(&verified, || to_text(&verified))?;
        Ok(if ok { Exit::Done } else { Exit::Failed })
    }
}

/// What the next sync has to fetch again.
#[derive(Debug, Default)]
struct Damaged {
    data: bool,
    chunks: Vec<Digest>,
    packages: Vec<Uuid>,
}

impl Damaged {
    async fn mark(&self, store: &Store) -> Result<(), StoreError> {
        if self.data {
            for replica in store.replicas_list().await? {
                store.replica_recount(replica.id).await?;
            }
        }
        if !self.chunks.is_empty() || !self.packages.is_empty() {
            store.packages_mend(&self.chunks, &self.packages).await?;
        }
        Ok(())
    }
}

async fn data(node: &Node) -> Result<(i64, Vec<Finding>), Failure> {
    let found = match node.identity.role {
        Role::Central => node.store.scopes_check().await?.into_iter().map(|p| (p.org, p.what, p.problem)).collect(),
        Role::Local => {
            let problems = node.store.replica_check().await?.into_iter();
            problems.map(|p| (Some(p.org), p.what, p.problem)).collect::<Vec<_>>()
        }
    };
    let counts = match node.identity.role {
        Role::Central => node.store.entities_count().await?,
        Role::Local => node.store.replica_count().await?,
    };
    let finding = |(org, what, problem): (Option<taosync_model::OrgId>, String, String)| Finding {
        part: "data",
        org: org.map(String::from),
        what,
        problem,
    };
    Ok((counts.values().sum(), found.into_iter().map(finding).collect()))
}

/// Reads every chunk: its name is its hash.
async fn chunks(node: &Node, bar: &Bar, problems: &mut Vec<Finding>, damaged: &mut Damaged) -> Result<usize, Failure> {
    let blobs: Blobs = node.blobs().await?;
    let chunks = node.store.chunks_list().await?;
    bar.begin("reading all parts of tests");
    for (done, chunk) in chunks.iter().enumerate() {
        bar.reach(done as u64, chunks.len() as u64);
        let problem = match blobs.get(chunk.name).await {
            Ok(bytes) if bytes.len() as u64 == chunk.bytes => continue,
            Ok(_) => "has another size than noted".to_owned(),
            Err(StoreError::NotFound { .. }) => "is missing".to_owned(),
            Err(StoreError::Damaged { .. }) => "is damaged".to_owned(),
            Err(error) => return Err(error.into()),
        };
        damaged.chunks.push(chunk.name);
        problems.push(Finding { part: "chunk", org: None, what: chunk.name.to_hex(), problem });
    }
    Ok(chunks.len())
}

/// Opens and compiles every package that should be whole.
async fn packages(
    store: &Store,
    bar: &Bar,
    problems: &mut Vec<Finding>,
    damaged: &mut Damaged,
) -> Result<usize, Failure> {
    let mut packages = store.packages_list().await?;
    packages
        .retain(|package| package.unlocked && matches!(package.state, PackageState::Published | PackageState::Ready));
    bar.begin("compiling tests");
    for (done, package) in packages.iter().enumerate() {
        bar.reach(done as u64, packages.len() as u64);
        let what = format!("{} version {}", package.delivery, package.version);
        let problem = match contents::problem_with(store, package).await {
            Ok(problem) => problem,
            Err(contents::ContentsError::Store(error @ (StoreError::Busy | StoreError::DiskFull))) => {
                return Err(error.into());
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = problem {
            damaged.packages.push(package.id);
            problems.push(Finding { part: "package", org: None, what, problem });
        }
    }
    Ok(packages.len())
}

fn to_text(verified: &Verified) -> String {
    let mut text = String::new();
    for finding in &verified.problems {
        let org = finding.org.as_ref().map(|org| format!(" (org {org})")).unwrap_or_default();
        output::add(&mut text, format_args!("{} {}{org}: {}\n", finding.part, finding.what, finding.problem));
    }
    let number = verified.problems.len();
    let end = if verified.ok { "everything is as it must be".to_owned() } else { format!("{number} problems") };
    let figures =
        format!("{} entities, {} parts of tests, {} tests", verified.entities, verified.chunks, verified.packages);
    output::add(&mut text, format_args!("{figures}: {end}.\n"));
    if !verified.ok {
        text.push_str(
            "  → data and tests of a local server are repaired by 'taosync sync all'; at central restore a backup\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_named_one_a_line() {
        let finding = Finding {
            part: "data",
            org: Some("School-7".into()),
            what: "urn:anna".into(),
            problem: "its digest is not that of its body".into(),
        };
        let verified = Verified { ok: false, entities: 7, chunks: 3, packages: 1, problems: vec![finding] };
        insta::assert_snapshot!(to_text(&verified), @r"
        data urn:anna (org School-7): its digest is not that of its body
        7 entities, 3 parts of tests, 1 tests: 1 problems.
          → data and tests of a local server are repaired by 'taosync sync all'; at central restore a backup
        ");
    }
}
