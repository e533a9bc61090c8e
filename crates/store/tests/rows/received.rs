use taosync_model::item::{ItemKind, Receipt, ReceiptStatus};
use taosync_model::{Digest, OrgId};
use taosync_store::StoreError;
use taosync_store::outbox::NewItem;
use taosync_store::received::{Answer, Handover, IncomingItem, ReceivedFilter};
use taosync_vault::receipts::verify_receipt;
use uuid::Uuid;

use crate::support::{TestStore, attempt, item, open, org};

const ITEM: Uuid = Uuid::from_u128(7);

async fn hand_in(t: &TestStore, items: Vec<NewItem>) -> Vec<Answer> {
    let org = org();
    let handover =
        Handover { central: Uuid::from_u128(1), epoch: Uuid::from_u128(2), org: &org, node: Some(Uuid::from_u128(9)) };
    let incoming: Vec<_> = items
        .into_iter()
        .map(|i| IncomingItem {
            envelope: i.envelope,
            payload: i.payload,
            at_rest: None,
            out_of_scope: false,
            vouched: None,
        })
        .collect();
    t.received_store(&incoming, &handover).await.unwrap()
}

async fn receipts(t: &TestStore, items: Vec<NewItem>) -> Vec<Receipt> {
    let key = t.keyring().node_key().public();
    hand_in(t, items)
        .await
        .into_iter()
        .map(|answer| match answer {
            Answer::Receipt(receipt) => {
                verify_receipt(&key, &receipt).unwrap();
                receipt
            }
            Answer::Refusal(refusal) => panic!("refused: {refusal:?}"),
        })
        .collect()
}

fn said(receipts: &[Receipt]) -> Vec<(ReceiptStatus, i64)> {
    receipts.iter().map(|r| (r.status, r.receipt_no)).collect()
}

fn versions() -> [NewItem; 5] {
    let one = attempt(ITEM, 1, None, "one");
    let two = attempt(ITEM, 2, Some(one.envelope.digest), "two");
    let three = attempt(ITEM, 3, Some(two.envelope.digest), "three");
    let fork = attempt(ITEM, 2, Some(one.envelope.digest), "two, told otherwise");
    let stranger = attempt(ITEM, 4, Some(Digest::of(b"unknown")), "four");
    [one, two, three, fork, stranger]
}

const EXPECTED: [(ReceiptStatus, i64); 8] = [
    (ReceiptStatus::Stored, 1),
    (ReceiptStatus::Duplicate, 1),
    (ReceiptStatus::Superseded, 2),
    (ReceiptStatus::Conflict, 3),
    (ReceiptStatus::Duplicate, 3),
    (ReceiptStatus::Superseded, 4),
    (ReceiptStatus::Conflict, 5),
    (ReceiptStatus::Duplicate, 2),
];

fn story() -> Vec<NewItem> {
    let [one, two, three, fork, stranger] = versions();
    vec![one.clone(), one, two.clone(), fork.clone(), fork, three, stranger, two]
}

async fn check_held(t: &TestStore) {
    let counts = t.received_counts(Some(&org())).await.unwrap();
    assert_eq!((counts.held, counts.heads, counts.conflicts), (5, 1, 2));
    let held = t.received_list(&ReceivedFilter::default(), 100).await.unwrap();
    let heads: Vec<u32> = held.iter().filter(|i| i.head).map(|i| i.envelope.version).collect();
    assert_eq!(heads, [3]);
    let conflicts = ReceivedFilter { status: Some("conflict".into()), ..ReceivedFilter::default() };
    assert_eq!(t.received_list(&conflicts, 100).await.unwrap().len(), 2);
}

#[tokio::test]
async fn every_rule_holds_one_item_at_a_time() {
    let t = open().await;
    let mut all = Vec::new();
    for item in story() {
        all.extend(receipts(&t, vec![item]).await);
        t.clock.shift(10);
    }
    assert_eq!(said(&all), EXPECTED);
    assert_eq!(all[1].received_at, all[0].received_at, "a duplicate repeats when it was stored");
    check_held(&t).await;
}

#[tokio::test]
async fn every_rule_holds_within_one_batch() {
    let t = open().await;
    assert_eq!(said(&receipts(&t, story()).await), EXPECTED);
    check_held(&t).await;
    let again = receipts(&t, story()).await;
    assert!(again.iter().all(|r| r.status == ReceiptStatus::Duplicate));
    assert_eq!(t.received_last_no().await.unwrap(), 5, "a number is spent only for what is stored");
    check_held(&t).await;
}

