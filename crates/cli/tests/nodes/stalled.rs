//! Fifty clients that take nothing of their answer, and fifty that stop in the middle of what they send: the others sync
//! as ever, the database's log stays small, and in the end the silent ones are cut.

mod peers;
mod watch;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::SignedDuration;
use taosync_model::{Clock as _, EntityType, vocabulary as v};
use taosync_server::ListenLimits;
use taosync_store::entities::Change;

use crate::support::{Central, Listening, Local, org, taker, taker_uri, up};
use peers::{Pass, Peer, Upload};
use watch::{Held, LogSize, Socket, checkpoint, sockets_of};

const EACH: usize = 50;
/// Takers of the organisation whose feed nobody takes, and where those of the other begin.
const TAKERS: usize = 2_000;
const OTHERS: usize = 10_000;
/// Most bytes of the database's log: its limit in the store.
const MAX_LOG: u64 = 64 * 1024 * 1024;
/// How long the others sync meanwhile.
const MEANWHILE: Duration = Duration::from_secs(2);

async fn central(limits: ListenLimits) -> Central {
    // Small buffers: what is sent of an answer of some hundred kilobytes is what the client made room for.
    let central = Central::start_with(Listening { limits, send_buffer: Some(8 * 1024) }).await;
    central.change(org("A", 0..TAKERS)).await;
    central.change(org("B", OTHERS..OTHERS + 40)).await;
    central
}

/// Fifty of each, at the point where they fall silent.
async fn fall_silent(central: &Central) -> (Vec<Peer>, Vec<Peer>) {
    let mut passes = Vec::new();
    for _ in 0..EACH {
        passes.push(Pass::issue(central, "A").await);
    }
    let uploads = [Upload::Item, Upload::Listing, Upload::Question].into_iter().cycle();
    let readers = join_all(passes.iter().map(|pass| Peer::asks_for_feed(central, pass)));
    let writers = join_all(passes.iter().zip(uploads).map(|(pass, upload)| Peer::begins(central, pass, upload)));
    tokio::join!(readers, writers)
}

/// Changes at central and syncs of two local servers, one after the other, for a while. Returns how many rounds.
async fn others_sync(central: &Central, locals: [&Local; 2]) -> usize {
    let since = Instant::now();
    let mut rounds = 0;
    while since.elapsed() < MEANWHILE || rounds < 2 {
        rounds += 1;
        let renamed =
            |n: usize, org: &str| up(EntityType::TestTaker, taker(n, &[org]).with(v::RDFS_LABEL, format!("{rounds}")));
        let mut changes: Vec<Change> = (0..30).map(|n| renamed(n + 30 * rounds, "A")).collect();
        changes.extend((0..5).map(|n| renamed(OTHERS + n, "B")));
        central.change(changes).await;
        let (one, two) = tokio::join!(locals[0].sync_equal(), locals[1].sync_equal());
        assert_eq!([one.types[&EntityType::TestTaker].updated, two.types[&EntityType::TestTaker].updated], [5, 5]);
    }
    rounds
}

/// Central's ends of these connections that are still open.
fn open(central: &Central, peers: &[Peer]) -> Vec<Socket> {
    let sockets = sockets_of(central.address.port());
    peers.iter().filter_map(|peer| sockets.get(&peer.port).copied()).filter(|socket| socket.established).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_hold_up_nobody() {
    let limits = ListenLimits::default();
    let central = central(limits).await;
    let one = Local::joined(&central, "B").await;
    let two = Local::joined(&central, "B").await;
    let behind = Local::joined(&central, "B").await;
    for local in [&one, &two, &behind] {
        local.sync_equal().await;
    }
    let log = LogSize::watch(&central);

    let since = Instant::now();
    let (readers, writers) = fall_silent(&central).await;
    let rounds = Box::pin(others_sync(&central, [&one, &two])).await;

    let before: Vec<usize> = join_all(readers.iter().map(Peer::waiting)).await;
    assert!(before.iter().all(|&bytes| bytes > 0), "central has begun to answer each: {before:?}");
    let queued = open(&central, &readers);
    assert_eq!(queued.len(), EACH, "no reader was cut yet");
    assert!(queued.iter().all(|socket| socket.unsent > 0), "central has more to send to each: {queued:?}");
    let uploading = open(&central, &writers);
    assert_eq!(uploading.len(), EACH, "no writer was cut or answered yet");
    assert!(uploading.iter().all(|socket| socket.unread == 0), "central has read what came, and waits: {uploading:?}");

    // Who has to compare finds the way free too, although 33 comparisons were begun.
    central.change(vec![Change::Remove(taker_uri(OTHERS + 7))]).await;
    central.store().removals_forget(central.node.clock.now() + SignedDuration::from_hours(1)).await.unwrap();
    assert!(behind.sync_equal().await.comparison.is_some());
    for local in [&one, &two, &behind] {
        local.sync_equal().await;
        assert_eq!(local.members("B").await, central.members("B").await);
    }

    // Nobody reads in the database: the log can be emptied. A reader that stands still would be noticed.
    central.change(vec![up(EntityType::TestTaker, taker(1, &["A"]).with(v::RDFS_LABEL, "last"))]).await;
    assert!(!checkpoint(&central, Held::ByAReader), "a reader keeps the log from being emptied");
    assert!(checkpoint(&central, Held::ByNobody), "a read transaction of central is still open");
    let largest = log.stop();
    assert!((1..MAX_LOG).contains(&largest), "the log had {largest} bytes");

    let after: Vec<usize> = join_all(readers.iter().map(Peer::waiting)).await;
    assert_eq!(before, after, "the readers got nothing more meanwhile");
    assert_eq!(open(&central, &readers).len() + open(&central, &writers).len(), 2 * EACH, "all are still silent");
    assert!(since.elapsed() < limits.stall, "the machine was too slow for this test: {:?}", since.elapsed());
    println!("{rounds} rounds, the log had at most {largest} bytes, {:?} went by", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_are_cut() {
    let central = central(ListenLimits { stall: Duration::from_secs(1), ..ListenLimits::default() }).await;
    let whole = Pass::issue(&central, "A").await.whole_feed(&central).await;
    let (readers, writers) = fall_silent(&central).await;
    let since = Instant::now();
    // The patience with each begins when it falls silent, which takes central a while with fifty at once.
    while open(&central, &readers).len() + open(&central, &writers).len() > 0 {
        assert!(since.elapsed() < Duration::from_secs(40), "not all were cut");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for reader in readers {
        let got = reader.read_to_end().await.len();
        assert!(got < whole / 2, "{got} of {whole} bytes came: the answer was not cut");
    }
    for writer in writers {
        let answer = writer.read_to_end().await;
        let text = String::from_utf8_lossy(&answer);
        // Of an outbox that falls silent, what was whole counts; a question that is not whole is no question.
        assert!(text.starts_with("HTTP/1.1 200") || text.contains("body_stalled"), "{text}");
    }
}
