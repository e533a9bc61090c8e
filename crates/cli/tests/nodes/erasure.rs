//! When the sealed copy of a confirmed result may be erased (`delete_after_send`): only what a backup of central's holds,
//! in the history the receipt belongs to, and never before its time.

use jiff::SignedDuration;
use taosync_model::Clock as _;
use taosync_store::audit::AuditEntry;
use taosync_store::outbox::AfterReceipt;
use taosync_store::received::ReceivedFilter;
use taosync_sync::session::{Plan, Summary, What};
use taosync_sync::up::UpLimits;
use tempfile::TempDir;

use crate::copies::every_result_is_at_central_once;
use crate::results_up::{play, with_test};
use crate::support::{Central, Local, plan};

const KEEP_DAYS: i64 = 14;
const A_DAY: i64 = 24 * 3_600;

/// As with `delete_after_send = true`.
async fn sync_hiding(local: &Local, what: What) -> Summary {
    let up = UpLimits { after_receipt: AfterReceipt::Hide, ..UpLimits::default() };
    local.sync_with(Plan { up, ..plan(what) }).await.unwrap()
}

/// What the server does every few minutes; says how many sealed copies it erased.
async fn chores(local: &Local) -> u64 {
    let sent_before = local.node.clock.now() - SignedDuration::from_hours(24 * KEEP_DAYS);
    let mut erased = 0;
    for replica in local.store().replicas_list().await.unwrap() {
        let Some(epoch) = replica.epoch else { continue };
        let safe = replica.safe_receipt_no;
        erased += local.store().outbox_purge(&replica.org, epoch, safe, sent_before).await.unwrap();
    }
    erased
}

fn pass_days(central: &Central, local: &Local, days: i64) {
    central.node.clock.shift(days * A_DAY);
    local.node.clock.shift(days * A_DAY);
}

/// `taosync backup` at central: a copy, and the word that it is whole.
async fn backup(central: &Central) -> TempDir {
    let saved = central.save();
    let file = tempfile::tempdir().unwrap();
    let copied = central.store().copy_to(&file.path().join("taosync.sqlite")).await.unwrap();
    let entry = AuditEntry { actor: "test", act: "node.backup", object: "test", detail: serde_json::json!({}) };
    central.store().backup_verified(copied.receipts_through, &entry).await.unwrap();
    std::fs::copy(file.path().join("taosync.sqlite"), saved.path().join("taosync.sqlite")).unwrap();
    for name in ["taosync.sqlite-wal", "taosync.sqlite-shm"] {
        // A copy has none; one of another database must not lie beside it.
        let _ = std::fs::remove_file(saved.path().join(name));
    }
    saved
}

/// `taosync restore` at central.
async fn restore(central: Central, saved: TempDir) -> Central {
    let mut central = central.put_back(saved).await;
    central.store().restored("test").await.unwrap();
    central.stop().await;
    central.listen().await;
    central
}

async fn received(central: &Central) -> usize {
    central.store().received_list(&ReceivedFilter::default(), 1000).await.unwrap().len()
}

async fn school() -> (Central, Local) {
    let central = Central::start().await;
    with_test(&central, 0..8).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    (central, local)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_copy_goes_when_a_backup_holds_the_result_and_its_days_are_over() {
    let (central, local) = school().await;
    play(&local.runner().await, 0).await;
    assert_eq!(sync_hiding(&local, What::All).await.results.sent, 1);
    pass_days(&central, &local, KEEP_DAYS + 1);
    sync_hiding(&local, What::All).await;
    assert_eq!(chores(&local).await, 0, "no backup holds it");
    let saved = backup(&central).await;
    play(&local.runner().await, 1).await;
    assert_eq!(sync_hiding(&local, What::All).await.results.sent, 1);
    assert_eq!(chores(&local).await, 1, "the first one is in the backup");
    pass_days(&central, &local, KEEP_DAYS + 1);
    assert_eq!(chores(&local).await, 0, "the second one is newer than the backup");
    // The day the copies are for.
    let central = restore(central, saved).await;
    assert_eq!(received(&central).await, 1, "what was erased at the school is in the backup");
    sync_hiding(&local, What::All).await;
    local.sync_equal().await;
    assert_eq!(received(&central).await, 2, "and what was not comes again");
    every_result_is_at_central_once(&central, &[&local]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_safe_in_a_history_that_ended_is_not_safe_in_the_next() {
    let (central, local) = school().await;
    let older = backup(&central).await;
    for n in 0..3 {
        play(&local.runner().await, n).await;
    }
    sync_hiding(&local, What::All).await;
    backup(&central).await;
    sync_hiding(&local, What::Data).await;
    assert_eq!(local.store().replicas_list().await.unwrap()[0].safe_receipt_no, 3, "so central said");
    // The newer backup turned out to be lost, too.
    let central = restore(central, older).await;
    play(&local.runner().await, 3).await;
    assert_eq!(sync_hiding(&local, What::All).await.results.sent, 4, "three of them again");
    local.sync_equal().await;
    pass_days(&central, &local, KEEP_DAYS + 1);
    assert_eq!(chores(&local).await, 0, "no backup holds receipts 1 to 4 of this history");
    every_result_is_at_central_once(&central, &[&local]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_that_knows_of_no_backup_any_more_went_back() {
    let (central, one) = school().await;
    let two = Local::joined(&central, "A").await;
    two.sync_equal().await;
    play(&one.runner().await, 0).await;
    sync_hiding(&one, What::All).await;
    let yesterday = central.save();
    for n in 3..7 {
        play(&two.runner().await, n).await;
    }
    two.sync_equal().await;
    backup(&central).await;
    sync_hiding(&one, What::Data).await;
    let central = central.put_back(yesterday).await;
    // Its newest receipt is known there: only what central said about backups shows that it went back.
    play(&one.runner().await, 1).await;
    let noticed = sync_hiding(&one, What::Results).await;
    assert!(noticed.advice.iter().any(|advice| advice.contains("older state")), "{noticed:#?}");
    pass_days(&central, &one, KEEP_DAYS + 1);
    assert_eq!(chores(&one).await, 0, "the result has number 2, and no backup holds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_while_a_backup_is_made_is_not_safe_with_it() {
    let (central, local) = school().await;
    let file = tempfile::tempdir().unwrap();
    play(&local.runner().await, 0).await;
    sync_hiding(&local, What::All).await;
    let copied = central.store().copy_to(&file.path().join("taosync.sqlite")).await.unwrap();
    // The copy is made, not yet checked.
    play(&local.runner().await, 1).await;
    assert_eq!(sync_hiding(&local, What::All).await.results.sent, 1);
    let entry = AuditEntry { actor: "test", act: "node.backup", object: "test", detail: serde_json::json!({}) };
    central.store().backup_verified(copied.receipts_through, &entry).await.unwrap();
    sync_hiding(&local, What::Data).await;
    pass_days(&central, &local, KEEP_DAYS + 1);
    assert_eq!(chores(&local).await, 1, "only the one that is in the copy");
    assert_eq!(local.store().replicas_list().await.unwrap()[0].safe_receipt_no, 1);
}
