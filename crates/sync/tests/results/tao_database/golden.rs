//! The states of a real pair of TAOs through one exam, reproduced.

use md5::{Digest as _, Md5};
use taosync_model::item::ItemKind;
use taosync_store::outbox::{OutboxFilter, OutboxState};
use taosync_sync::session::Mode;
use taosync_testbed::{Kind, TestDatabase, tao};

use super::pair::{Pair, Rows, adopted, as_offline, mapping, rows, write};
use crate::school::school;

const STATUS: &str = "SELECT id, status, CAST(session_synced AS CHAR(9)) FROM synchronisation_result";
const SYNCED: &str = "SELECT CAST(id AS CHAR(9)), CAST(is_synced AS CHAR(9)) FROM delivery_log";

async fn pair(kind: Kind) -> Option<Pair> {
    let (local, central) = (tao::golden("3-client-with-executions")?, tao::golden("1-central-published")?);
    Pair::of(kind, &local, &central).await
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_executions_become_items_once() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        let planned = pair.take_as(Mode::DryRun).await;
        assert_eq!((planned.attempts, planned.not_over, planned.problems.len()), (5, 1, 0), "{planned:?}");
        assert_eq!(pair.school.local.outbox_counts().await.unwrap().pending, 0, "a dry run takes nothing");
        let taken = pair.take().await;
        assert_eq!((taken.attempts, taken.not_over, taken.log_rows), (5, 1, 0), "{taken:?}");
        let again = pair.take().await;
        assert_eq!((again.attempts, again.unchanged, again.next_versions, again.log_rows), (0, 5, 0, 0), "{again:?}");
        let items = pair.school.local.outbox_list(&OutboxFilter::default(), 100).await.unwrap();
        assert_eq!(items.len(), 5);
        for item in &items {
            let counts = item.envelope.counts;
            assert_eq!((item.envelope.kind, counts.variables, counts.items, counts.log), (ItemKind::Attempt, 13, 3, 3));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tao_at_central_gets_what_taosync_gave_it() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        let Some(golden) = tao::golden("4-central-after-result-sync") else { return };
        let golden = TestDatabase::with(kind, &golden).await.unwrap();
        let before = statements(&pair.central, OTHERS).await;
        let (_, written) = pair.travel().await;
        assert_eq!((written.results, written.unchanged, written.problems.len()), (5, 0, 0), "{written:?}");
        let (ours, theirs) = (pair.mapping().await, mapping(&golden).await);
        assert_eq!(ours.len(), 5);
        assert_eq!(ours.values().collect::<Vec<_>>().len(), theirs.values().collect::<Vec<_>>().len());
        for sql in COMPARED {
            let (here, there) = (rows(&pair.central, sql).await, rows(&golden, sql).await);
            assert_eq!(as_offline(here, &ours), as_offline(there, &theirs), "{kind:?} {sql}");
        }
        assert_eq!(logs(&pair.central, &ours).await, logs(&golden, &theirs).await, "{kind:?}");
        assert_hashes(&pair.central).await;
        assert_eq!(statements(&pair.central, OTHERS).await, before, "nothing else is touched");
        // Real times, where TAO puts the moment of the sync.
        let times =
            "SELECT object, subject FROM statements WHERE predicate LIKE '%DeliveryExecutionStart' AND modelid = 1
             AND subject LIKE '%tao.rdf#i%'";
        let times = as_offline(rows(&pair.central, times).await, &ours);
        let local =
            "SELECT object, subject FROM statements WHERE predicate LIKE '%DeliveryExecutionStart' AND modelid = 1
             AND subject IN (SELECT subject FROM statements WHERE object LIKE '%StatusFinished')";
        assert_eq!(times, rows(&pair.local, local).await);
    }
}

/// Ignored: `variable_id`, and in `statements` the id, author and epoch; start, end, `UpdatedAt` and `CreatedAt`, which are
/// the moment of TAO's sync; in `delivery_monitoring` the position of the empty session that TAO builds from the compiled
/// test, and when nobody last connected. `variable_hash` is checked against its definition: it holds the execution's id.
const COMPARED: [&str; 4] = [
    "SELECT result_id, test_taker, delivery FROM results_storage",
    "SELECT results_result_id, call_id_test, call_id_item, test, item, value, identifier FROM variables_storage",
    "SELECT delivery_execution_id, status, test_taker, authorized_by, start_time, end_time, delivery_id, delivery_name,
       remaining_time, extended_time, extra_time, consumed_extra_time FROM delivery_monitoring",
    "SELECT subject, predicate, object, l_language FROM statements WHERE modelid = 1
       AND subject IN (SELECT result_id FROM results_storage)
       AND predicate NOT LIKE '%DeliveryExecutionStart' AND predicate NOT LIKE '%DeliveryExecutionEnd'
       AND predicate NOT LIKE '%UpdatedAt' AND predicate NOT LIKE '%CreatedAt'",
];

