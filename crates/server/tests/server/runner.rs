//! A local server as a test runner sees it: one pupil sits the demonstration test.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use taosync_model::canonical::entity_digest;
use taosync_model::delivery::PackageRef;
use taosync_model::{Digest, Entity, EntityType, vocabulary};
use taosync_packages::tree::{Pages, build};
use taosync_packages::{Limits, check, demo_package};
use taosync_server::{ListenLimits, Local, local_router};
use taosync_store::Store;
use taosync_store::blobs::Blobs;
use taosync_store::outbox::OutboxFilter;
use taosync_store::packages::{ChunkRef, NewPackage, PackageContents};
use taosync_store::replica::{Chunk, Link, Upsert};
use taosync_store::settings::Role;
use taosync_sync::runner::Runner;
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::tokens::TokenHash;
use taosync_vault::{passwords, random};
use uuid::Uuid;

use crate::client::{Answer, bearer};
use crate::place::{Place, org};

const ANNA: &str = "http://example/anna";
const MATHS: &str = "http://example/maths";
const MATHS_IN_QUERY: &str = "http%3A%2F%2Fexample%2Fmaths";
const ELIGIBILITY: &str = "http://example/eligibility";
const PASSWORD: &str = "correct horse";

struct Room {
    place: Place,
    key: String,
}

impl Room {
    async fn open() -> Self {
        let place = Place::open(Role::Local, ListenLimits::default(), async |store, blobs, _| {
            let runner = Runner::open(store.clone(), SignedDuration::from_hours(24)).await.unwrap();
            local_router(Local::new(store, blobs, runner))
        })
        .await;
        let key = random::token();
        place.store.runner_key_add(&TokenHash::of(&key), "room 1").await.unwrap();
        Self { key: bearer(key.expose_secret()).1, place }
    }

