use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use taosync_model::canonical::entity_digest;
use taosync_model::clock::SystemClock;
use taosync_model::{Entity, EntityType, OrgId, vocabulary as v};
use taosync_vault::{Keyring, random};

use crate::replica::{Chunk, Upsert};
use crate::{Store, steps};

const TAKER: EntityType = EntityType::TestTaker;

fn taker(number: usize) -> Upsert {
    let entity = Entity::new(format!("http://example/{number}"), v::CLASS_SUBJECT);
    let (digest, body) = (entity_digest(&entity), serde_json::to_vec(&entity).unwrap());
    Upsert { entity_type: TAKER, seq: number as i64, uri: entity.uri, digest, body, login: None }
}

/// Steps that reading ten test takers takes in a replica of so many.
async fn steps_of_ten(held: usize) -> [u64; 2] {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::create(&dir.path().join("keys")).unwrap());
    let store = Store::open(dir.path(), keyring, Arc::new(SystemClock)).await.unwrap();
    let scope = store.replica_open(random::uuid(), &OrgId::new("A").unwrap()).await.unwrap().id;
    let chunk = Chunk { upserts: (0..held).map(taker).collect(), ..Chunk::default() };
    store.replica_apply(scope, chunk, &BTreeMap::new()).await.unwrap();
    let uris: Vec<String> = (0..10).map(|number| format!("http://example/{number}")).collect();
    let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
    let steps = steps::counted(&store).await;
    assert_eq!(store.projection_bodies(TAKER, &uris).await.unwrap().len(), 10);
    let bodies = steps.swap(0, Ordering::Relaxed);
    assert_eq!(store.replica_holds(TAKER, &uris).await.unwrap().len(), 10);
    let holds = steps.load(Ordering::Relaxed);
    store.close().await;
    [bodies, holds]
}

#[tokio::test]
async fn what_ten_test_takers_take_does_not_grow_with_the_replica() {
    let (few, many) = (steps_of_ten(10).await, steps_of_ten(1_000).await);
    for (few, many) in few.into_iter().zip(many) {
        assert!(few > 100, "steps are counted: {few}");
        assert!(many * 10 < few * 13, "{few} steps among ten, {many} among a thousand");
    }
}
