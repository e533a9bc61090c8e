//! Pictures that do not change, and changes that are made wholly or not at all.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use taosync_tao::statement::batches;
use taosync_tao::{Database, Statement, TaoError, Value};
use taosync_testbed::Kind;

use crate::{connect, open, small};

const COUNT: &str = "SELECT COUNT(*) FROM kv_store";

async fn count(database: &Database) -> i64 {
    database.read().await.unwrap().rows(&Statement::new(COUNT)).await.unwrap()[0].integer(0).unwrap()
}

fn insert(key: &str) -> Statement {
    Statement::new("INSERT INTO kv_store (kv_id, kv_value, kv_time) VALUES ").tuples(&[vec![
        Value::from(key),
        Value::Null,
        Value::Integer(0),
    ]])
}

#[tokio::test]
async fn a_picture_does_not_change_while_tao_writes() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let database = connect(&test).await;
        let mut reading = database.read().await.unwrap();
        let before = reading.rows(&Statement::new(COUNT)).await.unwrap();
        test.execute("INSERT INTO kv_store (kv_id) VALUES ('new')").await;
        assert_eq!(reading.rows(&Statement::new(COUNT)).await.unwrap(), before, "{kind:?}");
        drop(reading);
        assert_eq!(count(&database).await, before[0].integer(0).unwrap() + 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_picture_cannot_be_written_into() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let database = open(&test).await;
        let refused = database.read().await.unwrap().rows(&insert("x")).await;
        assert!(matches!(refused, Err(TaoError::Refused { .. })), "{kind:?} {refused:?}");
        assert_eq!(count(&database).await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn nothing_is_written_before_somebody_adopts() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let database = connect(&test).await;
        assert!(matches!(database.change("x").await.err(), Some(TaoError::NotAdopted)));
        assert!(matches!(database.adopted().change("x").await.err(), Some(TaoError::NotExamined)));
    }
}

#[tokio::test]
async fn a_change_is_made_wholly_or_not_at_all() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let database = open(&test).await;
        let mut change = database.change("first").await.unwrap();
        assert_eq!(change.execute(&insert("a")).await.unwrap(), 1);
        drop(change);
        assert_eq!(count(&database).await, 0, "{kind:?}: dropped");
        let mut change = database.change("second").await.unwrap();
        change.execute(&insert("b")).await.unwrap();
        change.rollback().await.unwrap();
        assert_eq!(count(&database).await, 0, "{kind:?}: undone");
        let mut change = database.change("third").await.unwrap();
        change.execute(&insert("c")).await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(count(&database).await, 1, "{kind:?}: committed");
    }
}

#[tokio::test]
async fn a_second_one_waits_and_is_told() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let (first, second) = (open(&test).await, open(&test).await);
        let held = first.change("first").await.unwrap();
        let (begun, waiting) = (Instant::now(), second.change("second"));
        let later = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            held.commit().await.unwrap();
        };
        let (got, ()) = tokio::join!(waiting, later);
        assert!(begun.elapsed() >= Duration::from_millis(300), "{kind:?}");
        got.unwrap().rollback().await.unwrap();
        // One who was cancelled while he waited, or killed, leaves no lock behind.
        let held = first.change("first").await.unwrap();
        let _ = tokio::time::timeout(Duration::from_millis(100), second.change("second")).await;
        held.rollback().await.unwrap();
        first.change("first").await.unwrap().commit().await.unwrap();
        first.close().await;
        second.change("second").await.unwrap().commit().await.unwrap();
    }
}

#[tokio::test]
async fn one_who_never_gets_the_lock_is_told() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let (first, second) = (open(&test).await, open(&test).await);
        let held = first.change("first").await.unwrap();
        let error = second.change("second").await.err().unwrap();
        assert!(error.is_temporary() && matches!(error, TaoError::Busy { .. }), "{kind:?} {error}");
        held.commit().await.unwrap();
        assert!(second.change("second").await.is_ok(), "{kind:?}");
    }
}

#[tokio::test]
async fn texts_are_equal_only_byte_for_byte() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let database = open(&test).await;
        test.execute("INSERT INTO statements (modelid, subject, predicate, object) VALUES (1, 's', 'P', 'É😀')").await;
        let mut reading = database.read().await.unwrap();
        for (text, found) in [("P", 1), ("p", 0), ("P ", 0)] {
            let statement = Statement::new("SELECT object FROM statements WHERE ").equals("predicate", text);
            let rows = reading.rows(&statement).await.unwrap();
            assert_eq!(rows.len(), found, "{kind:?} {text:?}");
            assert!(rows.iter().all(|row| row.text(0).unwrap() == "É😀"), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn many_rows_are_written_in_few_statements() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let database = open(&test).await;
        let rows: Vec<Vec<Value>> = (0..20_000)
            .map(|n| {
                vec![format!("s{n}").into(), "x".repeat(n % 90).into(), Value::Moment("2026-05-12 08:00:00".into())]
            })
            .collect();
        let mut change = database.change("many").await.unwrap();
        let mut written = 0;
        for batch in batches(&rows) {
            let statement = Statement::new("INSERT INTO synchronisation_result (id, status, ")
                .name("time")
                .push(") VALUES ")
                .tuples(
                    &batch.iter().map(|row| vec![row[0].clone(), "failed".into(), row[2].clone()]).collect::<Vec<_>>(),
                );
            written += change.execute(&statement).await.unwrap();
        }
        change.commit().await.unwrap();
        assert_eq!(written, 20_000, "{kind:?}");
        let read =
            test.texts("SELECT CAST(COUNT(*) AS CHAR(10)), CAST(MAX(status) AS CHAR(10)) FROM synchronisation_result");
        assert_eq!(read.await[0][0].as_deref().map(str::trim), Some("20000"), "{kind:?}");
        let mut reading = database.read().await.unwrap();
        let all = rows.iter().map(|row| row[0].clone()).chain((0..50_000).map(Value::Integer));
        let too_many = Statement::new("SELECT 1 FROM kv_store WHERE kv_id IN ").list(all);
        assert!(matches!(reading.rows(&too_many).await, Err(TaoError::TooLarge { .. })), "{kind:?}");
    }
}

#[tokio::test]
async fn no_error_shows_the_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["postgres", "mysql"] {
        let url = SecretString::from(format!("{scheme}://tao:hunter2@127.0.0.1:{port}/tao"));
        let error = Database::connect(&url).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(matches!(error, TaoError::Unreachable(_)) && !shown.contains("hunter2"), "{shown}");
    }
}
