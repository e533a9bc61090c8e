//! A central that was put back to an older state without telling anybody: found out by numbers, nothing is lost.

use taosync_model::EntityType;
use taosync_store::entities::Change;
use taosync_store::outbox::AfterReceipt;
use taosync_store::received::ReceivedFilter;
use taosync_sync::packages::{Readiness, readiness};
use taosync_sync::session::{Summary, What};
use taosync_sync::up::UpLimits;

use crate::copies::every_result_is_at_central_once;
use crate::deliveries::publish_demo;
use crate::results_up::{play, with_test};
use crate::support::{Central, DELIVERY, Local, org, plan, taker_uri};

/// As with `delete_after_send = true`.
async fn sync_hiding(local: &Local, what: What) -> Summary {
    let up = UpLimits { after_receipt: AfterReceipt::Hide, ..UpLimits::default() };
    local.sync_with(taosync_sync::session::Plan { up, ..plan(what) }).await.unwrap()
}

async fn received(central: &Central) -> usize {
    central.store().received_list(&ReceivedFilter::default(), 1000).await.unwrap().len()
}

async fn alarms(central: &Central) -> usize {
    let nodes = central.store().nodes_list().await.unwrap();
    nodes.iter().flat_map(|node| &node.orgs).filter(|org| org.behind_at.is_some()).count()
}

