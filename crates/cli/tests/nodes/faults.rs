//! Bad lines and bad moments: every sync that fails leaves things so that the next one completes without help.

use taosync_model::EntityType;
use taosync_sync::session::{Plan, What};

use crate::results_up::{play, with_test};
use crate::support::connect_proxy::ConnectProxy;
use crate::support::proxy::Proxy;
use crate::support::{Central, Local, org, plan};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_cut_anywhere_goes_on_where_it_was() {
    let central = Central::start().await;
    central.change(org("A", 0..4_000)).await;
    let whole = Local::joined(&central, "A").await.sync_equal().await.bytes_down as i64;
    let proxy = Proxy::before(central.address).await;
    let local = Local::joined_at(&central, &proxy.url(), &["A"]).await;
    let (mut grew, mut before) = (0, 0);
    for share in [5, 25, 25, 25] {
        proxy.cut_down_after(whole * share / 100);
        let summary = local.sync(What::All).await;
        assert_eq!(summary.status, "failed", "{summary:#?}");
        assert!(summary.code.is_some() && summary.reason.is_some());
        assert_eq!(local.store().replica_check().await.unwrap(), []);
        let now = local.store().replica_count().await.unwrap().get(&EntityType::TestTaker).copied().unwrap_or(0);
        grew += i64::from(now > before);
        before = now;
    }
    assert!(proxy.cuts() >= 4, "the fault must have fired");
    assert!(grew >= 2, "what arrived is kept");
    proxy.mend();
    let summary = local.sync_equal().await;
    assert!(summary.types[&EntityType::TestTaker].created < 4_000);
    assert_eq!(local.members("A").await, central.members("A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_cut_anywhere_arrive_exactly_once() {
    let central = Central::start().await;
    with_test(&central, 0..40).await;
    let proxy = Proxy::before(central.address).await;
    let local = Local::joined_at(&central, &proxy.url(), &["A"]).await;
    local.sync_equal().await;
    let runner = local.runner().await;
    for n in 0..40 {
        play(&runner, n).await;
    }
    for bytes in [500, 4_000, 4_000, 6_000, 9_000, 14_000] {
        proxy.cut_up_after(bytes);
        local.sync(What::Results).await;
        proxy.mend();
        proxy.cut_down_after(bytes);
        local.sync(What::Results).await;
        proxy.mend();
    }
    assert!(proxy.cuts() > 3, "the fault must have fired");
    local.sync_equal().await;
    let held = central.store().received_list(&taosync_store::received::ReceivedFilter::default(), 1000).await.unwrap();
    let mut ids: Vec<_> = held.iter().map(|i| i.envelope.item).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((held.len(), ids.len()), (40, 40), "each exactly once");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_so_and_the_report_waits() {
    let mut central = Central::start().await;
    central.change(org("A", 0..10)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.stop().await;
    let summary = local.sync(What::All).await;
    assert_eq!(summary.code.as_deref(), Some("TS-203"), "{summary:#?}");
    let runs = local.store().sync_list(None, 10).await.unwrap();
    assert_eq!(runs[0].outcome.as_str(), "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_named_as_such() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let stranger = Central::start().await;
    let local = Local::joined_at(&central, &stranger.url(), &["A"]).await;
    let summary = local.sync(What::All).await;
    assert_eq!(summary.code.as_deref(), Some("TS-204"), "{summary:#?}");
    assert!(summary.reason.unwrap().contains("filter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_consumer_is_out_at_once() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    for consumer in central.store().consumers_list().await.unwrap() {
        central.store().consumer_revoke(&consumer.client_key).await.unwrap();
    }
    let summary = local.sync(What::All).await;
    assert_eq!(summary.code.as_deref(), Some("TS-210"), "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_without_a_scope_is_refused_with_words() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let local = Local::joined(&central, "Z").await;
    let summary = local.sync(What::All).await;
    assert_eq!(summary.status, "failed");
    assert!(summary.reason.unwrap().contains("scope"), "says what is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_proxy_is_used_and_sees_tls_only() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let proxy = ConnectProxy::start().await;
    let local = Local::joined(&central, "A").await;
    let through = Plan { proxy: Some(format!("http://{}", proxy.address)), ..plan(What::All) };
    let summary = local.sync_with(through).await.unwrap();
    assert_eq!(summary.status, "success", "{summary:#?}");
    assert!(proxy.tunnels() > 0, "nothing went through the proxy");
}
