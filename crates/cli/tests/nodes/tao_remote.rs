//! A local server at a TAO central: everything arrives, nothing is lost to that central's faults, nothing is claimed that
//! was not shown.

mod cut;
mod faults;
mod own_central;
mod recorded;
mod results;

use taosync_model::{EntityType, vocabulary as v};
use taosync_sync::down::guard::Removals;
use taosync_sync::session::{Mode, Plan, Summary, What};

use crate::support::tao_central::{CLASS, School, TaoCentral, properties};
use crate::support::{DELIVERY, Local, plan, taker_uri};

const TAKER: EntityType = EntityType::TestTaker;

/// A sync of data that shows to be what central lists.
async fn sync_proven(local: &Local) -> Summary {
    let summary = local.sync(What::Data).await;
    assert_eq!((summary.status.as_str(), summary.proof.as_str()), ("success", "listing"), "{summary:#?}");
    assert_eq!(local.store().replica_check().await.unwrap(), []);
    summary
}

/// Everything the central has is here, and nothing else.
async fn assert_same(central: &TaoCentral, local: &Local, org: &str) {
    let members = local.members(org).await;
    for entity_type in EntityType::SYNCED {
        let mut there = central.inside().school.uris(entity_type.as_str());
        there.sort();
        assert_eq!(members[&entity_type].iter().cloned().collect::<Vec<_>>(), there, "{entity_type}");
    }
}

