//! The removal guard on whole nodes: what nobody approved is held with everything that belongs to it, and nothing else
//! waits for it.

use taosync_model::execution::ExecutionState;
use taosync_model::{Digest, Entity, EntityType, OrgId, Value, vocabulary as v};
use taosync_store::Durability;
use taosync_store::entities::Change;
use taosync_sync::down::guard::Removals;
use taosync_sync::packages::publish::withdraw;
use taosync_sync::session::{Plan, Summary, What};

use crate::results_up::{play, with_test};
use crate::support::proxy::Proxy;
use crate::support::{Central, DELIVERY, Local, center, eligibility, eligibility_uri, org, plan, taker, taker_uri, up};

const TAKER: EntityType = EntityType::TestTaker;
const PROCTOR: EntityType = EntityType::Proctor;

/// Central's word about everything removed so far, as `scope approve-removals` gives it.
async fn approve(central: &Central, types: &[EntityType]) {
    let org = OrgId::new("A").unwrap();
    let keys: Vec<_> = types.iter().map(|t| (org.clone(), *t)).collect();
    let mut tx = central.store().write("test", Durability::Flushed).await.unwrap();
    central.store().removals_approve(&mut tx, &keys).await.unwrap();
    tx.commit().await.unwrap();
}

fn proctor(n: usize) -> Change {
    let entity = Entity::new(format!("http://central.example/t.rdf#proctor{n}"), v::CLASS_TAO_USER)
        .with(v::RDFS_LABEL, format!("Proctor {n}"))
        .with(v::USER_ROLES, v::ROLE_PROCTOR)
        .with(v::ASSIGNED_PROCTOR, center("A").uri);
    up(PROCTOR, entity)
}

async fn takers_left(local: &Local) -> usize {
    local.members("A").await[&TAKER].len()
}

/// A sync that ends with something held, and is otherwise equal.
async fn sync_held(local: &Local, held: u64) -> Summary {
    let summary = local.sync(What::All).await;
    assert_eq!((summary.status.as_str(), summary.held_removals), ("partial", held), "{summary:#?}");
    assert_eq!(summary.held.iter().map(|group| group.count).sum::<u64>(), held, "{summary:#?}");
    assert!(!summary.digest_equal, "{summary:#?}");
    assert!(summary.code.is_none(), "{summary:#?}");
    assert!(!summary.advice.iter().any(|a| a.contains("not yet equal")), "held is all that differs: {summary:#?}");
    assert_eq!(local.store().replica_check().await.unwrap(), []);
    summary
}

