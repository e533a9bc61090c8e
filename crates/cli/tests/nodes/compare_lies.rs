//! A central that lies while both sides compare: the local server says what is wrong after a bounded time, loses nothing,
//! and completes at the next sync with the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use taosync_model::EntityType;
use taosync_sync::down::compare::differences::MAX_ROUNDS;
use taosync_sync::session::What;
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1::compare::{ListedFrame, MAX_ITEMS, MAX_MESSAGE, Message, PART_BYTES, Part, RoundFrame, Stand};

use crate::support::{Central, Local, false_central, org};

/// What the false central answers to a round, and to a list.
struct Lie {
    what: &'static str,
    round: Vec<u8>,
    list: Vec<u8>,
}

fn stand() -> Stand {
    Stand { epoch: taosync_vault::random::uuid(), after: String::new() }
}

fn answer(stand: Option<Stand>, message: &[u8]) -> Vec<u8> {
    let mut writer = FrameWriter::new().unwrap();
    writer.push(&RoundFrame::Message(Message { stand, len: message.len() as u64 }), message).unwrap();
    writer.finish().unwrap()
}

fn lies() -> Vec<Lie> {
    let mut lies = Vec::new();
    let mut lie = |what, round, list| lies.push(Lie { what, round, list });
    // One range over everything, with a fingerprint that nothing has: there is always more to ask.
    let never: Vec<u8> = [0x61, 0, 0, 1].into_iter().chain([7; 16]).collect();
    // The same ids again and again: nothing to the line, and to memory; what ends it is that all that is told counts.
    let ids_without_end = {
        let mut writer = FrameWriter::new().unwrap();
        let part = vec![7; PART_BYTES];
        for _ in 0..=2 * MAX_ITEMS / (PART_BYTES / 32) {
            writer.push(&ListedFrame::Missing(Part { len: part.len() as u64 }), &part).unwrap();
        }
        writer.push(&ListedFrame::End(stand()), b"").unwrap();
        writer.finish().unwrap()
    };
    lie("nothing", Vec::new(), Vec::new());
    lie("a login page", b"<html>".to_vec(), Vec::new());
    lie("no stand", answer(None, &never), Vec::new());
    lie("rubbish", answer(Some(stand()), &[0x61, 9, 9, 9, 9]), Vec::new());
    lie("another version", answer(Some(stand()), &[0x77]), Vec::new());
    lie(
        "a list longer than its message",
        answer(Some(stand()), &[0x61, 0, 0, 2, 0xc0, 0x80, 0x80, 0x80, 0]),
        Vec::new(),
    );
    lie("one byte too many", answer(Some(stand()), &vec![0; MAX_MESSAGE + 1]), Vec::new());
    lie("no end, then nothing", answer(Some(stand()), &never), Vec::new());
    lie("no end, then ids without end", answer(Some(stand()), &never), ids_without_end);
    lies
}

/// Tells `lie` in the place of `central`; counts the rounds.
async fn tell(central: &Central, lie: Lie, rounds: Arc<AtomicU32>) -> tokio::task::JoinHandle<()> {
    let (round, list) = (Bytes::from(lie.round), Bytes::from(lie.list));
    let lie = move |path: &str| {
        if !path.ends_with("round") {
            return list.clone();
        }
        rounds.fetch_add(1, Ordering::SeqCst);
        round.clone()
    };
    false_central::in_place_of(central, lie).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_in_a_comparison_does_lasting_harm() {
    let mut central = Central::start().await;
    central.change(org("A", 0..200)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    for lie in lies() {
        let what = lie.what;
        let replica = local.store().replicas_list().await.unwrap().remove(0);
        local.store().replica_recount(replica.id).await.unwrap();
        central.stop().await;
        let rounds = Arc::new(AtomicU32::new(0));
        let liar = tell(&central, lie, rounds.clone()).await;
        let summary = local.sync(What::Data).await;
        assert_eq!(summary.status, "failed", "{what}: {summary:#?}");
        assert!(summary.code.is_some() && summary.reason.is_some(), "{what}");
        let rounds = rounds.load(Ordering::SeqCst);
        assert!(rounds > 0, "{what}: the lie must have been told");
        assert_eq!(rounds >= MAX_ROUNDS, what.starts_with("no end"), "{what}: {rounds} rounds");
        assert!(rounds <= MAX_ROUNDS, "{what}: {rounds} rounds");
        assert_eq!(local.members("A").await[&EntityType::TestTaker].len(), 200, "{what}");
        liar.abort();
        let _ = liar.await;
        central.listen().await;
        let summary = local.sync_equal().await;
        assert!(summary.comparison.is_some(), "{what}");
    }
}
