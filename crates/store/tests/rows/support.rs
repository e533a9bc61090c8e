//! A store in a temporary directory, and items to put into it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use taosync_model::clock::{Clock, ShiftedClock};
use taosync_model::execution::ExecutionState;
use taosync_model::item::{Counts, Envelope, FORM_ZSTD_JSON, ItemKind};
use taosync_model::{Digest, OrgId};
use taosync_store::Store;
use taosync_store::outbox::{NewItem, OutboxItem, Pick};
use taosync_vault::keyring::Keyring;
use uuid::Uuid;

/// An open store; its directory goes with it.
pub struct TestStore {
    pub store: Store,
    pub clock: Arc<ShiftedClock>,
    pub dir: tempfile::TempDir,
}

impl std::ops::Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub async fn open() -> TestStore {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::create(&dir.path().join("keys")).unwrap());
    let clock = Arc::new(ShiftedClock::default());
    let store = Store::open(dir.path(), keyring, clock.clone()).await.unwrap();
    TestStore { store, clock, dir }
}

impl TestStore {
    pub fn in_seconds(&self, seconds: i64) -> Timestamp {
        self.clock.now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    /// What is handed in next, whatever state it is in.
    pub async fn waiting(&self, org: &OrgId, max_items: u32, max_bytes: u64) -> Vec<OutboxItem> {
        let states = &ExecutionState::ALL;
        self.outbox_pick(&Pick { org, states, kind: None, after: None, max_items, max_bytes }).await.unwrap()
    }

    pub async fn number(&self, sql: &'static str) -> i64 {
        let path = self.dir.path().join("taosync.sqlite");
        let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path));
        sqlx::query_scalar(sql).fetch_one(&pool.await.unwrap()).await.unwrap()
    }

    pub async fn run(&self, sql: &'static str) {
        self.try_run(sql).await.unwrap();
    }

    pub async fn try_run(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        let path = self.dir.path().join("taosync.sqlite");
        let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path));
        sqlx::raw_sql(sql).execute(&pool.await?).await.map(drop)
    }
}

pub fn org() -> OrgId {
    OrgId::new("school-7").unwrap()
}

pub fn now() -> Timestamp {
    ShiftedClock::default().now()
}

/// An item of any kind with a payload made of a text.
pub fn item(kind: ItemKind, id: Uuid, version: u32, previous: Option<Digest>, text: &str) -> NewItem {
    let payload = text.as_bytes().to_vec();
    let started_at = Timestamp::from_millisecond(1_778_570_000_000).ok();
    let envelope = Envelope {
        kind,
        item: id,
        org: org(),
        origin: Uuid::from_u128(9),
        version,
        previous,
        digest: Digest::of(&payload),
        size: payload.len() as u64,
        form: FORM_ZSTD_JSON,
        execution: None,
        delivery: Some("http://example.org/#delivery".into()),
        test_taker: Some("http://example.org/#taker".into()),
        state: Some(ExecutionState::Finished),
        started_at,
        finished_at: started_at,
        counts: Counts::default(),
    };
    NewItem { envelope, payload, source: None }
}

pub fn attempt(id: Uuid, version: u32, previous: Option<Digest>, text: &str) -> NewItem {
    item(ItemKind::Attempt, id, version, previous, text)
}