#[tokio::test]
async fn kinds_are_items_of_their_own() {
    let t = open().await;
    let [one, two, ..] = versions();
    let log = item(ItemKind::Log, ITEM, 1, None, "one");
    let all = receipts(&t, vec![two, log, one]).await;
    assert!(all.iter().all(|r| r.status == ReceiptStatus::Stored), "{all:?}");
}

/// As after a restore: what central lost comes again when it has heard of a newer version already.
#[tokio::test]
async fn versions_that_the_newest_one_follows_are_no_conflict_when_they_come_late() {
    use ReceiptStatus::{Conflict, Duplicate, Stored};
    let one = attempt(ITEM, 1, None, "one");
    let two = attempt(ITEM, 2, Some(one.envelope.digest), "two");
    let three = attempt(ITEM, 3, Some(two.envelope.digest), "three");
    let other_one = attempt(ITEM, 1, None, "another one");
    let other_two = attempt(ITEM, 2, Some(one.envelope.digest), "another two");
    for (items, expected) in [
        (vec![&three, &one, &two], [Stored, Stored, Stored]),
        (vec![&three, &two, &one], [Stored, Stored, Stored]),
        (vec![&three, &one, &one], [Stored, Stored, Duplicate]),
        (vec![&three, &other_one, &two], [Stored, Stored, Conflict]),
        (vec![&three, &other_one, &one], [Stored, Stored, Conflict]),
        (vec![&three, &two, &other_one], [Stored, Stored, Conflict]),
        (vec![&three, &other_two, &one], [Stored, Conflict, Stored]),
        (vec![&two, &one, &other_one], [Stored, Stored, Conflict]),
    ] {
        let (at_once, one_by_one) = (open().await, open().await);
        let items: Vec<_> = items.into_iter().cloned().collect();
        let mut said = Vec::new();
        for item in &items {
            said.extend(receipts(&one_by_one, vec![item.clone()]).await);
        }
        for (t, said) in [(&at_once, receipts(&at_once, items.clone()).await), (&one_by_one, said)] {
            assert_eq!(said.iter().map(|r| r.status).collect::<Vec<_>>(), expected, "{said:?}");
            let held = t.received_list(&ReceivedFilter::default(), 100).await.unwrap();
            let heads: Vec<_> = held.iter().filter(|one| one.head).map(|one| one.envelope.digest).collect();
            assert_eq!(heads, [items[0].envelope.digest], "the newest stays the newest");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_envelope_are_refused_and_block_nothing() {
    let t = open().await;
    let mut cut = attempt(ITEM, 1, None, "one");
    cut.payload.pop();
    let good = attempt(Uuid::from_u128(8), 1, None, "good");
    let answers = hand_in(&t, vec![cut, good]).await;
    assert!(matches!(&answers[0], Answer::Refusal(r) if r.item == ITEM && r.code == "digest_mismatch"));
    assert!(matches!(&answers[1], Answer::Receipt(r) if r.receipt_no == 1));
    assert_eq!(t.received_counts(None).await.unwrap().held, 1);
}

#[tokio::test]
async fn payloads_come_back_byte_for_byte_in_pages() {
    let t = open().await;
    let items: Vec<_> = (1..=5).map(|n| attempt(Uuid::from_u128(n), 1, None, &format!("answer {n}"))).collect();
    receipts(&t, items.clone()).await;
    assert_eq!(t.number("SELECT count(*) FROM received WHERE instr(payload, 'answer') > 0").await, 0);
    let mut filter = ReceivedFilter { org: Some(org()), ..ReceivedFilter::default() };
    let mut read = Vec::new();
    loop {
        let page = t.received_page(&filter, 2, 1 << 20).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = last.item.receipt_no;
        read.extend(page.into_iter().map(|p| p.payload));
    }
    assert_eq!(read, items.iter().map(|i| i.payload.clone()).collect::<Vec<_>>());
    filter.after = 0;
    assert_eq!(t.received_page(&filter, 10, 1).await.unwrap().len(), 1);
    let first = t.received_list(&filter, 1).await.unwrap().remove(0);
    assert_eq!(t.received_get(first.id).await.unwrap().payload, items[0].payload);
    assert!(matches!(t.received_get(Uuid::nil()).await, Err(StoreError::NotFound { .. })));
    let none = ReceivedFilter { org: Some(OrgId::everything()), ..ReceivedFilter::default() };
    assert!(t.received_list(&none, 9).await.unwrap().is_empty());
    let since = ReceivedFilter { since: Some(t.in_seconds(60)), ..ReceivedFilter::default() };
    assert!(t.received_list(&since, 9).await.unwrap().is_empty());
}