    async fn get(&self, path: &str) -> Answer {
        self.place.get(&format!("/api/v1/runner/{path}"), &[("authorization", &self.key)]).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    async fn put(&self, path: &str, body: impl ToString) -> Answer {
        self.place.put(&format!("/api/v1/runner/{path}"), &[("authorization", &self.key)], body.to_string()).await
    }

    async fn post_text(&self, path: &str, body: String) -> Answer {
        self.place.post(&format!("/api/v1/runner/{path}"), &[("authorization", &self.key)], body).await
    }
}

fn upsert(entity_type: EntityType, entity: &Entity) -> Upsert {
    Upsert {
        entity_type,
        seq: 1,
        uri: entity.uri.clone(),
        digest: entity_digest(entity),
        body: serde_json::to_vec(entity).unwrap(),
        login: entity.first(vocabulary::USER_LOGIN).map(str::to_owned),
    }
}

/// The demonstration test, fetched and ready.
async fn demo_test(store: &Store, blobs: &Blobs) -> PackageRef {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.zip");
    std::fs::write(&path, demo_package()).unwrap();
    let (report, package) = check(&path, &Limits::default());
    let package = package.unwrap_or_else(|| panic!("{report}"));
    let mut chunks = Vec::new();
    let mut sink = |name: &Digest, bytes: &[u8]| {
        chunks.push((*name, bytes.to_vec()));
        Ok(())
    };
    let secret = store.keyring().chunks();
    let tree = build(&package, secret, &mut sink).unwrap();
    let pages = Pages::of(&tree, secret, &mut sink).unwrap();
    let key = DeliveryKey::generate();
    let sealed = pages.seal(&key).unwrap();
    let reference = PackageRef {
        version: 1,
        tree_digest: tree.tree_digest(),
        compiled_digest: package.compiled.digest,
        compiler: 1,
        sealed_tree: Digest::of(&sealed),
        sealed_tree_bytes: sealed.len() as u64,
        files: tree.files.len() as u64,
        bytes: tree.bytes(),
    };
    let refs: Vec<_> = chunks.iter().map(|(name, bytes)| ChunkRef { name: *name, bytes: bytes.len() as u64 }).collect();
    chunks.push((reference.sealed_tree, sealed));
    blobs.put_batch(chunks).await.unwrap();
    let new = NewPackage { delivery: MATHS, reference: &reference, chunks: &refs };
    let id = store.package_fetching(&new).await.unwrap();
    let contents =
        PackageContents { reference: None, key: Some(&key), tree: None, compiled: Some(&package.compiled.bytes) };
    store.package_ready(id, &contents).await.unwrap();
    reference
}

async fn fill(place: &Place) {
    let reference = demo_test(&place.store, &place.blobs).await;
    let maths = Entity { package: Some(reference), ..Entity::new(MATHS, vocabulary::CLASS_DELIVERY) };
    let anna = Entity::new(ANNA, vocabulary::CLASS_SUBJECT)
        .with(vocabulary::RDFS_LABEL, "Anna")
        .with(vocabulary::USER_LOGIN, "anna")
        .with(vocabulary::USER_PASSWORD, passwords::tao_hash(&SecretString::from(PASSWORD)))
        .with(vocabulary::USER_ASSIGNMENT, ELIGIBILITY);
    let eligibility =
        Entity::new(ELIGIBILITY, vocabulary::CLASS_ELIGIBILITY).with(vocabulary::ELIGIBLE_DELIVERY, MATHS);
    let upserts = vec![
        upsert(EntityType::Delivery, &maths.with(vocabulary::RDFS_LABEL, "Maths")),
        upsert(EntityType::TestTaker, &anna),
        upsert(EntityType::Eligibility, &eligibility),
    ];
    let link = Link {
        entity_type: EntityType::Eligibility,
        owner: ELIGIBILITY.to_owned(),
        predicate: vocabulary::ELIGIBLE_TEST_TAKER.to_owned(),
        value: taosync_model::Value::plain(ANNA),
        present: true,
    };
    let scope = place.store.replica_open(Uuid::from_u128(1), &org("a")).await.unwrap().id;
    let chunk = Chunk { upserts, links: vec![link], ..Chunk::default() };
    place.store.replica_apply(scope, chunk, &BTreeMap::new()).await.unwrap();
}

#[tokio::test]
async fn a_test_is_shown_with_its_files() {
    let room = Room::open().await;
    fill(&room.place).await;
    let listed = room.get("deliveries").await.json();
    assert_eq!(listed, json!({ "deliveries": [{ "uri": MATHS, "label": "Maths", "state": "ready", "version": 1 }] }));
    let shown = room.get(&format!("delivery?uri={MATHS_IN_QUERY}")).await.json();
    assert_eq!((&shown["label"], &shown["version"]), (&json!("Maths"), &json!(1)));
    let items = shown["compiled"]["items"].as_array().unwrap();
    assert_eq!(items.len(), 8);
    let href = items[0]["href"].as_str().unwrap().to_owned();
    let file = room.get(&format!("file?uri={MATHS_IN_QUERY}&path={href}")).await;
    assert_eq!((file.status, file.header("content-type")), (200, "application/xml"));
    assert_eq!(file.header("content-security-policy"), "sandbox");
    assert!(file.body.starts_with(b"<?xml"), "{href}");
    let again = room.get(&format!("file?uri={MATHS_IN_QUERY}&version=1&path={href}")).await;
    assert_eq!(again.body, file.body);
    for missing in ["file?uri=x&path=x", &format!("file?uri={MATHS_IN_QUERY}&path=../x"), "delivery?uri=x"] {
        let answer = room.get(missing).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{missing}");
    }
    assert_eq!(room.get("delivery").await.code(), "bad_request");
    let later = room.get(&format!("delivery?uri={MATHS_IN_QUERY}&version=2")).await;
    assert_eq!((later.status, later.code().as_str()), (409, "delivery_not_ready"));
}

#[tokio::test]
async fn an_attempt_goes_from_login_to_the_outbox() {
    let room = Room::open().await;
    fill(&room.place).await;
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
