//! `own`: credentials of one organisation, and requests that name another one's things. Nothing of the other is in any
//! answer, and nothing is stored in its name.

use serde_json::{Value, json};
use taosync_model::item::{Envelope, ItemKind};
use taosync_model::{Digest, Entity, EntityType, vocabulary as v};
use taosync_server::central_endpoints;
use taosync_server::routes::{Access, Endpoint};
use taosync_store::received::ReceivedFilter;
use taosync_vault::random;
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1::compare::{AskFrame, ListingFrame};
use taosync_wire::v1::outbox::OutboxFrame;

use super::Credentials;
use super::matrix::{Cell, Matrix, Who, document};
use crate::client::Answer;
use crate::place::{content, delivery, org};
use crate::tao;

/// In everything that org b holds, and in no request.
pub const OF_B: &str = "only-b-may-see-this";
const CENTER_OF_B: &str = "http://example/center-b";

/// What is asked of an endpoint about org b: query and body. A new endpoint needs one.
fn question(endpoint: &Endpoint) -> (String, Vec<u8>) {
    let frames = |writer: FrameWriter| writer.finish().unwrap();
    let fresh = || FrameWriter::new().unwrap();
    let empty = |body: Vec<u8>| (String::new(), body);
    let json = |value: Value| (String::new(), value.to_string().into_bytes());
    let params = json!({"sync_id": 1, "box_id": "x", "tao_version": tao::VERSION, "organisation_id": "b"});
    let query = |rest: &str| {
        (format!("?{rest}&params%5Borganisation_id%5D=b&params%5Btao_version%5D={}", tao::VERSION), vec![])
    };
    let item = || {
        let payload = zstd::encode_all(&b"{\"user\":1}"[..], 1).unwrap();
        let envelope = Envelope::first(ItemKind::LtiUser, random::uuid(), org("b"), random::uuid(), &payload);
        let mut writer = fresh();
        writer.push(&OutboxFrame::Item(Box::new(envelope)), &payload).unwrap();
        writer.push(&OutboxFrame::End, &[]).unwrap();
        frames(writer)
    };
    match endpoint.path.trim_start_matches('/') {
        "api/v1/feed" => ("?after=&organisation_id=b&org=b".into(), vec![]),
        "api/v1/compare/round" => empty(b"b".to_vec()),
        "api/v1/compare/listing" => {
            let mut writer = fresh();
            writer.push(&ListingFrame::End, &[]).unwrap();
            empty(frames(writer))
        }
        "api/v1/compare" => {
            let mut writer = fresh();
            writer.push(&AskFrame::End, &[]).unwrap();
            ("?organisation_id=b".into(), frames(writer))
        }
        "api/v1/outbox" => ("?organisation_id=b".into(), item()),
        "api/v1/report" => json(json!({
            "sync": random::uuid(), "outcome": "success", "started_at": "2026-05-12T08:00:00Z", "organisation_id": "b",
            "ended_at": "2026-05-12T08:00:00Z", "equal": true, "deliveries": 1, "pending": 0, "changed": [0, 0, 0],
            "version": "1", "clock": 0, "disk": 1,
        })),
        "api/v1/delivery-keys" => json(json!({"deliveries": [{"uri": delivery("b"), "version": 1}]})),
        "api/v1/chunks" => json(json!({"names": [Digest::of(&content("b"))]})),
        "api/v1/chunks/{name}" | "taoSync/api/supportedVm" => empty(vec![]),
        "taoSync/SynchronisationApi/fetchEntityChecksums" => query("type=test-center"),
        "taoSync/SynchronisationApi/getDeliveryTest" => query("uri=http%3A%2F%2Fexample%2Fdelivery-b"),
        "taoSync/SynchronisationApi/fetchEntityDetails" => {
            json(json!({"type": "test-center", "entityIds": [CENTER_OF_B], "params": params}))
        }
        "taoSync/SynchronisationApi/fetchClassDetails" => {
            json(json!({"type": "test-center", "requested-classes": [CENTER_OF_B], "params": params}))
        }
        path if path.starts_with("taoSync/") => json(json!({"params": params, CENTER_OF_B: {}})),
        unknown => panic!("a new endpoint: say in this test how org a would ask {unknown} for what is org b's"),
    }
}

