//! From the rows of a TAO's execution to the item that is handed in.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};
use taosync_model::assessment::{LogEntry, TestSession};
use taosync_model::item::{Counts, Envelope, ItemKind};
use taosync_model::{EntityType, OrgId};
use taosync_results::{MAX_PLAIN, MAX_VARIABLES, encode_attempt};
use taosync_store::executions::FinishedExecution;
use taosync_store::outbox::NewItem;
use taosync_store::tao_results::{NewTaken, Taken};
use taosync_store::{Store, StoreError};
use taosync_tao::read::executions::Execution;
use taosync_tao::read::logs::LogRow;
use taosync_tao::read::qti_names::QtiNames;
use taosync_tao::read::variables::StoredVariable;
use taosync_wire::frame::MAX_BODY;
use taosync_wire::tao::results::{Details, OUTCOME, RESPONSE, TEMPLATE, TRACE, TaoResult, TaoVariable};
use taosync_wire::tao::time_of;
use uuid::Uuid;

use super::TaoDatabaseError;
use crate::runner::fold;
use crate::runner::seal::Sealed;
use crate::runner::{Runner, RunnerError};
use crate::tao::{ids, results};
use crate::up::payload::{self, LogBatch, TaoExecution};

/// Everything an item is made of.
pub(super) struct Material {
    execution: Execution,
    result: Result<TaoResult, String>,
    log: Vec<LogRow>,
}

/// What came of it.
pub(super) enum Made {
    /// The item that is there says the same.
    Same(Uuid),
    /// An item.
    New(NewTaken),
    /// It cannot be made; in words, with what to do.
    Not(String),
}

impl Material {
    /// The rows as taoSync would hand them in.
    pub fn new(execution: Execution, variables: &[StoredVariable], log: Vec<LogRow>, names: &QtiNames) -> Self {
        let result = result_of(&execution, variables, names);
        Self { execution, result, log }
    }
}

fn result_of(execution: &Execution, variables: &[StoredVariable], names: &QtiNames) -> Result<TaoResult, String> {
    if variables.len() > MAX_VARIABLES {
        return Err(format!("it has {} variables, more than {MAX_VARIABLES}; export it in TAO", variables.len()));
    }
    let bytes: usize = variables.iter().map(|stored| stored.value.len()).sum();
    if bytes as u64 > MAX_PLAIN {
        return Err(format!("its variables have {bytes} bytes, more than {MAX_PLAIN}; export it in TAO"));
    }
    let variables = variables.iter().map(|stored| variable_of(execution, stored, names)).collect::<Result<_, _>>()?;
    let details = Details {
        identifier: Some(execution.id.clone()),
        label: Some(execution.label.clone()),
        test_taker: Some(execution.test_taker.clone()),
        starttime: execution.start.clone(),
        finishtime: execution.end.clone(),
        state: Some(execution.state.clone()),
    };
    let (delivery_id, delivery_execution_id) = (execution.delivery.clone(), execution.id.clone());
    Ok(TaoResult { delivery_id, delivery_execution_id, details, variables })
}

fn variable_of(execution: &Execution, stored: &StoredVariable, names: &QtiNames) -> Result<TaoVariable, String> {
    let data: Map<String, Value> = serde_json::from_str(&stored.value).map_err(|_| {
        "a variable of it is not stored as JSON, as TAO does since 2019; let TAO migrate its results".to_owned()
    })?;
    let delivery = &execution.delivery;
    Ok(TaoVariable {
        kind: class_of(&data).to_owned(),
        call_id_test: stored.call_id_test.clone(),
        call_id_item: stored.call_id_item.clone(),
        test: names.test(delivery, stored.test.as_deref()),
        item: names.item(delivery, stored.item.as_deref()),
        data,
    })
}

/// The PHP class: named since 2021, before that known by what only it has.
fn class_of(data: &Map<String, Value>) -> &'static str {
    match data.get("type").and_then(Value::as_str) {
        Some("responseVariable") => RESPONSE,
        Some("traceVariable") => TRACE,
        Some("templateVariable") => TEMPLATE,
        None if data.contains_key("candidateResponse") => RESPONSE,
        None if data.contains_key("trace") => TRACE,
        _ => OUTCOME,
    }
}

