//! What a box hands in: results, logs, sessions, LTI users. They land where native ones do, each once: a repeat is
//! answered as held and stores nothing. Boxes do not count versions, so a result that comes again with other content is
//! the next version of what is held.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::json;
use taosync_model::assessment::LogEntry;
use taosync_model::item::{Counts, Envelope, ItemKind};
use taosync_model::{EntityType, OrgId};
use taosync_store::received::{Answer, Handover, IncomingItem};
use taosync_store::{Store, StoreError};
use taosync_vault::VaultError;
use taosync_wire::tao::items::{Ack, LtiUsersRequest, SessionsRequest};
use taosync_wire::tao::logs::{LogAck, LogRow, LogsRequest};
use taosync_wire::tao::results::{ResultAck, ResultsRequest, TaoResult};
use taosync_wire::tao::{PhpMap, text_of, time_of};
use uuid::Uuid;

use super::{ids, results};
use crate::up::payload;
use crate::up::sealing::at_rest;

/// Who hands in, and to whom.
#[derive(Clone, Debug)]
pub struct HandIn {
    store: Store,
    central: Uuid,
    epoch: Uuid,
    org: OrgId,
    node: Uuid,
}

/// Something handed in, read and packed.
struct Packed {
    envelope: Envelope,
    payload: Vec<u8>,
}

impl HandIn {
    /// A box of an org hands something in. `box_id` is what it calls itself.
    pub fn new(store: Store, central: Uuid, epoch: Uuid, org: OrgId, box_id: &str) -> Self {
        Self { store, central, epoch, org, node: ids::node_of(box_id) }
    }

    /// Results. Each is held as a whole or not at all; one that cannot be read does not hold up the others.
    pub async fn results(&self, request: ResultsRequest) -> Result<PhpMap<ResultAck>, StoreError> {
        let mut acks = PhpMap::default();
        let mut packed = Vec::new();
        for (execution, value) in request.results.0 {
            match TaoResult::read(&value) {
                Ok(result) => {
                    let delivery_id = Some(result.delivery_id.clone());
                    packed.push(self.pack_result(&execution, &result));
                    acks.0.push((execution, ResultAck { success: 1, delivery_id }));
                }
                Err(why) => {
                    tracing::warn!(%why, "a result of a TAO client cannot be read");
                    acks.0.push((execution, ResultAck { success: 0, delivery_id: None }));
                }
            }
        }
        self.hold(packed).await?;
        Ok(acks)
    }

    fn pack_result(&self, execution: &str, result: &TaoResult) -> Packed {
        let attempt = results::attempt_of(execution, result);
        let counts = Counts {
            items: attempt.result.items.len() as u32,
            variables: attempt.result.variable_count() as u32,
            log: 0,
        };
        let payload = taosync_results::encode_attempt(&attempt);
        let details = &result.details;
        let envelope = Envelope {
            delivery: Some(result.delivery_id.clone()),
            test_taker: details.test_taker.clone(),
            state: details.state.as_deref().and_then(|state| state.parse().ok()),
            started_at: details.starttime.as_deref().and_then(time_of),
            finished_at: details.finishtime.as_deref().and_then(time_of),
            counts,
            ..self.envelope(ItemKind::Attempt, ids::execution(execution), &payload)
        };
        Packed { envelope, payload }
    }

    /// Log rows. Those of executions that are not held yet are not taken: the box sends them again.
    pub async fn logs(&self, request: LogsRequest) -> Result<PhpMap<LogAck>, StoreError> {
        let known = self.known(request.delivery_logs.0.iter().map(|(execution, _)| execution.as_str())).await?;
        let mut acks = PhpMap::default();
        let mut packed = Vec::new();
        for (execution, rows) in request.delivery_logs.0 {
            let mut synced = Vec::new();
            let is_known = known.contains_key(&execution);
            for row in rows.0.into_iter().filter(|_| is_known) {
                // A row that lacks something stays on the box.
                let Ok(row) = serde_json::from_value::<LogRow>(row.1) else { continue };
                synced.push(row.id.clone());
                packed.push(self.pack_log(&execution, row)?);
            }
            acks.0.push((execution, LogAck { success: 1, logs_synced: Some(synced) }));
        }
        self.hold(packed).await?;
        Ok(acks)
    }

    fn pack_log(&self, execution: &str, row: LogRow) -> Result<Packed, StoreError> {
        let at = text_of(&row.created_at).and_then(|text| time_of(&text)).unwrap_or(Timestamp::UNIX_EPOCH);
        let entry = LogEntry { at, event: row.event_id, by: text_of(&row.created_by), data: row.data };
        let attempt = ids::execution(execution);
        let item = ids::log_row(execution, &text_of(&row.id).unwrap_or_default());
        let tao = Some(payload::TaoExecution { execution: execution.to_owned() });
        let payload = pack(&payload::LogBatch { execution: attempt, log: vec![entry], tao })?;
        let envelope = Envelope {
            execution: Some(attempt),
            counts: Counts { log: 1, ..Counts::default() },
            ..self.envelope(ItemKind::Log, item, &payload)
        };
        Ok(Packed { envelope, payload })
    }