const OTHERS: &str = "SELECT CAST(id AS CHAR(9)), subject, predicate, object, l_language, author, epoch FROM statements
     WHERE subject NOT IN (SELECT result_id FROM results_storage)";

async fn statements(tao: &TestDatabase, sql: &str) -> Rows {
    rows(tao, sql).await
}

/// Of `SYNC_EVENT` rows only that there is one for each execution: box, moment and writer are the sync's own. Details are
/// compared as what they say: the order of names in them is not kept.
async fn logs(tao: &TestDatabase, mapping: &std::collections::BTreeMap<String, String>) -> Rows {
    let sql = "SELECT delivery_execution_id, event_id, data, created_at, created_by, CAST(is_synced AS CHAR(9))
         FROM delivery_log WHERE event_id <> 'SYNC_EVENT'";
    let said = |mut row: Vec<String>| {
        row[2] = serde_json::from_str::<serde_json::Value>(&row[2]).unwrap().to_string();
        row
    };
    let mut all: Rows = as_offline(rows(tao, sql).await, mapping).into_iter().map(said).collect();
    let events =
        "SELECT delivery_execution_id, CAST(COUNT(*) AS CHAR(9)) FROM delivery_log WHERE event_id = 'SYNC_EVENT'
         GROUP BY delivery_execution_id";
    all.extend(as_offline(rows(tao, events).await, mapping));
    all
}

async fn assert_hashes(tao: &TestDatabase) {
    let sql =
        "SELECT results_result_id, value, COALESCE(call_id_item, call_id_test), variable_hash FROM variables_storage";
    let all = rows(tao, sql).await;
    assert!(all.len() >= 65, "{}", all.len());
    for row in all {
        let hash = hex::encode(Md5::digest(format!("{}{}{}", row[0], row[1], row[2]).as_bytes()));
        assert_eq!(row[3], format!("{}{hash}", row[0]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_our_marks_the_same_is_recognised() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        pair.travel().await;
        let tables =
            ["results_storage", "variables_storage", "delivery_log", "statements", "kv_store", "delivery_monitoring"];
        let count = async || {
            let mut counts = Vec::new();
            for table in tables {
                counts.extend(rows(&pair.central, &format!("SELECT CAST(COUNT(*) AS CHAR(9)) FROM {table}")).await);
            }
            counts
        };
        let before = count().await;
        // Another central, to which the same was handed in, knows nothing of what the first has written.
        let other = school().await;
        pair.school.hand_over_to(&other.central).await;
        let written = write(&other.central, &pair.central).await;
        assert_eq!((written.results, written.unchanged), (0, 5), "{kind:?} {written:?}");
        assert_eq!(before, count().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn taos_notes_are_continued_as_taosync_would_have() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        let Some(golden) = tao::golden("4-client-after-result-sync") else { return };
        let golden = TestDatabase::with(kind, &golden).await.unwrap();
        pair.take().await;
        assert_eq!(
            (pair.tell().await.results, rows(&pair.local, STATUS).await.len()),
            (0, 0),
            "nothing is confirmed yet"
        );
        pair.school.hand_in_well().await;
        let told = pair.tell().await;
        assert_eq!((told.results, told.log_rows), (5, 15));
        assert_eq!(rows(&pair.local, STATUS).await, rows(&golden, STATUS).await);
        assert_eq!(rows(&pair.local, SYNCED).await, rows(&golden, SYNCED).await);
        let again = pair.tell().await;
        assert_eq!((again.results, again.log_rows), (0, 0));
        let taken = pair.take().await;
        assert_eq!((taken.unchanged, taken.attempts), (5, 0), "{taken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_taosync_has_handed_in_is_not_handed_in_again() {
    for kind in Kind::BOTH {
        let Some(state) = tao::golden("4-client-after-result-sync") else { return };
        let Some(central) = tao::golden("4-central-after-result-sync") else { return };
        let Some(pair) = Pair::of(kind, &state, &central).await else { return };
        let taken = pair.take().await;
        assert_eq!((taken.sent_by_taosync, taken.not_over, taken.attempts, taken.log_rows), (5, 1, 0, 0), "{taken:?}");
        // Handed in all the same, it is what is there: TAO's own rows are recognised.
        pair.local.execute("DELETE FROM synchronisation_result").await;
        let (taken, written) = pair.travel().await;
        assert_eq!((taken.attempts, written.problems.len()), (5, 0), "{taken:?} {written:?}");
        assert_eq!(rows(&pair.central, "SELECT variable_hash FROM variables_storage").await.len(), 65);
        assert_eq!(mapping(&pair.central).await.len(), 5);
        let other = school().await;
        assert_eq!(other.local.outbox_counts().await.unwrap().pending, 0);
        drop(adopted(&pair.central).await);
        let pending = OutboxFilter { state: Some(OutboxState::Pending), ..OutboxFilter::default() };
        assert_eq!(pair.school.local.outbox_list(&pending, 10).await.unwrap().len(), 0);
    }
}
