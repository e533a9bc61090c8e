//! Handing in at a TAO central. Its word is not signed, so an item counts as sent on its own success entry and on nothing
//! else. Results go first; what an attempt's item also holds, its log and its session, becomes items of their own when
//! the result is taken, since TAO takes them only then.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use taosync_model::item::{Envelope, ItemKind, Refusal};
use taosync_store::Store;
use taosync_store::outbox::{Acknowledged, OutboxItem, Pick};
use taosync_wire::tao::{PATH_LOGS, PATH_LTI_USERS, PATH_RESULTS, PATH_SESSIONS, PhpMap};
use uuid::Uuid;

use super::heard::Heard;
use super::parcel::{self, Parcel, Unfit};
use super::{TaoLink, Work};
use crate::link::{LinkError, Request};
use crate::session::{Progress, SyncError};
use crate::up::{UpError, UpOutcome};

/// Results in a request: what TAO does, since more overload it (WIRE §9.1).
const RESULTS_AT_ONCE: u32 = 10;

/// The kinds, in the order TAO takes them.
const ORDER: [ItemKind; 4] = [ItemKind::Attempt, ItemKind::Log, ItemKind::Session, ItemKind::LtiUser];

/// Hands in everything that waits for an org. `outcome` is told truly also on an error.
pub async fn push(work: Work<'_>, outcome: &mut UpOutcome) -> Result<(), SyncError> {
    let Work { store, replica, plan, progress, .. } = work;
    let (org, limits) = (&replica.org, &plan.up);
    store.outbox_retry_all().await?;
    outcome.pending = store.outbox_waiting(org, &limits.states).await?.due;
    let mut labels = HashMap::new();
    for kind in ORDER {
        let mut after = None;
        loop {
            let pick = Pick {
                org,
                states: &limits.states,
                kind: Some(kind),
                after,
                max_items: limits.items.clamp(1, RESULTS_AT_ONCE),
                max_bytes: limits.bytes,
            };
            let items = store.outbox_pick(&pick).await?;
            let Some(last) = items.last() else { break };
            after = Some((last.envelope.version, last.id));
            let parcels = pack(store, kind, items, &mut labels, outcome).await?;
            exchange(work, kind, parcels, outcome).await?;
            progress(Progress::Results { done: outcome.sent, of: outcome.pending.max(outcome.sent) });
        }
    }
    Ok(())
}

async fn pack(
    store: &Store,
    kind: ItemKind,
    items: Vec<OutboxItem>,
    labels: &mut HashMap<String, String>,
    outcome: &mut UpOutcome,
) -> Result<Vec<Parcel>, SyncError> {
    let sessions: Vec<Uuid> = items.iter().filter_map(parcel::session_of).collect();
    let with_session = store.outbox_sent_among(ItemKind::Session, &sessions).await?;
    let (mut parcels, mut refusals) = (Vec::new(), Vec::new());
    for item in items {
        let packed = match kind {
            ItemKind::Attempt => {
                let label = label_of(store, labels, item.envelope.delivery.as_deref().unwrap_or_default()).await?;
                parcel::result(item, &label)
            }
            ItemKind::Log => parcel::log(item, &with_session),
            ItemKind::Session => parcel::session(item),
            ItemKind::LtiUser => parcel::lti_user(item),
        };
        match packed {
            Ok(parcel) => parcels.push(parcel),
            Err((envelope, Unfit(code, reason))) => refusals.push(refusal(&envelope, code, reason)),
        }
    }
    outcome.refused += store.outbox_mark_refused(&refusals).await?;
    Ok(parcels)
}

async fn label_of(store: &Store, labels: &mut HashMap<String, String>, delivery: &str) -> Result<String, SyncError> {
    if let Some(label) = labels.get(delivery) {
        return Ok(label.clone());
    }
    let found = store.replica_get(delivery).await?;
    let label = found.first().map_or(delivery, |(_, _, entity)| entity.label()).to_owned();
    labels.insert(delivery.to_owned(), label.clone());
    Ok(label)
}

/// Sends what fits into one request, and believes what is said about each.
async fn exchange(
    work: Work<'_>,
    kind: ItemKind,
    parcels: Vec<Parcel>,
    outcome: &mut UpOutcome,
) -> Result<(), SyncError> {
    let mut rest = parcels;
    while !rest.is_empty() {
        // A name stands for one thing in a request: of two batches of one log, the second waits for the next.
        let mut names = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(|parcel| names.insert(parcel.name.clone()));
        rest = later;
        let (path, body) = request_of(work.link, kind, &now);
        let answer: PhpMap<Value> = work.link.once(&Request::post_json(path, &body)).await?;
        settle(work, kind, now, &answer, outcome).await?;
    }
    Ok(())
}

fn request_of(link: &TaoLink, kind: ItemKind, parcels: &[Parcel]) -> (&'static str, Value) {
    let by_name = || parcels.iter().map(|parcel| (parcel.name.clone(), parcel.body.clone())).collect::<PhpMap<Value>>();
    let list = || parcels.iter().map(|parcel| parcel.body.clone()).collect::<Vec<_>>();
    let (path, field, content) = match kind {
        ItemKind::Attempt => (PATH_RESULTS, "results", json!(by_name())),
        ItemKind::Log => (PATH_LOGS, "delivery_logs", json!(by_name())),
        ItemKind::Session => (PATH_SESSIONS, "test_sessions", json!(list())),
        ItemKind::LtiUser => (PATH_LTI_USERS, "lti_users", json!(list())),
    };
    (path, json!({ field: content, "sync_params": link.caller().params() }))
}

/// Marks what has its own success entry, with what follows from it; what was said to have failed is shown as refused and
/// sent again next time; what was not spoken of waits.
async fn settle(
    work: Work<'_>,
    kind: ItemKind,
    parcels: Vec<Parcel>,
    answer: &PhpMap<Value>,
    outcome: &mut UpOutcome,
) -> Result<(), SyncError> {
    let (store, after_receipt) = (work.store, work.plan.up.after_receipt);
    let sent: HashSet<&str> = parcels.iter().map(|parcel| parcel.name.as_str()).collect();
    outcome.unproven += answer.0.iter().filter(|(name, _)| !sent.contains(name.as_str())).count() as u64;
    let (mut taken, mut follow, mut refusals, mut silent) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for parcel in &parcels {
        match Heard::of(kind, &parcel.body, answer.get(&parcel.name)) {
            Heard::Taken => {
                taken.push(Acknowledged::of(&parcel.item.envelope));
                follow.extend(parcel.follow.iter().cloned());
                outcome.bytes += parcel.item.envelope.size;
            }
            Heard::Failed => {
                let reason = "central did not take it and gives no reason; it is sent again with the next sync";
                refusals.push(refusal(&parcel.item.envelope, "tao_failed", reason));
            }
            Heard::Unproven => silent += 1,
        }
    }
    outcome.sent += store.outbox_acknowledge(&taken, &follow, after_receipt).await?;
    outcome.refused += store.outbox_mark_refused(&refusals).await?;
    if silent > 0 {
        outcome.unproven += silent;
        tracing::warn!(%kind, silent, "central did not speak of everything that was handed in");
    }
    if !parcels.is_empty() && answer.0.is_empty() {
        let error = LinkError::Protocol("nothing that was handed in is acknowledged".into());
        return Err(UpError::Link(error).into());
    }
    Ok(())
}

fn refusal(envelope: &Envelope, code: &str, reason: &str) -> Refusal {
    Refusal { item: envelope.item, version: envelope.version, code: code.to_owned(), reason: reason.to_owned() }
}
