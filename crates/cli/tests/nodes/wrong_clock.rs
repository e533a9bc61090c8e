//! A machine whose clock is years off, as after the battery on its board has died, over real TLS.

use taosync_model::{Clock as _, EntityType};
use taosync_store::received::ReceivedFilter;
use taosync_sync::session::{Summary, What};

use crate::results_up::{play, with_test};
use crate::support::{Central, Local, org, plan, taker, up};

/// Puts a machine's clock into the first days of a year.
fn set_year(local: &Local, year: i64) {
    let seconds = (year - 1970) * 31_556_952 + 86_400;
    local.node.clock.shift(seconds - local.node.clock.now().as_second());
}

async fn school() -> (Central, Local) {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    (central, local)
}

async fn refused(local: &Local) -> Summary {
    let summary = local.sync_with(plan(What::All)).await.unwrap();
    assert_eq!(summary.status, "failed", "{summary:#?}");
    summary
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_battery_locks_no_school_out() {
    let (central, local) = school().await;
    for (year, side) in [(1970, "behind"), (2099, "ahead of")] {
        set_year(&local, year);
        central.change(vec![up(EntityType::TestTaker, taker(0, &["A"]).with("http://x/year", year.to_string()))]).await;
        let summary = local.sync_equal().await;
        let ahead = summary.clock_ahead.unwrap();
        assert!(ahead.unsigned_abs() > 20 * 31_556_952 && (ahead > 0) == (year == 2099), "{ahead}");
        assert!(summary.advice.iter().any(|line| line.contains(side) && line.contains("battery")), "{summary:#?}");
        let nodes = central.store().nodes_list().await.unwrap();
        let report = nodes[0].orgs[0].report.as_ref().unwrap();
        assert_eq!(report["clock"], ahead, "the office sees it too");
    }
    // With its clock right again nothing is asked for and nothing said.
    local.node.clock.shift(central.store().clock().now().as_second() - local.node.clock.now().as_second());
    let summary = local.sync_equal().await;
    assert!(summary.clock_ahead.unwrap().abs() < 60 && summary.advice.is_empty(), "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_go_up_from_a_machine_in_1970_too() {
    let central = Central::start().await;
    with_test(&central, 0..3).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    set_year(&local, 1970);
    play(&local.runner().await, 0).await;
    let summary = local.sync(What::Results).await;
    assert_eq!((summary.status.as_str(), summary.results.sent), ("success", 1), "{summary:#?}");
    assert!(summary.clock_ahead.unwrap() < 0, "measured though no data were asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_over_by_centrals_own_time_is_refused() {
    let (central, local) = school().await;
    // Eleven years later the certificate is over, and central says so itself.
    central.node.clock.shift(11 * 31_556_952);
    for year in [1970, 2099] {
        set_year(&local, year);
        let summary = refused(&local).await;
        assert_eq!(summary.code.as_deref(), Some("TS-205"), "{summary:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_is_refused_whatever_the_clock_says() {
    let (mut central, local) = school().await;
    let impostor = Central::start().await;
    impostor.change(org("A", 0..3)).await;
    // Another authority at central's address.
    central.stop().await;
    let (address, own) = (central.address, impostor.store().clone());
    let mut other = impostor;
    other.stop().await;
    other.address = address;
    other.listen().await;
    set_year(&local, 1970);
    assert_eq!(refused(&local).await.code.as_deref(), Some("TS-204"));
    other.stop().await;
    // Central's certificate, as a thief of an old one has it, and another node key: the time is not signed by central.
    let _thief = central.with_store(own).await;
    for year in [1970, 2099] {
        set_year(&local, year);
        let summary = refused(&local).await;
        assert_eq!(summary.code.as_deref(), Some("TS-212"), "{summary:#?}");
        assert!(summary.reason.unwrap().contains("did not sign the time"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_never_met_central_needs_a_clock_that_is_right() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let local = Local::joined(&central, "A").await;
    set_year(&local, 1970);
    let summary = refused(&local).await;
    assert_eq!(summary.code.as_deref(), Some("TS-205"), "nobody can sign the time for it yet: {summary:#?}");
    assert!(central.store().nodes_list().await.unwrap().is_empty(), "and no secret was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_comes_is_sat_and_handed_in_whatever_the_year() {
    for year in [1970, 2099] {
        let (central, local) = school().await;
        set_year(&local, year);
        // The token that is kept has ended at central, which this clock cannot know.
        central.node.clock.shift(2 * 3_600);
        with_test(&central, 0..3).await;
        local.sync_equal().await;
        play(&local.runner().await, 0).await;
        let summary = local.sync_equal().await;
        assert_eq!((summary.results.sent, summary.results.pending), (1, 0), "{year} {summary:#?}");
        assert!(summary.clock_ahead.unwrap().abs() > 20 * 31_556_952, "{year}");
        let held = central.store().received_list(&ReceivedFilter::default(), 10).await.unwrap();
        assert_eq!(held.len(), 1, "{year}");
    }
}
