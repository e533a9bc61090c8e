use std::sync::Arc;

use taosync_model::OrgId;
use taosync_model::clock::SystemClock;
use taosync_store::audit::AuditEntry;
use taosync_store::history::{NewRun, REPORTS, RunEnd, SyncOutcome};
use taosync_store::settings::{Identity, Role};
use taosync_store::{Durability, Store, StoreError};
use uuid::Uuid;

use crate::support::{open, org};

#[tokio::test]
async fn a_newer_schema_is_refused_in_words() {
    let t = open().await;
    t.store.close().await;
    t.run("UPDATE _sqlx_migrations SET version = 9999").await;
    let again = Store::open(t.dir.path(), t.keyring().clone(), Arc::new(SystemClock)).await;
    let error = again.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }));
    let words = error.to_string();
    assert!(words.contains("newer taosync") && words.contains("restore a backup"), "{words}");
}

#[tokio::test]
async fn a_store_is_opened_again_as_it_was() {
    let t = open().await;
    t.setting_set("name", "a").await.unwrap();
    t.store.close().await;
    let again = Store::open(t.dir.path(), t.keyring().clone(), Arc::new(SystemClock)).await.unwrap();
    assert_eq!(again.setting_get("name").await.unwrap().as_deref(), Some("a"));
}

#[tokio::test]
async fn settings_count_and_say_who_the_node_is() {
    let t = open().await;
    assert!(matches!(t.identity().await, Err(StoreError::NotFound { .. })));
    let identity = Identity { node: Uuid::from_u128(1), role: Role::Central, epoch: Uuid::from_u128(2) };
    t.identity_set(&identity).await.unwrap();
    assert_eq!(t.identity().await.unwrap(), identity);
    let mut tx = t.write("test", Durability::Flushed).await.unwrap();
    assert_eq!(tx.setting_add("n", 0).await.unwrap(), 0);
    assert_eq!(tx.setting_add("n", 5).await.unwrap(), 5);
    assert_eq!(tx.setting_add("n", 2).await.unwrap(), 7);
    tx.undo().await.unwrap();
    assert_eq!(t.setting_get("n").await.unwrap(), None);
}

#[tokio::test]
async fn audit_lines_come_newest_first() {
    let t = open().await;
    for object in ["a", "b"] {
        let detail = serde_json::json!({ "n": 1 });
        t.audit_write(&AuditEntry { actor: "x", act: "consumer.revoke", object, detail }).await.unwrap();
    }
    let lines = t.audit_list(10).await.unwrap();
    assert_eq!(lines.iter().map(|l| l.object.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(t.audit_list(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_that_never_ended_is_interrupted_by_the_next_of_its_kind() {
    let t = open().await;
    let org = org();
    let node = Uuid::from_u128(1);
    let run = |id, what| NewRun { id: Uuid::from_u128(id), node, org: &org, actor: "schedule", what };
    let data = Uuid::from_u128(10);
    t.sync_begin(&run(10, "data")).await.unwrap();
    t.sync_begin(&run(11, "results")).await.unwrap();
    let outcome = async || {
        let list = t.sync_list(Some(&org), 10).await.unwrap();
        list.into_iter().find(|r| r.id == data).map(|r| (r.outcome, r.reason)).unwrap()
    };
    assert_eq!(outcome().await, (SyncOutcome::Running, None), "the other direction leaves it alone");
    let all = Uuid::from_u128(12);
    t.sync_begin(&run(12, "all")).await.unwrap();
    t.sync_begin(&run(12, "all")).await.unwrap();
    let (interrupted, reason) = outcome().await;
    assert_eq!(interrupted, SyncOutcome::Interrupted);
    assert!(reason.unwrap().contains("nothing is lost"));
    assert_eq!(t.sync_last_success().await.unwrap(), []);
    let summary = serde_json::json!({ "added": 3 });
    let end = RunEnd { outcome: SyncOutcome::Success, code: None, reason: None, summary: &summary };
    t.sync_end(all, &end).await.unwrap();
    assert_eq!(t.sync_last_success().await.unwrap().len(), 1);
    assert_eq!(t.sync_list(None, 1).await.unwrap()[0].summary, summary);
}

#[tokio::test]
async fn reports_wait_until_they_are_answered() {
    let t = open().await;
    let (remote, org) = (Uuid::from_u128(1), org());
    for n in 0..3 {
        t.report_add(remote, &org, &serde_json::json!({ "n": n })).await.unwrap();
    }
    let next = t.report_next(remote, &org, 2).await.unwrap();
    assert_eq!(next.iter().map(|r| r.body["n"].clone()).collect::<Vec<_>>(), [0, 1]);
    t.report_done(&[next[0].id, next[1].id]).await.unwrap();
    assert_eq!(t.report_next(remote, &org, 9).await.unwrap().len(), 1);
    let other = OrgId::new("another").unwrap();
    assert_eq!(t.report_next(remote, &other, 9).await.unwrap().len(), 0);
}

#[tokio::test]
async fn only_the_newest_reports_wait() {
    let t = open().await;
    let (remote, org) = (Uuid::from_u128(1), org());
    t.report_add(remote, &OrgId::new("another").unwrap(), &serde_json::json!({})).await.unwrap();
    for n in 0..=REPORTS {
        t.report_add(remote, &org, &serde_json::json!({ "n": n })).await.unwrap();
    }
    let waiting = t.report_next(remote, &org, u32::MAX).await.unwrap();
    assert_eq!((waiting.len(), &waiting[0].body["n"]), (REPORTS as usize, &serde_json::json!(1)));
    let other = t.report_next(remote, &OrgId::new("another").unwrap(), 9).await.unwrap();
    assert_eq!(other.len(), 1, "another organisation's is not pushed out");
}
