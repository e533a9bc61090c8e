//! Local's side of the feed: asks for what is new since its positions, and falls back to a comparison when they cannot be
//! trusted or the digests differ at the end.

use std::collections::BTreeMap;

use taosync_model::{Entity, EntityType};
use taosync_store::Store;
use taosync_store::replica::ReplicaScope;
use taosync_wire::v1;
use taosync_wire::v1::feed::{Ahead, FeedFrame};

use super::apply::{PullPlan, Pulled, Stream, add, apply, first_frame};
use super::compare::{self, Comparison};
use crate::link::{Link, LinkError, Request};
use crate::session::{Progress, SyncError};

/// Pulls what is new for an org.
pub async fn pull(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    if must_compare(replica) {
        return Box::pin(settle(store, link, replica, plan, progress)).await;
    }
    let first = match feed(store, link, replica, plan, progress).await {
        Err(SyncError::Link(LinkError::Problem(problem))) if needs_comparison(&problem.code) => {
            return Box::pin(settle(store, link, replica, plan, progress)).await;
        }
        other => other?,
    };
    if first.equal || first.differs_by_held {
        return Ok(first);
    }
    let replica = store.replica_again(replica.id).await?;
    let mut second = Box::pin(settle(store, link, &replica, plan, progress)).await?;
    add(&mut second.effect, &first.effect);
    Ok(second)
}

/// Compares. Where nothing is held there is nothing to compare: the feed from the beginning can be continued after a
/// cut.
async fn settle(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    if holds_something(replica) {
        return compare::run(store, link, replica, plan, progress).await;
    }
    // The sums may be wrong, the rows are not.
    store.replica_recount(replica.id).await?;
    let counted = ReplicaScope { epoch: replica.epoch, ..store.replica_again(replica.id).await? };
    if holds_something(&counted) {
        return compare::run(store, link, &counted, plan, progress).await;
    }
    let pulled = feed(store, link, &counted, plan, progress).await?;
    Ok(Pulled { comparison: Some(Comparison::default()), ..pulled })
}

fn holds_something(replica: &ReplicaScope) -> bool {
    replica.types.values().any(|t| t.count + t.links > 0)
}

/// Central went back, or this machine got a new identity; or a replica that holds something but knows no position was
/// found damaged, and counted again.
fn must_compare(replica: &ReplicaScope) -> bool {
    replica.compare_due || (replica.types.values().all(|t| t.seq == 0) && holds_something(replica))
}

fn needs_comparison(code: &str) -> bool {
    matches!(code, "epoch_unknown" | "cursor_ahead" | "cursor_too_old")
}

/// Types of the request: classes come with any of them.
fn wanted_types(plan: &PullPlan) -> Vec<EntityType> {
    if plan.types.is_empty() {
        return EntityType::FEED.to_vec();
    }
    EntityType::FEED.into_iter().filter(|t| *t == EntityType::Class || plan.types.contains(t)).collect()
}

fn types_text(types: &[EntityType]) -> String {
    types.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(",")
}

async fn feed(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    let types = wanted_types(plan);
    let request = feed_request(replica, plan, &types);
    let frames = link.send(request).await?.frames::<FeedFrame>()?;
    apply(store, replica, plan, &types, frames, progress, Stream::Feed).await
}

/// How much would come, by central's first frame; nothing is applied. Positions that cannot be trusted are compared for
/// it.
pub async fn look_ahead(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
) -> Result<BTreeMap<EntityType, Ahead>, SyncError> {
    if must_compare(replica) {
        return compare::look_ahead(store, link, replica, plan).await;
    }
    match feed_ahead(link, replica, plan).await {
        Err(SyncError::Link(LinkError::Problem(problem))) if needs_comparison(&problem.code) => {
            compare::look_ahead(store, link, replica, plan).await
        }
        other => other,
    }
}

async fn feed_ahead(
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
) -> Result<BTreeMap<EntityType, Ahead>, SyncError> {
    let request = feed_request(replica, plan, &wanted_types(plan));
    let mut frames = link.send(request).await?.frames::<FeedFrame>()?;
    Ok(first_frame(&mut frames).await?.counts)
}

/// Deliveries that a sync would bring (`Some`) or take away; nothing is applied. Where positions cannot be trusted, all
/// there are.
pub async fn deliveries_ahead(
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
) -> Result<BTreeMap<String, Option<Entity>>, SyncError> {
    let plan = PullPlan { types: vec![EntityType::Delivery], ..plan.clone() };
    if !must_compare(replica) {
        match deliveries_after(link, replica, &plan).await {
            Err(SyncError::Link(LinkError::Problem(problem))) if needs_comparison(&problem.code) => {}
            other => return other,
        }
    }
    let nothing = ReplicaScope { epoch: None, types: BTreeMap::new(), ..replica.clone() };
    deliveries_after(link, &nothing, &plan).await
}

async fn deliveries_after(
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
) -> Result<BTreeMap<String, Option<Entity>>, SyncError> {
    let request = feed_request(replica, plan, &wanted_types(plan));
    let mut frames = link.send(request).await?.frames::<FeedFrame>()?;
    let mut deliveries = BTreeMap::new();
    while let Some((frame, body)) = frames.next().await? {
        match frame {
            FeedFrame::Upsert(head) if head.entity_type == EntityType::Delivery => {
                let delivery = super::read::entity(&head, &body)?;
                deliveries.insert(delivery.uri.clone(), Some(delivery));
            }
            FeedFrame::Remove(gone) if gone.entity_type == EntityType::Delivery => {
                deliveries.insert(gone.uri, None);
            }
            FeedFrame::Failed(problem) => return Err(LinkError::Problem(problem).into()),
            _ => {}
        }
    }
    Ok(deliveries)
}

fn feed_request(replica: &ReplicaScope, plan: &PullPlan, types: &[EntityType]) -> Request {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut after = replica.positions();
    after.0.retain(|t, seq| *seq > 0 && types.contains(t));
    if let Some(epoch) = replica.epoch {
        query.append_pair("epoch", &epoch.simple().to_string());
    }
    query.append_pair("after", &after.to_text());
    if types.len() < EntityType::FEED.len() {
        query.append_pair("types", &types_text(types));
    }
    plan.showing.on(Request::get(format!("{}?{}", v1::PATH_FEED, query.finish())))
}
