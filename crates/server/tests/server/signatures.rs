//! Every request but the first is signed: for this request, with this token, by the machine the token was given to, once.

use secrecy::SecretString;
use taosync_model::Clock as _;
use taosync_vault::proof::{Proof, ProofClaims};

use crate::client::{Answer, bearer, dpop};
use crate::place::{Machine, Place};

const FEED: &str = "/api/v1/feed";

async fn feed(place: &Place, token: &str, proof: &str) -> Answer {
    let (name, value) = dpop(token);
    place.get(FEED, &[(name, &value), ("dpop", proof)]).await
}

fn refused(answer: &Answer) -> (u16, String) {
    assert!(answer.header("www-authenticate").starts_with("DPoP "), "{answer:?}");
    assert_eq!(answer.header("dpop-nonce").len(), 12, "{answer:?}");
    (answer.status, answer.code())
}

#[tokio::test]
async fn a_token_without_its_proof_is_worth_nothing() {
    let place = Place::central().await;
    let token = place.token("a").await;
    let machine = place.machines.lock().unwrap()[&token].clone();
    let (name, value) = bearer(&token);
    assert_eq!(refused(&place.get(FEED, &[(name, &value)]).await), (401, "proof_missing".into()));
    assert_eq!(refused(&feed(&place, &token, "a.b.c").await), (401, "invalid_dpop_proof".into()));
    let other = Machine::new();
    for proof in [
        machine.sign(&place, "POST", FEED, &token),
        machine.sign(&place, "GET", "/api/v1/report", &token),
        machine.sign(&place, "GET", FEED, "another token"),
        other.sign(&place, "GET", FEED, &token),
    ] {
        assert_eq!(refused(&feed(&place, &token, &proof).await), (401, "invalid_dpop_proof".into()));
    }
    let proof = machine.sign(&place, "GET", FEED, &token);
    let (name, value) = dpop(&token);
    let twice = place.get(FEED, &[(name, &value), ("dpop", &proof), ("dpop", &proof)]).await;
    assert_eq!(refused(&twice), (401, "proof_missing".into()));
    let answer = feed(&place, &token, &proof).await;
    assert_eq!((answer.status, answer.header("dpop-nonce").len()), (200, 12));
}

#[tokio::test]
async fn a_request_that_was_seen_cannot_be_made_again_where_it_would_matter() {
    let place = Place::central().await;
    let token = place.token("a").await;
    let machine = place.machines.lock().unwrap()[&token].clone();
    let (name, value) = dpop(&token);
    for (method, path, is_once) in [
        ("GET", FEED, true),
        ("POST", "/api/v1/outbox", true),
        ("POST", "/api/v1/report", true),
        ("POST", "/api/v1/delivery-keys", true),
        ("POST", "/api/v1/compare", true),
        ("POST", "/api/v1/compare/round", false),
        ("POST", "/api/v1/compare/listing", false),
        ("POST", "/api/v1/chunks", false),
        ("GET", "/api/v1/chunks/0", false),
    ] {
        let proof = machine.sign(&place, method, path, &token);
        let headers = [(name, value.as_str()), ("dpop", &proof)];
        let send = async || match method {
            "GET" => place.get(path, &headers).await,
            _ => place.post(path, &headers, "{}").await,
        };
        let first = send().await;
        assert_ne!(first.status, 401, "{path}: {first:?}");
        let second = send().await;
        assert_eq!(second.status == 401 && second.code() == "proof_replayed", is_once, "{path}: {second:?}");
        // Another process, or the same after a restart, remembers it too: it is in the database.
        assert_eq!(is_once, !remembered(&place, &machine, &proof).await, "{path}");
    }
}

/// Whether the proof could still be taken.
async fn remembered(place: &Place, machine: &Machine, proof: &str) -> bool {
    use base64::Engine as _;
    let payload = proof.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let name = format!("{}.{}", machine.keys.node_key().thumbprint(), payload["jti"].as_str().unwrap());
    let mut id = [0; 16];
    id.copy_from_slice(&taosync_model::Digest::of(name.as_bytes()).0[..16]);
    place.store.proof_take(&id).await.unwrap()
}

#[tokio::test]
async fn with_a_nonce_no_clock_is_asked() {
    let place = Place::central().await;
    let token = place.token("a").await;
    let machine = place.machines.lock().unwrap()[&token].clone();
    let url = format!("https://localhost:{}{FEED}", place.address.port());
    let secret = SecretString::from(token.as_str());
    let sign = |hours: i64, nonce: Option<&str>| {
        let made = place.clock.now() + jiff::SignedDuration::from_hours(hours);
        Proof::sign(machine.keys.node_key(), "GET", &url, made, nonce, Some(&secret), ProofClaims::default())
    };
    for hours in [-490_000, -1, 1, 640_000] {
        let answer = feed(&place, &token, &sign(hours, None)).await;
        assert_eq!(refused(&answer), (401, "use_dpop_nonce".into()), "{hours}");
        let nonce = answer.header("dpop-nonce").to_owned();
        assert_eq!(feed(&place, &token, &sign(hours, Some(&nonce))).await.status, 200, "{hours}");
    }
    assert_eq!(feed(&place, &token, &sign(0, Some("of another"))).await.status, 200, "the clocks agree");
}
