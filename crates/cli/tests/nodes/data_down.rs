//! Data from central to local: what travels, what does not, and that both sides end equal.

use taosync_model::scope::FieldChoices;
use taosync_model::{Entity, EntityType, OrgId, Value, vocabulary as v};
use taosync_store::Durability;
use taosync_store::entities::Change;
use taosync_sync::down::guard::Removals;
use taosync_sync::session::{Mode, Plan, What};

use crate::support::{Central, Local, center, eligibility, eligibility_uri, org, plan, taker, taker_uri, up};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_ends_equal_and_a_second_has_nothing_to_do() {
    let central = Central::start().await;
    central.change(org("A", 0..230)).await;
    let local = Local::joined(&central, "A").await;
    let first = local.sync_equal().await;
    assert_eq!(first.types[&EntityType::TestTaker].created, 230);
    assert_eq!(local.members("A").await, central.members("A").await);

    let second = local.sync_equal().await;
    assert_eq!(second.types[&EntityType::TestTaker].created, 0);
    assert_eq!(second.types[&EntityType::TestTaker].unchanged, 230);
    assert_eq!(second.requests, 2, "feed and report: the token is kept");
    assert!(second.bytes_down <= 1024 && second.bytes_up <= 1536, "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_central_never_takes_holds_up_no_other() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let remote = local.store().remotes_list().await.unwrap()[0].id;
    let org = OrgId::new("A").unwrap();
    for _ in 0..25 {
        local.store().report_add(remote, &org, &serde_json::json!({ "outcome": 7 })).await.unwrap();
    }
    let seen = central.store().sync_list(None, 99).await.unwrap().len();
    // Twenty go at once: those that are refused first, what comes after them at the second sync.
    local.sync_equal().await;
    local.sync_equal().await;
    assert_eq!(local.store().report_next(remote, &org, 99).await.unwrap().len(), 0);
    assert_eq!(central.store().sync_list(None, 99).await.unwrap().len(), seen + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_travels() {
    let central = Central::start().await;
    central.change(org("A", 0..300)).await;
    let local = Local::joined(&central, "A").await;
    let first = local.sync_equal().await;
    let changed = |n: usize| {
        let mut entity = taker(n, &["A"]);
        entity.set(v::RDFS_LABEL, vec![Value::plain("renamed")]);
        up(EntityType::TestTaker, entity)
    };
    central.change((0..3).map(changed).collect()).await;
    let second = local.sync_equal().await;
    assert_eq!(second.types[&EntityType::TestTaker].updated, 3);
    assert!(second.bytes_down < first.bytes_down / 2, "{} then {}", first.bytes_down, second.bytes_down);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taker_who_moves_leaves_one_local_and_appears_on_the_other() {
    let central = Central::start().await;
    central.change(org("A", 0..20)).await;
    central.change(org("B", 20..40)).await;
    let (a, b) = (Local::joined(&central, "A").await, Local::joined(&central, "B").await);
    a.sync_equal().await;
    b.sync_equal().await;
    central
        .change(vec![
            up(EntityType::Eligibility, eligibility("A", 1..20)),
            up(EntityType::Eligibility, eligibility("B", (20..40).chain([0]))),
            up(EntityType::TestTaker, taker(0, &["B"])),
        ])
        .await;
    let left = a.sync_equal().await;
    assert_eq!(left.types[&EntityType::TestTaker].removed, 1);
    b.sync_equal().await;
    assert!(a.store().replica_get(&taker_uri(0)).await.unwrap().is_empty());
    assert_eq!(b.store().replica_get(&taker_uri(0)).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_that_serves_two_orgs_keeps_what_both_share_until_the_last_lets_go() {
    let central = Central::start().await;
    central.change(org("A", 0..10)).await;
    central.change(org("B", 5..15)).await;
    central.change((5..10).map(|n| up(EntityType::TestTaker, taker(n, &["A", "B"]))).collect()).await;
    let local = Local::joined_at(&central, &central.url(), &["A", "B"]).await;
    local.sync_equal().await;
    let views = local.store().replica_get(&taker_uri(7)).await.unwrap();
    assert_eq!(views.len(), 2, "one view an org");
    for (org, _, entity) in &views {
        assert_eq!(entity.values(v::USER_ASSIGNMENT).len(), 1, "{org} learns nothing of the other");
    }
    central
        .change(vec![
            up(EntityType::Eligibility, eligibility("A", (0..7).chain(8..10))),
            up(EntityType::TestTaker, taker(7, &["B"])),
        ])
        .await;
    local.sync_equal().await;
    assert_eq!(local.store().replica_get(&taker_uri(7)).await.unwrap().len(), 1);
    assert_eq!(local.store().replica_count().await.unwrap()[&EntityType::TestTaker], 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_centers_of_one_org_and_classes_travel() {
    let central = Central::start().await;
    central.change(org("A", 0..5)).await;
    let mut second = center("A");
    second.uri.push_str("-annex");
    let class = |name: &str, parent: &str| {
        let entity = Entity::new(format!("http://central.example/t.rdf#{name}"), v::RDFS_CLASS)
            .with(v::RDFS_LABEL, name)
            .with(v::RDFS_SUB_CLASS_OF, parent);
        up(EntityType::Class, entity)
    };
    let mut special = taker(3, &["A"]);
    special.class = "http://central.example/t.rdf#grade6".into();
    central
        .change(vec![
            up(EntityType::TestCenter, second),
            class("grade6", "http://central.example/t.rdf#grades"),
            class("grades", v::CLASS_SUBJECT),
            class("unused", v::CLASS_SUBJECT),
            up(EntityType::TestTaker, special),
        ])
        .await;
    let local = Local::joined(&central, "A").await;
    let summary = local.sync_equal().await;
    assert_eq!(summary.types[&EntityType::TestCenter].created, 2);
    assert_eq!(summary.types[&EntityType::Class].created, 2, "the class of a member and its parent, no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_type_can_be_synced_alone() {
    let central = Central::start().await;
    central.change(org("A", 0..10)).await;
    let local = Local::joined(&central, "A").await;
    let summary = local.sync_with(Plan { types: vec![EntityType::TestCenter], ..plan(What::Data) }).await.unwrap();
    assert_eq!(summary.status, "success", "{summary:#?}");
    assert_eq!(summary.types[&EntityType::TestCenter].created, 1);
    assert_eq!(summary.types[&EntityType::TestTaker].created, 0);
    let rest = local.sync_equal().await;
    assert_eq!(rest.types[&EntityType::TestTaker].created, 10);
    assert_eq!(rest.types[&EntityType::TestCenter].created, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_come_and_changes_nothing() {
    let central = Central::start().await;
    central.change(org("A", 0..10)).await;
    let local = Local::joined(&central, "A").await;
    let summary = local.sync_with(Plan { mode: Mode::DryRun, ..plan(What::All) }).await.unwrap();
    assert_eq!(summary.types[&EntityType::TestTaker].created, 10);
    assert!(local.store().replica_count().await.unwrap().is_empty());
    local.sync_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_removals_wait_for_a_word_and_hold_up_nothing_else() {
    let central = Central::start().await;
    central.change(org("A", 0..20)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.change(vec![up(EntityType::Eligibility, eligibility("A", 10..25))]).await;
    central.change((20..25).map(|n| up(EntityType::TestTaker, taker(n, &["A"]))).collect()).await;
    let held = local.sync(What::All).await;
    assert_eq!((held.status.as_str(), held.held_removals), ("partial", 10), "{held:#?}");
    assert_eq!(held.types[&EntityType::TestTaker].created, 5, "everything else goes on");
    assert!(held.advice.iter().any(|a| a.contains("--accept-removals")), "{:?}", held.advice);
    let accepted = local.sync_with(Plan { removals: Removals::Accepted, ..plan(What::Data) }).await.unwrap();
    assert_eq!(accepted.status, "success", "{accepted:#?}");
    local.sync_equal().await;
    assert_eq!(local.members("A").await, central.members("A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_approved_at_central_are_applied_silently() {
    let central = Central::start().await;
    central.change(org("A", 0..20)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let mut tx = central.store().write("test", Durability::Flushed).await.unwrap();
    let smaller = up(EntityType::Eligibility, eligibility("A", 10..20));
    let applied = central.store().entities_change(&mut tx, vec![smaller]).await.unwrap();
    let large: Vec<_> =
        applied.orgs.iter().filter(|o| o.is_large_removal()).map(|o| (o.org.clone(), o.entity_type)).collect();
    assert_eq!(large, [(OrgId::new("A").unwrap(), EntityType::TestTaker)]);
    central.store().removals_approve(&mut tx, &large).await.unwrap();
    tx.commit().await.unwrap();
    let summary = local.sync_equal().await;
    assert_eq!(summary.types[&EntityType::TestTaker].removed, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_changed_behind_our_back_is_mended_by_comparing() {
    let central = Central::start().await;
    central.change(org("A", 0..200)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let replica = local.store().replicas_list().await.unwrap().remove(0);
    let gone = taosync_store::replica::Removal { entity_type: EntityType::TestTaker, seq: 1, uri: taker_uri(5) };
    let chunk = taosync_store::replica::Chunk { removes: vec![gone], ..Default::default() };
    local.store().replica_apply(replica.id, chunk, &std::collections::BTreeMap::new()).await.unwrap();
    let summary = local.sync_equal().await;
    assert_eq!(summary.types[&EntityType::TestTaker].created, 1, "only what differs travels");
    assert_eq!(local.members("A").await, central.members("A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_epoch_is_compared_and_not_downloaded_blindly() {
    let central = Central::start().await;
    central.change(org("A", 0..100)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.change(vec![Change::Remove(taker_uri(1))]).await;
    let replica = local.store().replicas_list().await.unwrap().remove(0);
    local.store().replica_begin(replica.id, taosync_vault::random::uuid()).await.unwrap();
    let summary = local.sync_equal().await;
    assert_eq!(summary.types[&EntityType::TestTaker].removed, 1);
    assert_eq!(summary.types[&EntityType::TestTaker].created, 0);
    local.sync_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_org_is_followed_without_new_data() {
    let central = Central::start().await;
    central.change(org("A", 0..30)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    central.store().org_rename(&OrgId::new("A").unwrap(), &OrgId::new("Lycée 7").unwrap()).await.unwrap();
    let summary = local.sync_equal().await;
    assert_eq!(summary.orgs[0].org.as_str(), "Lycée 7");
    assert_eq!(summary.types[&EntityType::TestTaker].updated + summary.types[&EntityType::TestTaker].created, 0);
    assert_eq!(local.members("Lycée 7").await, central.members("Lycée 7").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_choice_of_fields_shapes_feed_and_digest_alike() {
    let central = Central::start().await;
    central.change(org("A", 0..30)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let mut fields = FieldChoices::tao_default();
    let choice = fields.0.get_mut(&EntityType::TestTaker).unwrap();
    choice.excluded_properties.insert(v::USER_FIRST_NAME.to_owned());
    let choice = fields.0.get_mut(&EntityType::Eligibility).unwrap();
    choice.excluded_properties.insert(v::ELIGIBLE_TEST_TAKER.to_owned());
    let narrowed = central.store().clone().with_fields(fields);
    assert!(narrowed.views_refresh().await.unwrap());
    assert!(!narrowed.views_refresh().await.unwrap(), "only once");
    assert_eq!(narrowed.scopes_check().await.unwrap(), []);
    let central = central.with_store(narrowed).await;
    let summary = local.sync_equal().await;
    assert_eq!(summary.types[&EntityType::TestTaker].updated, 30);
    let (_, _, seen) = local.store().replica_get(&taker_uri(3)).await.unwrap().remove(0);
    assert!(seen.values(v::USER_FIRST_NAME).is_empty());
    assert!(!seen.values(v::USER_LOGIN).is_empty());
    let (_, _, seen) = local.store().replica_get(&eligibility_uri("A")).await.unwrap().remove(0);
    assert!(seen.values(v::ELIGIBLE_TEST_TAKER).is_empty(), "long lists are left out too");
    drop(central);
}
