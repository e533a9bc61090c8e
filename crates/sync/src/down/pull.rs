//! Local's side of the feed: asks for what is new since its positions, and falls back to a comparison when they cannot be
//! trusted or the digests differ at the end.

use std::collections::BTreeMap;

use taosync_model::EntityType;
use taosync_store::Store;
use taosync_store::replica::ReplicaScope;
use taosync_wire::v1;
use taosync_wire::v1::feed::{Ahead, FeedFrame};

use super::apply::{PullPlan, Pulled, add, apply};
use super::compare;
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
        return compare::run(store, link, replica, plan, progress).await;
    }
    let first = match feed(store, link, replica, plan, progress).await {
        Err(SyncError::Link(LinkError::Problem(problem))) if needs_comparison(&problem.code) => {
            return compare::run(store, link, replica, plan, progress).await;
        }
        other => other?,
    };
    if first.equal || first.differs_by_held {
        return Ok(first);
    }
    let replica = store.replica_again(replica.id).await?;
    let mut second = compare::run(store, link, &replica, plan, progress).await?;
    if !second.equal && !second.differs_by_held {
        // Central's data changed while both sides compared: the feed brings what is new since.
        let replica = store.replica_again(replica.id).await?;
        let third = feed(store, link, &replica, plan, progress).await?;
        let before = std::mem::replace(&mut second, third);
        add(&mut second.effect, &before.effect);
    }
    add(&mut second.effect, &first.effect);
    Ok(second)
}

/// Central went back, or this machine got a new identity; or a replica that holds something but knows no position was
/// found damaged, and counted again.
fn must_compare(replica: &ReplicaScope) -> bool {
    replica.compare_due
        || (replica.types.values().all(|t| t.seq == 0) && replica.types.values().any(|t| t.count + t.links > 0))
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
    apply(store, replica, plan, &types, frames, progress, &|_| None).await
}

/// How much would come, by central's first frame; nothing is applied.
pub async fn look_ahead(
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
) -> Result<BTreeMap<EntityType, Ahead>, SyncError> {
    let request = feed_request(replica, plan, &wanted_types(plan));
    match link.send(request).await?.frames::<FeedFrame>()?.next().await? {
        Some((FeedFrame::Hello(hello), _)) => Ok(hello.counts),
        Some((FeedFrame::Failed(problem), _)) => Err(LinkError::Problem(problem).into()),
        _ => Err(LinkError::Protocol("the feed does not begin with hello".into()).into()),
    }
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
