use taosync_model::clock::Clock as _;
use taosync_model::execution::ExecutionState;
use taosync_model::{Digest, OrgId};
use taosync_store::StoreError;
use taosync_store::executions::{
    Execution, ExecutionFilter, Finish, Finished, FinishedExecution, NewExecution, NewPart, PartKind, Saved,
};
use taosync_store::outbox::{NewItem, OutboxFilter, Queued};
use taosync_vault::random;
use uuid::Uuid;

use crate::support::{TestStore, attempt, now, open, org};

const WINDOW: i64 = 3600;
const ROOM: usize = 1000;

async fn start(t: &TestStore) -> Uuid {
    let org = org();
    let new = NewExecution {
        org: &org,
        delivery: "http://example.org/#delivery",
        test_taker: "http://example.org/#taker",
        package_version: 3,
    };
    t.execution_start(&new).await.unwrap()
}

fn part(kind: PartKind, text: &str) -> NewPart {
    let save = (kind != PartKind::Position).then(random::uuid);
    NewPart { save, kind, at: now(), body: text.as_bytes().to_vec() }
}

async fn save(t: &TestStore, id: Uuid, part: &NewPart) -> Saved {
    t.execution_save(id, part, ROOM).await.unwrap()
}

async fn finish(t: &TestStore, item: NewItem) -> Result<Finished, StoreError> {
    t.execution_finish(&Finish { reason: None, resume_until: Some(t.in_seconds(WINDOW)), item }).await
}

async fn bodies(t: &TestStore, id: Uuid) -> Vec<String> {
    let parts = t.execution_parts(id).await.unwrap();
    parts.into_iter().map(|p| String::from_utf8(p.body).unwrap()).collect()
}

#[tokio::test]
async fn parts_come_back_in_order_sealed_with_only_the_newest_position() {
    let t = open().await;
    let id = start(&t).await;
    for part in [part(PartKind::Position, "p1"), part(PartKind::Variables, "v1"), part(PartKind::Position, "p2")] {
        assert_eq!(save(&t, id, &part).await, Saved::Now);
    }
    // A clock that jumps back does not change the order.
    t.clock.shift(-9000);
    save(&t, id, &part(PartKind::Log, "l1")).await;
    save(&t, id, &part(PartKind::Variables, "answer-42")).await;
    assert_eq!(bodies(&t, id).await, ["v1", "p2", "l1", "answer-42"]);
    save(&t, id, &part(PartKind::Position, "p3")).await;
    assert_eq!(bodies(&t, id).await, ["v1", "l1", "answer-42", "p3"]);
    assert_eq!(t.number("SELECT count(*) FROM execution_part WHERE instr(body, 'answer') > 0").await, 0);
    let unknown = t.execution_save(Uuid::nil(), &part(PartKind::Log, "l"), ROOM).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn the_same_save_is_stored_once_also_when_nothing_more_is_taken() {
    let t = open().await;
    let (id, other) = (start(&t).await, start(&t).await);
    let first = part(PartKind::Variables, "v1");
    assert_eq!(save(&t, id, &first).await, Saved::Now);
    save(&t, id, &part(PartKind::Variables, "v2")).await;
    assert_eq!(save(&t, id, &first).await, Saved::Again);
    assert_eq!(bodies(&t, id).await, ["v1", "v2"], "a late repeat does not bring an old answer back");
    assert_eq!(save(&t, id, &NewPart { body: b"v3".to_vec(), ..first.clone() }).await, Saved::Differs);
    assert_eq!(save(&t, id, &NewPart { kind: PartKind::Log, ..first.clone() }).await, Saved::Differs);
    assert_eq!(save(&t, other, &first).await, Saved::Now, "ids are those of an attempt");
    assert_eq!(t.execution_save(id, &first, 0).await.unwrap(), Saved::Again);
    assert_eq!(t.execution_save(id, &part(PartKind::Log, "ab"), 1).await.unwrap(), Saved::NoRoom);
    assert_eq!(t.execution_save(id, &part(PartKind::Log, "ab"), 2).await.unwrap(), Saved::Now);
    finish(&t, attempt(id, 1, None, "one")).await.unwrap();
    assert_eq!(save(&t, id, &first).await, Saved::Again);
    assert_eq!(save(&t, id, &part(PartKind::Variables, "late")).await, Saved::Over);
    assert_eq!(bodies(&t, id).await, ["v1", "v2", "ab"]);
}

#[tokio::test]
async fn finishing_writes_state_and_outbox_together_and_only_once() {
    let t = open().await;
    let id = start(&t).await;
    let item = attempt(id, 1, None, "result");
    assert_eq!(finish(&t, item.clone()).await.unwrap(), Finished::Now);
    assert_eq!(finish(&t, item.clone()).await.unwrap(), Finished::Already);
    let other = finish(&t, attempt(id, 1, None, "another result")).await;
    assert!(matches!(other, Err(StoreError::Refused(_))));
    let execution = t.execution_get(id).await.unwrap();
    assert_eq!((execution.state, execution.digest), (ExecutionState::Finished, Some(item.envelope.digest)));
    let waiting = t.waiting(&org(), 10, 1 << 20).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0].payload, &waiting[0].envelope), (&item.payload, &item.envelope));
    assert_eq!(t.executions_count().await.unwrap(), [(ExecutionState::Finished, 1)]);
}

