//! A machine becomes known: by a code from the office, or by a sync manager's login; and its secret is changed.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use taosync_model::{Clock as _, Entity, EntityType, vocabulary as v};
use taosync_store::Durability;
use taosync_store::accounts::sessions::Holder;
use taosync_store::audit::AuditFilter;
use taosync_store::consumers::NewConsumer;
use taosync_store::entities::Change;
use taosync_store::rotation::Overlap;
use taosync_sync::tao::orphans::{self, Orphan};
use taosync_vault::succession::Follows;
use taosync_vault::tokens::TokenHash;
use taosync_vault::{node_key, passwords, random};
use taosync_wire::v1::time;

use crate::client::{Answer, dpop};
use crate::place::{Machine, Place, org};
use crate::tao;

const ENROL: &str = "/api/v1/oauth/enrol";
const HANDSHAKE: &str = "/api/v1/oauth/handshake";
/// A refused login is answered no sooner, whatever the reason.
const REFUSED_AFTER: Duration = Duration::from_millis(25);
const MANAGER: &str = "http://example/manager";

/// A consumer with a code that is good for a day; gives the secret in the code.
pub async fn code(place: &Place, key: &str, orgs: &[&str]) -> SecretString {
    let new = NewConsumer {
        client_key: key.to_owned(),
        secret_hash: TokenHash::of(&place.store.keyring().consumer_secret(key, 0)),
        user: "North School".to_owned(),
        role: "sync manager".to_owned(),
        orgs: orgs.iter().map(|name| org(name)).collect(),
    };
    place.store.consumer_create(&new).await.unwrap();
    fresh_code(place, key).await
}

async fn fresh_code(place: &Place, key: &str) -> SecretString {
    let secret = SecretString::from(hex::encode(random::bytes::<12>()));
    let tomorrow = place.clock.now() + SignedDuration::from_hours(24);
    place.store.code_add(key, &TokenHash::of(&secret), tomorrow).await.unwrap();
    secret
}

async fn ask(place: &Place, machine: &Machine, path: &str, body: Value) -> Answer {
    let proof = machine.proof_for(place, path);
    place.post(path, &[("content-type", "application/json"), ("dpop", &proof)], body.to_string()).await
}

async fn show(place: &Place, machine: &Machine, code: &SecretString) -> Answer {
    ask(place, machine, ENROL, json!({"code": code.expose_secret()})).await
}

async fn sign_in(place: &Place, machine: &Machine, password: &str) -> Answer {
    ask(place, machine, HANDSHAKE, json!({"login": "anna", "password": password})).await
}

fn given(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (text("key"), text("secret"))
}

/// Asks for a token with what was given; the answer, whatever it is.
async fn token(place: &Place, machine: &Machine, (key, secret): &(String, String)) -> Answer {
    let form = format!("grant_type=client_credentials&client_id={key}&client_secret={secret}");
    place.ask_token(&form, Some(&machine.proof(place))).await
}

async fn manager(place: &Place, password: &str, org: &str) {
    let entity = Entity::new(MANAGER, v::CLASS_SUBJECT)
        .with(v::USER_LOGIN, "anna")
        .with(v::USER_PASSWORD, passwords::tao_hash(&SecretString::from(password)))
        .with(v::ORGANISATION_ID, org);
    tao::load(&place.store, vec![(EntityType::SyncManager, entity)], &[]).await;
}

