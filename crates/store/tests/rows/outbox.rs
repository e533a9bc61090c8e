use taosync_model::item::ItemKind;
use taosync_store::outbox::{OutboxFilter, OutboxState, Queued};
use uuid::Uuid;

use crate::support::{attempt, item, open, org};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

#[tokio::test]
async fn a_page_ends_at_its_limits_but_has_at_least_one_item() {
    let t = open().await;
    let items: Vec<_> = (0..5).map(|n| attempt(id(n), 1, None, &"x".repeat(1000 + n as usize))).collect();
    t.outbox_add(&items).await.unwrap();
    let next = async |max_items, max_bytes| -> Vec<Uuid> {
        let page = t.waiting(&org(), max_items, max_bytes).await;
        page.into_iter().map(|i| i.envelope.item).collect()
    };
    assert_eq!(next(10, 1 << 20).await, [id(0), id(1), id(2), id(3), id(4)]);
    assert_eq!(next(2, 1 << 20).await, [id(0), id(1)]);
    assert_eq!(next(10, 1).await, [id(0)]);
    let sealed: i64 = t.number("SELECT sum(length(payload)) FROM outbox_content WHERE length(payload) < (SELECT max(length(payload)) - 1 FROM outbox_content)").await;
    assert_eq!(next(10, sealed as u64).await.len(), 3, "exactly at the limit");
    assert_eq!(next(10, sealed as u64 - 1).await.len(), 2, "one byte less");
    assert!(t.waiting(&taosync_model::OrgId::everything(), 10, 1 << 20).await.is_empty());
}

#[tokio::test]
async fn adding_again_changes_nothing_and_other_bytes_are_left_out() {
    let t = open().await;
    let log = item(ItemKind::Log, id(1), 1, None, "log");
    let other = item(ItemKind::Log, id(1), 1, None, "other log");
    let user = item(ItemKind::LtiUser, id(1), 1, None, "user");
    let answers = t.outbox_add(&[log.clone(), log.clone(), other.clone(), user]).await.unwrap();
    assert_eq!(answers, [Queued::Added, Queued::Already, Queued::Different, Queued::Added]);
    assert_eq!(t.outbox_add(&[log, other]).await.unwrap(), [Queued::Already, Queued::Different]);
    assert_eq!(t.outbox_counts().await.unwrap().pending, 2);
}

#[tokio::test]
async fn an_older_version_goes_first_whatever_the_clock_says() {
    let t = open().await;
    let first = attempt(id(1), 1, None, "one");
    let second = attempt(id(1), 2, Some(first.envelope.digest), "two");
    t.outbox_add(&[second]).await.unwrap();
    t.outbox_add(&[first]).await.unwrap();
    let page = t.waiting(&org(), 10, 1 << 20).await;
    assert_eq!(page.iter().map(|i| i.envelope.version).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_damaged_item_is_shown_and_blocks_nothing() {
    let t = open().await;
    t.outbox_add(&[attempt(id(1), 1, None, "one"), attempt(id(2), 1, None, "two")]).await.unwrap();
    t.run("UPDATE outbox_content SET payload = x'00112233' WHERE id = (SELECT id FROM outbox WHERE item = x'00000000000000000000000000000001')").await;
    let page = t.waiting(&org(), 1, 1 << 20).await;
    assert_eq!(page.iter().map(|i| i.envelope.item).collect::<Vec<_>>(), [id(2)]);
    let filter = OutboxFilter { state: Some(OutboxState::Refused), ..OutboxFilter::default() };
    let refused = t.outbox_list(&filter, 10).await.unwrap();
    assert_eq!((refused.len(), refused[0].last_code.as_deref()), (1, Some("damaged")));
}

#[tokio::test]
async fn payloads_are_sealed() {
    let t = open().await;
    t.outbox_add(&[attempt(id(1), 1, None, "the answer is 42")]).await.unwrap();
    assert_eq!(t.number("SELECT count(*) FROM outbox_content WHERE instr(payload, 'answer') > 0").await, 0);
    let results = t.outbox_results(&OutboxFilter { item: Some(id(1)), ..OutboxFilter::default() }, 10).await.unwrap();
    assert_eq!(results[0].payload.as_deref(), Some(b"the answer is 42".as_slice()));
    assert!(!format!("{results:?}").contains("answer"));
}
