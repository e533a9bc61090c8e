//! People and tests that central removes while an exam runs: what has begun is brought to its end, nothing new begins.

use jiff::SignedDuration;
use secrecy::SecretString;
use taosync_model::execution::ExecutionState;
use taosync_model::{Clock as _, Entity, EntityType, OrgId, Value, vocabulary as v};
use taosync_store::Durability;
use taosync_store::entities::Change;
use taosync_store::packages::PackageState;
use taosync_store::settings::Role;
use taosync_sync::packages::contents;
use taosync_sync::packages::garbage::collect;
use taosync_sync::runner::{Runner, RunnerError, SignedIn};
use taosync_sync::session::What;
use taosync_vault::passwords;

use crate::results_up::with_test;
use crate::support::{Central, DELIVERY, Local, eligibility, taker, taker_uri, up};

const TAKER: EntityType = EntityType::TestTaker;

/// Taker 0 as centrals have people: with a password that can be typed.
fn anna(password: &str, orgs: &[&str]) -> Entity {
    let mut anna = taker(0, orgs);
    let hash = passwords::tao_hash(&SecretString::from(password));
    anna.set(v::USER_PASSWORD, vec![Value::plain(hash)]);
    anna
}

async fn sign_in(runner: &Runner, password: &str) -> Result<SignedIn, RunnerError> {
    runner.authenticate("taker0", &SecretString::from(password), None).await
}

/// A central and a school with twenty takers and their test; taker 0 has this password.
async fn exam(password: &str) -> (Central, Local) {
    let central = Central::start().await;
    with_test(&central, 0..20).await;
    central.change(vec![up(TAKER, anna(password, &["A"]))]).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    (central, local)
}

