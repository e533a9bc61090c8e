//! Chunks and delivery keys: what is another org's is like what does not exist.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use taosync_model::Digest;
use taosync_wire::frame::FrameReader;
use taosync_wire::v1::packages::{ChunkFrame, ChunksWanted, KeyWanted, Keys, KeysWanted, MAX_CHUNKS};

use crate::client::dpop;
use crate::place::{Machine, Place, content, delivery};

fn name(of: &str) -> Digest {
    Digest::of(&content(of))
}

#[tokio::test]
async fn a_chunk_of_another_org_is_like_one_that_does_not_exist() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    let get = async |path: String| {
        let answer = place.get(&path, &[(header, &token)]).await;
        (answer.status, answer.body)
    };
    let own = get(format!("/api/v1/chunks/{}", name("a"))).await;
    assert_eq!((own.0, &own.1[..]), (200, &content("a")[..]));
    let foreign = get(format!("/api/v1/chunks/{}", name("b"))).await;
    let unknown = get(format!("/api/v1/chunks/{}", Digest::of(b"nothing"))).await;
    let malformed = get("/api/v1/chunks/..%2f..%2fkeys".to_owned()).await;
    assert_eq!(foreign.0, 404);
    assert_eq!(foreign, unknown);
    assert_eq!(foreign, malformed);
}

#[tokio::test]
async fn ranges_are_answered_as_the_rfc_says() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    let (path, whole) = (format!("/api/v1/chunks/{}", name("a")), content("a"));
    let length = whole.len();
    let get = async |extra: &[(&str, &str)]| {
        let headers = [&[(header, token.as_str())], extra].concat();
        place.get(&path, &headers).await
    };
    let part = get(&[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &whole[10..20]));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{length}"));
    let tail = get(&[("range", &format!("bytes={}-", length - 5))]).await;
    assert_eq!((tail.status, &tail.body[..]), (206, &whole[length - 5..]));
    let outside = get(&[("range", &format!("bytes={length}-"))]).await;
    assert_eq!((outside.status, outside.code().as_str()), (416, "range_outside"));
    assert_eq!(outside.header("content-range"), format!("bytes */{length}"));
    let all = get(&[]).await;
    assert_eq!(all.header("accept-ranges"), "bytes");
    assert_eq!(all.header("etag"), format!("\"{}\"", name("a")));
    let same = get(&[("if-none-match", all.header("etag"))]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
}

#[tokio::test]
async fn many_chunks_come_in_one_stream() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    let wanted = ChunksWanted { names: vec![name("a"), name("b"), Digest::of(b"nothing")] };
    let answer = place.post("/api/v1/chunks", &[(header, &token)], serde_json::to_vec(&wanted).unwrap()).await;
    assert_eq!(answer.status, 200);
    let mut reader = FrameReader::<ChunkFrame>::new().unwrap();
    reader.feed(&answer.body).unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| reader.next_frame()).collect();
    reader.finish().unwrap();
    assert!(matches!(&frames[0], (ChunkFrame::Chunk(head), body) if head.name == name("a") && *body == content("a")));
    assert_eq!(frames[1].0, ChunkFrame::Missing(name("b")));
    assert_eq!(frames[2].0, ChunkFrame::Missing(Digest::of(b"nothing")));
    assert_eq!((&frames[3].0, frames.len()), (&ChunkFrame::End, 4));
}

#[tokio::test]
async fn a_thousand_names_and_not_one_more() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    for (count, status) in [(MAX_CHUNKS, 200), (MAX_CHUNKS + 1, 422)] {
        let wanted = ChunksWanted { names: vec![Digest::of(b"nothing"); count] };
        let answer = place.post("/api/v1/chunks", &[(header, &token)], serde_json::to_vec(&wanted).unwrap()).await;
        assert_eq!(answer.status, status, "{count}");
    }
    let too_large = place.post("/api/v1/chunks", &[(header, &token)], vec![b' '; 128 * 1024 + 1]).await;
    assert_eq!((too_large.status, too_large.code().as_str()), (413, "body_too_large"));
    let at_limit = place.post("/api/v1/chunks", &[(header, &token)], vec![b' '; 128 * 1024]).await;
    assert_eq!((at_limit.status, at_limit.code().as_str()), (400, "bad_request"));
}

#[tokio::test]
async fn keys_are_sealed_to_the_machine_that_asks() {
    let place = Place::central().await;
    let secret = place.consumer("key", &["a"]).await;
    let (machine, other) = (Machine::new(), Machine::new());
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={}", secret.expose_secret());
    let token = place.ask_token(&form, Some(&machine.proof(&place))).await.json()["access_token"].clone();
    let token = token.as_str().unwrap();
    let machine = std::sync::Arc::new(machine);
    place.machines.lock().unwrap().insert(token.to_owned(), machine.clone());
    let (header, token) = dpop(token);
    let wanted = |uri: &str, version| KeyWanted { uri: uri.to_owned(), version };
    let asked = [wanted(&delivery("a"), 1), wanted(&delivery("a"), 2), wanted(&delivery("b"), 1), wanted("x", 1)];
    let body = serde_json::to_vec(&KeysWanted { deliveries: asked.into(), chunks_of: None }).unwrap();
    let answer = place.post("/api/v1/delivery-keys", &[(header, &token)], body).await;
    let keys: Keys = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(keys.keys.len(), 1, "only what is published in the own scope");
    assert_eq!((keys.keys[0].uri.as_str(), keys.keys[0].version), (delivery("a").as_str(), 1));
    let sealed = STANDARD.decode(&keys.keys[0].sealed).unwrap();
    let key = machine.keys.identity().unwrap_delivery_key(&sealed).unwrap();
    assert!(other.keys.identity().unwrap_delivery_key(&sealed).is_err());
    let package = place.store.package_current(&delivery("a")).await.unwrap().unwrap();
    let tree = place.blobs.get(package.reference.sealed_tree).await.unwrap();
    assert_eq!(key.open(&tree).unwrap(), b"tree");
}
