//! What is compared at the end: nothing is believed because a step said so.

use std::collections::BTreeMap;

use taosync_model::item::ItemKind;
use taosync_model::{EntityType, OrgId, vocabulary};
use taosync_store::outbox::{OutboxFilter, OutboxState};
use taosync_store::received::ReceivedFilter;
use taosync_sync::packages::contents::problem_with;
use uuid::Uuid;

use super::data::{Data, OTHER_ORG, OUR_ORG};
use super::figures::{BothSides, OtherOrg, ResultFigures};
use super::stage::Stage;
use super::went_wrong;
use crate::failure::Failure;

/// Items looked at for one attempt: more than one is a fault already.
const LISTED: u32 = 10;

/// Follows every attempt to central.
pub async fn results(stage: &Stage, attempts: &[Uuid]) -> Result<ResultFigures, Failure> {
    let mut figures = ResultFigures { finished: attempts.len() as u64, ..ResultFigures::default() };
    for &attempt in attempts {
        let filter = OutboxFilter { item: Some(attempt), kind: Some(ItemKind::Attempt), ..OutboxFilter::default() };
        let here = stage.local.node.store.outbox_list(&filter, LISTED).await?;
        let [here] = here.as_slice() else { continue };
        figures.acknowledged += u64::from(here.state == OutboxState::Sent && here.receipt.is_some());
        let filter = ReceivedFilter { item: Some(attempt), kind: Some(ItemKind::Attempt), ..ReceivedFilter::default() };
        let there = stage.central.node.store.received_list(&filter, LISTED).await?;
        let [there] = there.as_slice() else { continue };
        // Reading it compares its bytes with its digest.
        let held = stage.central.node.store.received_get(there.id).await?;
        figures.at_central += u64::from(held.item.envelope.digest == here.envelope.digest);
    }
    Ok(figures)
}

/// Counts the school's org on both sides, and names every type whose digests differ.
pub async fn both_sides(stage: &Stage, problems: &mut Vec<String>) -> Result<BTreeMap<EntityType, BothSides>, Failure> {
    let org = org(OUR_ORG)?;
    let scope = stage.central.node.store.scope_show(&org).await?;
    let scope = scope.ok_or_else(|| went_wrong(format!("central has no scope for {org}")))?;
    let replicas = stage.local.node.store.replicas_list().await?;
    let replica = replicas.iter().find(|replica| replica.org == org);
    let replica = replica.ok_or_else(|| went_wrong(format!("the school does not serve {org}")))?;
    let mut types = BTreeMap::new();
    for entity_type in EntityType::FEED {
        let (there, here) = (scope.types.get(&entity_type), replica.types.get(&entity_type));
        let equal = match (there, here) {
            (Some(there), Some(here)) => there.digest == here.digest.to_digest() && there.links == here.links,
            (there, here) => there.is_none_or(|t| t.count == 0) && here.is_none_or(|h| h.count == 0),
        };
        if !equal {
            problems.push(format!("{entity_type}: the digests of central and school differ"));
        }
        let sides = BothSides { central: there.map_or(0, |t| t.count), local: here.map_or(0, |h| h.count) };
        types.insert(entity_type, sides);
    }
    Ok(types)
}

/// Recomputes every digest from what is stored on both sides, and reads every package again.
pub async fn recompute(stage: &Stage, problems: &mut Vec<String>) -> Result<(), Failure> {
    for found in stage.central.node.store.scopes_check().await? {
        problems.push(format!("central: {} {}", found.what, found.problem));
    }
    let local = &stage.local.node.store;
    for found in local.replica_check().await? {
        problems.push(format!("school: {} {}", found.what, found.problem));
    }
    for package in local.packages_list().await? {
        let problem = problem_with(local, &package).await;
        let problem = problem.map_err(|error| went_wrong("a package at the school cannot be read").because(error))?;
        problems.extend(problem.map(|problem| format!("school: the package of {}: {problem}", package.delivery)));
    }
    Ok(())
}

/// Looks for the other org's takers at the school, by everything it holds.
pub async fn other_org(stage: &Stage, data: &Data) -> Result<OtherOrg, Failure> {
    let scope = stage.central.node.store.scope_show(&org(OTHER_ORG)?).await?;
    let count = scope.and_then(|scope| scope.types.get(&EntityType::TestTaker).map(|summary| summary.count));
    let logins: std::collections::HashSet<&str> =
        data.takers_of(OTHER_ORG).into_iter().map(|taker| taker.login.as_str()).collect();
    let mut at_local = 0;
    let mut after = None;
    loop {
        let page = stage.local.node.store.replica_list(EntityType::TestTaker, None, after).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let theirs =
            page.iter().filter(|(_, taker)| taker.first(vocabulary::USER_LOGIN).is_some_and(|l| logins.contains(l)));
        at_local += theirs.count() as u64;
    }
    Ok(OtherOrg { org: OTHER_ORG, at_central: count.unwrap_or(0).unsigned_abs(), at_local })
}

/// An org of the demonstration.
pub fn org(text: &str) -> Result<OrgId, Failure> {
    OrgId::new(text).map_err(|error| went_wrong(error.to_string()))
}
