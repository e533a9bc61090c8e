//! When positions cannot be trusted (another history, a cursor ahead or too old, unequal digests), both sides compare:
//! they find out what differs, local asks for that by name, central answers as a feed. What only local has is answered
//! with `remove` or `upsert`; nothing goes because it was absent from an answer (DESIGN §4).
//!
//! In order: [`differences`] (local: rounds, or the whole list), [`ask`] (local: the question), [`answer`] and [`named`]
//! (central), [`reconcile`] (both: the messages of a round).

pub mod answer;
mod ask;
pub mod differences;
pub(super) mod named;
pub mod reconcile;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use taosync_model::{Digest, EntityType};
use taosync_store::Store;
use taosync_store::replica::{HeldLink, Link as LinkRow, ReplicaScope};
use taosync_wire::v1::feed::{Ahead, FeedFrame};

use super::apply::{PullPlan, Pulled, Stream, add, apply, first_frame};
use crate::link::{Link, LinkError};
use crate::session::{Progress, SyncError};

/// Comparisons by reconciliation that may end unequal before the whole list decides: central's data may change, or its
/// history, while both sides compare.
const ATTEMPTS: u32 = 3;

/// What a comparison took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rounds of reconciliation.
    pub rounds: u32,
    /// Whether the whole list of what is held was shown.
    pub listed: bool,
    /// Entities and links (or versions of them) that only this side had.
    pub only_here: u64,
    /// Entities and links (or versions of them) that only central had.
    pub only_there: u64,
}

impl Comparison {
    /// Adds another one.
    pub fn add(&mut self, more: Self) {
        self.rounds += more.rounds;
        self.listed |= more.listed;
        self.only_here += more.only_here;
        self.only_there += more.only_there;
    }
}

/// How to find out what differs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Rounds,
    List,
}

/// Local's side: counts everything again, finds what differs, asks, applies the answer, until both sides are equal or
/// even the whole list did not help.
pub async fn run(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    progress(Progress::Phase("comparing with central".into()));
    let mut before: Option<Pulled> = None;
    let mut way = Way::Rounds;
    for attempt in 1.. {
        store.replica_recount(replica.id).await?;
        let now = ReplicaScope { epoch: replica.epoch, ..store.replica_again(replica.id).await? };
        let mut pulled = match once(store, link, &now, plan, way, progress).await {
            Err(SyncError::Link(LinkError::Problem(problem))) if moved_on(&problem.code) && attempt < ATTEMPTS => {
                continue;
            }
            other => other?,
        };
        if let Some(before) = before.take() {
            add(&mut pulled.effect, &before.effect);
            pulled.comparison.get_or_insert_default().add(before.comparison.unwrap_or_default());
        }
        let taken = pulled.comparison.unwrap_or_default();
        if pulled.equal || pulled.differs_by_held || taken.listed {
            return Ok(pulled);
        }
        // Where reconciliation finds nothing although the digests differ, it will find nothing again.
        if attempt >= ATTEMPTS || taken.only_here + taken.only_there == 0 {
            way = Way::List;
        }
        before = Some(pulled);
    }
    unreachable!("the whole list is the last attempt")
}

/// Central's history is another one than when the comparison began.
fn moved_on(code: &str) -> bool {
    matches!(code, "epoch_unknown" | "cursor_ahead" | "cursor_too_old")
}

async fn once(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    way: Way,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    let (request, comparison, links) = question(store, link, replica, plan, way).await?;
    let frames = link.send(request).await?.frames::<FeedFrame>()?;
    let held: HashMap<Digest, HeldLink> = links.into_iter().map(|link| (link.member, link)).collect();
    let link_of = |member: &Digest| {
        held.get(member).map(|link| LinkRow {
            entity_type: link.entity_type,
            owner: link.owner.clone(),
            predicate: link.predicate.clone(),
            value: link.value.clone(),
            present: false,
        })
    };
    let pulled = apply(store, replica, plan, &EntityType::FEED, frames, progress, Stream::Comparison(&link_of)).await?;
    Ok(Pulled { comparison: Some(comparison), ..pulled })
}

async fn question(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    way: Way,
) -> Result<(crate::link::Request, Comparison, Vec<HeldLink>), SyncError> {
    let found = match way {
        Way::Rounds => differences::find(store, link, replica).await?,
        Way::List => differences::list(store, link, replica).await?,
    };
    let here = store.replica_find(replica.id, &found.here).await?;
    let request = plan.showing.on(ask::request(&found.stand, &here, &found.there)?);
    let comparison = Comparison {
        rounds: found.rounds,
        listed: found.listed,
        only_here: found.here.len() as u64,
        only_there: found.there.len() as u64,
    };
    Ok((request, comparison, here.links))
}

/// How much a comparison would bring, by central's first frame; nothing is counted again, and nothing applied.
pub async fn look_ahead(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
) -> Result<BTreeMap<EntityType, Ahead>, SyncError> {
    let (request, _, _) = question(store, link, replica, plan, Way::Rounds).await?;
    let mut frames = link.send(request).await?.frames::<FeedFrame>()?;
    Ok(first_frame(&mut frames).await?.counts)
}
