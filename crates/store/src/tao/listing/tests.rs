use super::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use taosync_model::clock::ShiftedClock;
use taosync_vault::Keyring;

use crate::steps;

const TAKERS: i64 = 10_000;

async fn with_takers(dir: &std::path::Path) -> Store {
    let keyring = Arc::new(Keyring::create(&dir.join("keys")).unwrap());
    let store = Store::open(dir, keyring, Arc::new(ShiftedClock::default())).await.unwrap();
    let (taker, bit) = (EntityType::TestTaker.code(), EntityType::TestTaker.bit());
    let numbers = format!("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {TAKERS})");
    for statement in [
        "INSERT INTO scope (id, org, epoch, registered_at) VALUES (1, 'a', zeroblob(16), 0)".to_owned(),
        format!(
            "{numbers} INSERT INTO entity (id, uri, types, tao_md5, changed_at)
             SELECT unhex(printf('%032x', n)), 'http://example/' || n, {bit}, zeroblob(16), 0 FROM n"
        ),
        // One in three of the numbers belongs to somebody who is gone.
        format!(
            "{numbers} INSERT INTO scope_entry (scope, type, entity, seq, present, filtered, digest, tao_md5)
             SELECT 1, {taker}, unhex(printf('%032x', n)), n, n % 3 > 0, 0, zeroblob(32), zeroblob(16) FROM n"
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&store.pools.flushed).await.unwrap();
    }
    store
}

#[tokio::test]
async fn a_page_far_from_the_start_takes_no_more_steps_than_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_takers(dir.path()).await;
    let steps = steps::counted(&store).await;
    let scope = TaoScope::Seen(OrgId::new("a").unwrap());
    let page = async |after: i64, skip: u32| {
        steps.store(0, Ordering::Relaxed);
        let page = store.tao_page(&scope, EntityType::TestTaker, after, skip, 101).await.unwrap();
        assert_eq!(page.len(), 101);
        (page, steps.load(Ordering::Relaxed))
    };
    let (_, first) = page(0, 0).await;
    let (far, last) = page(9_000, 0).await;
    assert!(first > 1_000, "steps are counted: {first}");
    assert!(last.abs_diff(first) * 20 < first, "{first} steps for the first page, {last} for one near the end");
    // Skipping is for whoever comes from nowhere. It walks an index, and looks at no entity on the way.
    let (counted, skipping) = page(0, 6_000).await;
    assert_eq!(counted, far);
    let each = skipping.saturating_sub(first) / 9_000;
    assert!(each < 10, "{each} steps for each number passed over");
    store.close().await;
}
