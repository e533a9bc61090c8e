//! Results at a TAO central: an item is sent on its own success entry and on nothing else.

use serde_json::json;
use taosync_model::Clock as _;
use taosync_model::assessment::LogEntry;
use taosync_model::execution::ExecutionState;
use taosync_model::item::ItemKind;
use taosync_store::outbox::OutboxState;
use taosync_sync::session::What;
use taosync_vault::random;

use super::sync_proven;
use crate::results_up::play;
use crate::support::tao_central::{Fault, School, TaoCentral};
use crate::support::{DELIVERY, Local, taker_uri};

async fn ready(takers: usize) -> (TaoCentral, Local) {
    let central = TaoCentral::start(School::with_takers(takers)).await;
    let local = central.local("*").await;
    sync_proven(&local).await;
    (central, local)
}

async fn states(local: &Local, kind: ItemKind) -> Vec<OutboxState> {
    let rows = local.store().outbox_list(&taosync_store::outbox::OutboxFilter::default(), 1000).await.unwrap();
    rows.into_iter().filter(|row| row.envelope.kind == kind).map(|row| row.state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_logs_and_sessions_go_up_once() {
    let (central, local) = ready(12).await;
    let runner = local.runner().await;
    let mut executions = Vec::new();
    for n in 0..12 {
        executions.push(play(&runner, n).await);
    }
    let summary = local.sync(What::All).await;
    assert_eq!(
        (summary.status.as_str(), summary.results.pending, summary.proof.as_str()),
        ("success", 0, "listing"),
        "{summary:#?}"
    );
    {
        let inside = central.inside();
        assert_eq!((inside.results.len(), inside.sessions.len()), (12, 12));
        let (name, result) = &inside.results[0];
        assert!(executions.iter().any(|id| *name == format!("urn:uuid:{id}")));
        assert_eq!(result["deliveryId"], DELIVERY);
        assert_eq!(result["details"]["label"], "Maths ✓");
        let taker = result["details"]["test-taker"].as_str().unwrap();
        assert!((0..12).any(|n| taker == taker_uri(n)));
        let variable = &result["variables"][0];
        assert_eq!(variable["callIdItem"], format!("{name}.item-0.0"));
        assert_eq!(variable["data"]["baseType"], "identifier");
        let read = taosync_wire::tao::results::TaoResult::read(result).unwrap();
        assert_eq!(read.variables.len(), 5);
        let requests = inside.seen.iter().filter(|seen| seen.path.contains("syncResults")).count();
        assert_eq!(requests, 2, "ten at once, as TAO does");
    }
    assert_eq!(states(&local, ItemKind::Attempt).await, vec![OutboxState::Sent; 12]);
    let again = local.sync(What::Results).await;
    assert_eq!((again.results.sent, again.proof.as_str()), (0, "none"));
    assert_eq!(central.inside().results.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_its_own_success_entry_marks_a_result_as_sent() {
    let faults = [
        Fault::AckEmpty("syncResults"),
        Fault::AckOfAnother("syncResults"),
        Fault::AckFailed("syncResults"),
        Fault::Stumbles("syncResults", 0),
        Fault::LoginPage("syncResults"),
    ];
    for fault in faults {
        let (central, local) = ready(2).await;
        play(&local.runner().await, 0).await;
        central.suffers(fault.clone());
        let summary = local.sync(What::Results).await;
        assert!(central.inside().fired > 0, "{fault:?} must have fired");
        assert_ne!(summary.status, "success", "{fault:?} {summary:#?}");
        assert_eq!(summary.results.sent, 0, "{fault:?}");
        assert_ne!(states(&local, ItemKind::Attempt).await, [OutboxState::Sent], "{fault:?}");
        central.suffers(Fault::None);
        let summary = local.sync(What::Results).await;
        assert_eq!((summary.results.pending, summary.status.as_str()), (0, "success"), "{fault:?} {summary:#?}");
        assert_eq!(states(&local, ItemKind::Attempt).await, [OutboxState::Sent], "{fault:?}");
        assert_eq!(central.inside().results.len(), 1, "{fault:?}");
    }
}

/// TAO answers a repeat as failed (recording `results_resend_same`): who lost the answer cannot know more.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_whose_answer_was_lost_is_never_called_sent() {
    let (central, local) = ready(2).await;
    play(&local.runner().await, 0).await;
    central.suffers(Fault::AnswerLost("syncResults"));
    let lost = local.sync(What::Results).await;
    assert_eq!((lost.status.as_str(), central.inside().fired), ("failed", 1), "{lost:#?}");
    assert_eq!(central.inside().results.len(), 1, "it is held there");
    central.suffers(Fault::None);
    for _ in 0..2 {
        let summary = local.sync(What::Results).await;
        assert_eq!((summary.status.as_str(), summary.results.refused), ("partial", 1), "{summary:#?}");
        assert_eq!(states(&local, ItemKind::Attempt).await, [OutboxState::Refused]);
    }
    assert_eq!(central.inside().results.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_logs_wait_for_their_own_word() {
    let (central, local) = ready(2).await;
    play(&local.runner().await, 0).await;
    central.suffers(Fault::AckEmpty("syncTestSessions"));
    let summary = local.sync(What::Results).await;
    assert!(central.inside().fired > 0);
    assert_eq!(states(&local, ItemKind::Attempt).await, [OutboxState::Sent], "{summary:#?}");
    assert_eq!(states(&local, ItemKind::Session).await, [OutboxState::Pending]);
    central.suffers(Fault::None);
    local.sync(What::Results).await;
    assert_eq!(states(&local, ItemKind::Session).await, [OutboxState::Sent]);
    let inside = central.inside();
    assert_eq!((inside.results.len(), inside.sessions.len()), (1, 1));
}

fn entry(local: &Local, event: &str) -> LogEntry {
    let at = local.node.clock.now();
    LogEntry { at, event: event.into(), by: Some("urn:proctor".into()), data: json!({"reason": "power"}) }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_up_after_their_result_and_late_ones_say_so() {
    let (central, local) = ready(2).await;
    let runner = local.runner().await;
    let execution = runner.start(DELIVERY, &taker_uri(0)).await.unwrap().id;
    runner.save_log(execution, random::uuid(), &[entry(&local, "PAUSED"), entry(&local, "RESUMED")]).await.unwrap();
    runner.finish(execution, ExecutionState::Finished, None).await.unwrap();
    central.suffers(Fault::AckEmpty("syncDeliveryLogs"));
    local.sync(What::Results).await;
    assert!(central.inside().fired > 0);
    assert_eq!(states(&local, ItemKind::Attempt).await, [OutboxState::Sent]);
    assert_eq!(states(&local, ItemKind::Log).await, [OutboxState::Pending]);
    central.suffers(Fault::None);
    let summary = local.sync(What::Results).await;
    assert_eq!((summary.status.as_str(), summary.results.pending), ("success", 0), "{summary:#?}");
    runner.save_log(execution, random::uuid(), &[entry(&local, "TEST_IRREGULARITY")]).await.unwrap();
    local.sync(What::Results).await;
    assert_eq!(states(&local, ItemKind::Log).await, [OutboxState::Sent, OutboxState::Sent]);
    let logs = central.inside().logs.clone();
    let events: Vec<_> = logs.iter().map(|row| row["event_id"].as_str().unwrap()).collect();
    assert_eq!(events, ["PAUSED", "RESUMED", "TEST_IRREGULARITY"]);
    let late: Vec<_> = logs.iter().map(|row| row["log_is_after_session_sync"].as_bool().unwrap()).collect();
    assert_eq!(late, [false, false, true]);
    assert_eq!(logs[0]["delivery_execution_id"], format!("urn:uuid:{execution}"));
    assert_eq!((&logs[0]["created_by"], &logs[0]["data"]), (&json!("urn:proctor"), &json!({"reason": "power"})));
    assert!(logs[0]["id"].is_u64() && logs[0]["id"] != logs[1]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lti_users_go_up_once() {
    let (central, local) = ready(1).await;
    let org = taosync_model::OrgId::everything();
    local.runner().await.lti_user_add(&org, &json!({"user_id": "u1", "consumer": "urn:c"})).await.unwrap();
    for _ in 0..2 {
        let summary = local.sync(What::Results).await;
        assert_eq!(summary.status, "success", "{summary:#?}");
    }
    let users = central.inside().users.clone();
    assert_eq!((users.len(), &users[0]["user_id"]), (1, &json!("u1")));
    assert_eq!(states(&local, ItemKind::LtiUser).await, [OutboxState::Sent]);
}
