//! TAO's database as this crate reads and changes it, with real servers of both kinds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod schema;
mod transactions;

use secrecy::SecretString;
use taosync_tao::{Database, Schema};
use taosync_testbed::{Kind, TestDatabase, tao};

/// A small TAO central in a database of its own.
async fn small(kind: Kind) -> Option<TestDatabase> {
    TestDatabase::with(kind, &tao::small_central()).await
}

async fn connect(test: &TestDatabase) -> Database {
    Database::connect(&SecretString::from(test.url())).await.unwrap()
}

/// Connected, recognised and adopted.
async fn open(test: &TestDatabase) -> Database {
    let database = connect(test).await.adopted();
    Schema::recognise(&mut database.read().await.unwrap()).await.unwrap();
    database
}
