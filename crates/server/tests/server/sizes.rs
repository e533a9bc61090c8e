//! What a request may have, at the limit and one above: docs/LIMITS.md names these tests.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use taosync_model::EntityType;
use taosync_server::{Central, ListenLimits, central_router};
use taosync_store::settings::Role;
use taosync_sync::down::compare::answer::Bounds;
use taosync_sync::down::compare::reconcile::Reconciliation;
use taosync_vault::proof::ProofClaims;
use taosync_vault::random;
use taosync_wire::frame::{FrameWriter, Header};
use taosync_wire::v1::compare::{AskFrame, ListingFrame, Message, Part, RoundFrame, TypePart, encode_uri};

use crate::client::dpop;
use crate::place::{Machine, Place, content, org, publish};

const ROUND: &str = "/api/v1/compare/round";
const LISTING: &str = "/api/v1/compare/listing";
const COMPARE: &str = "/api/v1/compare";

/// A central with one org and other settings than usual.
async fn central(set: impl AsyncFnOnce(&mut Central, usize)) -> Place {
    Place::open(Role::Central, ListenLimits::default(), async |store, blobs, identity| {
        publish(&store, &blobs, "a", &[content("a")]).await;
        let scope = store.feed_state(&org("a")).await.unwrap().unwrap().scope;
        let items = store.scope_items(scope, usize::MAX).await.unwrap().unwrap().len();
        let mut central = Central::new(store, blobs, identity);
        set(&mut central, items).await;
        central_router(central)
    })
    .await
}

fn frames<H: Header + serde::Serialize>(frames: &[(H, Vec<u8>)]) -> Vec<u8> {
    let mut writer = FrameWriter::new().unwrap();
    for (frame, body) in frames {
        writer.push(frame, body).unwrap();
    }
    writer.finish().unwrap()
}

fn listing(ids: usize) -> Vec<u8> {
    let body: Vec<u8> = (0..ids).flat_map(|n| [n as u8; 32]).collect();
    frames(&[(ListingFrame::Items(Part { len: body.len() as u64 }), body), (ListingFrame::End, Vec::new())])
}

fn round() -> Vec<u8> {
    let (_, message) = Reconciliation::begin(Vec::new()).unwrap();
    frames(&[(RoundFrame::Message(Message { stand: None, len: message.len() as u64 }), message)])
}

/// A question for one name, whose part has this many bytes.
fn question(bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    encode_uri(&mut body, &"x".repeat(bytes - 2));
    let part = TypePart { entity_type: EntityType::TestTaker, len: body.len() as u64 };
    frames(&[(AskFrame::Entities(part), body), (AskFrame::End, Vec::new())])
}

#[tokio::test]
async fn bodies_have_a_size_at_every_endpoint() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    for (path, limit) in [
        ("/api/v1/report", 16 * 1024),
        ("/api/v1/chunks", 128 * 1024),
        ("/api/v1/delivery-keys", 1024 * 1024),
        (ROUND, 1024 * 1024 + 8 * 1024),
    ] {
        for (length, expected) in [(limit, 400), (limit + 1, 413)] {
            let answer = place.post(path, &[(header, &token)], vec![b' '; length]).await;
            assert_eq!(answer.status, expected, "{path}: {length} bytes");
            assert_eq!(answer.code() == "body_too_large", length > limit, "{path}: {length} bytes");
        }
    }
}

#[tokio::test]
async fn lists_have_a_length_at_every_endpoint() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    let names = |n: usize| serde_json::json!({ "names": vec!["0".repeat(64); n] });
    let keys = |n: usize| serde_json::json!({ "deliveries": vec![serde_json::json!({"uri": "x", "version": 1}); n] });
    let requests: [(&str, &dyn Fn(usize) -> serde_json::Value); 2] =
        [("/api/v1/chunks", &names), ("/api/v1/delivery-keys", &keys)];
    for (path, body) in requests {
        assert_eq!(place.post(path, &[(header, &token)], body(1_000).to_string()).await.status, 200, "{path}");
        let over = place.post(path, &[(header, &token)], body(1_001).to_string()).await;
        assert_eq!((over.status, over.code().as_str()), (422, "too_many"), "{path}");
    }
}

#[tokio::test]
async fn headers_have_a_size() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    let mark = |zeros: usize| format!("{}1.{}.{}", "0".repeat(zeros), "0".repeat(16), "0".repeat(8));
    let long = "1".repeat(129);
    for (name, value, is_read) in [
        ("taosync-continuation", format!("0..{}", "n".repeat(43)), true),
        ("taosync-continuation", format!("0..{}", "n".repeat(44)), false),
        ("taosync-continuation", long.clone(), false),
        ("taosync-receipt", mark(17), true),
        ("taosync-receipt", mark(18), false),
        ("taosync-receipt", long, false),
    ] {
        let answer = place.get("/api/v1/feed", &[(header, &token), (name, &value)]).await;
        assert_eq!(answer.status != 400, is_read, "{name}: {value}: {answer:?}");
    }
    // Spaces before a token change nothing but the length.
    let bare = token.strip_prefix("DPoP ").unwrap();
    for (length, is_read) in [(512, true), (513, false)] {
        let line = format!("DPoP{}{bare}", " ".repeat(length - "DPoP".len() - bare.len()));
        let answer = place.get("/api/v1/feed", &[(header, &line)]).await;
        assert_eq!((line.len(), answer.status != 401), (length, is_read), "{answer:?}");
    }
    for id in ["", "x", "0197", &"0".repeat(33)] {
        let answer = place.get("/api/v1/feed", &[(header, &token), ("taosync-sync", id)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "'{id}'");
    }
}

