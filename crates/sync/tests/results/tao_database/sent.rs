//! The same executions on two roads: as a TAO's own client hands them in, and as taosync takes them out of its database.
//! What central holds in the end says the same. The recorded client worked on another run of the exam than the golden
//! states show, so its executions are put into a TAO's tables; of the golden ones everything is compared that is not of a
//! run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use taosync_model::assessment::{Attempt, LogEntry, Variable};
use taosync_model::item::{Envelope, ItemKind};
use taosync_results::{MAX_PLAIN, decode_attempt};
use taosync_store::Store;
use taosync_store::received::ReceivedFilter;
use taosync_sync::tao::hand_in::HandIn;
use taosync_sync::up::payload::{self, LogBatch};
use taosync_testbed::{Kind, TestDatabase, tao};
use taosync_wire::tao::items::SessionsRequest;
use taosync_wire::tao::logs::LogsRequest;
use taosync_wire::tao::results::ResultsRequest;
use uuid::Uuid;

use super::own::{id, pair};
use super::pair::Pair;
use crate::school::{ANNA, MATHS, school};

const FIELDS: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#";
const TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
const LABEL: &str = "http://www.w3.org/2000/01/rdf-schema#label";
const VARIABLES: &str = "variables_storage
     (results_result_id, call_id_test, call_id_item, test, item, value, identifier, variable_hash)";

/// What a TAO client sends in one sync, request by request.
struct Sent {
    results: Value,
    logs: Value,
    sessions: Value,
}

/// What central holds of one execution.
struct Held {
    envelope: Envelope,
    attempt: Attempt,
    log: Vec<LogEntry>,
    has_session: bool,
}

impl Sent {
    /// The recorded one; none where there are no recordings.
    fn recorded() -> Option<Self> {
        let body = |name: &str| {
            let path = format!("../../../shared/tao/captures/flow_F4_results_{name}.json");
            let recording = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()?;
            let recording: Value = serde_json::from_slice(&recording).unwrap();
            Some(serde_json::from_str(recording["request"]["body"].as_str().unwrap()).unwrap())
        };
        let sent = Self {
            results: body("09_syncResults")?,
            logs: body("10_syncDeliveryLogs")?,
            sessions: body("11_syncTestSessions")?,
        };
        Some(sent)
    }

    /// The same of our own: each execution with two variables and two log rows, the second with details.
    fn own(executions: u32) -> Self {
        let names: Vec<String> = (1..=executions).map(id).collect();
        let result = |id: &String| {
            let data = json!({
                "identifier": "SCORE", "cardinality": "single", "baseType": "float",
                "epoch": "0.10000000 1778576300", "type": "outcomeVariable", "externallyGraded": false,
                "normalMinimum": null, "normalMaximum": 1, "value": "MQ==",
            });
            let trace = json!({
                "identifier": "SHOWN", "cardinality": "single", "baseType": "file", "epoch": "0.5 1778576310",
                "type": "traceVariable", "externallyGraded": false, "trace": "{\"l'été\":\"✓\\n\"}",
            });
            let result = json!({
                "deliveryId": MATHS, "deliveryExecutionId": id,
                "details": {
                    "identifier": id, "label": "Maths, first try", "test-taker": ANNA,
                    "starttime": "0.50000000 1778572800", "finishtime": "0.25000000 1778576400",
                    "state": "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStatusFinished",
                },
                "variables": [{
                    "type": "taoResultServer_models_classes_OutcomeVariable", "callIdTest": null,
                    "callIdItem": format!("{id}.item-1.0"), "test": "urn:test", "item": "urn:item-1", "data": data,
                }, {
                    "type": "taoResultServer_models_classes_TraceVariable", "callIdTest": id, "callIdItem": null,
                    "test": "urn:test", "item": null, "data": trace,
                }],
            });
            (id.clone(), result)
        };
        let row = |(place, id): (usize, &String)| {
            let row = |number: usize, event: &str, data: Value| {
                json!({
                    "id": number, "delivery_execution_id": id, "event_id": event, "data": data,
                    "created_at": format!("17785760{:02}.25", number), "created_by": "cli", "is_synced": 0,
                    "log_is_after_session_sync": false,
                })
            };
            let (run, odd) = (2 * place, json!({"reason": {"comment": "l'été\nà deux"}}));
            (id.clone(), json!([row(run + 1, "TEST_RUN", json!([])), row(run + 2, "TEST_IRREGULARITY", odd)]))
        };
        let results: serde_json::Map<String, Value> = names.iter().map(result).collect();
        let logs: serde_json::Map<String, Value> = names.iter().enumerate().map(row).collect();
        Self {
            results: json!({ "results": results }),
            logs: json!({ "delivery_logs": logs }),
            sessions: json!({ "test_sessions": names }),
        }
    }