/// Central takes taker 0 out of the org, and the school hears of it.
async fn remove_anna(central: &Central, local: &Local, password: &str) {
    let list = up(EntityType::Eligibility, eligibility("A", 1..20));
    central.change(vec![list, up(TAKER, anna(password, &[]))]).await;
    assert_eq!(local.sync_equal().await.types[&TAKER].removed, 1);
    assert!(!local.members("A").await[&TAKER].contains(&taker_uri(0)), "out of everything that is compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_during_an_attempt_may_end_it_and_begin_nothing() {
    let (central, local) = exam("horse").await;
    let attempt = local.runner().await.start(DELIVERY, &taker_uri(0)).await.unwrap();
    remove_anna(&central, &local, "horse").await;

    // After a restart of the program too: who she is stands on the disk.
    let runner = local.runner().await;
    assert_eq!(sign_in(&runner, "donkey").await.unwrap_err().code(), "wrong_login");
    let signed_in = sign_in(&runner, "horse").await.unwrap();
    assert_eq!((signed_in.test_taker, signed_in.label), (taker_uri(0), "Élève 0".to_owned()));
    let [running] = signed_in.deliveries.as_slice() else { panic!("{:?}", signed_in.deliveries) };
    assert_eq!((running.running, running.label.as_str()), (Some(attempt.id), "Maths"));
    assert_eq!(runner.start(DELIVERY, &taker_uri(0)).await.unwrap().id, attempt.id, "it goes on");
    runner.finish(attempt.id, ExecutionState::Finished, None).await.unwrap();

    assert!(sign_in(&runner, "horse").await.unwrap().deliveries.is_empty());
    assert_eq!(runner.start(DELIVERY, &taker_uri(0)).await.unwrap_err().code(), "not_eligible");
    let summary = local.sync_equal().await;
    assert_eq!(summary.results.sent, 1, "{summary:#?}");
    runner.reactivate(attempt.id).await.unwrap();
    runner.finish(attempt.id, ExecutionState::Finished, None).await.unwrap();

    // While it is not handed in she is known; once it is and the window is over, she is forgotten.
    local.node.clock.shift(SignedDuration::from_hours(25).as_secs());
    let forget = async || local.store().executions_erase_resume(local.node.clock.now()).await.unwrap();
    forget().await;
    assert!(sign_in(&runner, "horse").await.is_ok());
    assert_eq!(local.sync_equal().await.results.sent, 1);
    forget().await;
    assert_eq!(sign_in(&runner, "horse").await.unwrap_err().code(), "wrong_login");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_signs_in_as_central_says_now() {
    let (central, local) = exam("horse").await;
    let runner = local.runner().await;
    let attempt = runner.start(DELIVERY, &taker_uri(0)).await.unwrap();
    remove_anna(&central, &local, "horse").await;
    let list = up(EntityType::Eligibility, eligibility("A", 0..20));
    central.change(vec![list, up(TAKER, anna("battery", &["A"]))]).await;
    local.sync_equal().await;
    assert_eq!(sign_in(&runner, "horse").await.unwrap_err().code(), "wrong_login");
    assert_eq!(sign_in(&runner, "battery").await.unwrap().deliveries[0].running, Some(attempt.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_sit_no_longer_ends_what_has_begun() {
    let (central, local) = exam("horse").await;
    let runner = local.runner().await;
    let attempt = runner.start(DELIVERY, &taker_uri(0)).await.unwrap();
    // She stays, through the list of another test; this one's list is without her.
    let other = "http://central.example/t.rdf#other";
    let mut second = eligibility("A", 0..1);
    second.uri.push_str("-other");
    second.set(v::ELIGIBLE_DELIVERY, vec![Value::plain(other)]);
    let mut anna = anna("horse", &[]);
    anna.push(v::USER_ASSIGNMENT, Value::plain(&second.uri));
    let changes =
        [(EntityType::Eligibility, second), (EntityType::Eligibility, eligibility("A", 1..20)), (TAKER, anna)];
    central.change(vec![up(EntityType::Delivery, Entity::new(other, v::CLASS_DELIVERY))]).await;
    central.change(changes.into_iter().map(|(t, entity)| up(t, entity)).collect()).await;
    local.sync_equal().await;
    assert_eq!(sign_in(&runner, "horse").await.unwrap().deliveries[0].running, Some(attempt.id));
    runner.finish(attempt.id, ExecutionState::Finished, None).await.unwrap();
    assert_eq!(runner.start(DELIVERY, &taker_uri(0)).await.unwrap_err().code(), "not_eligible");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_whose_removal_is_held_can_be_begun_and_one_that_is_gone_can_be_ended() {
    let (central, local) = exam("horse").await;
    let runner = local.runner().await;
    let first = runner.start(DELIVERY, &taker_uri(0)).await.unwrap();
    central.change(vec![Change::Remove(DELIVERY.to_owned())]).await;
    let held = local.sync(What::All).await;
    assert_eq!((held.held_removals, held.held[0].entity_type), (1, EntityType::Delivery), "{held:#?}");
    // Nobody has agreed: the exam is what it was.
    let second = runner.start(DELIVERY, &taker_uri(1)).await.unwrap();
    assert_eq!(second.package_version, first.package_version);
    package_is_readable(&local, second.package_version).await;

    let org = OrgId::new("A").unwrap();
    let mut tx = central.store().write("test", Durability::Flushed).await.unwrap();
    central.store().removals_approve(&mut tx, &[(org, EntityType::Delivery)]).await.unwrap();
    tx.commit().await.unwrap();
    local.sync_equal().await;
    collect(local.store(), Role::Local, SignedDuration::ZERO).await.unwrap();
    assert_eq!(runner.start(DELIVERY, &taker_uri(2)).await.unwrap_err().code(), "not_eligible");
    let running = sign_in(&runner, "horse").await.unwrap().deliveries;
    assert_eq!((running[0].running, running[0].label.as_str()), (Some(first.id), "Maths"));
    package_is_readable(&local, first.package_version).await;
    for attempt in [first.id, second.id] {
        runner.finish(attempt, ExecutionState::Finished, None).await.unwrap();
    }
    assert_eq!(local.sync_equal().await.results.sent, 2);
}

/// A pupil can be shown all of it.
async fn package_is_readable(local: &Local, version: u32) {
    let package = local.store().package_get(DELIVERY, version).await.unwrap().unwrap();
    assert_eq!(package.state, PackageState::Ready);
    assert_eq!(contents::problem_with(local.store(), &package).await.unwrap(), None);
}