    /// Test sessions of executions that are held.
    pub async fn sessions(&self, request: SessionsRequest) -> Result<PhpMap<Ack>, StoreError> {
        let names: Vec<String> = request.test_sessions.0.iter().filter_map(|(_, id)| text_of(id)).collect();
        let known = self.known(names.iter().map(String::as_str)).await?;
        let mut packed = Vec::new();
        for (name, &attempt) in &known {
            let payload = pack(&json!({ "execution": attempt, "tao": { "execution": name } }))?;
            let envelope = self.envelope(ItemKind::Session, ids::session(name), &payload);
            packed.push(Packed { envelope: Envelope { execution: Some(attempt), ..envelope }, payload });
        }
        self.hold(packed).await?;
        let ack = |name: String| {
            let success = u8::from(known.contains_key(&name));
            (name, Ack { success })
        };
        Ok(names.into_iter().map(ack).collect())
    }

    /// LTI users, as they come: their form is not public. A user is known by the id the box gives, else by its place.
    pub async fn lti_users(&self, request: LtiUsersRequest) -> Result<PhpMap<Ack>, StoreError> {
        let mut acks = PhpMap::default();
        let mut packed = Vec::new();
        for (place, user) in request.lti_users.0 {
            let name = ["client_user_id", "user_id", "id"].iter().find_map(|field| text_of(user.get(*field)?));
            let name = name.or_else(|| text_of(&user)).unwrap_or(place);
            let payload = pack(&json!({ "tao": { "lti_user": user } }))?;
            let envelope = self.envelope(ItemKind::LtiUser, ids::lti_user(&name), &payload);
            packed.push(Packed { envelope, payload });
            acks.0.push((name, Ack { success: 1 }));
        }
        self.hold(packed).await?;
        Ok(acks)
    }

    /// Those of these executions whose results are held, with their ids.
    async fn known(&self, executions: impl Iterator<Item = &str>) -> Result<HashMap<String, Uuid>, StoreError> {
        let named: HashMap<String, Uuid> = executions.map(|name| (name.to_owned(), ids::execution(name))).collect();
        let items: Vec<Uuid> = named.values().copied().collect();
        let held = self.store.received_editions(&self.org, &items).await?;
        Ok(named.into_iter().filter(|(_, item)| held.contains_key(&(ItemKind::Attempt, *item))).collect())
    }

    fn envelope(&self, kind: ItemKind, item: Uuid, payload: &[u8]) -> Envelope {
        Envelope::first(kind, item, self.org.clone(), self.node, payload)
    }

    /// Holds everything, in one transaction.
    async fn hold(&self, mut packed: Vec<Packed>) -> Result<(), StoreError> {
        if packed.is_empty() {
            return Ok(());
        }
        let items: Vec<Uuid> = packed.iter().map(|one| one.envelope.item).collect();
        let held = self.store.received_editions(&self.org, &items).await?;
        for Packed { envelope, .. } in &mut packed {
            let Some(editions) = held.get(&(envelope.kind, envelope.item)) else { continue };
            let same = editions.held.iter().find(|(_, digest)| *digest == envelope.digest);
            match (same, editions.head) {
                (Some(&(version, _)), _) => envelope.version = version,
                (None, Some((version, digest))) => {
                    (envelope.version, envelope.previous) = (version + 1, Some(digest));
                }
                (None, None) => {}
            }
        }
        let named = packed.iter().flat_map(|one| one.envelope.test_taker.iter().chain(&one.envelope.delivery));
        let named: Vec<&str> = named.map(String::as_str).collect();
        let inside = self.store.scope_sees(&self.org, &named).await?;
        let is_inside = |uri: &Option<String>, entity_type| {
            uri.as_ref().is_none_or(|uri| inside.contains(&(uri.clone(), entity_type)))
        };
        let recipients = self.store.results_recipients().await?;
        let incoming = |Packed { envelope, payload }: Packed| {
            let at_rest = at_rest(&recipients, envelope.form, &payload)?;
            let out_of_scope = !is_inside(&envelope.test_taker, EntityType::TestTaker)
                || !is_inside(&envelope.delivery, EntityType::Delivery);
            Ok(IncomingItem { envelope, payload, at_rest, out_of_scope, vouched: None })
        };
        let incoming = packed.into_iter().map(incoming).collect::<Result<Vec<_>, VaultError>>();
        let incoming = incoming.map_err(|error| StoreError::Refused(error.to_string()))?;
        let handover = Handover { central: self.central, epoch: self.epoch, org: &self.org, node: Some(self.node) };
        let answers = self.store.received_store(&incoming, &handover).await?;
        // Only bytes that are not those of their envelope are refused, and both were made here.
        match answers.iter().find(|answer| matches!(answer, Answer::Refusal(_))) {
            None => Ok(()),
            Some(_) => Err(StoreError::Refused("a result was refused by the store that should hold it".into())),
        }
    }
}

fn pack(document: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    payload::encode(document).map_err(|_| StoreError::Refused("what a TAO client sent cannot be packed".into()))
}