    /// A central that such a client has handed in to.
    async fn received(&self) -> BTreeMap<Uuid, Held> {
        let school = school().await;
        let identity = school.central.identity().await.unwrap();
        let (central, org) = (school.central.clone(), school.org.clone());
        let hand_in = HandIn::new(central, identity.node, identity.epoch, org, "box-1");
        let results: ResultsRequest = serde_json::from_value(self.results.clone()).unwrap();
        hand_in.results(results).await.unwrap();
        let logs: LogsRequest = serde_json::from_value(self.logs.clone()).unwrap();
        hand_in.logs(logs).await.unwrap();
        let sessions: SessionsRequest = serde_json::from_value(self.sessions.clone()).unwrap();
        hand_in.sessions(sessions).await.unwrap();
        held(&school.central).await
    }

    /// A box whose tables hold what was sent, as TAO keeps it.
    async fn load(&self, tao: &TestDatabase) {
        for (id, result) in self.results["results"].as_object().unwrap() {
            let (details, delivery) = (&result["details"], &result["deliveryId"]);
            let triples = [
                (LABEL.to_owned(), &details["label"]),
                (TYPE.to_owned(), &json!(format!("{FIELDS}DeliveryExecution"))),
                (format!("{FIELDS}DeliveryExecutionDelivery"), delivery),
                (format!("{FIELDS}DeliveryExecutionSubject"), &details["test-taker"]),
                (format!("{FIELDS}DeliveryExecutionStart"), &details["starttime"]),
                (format!("{FIELDS}DeliveryExecutionEnd"), &details["finishtime"]),
                (format!("{FIELDS}StatusOfDeliveryExecution"), &details["state"]),
            ];
            for (predicate, object) in triples {
                let cells = [json!(1), json!(id), json!(predicate), object.clone(), json!(""), json!("")];
                insert(tao, "statements (modelid, subject, predicate, object, l_language, author)", &cells).await;
            }
            insert(tao, "results_storage", &[json!(id), details["test-taker"].clone(), delivery.clone()]).await;
            for (number, variable) in result["variables"].as_array().unwrap().iter().enumerate() {
                let cell = |name: &str| variable[name].clone();
                let (call_id_test, call_id_item) = (cell("callIdTest"), cell("callIdItem"));
                let identifier = variable["data"]["identifier"].clone();
                let value = json!(variable["data"].to_string());
                let hash = json!(format!("{id}{number}"));
                let (id, test, item) = (json!(id), cell("test"), cell("item"));
                let cells = [id, call_id_test, call_id_item, test, item, value, identifier, hash];
                insert(tao, VARIABLES, &cells).await;
            }
        }
        for row in self.logs["delivery_logs"].as_object().unwrap().values().flat_map(|rows| rows.as_array().unwrap()) {
            let cells =
                ["delivery_execution_id", "event_id", "data", "created_at", "created_by"].map(|name| match name {
                    "data" => json!(row[name].to_string()),
                    _ => row[name].clone(),
                });
            let columns = "delivery_log (delivery_execution_id, event_id, data, created_at, created_by)";
            insert(tao, columns, &cells).await;
        }
    }