async fn two_schools() -> (Central, Local, Local) {
    let central = Central::start().await;
    with_test(&central, 0..8).await;
    let (one, two) = (Local::joined(&central, "A").await, Local::joined(&central, "A").await);
    one.sync_equal().await;
    two.sync_equal().await;
    (central, one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_known_by_the_count_and_what_it_lost_comes_again() {
    let (central, one, _) = two_schools().await;
    let yesterday = central.save();
    for n in 0..3 {
        play(&one.runner().await, n).await;
    }
    assert_eq!(sync_hiding(&one, What::All).await.results.sent, 3);
    let central = central.put_back(yesterday).await;
    assert_eq!(received(&central).await, 0, "lost there");
    central.change(vec![Change::Remove(taker_uri(7))]).await;
    let noticed = sync_hiding(&one, What::All).await;
    assert_eq!(noticed.code.as_deref(), Some("TS-307"), "{noticed:#?}");
    assert_eq!(noticed.results.sent, 3, "handed in again at once, although hidden here");
    assert_eq!(one.members("A").await[&EntityType::TestTaker].len(), 8, "no data are applied");
    assert_eq!(alarms(&central).await, 1);
    let after = one.sync_equal().await;
    assert_eq!((after.results.sent, after.types[&EntityType::TestTaker].removed), (0, 1));
    assert_eq!(alarms(&central).await, 0, "whole again");
    one.sync_equal().await;
    assert_eq!(received(&central).await, 3);
    every_result_is_at_central_once(&central, &[&one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_known_by_a_receipt_also_when_the_numbers_were_given_to_others() {
    let (central, one, two) = two_schools().await;
    let yesterday = central.save();
    for n in 0..3 {
        play(&one.runner().await, n).await;
    }
    // Results only: no step was taken that central could miss.
    assert_eq!(sync_hiding(&one, What::Results).await.results.sent, 3);
    let central = central.put_back(yesterday).await;
    for n in 3..7 {
        play(&two.runner().await, n).await;
    }
    assert_eq!(sync_hiding(&two, What::All).await.results.sent, 4, "numbers 1 to 4 once more");
    // Nothing of it shows in numbers any more, and the newest item would hide the loss of the older ones.
    play(&one.runner().await, 7).await;
    let noticed = sync_hiding(&one, What::Results).await;
    assert_eq!(noticed.code, None, "{noticed:#?}");
    assert_eq!(noticed.results.sent, 4, "the new one, and three again: {noticed:#?}");
    assert!(noticed.advice.iter().any(|advice| advice.contains("older state")), "{:?}", noticed.advice);
    assert_eq!(alarms(&central).await, 1);
    let compared = one.sync_equal().await;
    assert_eq!(compared.results.sent, 0);
    assert_eq!(received(&central).await, 8);
    every_result_is_at_central_once(&central, &[&one, &two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_new_to_hand_in_the_receipt_is_shown_to_the_feed() {
    let (central, one, two) = two_schools().await;
    let yesterday = central.save();
    play(&one.runner().await, 0).await;
    assert_eq!(sync_hiding(&one, What::Results).await.results.sent, 1);
    let central = central.put_back(yesterday).await;
    for n in 3..5 {
        play(&two.runner().await, n).await;
    }
    two.sync_equal().await;
    let noticed = sync_hiding(&one, What::Data).await;
    assert_eq!(noticed.code.as_deref(), Some("TS-307"), "{noticed:#?}");
    let summary = one.sync_equal().await;
    assert!(summary.compared);
    assert_eq!(summary.results.sent, 1);
    assert_eq!(received(&central).await, 3);
    every_result_is_at_central_once(&central, &[&one, &two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_test_with_the_number_of_a_lost_one_takes_its_place_once_nobody_sits_it() {
    let (central, one, _) = two_schools().await;
    let yesterday = central.save();
    publish_demo(&central, DELIVERY, "Maths, grade 6").await;
    one.sync_equal().await;
    let lost = one.store().package_current(DELIVERY).await.unwrap().unwrap().reference;
    let execution = one.runner().await.start(DELIVERY, &taker_uri(1)).await.unwrap().id;
    let central = central.put_back(yesterday).await;
    publish_demo(&central, DELIVERY, "Maths, grade 6").await;
    let now = central.store().package_current(DELIVERY).await.unwrap().unwrap().reference;
    assert!(now.version == lost.version && now.sealed_tree != lost.sealed_tree, "sealed under another key");
    sync_hiding(&one, What::All).await;
    let blocked = sync_hiding(&one, What::All).await;
    assert!(blocked.digest_equal && blocked.deliveries.failed == 1, "{blocked:#?}");
    assert!(blocked.advice.iter().any(|advice| advice.contains("1 executions run on a package")), "{blocked:#?}");
    let tests = readiness::readiness(one.store()).await.unwrap();
    assert!(tests.iter().any(|test| !test.is_ready() && test.uri == DELIVERY), "{tests:?}");
    assert_eq!(one.store().package_current(DELIVERY).await.unwrap().unwrap().reference, lost);
    one.runner().await.terminate(execution, "starts again").await.unwrap();
    one.sync_equal().await;
    assert_eq!(one.store().package_current(DELIVERY).await.unwrap().unwrap().reference, now);
    assert!(readiness::readiness(one.store()).await.unwrap().iter().all(Readiness::is_ready));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_killed_before_it_acts_is_told_again() {
    let (central, one, _) = two_schools().await;
    let yesterday = central.save();
    play(&one.runner().await, 0).await;
    sync_hiding(&one, What::All).await;
    let before = one.copy().await;
    let central = central.put_back(yesterday).await;
    assert_eq!(sync_hiding(&one, What::Data).await.code.as_deref(), Some("TS-307"));
    // As its disk was before the answer came.
    assert_eq!(sync_hiding(&before, What::Data).await.code.as_deref(), Some("TS-307"));
    assert_eq!(before.sync_equal().await.results.sent, 1);
    every_result_is_at_central_once(&central, &[&before]).await;
}

/// Another school hands in, so that nothing shows in numbers any more.
async fn give_numbers_again(other: &Local) {
    for n in 3..5 {
        play(&other.runner().await, n).await;
    }
    assert_eq!(other.sync_equal().await.results.sent, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_machine_is_not_believed_that_nothing_is_missing() {
    let (central, one, two) = two_schools().await;
    let yesterday = central.save();
    play(&one.runner().await, 0).await;
    assert_eq!(sync_hiding(&one, What::All).await.results.sent, 1);
    let restored = one.copy().await;
    for _ in 0..2 {
        one.sync_equal().await;
    }
    // Both were put back, central further than the machine.
    let central = central.put_back(yesterday).await;
    give_numbers_again(&two).await;
    restored.adopt().await;
    let noticed = sync_hiding(&restored, What::All).await;
    assert_eq!(noticed.code.as_deref(), Some("TS-307"), "{noticed:#?}");
    assert_eq!((noticed.results.sent, received(&central).await), (1, 3), "handed in again at once");
    restored.sync_equal().await;
    every_result_is_at_central_once(&central, &[&restored]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_that_is_put_back_twice_is_noticed_twice() {
    let (central, one, two) = two_schools().await;
    let (first, second) = (central.save(), central.save());
    play(&one.runner().await, 0).await;
    sync_hiding(&one, What::All).await;
    let central = central.put_back(first).await;
    assert_eq!(sync_hiding(&one, What::All).await.code.as_deref(), Some("TS-307"));
    assert_eq!(received(&central).await, 1);
    // Before the machine had a chance to say that it knows.
    let central = central.put_back(second).await;
    give_numbers_again(&two).await;
    let again = sync_hiding(&one, What::All).await;
    assert_eq!(again.code.as_deref(), Some("TS-307"), "{again:#?}");
    assert_eq!(received(&central).await, 3);
    one.sync_equal().await;
    every_result_is_at_central_once(&central, &[&one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_of_several_organisations_hands_in_again_for_each() {
    let central = Central::start().await;
    central.change(org("B", 4..8)).await;
    with_test(&central, 0..4).await;
    let local = Local::joined_at(&central, &central.url(), &["A", "B"]).await;
    local.sync_equal().await;
    let yesterday = central.save();
    for n in [0, 5] {
        play(&local.runner().await, n).await;
    }
    assert_eq!(sync_hiding(&local, What::All).await.results.sent, 2);
    let central = central.put_back(yesterday).await;
    let noticed = sync_hiding(&local, What::All).await;
    assert_eq!((noticed.code.as_deref(), noticed.results.sent), (Some("TS-307"), 2), "{noticed:#?}");
    local.sync_equal().await;
    assert_eq!(received(&central).await, 2);
    every_result_is_at_central_once(&central, &[&local]).await;
}
