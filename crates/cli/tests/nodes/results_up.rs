//! Results from local to central: exactly once, proved by receipts.

use jiff::SignedDuration;
use taosync_model::assessment::{Variable, VariableKind, VariableValue};
use taosync_model::execution::ExecutionState;
use taosync_sync::packages::publish::{PublishRequest, publish};
use taosync_sync::runner::{ItemRef, Runner, SavedVariables};
use taosync_sync::session::{Plan, What};
use taosync_sync::up::UpLimits;
use taosync_vault::random;
use uuid::Uuid;

use crate::support::proxy::Proxy;
use crate::support::{Central, DELIVERY, Local, eligibility, org, plan, taker, taker_uri, up};

pub async fn with_test(central: &Central, takers: std::ops::Range<usize>) {
    central.change(org("A", takers)).await;
    let file = central.node.dir.path().join("demo.zip");
    std::fs::write(&file, taosync_packages::demo_package()).unwrap();
    let request = PublishRequest {
        file,
        label: "Maths".into(),
        uri: Some(DELIVERY.into()),
        naming: "http://x/#".into(),
        test: None,
    };
    publish(central.store(), request).await.unwrap();
}

fn answer(item: usize, text: &str) -> SavedVariables {
    let value = VariableValue { text: text.into(), ..VariableValue::default() };
    SavedVariables {
        item: Some(ItemRef {
            identifier: format!("item-{item}"),
            sequence_index: Some(item as u32),
            session_status: Some("final".into()),
        }),
        variables: vec![Variable {
            kind: VariableKind::Response,
            identifier: "RESPONSE".into(),
            cardinality: "single".into(),
            base_type: Some("identifier".into()),
            values: Some(vec![value]),
            correct: None,
            attributes: Vec::new(),
            at: None,
        }],
    }
}

pub async fn play(runner: &Runner, n: usize) -> Uuid {
    let execution = runner.start(DELIVERY, &taker_uri(n)).await.unwrap();
    let answers: Vec<_> = (0..5).map(|item| answer(item, &format!("answer-{n}-{item}"))).collect();
    runner.save_variables(execution.id, random::uuid(), &answers).await.unwrap();
    runner.finish(execution.id, ExecutionState::Finished, None).await.unwrap();
    execution.id
}

async fn held(central: &Central) -> Vec<taosync_store::received::ReceivedItem> {
    central.store().received_list(&taosync_store::received::ReceivedFilter::default(), 1000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_never_overtakes_the_one_it_follows() {
    let central = Central::start().await;
    with_test(&central, 0..12).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    for n in 0..12 {
        let execution = play(&runner, n).await;
        runner.reactivate(execution).await.unwrap();
        runner.finish(execution, ExecutionState::Finished, None).await.unwrap();
        // Each version is a request of its own; two may be on their way at once.
        let up = UpLimits { items: 1, ..UpLimits::default() };
        let summary = local.sync_with(Plan { up, ..plan(What::Results) }).await.unwrap();
        assert_eq!((summary.results.sent, summary.results.conflict), (2, 0), "attempt {n}: {summary:#?}");
    }
    assert_eq!(held(&central).await.len(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_executions_are_held_by_central_exactly_once() {
    let central = Central::start().await;
    with_test(&central, 0..5).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    for n in 0..5 {
        play(&runner, n).await;
    }
    let summary = local.sync_equal().await;
    assert_eq!((summary.results.sent, summary.results.pending), (5, 0));
    assert_eq!(held(&central).await.len(), 5);
    let again = local.sync_equal().await;
    assert_eq!(again.results.sent, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_sent_again_and_answered_duplicate() {
    let central = Central::start().await;
    with_test(&central, 0..3).await;
    let proxy = Proxy::before(central.address).await;
    let local = Local::joined_at(&central, &proxy.url(), &["A"]).await;
    local.sync_equal().await;
    let runner = local.runner().await;
    for n in 0..3 {
        play(&runner, n).await;
    }
    // The token's answer passes, the receipts do not.
    let mut failed = 0;
    for bytes in (2_000..12_000).step_by(500) {
        proxy.cut_down_after(bytes);
        let summary = local.sync(What::Results).await;
        proxy.mend();
        failed += u64::from(summary.status == "failed");
        if held(&central).await.len() == 3 && local.store().outbox_counts().await.unwrap().pending > 0 {
            break;
        }
    }
    assert!(failed > 0 && proxy.cuts() > 0, "the fault must have fired");
    let summary = local.sync_equal().await;
    assert_eq!(summary.results.pending, 0);
    assert!(summary.results.duplicate > 0, "{summary:#?}");
    assert_eq!(held(&central).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reactivated_execution_makes_a_version_that_supersedes() {
    let central = Central::start().await;
    with_test(&central, 0..2).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    let id = play(&runner, 0).await;
    local.sync_equal().await;
    runner.reactivate(id).await.unwrap();
    runner.save_variables(id, random::uuid(), &[answer(1, "another")]).await.unwrap();
    runner.finish(id, ExecutionState::Finished, None).await.unwrap();
    local.sync_equal().await;
    let held = held(&central).await;
    assert_eq!(held.len(), 2);
    let newest: Vec<_> = held.iter().filter(|i| i.head).collect();
    assert_eq!(newest.len(), 1);
    assert_eq!(newest[0].envelope.version, 2);
    local.node.clock.shift(SignedDuration::from_hours(25).as_secs());
    assert!(runner.reactivate(id).await.is_err(), "the window is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_a_taker_who_has_left_is_stored_all_the_same() {
    let central = Central::start().await;
    with_test(&central, 0..3).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    play(&runner, 0).await;
    central
        .change(vec![
            up(taosync_model::EntityType::Eligibility, eligibility("A", 1..3)),
            up(taosync_model::EntityType::TestTaker, taker(0, &[])),
        ])
        .await;
    let summary = local.sync_equal().await;
    assert_eq!(summary.results.sent, 1);
    assert!(held(&central).await[0].out_of_scope);
}
