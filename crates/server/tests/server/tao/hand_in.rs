//! Results, logs, sessions and LTI users of a TAO client, and what central holds of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use taosync_model::execution::ExecutionState;
use taosync_model::item::ItemKind;
use taosync_store::received::{ReceivedFilter, ReceivedItem};
use taosync_wire::tao::results::{OUTCOME, RESPONSE};

use super::walk::{TaoBox, school};
use super::{central, compat, load};
use crate::place::Place;

const EXECUTION: &str = "https://box.example/tao.rdf#e1";
const DELIVERY: &str = "https://central.example/tao.rdf#delivery";

fn result(answer: &str) -> Value {
    json!({
        "deliveryId": DELIVERY,
        "deliveryExecutionId": EXECUTION,
        "details": {
            "identifier": EXECUTION, "label": "D", "test-taker": "https://central.example/tao.rdf#taker1",
            "starttime": "0.28817500 1767168000", "finishtime": "0.10417300 1767171600",
            "state": ExecutionState::Finished.uri(),
        },
        "variables": [
            {
                "type": OUTCOME, "callIdTest": EXECUTION, "callIdItem": null, "test": "T", "item": null,
                "data": {"identifier": "SUM", "cardinality": "single", "baseType": "float", "value": "MC43NQ==", "epoch": "0.1 1767171600"},
            },
            {
                "type": RESPONSE, "callIdTest": null, "callIdItem": format!("{EXECUTION}.item-3.0"), "test": "T", "item": "I",
                "data": {"identifier": "RESPONSE", "cardinality": "single", "baseType": "identifier", "candidateResponse": STANDARD.encode(answer)},
            },
        ],
    })
}

async fn held(place: &Place, kind: ItemKind) -> Vec<ReceivedItem> {
    place.store.received_list(&ReceivedFilter { kind: Some(kind), ..Default::default() }, 100).await.unwrap()
}

#[tokio::test]
async fn results_land_once_with_their_own_times() {
    let place = central(compat(10)).await;
    load(&place.store, school(3), &["A"]).await;
    let client = TaoBox::connect(&place, "key", &["A"], Some("A")).await;
    let send = async |results: Value| {
        client.post("taoSync/ResultApi/syncResults", json!({"results": results, "sync_params": client.params()})).await
    };
    let good = json!({"success": 1, "deliveryId": DELIVERY});
    let bad = json!({"deliveryId": DELIVERY});
    // The answer of the first time is lost: it comes again, and again with another one.
    for _ in 0..3 {
        let answer = send(json!({EXECUTION: result("choice_1"), "bad": bad})).await;
        assert_eq!(answer.json(), json!({EXECUTION: good, "bad": {"success": 0}}));
    }
    let items = held(&place, ItemKind::Attempt).await;
    assert_eq!(items.len(), 1, "held once");
    let envelope = &items[0].envelope;
    assert_eq!(envelope.started_at.unwrap().to_string(), "2025-12-31T08:00:00.288175Z");
    assert_eq!(envelope.finished_at.unwrap().to_string(), "2025-12-31T09:00:00.104173Z");
    assert_eq!((envelope.state, envelope.counts.variables), (Some(ExecutionState::Finished), 2));
    assert!(!items[0].out_of_scope && items[0].head);
    let payload = place.store.received_get(items[0].id).await.unwrap().payload;
    let attempt = taosync_results::decode_attempt(&payload, taosync_results::MAX_PLAIN).unwrap();
    assert_eq!(attempt.result.items[0].variables[0].values.as_ref().unwrap()[0].text, "choice_1");

    // Reactivated on the box: the same execution with another answer is its next version; the old one again is not.
    assert_eq!(send(json!({EXECUTION: result("choice_2")})).await.json(), json!({EXECUTION: good}));
    assert_eq!(send(json!({EXECUTION: result("choice_1")})).await.json(), json!({EXECUTION: good}));
    let items = held(&place, ItemKind::Attempt).await;
    let editions: Vec<_> = items.iter().map(|item| (item.envelope.version, item.status.as_str(), item.head)).collect();
    assert_eq!(editions, [(1, "stored", false), (2, "superseded", true)]);
}

