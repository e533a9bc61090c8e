//! Central forgets old removals: who has heard them goes on, who has not compares, and nobody keeps what is gone.

use futures_util::StreamExt as _;
use jiff::SignedDuration;
use taosync_model::{Clock as _, EntityType, OrgId};
use taosync_store::entities::Change;
use taosync_sync::down::offer::{OfferRequest, offer};
use taosync_sync::session::What;
use taosync_vault::random;
use taosync_wire::frame::FrameReader;
use taosync_wire::v1::feed::{FeedFrame, FeedQuery};

use crate::support::proxy::Proxy;
use crate::support::{Central, Local, eligibility, org, taker, taker_uri, up};

const TAKER: EntityType = EntityType::TestTaker;

impl Central {
    /// Forgets all removals so far.
    async fn forget(&self) -> u64 {
        let later = self.node.clock.now() + SignedDuration::from_hours(1);
        self.store().removals_forget(later).await.unwrap()
    }

    async fn floor(&self, org: &str) -> i64 {
        let org = OrgId::new(org).unwrap();
        self.store().feed_state(&org).await.unwrap().unwrap().types[&TAKER].floor
    }
}

impl Local {
    async fn position(&self) -> i64 {
        self.store().replicas_list().await.unwrap()[0].types[&TAKER].seq
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_below_the_floor_compares_and_one_at_or_above_goes_on() {
    let central = Central::start().await;
    central.change(org("A", 0..60)).await;
    let (below, at, above) =
        (Local::joined(&central, "A").await, Local::joined(&central, "A").await, Local::joined(&central, "A").await);
    below.sync_equal().await;
    central.change(vec![Change::Remove(taker_uri(3))]).await;
    at.sync_equal().await;
    central.change(vec![up(TAKER, taker(4, &["A", "somewhere"]))]).await;
    above.sync_equal().await;
    assert!(central.forget().await > 0);
    let floor = central.floor("A").await;
    let positions = [below.position().await, at.position().await, above.position().await];
    assert_eq!(positions, [floor - 1, floor, floor + 1]);
    for (local, compares) in [(&below, true), (&at, false), (&above, false)] {
        let summary = local.sync_equal().await;
        assert_eq!(summary.comparison.is_some(), compares, "{summary:#?}");
        assert_eq!(local.members("A").await, central.members("A").await);
    }
    assert!(!below.members("A").await[&TAKER].contains(&taker_uri(3)), "the forgotten removal was made good");
    assert!(below.sync_equal().await.comparison.is_none(), "from here on it goes on as usual");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_that_was_cut_misses_no_removal_that_was_forgotten_meanwhile() {
    let central = Central::start().await;
    central.change(org("A", 0..4_000)).await;
    let whole = Local::joined(&central, "A").await.sync_equal().await.bytes_down as i64;
    let proxy = Proxy::before(central.address).await;
    let local = Local::joined_at(&central, &proxy.url(), &["A"]).await;
    proxy.cut_down_after(whole / 2);
    assert_eq!(local.sync(What::All).await.status, "failed");
    assert!(proxy.cuts() > 0, "the fault must have fired");
    proxy.mend();
    let cursor = local.position().await;
    assert!(cursor > 0);
    let first: Vec<String> = local.members("A").await[&TAKER].iter().take(3).cloned().collect();
    central.change(first.iter().cloned().map(Change::Remove).collect()).await;
    assert!(central.forget().await >= 3);
    assert!(cursor < central.floor("A").await);
    local.sync_equal().await;
    let members = local.members("A").await;
    assert_eq!(members, central.members("A").await);
    assert!(first.iter().all(|uri| !members[&TAKER].contains(uri)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_local_server_needs_nothing_that_was_forgotten() {
    let central = Central::start().await;
    central.change(org("A", 0..30)).await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 5..30))]).await;
    assert!(central.forget().await >= 10, "takers and links");
    let local = Local::joined(&central, "A").await;
    let summary = local.sync_equal().await;
    assert_eq!((summary.types[&TAKER].created, summary.types[&TAKER].removed), (25, 0));
    assert_eq!(local.members("A").await, central.members("A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_during_which_its_removals_are_forgotten_says_so() {
    let central = Central::start().await;
    central.change(org("A", 0..4_000)).await;
    let request = OfferRequest {
        org: OrgId::new("A").unwrap(),
        query: FeedQuery { epoch: None, after: String::new(), types: None },
        shown: taosync_model::continuation::Shown::default(),
        receipt: None,
        node: random::uuid(),
        actor: "test".into(),
        sync: None,
        chunk_size: 500,
    };
    let mut pieces = Box::pin(offer(central.store().clone(), request).await.unwrap());
    let mut reader = FrameReader::<FeedFrame>::new().unwrap();
    reader.feed(&pieces.next().await.unwrap().unwrap()).unwrap();
    central.change(vec![Change::Remove(taker_uri(3))]).await;
    assert!(central.forget().await > 0);
    while let Some(piece) = pieces.next().await {
        reader.feed(&piece.unwrap()).unwrap();
    }
    reader.finish().unwrap();
    let frames: Vec<FeedFrame> = std::iter::from_fn(|| reader.next_frame()).map(|(frame, _)| frame).collect();
    let Some(FeedFrame::Failed(problem)) = frames.last() else { panic!("{:?}", frames.last()) };
    assert_eq!(problem.code, "cursor_too_old");
}
