use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use taosync_model::clock::ShiftedClock;
use taosync_model::{Clock as _, Digest};
use taosync_store::Durability;
use taosync_store::packages::ChunkRef;

use super::*;
use crate::commands::init;
use crate::config::{NewNode, Place};
use crate::context::Context;
use crate::output::Output;
use crate::readiness::{self, Level};

const DAY_AND_MORE: i64 = 25 * 3_600;

async fn local(dir: &Path) -> (Node, Arc<ShiftedClock>) {
    // Fails only when another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clock = Arc::new(ShiftedClock::default());
    let context = Context { place: Place::new(Some(dir)), output: Output::Json, clock: clock.clone() };
    let new = NewNode {
        role: Role::Local,
        listen: "127.0.0.1:0".parse().unwrap(),
        plain_http: true,
        public_url: None,
        hosts: Vec::new(),
    };
    init::make(&context, &new).await.unwrap();
    (Node::open(&context).await.unwrap(), clock)
}

/// A part of a test, as it lies on the disk.
async fn chunk(node: &Node, bytes: &[u8]) -> PathBuf {
    let name = Digest::of(bytes);
    node.blobs().await.unwrap().put_batch(vec![(name, bytes.to_vec())]).await.unwrap();
    node.store.chunks_add(&[ChunkRef { name, bytes: bytes.len() as u64 }], Durability::Flushed).await.unwrap();
    node.place.dir().join("chunks").join(&name.to_hex()[..2]).join(name.to_hex())
}

async fn verify_line(node: &Node) -> (Level, String) {
    let ready = readiness::look(node).await.unwrap();
    let check = ready.checks.into_iter().find(|check| check.name == "verify").unwrap();
    (check.level, check.text)
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_day_everything_is_looked_at_and_what_is_damaged_shows() {
    let dir = tempfile::tempdir().unwrap();
    let (node, clock) = local(&dir.path().join("local")).await;
    let file = chunk(&node, b"a part of a test").await;
    assert!(verify_line(&node).await.1.contains("was not checked yet"));
    assert_eq!(daily_pass(&node).await.unwrap(), Some(0));
    let last = verification::last(&node.store).await.unwrap().unwrap();
    assert!(clock.now().duration_since(last.at) < SignedDuration::from_mins(1));
    assert_eq!(verify_line(&node).await.0, Level::Ok);

    let mut bytes = std::fs::read(&file).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(daily_pass(&node).await.unwrap(), None, "not due again so soon");
    clock.shift(23 * 3_600);
    assert_eq!(daily_pass(&node).await.unwrap(), None);
    clock.shift(2 * 3_600);
    assert_eq!(daily_pass(&node).await.unwrap(), Some(1), "due after a day");
    let (level, text) = verify_line(&node).await;
    assert_eq!(level, Level::Critical);
    assert!(text.contains("is damaged") && text.contains("sync all"), "{text}");
    assert!(!readiness::look(&node).await.unwrap().ready);

    // What is fetched again is whole again.
    chunk(&node, b"a part of a test").await;
    clock.shift(DAY_AND_MORE);
    assert_eq!(daily_pass(&node).await.unwrap(), Some(0));
    assert_eq!(verify_line(&node).await.0, Level::Ok);
    node.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_neither_starves_the_daily_pass_nor_repeats_it() {
    let dir = tempfile::tempdir().unwrap();
    let (node, clock) = local(&dir.path().join("local")).await;
    assert_eq!(daily_pass(&node).await.unwrap(), Some(0));
    for jump in ["1970-01-02T00:00:00Z", "2099-12-31T23:00:00Z"] {
        let to: Timestamp = jump.parse().unwrap();
        let seconds = to.duration_since(clock.now()).as_secs();
        clock.shift(seconds);
        assert!(clock.now().duration_since(to) < SignedDuration::from_mins(1), "the clock must have jumped");
        assert_eq!(daily_pass(&node).await.unwrap(), Some(0), "{jump}");
        assert_eq!(daily_pass(&node).await.unwrap(), None, "{jump}: not again at once");
        clock.shift(DAY_AND_MORE);
        assert_eq!(daily_pass(&node).await.unwrap(), Some(0), "{jump}: daily there too");
        clock.shift(-seconds - DAY_AND_MORE);
        let (level, text) = verify_line(&node).await;
        assert_eq!(level, Level::Warning, "{jump}: a pass at a wrong time proves nothing: {text}");
        assert_eq!(daily_pass(&node).await.unwrap(), Some(0), "{jump}: the right clock is back");
        assert_eq!(daily_pass(&node).await.unwrap(), None, "{jump}: not again at once");
        assert_eq!(verify_line(&node).await.0, Level::Ok);
    }
    node.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_pass_does_not_report_what_was_mended_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = local(&dir.path().join("local")).await;
    let file = chunk(&node, b"a part of a test").await;
    std::fs::write(&file, b"damaged").unwrap();
    // The slow one has seen the damage when a person mends it and looks again.
    let (seen, slow) = (Arc::new(tokio::sync::Notify::new()), node.clone());
    let tell = seen.clone();
    let pass = tokio::spawn(async move {
        let watch = move |phase: &str, _, _| {
            if phase == "reading all parts of tests" {
                tell.notify_one();
            }
        };
        verification::pass(&slow, Pace::Gentle(Duration::from_millis(400)), &watch).await.unwrap()
    });
    seen.notified().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    chunk(&node, b"a part of a test").await;
    let second = verification::pass(&node, Pace::AtOnce, &|_, _, _| {}).await.unwrap();
    assert!(second.problems.is_empty(), "{:?}", second.problems);
    assert_eq!(pass.await.unwrap().problems.len(), 1, "it did see the damage");
    assert_eq!(verification::last(&node.store).await.unwrap().unwrap().problems, 0, "the later word stands");
    assert_eq!(verify_line(&node).await.0, Level::Ok);
    node.store.close().await;
}