    /// The executions whose results were sent.
    fn executions(&self) -> BTreeSet<&str> {
        self.results["results"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// Log rows of these.
    fn log_rows(&self) -> usize {
        let executions = self.executions();
        let logs = self.logs["delivery_logs"].as_object().unwrap().iter();
        logs.filter(|(id, _)| executions.contains(id.as_str())).map(|(_, rows)| rows.as_array().unwrap().len()).sum()
    }
}

/// What central holds, by execution: the attempts, with the logs and sessions that came as items of their own.
async fn held(central: &Store) -> BTreeMap<Uuid, Held> {
    let all = central.received_page(&ReceivedFilter::default(), 1_000, u64::MAX).await.unwrap();
    let mut held = BTreeMap::new();
    for received in all.iter().filter(|received| received.item.envelope.kind == ItemKind::Attempt) {
        let mut attempt = decode_attempt(&received.payload, MAX_PLAIN).unwrap();
        let (log, has_session) = (std::mem::take(&mut attempt.log), attempt.session.is_some());
        let envelope = received.item.envelope.clone();
        held.insert(envelope.item, Held { envelope, attempt, log, has_session });
    }
    for received in all {
        let envelope = &received.item.envelope;
        let Some(of) = envelope.execution.and_then(|execution| held.get_mut(&execution)) else { continue };
        match envelope.kind {
            ItemKind::Log => {
                let batch = payload::decode(&received.payload, payload::MAX_PLAIN).unwrap();
                of.log.extend(serde_json::from_value::<LogBatch>(batch).unwrap().log);
            }
            ItemKind::Session => of.has_session = true,
            kind => panic!("{kind:?} speaks of no execution"),
        }
    }
    for of in held.values_mut() {
        of.log.sort_by_key(|entry| (entry.at, entry.event.clone()));
    }
    held
}

/// Ignored of the envelope: `origin` (the box, there under its own name), `digest`, `size` and `counts.log`: log and
/// session are inside of ours, and items of their own there. Ignored of the attempt: when its session began and ended,
/// which a TAO client does not send (its times stand beside the result, and are compared). Ignored of log rows: `id`,
/// `is_synced` and `log_is_after_session_sync`, which are the box's own, and no central keeps.
fn assert_same(theirs: &Held, ours: &Held) {
    let envelope = |envelope: &Envelope| {
        let mut value = serde_json::to_value(envelope).unwrap();
        for field in ["origin", "digest", "size"] {
            assert!(value.as_object_mut().unwrap().remove(field).is_some(), "{field}");
        }
        value["counts"].as_object_mut().unwrap().remove("log");
        value
    };
    assert_eq!(envelope(&theirs.envelope), envelope(&ours.envelope));
    assert_eq!(theirs.attempt.result, ours.attempt.result);
    assert_eq!(theirs.attempt.other, ours.attempt.other);
    assert_eq!(theirs.log, ours.log);
    assert!(theirs.has_session && ours.has_session);
    let session = ours.attempt.session.as_ref().unwrap();
    assert_eq!((Some(session.started_at), session.finished_at), (ours.envelope.started_at, ours.envelope.finished_at));
}

/// A row of a table of TAO's.
async fn insert(tao: &TestDatabase, into: &str, cells: &[Value]) {
    let quoted = |text: &str| {
        let text = text.replace('\'', "''");
        let text = if tao.kind() == Kind::MariaDb { text.replace('\\', "\\\\") } else { text };
        format!("'{text}'")
    };
    let cell = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    };
    let cells: Vec<String> = cells.iter().map(cell).collect();
    tao.execute(&format!("INSERT INTO {into} VALUES ({})", cells.join(", "))).await;
}

/// Both roads, to two centrals.
async fn compare(kind: Kind, sent: &Sent) -> Option<()> {
    let pair = pair(kind).await?;
    sent.load(&pair.local).await;
    let theirs = sent.received().await;
    let (taken, written) = pair.travel().await;
    assert_eq!((taken.problems.len(), written.problems.len()), (0, 0), "{taken:?} {written:?}");
    let ours = held(&pair.school.central).await;
    assert_eq!((theirs.len(), ours.len()), (sent.executions().len(), sent.executions().len()));
    let rows = theirs.values().map(|of| of.log.len()).sum::<usize>();
    assert_eq!(rows, sent.log_rows(), "every row that was sent is held");
    for (item, theirs) in &theirs {
        assert_same(theirs, &ours[item]);
    }
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_hands_in_what_a_client_of_taos_would() {
    for kind in Kind::BOTH {
        let Some(()) = compare(kind, &Sent::own(3)).await else { return };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_hands_in_what_the_recorded_client_did() {
    let Some(sent) = Sent::recorded() else {
        println!("SKIPPED: the recordings of a real pair are not there");
        return;
    };
    assert!(sent.executions().len() >= 3 && sent.log_rows() >= 9);
    for kind in Kind::BOTH {
        let Some(()) = compare(kind, &sent).await else { return };
    }
}

/// Ignored: names of the run (execution, test, delivery), its moments, and the third item, which the recorded exam did not
/// have; epochs are moments too.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_the_golden_exam_says_what_the_recorded_client_said_of_its_own() {
    let Some(sent) = Sent::recorded() else {
        println!("SKIPPED: the recordings of a real pair are not there");
        return;
    };
    let theirs = sent.received().await;
    for kind in Kind::BOTH {
        let (Some(local), Some(central)) =
            (tao::golden("3-client-with-executions"), tao::golden("1-central-published"))
        else {
            return;
        };
        let Some(pair) = Pair::of(kind, &local, &central).await else { return };
        pair.travel().await;
        let ours = held(&pair.school.central).await;
        for theirs in theirs.values() {
            let is_same_taker = |ours: &&Held| ours.envelope.test_taker == theirs.envelope.test_taker;
            let ours = ours.values().find(is_same_taker).expect("the same takers sat both");
            assert_eq!(said(theirs), said(ours), "{kind:?}");
            assert_eq!(ours.envelope.state, theirs.envelope.state);
            assert_eq!(ours.attempt.other["tao"]["label"], theirs.attempt.other["tao"]["label"]);
            assert!(ours.has_session);
        }
    }
}

/// Log rows in their order, and the variables of the test and of the first two items.
fn said(held: &Held) -> (Vec<(String, Option<String>, Value)>, BTreeSet<String>) {
    let log = held.log.iter().map(|entry| (entry.event.clone(), entry.by.clone(), entry.data.clone())).collect();
    let result = &held.attempt.result;
    let of_test = result.test.iter().flat_map(|test| test.variables.iter().map(|variable| ("test", variable)));
    let items = result.items.iter().filter(|item| ["item-0", "item-1"].contains(&item.identifier.as_str()));
    let of_items = items.flat_map(|item| item.variables.iter().map(|variable| (item.identifier.as_str(), variable)));
    let text = |(place, variable): (&str, &Variable)| {
        let timeless = Variable { at: None, ..variable.clone() };
        format!("{place} {}", serde_json::to_value(timeless).unwrap())
    };
    (log, of_test.chain(of_items).map(text).collect())
}
