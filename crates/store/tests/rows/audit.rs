//! The audit log: only added to, and whatever was done to it behind our back is named.

use jiff::SignedDuration;
use serde_json::json;
use taosync_model::Digest;
use taosync_model::audit::AuditHead;
use taosync_store::audit::verify::{Broken, BrokenEntry};
use taosync_store::audit::{AuditEntry, AuditFilter};
use taosync_vault::Keyring;

use crate::support::{TestStore, open};

const UNGUARDED: &str = "DROP TRIGGER audit_unchanged; DROP TRIGGER audit_undeleted; DROP TRIGGER audit_in_order";

async fn five() -> TestStore {
    let t = open().await;
    for object in ["a", "b", "c", "d", "e"] {
        let detail = json!({"n": 1, "text": "ä"});
        t.audit_write(&AuditEntry { actor: "x", act: "consumer.revoke", object, detail }).await.unwrap();
    }
    t
}

async fn broken(t: &TestStore, heads: &[AuditHead]) -> Option<(i64, Broken)> {
    t.audit_verify(heads).await.unwrap().broken.map(|BrokenEntry { no, how }| (no, how))
}

#[tokio::test]
async fn a_log_is_whole_and_agrees_with_heads_of_any_age() {
    let t = five().await;
    let heads: Vec<_> = t.audit_list(9).await.unwrap().iter().map(taosync_store::audit::AuditRecord::head).collect();
    let verdict = t.audit_verify(&heads).await.unwrap();
    assert_eq!((verdict.entries, verdict.broken, verdict.heads), (5, None, 5));
    assert_eq!(verdict.head, heads[0]);
}

#[tokio::test]
async fn an_empty_log_has_lost_its_first_entry() {
    assert_eq!(broken(&open().await, &[]).await, Some((1, Broken::Missing)));
}

#[tokio::test]
async fn the_database_refuses_to_change_or_remove_entries() {
    let t = five().await;
    for statement in [
        "UPDATE audit SET actor = 'y' WHERE no = 2",
        "DELETE FROM audit WHERE no = 5",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT no, at, 'y', act, object, detail, previous, digest, signer, signature
             FROM audit WHERE no = 2",
        "INSERT INTO audit SELECT no + 2, at, actor, act, object, detail, previous, digest, signer, signature
             FROM audit WHERE no = 5",
    ] {
        let error = t.try_run(statement).await.unwrap_err().to_string();
        assert!(error.contains("only added to"), "{statement}: {error}");
    }
    assert_eq!(broken(&t, &[]).await, None);
}

#[tokio::test]
async fn the_first_entry_that_was_tampered_with_is_named() {
    let cases: [(&'static str, (i64, Broken)); 8] = [
        ("UPDATE audit SET actor = 'y' WHERE no = 3", (3, Broken::Changed)),
        ("UPDATE audit SET at = at + 1 WHERE no = 1", (1, Broken::Changed)),
        ("UPDATE audit SET detail = replace(detail, ':1', ':2') WHERE no = 5", (5, Broken::Changed)),
        ("DELETE FROM audit WHERE no = 3", (3, Broken::Missing)),
        ("DELETE FROM audit WHERE no < 3", (1, Broken::Missing)),
        ("UPDATE audit SET digest = zeroblob(32) WHERE no = 2", (2, Broken::Changed)),
        ("UPDATE audit SET signature = zeroblob(64) WHERE no = 4", (4, Broken::Unsigned)),
        ("UPDATE audit SET previous = zeroblob(32) WHERE no = 4", (4, Broken::Unlinked)),
    ];
    for (statement, expected) in cases {
        let t = five().await;
        t.run(UNGUARDED).await;
        t.run(statement).await;
        assert_eq!(broken(&t, &[]).await, Some(expected), "{statement}");
    }
}

#[tokio::test]
async fn a_log_that_was_cut_is_found_out_by_a_head_that_somebody_holds() {
    let t = five().await;
    let head = t.audit_list(1).await.unwrap()[0].head();
    t.run(UNGUARDED).await;
    t.run("DELETE FROM audit WHERE no > 3").await;
    assert_eq!(broken(&t, &[]).await, None, "by itself a shorter log is a whole one");
    assert_eq!(broken(&t, &[head]).await, Some((4, Broken::CutOff)));
    let other = AuditHead { no: 2, digest: Digest::of(b"other") };
    assert_eq!(broken(&t, &[head, other]).await, Some((2, Broken::Rewritten)));
}

#[tokio::test]
async fn what_was_written_anew_with_another_key_is_named_from_its_first_entry() {
    let t = five().await;
    t.run(UNGUARDED).await;
    t.run("DELETE FROM audit WHERE no > 2").await;
    t.store.close().await;
    let keys = tempfile::tempdir().unwrap();
    let forger = std::sync::Arc::new(Keyring::create(&keys.path().join("keys")).unwrap());
    let forging = taosync_store::Store::open(t.dir.path(), forger, t.clock.clone()).await.unwrap();
    forging.audit_write(&AuditEntry { actor: "y", act: "none", object: "", detail: json!({}) }).await.unwrap();
    forging.close().await;
    let again = taosync_store::Store::open(t.dir.path(), t.keyring().clone(), t.clock.clone()).await.unwrap();
    let found = again.audit_verify(&[]).await.unwrap().broken.unwrap();
    assert_eq!((found.no, found.how), (3, Broken::OtherKey));
    // A key that follows another signs everything before it: that is what a renewal does.
    again.audit_write(&AuditEntry { actor: "x", act: "node.renew", object: "", detail: json!({}) }).await.unwrap();
    assert_eq!(again.audit_verify(&[]).await.unwrap().broken, None);
}

#[tokio::test]
async fn entries_are_found_by_who_what_and_to_what() {
    let t = five().await;
    t.audit_write(&AuditEntry { actor: "y", act: "consumers", object: "a", detail: json!({}) }).await.unwrap();
    let count = async |actor: Option<&str>, act: Option<&str>, object: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let filter = AuditFilter { actor: own(actor), act: own(act), object: own(object) };
        t.audit_find(&filter, 100).await.unwrap().len()
    };
    assert_eq!(count(None, None, None).await, 6);
    assert_eq!(count(Some("y"), None, None).await, 1);
    assert_eq!(count(None, Some("consumer"), None).await, 5, "a name is not the beginning of another");
    assert_eq!(count(None, Some("consumer.revoke"), None).await, 5);
    assert_eq!(count(None, None, Some("a")).await, 2);
}

#[tokio::test]
async fn requests_that_only_ask_are_counted_and_noted_once() {
    let t = open().await;
    for act in ["feed.read", "feed.read", "sync.report"] {
        t.poll_count(act);
    }
    assert_eq!(t.polls_note(SignedDuration::from_hours(1)).await.unwrap(), 0, "it is not time yet");
    assert_eq!(t.polls_note(SignedDuration::ZERO).await.unwrap(), 3);
    assert_eq!(t.polls_note(SignedDuration::ZERO).await.unwrap(), 0);
    let entries = t.audit_list(9).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert!(entries[0].detail.contains(r#""feed.read":2,"sync.report":1"#), "{}", entries[0].detail);
}
