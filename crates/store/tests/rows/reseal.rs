//! A rotated column key: everything is sealed anew, in batches, from wherever it was cut; nobody starts without a key
//! that is in use.

use std::sync::Arc;

use taosync_model::clock::SystemClock;
use taosync_model::item::ItemKind;
use taosync_store::outbox::{NewItem, OutboxFilter};
use taosync_store::reseal::Resealing;
use taosync_store::{Store, StoreError};
use taosync_vault::keyring::Keyring;
use uuid::Uuid;

use crate::support::{TestStore, item, open};

const ITEMS: u128 = 1_200;

async fn filled() -> TestStore {
    let t = open().await;
    let items: Vec<NewItem> =
        (1..=ITEMS).map(|n| item(ItemKind::LtiUser, Uuid::from_u128(n), 1, None, &format!("user {n}"))).collect();
    t.outbox_add(&items).await.unwrap();
    t
}

async fn again(t: &TestStore) -> Result<Store, StoreError> {
    let keyring = Arc::new(Keyring::open(&t.dir.path().join("keys")).unwrap());
    Store::open(t.dir.path(), keyring, Arc::new(SystemClock)).await
}

#[tokio::test]
async fn a_rotation_that_was_cut_goes_on_and_the_older_key_goes_last() {
    let t = filled().await;
    t.keyring().columns().rotate().unwrap();
    t.column_key_note().await.unwrap();
    assert_eq!(t.columns_sealed_with_older().await.unwrap(), ITEMS as u64);
    let mut first = Resealing::default();
    while first.resealed == 0 {
        first = t.reseal_batch(first).await.unwrap();
    }
    assert!(!first.is_over());
    assert!(matches!(t.column_keys_forget_older().await, Err(StoreError::Refused(_))), "values need it");
    t.store.close().await;
    // The process died here; another one begins from nothing.
    let later = again(&t).await.unwrap();
    let left = later.columns_sealed_with_older().await.unwrap();
    assert_eq!(left, ITEMS as u64 - first.resealed);
    let mut at = Resealing::default();
    while !at.is_over() {
        at = later.reseal_batch(at).await.unwrap();
    }
    assert_eq!((at.resealed, later.columns_sealed_with_older().await.unwrap()), (left, 0));
    later.column_keys_forget_older().await.unwrap();
    later.keyring().columns().forget_older().unwrap();
    later.close().await;
    let last = again(&t).await.unwrap();
    assert_eq!(last.keyring().columns().key_ids(), [2]);
    let rows = last.outbox_results(&OutboxFilter::default(), 2_000).await.unwrap();
    assert_eq!(rows.len() as u128, ITEMS);
    assert!(rows.iter().all(|row| row.payload.as_ref().is_some_and(|payload| payload.starts_with(b"user "))));
}

#[tokio::test]
async fn another_process_seals_with_the_new_key_from_its_next_transaction_on() {
    let t = filled().await;
    let other = again(&t).await.unwrap();
    other.keyring().columns().rotate().unwrap();
    other.column_key_note().await.unwrap();
    let new = item(ItemKind::LtiUser, Uuid::from_u128(ITEMS + 1), 1, None, "new");
    t.outbox_add(&[new]).await.unwrap();
    assert_eq!(t.keyring().columns().key_ids(), [2, 1]);
    assert_eq!(
        other.columns_sealed_with_older().await.unwrap(),
        ITEMS as u64,
        "the new one is sealed with the new key"
    );
    let mut at = Resealing::default();
    while !at.is_over() {
        at = other.reseal_batch(at).await.unwrap();
    }
    assert_eq!(t.outbox_results(&OutboxFilter::default(), 2_000).await.unwrap().len() as u128, ITEMS + 1);
}

#[tokio::test]
async fn nobody_starts_without_a_key_that_is_in_use() {
    let t = filled().await;
    let keys = t.dir.path().join("keys/columns.json");
    let before = std::fs::read(&keys).unwrap();
    t.keyring().columns().rotate().unwrap();
    t.column_key_note().await.unwrap();
    t.store.close().await;
    // Somebody puts back the keys of an older day.
    std::fs::write(&keys, before).unwrap();
    let error = again(&t).await.unwrap_err();
    assert!(matches!(error, StoreError::MissingKey { key_id: 2 }), "{error}");
    assert!(error.to_string().contains("keys import"), "{error}");
}