#[tokio::test]
async fn an_envelope_that_does_not_fit_changes_nothing() {
    let t = open().await;
    let id = start(&t).await;
    let good = attempt(id, 1, None, "result");
    let mut wrong = vec![attempt(id, 2, None, "result"), attempt(id, 1, Some(Digest::of(b"x")), "result")];
    for change in [
        |i: &mut NewItem| i.envelope.test_taker = Some("http://example.org/#other".into()),
        |i: &mut NewItem| i.envelope.org = OrgId::everything(),
        |i: &mut NewItem| i.envelope.state = Some(ExecutionState::Active),
        |i: &mut NewItem| i.envelope.delivery = None,
        |i: &mut NewItem| i.envelope.digest = Digest::of(b"other bytes"),
        |i: &mut NewItem| i.envelope.size += 1,
    ] {
        let mut item = good.clone();
        change(&mut item);
        wrong.push(item);
    }
    for item in wrong {
        assert!(matches!(finish(&t, item.clone()).await, Err(StoreError::Refused(_))), "{item:?}");
    }
    assert_eq!(t.execution_get(id).await.unwrap().state, ExecutionState::Active);
    assert_eq!(t.number("SELECT count(*) FROM outbox").await, 0);
}

#[tokio::test]
async fn reactivation_makes_the_next_version_within_its_window() {
    let t = open().await;
    let id = start(&t).await;
    save(&t, id, &part(PartKind::Variables, "v1")).await;
    let first = attempt(id, 1, None, "one");
    finish(&t, first.clone()).await.unwrap();
    t.clock.shift(WINDOW - 1);
    assert_eq!(t.executions_erase_resume(t.clock.now()).await.unwrap(), 0);
    let active = t.execution_reactivate(id).await.unwrap();
    assert_eq!((active.state, active.version), (ExecutionState::Active, 2));
    assert_eq!((active.previous, active.digest), (Some(first.envelope.digest), None));
    assert_eq!(bodies(&t, id).await, ["v1"]);
    assert!(matches!(t.execution_reactivate(id).await, Err(StoreError::Refused(_))), "it runs already");
    let second = attempt(id, 2, Some(first.envelope.digest), "two");
    assert_eq!(finish(&t, second).await.unwrap(), Finished::Now);
    let versions: Vec<u32> = t.waiting(&org(), 10, 1 << 20).await.iter().map(|i| i.envelope.version).collect();
    assert_eq!(versions, [1, 2]);
}

#[tokio::test]
async fn after_the_window_nothing_is_left_to_resume() {
    let t = open().await;
    let id = start(&t).await;
    save(&t, id, &part(PartKind::Variables, "v1")).await;
    finish(&t, attempt(id, 1, None, "one")).await.unwrap();
    t.clock.shift(WINDOW + 1);
    let refused = t.execution_reactivate(id).await.unwrap_err();
    assert!(refused.to_string().contains("window is over"), "{refused}");
    assert_eq!(t.executions_erase_resume(t.clock.now()).await.unwrap(), 1);
    assert_eq!(bodies(&t, id).await, Vec::<String>::new());
    assert!(matches!(t.execution_reactivate(Uuid::nil()).await, Err(StoreError::NotFound { .. })));
    let running = start(&t).await;
    save(&t, running, &part(PartKind::Variables, "v")).await;
    t.executions_erase_resume(t.clock.now()).await.unwrap();
    assert_eq!(bodies(&t, running).await, ["v"], "what runs keeps everything");
}

#[tokio::test]
async fn a_terminated_attempt_is_not_handed_in_and_goes_on_under_the_same_version() {
    let t = open().await;
    let id = start(&t).await;
    t.execution_move(id, ExecutionState::Paused).await.unwrap();
    t.execution_terminate(id, "fire alarm", Some(t.in_seconds(WINDOW))).await.unwrap();
    let Execution { state, reason, .. } = t.execution_get(id).await.unwrap();
    assert_eq!((state, reason.as_deref()), (ExecutionState::Terminated, Some("fire alarm")));
    assert!(finish(&t, attempt(id, 1, None, "late")).await.is_err());
    assert!(t.execution_move(id, ExecutionState::Active).await.is_err());
    assert!(t.waiting(&org(), 10, 1 << 20).await.is_empty());
    assert_eq!(t.execution_reactivate(id).await.unwrap().version, 1);
    finish(&t, attempt(id, 1, None, "one")).await.unwrap();
}

#[tokio::test]
async fn many_finished_attempts_come_in_at_once() {
    let t = open().await;
    let running = start(&t).await;
    let finished =
        |id, text: &str| FinishedExecution { package_version: 1, reason: None, item: attempt(id, 1, None, text) };
    let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let batch = [finished(a, "a"), finished(b, "b"), finished(a, "a"), finished(b, "B"), finished(running, "r")];
    let answers = t.execution_insert_finished(&batch).await.unwrap();
    assert_eq!(answers, [Queued::Added, Queued::Added, Queued::Already, Queued::Different, Queued::Different]);
    let again = t.execution_insert_finished(&batch[..2]).await.unwrap();
    assert_eq!(again, [Queued::Already, Queued::Already]);
    let filter = ExecutionFilter { state: Some(ExecutionState::Finished), ..ExecutionFilter::default() };
    let listed = t.executions_list(&filter, 10).await.unwrap();
    assert_eq!(listed.iter().map(|e| e.id).collect::<Vec<_>>(), [a, b]);
    let page = ExecutionFilter { after: Some(a), org: Some(org()), ..filter };
    assert_eq!(t.executions_list(&page, 10).await.unwrap().len(), 1);
    let thousand: Vec<_> = (10..1210).map(|n| finished(Uuid::from_u128(n), "x")).collect();
    let answers = t.execution_insert_finished(&thousand).await.unwrap();
    assert!(answers.iter().all(|a| *a == Queued::Added));
    assert_eq!(t.outbox_list(&OutboxFilter::default(), 5000).await.unwrap().len(), 1202);
}