async fn ask(credentials: &Credentials, endpoint: &Endpoint, who: Who) -> Answer {
    let (query, body) = question(endpoint);
    let path = endpoint.path.replace("{name}", &Digest::of(&content("b")).to_hex());
    let request = credentials.place.request(endpoint.method.as_str(), &format!("{path}{query}"));
    let request = request.header("authorization", credentials.header(who).unwrap());
    credentials.place.send(request.header("accept", "*/*").body(body.into()).unwrap()).await
}

/// The answer as it came, and unpacked when it is packed.
fn readable(answer: &Answer) -> String {
    let mut unpacked = Vec::new();
    if let Ok(mut decoder) = zstd::stream::read::Decoder::new(answer.body.as_ref()) {
        // A stream that is cut still shows what came.
        let _ = std::io::Read::read_to_end(&mut decoder, &mut unpacked);
    }
    format!("{}{}", String::from_utf8_lossy(&answer.body), String::from_utf8_lossy(&unpacked))
}

#[tokio::test]
async fn whatever_is_asked_nothing_of_another_organisation_is_told() {
    let credentials = Credentials::at_central().await;
    let center = Entity::new(CENTER_OF_B, v::CLASS_TEST_CENTER).with(v::ORGANISATION_ID, "b").with(v::RDFS_LABEL, OF_B);
    tao::load(&credentials.place.store, vec![(EntityType::TestCenter, center)], &[]).await;
    let matrix = Matrix::read(&document(), "## Central");
    let mut asked = 0;
    for endpoint in central_endpoints() {
        for who in [Who::Consumer, Who::TaoToken, Who::SyncManager] {
            if matrix.cell(&endpoint, who) != Cell::Own
                || matches!(endpoint.access, Access::SyncManager | Access::Account)
            {
                continue;
            }
            let answer = ask(&credentials, &endpoint, who).await;
            let told = readable(&answer);
            let whole = [OF_B.to_owned(), delivery("b"), String::from_utf8(content("b")).unwrap()];
            for secret in whole {
                assert!(!told.contains(&secret), "{endpoint:?} told {who:?} of org b: {told}");
            }
            asked += 1;
        }
    }
    assert!(asked > 25, "{asked} questions were asked");
    let stored = credentials.place.store.received_list(&ReceivedFilter::default(), 10).await.unwrap();
    assert!(stored.iter().all(|item| item.org == org("a")), "{stored:?}");
    let reports = credentials.place.store.sync_list(Some(&org("b")), 10).await.unwrap();
    assert!(reports.is_empty(), "{reports:?}");
}

/// The questions above are good ones: the organisation whose things they name is answered.
#[tokio::test]
async fn the_same_questions_are_answered_to_whom_they_concern() {
    let mut credentials = Credentials::at_central().await;
    let center = Entity::new(CENTER_OF_B, v::CLASS_TEST_CENTER).with(v::ORGANISATION_ID, "b").with(v::RDFS_LABEL, OF_B);
    tao::load(&credentials.place.store, vec![(EntityType::TestCenter, center)], &[]).await;
    credentials.place.consumer("of-b", &["b"]).await;
    tao::issue(&credentials.place, "of-b", "plain-b").await;
    credentials.tao = "plain-b".into();
    let told_to = async |path: &str, who: Who| {
        let endpoint = central_endpoints().into_iter().find(|endpoint| endpoint.path == path).unwrap();
        readable(&ask(&credentials, &endpoint, who).await)
    };
    assert!(told_to("/taoSync/SynchronisationApi/fetchEntityDetails", Who::TaoToken).await.contains(OF_B));
    assert!(told_to("/taoSync/SynchronisationApi/fetchEntityChecksums", Who::TaoToken).await.contains("center-b"));
}