#[tokio::test]
async fn a_code_is_good_for_one_machine_and_a_lost_answer_costs_nothing() {
    let place = Place::central().await;
    let code = code(&place, "school", &["a"]).await;
    let (ours, theirs) = (Machine::new(), Machine::new());
    let first = given(&show(&place, &ours, &code).await);
    assert_eq!(given(&show(&place, &ours, &code).await), first, "the same machine asks again");
    assert_eq!(show(&place, &theirs, &code).await.code(), "code_refused");
    assert_eq!(token(&place, &theirs, &first).await.json()["error"], "consumer_bound", "also before its first token");
    assert_eq!(token(&place, &ours, &first).await.status, 200);
    let listed = place.store.codes_list().await.unwrap();
    assert_eq!(listed[0].used_by.as_deref(), Some(ours.keys.node_key().thumbprint().as_str()));
    let acts: Vec<String> = place.store.audit_list(10).await.unwrap().into_iter().map(|line| line.act).collect();
    assert_eq!(acts.iter().filter(|act| *act == "consumer.enrol").count(), 1, "{acts:?}");
}

#[tokio::test]
async fn a_code_ends_with_its_time_with_its_consumer_and_with_the_next_one() {
    let place = Place::central().await;
    let over = code(&place, "late", &["a"]).await;
    let revoked = code(&place, "revoked", &["a"]).await;
    let replaced = code(&place, "replaced", &["b"]).await;
    let machine = Machine::new();
    place.store.consumer_revoke("revoked").await.unwrap();
    assert_eq!(show(&place, &machine, &revoked).await.code(), "code_refused");
    let newer = fresh_code(&place, "replaced").await;
    assert_eq!(show(&place, &machine, &replaced).await.code(), "code_refused");
    assert_eq!(given(&show(&place, &machine, &newer).await).0, "replaced", "another organisation is not touched");
    place.clock.shift(SignedDuration::from_hours(24).as_secs());
    assert_eq!(show(&place, &Machine::new(), &over).await.code(), "code_refused");
}

#[tokio::test]
async fn guessing_codes_and_passwords_is_slowed_down() {
    let place = Place::central().await;
    manager(&place, "right", "a").await;
    let good = code(&place, "school", &["a"]).await;
    let machine = Machine::new();
    for path in [ENROL, HANDSHAKE] {
        let wrong = json!({"code": "00", "login": "anna", "password": "wrong"});
        for _ in 0..5 {
            assert_eq!(ask(&place, &machine, path, wrong.clone()).await.status, 403, "{path}");
        }
        let slow = ask(&place, &machine, path, wrong).await;
        assert_eq!((slow.status, slow.header("retry-after")), (429, "1"), "{path}");
    }
    assert_eq!(show(&place, &machine, &good).await.status, 429, "also with the right one");
}

#[tokio::test]
async fn a_sync_manager_connects_a_machine_once_however_often_and_also_with_a_new_password() {
    let place = Place::central().await;
    manager(&place, "first", "a").await;
    let (one, two) = (Machine::new(), Machine::new());
    let connected = given(&sign_in(&place, &one, "first").await);
    assert_eq!(given(&sign_in(&place, &one, "first").await), connected);
    assert_eq!(token(&place, &one, &connected).await.status, 200);
    assert_eq!(token(&place, &two, &connected).await.json()["error"], "consumer_bound");
    let of_a = token(&place, &one, &connected).await.json()["access_token"].as_str().unwrap().to_owned();
    manager(&place, "second", "b").await;
    assert_eq!(sign_in(&place, &one, "first").await.code(), "login_wrong");
    assert_eq!(given(&sign_in(&place, &one, "second").await), connected, "no new one");
    let (name, value) = dpop(&of_a);
    assert_eq!(place.get("/api/v1/feed", &[(name, &value)]).await.status, 401, "a token for an organisation of before");
    let organisations = token(&place, &one, &connected).await.json()["organisations"].clone();
    assert_eq!(organisations, json!(["b"]), "for the organisations the manager has now");
    let other = given(&sign_in(&place, &two, "second").await);
    assert_ne!(other.0, connected.0, "each machine has its own");
    assert_eq!(place.store.consumers_list().await.unwrap().len(), 2);
    place.store.consumer_revoke(&other.0).await.unwrap();
    assert_eq!(token(&place, &one, &connected).await.status, 200, "revoking one leaves the other alone");
}

