use jiff::Timestamp;
use taosync_model::audit::AuditHead;
use taosync_model::clock::Clock as _;
use taosync_model::item::{Receipt, ReceiptStatus, Refusal};
use taosync_model::{Digest, OrgId};
use taosync_store::StoreError;
use taosync_store::executions::{Finish, NewExecution, NewPart, PartKind};
use taosync_store::outbox::{AfterReceipt, Marked, NewItem, OutboxFilter, OutboxState};
use taosync_vault::node_key::NodeKey;
use taosync_vault::receipts::sign_batch;
use uuid::Uuid;

use crate::support::{TestStore, attempt, open, org};

const EPOCH: Uuid = Uuid::from_u128(2);

fn receipt(key: &NodeKey, item: &NewItem, no: i64, status: ReceiptStatus) -> Receipt {
    let mut receipt = Receipt {
        v: 1,
        central: Uuid::from_u128(1),
        epoch: EPOCH,
        receipt_no: no,
        org: org(),
        kind: item.envelope.kind,
        item: item.envelope.item,
        version: item.envelope.version,
        digest: item.envelope.digest,
        received_at: Timestamp::from_millisecond(1_778_570_000_000).unwrap(),
        status,
        out_of_scope: false,
        proof: None,
    };
    sign_batch(key, AuditHead { no: 1, digest: Digest::of(b"log") }, std::slice::from_mut(&mut receipt));
    receipt
}

fn refusal(item: u128) -> Refusal {
    Refusal { item: Uuid::from_u128(item), version: 1, code: "bad-zstd".into(), reason: "x".repeat(900) }
}

async fn three(t: &TestStore) -> Vec<NewItem> {
    let items: Vec<_> = (1..=3).map(|n| attempt(Uuid::from_u128(n), 1, None, &format!("item {n}"))).collect();
    t.outbox_add(&items).await.unwrap();
    items
}

async fn pending(t: &TestStore) -> Vec<u128> {
    let page = t.waiting(&org(), 100, 1 << 20).await;
    page.iter().map(|i| i.envelope.item.as_u128()).collect()
}

#[tokio::test]
async fn only_a_receipt_that_verifies_and_fits_marks_an_item() {
    let t = open().await;
    let (central, stranger) = (NodeKey::generate(), NodeKey::generate());
    let items = three(&t).await;
    let mut other_bytes = items[1].clone();
    other_bytes.envelope.digest = Digest::of(b"other");
    let answers = [
        receipt(&central, &items[0], 1, ReceiptStatus::Stored),
        receipt(&central, &other_bytes, 2, ReceiptStatus::Stored),
        receipt(&stranger, &items[2], 3, ReceiptStatus::Stored),
    ];
    let marked = t.outbox_mark_sent(&central.public(), &answers, AfterReceipt::Keep).await.unwrap();
    assert_eq!(marked, Marked { sent: 1, forged: 1, unknown: 1 });
    assert_eq!(pending(&t).await, [2, 3]);
    let sent = t.outbox_list(&OutboxFilter { item: Some(Uuid::from_u128(1)), ..OutboxFilter::default() }, 1).await;
    assert_eq!(sent.unwrap()[0].receipt.as_ref(), Some(&answers[0]));
}

#[tokio::test]
async fn a_refused_item_stays_blocks_nothing_and_can_be_retried() {
    let t = open().await;
    let central = NodeKey::generate();
    let items = three(&t).await;
    assert_eq!(t.outbox_mark_refused(&[refusal(1), refusal(99)]).await.unwrap(), 1);
    assert_eq!(pending(&t).await, [2, 3]);
    let filter = OutboxFilter { state: Some(OutboxState::Refused), ..OutboxFilter::default() };
    let refused = t.outbox_list(&filter, 9).await.unwrap();
    assert_eq!((refused[0].last_code.as_deref(), refused[0].tries), (Some("bad-zstd"), 1));
    assert_eq!(refused[0].last_reason.as_ref().unwrap().len(), 500);
    let conflict = receipt(&central, &items[1], 1, ReceiptStatus::Conflict);
    t.outbox_mark_sent(&central.public(), &[conflict], AfterReceipt::Keep).await.unwrap();
    assert_eq!(t.outbox_mark_refused(&[refusal(2)]).await.unwrap(), 0, "what is confirmed stays so");
    let counts = t.outbox_counts().await.unwrap();
    assert_eq!((counts.pending, counts.sent, counts.refused, counts.conflicts), (1, 1, 1, 1));
    assert_eq!(t.outbox_retry(&[Uuid::from_u128(1), Uuid::from_u128(2)]).await.unwrap(), 1);
    assert_eq!(pending(&t).await, [1, 3]);
    t.outbox_mark_refused(&[refusal(1)]).await.unwrap();
    assert_eq!(t.outbox_retry_all().await.unwrap(), 1);
}

