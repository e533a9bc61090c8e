//! A central that lies, breaks off, or sends bombs: the local server says what is wrong, loses nothing, and completes at
//! the next sync with the real one.

use std::collections::BTreeMap;

use bytes::Bytes;
use taosync_model::canonical::DIGEST_VERSION;
use taosync_model::{Clock as _, Digest, Entity, EntityType, Value, vocabulary as v};
use taosync_sync::session::What;
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1::feed::{self, Ahead, Checkpoint, End, FeedFrame, Hello, TypeEnd, Upsert};

use crate::support::{Central, Local, false_central, org, taker_uri};

/// What the false central answers to every request for data.
struct Lie {
    what: &'static str,
    body: Vec<u8>,
}

struct Script {
    writer: FrameWriter,
    hello: Hello,
}

impl Script {
    async fn new(central: &Central) -> Self {
        let identity = central.store().identity().await.unwrap();
        let hello = Hello {
            central: identity.node,
            org: "A".into(),
            epoch: identity.epoch,
            floor: BTreeMap::new(),
            counts: BTreeMap::new(),
            removals_approved_through: BTreeMap::new(),
            steps: 1,
            safe_receipt_no: 0,
            top_receipt_no: 0,
            capabilities: Vec::new(),
            digest_version: DIGEST_VERSION,
            time: central.node.clock.now(),
        };
        Self { writer: FrameWriter::new().unwrap(), hello }
    }

    fn greet(mut self) -> Self {
        self.writer.push(&FeedFrame::Hello(Box::new(self.hello.clone())), b"").unwrap();
        self
    }

    fn frame(mut self, frame: &FeedFrame, body: &[u8]) -> Self {
        self.writer.begin(frame).unwrap();
        self.writer.part(body).unwrap();
        self
    }

    fn end(self, seq: i64) -> Self {
        let state = TypeEnd { seq, digest: Digest::of(b"wrong"), count: 3 };
        let types = EntityType::FEED.into_iter().map(|t| (t, state)).collect();
        self.frame(&FeedFrame::End(End { types }), b"")
    }

    fn done(self) -> Vec<u8> {
        self.writer.finish().unwrap()
    }
}

const TAKER: EntityType = EntityType::TestTaker;

async fn lies(central: &Central) -> Vec<Lie> {
    let new = async || Script::new(central).await;
    let stranger = Entity::new("http://elsewhere.example/#nobody", v::CLASS_SUBJECT);
    let body = serde_json::to_vec(&stranger).unwrap();
    let upsert = |seq: i64, len: usize| FeedFrame::Upsert(Upsert { entity_type: TAKER, seq, len: len as u64 });
    let checkpoint = |seq: i64| FeedFrame::Checkpoint(Checkpoint { entity_type: TAKER, seq });
    let removal = |n: usize| FeedFrame::Remove(feed::Remove { entity_type: TAKER, seq: 100, uri: taker_uri(n) });
    let mut lies = Vec::new();
    let mut lie = |what, body| lies.push(Lie { what, body });
    lie("nothing at all", Vec::new());
    lie("a login page", b"<html>please log in</html>".to_vec());
    lie("no hello", new().await.end(1).done());
    lie("cut in the middle", {
        let whole = new().await.greet().frame(&upsert(7, body.len()), &body).end(1).done();
        whole[..whole.len() - 9].to_vec()
    });
    lie("no end", new().await.greet().frame(&upsert(7, body.len()), &body).done());
    lie("an end that leaves types out", new().await.greet().frame(&FeedFrame::End(End::default()), b"").done());
    lie("two hellos", new().await.greet().greet().end(1).done());
    lie("wrong digests", new().await.greet().frame(&upsert(7, body.len()), &body).end(1).done());
    lie("a body that is no entity", new().await.greet().frame(&upsert(7, 4), b"null").end(1).done());
    lie("a body that is too long", new().await.greet().frame(&upsert(7, 1 << 40), b"").end(1).done());
    lie("the largest numbers", {
        let mut script = new().await;
        script.hello.counts.insert(TAKER, Ahead { upserts: i64::MAX, removals: i64::MAX });
        script.hello.removals_approved_through.insert(TAKER, i64::MAX);
        script.greet().frame(&checkpoint(i64::MAX), b"").end(i64::MAX).done()
    });
    lie("the smallest numbers", {
        let mut script = new().await;
        script.hello.counts.insert(TAKER, Ahead { upserts: i64::MIN, removals: i64::MIN });
        script.greet().frame(&upsert(i64::MIN, body.len()), &body).frame(&checkpoint(-5), b"").end(-1).done()
    });
    lie("numbers that fall", {
        let script = new().await.greet().frame(&upsert(9, body.len()), &body).frame(&checkpoint(900), b"");
        script.frame(&upsert(3, body.len()), &body).frame(&checkpoint(2), b"").end(2).done()
    });
    lie("everybody removed, announced as little", {
        let mut script = new().await;
        script.hello.counts.insert(TAKER, Ahead { upserts: 1, removals: 0 });
        let mut script = script.greet();
        for n in 0..20 {
            script = script.frame(&removal(n), b"");
        }
        script.end(100).done()
    });
    lie("a bomb in a header", new().await.greet().frame(&upsert(1, 0), &vec![b' '; 64 << 20]).done());
    lie("links without end", {
        let link = feed::Link {
            entity_type: EntityType::Eligibility,
            seq: 1,
            owner: "http://elsewhere.example/#owner".into(),
            predicate: "http://elsewhere.example/#predicate".into(),
            value: Value::plain("x".repeat(60_000)),
            gone: true,
        };
        let mut script = new().await.greet();
        for _ in 0..1_000 {
            script = script.frame(&FeedFrame::Link(link.clone()), b"");
        }
        script.end(1).done()
    });
    lies
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_of_a_false_central_does_lasting_harm() {
    let mut central = Central::start().await;
    central.change(org("A", 0..20)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    for Lie { what, body } in lies(&central).await {
        central.stop().await;
        let body = Bytes::from(body);
        let liar = false_central::in_place_of(&central, move |_| body.clone()).await;
        let summary = local.sync(What::All).await;
        assert_ne!(summary.status, "success", "{what}: {summary:#?}");
        assert!(!summary.digest_equal, "{what}");
        assert!(summary.reason.is_some() || !summary.advice.is_empty(), "{what} is said in words: {summary:#?}");
        assert_eq!(local.store().replica_check().await.unwrap(), [], "{what}");
        let left = local.members("A").await[&TAKER].iter().filter(|uri| uri.contains("central.example")).count();
        assert!(left >= 16, "{what}: {left} of 20 takers are left");
        liar.abort();
        let _ = liar.await;
        central.listen().await;
        local.sync_equal().await;
        assert_eq!(local.members("A").await, central.members("A").await, "{what}");
    }
}