async fn equal(central: &Central, local: &Local) -> Summary {
    let summary = local.sync_equal().await;
    assert_eq!(local.members("A").await, central.members("A").await);
    assert!(!local.store().removals_waiting(1).await.unwrap(), "nothing waits any more");
    summary
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_comes_later_lets_held_removals_go_by_themselves() {
    let central = Central::start().await;
    central.change(org("A", 0..20)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 10..20))]).await;
    let held = sync_held(&local, 10).await;
    assert_eq!((held.held[0].entity_type, held.held[0].first.len()), (TAKER, 3));
    assert!(held.advice.iter().any(|a| a.contains("scope approve-removals A")), "{:?}", held.advice);
    let again = sync_held(&local, 10).await;
    assert_eq!(again.requests, 2, "waiting costs no comparison");
    let waiting = central.store().removals_unapproved(&OrgId::new("A").unwrap()).await.unwrap().unwrap();
    assert_eq!(waiting[&TAKER], 10);
    let nodes = central.store().nodes_list().await.unwrap();
    let report = nodes[0].orgs[0].report.as_ref().unwrap();
    assert_eq!((&report["held"], &report["held_types"]["test-taker"]["count"]), (&10.into(), &10.into()), "{report}");

    approve(&central, &[TAKER]).await;
    let done = equal(&central, &local).await;
    assert_eq!(done.types[&TAKER].removed, 10);
    assert!(done.advice.is_empty(), "{:?}", done.advice);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_central_brings_back_is_held_no_longer() {
    let central = Central::start().await;
    central.change(org("A", 0..20)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 10..20))]).await;
    sync_held(&local, 10).await;
    // Half of them: five are still too many to go without a word.
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 5..20))]).await;
    sync_held(&local, 5).await;
    assert_eq!(takers_left(&local).await, 20);
    // All but one: that is an ordinary removal.
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 1..20))]).await;
    let done = equal(&central, &local).await;
    assert_eq!((done.types[&TAKER].removed, takers_left(&local).await), (1, 19));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_entities_do_not_make_a_large_removal_look_small() {
    let central = Central::start().await;
    central.change(org("A", 0..20)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.change((20..220).map(|n| up(TAKER, taker(n, &["A"]))).collect()).await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 20..220))]).await;
    let held = sync_held(&local, 20).await;
    assert_eq!(held.types[&TAKER].created, 200, "everything else goes on");
    sync_held(&local, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_school_keeps_its_exam_when_its_list_is_emptied_by_mistake() {
    let central = Central::start().await;
    with_test(&central, 0..4).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", []))]).await;
    central.change(vec![proctor(1)]).await;
    let held = sync_held(&local, 4).await;
    assert_eq!(held.types[&PROCTOR].created, 1, "everything else goes on");
    let (_, _, kept) = local.store().replica_get(&eligibility_uri("A")).await.unwrap().remove(0);
    assert_eq!(kept.values(v::ELIGIBLE_TEST_TAKER).len(), 4, "their places in the list are held with them");
    // The exam of the day: all of it works, and the results are handed in.
    let runner = local.runner().await;
    for n in 0..4 {
        play(&runner, n).await;
    }
    let handed_in = sync_held(&local, 4).await;
    assert_eq!((handed_in.results.sent, handed_in.results.pending), (4, 0), "{handed_in:#?}");
    approve(&central, &[TAKER]).await;
    equal(&central, &local).await;
    let (_, _, now) = local.store().replica_get(&eligibility_uri("A")).await.unwrap().remove(0);
    assert!(now.values(v::ELIGIBLE_TEST_TAKER).is_empty(), "the links went with the takers");
    assert!(runner.start(DELIVERY, &taker_uri(0)).await.is_err(), "no new executions");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eligibility_removed_by_mistake_stays_whole() {
    let central = Central::start().await;
    with_test(&central, 0..3).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.change(vec![Change::Remove(eligibility_uri("A"))]).await;
    // The eligibility, its takers, and the delivery: the last of each.
    let held = sync_held(&local, 5).await;
    assert_eq!(held.held.len(), 3, "{held:#?}");
    play(&local.runner().await, 0).await;
    central.change(org("A", 0..3)).await;
    equal(&central, &local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_edits_of_a_small_school_ask_nobody() {
    let central = Central::start().await;
    central.change(org("A", 0..4)).await;
    central.change(vec![proctor(1), proctor(2)]).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let proctor_uri = |n: usize| format!("http://central.example/t.rdf#proctor{n}");
    central.change(vec![Change::Remove(proctor_uri(1))]).await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 1..4))]).await;
    let summary = equal(&central, &local).await;
    assert_eq!((summary.types[&PROCTOR].removed, summary.types[&TAKER].removed), (1, 1));
    // The only proctor is exchanged for another one.
    central.change(vec![proctor(3), Change::Remove(proctor_uri(2))]).await;
    assert_eq!(equal(&central, &local).await.types[&PROCTOR].removed, 1);
    // Some come and go between two syncs: nothing is held of what was never here.
    central.change((30..60).map(|n| up(TAKER, taker(n, &["A"]))).collect()).await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", (1..4).chain(30..60)))]).await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 2..4))]).await;
    assert_eq!(equal(&central, &local).await.types[&TAKER].removed, 1);
    // The last one is another matter.
    central.change(vec![Change::Remove(proctor_uri(3))]).await;
    let held = sync_held(&local, 1).await;
    assert_eq!(held.held[0].first, [proctor_uri(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_types_are_answered_one_by_one() {
    let central = Central::start().await;
    central.change(org("A", 0..10)).await;
    central.change((0..6).map(proctor).collect()).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let all: Vec<_> = (0..6).map(|n| Change::Remove(format!("http://central.example/t.rdf#proctor{n}"))).collect();
    central.change(all).await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 0..3))]).await;
    let held = sync_held(&local, 13).await;
    assert_eq!(held.held.iter().map(|g| (g.entity_type, g.count)).collect::<Vec<_>>(), [(PROCTOR, 6), (TAKER, 7)]);
    approve(&central, &[PROCTOR]).await;
    let half = sync_held(&local, 7).await;
    assert_eq!(half.types[&PROCTOR].removed, 6);
    let accept = Plan { removals: Removals::Accepted, types: vec![TAKER], ..plan(What::Data) };
    local.sync_with(accept).await.unwrap();
    equal(&central, &local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_covers_what_came_before_it_only() {
    let central = Central::start().await;
    central.change(org("A", 0..20)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 5..20))]).await;
    approve(&central, &[TAKER]).await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 15..20))]).await;
    let held = sync_held(&local, 10).await;
    assert_eq!((held.types[&TAKER].removed, takers_left(&local).await), (5, 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_removal_survives_a_cut_and_a_comparison() {
    let central = Central::start().await;
    central.change(org("A", 0..2_000)).await;
    let proxy = Proxy::before(central.address).await;
    let local = Local::joined_at(&central, &proxy.url(), &["A"]).await;
    local.sync_equal().await;
    let renamed = |n: usize| {
        let mut entity = taker(n, &["A"]);
        entity.set(v::RDFS_LABEL, vec![Value::plain(Digest::of(&n.to_le_bytes()).to_hex())]);
        up(TAKER, entity)
    };
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 0..1_000))]).await;
    central.change((0..1_000).map(renamed).collect()).await;
    let mut waiting_at_a_cut = 0;
    for bytes in [12_000, 24_000, 24_000] {
        proxy.cut_down_after(bytes);
        let cut = local.sync(What::All).await;
        assert_eq!(cut.status, "failed", "{cut:#?}");
        proxy.mend();
        assert_eq!(takers_left(&local).await, 2_000, "nothing goes while a line is cut");
        waiting_at_a_cut += u64::from(local.store().removals_held_count(1).await.unwrap() > 0);
    }
    assert!(proxy.cuts() >= 3 && waiting_at_a_cut > 0, "the cuts fell into the removals: {waiting_at_a_cut}");
    sync_held(&local, 1_000).await;
    // Positions are lost, as after damage: both sides compare, and what is held stays held.
    local.store().replica_recount(1).await.unwrap();
    let compared = sync_held(&local, 1_000).await;
    assert!(compared.compared && compared.types[&TAKER].removed == 0);
    approve(&central, &[TAKER]).await;
    proxy.cut_down_after(3_000);
    assert_eq!(local.sync(What::All).await.status, "failed");
    proxy.mend();
    equal(&central, &local).await;
    assert_eq!(takers_left(&local).await, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_withdrawn_by_name_goes_from_a_school_that_has_no_other() {
    let central = Central::start().await;
    with_test(&central, 0..3).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let running = local.runner().await.start(DELIVERY, &taker_uri(0)).await.unwrap();
    withdraw(central.store(), DELIVERY).await.unwrap();
    let summary = equal(&central, &local).await;
    assert_eq!(summary.types[&EntityType::Delivery].removed, 1);
    // An attempt that was running is finished and handed in; new ones are not started.
    let runner = local.runner().await;
    assert!(runner.start(DELIVERY, &taker_uri(1)).await.is_err());
    let finished = runner.finish(running.id, ExecutionState::Finished, None).await.unwrap();
    assert_eq!(finished.state, ExecutionState::Finished);
    assert_eq!(local.sync_equal().await.results.sent, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn naming_one_entity_approves_nothing_that_came_before() {
    let central = Central::start().await;
    with_test(&central, 0..3).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let more: Vec<_> = (0..4)
        .map(|n| {
            let uri = format!("http://central.example/t.rdf#other{n}");
            let list = eligibility("A", 0..3);
            let mut list = Entity { uri: format!("{}-{n}", list.uri), ..list };
            list.set(v::ELIGIBLE_DELIVERY, vec![Value::plain(uri.clone())]);
            [up(EntityType::Delivery, Entity::new(uri, v::CLASS_DELIVERY)), up(EntityType::Eligibility, list)]
        })
        .collect();
    central.change(more.into_iter().flatten().collect()).await;
    local.sync_equal().await;
    let all: Vec<_> = (0..4).map(|n| Change::Remove(format!("http://central.example/t.rdf#other{n}"))).collect();
    central.change(all).await;
    withdraw(central.store(), DELIVERY).await.unwrap();
    let held = local.sync(What::All).await;
    assert_eq!((held.held_removals, held.types[&EntityType::Delivery].removed), (5, 0), "{held:#?}");
}
