//! A pull at central while TAO writes: between every two parts of it.

use std::collections::BTreeSet;

use secrecy::SecretString;
use taosync_store::Store;
use taosync_store::entities::Change;
use taosync_sync::tao_database::Installation;
use taosync_sync::tao_database::central_pull::{self, Found, Pull};
use taosync_tao::{Database, Schema};
use taosync_testbed::{Kind, TestDatabase, tao};

use crate::school::school;

const CEM: &str = "https://central.example/tao.rdf#cem";
const NEW: &str = "https://central.example/tao.rdf#new";

async fn installation(tao: &TestDatabase, seen: Option<String>) -> Installation {
    let database = Database::connect(&SecretString::from(tao.url().to_owned())).await.unwrap();
    let schema = Schema::recognise(&mut database.read().await.unwrap()).await.unwrap();
    Installation { database, schema, files: None, command: None, is_adopted: false, seen }
}

async fn find(store: &Store, tao: &TestDatabase, seen: Option<String>) -> Box<Pull> {
    match central_pull::find(store, &installation(tao, seen).await).await.unwrap() {
        Found::Changed(pull) => pull,
        Found::Unchanged(_) => panic!("TAO has written since"),
    }
}

fn upserts(changes: Vec<Change>) -> impl Iterator<Item = String> {
    changes.into_iter().filter_map(|change| match change {
        Change::Upsert(_, entity) => Some(entity.uri),
        Change::Remove(_) => None,
    })
}

/// Somebody comes, and somebody goes.
async fn edit(tao: &TestDatabase) {
    for (predicate, object) in [
        ("http://www.w3.org/1999/02/22-rdf-syntax-ns#type", "http://www.tao.lu/Ontologies/TAOSubject.rdf#Subject"),
        ("http://www.tao.lu/Ontologies/generis.rdf#userRoles", "http://www.tao.lu/Ontologies/TAO.rdf#DeliveryRole"),
    ] {
        tao.execute(&format!(
            "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch)
             VALUES (1, '{NEW}', '{predicate}', '{object}', '', '', '2026-03-02 10:00:00')"
        ))
        .await;
    }
    tao.execute(&format!("DELETE FROM statements WHERE subject = '{CEM}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_reads_one_picture_and_the_next_sees_what_was_written_meanwhile() {
    for kind in Kind::BOTH {
        let Some(tao) = TestDatabase::with(kind, &tao::small_central()).await else { return };
        let store = school().await.central;
        let mut pull = find(&store, &tao, None).await;
        let (mut parts, mut uris) = (0, BTreeSet::new());
        edit(&tao).await;
        while let Some(changes) = pull.next(&store).await.unwrap() {
            parts += 1;
            uris.extend(upserts(changes));
        }
        assert_eq!((parts, uris.len()), (3, 10), "{kind:?}: classes, test takers, all others {uris:?}");
        assert!(uris.contains(CEM) && !uris.contains(NEW), "{kind:?} {uris:?}");
        let (pulled, deliveries) = pull.end();
        assert_eq!((pulled.arrived.len(), deliveries.len()), (10, 1), "{kind:?}");
        let mut pull = find(&store, &tao, Some(pulled.seen)).await;
        let mut uris = BTreeSet::new();
        while let Some(changes) = pull.next(&store).await.unwrap() {
            uris.extend(upserts(changes));
        }
        assert!(!uris.contains(CEM) && uris.contains(NEW), "{kind:?} {uris:?}");
    }
}