/// Makes the item, unless the one that is there was made of the same.
pub(super) async fn make(
    runner: &Runner,
    homes: &mut Homes<'_>,
    material: &Material,
    known: Option<&Taken>,
) -> Result<Made, TaoDatabaseError> {
    let Material { execution, result, log } = material;
    let result = match result {
        Ok(result) => result,
        Err(why) => return Ok(Made::Not(why.clone())),
    };
    let mut attempt = results::attempt_of(&execution.id, result);
    // What is written later beside the variables, the log above all, makes no other version.
    let content = homes.store.tao_content(&encode_attempt(&attempt));
    if let Some(known) = known.filter(|known| known.content == content) {
        return Ok(Made::Same(known.item));
    }
    let Some(org) = homes.of(&execution.delivery, &execution.test_taker).await? else {
        let why = "neither its test taker nor its delivery is of an organisation this server syncs; connect it, sync \
                   data, then push again";
        return Ok(Made::Not(why.to_owned()));
    };
    let package_version = homes.package_version(&org, &execution.delivery).await?;
    let time = |text: &Option<String>| text.as_deref().and_then(time_of);
    let (started, ended) = (time(&execution.start), time(&execution.end));
    let now = homes.store.clock().now();
    let (started, ended) = (started.or(ended).unwrap_or(now), ended.or(started).unwrap_or(now));
    attempt.log = log.iter().map(entry_of).collect();
    attempt.session =
        Some(TestSession { started_at: started, finished_at: Some(ended), package_version, position: Value::Null });
    let Sealed { payload, form, source } = runner.seal(&runner.sealing(&org).await?, encode_attempt(&attempt))?;
    if payload.len() as u64 > MAX_BODY {
        return Ok(Made::Not(format!("packed it has {} bytes, more than {MAX_BODY}; export it in TAO", payload.len())));
    }
    let envelope = Envelope {
        version: known.map_or(1, |known| known.version + 1),
        previous: known.map(|known| known.digest),
        form,
        delivery: Some(execution.delivery.clone()),
        test_taker: Some(execution.test_taker.clone()),
        state: execution.state.parse().ok(),
        started_at: Some(started),
        finished_at: Some(ended.max(started)),
        counts: fold::counts(&attempt),
        ..Envelope::first(ItemKind::Attempt, ids::execution(&execution.id), org, runner.node(), &payload)
    };
    Ok(Made::New(NewTaken {
        name: execution.id.clone(),
        ended: execution.end.clone(),
        seen: String::new(),
        content,
        log_rows: log.iter().map(|row| row.id).collect(),
        attempt: FinishedExecution { package_version, reason: None, item: NewItem { envelope, payload, source } },
    }))
}

/// An item of log rows that came after their attempt; none when the attempt belongs to no organisation here.
pub(super) async fn make_log(
    runner: &Runner,
    homes: &mut Homes<'_>,
    execution: &Execution,
    rows: &[LogRow],
) -> Result<Option<NewItem>, TaoDatabaseError> {
    let Some(org) = homes.of(&execution.delivery, &execution.test_taker).await? else { return Ok(None) };
    let attempt = ids::execution(&execution.id);
    let tao = Some(TaoExecution { execution: execution.id.clone() });
    let batch = LogBatch { execution: attempt, log: rows.iter().map(entry_of).collect(), tao };
    let plain = payload::encode(&batch)
        .map_err(|_| RunnerError::Request("log rows of TAO are not representable as JSON".into()))?;
    let Sealed { payload, form, source } = runner.seal_unshown(&org, plain).await?;
    // A row becomes part of an item once, so the first one names it.
    let item = ids::log_row(&execution.id, &format!("rows from {}", rows.first().map_or(0, |row| row.id)));
    let envelope = Envelope {
        form,
        execution: Some(attempt),
        delivery: Some(execution.delivery.clone()),
        test_taker: Some(execution.test_taker.clone()),
        counts: Counts { log: rows.len() as u32, ..Counts::default() },
        ..Envelope::first(ItemKind::Log, item, org, runner.node(), &payload)
    };
    Ok(Some(NewItem { envelope, payload, source }))
}

fn entry_of(row: &LogRow) -> LogEntry {
    LogEntry {
        at: time_of(&row.created_at).unwrap_or_default(),
        event: row.event.clone(),
        by: Some(row.created_by.clone()),
        // An encrypting TAO keeps no JSON here; it goes as it is.
        data: serde_json::from_str(&row.data).unwrap_or_else(|_| Value::from(row.data.clone())),
    }
}

