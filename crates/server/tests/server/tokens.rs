//! The token endpoint and the bearer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use taosync_model::Clock as _;
use taosync_vault::proof::ProofClaims;
use taosync_vault::random;
use taosync_vault::succession::Follows;

use crate::client::{Answer, dpop};
use crate::place::{Machine, Place};

const FORM: &str = "application/x-www-form-urlencoded";
const TOKEN: &str = "/api/v1/oauth/token";

fn error(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_comes_with_everything_a_local_server_needs() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a", "b"]).await;
    let machine = Machine::new();
    let pair = STANDARD.encode(format!("key:{}", secret.expose_secret()));
    let headers =
        [("content-type", FORM), ("authorization", &format!("Basic {pair}")), ("dpop", &machine.proof(&place))];
    let answer = place.post(TOKEN, &headers, "grant_type=client_credentials&organisation_id=b").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    let json = answer.json();
    assert_eq!(json["token_type"], "DPoP");
    assert_eq!(json["expires_in"], 3600);
    assert_eq!(json["organisation_id"], "b");
    assert_eq!(json["organisations"], serde_json::json!(["a", "b"]));
    assert_eq!(json["central_key"], hex::encode(place.store.keyring().node_key().public()));
    let node = place.store.node_get(machine.id).await.unwrap().unwrap();
    assert_eq!(node.recipient, machine.keys.identity().recipient());
    assert_eq!(node.thumbprint, machine.keys.node_key().thumbprint());

    let again = place.post(TOKEN, &headers, "grant_type=client_credentials").await;
    assert_eq!(error(&again), (400, "invalid_dpop_proof".into()), "the same proof once more");
    let proof = machine.proof(&place);
    let headers = [headers[0], headers[1], ("dpop", proof.as_str())];
    let first = place.post(TOKEN, &headers, "grant_type=client_credentials").await.json();
    assert_eq!(first["organisation_id"], "a", "nothing asked: the first org, and the list of all");
}

#[tokio::test]
async fn every_wrong_request_gets_the_error_of_the_rfc() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a"]).await;
    let secret = secret.expose_secret();
    let machine = Machine::new();
    let proof = machine.proof(&place);
    let good = format!("grant_type=client_credentials&client_id=key&client_secret={secret}");
    for (form, expected) in [
        (String::new(), (400, "invalid_request")),
        (format!("client_id=key&client_secret={secret}"), (400, "invalid_request")),
        (format!("{good}&client_id=key"), (400, "invalid_request")),
        (good.replace("client_credentials", "password"), (400, "unsupported_grant_type")),
        (format!("{good}&organisation_id=b"), (400, "invalid_scope")),
        ("grant_type=client_credentials".to_owned(), (401, "invalid_client")),
        ("grant_type=client_credentials&client_id=key".to_owned(), (401, "invalid_client")),
        (good.replace("client_id=key", "client_id=nobody"), (401, "invalid_client")),
        (format!("{good}x"), (401, "invalid_client")),
    ] {
        let answer = place.ask_token(&form, Some(&proof)).await;
        assert_eq!(error(&answer), (expected.0, expected.1.to_owned()), "{form}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), expected.0 == 401, "{form}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(secret));
    }

    let json = place.post(TOKEN, &[("content-type", "application/json")], "{}").await;
    assert_eq!(error(&json), (400, "invalid_request".into()));
    let pair = STANDARD.encode(format!("key:{secret}"));
    let both = [("content-type", FORM), ("authorization", &format!("Basic {pair}"))];
    assert_eq!(error(&place.post(TOKEN, &both, good.clone()).await), (400, "invalid_request".into()));

    assert_eq!(error(&place.ask_token(&good, None).await), (400, "invalid_dpop_proof".into()));
    assert_eq!(error(&place.ask_token(&good, Some("a.b.c")).await), (400, "invalid_dpop_proof".into()));
    let nameless = machine.proof_with(&place, ProofClaims::default());
    assert_eq!(error(&place.ask_token(&good, Some(&nameless)).await), (400, "invalid_dpop_proof".into()));
    assert_eq!(place.ask_token(&good, Some(&proof)).await.status, 200);
}

#[tokio::test]
async fn the_form_may_have_8_kib_and_no_byte_more() {
    let place = Place::central().await;
    let form = |length: usize| {
        let start = "grant_type=password&x=";
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    assert_eq!(error(&place.ask_token(&form(8192), None).await), (400, "unsupported_grant_type".into()));
    assert_eq!(error(&place.ask_token(&form(8193), None).await), (413, "invalid_request".into()));
}

#[tokio::test]
async fn a_wrong_clock_locks_nobody_out() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a"]).await;
    let machine = Machine::new();
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={}", secret.expose_secret());
    for years in [-56, 73] {
        let made = place.clock.now() + jiff::SignedDuration::from_hours(24 * 365 * years);
        let sign = |nonce: Option<&str>| machine.proof_at(&place, made, nonce);
        let refused = place.ask_token(&form, Some(&sign(None))).await;
        assert_eq!(error(&refused), (400, "use_dpop_nonce".into()), "{years}");
        let nonce = refused.header("dpop-nonce").to_owned();
        assert_eq!(error(&place.ask_token(&form, Some(&sign(Some("AAAAAAAAAAAA")))).await).1, "use_dpop_nonce");
        let given = place.ask_token(&form, Some(&sign(Some(&nonce)))).await;
        assert_eq!((given.status, given.header("dpop-nonce").len()), (200, 12), "{years}");
        place.clock.shift(3_600 + 60);
        assert_eq!(error(&place.ask_token(&form, Some(&sign(Some(&nonce)))).await).1, "use_dpop_nonce", "an hour ago");
    }
}