#[tokio::test]
async fn a_hidden_result_is_erased_only_when_it_is_safe_and_old() {
    let t = open().await;
    let central = NodeKey::generate();
    let items = three(&t).await;
    let answers: Vec<_> =
        items.iter().zip(1..).map(|(i, no)| receipt(&central, i, no, ReceiptStatus::Stored)).collect();
    t.outbox_mark_sent(&central.public(), &answers[..2], AfterReceipt::Hide).await.unwrap();
    t.outbox_mark_sent(&central.public(), &answers[2..], AfterReceipt::Keep).await.unwrap();
    let results = t.outbox_results(&OutboxFilter::default(), 9).await.unwrap();
    assert_eq!(results.iter().map(|r| r.payload.is_some()).collect::<Vec<_>>(), [false, false, true]);
    let later = t.in_seconds(60);
    assert_eq!(t.outbox_purge(&org(), EPOCH, 3, t.in_seconds(-60)).await.unwrap(), 0, "not old enough");
    assert_eq!(t.outbox_purge(&org(), EPOCH, 0, later).await.unwrap(), 0, "not safe at central");
    assert_eq!(t.outbox_purge(&OrgId::everything(), EPOCH, 3, later).await.unwrap(), 0, "another organisation");
    assert_eq!(t.outbox_purge(&org(), Uuid::from_u128(3), 3, later).await.unwrap(), 0, "safe in another history");
    assert_eq!(t.outbox_purge(&org(), EPOCH, 1, later).await.unwrap(), 1);
    assert_eq!(t.number("SELECT count(*) FROM outbox_content WHERE payload IS NULL").await, 1);
    // Central went back to before everything: what still has its payload waits again.
    assert_eq!(t.central_went_back(&org()).await.unwrap(), 2);
    assert_eq!(pending(&t).await, [2, 3]);
}

#[tokio::test]
async fn hiding_erases_what_was_saved_and_ends_the_window() {
    let t = open().await;
    let central = NodeKey::generate();
    let org = org();
    let new = NewExecution {
        org: &org,
        delivery: "http://example.org/#delivery",
        test_taker: "http://example.org/#taker",
        package_version: 1,
    };
    let mut made = Vec::new();
    for _ in 0..2 {
        let id = t.execution_start(&new).await.unwrap();
        let part = NewPart { save: None, kind: PartKind::Variables, at: t.clock.now(), body: b"v".to_vec() };
        t.execution_save(id, &part, 1).await.unwrap();
        let item = attempt(id, 1, None, "one");
        let resume_until = Some(t.in_seconds(3600));
        t.execution_finish(&Finish { reason: None, resume_until, item: item.clone() }).await.unwrap();
        made.push((id, receipt(&central, &item, 1, ReceiptStatus::Stored)));
    }
    // The second runs again when the receipt of its first version arrives.
    t.execution_reactivate(made[1].0).await.unwrap();
    let receipts: Vec<_> = made.iter().map(|(_, r)| r.clone()).collect();
    t.outbox_mark_sent(&central.public(), &receipts, AfterReceipt::Hide).await.unwrap();
    assert!(t.execution_parts(made[0].0).await.unwrap().is_empty());
    assert!(matches!(t.execution_reactivate(made[0].0).await, Err(StoreError::Refused(_))));
    assert_eq!(t.execution_parts(made[1].0).await.unwrap().len(), 1);
}