fn asked(central: &TaoCentral, part: &str) -> usize {
    central.asked().iter().filter(|seen| seen.path.contains(part)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sync_brings_everything_and_the_next_one_asks_for_lists_only() {
    let central = TaoCentral::start(School::with_takers(25)).await;
    let local = central.local("*").await;
    let first = sync_proven(&local).await;
    assert_same(&central, &local, "*").await;
    assert_eq!((first.types[&TAKER].created, first.deliveries.fetched, first.digest_equal), (25, 1, false));
    assert!(local.members("*").await[&EntityType::Class].contains(CLASS));
    let (_, _, taker) = local.store().replica_get(&taker_uri(3)).await.unwrap().remove(0);
    assert_eq!((taker.class.as_str(), taker.label()), (CLASS, "Élève 3"));
    let users = local.store().replica_users("taker3").await.unwrap();
    assert_eq!(users.len(), 1, "who was received can log in");
    let runner = local.runner().await;
    runner.start(DELIVERY, &taker_uri(3)).await.unwrap();
    central.asked();
    let second = sync_proven(&local).await;
    assert_eq!((second.types[&TAKER].unchanged, second.types[&TAKER].updated, second.deliveries.fetched), (25, 0, 0));
    let seen = central.asked();
    assert!(!seen.iter().any(|s| s.path.contains("Details") || s.path.contains("getDeliveryTest")), "{seen:#?}");
    assert!(!seen.iter().any(|s| s.path.contains("Token")), "the token of the last sync is taken");
    let confirmed = central.inside().confirmed.len();
    assert_eq!(confirmed, 2);
    let history = local.store().sync_list(None, 5).await.unwrap();
    assert_eq!(history.iter().map(|run| run.outcome.as_str()).collect::<Vec<_>>(), ["success", "success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_asked_for_and_what_went_is_removed_after_a_second_look() {
    let central = TaoCentral::start(School::with_takers(25)).await;
    let local = central.local("*").await;
    sync_proven(&local).await;
    {
        let mut inside = central.inside();
        inside.school.row(&taker_uri(4)).properties = properties(&[(v::RDFS_LABEL, &["Anna", "Anne"])]);
        inside.school.taker(25);
        inside.school.remove(&taker_uri(9));
    }
    central.asked();
    let summary = sync_proven(&local).await;
    let takers = summary.types[&TAKER];
    assert_eq!((takers.created, takers.updated, takers.removed), (1, 1, 1), "{summary:#?}");
    let seen = central.asked();
    let details: Vec<_> = seen.iter().filter(|s| s.path.contains("EntityDetails")).collect();
    assert_eq!(details.len(), 1);
    assert_eq!(details[0].json()["entityIds"], serde_json::json!([taker_uri(25), taker_uri(4)]));
    let lists_of = |t: &str| {
        let is_first = |s: &&crate::support::tao_central::Seen| {
            s.path.contains("Checksums") && s.query().get("type") == Some(t) && s.query().param("offset").is_none()
        };
        seen.iter().filter(is_first).count()
    };
    assert_eq!((lists_of("test-taker"), lists_of("proctor")), (2, 1), "only where something would go");
    assert_same(&central, &local, "*").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_removals_and_empty_lists_wait_for_a_person() {
    let central = TaoCentral::start(School::with_takers(25)).await;
    let local = central.local("*").await;
    sync_proven(&local).await;
    let before = local.members("*").await;
    for n in 0..8 {
        central.inside().school.remove(&taker_uri(n));
    }
    central.inside().school.remove("http://central.example/t.rdf#proctor");
    let held = local.sync(What::Data).await;
    assert_eq!((held.status.as_str(), held.proof.as_str(), held.held_removals), ("partial", "none", 9), "{held:#?}");
    assert_eq!(local.members("*").await, before);
    // One that is back waits no more.
    central.inside().school.taker(2);
    assert_eq!(local.sync(What::Data).await.held_removals, 8);
    let dry = local.sync_with(Plan { mode: Mode::DryRun, ..plan(What::Data) }).await.unwrap();
    assert_eq!(dry.types[&TAKER].removed, 7);
    let accepted = local.sync_with(Plan { removals: Removals::Accepted, ..plan(What::Data) }).await.unwrap();
    assert_eq!((accepted.status.as_str(), accepted.proof.as_str()), ("success", "listing"), "{accepted:#?}");
    assert_same(&central, &local, "*").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_with_two_labels_does_not_hide_what_comes_after_it() {
    let central = TaoCentral::start(School::with_takers(25)).await;
    central.inside().school.row(&taker_uri(3)).labels = 2;
    let local = central.local("*").await;
    sync_proven(&local).await;
    assert_same(&central, &local, "*").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_organisation_lists_that_never_end_are_read_whole() {
    let mut school = School::with_takers(10);
    for n in 1..10 {
        school.add("proctor", &format!("http://central.example/t.rdf#proctor{n}"), &[(v::RDFS_LABEL, &["P"])]);
    }
    let central = TaoCentral::start(school).await;
    central.inside().by_org = true;
    let local = central.local("A").await;
    sync_proven(&local).await;
    assert_same(&central, &local, "A").await;
    let asked = central.asked();
    let listing = asked.iter().find(|seen| seen.path.contains("Checksums")).unwrap();
    assert_eq!(listing.query().param("organisation_id"), Some("A"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_asked_for_anew() {
    let central = TaoCentral::start(School::with_takers(3)).await;
    let local = central.local("*").await;
    sync_proven(&local).await;
    central.inside().tokens.clear();
    sync_proven(&local).await;
    assert_eq!(central.inside().tokens.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_let_in_is_told_and_nothing_is_asked() {
    let central = TaoCentral::start(School::with_takers(3)).await;
    let local = central.local("*").await;
    local.edit("UPDATE remote SET tao_version = '1.0'");
    let summary = local.sync(What::Data).await;
    assert_eq!((summary.code.as_deref(), summary.status.as_str()), (Some("TS-312"), "failed"));
    assert!(summary.reason.unwrap().contains("2023.12"));
    assert_eq!(asked(&central, "Checksums"), 0);
    assert!(central.inside().confirmed[0]["failure-reason"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_here_is_mended_from_central() {
    let central = TaoCentral::start(School::with_takers(3)).await;
    let local = central.local("*").await;
    sync_proven(&local).await;
    local.edit("UPDATE replica_entry SET body = x'00' WHERE type = 4 AND id = (SELECT max(id) FROM replica_entry WHERE type = 4)");
    assert_eq!(local.store().replica_check().await.unwrap().len(), 1);
    local.edit("UPDATE replica_type SET seq = 0");
    let mended = sync_proven(&local).await;
    assert_eq!(mended.types[&TAKER].updated, 1);
}
