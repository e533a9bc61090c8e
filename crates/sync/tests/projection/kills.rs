//! A projection that ends anywhere, two at once, and a TAO that writes meanwhile.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use taosync_model::{EntityType, Value, vocabulary as v};
use taosync_sync::session::Mode;
use taosync_sync::tao_database::projection::Reach;
use taosync_testbed::{Kind, TestDatabase, tao};

use crate::own::{beside_both, school, taker, uri};
use crate::place::{Place, connect};

beside_both!(
    a_projection_cut_anywhere_leaves_whole_entities_and_the_next_completes_it,
    two_at_once_write_nothing_twice,
    what_tao_writes_meanwhile_survives,
);

/// Runs a future until it has been asked so often, and drops it there; whether it ended before.
async fn cut<F: Future>(future: F, polls: u32) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

async fn a_projection_cut_anywhere_leaves_whole_entities_and_the_next_completes_it(kind: Kind) {
    let names: Vec<String> = (0..1_200).map(|n| format!("t{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    place.give(&school(&names)).await;
    let whole = taker("x").1.properties.len() + 2;
    let (mut polls, mut cuts) = (1, 0);
    while !cut(place.try_project(Mode::Apply, Reach::Changes), polls).await {
        (polls, cuts) = (polls * 5 / 4 + 1, cuts + 1);
        let sql = "SELECT subject, CAST(count(*) AS CHAR(9)) FROM statements WHERE predicate <> 'x'
             AND subject LIKE 'http://central.example/tao.rdf#t%' GROUP BY subject";
        for row in place.tao.texts(sql).await {
            assert_eq!(row[1].as_deref().map(str::trim), Some(whole.to_string().as_str()), "{row:?} is not whole");
        }
    }
    assert!(cuts > 10, "{cuts}");
    let done = place.project().await;
    assert!(!done.is_change(), "{done:?}");
    let twin = Place::beside(kind, &tao::small_client()).await.unwrap();
    twin.give(&school(&names)).await;
    twin.project().await;
    let (mut found, mut expected) = (place.tables().await, twin.tables().await);
    for tables in [&mut found, &mut expected] {
        let is_of_a_run = |row: &Vec<String>| {
            [v::UPDATED_AT, v::CREATED_AT].contains(&row[1].as_str()) || row[0].ends_with("#synchro")
        };
        tables.get_mut("statements").unwrap().retain(|row| !is_of_a_run(row));
        let history = tables.get_mut("synchronisation").unwrap();
        for row in history.iter_mut() {
            row.drain(..2);
        }
        history.sort();
    }
    for (table, rows) in &expected {
        let differs = rows.iter().zip(&found[table]).find(|(a, b)| a != b);
        assert!(differs.is_none() && rows.len() == found[table].len(), "{table}: {differs:?}");
    }
}

async fn two_at_once_write_nothing_twice(kind: Kind) {
    let Some(database) = TestDatabase::with(kind, &tao::small_client()).await else { return };
    let database = Arc::new(database);
    let (one, other) = (Place::of(database.clone()).await, Place::of(database).await);
    for place in [&one, &other] {
        place.give(&school(&["anna", "bela", "cleo"])).await;
    }
    // Both are let go at the same moment, when both want to write.
    let (held, _) = connect(&one.tao).await;
    let held = held.change("held").await.unwrap();
    let free = async {
        one.tao.until_waiting(2).await;
        held.rollback().await.unwrap();
    };
    let (first, second, ()) = tokio::join!(one.project(), other.project(), free);
    let (first, second) = (first.of(EntityType::TestTaker), second.of(EntityType::TestTaker));
    assert_eq!((first.created + second.created, first.recognised + second.recognised), (3, 3));
    for name in ["anna", "bela", "cleo", "center"] {
        assert_eq!(one.objects(&uri(name), v::RDFS_LABEL).await.len(), 1, "{name}");
        assert_eq!(one.objects(&uri(name), v::RDF_TYPE).await.len(), 1, "{name}");
    }
    let history = one.tables().await.remove("synchronisation").unwrap();
    assert_eq!(history.iter().filter(|row| row[2] == uri("anna")).count(), 1);
}

async fn what_tao_writes_meanwhile_survives(kind: Kind) {
    let names: Vec<String> = (0..600).map(|n| format!("t{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    place.give(&school(&names)).await;
    place.project().await;
    let renamed = names.iter().map(|name| {
        let (entity_type, mut entity) = taker(name);
        entity.set(v::RDFS_LABEL, vec![Value::plain("renamed")]);
        (entity_type, entity)
    });
    place.give(&renamed.collect::<Vec<_>>()).await;
    let is_over = Cell::new(false);
    let writes = async {
        let mut written = 0;
        for name in names.iter().step_by(7).cycle() {
            if is_over.get() {
                break;
            }
            place.say(&uri(name), "http://box.example/local", &format!("ours {written}")).await;
            written += 1;
        }
        written
    };
    let project = async {
        let done = place.project().await;
        is_over.set(true);
        done
    };
    let (done, written) = tokio::join!(project, writes);
    assert_eq!(done.of(EntityType::TestTaker).updated, 600);
    let between = "SELECT subject FROM statements WHERE predicate = 'http://box.example/local'
           AND id > (SELECT MIN(id) FROM statements WHERE object = 'renamed')
           AND id < (SELECT MAX(id) FROM statements WHERE object = 'renamed')";
    assert!(!place.tao.texts(between).await.is_empty(), "TAO wrote between two of our rows");
    let statements = place.tables().await.remove("statements").unwrap();
    assert_eq!(statements.iter().filter(|row| row[1] == "http://box.example/local").count(), written);
    assert_eq!(statements.iter().filter(|row| row[1] == v::RDFS_LABEL && row[2] == "renamed").count(), 600);
}
