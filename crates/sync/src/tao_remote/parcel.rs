//! Items of the outbox as a TAO central takes them.

use std::collections::HashSet;

use serde_json::{Value, json};
use taosync_model::Digest;
use taosync_model::assessment::LogEntry;
use taosync_model::item::{Counts, Envelope, FORM_ZSTD_JSON, ItemKind};
use taosync_store::outbox::{NewItem, OutboxItem};
use taosync_wire::tao::seconds_text;
use uuid::Uuid;

use super::variables::result_of;
use crate::tao::{ids, names};
use crate::up::payload::{self, LogBatch, MAX_PLAIN, TaoExecution};

/// Something as it is sent: under a name, by which it is acknowledged.
pub(super) struct Parcel {
    pub item: OutboxItem,
    pub name: String,
    pub body: Value,
    /// What waits once this is taken.
    pub follow: Vec<NewItem>,
}

/// Why an item cannot go to a TAO central.
pub(super) struct Unfit(pub &'static str, pub &'static str);

/// An item as it is sent, or why it cannot be.
pub(super) type Packed = Result<Parcel, (Envelope, Unfit)>;

pub(super) fn result(item: OutboxItem, label: &str) -> Packed {
    if item.envelope.form != FORM_ZSTD_JSON {
        return Err((
            item.envelope,
            Unfit("sealed", "it is sealed for the results key, which a TAO central cannot open"),
        ));
    }
    let Ok(attempt) = taosync_results::decode_attempt(&item.payload, taosync_results::MAX_PLAIN) else {
        return Err((item.envelope, Unfit("unreadable", "its payload cannot be read here")));
    };
    let name = names::of_attempt(&attempt, item.envelope.item);
    let result = result_of(&item.envelope, &attempt, label);
    let mut follow = Vec::new();
    if !attempt.log.is_empty() {
        let id = ids::log_row(&name, &format!("attempt {}", item.envelope.version));
        let tao = Some(TaoExecution { execution: name.clone() });
        let batch = LogBatch { execution: item.envelope.item, log: attempt.log, tao };
        follow.extend(new_item(ItemKind::Log, id, &item.envelope, &batch));
    }
    let session = json!({"execution": item.envelope.item, "session": attempt.session, "tao": {"execution": name}});
    follow.extend(new_item(ItemKind::Session, ids::session(&name), &item.envelope, &session));
    let body = serde_json::to_value(&result).unwrap_or_default();
    Ok(Parcel { item, name, body, follow })
}

/// An item about an attempt that was taken.
fn new_item(kind: ItemKind, id: Uuid, of: &Envelope, document: &impl serde::Serialize) -> Option<NewItem> {
    let payload = payload::encode(document).ok()?;
    let envelope = Envelope {
        kind,
        item: id,
        version: 1,
        previous: None,
        digest: Digest::of(&payload),
        size: payload.len() as u64,
        form: FORM_ZSTD_JSON,
        execution: Some(of.item),
        state: None,
        started_at: None,
        finished_at: None,
        counts: Counts::default(),
        ..of.clone()
    };
    Some(NewItem { envelope, payload, source: None })
}

/// The session of the execution that an item of another kind than attempt speaks of.
pub(super) fn session_of(item: &OutboxItem) -> Option<Uuid> {
    let execution = item.envelope.execution?;
    let document = payload::decode(&item.payload, MAX_PLAIN)?;
    Some(ids::session(&names::of_document(&document, execution)))
}

pub(super) fn log(item: OutboxItem, with_session: &HashSet<Uuid>) -> Packed {
    let batch =
        payload::decode(&item.payload, MAX_PLAIN).and_then(|json| serde_json::from_value::<LogBatch>(json).ok());
    let Some(batch) = batch else {
        return Err((item.envelope, Unfit("unreadable", "its payload cannot be read here")));
    };
    let name = batch.tao.map_or_else(|| names::made(batch.execution), |tao| tao.execution);
    let is_late = with_session.contains(&ids::session(&name));
    let row = |(at, entry): (usize, &LogEntry)| {
        json!({
            "id": row_number(item.envelope.item, at),
            "delivery_execution_id": name,
            "event_id": entry.event,
            "data": entry.data,
            "created_at": seconds_text(entry.at),
            "created_by": entry.by.as_deref().unwrap_or_default(),
            "is_synced": 0,
            "log_is_after_session_sync": is_late,
        })
    };
    let body = Value::Array(batch.log.iter().enumerate().map(row).collect());
    Ok(Parcel { item, name, body, follow: Vec::new() })
}

/// A number for a row, as TAO has: always the same, and below 2^52, which every reader of JSON keeps exactly.
fn row_number(item: Uuid, at: usize) -> u64 {
    let digest = Digest::of(format!("{item} {at}").as_bytes()).0;
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(bytes) >> 12
}

pub(super) fn session(item: OutboxItem) -> Packed {
    let Some(execution) = item.envelope.execution else {
        return Err((item.envelope, Unfit("unreadable", "it names no attempt")));
    };
    let document = payload::decode(&item.payload, MAX_PLAIN).unwrap_or_default();
    let name = names::of_document(&document, execution);
    Ok(Parcel { body: Value::from(name.clone()), item, name, follow: Vec::new() })
}

/// The form of LTI users is not public: they go as they are, under an id by which they can be acknowledged.
pub(super) fn lti_user(item: OutboxItem) -> Packed {
    let Some(Value::Object(mut user)) = payload::decode(&item.payload, MAX_PLAIN) else {
        return Err((item.envelope, Unfit("unreadable", "its payload cannot be read here")));
    };
    let name = names::made(item.envelope.item);
    user.insert("client_user_id".to_owned(), Value::from(name.clone()));
    Ok(Parcel { item, name, body: Value::Object(user), follow: Vec::new() })
}
