//! The history of syncs does not grow without end, and each node's last success stays.

use jiff::SignedDuration;
use serde_json::json;
use taosync_model::OrgId;
use taosync_model::clock::Clock as _;
use taosync_store::history::{RECORDS, SyncOutcome};
use taosync_store::reported_runs::ReportedRun;
use uuid::Uuid;

use crate::support::{TestStore, open};

async fn report(store: &TestStore, node: Uuid, org: &OrgId, outcome: SyncOutcome) -> Uuid {
    let (id, now, report) = (store.clock.new_id(), store.clock.now(), json!({}));
    let run = ReportedRun {
        id,
        node,
        org,
        actor: "consumer",
        started_at: now,
        ended_at: now,
        outcome,
        code: None,
        reason: None,
        report: &report,
        is_whole: false,
        has_news: true,
        purged: None,
    };
    store.sync_reported(&run).await.unwrap();
    id
}

/// So many failed syncs of node 1 in org A, one after the other.
const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 998)
    INSERT INTO sync_run (id, node, org, actor, what, started_at, ended_at, outcome, summary)
    SELECT randomblob(16), unhex(printf('%032x', 1)), 'A', 'consumer', 'all', max(started_at) + 1 + i, 0, 'failed', '{}'
    FROM n, sync_run GROUP BY i";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_so_many_records_of_an_org_and_the_oldest_go() {
    let store = open().await;
    let (node, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (a, b) = (OrgId::new("A").unwrap(), OrgId::new("B").unwrap());
    report(&store, other, &a, SyncOutcome::Failed).await;
    report(&store, node, &b, SyncOutcome::Failed).await;
    report(&store, node, &a, SyncOutcome::Failed).await;
    let success = report(&store, node, &a, SyncOutcome::Success).await;
    store.run(MANY).await;
    let count = "SELECT count(*) FROM sync_run WHERE node = unhex(printf('%032x', 1)) AND org = 'A'";
    assert_eq!(store.number(count).await, i64::from(RECORDS), "at the limit");
    store.clock.shift(10);
    for _ in 0..3 {
        report(&store, node, &a, SyncOutcome::Failed).await;
    }
    // The first failure, which is older than the success, has gone; the success stays beside the newest.
    assert_eq!(store.number(count).await, i64::from(RECORDS) + 1);
    let last = store.sync_last_success().await.unwrap();
    assert_eq!(last.len(), 1);
    let left: Vec<Uuid> = store.sync_list(None, 5_000).await.unwrap().into_iter().map(|run| run.id).collect();
    assert!(left.contains(&success));
    assert_eq!(left.len(), RECORDS as usize + 3, "other nodes and organisations keep theirs");
    store.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_go_and_the_last_success_stays() {
    let store = open().await;
    let (node, org) = (Uuid::from_u128(1), OrgId::new("A").unwrap());
    report(&store, node, &org, SyncOutcome::Success).await;
    store.clock.shift(60);
    let last = report(&store, node, &org, SyncOutcome::Success).await;
    report(&store, node, &org, SyncOutcome::Failed).await;
    store.clock.shift(3_600);
    let new = report(&store, node, &org, SyncOutcome::Failed).await;
    let before = store.clock.now().checked_sub(SignedDuration::from_mins(30)).unwrap();
    assert_eq!(store.syncs_forget(before).await.unwrap(), 2);
    let left: Vec<Uuid> = store.sync_list(None, 100).await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&last) && left.contains(&new));
    assert_eq!(store.syncs_forget(before).await.unwrap(), 0);
    store.store.close().await;
}