#[tokio::test]
async fn the_version_of_a_node_has_a_size() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a"]).await;
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={}", secret.expose_secret());
    let machine = Machine::new();
    for (length, expected) in [(64, 200), (65, 400)] {
        let claims = ProofClaims {
            node: Some(machine.id),
            recipient: Some(machine.keys.identity().recipient()),
            version: Some("1".repeat(length)),
            former: Vec::new(),
        };
        assert_eq!(
            place.ask_token(&form, Some(&machine.proof_with(&place, claims))).await.status,
            expected,
            "{length}"
        );
    }
}

#[tokio::test]
async fn a_consumer_cannot_make_up_nodes_without_end() {
    let place = central(async |central, _| central.nodes_of_consumer = 2).await;
    let secret = place.consumer("key", &["a"]).await;
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={}", secret.expose_secret());
    // The key that has the consumer, under ever new ids.
    let machine = Machine::new();
    let claims = |id| ProofClaims { node: Some(id), ..machine.claims() };
    let ids = [random::uuid(), random::uuid(), random::uuid()];
    for (id, expected) in ids.into_iter().zip([200, 200, 403]) {
        let proof = machine.proof_with(&place, claims(id));
        assert_eq!(place.ask_token(&form, Some(&proof)).await.status, expected);
    }
    let refused = place.ask_token(&form, Some(&machine.proof_with(&place, claims(ids[2])))).await;
    assert_eq!(refused.json()["error"], "too_many_nodes");
    assert!(refused.json()["error_description"].as_str().unwrap().contains("oauth generate"), "it says what to do");
    assert_eq!(
        place.ask_token(&form, Some(&machine.proof_with(&place, claims(ids[0])))).await.status,
        200,
        "the others go on"
    );
    assert_eq!(place.store.nodes_list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_comparison_has_so_many_items_and_no_more() {
    for (spare, expected) in [(0, 200), (1, 413)] {
        // One less than the org has, or just as many.
        let place =
            central(async |central, items| central.comparison = Bounds { items: items - spare, names: 9 }).await;
        let (header, token) = dpop(&place.token("a").await);
        for (path, body) in [(ROUND, round()), (LISTING, listing(0))] {
            let answer = place.post(path, &[(header, &token)], body).await;
            assert_eq!(answer.status, expected, "{path}: {answer:?}");
            assert!(expected == 200 || answer.code() == "comparison_too_large", "{path}");
        }
    }
    let place = central(async |central, _| central.comparison = Bounds { items: 20, names: 9 }).await;
    let (header, token) = dpop(&place.token("a").await);
    for (ids, expected) in [(20, 200), (21, 413)] {
        assert_eq!(place.post(LISTING, &[(header, &token)], listing(ids)).await.status, expected, "{ids} ids");
    }
    for (bytes, expected) in [(9, 200), (10, 413)] {
        let answer = place.post(COMPARE, &[(header, &token)], question(bytes)).await;
        assert_eq!(answer.status, expected, "{bytes} bytes of names: {answer:?}");
        assert!(expected == 200 || answer.code() == "comparison_too_large");
    }
    let ids = |n: usize| {
        let part = AskFrame::Items(Part { len: 32 * n as u64 });
        frames(&[(part, vec![7; 32 * n]), (AskFrame::End, Vec::new())])
    };
    for (wanted, expected) in [(40, 200), (41, 413)] {
        assert_eq!(place.post(COMPARE, &[(header, &token)], ids(wanted)).await.status, expected, "{wanted} ids");
    }
}

#[tokio::test]
async fn who_finds_no_room_to_compare_is_told_to_come_again() {
    // Comparisons at once, KiB of those that wait, bytes of the request.
    for (at_once, waiting, length, expected) in [
        (1, 1, 1_024, (400, "comparison_malformed")),
        (0, 1, 1_024, (503, "busy")),
        (1, 1, 1_025, (503, "busy")),
        (1, 2, 1_025, (400, "comparison_malformed")),
    ] {
        let place = Place::open(Role::Central, ListenLimits::default(), async |store, blobs, identity| {
            publish(&store, &blobs, "a", &[content("a")]).await;
            let mut central = Central::new(store, blobs, identity).comparing(at_once, waiting);
            central.comparison_wait = Duration::from_millis(200);
            central_router(central)
        })
        .await;
        let (header, token) = dpop(&place.token("a").await);
        for path in [LISTING, COMPARE] {
            let answer = place.post(path, &[(header, &token)], vec![b' '; length]).await;
            let told = (answer.status, answer.code());
            assert_eq!(told, (expected.0, expected.1.to_owned()), "{path}: {at_once} {waiting} {length}");
        }
    }
}
