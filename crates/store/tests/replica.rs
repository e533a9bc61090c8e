//! The replica under words that come in odd order or number, and central's scopes under changes of roles.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use taosync_model::canonical::entity_digest;
use taosync_model::clock::SystemClock;
use taosync_model::{Entity, EntityType, OrgId, Value, vocabulary as v};
use taosync_store::entities::Change;
use taosync_store::replica::{Chunk, Removal, RemovalRule, Upsert};
use taosync_store::settings::{Identity, Role};
use taosync_store::{Durability, Store};
use taosync_vault::keyring::Keyring;
use taosync_vault::random;

const TAKER: EntityType = EntityType::TestTaker;

struct Node {
    store: Store,
    _dir: tempfile::TempDir,
}

async fn node(role: Role) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::create(&dir.path().join("keys")).unwrap());
    let store = Store::open(dir.path(), keyring, Arc::new(SystemClock)).await.unwrap();
    store.identity_set(&Identity { node: random::uuid(), role, epoch: random::uuid() }).await.unwrap();
    Node { store, _dir: dir }
}

async fn replica(node: &Node) -> i64 {
    node.store.replica_open(random::uuid(), &OrgId::new("A").unwrap()).await.unwrap().id
}

fn upsert(uri: &str, seq: i64) -> Upsert {
    let entity = Entity::new(uri, v::CLASS_SUBJECT);
    let (digest, body) = (entity_digest(&entity), serde_json::to_vec(&entity).unwrap());
    Upsert { entity_type: TAKER, seq, uri: uri.into(), digest, body, login: None }
}

fn removal(uri: &str, seq: i64) -> Removal {
    Removal { entity_type: TAKER, seq, uri: uri.into() }
}

fn chunk(upserts: Vec<Upsert>, removes: Vec<Removal>) -> Chunk {
    Chunk { upserts, removes, ..Chunk::default() }
}

async fn held(node: &Node, scope: i64) -> Vec<String> {
    let listing = node.store.replica_listing(scope, TAKER).await.unwrap();
    let mut uris: Vec<String> = listing.into_iter().map(|(uri, _)| uri).collect();
    uris.sort();
    assert_eq!(node.store.replica_check().await.unwrap(), []);
    uris
}

#[tokio::test]
async fn the_last_word_of_a_chunk_counts_whichever_kind_it_is() {
    let local = node(Role::Local).await;
    let scope = replica(&local).await;
    let words = chunk(vec![upsert("u:back", 9), upsert("u:gone", 2)], vec![removal("u:back", 5), removal("u:gone", 7)]);
    local.store.replica_apply(scope, words, &BTreeMap::new()).await.unwrap();
    assert_eq!(held(&local, scope).await, ["u:back"]);
    let rules = BTreeMap::from([(TAKER, RemovalRule::Hold { approved: 0, before: 2 })]);
    let again = chunk(vec![upsert("u:back", 12)], vec![removal("u:back", 11)]);
    local.store.replica_apply(scope, again, &rules).await.unwrap();
    assert_eq!(local.store.removals_held_count(scope).await.unwrap(), 0, "what is back is not held");
}

#[tokio::test]
async fn an_approval_covers_the_removals_up_to_it_and_no_later_ones() {
    let local = node(Role::Local).await;
    let scope = replica(&local).await;
    local
        .store
        .replica_apply(scope, chunk(vec![upsert("u:1", 1), upsert("u:2", 2)], vec![]), &BTreeMap::new())
        .await
        .unwrap();
    let rules = BTreeMap::from([(TAKER, RemovalRule::Hold { approved: 10, before: 2 })]);
    let gone = chunk(vec![], vec![removal("u:1", 10), removal("u:2", 11)]);
    local.store.replica_apply(scope, gone, &rules).await.unwrap();
    assert_eq!(held(&local, scope).await, ["u:2"]);
    let weight = local.store.removals_weight(scope).await.unwrap()[&TAKER];
    assert_eq!(weight.count, 1);
    assert_eq!(local.store.removals_accept(scope, &[EntityType::Delivery]).await.unwrap(), 0, "another type's");
    local.store.removals_settle(scope, &[EntityType::Delivery]).await.unwrap();
    assert_eq!(local.store.removals_held_count(scope).await.unwrap(), 1);
    assert_eq!(local.store.removals_accept(scope, &[TAKER]).await.unwrap(), 1);
    assert!(held(&local, scope).await.is_empty());
}

async fn change(central: &Node, changes: Vec<Change>) {
    let mut tx = central.store.write("test", Durability::Flushed).await.unwrap();
    central.store.entities_change(&mut tx, changes).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(central.store.scopes_check().await.unwrap(), []);
}

fn center() -> Change {
    Change::Upsert(EntityType::TestCenter, Entity::new("u:center", v::CLASS_TEST_CENTER).with(v::ORGANISATION_ID, "A"))
}

fn user(notes: usize) -> Entity {
    let mut user = Entity::new("u:user", v::CLASS_TAO_USER)
        .with(v::ADMINISTRATOR_OF, "u:center")
        .with(v::ASSIGNED_PROCTOR, "u:center");
    for n in 0..notes {
        user.push("u:note", Value::plain(n.to_string()));
    }
    user
}

#[tokio::test]
async fn links_leave_the_sum_they_entered_whatever_roles_come_and_go() {
    let central = node(Role::Central).await;
    change(&central, vec![center(), Change::Upsert(EntityType::Proctor, user(300))]).await;
    change(&central, vec![Change::Upsert(EntityType::Administrator, user(300))]).await;
    change(&central, vec![Change::Upsert(EntityType::Administrator, user(290))]).await;
    change(&central, vec![Change::Remove("u:user".into())]).await;
    change(&central, vec![Change::Upsert(EntityType::Administrator, user(280))]).await;
    change(&central, vec![Change::Upsert(EntityType::Proctor, user(270))]).await;
}

#[tokio::test]
async fn what_is_removed_and_comes_back_at_once_has_its_new_role_only() {
    let central = node(Role::Central).await;
    change(&central, vec![center(), Change::Upsert(EntityType::Administrator, user(0))]).await;
    change(&central, vec![Change::Remove("u:user".into()), Change::Upsert(EntityType::Proctor, user(0))]).await;
    let stored = central.store.entity_get("u:user").await.unwrap().unwrap();
    assert_eq!(stored.types, [EntityType::Proctor]);
}