#[tokio::test]
async fn two_at_the_same_time_are_held_once() {
    let place = central(compat(10)).await;
    load(&place.store, school(3), &["A"]).await;
    let client = TaoBox::connect(&place, "key", &["A"], None).await;
    let body = json!({"results": {EXECUTION: result("a")}, "sync_params": client.params()});
    let path = "taoSync/ResultApi/syncResults";
    let (one, two) = tokio::join!(client.post(path, body.clone()), client.post(path, body));
    assert_eq!(
        (one.json(), two.json()[EXECUTION]["success"].clone()),
        (json!({EXECUTION: {"success": 1, "deliveryId": DELIVERY}}), json!(1))
    );
    assert_eq!(held(&place, ItemKind::Attempt).await.len(), 1);
}

#[tokio::test]
async fn a_result_of_somebody_who_left_is_held_all_the_same() {
    let place = central(compat(10)).await;
    load(&place.store, school(1), &["A"]).await;
    let client = TaoBox::connect(&place, "key", &["A"], None).await;
    let body = json!({"results": {EXECUTION: result("a")}, "sync_params": client.params()});
    client.post("taoSync/ResultApi/syncResults", body).await;
    assert!(held(&place, ItemKind::Attempt).await[0].out_of_scope);
}

#[tokio::test]
async fn logs_sessions_and_lti_users_follow_their_execution() {
    let place = central(compat(10)).await;
    load(&place.store, school(3), &["A"]).await;
    let client = TaoBox::connect(&place, "key", &["A"], None).await;
    let row = |id: Value, event: &str| {
        json!({
            "id": id, "delivery_execution_id": EXECUTION, "event_id": event, "data": {"a": 1},
            "created_at": "1767169300.1234", "created_by": "cli", "is_synced": 0, "log_is_after_session_sync": false,
        })
    };
    let logs = json!({EXECUTION: [row(json!(41), "TEST_PAUSE"), row(json!("42"), "TEST_RUN"), {"id": 43}]});
    let send_logs = async || {
        let body = json!({"delivery_logs": logs, "sync_params": client.params()});
        client.post("taoSync/ResultApi/syncDeliveryLogs", body).await.json()
    };
    let session = json!({"test_sessions": [EXECUTION], "sync_params": client.params()});
    let path = "taoSync/ResultApi/syncTestSessions";
    // Nothing is known of the execution: its rows stay on the box.
    assert_eq!(send_logs().await, json!({EXECUTION: {"success": 1, "logsSynced": []}}));
    assert_eq!(client.post(path, session.clone()).await.json(), json!({EXECUTION: {"success": 0}}));

    let body = json!({"results": {EXECUTION: result("a")}, "sync_params": client.params()});
    client.post("taoSync/ResultApi/syncResults", body).await;
    for _ in 0..2 {
        assert_eq!(send_logs().await, json!({EXECUTION: {"success": 1, "logsSynced": [41, "42"]}}));
        assert_eq!(client.post(path, session.clone()).await.json(), json!({EXECUTION: {"success": 1}}));
        let users = json!({"lti_users": [{"client_user_id": "urn:u", "user_id": "7"}], "sync_params": client.params()});
        let answer = client.post("taoSync/ResultApi/syncLtiUsers", users).await;
        assert_eq!(answer.json(), json!({"urn:u": {"success": 1}}));
    }
    let logs = held(&place, ItemKind::Log).await;
    let attempt = held(&place, ItemKind::Attempt).await[0].envelope.item;
    assert_eq!(logs.len(), 2, "each row once");
    assert!(logs.iter().all(|log| log.envelope.execution == Some(attempt)));
    assert_eq!(held(&place, ItemKind::Session).await.len(), 1);
    assert_eq!(held(&place, ItemKind::LtiUser).await.len(), 1);
}