#[tokio::test]
async fn a_node_keeps_its_key_and_can_be_shut_out() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a"]).await;
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={}", secret.expose_secret());
    let (machine, mut thief) = (Machine::new(), Machine::new());
    assert_eq!(place.ask_token(&form, Some(&machine.proof(&place))).await.status, 200);
    thief.id = machine.id;
    let answer = place.ask_token(&form, Some(&thief.proof(&place))).await;
    assert_eq!(error(&answer), (403, "node_key_mismatch".into()));
    place.store.node_revoke(machine.id).await.unwrap();
    let answer = place.ask_token(&form, Some(&machine.proof(&place))).await;
    assert_eq!(error(&answer), (403, "node_revoked".into()));
}

#[tokio::test]
async fn a_second_machine_with_the_secret_is_refused_and_told_of_until_the_consumer_is_bound_anew() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a"]).await;
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={}", secret.expose_secret());
    let (first, second) = (Machine::new(), Machine::new());
    assert_eq!(place.ask_token(&form, Some(&first.proof(&place))).await.status, 200);
    let answer = place.ask_token(&form, Some(&second.proof(&place))).await;
    assert_eq!(error(&answer), (403, "consumer_bound".into()));
    let told = place.store.consumers_list().await.unwrap().remove(0);
    assert_eq!(told.thumbprints, [first.keys.node_key().thumbprint()]);
    assert_eq!(told.stranger.unwrap().node, second.id);
    place.store.consumer_rebind("key").await.unwrap();
    assert_eq!(place.ask_token(&form, Some(&second.proof(&place))).await.status, 200);
    assert_eq!(error(&place.ask_token(&form, Some(&first.proof(&place))).await).1, "consumer_bound", "once");
}

#[tokio::test]
async fn wrong_tries_are_slowed_down_for_whoever_makes_them() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a"]).await;
    let machine = Machine::new();
    for _ in 0..5 {
        let answer = place
            .ask_token("grant_type=client_credentials&client_id=key&client_secret=no", Some(&machine.proof(&place)))
            .await;
        assert_eq!(error(&answer), (401, "invalid_client".into()));
    }
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={}", secret.expose_secret());
    let answer = place.ask_token(&form, Some(&machine.proof(&place))).await;
    assert_eq!(error(&answer), (429, "slow_down".into()));
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");

    let other = place.consumer("other", &["a"]).await;
    let form_of_other = form.replace("=key&", "=other&").replace(secret.expose_secret(), other.expose_secret());
    assert_eq!(
        place.ask_token(&form_of_other, Some(&machine.proof(&place))).await.status,
        200,
        "another client is not hurt"
    );
    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    assert_eq!(place.ask_token(&form, Some(&machine.proof(&place))).await.status, 200);
}

#[tokio::test]
async fn revocation_and_expiry_bite_at_once() {
    let place = Place::central().await;
    let token = place.token("a").await;
    let feed = async |token: &str| {
        let (name, value) = dpop(token);
        place.get("/api/v1/feed", &[(name, &value)]).await
    };
    let answer = feed(&token).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/zstd"));
    place.store.consumer_revoke("consumer-a").await.unwrap();
    let answer = feed(&token).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_invalid"));
    assert_eq!(answer.header("www-authenticate"), "DPoP error=\"invalid_token\", algs=\"EdDSA\"");

    let token = place.token("b").await;
    place.clock.shift(3599);
    assert_eq!(feed(&token).await.status, 200);
    place.clock.shift(2);
    assert_eq!(feed(&token).await.code(), "token_expired");

    for header in ["DPoP", "DPoP ", "Basic abc", &format!("DPoP {}", "x".repeat(600))] {
        let answer = place.get("/api/v1/feed", &[("authorization", header)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_invalid"), "{header}");
    }
    assert_eq!(place.get("/api/v1/feed", &[]).await.code(), "token_invalid");
}

#[tokio::test]
async fn who_is_shut_out_stays_out_under_another_id_and_with_another_key() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a"]).await;
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={}", secret.expose_secret());
    let mut machine = Machine::new();
    let shut_out = machine.id;
    assert_eq!(place.ask_token(&form, Some(&machine.proof(&place))).await.status, 200);
    place.store.node_revoke(shut_out).await.unwrap();
    machine.id = random::uuid();
    let answer = place.ask_token(&form, Some(&machine.proof(&place))).await;
    assert_eq!(error(&answer), (403, "node_revoked".into()), "an id is made up at will");
    for follows in [Follows::SameNode, Follows::AnotherNode] {
        let renewed = Machine::new();
        let answer = place.ask_token(&form, Some(&renewed.proof_with(&place, renewed.after(&machine, follows)))).await;
        assert_eq!(error(&answer), (403, "node_revoked".into()), "{follows:?}");
    }
    place.store.node_approve(shut_out).await.unwrap();
    assert_eq!(place.ask_token(&form, Some(&machine.proof(&place))).await.status, 200);
}
