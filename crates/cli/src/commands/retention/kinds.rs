//! The kinds of what is kept, with their periods; how much of each is due, and how it goes.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use taosync_model::EntityType;
use taosync_store::Durability;
use taosync_store::audit::AuditEntry;
use taosync_store::entities::Change;
use taosync_store::settings::Role;
use taosync_sync::runner::period_end;

use crate::changes::{self, ChangeOptions};
use crate::commands::subject;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::{ACTOR, Node};

const ANSWERS: &str = "answers";
const EXAMS: &str = "closed-exams";
const PEOPLE: &str = "people";

/// One kind.
#[derive(Clone, Debug, Serialize)]
pub struct Kind {
    /// Name.
    pub kind: &'static str,
    /// Days it is kept; none is for ever.
    pub days: Option<u32>,
    /// How many are over their time, or were erased; none where the running server does it by itself.
    pub due: Option<u64>,
    /// What goes.
    pub what: &'static str,
}

/// All kinds of a node's role.
pub async fn plan(node: &Node) -> Result<Vec<Kind>, Failure> {
    let sync = &node.config.sync_service;
    let history =
        Kind { kind: "history", days: Some(sync.keep_history_days), due: None, what: "records of syncs and reports" };
    if node.identity.role == Role::Local {
        let days = Some(node.config.result_service.keep_days);
        return Ok(vec![
            Kind {
                kind: "copies",
                days,
                due: None,
                what: "sealed copies of results that central holds safely; of people central has removed, at once",
            },
            history,
        ]);
    }
    let retention = &node.config.retention;
    let kind = |kind, days: u32, due: usize, what| Kind {
        kind,
        days: (days > 0).then_some(days),
        due: Some(due as u64),
        what,
    };
    let answers = match before(node, retention.answers_days) {
        Some(before) => node.store.answers_due(before).await? as usize,
        None => 0,
    };
    let exams = exams_due(node).await?.len();
    let people = people_due(node).await?.len();
    Ok(vec![
        kind(ANSWERS, retention.answers_days, answers, "the content of results; envelopes and receipts stay"),
        kind(
            EXAMS,
            retention.closed_exams_days,
            exams,
            "eligibilities of deliveries that have ended: local servers then lose tests, people and copies",
        ),
        kind(
            PEOPLE,
            retention.people_days,
            people,
            "test takers without eligibility and unchanged, with their answers",
        ),
        history,
        Kind {
            kind: "removals",
            days: Some(sync.keep_removals_days),
            due: None,
            what: "the memory of what was removed from an organisation",
        },
    ])
}

/// Erases what is due of a kind, and says how many it were.
pub async fn execute(context: &Context, node: &Node, kind: Kind) -> Result<Kind, Failure> {
    let due = match kind.kind {
        ANSWERS => Some(expire_answers(node).await?),
        EXAMS => Some(close_exams(context, node).await?),
        PEOPLE => Some(erase_people(context, node).await?),
        _ => None,
    };
    Ok(Kind { due, ..kind })
}

/// The moment before which something is over its time.
fn before(node: &Node, days: u32) -> Option<Timestamp> {
    let kept = SignedDuration::from_hours(24 * i64::from(days));
    if days == 0 { None } else { node.clock.now().checked_sub(kept).ok() }
}

async fn expire_answers(node: &Node) -> Result<u64, Failure> {
    let Some(before) = before(node, node.config.retention.answers_days) else { return Ok(0) };
    let mut tx = node.store.write("answers_expire", Durability::Flushed).await?;
    let erased = node.store.answers_expire(&mut tx, before).await?;
    if erased > 0 {
        let detail = json!({"before": before, "answers": erased});
        node.store
            .audit_add(&mut tx, &AuditEntry { actor: ACTOR, act: "retention.run", object: ANSWERS, detail })
            .await?;
    }
    tx.commit().await?;
    Ok(erased)
}

/// The eligibilities of deliveries whose period has ended long enough ago.
async fn exams_due(node: &Node) -> Result<Vec<String>, Failure> {
    let Some(before) = before(node, node.config.retention.closed_exams_days) else { return Ok(Vec::new()) };
    let mut ended = Vec::new();
    let mut after = None;
    loop {
        let page = node.store.entities_list(EntityType::Delivery, None, after).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let over = page.iter().filter(|(_, delivery)| period_end(delivery).is_some_and(|end| end < before));
        ended.extend(over.map(|(_, delivery)| delivery.uri.clone()));
    }
    let ended: Vec<&str> = ended.iter().map(String::as_str).collect();
    Ok(node.store.eligibilities_of(&ended).await?)
}

async fn close_exams(context: &Context, node: &Node) -> Result<u64, Failure> {
    let due = exams_due(node).await?;
    remove(context, node, &due, EXAMS).await
}

async fn people_due(node: &Node) -> Result<Vec<String>, Failure> {
    match before(node, node.config.retention.people_days) {
        Some(before) => Ok(node.store.takers_idle(before).await?),
        None => Ok(Vec::new()),
    }
}

async fn erase_people(context: &Context, node: &Node) -> Result<u64, Failure> {
    let due = people_due(node).await?;
    if due.is_empty() {
        return Ok(0);
    }
    subject::erase_answers(node, &due, "retention").await?;
    let removed = remove(context, node, &due, PEOPLE).await?;
    subject::keep_list(node).await?;
    Ok(removed)
}

/// Whoever set a period has said what is meant: the removals are approved, and local servers follow without asking.
async fn remove(context: &Context, node: &Node, uris: &[String], kind: &str) -> Result<u64, Failure> {
    if uris.is_empty() {
        return Ok(0);
    }
    let removals = uris.iter().cloned().map(Change::Remove).collect();
    let options = ChangeOptions { dry_run: false, yes: true };
    changes::apply(context, node, removals, options, "retention.run", kind).await?;
    Ok(uris.len() as u64)
}