#[tokio::test]
async fn who_is_no_sync_manager_or_was_shut_out_connects_nothing() {
    let place = Place::central().await;
    let taker = Entity::new("http://example/taker", v::CLASS_SUBJECT)
        .with(v::USER_LOGIN, "anna")
        .with(v::USER_PASSWORD, passwords::tao_hash(&SecretString::from("pw")));
    tao::load(&place.store, vec![(EntityType::TestTaker, taker)], &[]).await;
    let mut machine = Machine::new();
    assert_eq!(sign_in(&place, &machine, "pw").await.code(), "login_wrong");
    let first = code(&place, "school", &["a"]).await;
    let known = given(&show(&place, &machine, &first).await);
    assert_eq!(token(&place, &machine, &known).await.status, 200);
    place.store.node_lose(machine.id, "test").await.unwrap();
    let second = code(&place, "second", &["a"]).await;
    assert_eq!(show(&place, &machine, &second).await.code(), "node_revoked");
    machine.id = random::uuid();
    assert_eq!(show(&place, &machine, &second).await.code(), "node_revoked", "also under another id");
    assert_eq!(given(&show(&place, &Machine::new(), &second).await).0, "second", "the machine in its place");
}

/// Whether a password is right is told to nobody whose login it is not: the answer is that to a wrong one, tries are counted
/// as wrong ones, and the office reads the reason in the audit log.
#[tokio::test]
async fn the_right_password_of_somebody_else_is_answered_as_a_wrong_one() {
    let place = Place::central().await;
    let (taker, nowhere) = ("http://example/taker", "http://example/nowhere");
    let person = |uri: &str, login: &str| {
        let hash = passwords::tao_hash(&SecretString::from("right"));
        Entity::new(uri, v::CLASS_SUBJECT).with(v::USER_LOGIN, login).with(v::USER_PASSWORD, hash)
    };
    let people = [(EntityType::TestTaker, person(taker, "anna")), (EntityType::SyncManager, person(nowhere, "berta"))];
    tao::load(&place.store, people.into(), &[]).await;
    let machine = Machine::new();
    let since = Instant::now();
    assert_eq!(
        ask(&place, &machine, HANDSHAKE, json!({"login": "ghost", "password": "x"})).await.code(),
        "login_wrong"
    );
    assert!(since.elapsed() >= REFUSED_AFTER, "an unknown login: {:?}", since.elapsed());
    for (login, uri) in [("anna", taker), ("berta", nowhere)] {
        let sign_in = async |password: &str| {
            let since = Instant::now();
            let answer = ask(&place, &machine, HANDSHAKE, json!({"login": login, "password": password})).await;
            // Neither what is found out nor who exists shows in the time.
            assert!(answer.status != 403 || since.elapsed() >= REFUSED_AFTER, "{:?}", since.elapsed());
            let (status, body) = (answer.status, answer.body.clone());
            (status, body, answer)
        };
        let (wrong, right) = (sign_in("wrong").await, sign_in("right").await);
        assert_eq!((right.0, right.1), (wrong.0, wrong.1), "{login}");
        assert_eq!(noted(&place, uri).await, 1, "{login}");
        for _ in 0..3 {
            assert_eq!(sign_in("right").await.0, 403);
        }
        let (status, _, slow) = sign_in("right").await;
        assert_eq!((status, slow.header("retry-after")), (429, "1"), "right ones are no way around the wait");
    }
    assert!(place.store.consumers_list().await.unwrap().is_empty());
}

