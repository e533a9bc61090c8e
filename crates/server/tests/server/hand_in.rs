//! Feed, comparison and outbox over the wire; their contents are tested in `sync`.

use std::sync::Arc;

use taosync_model::Digest;
use taosync_model::item::{Counts, Envelope, FORM_ZSTD_JSON, ItemKind, ReceiptStatus};
use taosync_vault::node_key::NodeKey;
use taosync_vault::receipts::prove_batch;
use taosync_vault::{item_proof, random};
use taosync_wire::frame::{FrameReader, FrameWriter, Header};
use taosync_wire::v1::compare::AskFrame;
use taosync_wire::v1::feed::FeedFrame;
use taosync_wire::v1::outbox::{OutboxFrame, ReceiptFrame};

use crate::client::{Answer, dpop};
use crate::place::{Machine, Place, delivery, org};

fn frames<H: Header + serde::de::DeserializeOwned>(answer: &Answer) -> Vec<(H, Vec<u8>)> {
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/zstd"), "{answer:?}");
    let mut reader = FrameReader::new().unwrap();
    reader.feed(&answer.body).unwrap();
    reader.finish().unwrap();
    std::iter::from_fn(|| reader.next_frame()).collect()
}

fn bodies(frames: &[(FeedFrame, Vec<u8>)]) -> String {
    frames.iter().map(|(_, body)| String::from_utf8_lossy(body).into_owned()).collect()
}

#[tokio::test]
async fn the_org_of_the_token_decides_what_is_seen() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    let feed = place.get("/api/v1/feed?after=&organisation_id=b", &[(header, &token)]).await;
    let feed = frames::<FeedFrame>(&feed);
    assert!(matches!(&feed[0].0, FeedFrame::Hello(hello) if hello.org == "a"));
    assert!(bodies(&feed).contains(&delivery("a")));
    assert!(!bodies(&feed).contains("-b"), "nothing of the other org");

    let mut writer = FrameWriter::new().unwrap();
    writer.push(&AskFrame::End, &[]).unwrap();
    let compared = place.post("/api/v1/compare", &[(header, &token)], writer.finish().unwrap()).await;
    let compared = frames::<FeedFrame>(&compared);
    assert!(bodies(&compared).contains(&delivery("a")));
    assert!(matches!(&compared.last().unwrap().0, FeedFrame::End(_)));

    for (query, status, code) in [
        ("after=nonsense", 400, "positions_malformed"),
        ("types=nonsense", 400, "type_unknown"),
        ("epoch=nonsense", 400, "bad_request"),
        ("after=delivery:1", 409, "epoch_unknown"),
    ] {
        let answer = place.get(&format!("/api/v1/feed?{query}"), &[(header, &token)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}");
    }
    for bad in [("taosync-sync", "x".to_owned()), ("taosync-continuation", "x".repeat(129))] {
        let answer = place.get("/api/v1/feed", &[(header, &token), (bad.0, &bad.1)]).await;
        assert_eq!(answer.code(), "bad_request", "{}", bad.0);
    }
}

#[tokio::test]
async fn an_item_is_answered_with_a_receipt_that_verifies() {
    let place = Place::central().await;
    let machine = Arc::new(Machine::new());
    let (header, token) = dpop(&place.token_of(&machine, "a").await);
    let payload = zstd::encode_all(&b"{\"user\":1}"[..], 1).unwrap();
    let envelope = Envelope {
        kind: ItemKind::LtiUser,
        item: random::uuid(),
        org: org("a"),
        origin: random::uuid(),
        version: 1,
        previous: None,
        digest: Digest::of(&payload),
        size: payload.len() as u64,
        form: FORM_ZSTD_JSON,
        execution: None,
        delivery: None,
        test_taker: None,
        state: None,
        started_at: None,
        finished_at: None,
        counts: Counts::default(),
    };
    let signed_by = |key: Option<&NodeKey>| {
        let mut writer = FrameWriter::new().unwrap();
        writer.push(&OutboxFrame::Item(Box::new(envelope.clone())), &payload).unwrap();
        if let Some(key) = key {
            let signature = item_proof::sign_batch(key, &[item_proof::leaf_of(&envelope)]);
            writer.push(&OutboxFrame::Signed { signature }, &[]).unwrap();
        }
        writer.push(&OutboxFrame::End, &[]).unwrap();
        writer.finish().unwrap()
    };
    let request = signed_by(Some(machine.keys.node_key()));
    for expected in [ReceiptStatus::Stored, ReceiptStatus::Duplicate] {
        let answer = place.post("/api/v1/outbox", &[(header, &token)], request.clone()).await;
        let answer = frames::<ReceiptFrame>(&answer);
        let ReceiptFrame::Receipt(receipt) = &answer[0].0 else { panic!("{answer:?}") };
        assert_eq!((receipt.item, receipt.status), (envelope.item, expected));
        let ReceiptFrame::Signed { signature, audit } = &answer[1].0 else { panic!("{answer:?}") };
        let public = place.store.keyring().node_key().public();
        prove_batch(&public, signature, *audit, &mut [receipt.as_ref().clone()]).unwrap();
        assert!(matches!(answer[2].0, ReceiptFrame::End(_)));
    }
    for forged in [signed_by(None), signed_by(Some(Machine::new().keys.node_key()))] {
        let answer = place.post("/api/v1/outbox", &[(header, &token)], forged).await;
        let answer = frames::<ReceiptFrame>(&answer);
        assert!(matches!(&answer[0].0, ReceiptFrame::Refused(r) if r.code == "bad_signature"), "{answer:?}");
    }
    let cut = place.post("/api/v1/outbox", &[(header, &token)], request[..request.len() - 4].to_vec()).await;
    assert!(matches!(frames::<ReceiptFrame>(&cut).last().unwrap().0, ReceiptFrame::Failed(_)));
}
