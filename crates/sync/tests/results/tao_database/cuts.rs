//! Work that is cut anywhere, done twice at once, or done while TAO writes.

use std::time::Duration;

use taosync_store::outbox::OutboxFilter;
use taosync_sync::session::Mode;
use taosync_sync::tao_database::{executions_up, results_up, told};
use taosync_testbed::{Kind, TestDatabase, tao};
use taosync_vault::results_keys::ResultsIdentities;

use super::own::{execution, id, log, pair, variable};
use super::pair::{Pair, Rows, adopted, rows, taking};

const EXECUTIONS: u32 = 8;

/// A box with executions, each with a log row and two variables.
async fn busy(kind: Kind) -> Option<Pair> {
    let pair = pair(kind).await?;
    for number in 1..=EXECUTIONS {
        execution(&pair.local, number, "Finished").await;
        variable(&pair.local, &id(number), "COMMENT", "Yg==").await;
        log(&pair.local, &id(number), "TEST_RUN").await;
    }
    Some(pair)
}

/// Everything of TAO's at central that results touch, apart from moments of writing.
async fn written(tao: &TestDatabase) -> Vec<Rows> {
    let mut all = Vec::new();
    for sql in [
        "SELECT result_id FROM results_storage",
        "SELECT variable_hash FROM variables_storage",
        "SELECT kv_id, kv_value FROM kv_store",
        "SELECT delivery_execution_id, status FROM delivery_monitoring",
        "SELECT CAST(COUNT(*) AS CHAR(9)) FROM delivery_log",
        "SELECT CAST(COUNT(*) AS CHAR(9)) FROM variables_storage",
        "SELECT CAST(COUNT(*) AS CHAR(9)) FROM statements",
    ] {
        all.push(rows(tao, sql).await);
    }
    all
}

/// Lets something run for longer and longer until it ends by itself; says how often it was cut. What is dropped in the
/// middle leaves its connections as a killed process does.
async fn cut_until_done<T, W: Future<Output = T>>(work: impl Fn() -> W) -> u32 {
    let mut cuts = 0;
    loop {
        let patience = Duration::from_micros(500 * u64::from(cuts + 1) * u64::from(cuts / 8 + 1));
        if tokio::time::timeout(patience, work()).await.is_ok() {
            return cuts;
        }
        cuts += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_cut_anywhere_is_simply_done_again() {
    for kind in Kind::BOTH {
        let (Some(cut), Some(whole)) = (busy(kind).await, busy(kind).await) else { return };
        whole.travel().await;
        let (local, central) = (adopted(&cut.local).await, adopted(&cut.central).await);
        let store = &cut.school.local;
        let taking = taking(Mode::Apply);
        let cuts = cut_until_done(async || executions_up::take(store, &local, &taking).await.unwrap()).await;
        assert!(cuts > 1, "{cuts}");
        assert_eq!(store.outbox_counts().await.unwrap().pending, u64::from(EXECUTIONS));
        cut.school.hand_in_well().await;
        let cuts = cut_until_done(async || told::tell(store, &local).await.unwrap()).await;
        assert!(cuts > 1, "{cuts}");
        let (store, identities) = (&cut.school.central, ResultsIdentities::default());
        let cuts =
            cut_until_done(async || results_up::write(store, &central, &identities, Mode::Apply).await.unwrap()).await;
        assert!(cuts > 1, "{cuts}");
        assert_eq!(written(&cut.central).await, written(&whole.central).await);
        let marks = "SELECT id, status, CAST(session_synced AS CHAR(9)) FROM synchronisation_result";
        assert_eq!(rows(&cut.local, marks).await, rows(&whole.local, marks).await);
        let again = cut.take().await;
        assert_eq!((again.attempts, again.next_versions, again.log_rows), (0, 0, 0), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pushes_at_once_do_the_work_of_one() {
    for kind in Kind::BOTH {
        let Some(pair) = busy(kind).await else { return };
        let (first, second) = tokio::join!(pair.take(), pair.take());
        assert_eq!(first.attempts + second.attempts, u64::from(EXECUTIONS), "{first:?} {second:?}");
        assert_eq!(first.next_versions + second.next_versions, 0);
        pair.school.hand_in_well().await;
        tokio::join!(pair.tell(), pair.tell());
        // Both are let go at the same moment, when both want to write.
        let held = adopted(&pair.central).await.change("held").await.unwrap();
        let free = async {
            pair.central.until_waiting(2).await;
            held.rollback().await.unwrap();
        };
        let (first, second, ()) = tokio::join!(pair.write(), pair.write(), free);
        assert!(first.results + second.results >= u64::from(EXECUTIONS), "{first:?} {second:?}");
        assert_eq!(first.problems.len() + second.problems.len(), 0);
        let count = |table: &str| format!("SELECT CAST(COUNT(*) AS CHAR(9)) FROM {table}");
        let number = |rows: Rows| rows.first().unwrap()[0].trim().parse::<u32>().unwrap();
        for (table, expected) in [
            ("results_storage", EXECUTIONS),
            ("variables_storage", 2 * EXECUTIONS),
            ("delivery_log", 2 * EXECUTIONS),
            ("delivery_monitoring", EXECUTIONS),
        ] {
            assert_eq!(number(rows(&pair.central, &count(table)).await), expected, "{kind:?} {table}");
        }
        assert_eq!(pair.mapping().await.len(), EXECUTIONS as usize);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tao_writes_meanwhile_is_taken_whole_and_once() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        let exam = async {
            for number in 1..=EXECUTIONS {
                // As TAO does: the attempt goes on while its variables come, and ends after them.
                execution(&pair.local, number, "Active").await;
                variable(&pair.local, &id(number), "COMMENT", "Yg==").await;
                let sql = format!(
                    "UPDATE statements SET object = REPLACE(object, 'StatusActive', 'StatusFinished') WHERE subject = '{}'",
                    id(number)
                );
                pair.local.execute(&sql).await;
            }
        };
        let pushes = async {
            let mut taken = 0;
            for _ in 0..6 {
                let some = pair.take().await;
                assert_eq!((some.next_versions, some.problems.len()), (0, 0), "{some:?}");
                taken += some.attempts;
            }
            taken
        };
        let ((), taken) = tokio::join!(exam, pushes);
        let rest = pair.take().await;
        assert_eq!(taken + rest.attempts, u64::from(EXECUTIONS), "{kind:?}");
        let items = pair.school.local.outbox_list(&OutboxFilter::default(), 100).await.unwrap();
        assert!(items.iter().all(|item| (item.envelope.version, item.envelope.counts.variables) == (1, 2)));
        assert_eq!(items.len(), EXECUTIONS as usize);
    }
}

/// Statements with texts as ids (WIRE §15): whoever writes makes them.
#[tokio::test(flavor = "multi_thread")]
async fn statements_with_texts_as_ids_are_written_too() {
    let Some(pair) = busy(Kind::Postgres).await else { return };
    let sql =
        "ALTER TABLE statements ALTER COLUMN id DROP DEFAULT; ALTER TABLE statements ALTER COLUMN id TYPE varchar(255)";
    pair.central.execute(sql).await;
    let (_, written) = pair.travel().await;
    assert_eq!((written.results, written.problems.len()), (u64::from(EXECUTIONS), 0), "{written:?}");
    let label = "SELECT object FROM statements WHERE subject IN (SELECT result_id FROM results_storage)
         AND predicate LIKE '%label'";
    assert_eq!(rows(&pair.central, label).await, [vec!["Maths, first try".to_owned()]].into());
    assert!(tao::small_client().rows().next().is_some());
}