/// How often a person was refused, once the log says so at all: nobody who signs in waits for it.
async fn noted(place: &Place, uri: &str) -> usize {
    let filter = AuditFilter {
        act: Some("manager.refuse".into()),
        object: Some(place.store.subject_name(uri)),
        ..AuditFilter::default()
    };
    for _ in 0..500 {
        let found = place.store.audit_find(&filter, 10).await.unwrap().len();
        if found > 0 {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    0
}

#[tokio::test]
async fn what_a_manager_connected_goes_on_without_them_and_they_connect_nothing_more() {
    let place = Place::central().await;
    manager(&place, "right", "a").await;
    let (one, two) = (Machine::new(), Machine::new());
    let connected = given(&sign_in(&place, &one, "right").await);
    assert_eq!(orphans::look(&place.store).await.unwrap(), []);
    assert!(orphans::note(&place.store).await.unwrap().is_empty());

    manager(&place, "right", "b").await;
    let orphan =
        |orgs: &[&str]| Orphan { client_key: connected.0.clone(), orgs: orgs.iter().map(|name| org(name)).collect() };
    assert_eq!(orphans::look(&place.store).await.unwrap(), [orphan(&["a"])], "of another organisation now");
    assert_eq!(orphans::note(&place.store).await.unwrap(), [connected.0.as_str()]);
    assert!(orphans::note(&place.store).await.unwrap().is_empty(), "once");
    manager(&place, "right", "a").await;
    assert!(orphans::note(&place.store).await.unwrap().is_empty());
    assert_eq!(place.store.consumers_list().await.unwrap()[0].orphaned_at, None, "they are back");

    let session = TokenHash::of(&random::token());
    let kept = SecretString::from("hash");
    place.store.session_open(&session, &Holder::Manager(MANAGER.to_owned()), &kept).await.unwrap();
    assert!(place.store.session_find(&session).await.unwrap().is_some());
    let mut tx = place.store.write("erase", Durability::Flushed).await.unwrap();
    place.store.subjects_erase(&mut tx, &[MANAGER.to_owned()]).await.unwrap();
    place.store.entities_change(&mut tx, vec![Change::Remove(MANAGER.to_owned())]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(orphans::note(&place.store).await.unwrap(), [connected.0.as_str()]);
    assert_eq!(orphans::look(&place.store).await.unwrap(), [orphan(&["a"])]);
    let filter = AuditFilter { act: Some("consumer.orphan".into()), ..AuditFilter::default() };
    let acts = place.store.audit_find(&filter, 9).await.unwrap();
    assert!(acts.len() == 2 && acts.iter().all(|line| line.detail.contains(&connected.0)), "{acts:?}");
    assert_eq!(place.store.session_find(&session).await.unwrap(), None);
    let kept = place.store.consumers_list().await.unwrap().remove(0);
    assert!(kept.orphaned_at.is_some() && !kept.user.contains("anna"), "the name of who was erased is gone");
    assert_ne!(place.store.handshake_consumers().await.unwrap()[0].manager, MANAGER);

    assert_eq!(token(&place, &one, &connected).await.status, 200, "no school is locked out");
    for machine in [&one, &two] {
        assert_eq!(sign_in(&place, machine, "right").await.code(), "login_wrong");
    }
    // Also somebody who takes their place gets a consumer of their own, and not what they had.
    manager(&place, "right", "a").await;
    assert_ne!(given(&sign_in(&place, &one, "right").await), connected);
    place.store.consumer_revoke(&connected.0).await.unwrap();
    assert_eq!(orphans::look(&place.store).await.unwrap(), []);
}

#[tokio::test]
async fn an_organisation_with_another_name_keeps_its_managers_and_their_machines() {
    let place = Place::central().await;
    let center = Entity::new("http://example/center", v::CLASS_TEST_CENTER).with(v::ORGANISATION_ID, "a");
    tao::load(&place.store, vec![(EntityType::TestCenter, center)], &["a"]).await;
    manager(&place, "right", "a").await;
    let machine = Machine::new();
    let connected = given(&sign_in(&place, &machine, "right").await);
    place.store.org_rename(&org("a"), &org("z")).await.unwrap();
    assert_eq!(orphans::look(&place.store).await.unwrap(), []);
    assert_eq!(given(&sign_in(&place, &machine, "right").await), connected);
    assert_eq!(token(&place, &machine, &connected).await.json()["organisations"], json!(["z"]));
}

#[tokio::test]
async fn requests_without_a_proof_or_with_one_of_before_are_refused() {
    let place = Place::central().await;
    let code = code(&place, "school", &["a"]).await;
    let machine = Machine::new();
    let body = json!({"code": code.expose_secret()}).to_string();
    let json = ("content-type", "application/json");
    assert_eq!(place.post(ENROL, &[json], body.clone()).await.code(), "proof_missing");
    let proof = machine.proof_for(&place, ENROL);
    assert_eq!(place.post(ENROL, &[json, ("dpop", &proof)], body.clone()).await.status, 200);
    assert_eq!(place.post(ENROL, &[json, ("dpop", &proof)], body).await.code(), "proof_replayed");
    for (bytes, status) in [(4_096, 403), (4_097, 413)] {
        for (path, start) in [(ENROL, "{\"code\":\"00\""), (HANDSHAKE, "{\"login\":\"x\",\"password\":\"y\"")] {
            let body = format!("{start}{}}}", " ".repeat(bytes - start.len() - 1));
            let proof = machine.proof_for(&place, path);
            assert_eq!(place.post(path, &[json, ("dpop", &proof)], body).await.status, status, "{path} {bytes}");
        }
    }
}

#[tokio::test]
async fn a_secret_is_changed_without_locking_anybody_out_and_the_old_one_stops() {
    let place = Place::central().await;
    let machine = Machine::new();
    let old = given(&show(&place, &machine, &code(&place, "school", &["a"]).await).await);
    let neighbour = Machine::new();
    let of_b = given(&show(&place, &neighbour, &code(&place, "of-b", &["b"]).await).await);
    let before = token(&place, &machine, &old).await.json();
    assert_eq!(before["new_secret"], Value::Null);
    let until = place.clock.now() + SignedDuration::from_hours(24 * 30);
    place.store.consumer_rotate("school", Overlap::Until(until)).await.unwrap();
    assert!(place.store.consumer_rotate("school", Overlap::Until(until)).await.is_err(), "one after the other");
    let told = token(&place, &machine, &old).await.json();
    let new = ("school".to_owned(), told["new_secret"].as_str().unwrap().to_owned());
    let again = token(&place, &machine, &old).await.json();
    assert_eq!(again["new_secret"], told["new_secret"], "an answer that was lost");
    assert_eq!(token(&place, &neighbour, &old).await.json()["error"], "consumer_bound", "nobody else is told");
    assert_eq!(token(&place, &machine, &new).await.json()["new_secret"], Value::Null);
    assert_eq!(token(&place, &machine, &old).await.json()["error"], "invalid_client", "the new one was used");
    assert_eq!(token(&place, &machine, &new).await.status, 200);
    assert_eq!(token(&place, &neighbour, &of_b).await.status, 200, "others have theirs");
}

#[tokio::test]
async fn an_old_secret_stops_after_its_overlap_and_at_once_when_it_must() {
    let place = Place::central().await;
    let machine = Machine::new();
    let old = given(&show(&place, &machine, &code(&place, "school", &["a"]).await).await);
    let token_before = token(&place, &machine, &old).await.json()["access_token"].as_str().unwrap().to_owned();
    let until = place.clock.now() + SignedDuration::from_hours(1);
    place.store.consumer_rotate("school", Overlap::Until(until)).await.unwrap();
    place.clock.shift(3_601);
    assert_eq!(token(&place, &machine, &old).await.json()["error"], "invalid_client");
    place.store.consumer_rotate("school", Overlap::None).await.unwrap();
    assert_eq!(token(&place, &machine, &old).await.json()["error"], "invalid_client");
    let (name, value) = dpop(&token_before);
    let feed = place.get("/api/v1/feed", &[(name, &value)]).await;
    assert_eq!(feed.status, 401, "tokens of before are gone");
    let new = given(&show(&place, &machine, &fresh_code(&place, "school").await).await);
    assert_eq!(token(&place, &machine, &new).await.status, 200);
}

#[tokio::test]
async fn the_time_is_signed_for_whoever_asks_and_for_one_question() {
    let place = Place::central().await;
    let nonce = [7; time::NONCE_BYTES];
    let path = |nonce: &str| format!("/api/v1/time?nonce={nonce}");
    let answer = place.get(&path(&hex::encode(nonce)), &[]).await;
    let said: time::SignedTime = serde_json::from_slice(&answer.body).unwrap();
    assert!((said.time.as_second() - place.clock.now().as_second()).abs() < 5);
    let key = place.store.keyring().node_key().public();
    let signature = hex::decode(&said.signature).unwrap();
    let holds =
        |nonce, time| node_key::verify(&key, &time::signed_bytes(said.central, &nonce, time), &signature).is_ok();
    assert!(holds(nonce, said.time));
    assert!(!holds([8; time::NONCE_BYTES], said.time));
    assert!(!holds(nonce, said.time + SignedDuration::from_secs(1)));
    for wrong in ["", "00", &"0".repeat(33), &"g".repeat(32)] {
        assert_eq!(place.get(&path(wrong), &[]).await.code(), "bad_request", "{wrong}");
    }
    assert_eq!(place.get("/api/v1/time", &[]).await.code(), "bad_request");
}

#[tokio::test]
async fn many_tries_at_once_are_no_way_around_the_wait() {
    let place = Place::central().await;
    manager(&place, "right", "a").await;
    let machine = Machine::new();
    let tries = (0..40).map(|_| sign_in(&place, &machine, "wrong"));
    let statuses: Vec<u16> = join_all(tries).await.into_iter().map(|answer| answer.status).collect();
    let looked_at = statuses.iter().filter(|status| **status == 403).count();
    assert!((1..=6).contains(&looked_at), "{statuses:?}");
    assert_eq!(looked_at + statuses.iter().filter(|status| **status == 429).count(), 40, "{statuses:?}");
}

#[tokio::test]
async fn of_many_machines_that_show_a_code_at_once_one_is_let_in() {
    let place = Place::central().await;
    let code = code(&place, "school", &["a"]).await;
    let machines: Vec<Machine> = (0..5).map(|_| Machine::new()).collect();
    let answers = join_all(machines.iter().map(|machine| show(&place, machine, &code))).await;
    let let_in: Vec<usize> = (0..5).filter(|&number| answers[number].status == 200).collect();
    assert_eq!(let_in.len(), 1, "{answers:?}");
    let bound = place.store.consumers_list().await.unwrap().remove(0).thumbprints;
    assert_eq!(bound, [machines[let_in[0]].keys.node_key().thumbprint()]);
}

#[tokio::test]
async fn a_lost_machine_that_has_another_identity_already_is_told_of() {
    let place = Place::central().await;
    let machine = Machine::new();
    let given = given(&show(&place, &machine, &code(&place, "school", &["a"]).await).await);
    assert_eq!(token(&place, &machine, &given).await.status, 200);
    // Before anybody misses it, whoever has it makes it a machine of its own.
    let renewed = Machine::new();
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", given.0, given.1);
    let proof = renewed.proof_with(&place, renewed.after(&machine, Follows::AnotherNode));
    assert_eq!(place.ask_token(&form, Some(&proof)).await.status, 200);
    let lost = place.store.node_lose(machine.id, "test").await.unwrap();
    assert!(!lost.consumers[0].is_revoked);
    assert_eq!(lost.consumers[0].others.iter().map(|other| other.node).collect::<Vec<_>>(), [renewed.id]);
    let lost = place.store.node_lose(renewed.id, "test").await.unwrap();
    assert!(lost.consumers[0].is_revoked && lost.consumers[0].others.is_empty());
    assert_eq!(token(&place, &renewed, &given).await.json()["error"], "invalid_client");
}
