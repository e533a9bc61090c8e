//! A local server as a test runner sees it: one pupil sits the demonstration test.

use serde_json::json;
use taosync_store::outbox::OutboxFilter;
use taosync_vault::random;
use uuid::Uuid;

use crate::room::{ANNA, MATHS, PASSWORD, Room};

#[tokio::test]
async fn an_attempt_goes_from_login_to_the_outbox() {
    let room = Room::open().await;
    room.fill().await;
    let wrong = room.post("authenticate", &json!({ "login": "anna", "password": "no" })).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "wrong_login"));
    let taker = room.post("authenticate", &json!({ "login": "anna", "password": PASSWORD })).await.json();
    assert_eq!((&taker["test_taker"], &taker["deliveries"][0]["uri"]), (&json!(ANNA), &json!(MATHS)));

    let started = room.post("executions", &json!({ "delivery": MATHS, "test_taker": ANNA })).await;
    assert_eq!((started.status, &started.json()["state"]), (201, &json!("active")));
    let id = started.json()["id"].as_str().unwrap().to_owned();
    let saved = json!([{ "item": { "identifier": "i1" }, "variables": [{ "kind": "response", "identifier": "RESPONSE",
        "cardinality": "single", "base_type": "identifier", "values": [{ "text": "choice_1" }] }] }]);
    let save = format!("executions/{id}/variables/{}", random::uuid());
    for _ in 0..2 {
        assert_eq!(room.put(&save, &saved).await.status, 204, "again after a lost answer");
    }
    assert_eq!(room.put(&save, json!([])).await.code(), "save_differs");
    let log = json!([{ "at": "2026-05-12T08:00:00Z", "event": "STARTED" }]);
    assert_eq!(room.put(&format!("executions/{id}/log/{}", random::uuid()), &log).await.status, 204);
    assert_eq!(room.put(&format!("executions/{id}/position"), json!({ "item": 1 })).await.status, 204);
    let resumable = room.get(&format!("executions/{id}")).await.json();
    assert_eq!(
        (&resumable["position"], &resumable["variables"][0]["item"]["identifier"]),
        (&json!({"item": 1}), &json!("i1"))
    );
    assert_eq!(resumable["variables"].as_array().unwrap().len(), 1);

    let finished = room.post_text(&format!("executions/{id}/finish"), String::new()).await;
    assert_eq!((finished.status, &finished.json()["state"]), (200, &json!("finished")));
    let waiting = room.place.store.outbox_list(&OutboxFilter::default(), 10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].envelope.item.to_string(), id);
    assert_eq!(room.put(&save, &saved).await.status, 204, "it is saved, though nothing more is taken");
    for path in ["position".to_owned(), format!("variables/{}", random::uuid())] {
        let over = room.put(&format!("executions/{id}/{path}"), json!([])).await;
        assert_eq!((over.status, over.code().as_str()), (409, "execution_over"));
    }
    assert_eq!(room.put(&format!("executions/{id}/variables/1"), &saved).await.code(), "bad_request");
    assert_eq!(room.put(&format!("executions/x/variables/{}", Uuid::nil()), &saved).await.status, 404);
    let again = room.post(&format!("executions/{id}/reactivate"), &json!(null)).await.json();
    assert_eq!(again["state"], "active");
    let end = json!({ "state": "terminated", "reason": "left the room" });
    assert_eq!(room.post(&format!("executions/{id}/finish"), &end).await.json()["reason"], "left the room");

    let nobody = room.post("executions", &json!({ "delivery": MATHS, "test_taker": "x" })).await;
    assert_eq!((nobody.status, nobody.code().as_str()), (403, "not_eligible"));
    assert_eq!(room.get("executions/x").await.status, 404);
    assert_eq!(room.get(&format!("executions/{}", Uuid::nil())).await.status, 404);
    let user = json!({ "organisation_id": "a", "user": { "id": "7" } });
    assert_eq!(room.post("lti-users", &user).await.status, 201);
}

#[tokio::test]
async fn bodies_have_a_size_and_errors_quote_nothing() {
    let room = Room::open().await;
    let path = format!("executions/{}/position", Uuid::nil());
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let over = room.put(&path, text(4 * 1024 * 1024 + 1)).await;
    assert_eq!((over.status, over.code().as_str()), (413, "body_too_large"));
    let at_limit = room.put(&path, text(4 * 1024 * 1024)).await;
    assert_eq!((at_limit.status, at_limit.code().as_str()), (413, "too_much"), "read whole, and more than a position");
    let wrong = room.post_text("authenticate", r#"{"login":7,"password":"secret-word"}"#.to_owned()).await;
    assert_eq!(wrong.code(), "bad_request");
    assert!(!String::from_utf8_lossy(&wrong.body).contains("secret-word"));
}

#[tokio::test]
async fn logins_users_and_reasons_have_a_size() {
    let room = Room::open().await;
    let login = |length: usize| {
        let empty = json!({ "login": "", "password": "x" }).to_string().len();
        json!({ "login": "l".repeat(length - empty), "password": "x" })
    };
    for (length, expected) in [(4 * 1024, (401, "wrong_login")), (4 * 1024 + 1, (413, "body_too_large"))] {
        let answer = room.post("authenticate", &login(length)).await;
        assert_eq!((answer.status, answer.code().as_str()), expected, "{length}");
    }
    let user = |length: usize| json!({ "organisation_id": "a", "user": { "n": "x".repeat(length - 8) } });
    assert_eq!(user(100)["user"].to_string().len(), 100);
    assert_eq!(room.post("lti-users", &user(64 * 1024)).await.status, 201);
    let over = room.post("lti-users", &user(64 * 1024 + 1)).await;
    assert_eq!((over.status, over.code().as_str()), (413, "too_much"));
    let end = |length: usize| json!({ "state": "terminated", "reason": "é".repeat(length) });
    let path = format!("executions/{}/finish", Uuid::nil());
    for (length, expected) in [(1_000, 404), (1_001, 413)] {
        assert_eq!(room.post(&path, &end(length)).await.status, expected, "{length} characters");
    }
}

#[tokio::test]
async fn only_the_holder_of_a_key_comes_in() {
    let room = Room::open().await;
    let store = &room.place.store;
    let answer = room.get("deliveries").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "deliveries": [] })));
    let other = room.place.get("/api/v1/runner/deliveries", &[("authorization", "Bearer other")]).await;
    assert_eq!((other.status, other.code().as_str()), (401, "runner_key_invalid"));
    assert_eq!(room.place.get("/api/v1/runner/deliveries", &[]).await.code(), "runner_key_invalid");
    assert_eq!(room.place.get("/api/v1/runner/nothing", &[]).await.code(), "not_found");
    let keys = store.runner_keys_list().await.unwrap();
    assert_eq!((keys[0].label.as_str(), keys[0].revoked_at), ("room 1", None));
    assert!(store.runner_key_revoke("nothing").await.is_err());
    store.runner_key_revoke(&keys[0].name).await.unwrap();
    assert_eq!(room.get("deliveries").await.code(), "runner_key_invalid");
}