/// Finds the organisation an attempt belongs to, and which package of its delivery is named here.
pub(super) struct Homes<'a> {
    pub store: &'a Store,
    orgs: BTreeSet<OrgId>,
    holders: HashMap<String, BTreeSet<OrgId>>,
    versions: HashMap<(OrgId, String), u32>,
}

impl<'a> Homes<'a> {
    /// Knows the organisations of this server.
    pub async fn new(store: &'a Store) -> Result<Self, StoreError> {
        let orgs = store.replica_orgs().await?;
        Ok(Self { store, orgs, holders: HashMap::new(), versions: HashMap::new() })
    }

    /// Looks up several people and deliveries at once.
    pub async fn learn(&mut self, uris: &BTreeSet<&str>) -> Result<(), StoreError> {
        let new: Vec<&str> = uris.iter().copied().filter(|uri| !self.holders.contains_key(*uri)).collect();
        let mut found = self.store.replica_holders(&new).await?;
        for uri in new {
            self.holders.insert(uri.to_owned(), found.remove(uri).unwrap_or_default());
        }
        Ok(())
    }

    /// The organisation that has both, else the one that has the delivery, else that of the taker, else the only one.
    async fn of(&mut self, delivery: &str, taker: &str) -> Result<Option<OrgId>, StoreError> {
        self.learn(&BTreeSet::from([delivery, taker])).await?;
        let none = BTreeSet::new();
        let [with_delivery, with_taker] = [delivery, taker].map(|uri| self.holders.get(uri).unwrap_or(&none));
        let both = with_delivery.intersection(with_taker).next();
        let found = both.or(with_delivery.first()).or(with_taker.first());
        let only = || self.orgs.first().filter(|_| self.orgs.len() == 1);
        Ok(found.or_else(only).cloned())
    }

    /// The version of the package that is named here; 0 where none is.
    async fn package_version(&mut self, org: &OrgId, delivery: &str) -> Result<u32, StoreError> {
        let key = (org.clone(), delivery.to_owned());
        if let Some(version) = self.versions.get(&key) {
            return Ok(*version);
        }
        let seen = self.store.replica_get(delivery).await?;
        let seen = seen.into_iter().find(|(o, t, _)| o == org && *t == EntityType::Delivery);
        let version = seen.and_then(|(_, _, entity)| entity.package).map_or(0, |package| package.version);
        self.versions.insert(key, version);
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(value: &str) -> StoredVariable {
        StoredVariable { call_id_test: None, call_id_item: None, test: None, item: None, value: value.to_owned() }
    }

    #[test]
    fn an_execution_with_too_many_or_too_large_variables_is_named() {
        let names = QtiNames::default();
        let execution = Execution::default();
        let many = vec![stored("{}"); MAX_VARIABLES + 1];
        assert_eq!(result_of(&execution, &many[1..], &names).unwrap().variables.len(), MAX_VARIABLES);
        assert!(result_of(&execution, &many, &names).unwrap_err().contains("more than"));
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PLAIN as usize / 2 - 8));
        let at_limit = [stored(&large), stored(&large)];
        assert_eq!(at_limit.iter().map(|s| s.value.len() as u64).sum::<u64>(), MAX_PLAIN);
        result_of(&execution, &at_limit, &names).unwrap();
        let error = result_of(&execution, &[stored(&large), stored(&large), stored("{}")], &names).unwrap_err();
        assert!(error.contains("bytes"), "{error}");
    }

    #[test]
    fn what_is_no_json_is_said_without_being_shown() {
        let error = result_of(&Execution::default(), &[stored("O:8:secret")], &QtiNames::default()).unwrap_err();
        assert!(error.contains("not stored as JSON") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn older_variables_are_known_by_what_only_they_have() {
        let class = |json: &str| class_of(serde_json::from_str::<Value>(json).unwrap().as_object().unwrap());
        assert_eq!(class(r#"{"candidateResponse":"x"}"#), RESPONSE);
        assert_eq!(class(r#"{"trace":"x"}"#), TRACE);
        assert_eq!(class(r#"{"value":"x"}"#), OUTCOME);
        assert_eq!(class(r#"{"type":"templateVariable","value":"x"}"#), TEMPLATE);
    }
}
