//! Local machines that were copied, or restored from an older state: results are always taken, data wait for a person.

use std::collections::BTreeSet;

use taosync_model::EntityType;
use taosync_model::item::Envelope;
use taosync_store::entities::Change;
use taosync_store::outbox::OutboxFilter;
use taosync_store::received::ReceivedFilter;
use taosync_sync::session::What;
use uuid::Uuid;

use crate::results_up::{play, with_test};
use crate::support::proxy::Proxy;
use crate::support::{Central, Local, taker_uri};

/// Every item that one of these local servers shows as sent is at central exactly once, byte-identical.
pub async fn every_result_is_at_central_once(central: &Central, locals: &[&Local]) {
    let received = central.store().received_list(&ReceivedFilter::default(), 1000).await.unwrap();
    let name = |envelope: &Envelope| (envelope.item, envelope.version, envelope.digest.to_hex());
    let there: Vec<_> = received.iter().map(|item| name(&item.envelope)).collect();
    let distinct: BTreeSet<_> = there.iter().cloned().collect();
    assert_eq!(there.len(), distinct.len(), "nothing is held twice");
    for local in locals {
        let rows = local.store().outbox_list(&OutboxFilter::default(), 1000).await.unwrap();
        for row in rows.iter().filter(|row| row.sent_at.is_some()) {
            assert!(distinct.contains(&name(&row.envelope)), "{:?} was lost", row.envelope.item);
        }
    }
}

async fn diverged(central: &Central) -> Vec<Option<String>> {
    let nodes = central.store().nodes_list().await.unwrap();
    nodes.into_iter().flat_map(|node| node.orgs).map(|org| org.diverged).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_alternates_with_its_original_is_refused_data_and_keeps_no_result_back() {
    let central = Central::start().await;
    with_test(&central, 0..6).await;
    let original = Local::joined(&central, "A").await;
    original.sync_equal().await;
    let copy = original.copy().await;
    play(&original.runner().await, 0).await;
    play(&copy.runner().await, 1).await;
    original.sync_equal().await;
    central.change(vec![Change::Remove(taker_uri(5))]).await;
    for round in 0..2 {
        let refused = copy.sync(What::All).await;
        assert_eq!(refused.code.as_deref(), Some("TS-311"), "{refused:#?}");
        assert!(refused.advice.iter().any(|advice| advice.contains("taosync node renew")), "{:?}", refused.advice);
        assert_eq!((refused.results.sent, refused.results.pending), (1 - round, 0), "results are taken all the same");
        assert_eq!(copy.members("A").await[&EntityType::TestTaker].len(), 6, "no data are applied");
        original.sync_equal().await;
    }
    assert_eq!(diverged(&central).await, [Some("copied".to_owned())]);
    every_result_is_at_central_once(&central, &[&original, &copy]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_copy_is_a_machine_of_its_own_and_hands_in_what_it_had() {
    let central = Central::start().await;
    with_test(&central, 0..4).await;
    let original = Local::joined(&central, "A").await;
    original.sync_equal().await;
    let copy = original.copy().await;
    let item = play(&copy.runner().await, 1).await;
    original.sync_equal().await;
    central.change(vec![Change::Remove(taker_uri(3))]).await;
    let old = copy.store().identity().await.unwrap().node;
    let copy = copy.renew().await;
    let new = copy.store().identity().await.unwrap().node;
    assert_ne!(old, new);
    let summary = copy.sync_equal().await;
    assert_eq!((summary.results.sent, summary.types[&EntityType::TestTaker].removed), (1, 1));
    original.sync_equal().await;
    assert_eq!(diverged(&central).await, [None, None]);
    let received = central.store().received_list(&ReceivedFilter::default(), 9).await.unwrap();
    assert_eq!((received[0].envelope.item, received[0].envelope.origin), (item, old), "made by the old identity");
    assert_eq!(received[0].handed_in_by, Some(new));
    every_result_is_at_central_once(&central, &[&original, &copy]).await;
    // Packages are sealed for the new identity.
    play(&copy.runner().await, 2).await;
    assert_eq!(copy.sync_equal().await.results.sent, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_machine_goes_on_once_it_is_adopted_and_its_other_self_does_not() {
    let central = Central::start().await;
    with_test(&central, 0..6).await;
    let machine = Local::joined(&central, "A").await;
    machine.sync_equal().await;
    play(&machine.runner().await, 0).await;
    let yesterday = machine.copy().await;
    machine.sync_equal().await;
    play(&machine.runner().await, 1).await;
    machine.sync_equal().await;
    machine.sync_equal().await;
    let refused = yesterday.sync(What::All).await;
    assert_eq!(refused.code.as_deref(), Some("TS-311"), "{refused:#?}");
    assert_eq!((refused.results.sent, refused.results.duplicate), (1, 1), "what it had not seen confirmed");
    assert_eq!(diverged(&central).await, [Some("old".to_owned())]);
    yesterday.adopt().await;
    yesterday.sync_equal().await;
    assert_eq!(diverged(&central).await, [None]);
    play(&yesterday.runner().await, 2).await;
    assert_eq!(yesterday.sync_equal().await.results.sent, 1);
    assert_eq!(machine.sync(What::All).await.code.as_deref(), Some("TS-311"), "two cannot both be it");
    every_result_is_at_central_once(&central, &[&machine, &yesterday]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_answers_are_lost_is_not_taken_for_a_copy() {
    let central = Central::start().await;
    with_test(&central, 0..4).await;
    let proxy = Proxy::before(central.address).await;
    let local = Local::joined_at(&central, &proxy.url(), &["A"]).await;
    local.sync_equal().await;
    let steps = async || local.store().replicas_list().await.unwrap().remove(0).continuation;
    let (mut failed, mut stepped) = (0, 0);
    for bytes in (1_500..6_000).step_by(300) {
        let before = steps().await;
        proxy.cut_down_after(bytes);
        let cut = local.sync(What::Data).await;
        proxy.mend();
        failed += u64::from(cut.code.is_some());
        assert_ne!(cut.code.as_deref(), Some("TS-311"), "{cut:#?}");
        let after = steps().await;
        stepped += u64::from(after.next.is_some() && after.count == before.count);
        // As if the machine had been killed before it could tell: whatever happened, the same machine goes on.
        local.sync_equal().await;
    }
    assert!(failed > 1 && stepped > 1 && proxy.cuts() > 0, "the fault must have fired: {failed}, {stepped}");
    assert_eq!(diverged(&central).await, [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_dies_between_feed_and_report_goes_on() {
    let central = Central::start().await;
    with_test(&central, 0..4).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    for _ in 0..2 {
        // A copy made at rest, with the step of the sync that its answer never came back from.
        let replica = local.store().replicas_list().await.unwrap().remove(0);
        let shown = local.store().continuation_prepare(replica.id).await.unwrap();
        assert!(shown.next.is_some());
        let killed = local.copy().await;
        local.sync_equal().await;
        let central_has: Vec<Uuid> = central.store().nodes_list().await.unwrap().iter().map(|n| n.node.id).collect();
        assert_eq!(central_has.len(), 1);
        killed.sync_equal().await;
        // Now both have gone on from there: the second to come is found.
        local.adopt().await;
        local.sync_equal().await;
        assert_eq!(killed.sync(What::Data).await.code.as_deref(), Some("TS-311"));
    }
}
