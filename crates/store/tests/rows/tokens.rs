use taosync_model::OrgId;
use taosync_model::clock::Clock as _;
use taosync_store::consumers::NewConsumer;
use taosync_store::nodes::{ContinuationCheck, NodeHello};
use taosync_store::tokens::NewToken;
use taosync_store::{Durability, StoreError};
use uuid::Uuid;

use crate::support::{TestStore, open, org};

async fn consumer(t: &TestStore, key: &str) -> Uuid {
    let orgs = vec![org(), OrgId::new("school-8").unwrap()];
    let new = NewConsumer {
        client_key: key.into(),
        secret_hash: [7; 32],
        user: "anna".into(),
        role: "sync-manager".into(),
        orgs,
    };
    t.consumer_create(&new).await.unwrap()
}

async fn node(t: &TestStore, id: u128, consumer: Uuid) -> Result<Uuid, StoreError> {
    let id = Uuid::from_u128(id);
    let hello = NodeHello {
        id,
        thumbprint: "thumb".into(),
        public_key: [1; 32],
        recipient: "age1".into(),
        version: "0.1.0".into(),
        consumer,
    };
    t.node_seen(&hello).await.map(|()| id)
}

fn token<'a>(t: &TestStore, consumer: Uuid, org: &'a OrgId, node: Option<Uuid>) -> NewToken<'a> {
    NewToken { hash: [3; 32], consumer, org, node, expires_at: t.in_seconds(600) }
}

#[tokio::test]
async fn a_token_says_whose_it_is_until_it_expires() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    let node = node(&t, 5, consumer).await.unwrap();
    t.token_issue(&token(&t, consumer, &org(), Some(node))).await.unwrap();
    let facts = t.token_check(&[3; 32], t.clock.now()).await.unwrap().unwrap();
    assert_eq!((facts.client_key.as_str(), &facts.org, facts.node), ("key", &org(), Some(node)));
    assert_eq!((facts.user.as_str(), facts.thumbprint.as_deref()), ("anna", Some("thumb")));
    assert_eq!(t.token_check(&[4; 32], t.clock.now()).await.unwrap(), None);
    assert!(t.consumers_list().await.unwrap()[0].last_used_at.is_some());
    t.clock.shift(599);
    assert!(t.token_check(&[3; 32], t.clock.now()).await.unwrap().is_some());
    t.clock.shift(1);
    assert_eq!(t.token_check(&[3; 32], t.clock.now()).await.unwrap(), None);
    assert_eq!(t.tokens_sweep(t.clock.now()).await.unwrap(), 1);
    assert_eq!(t.number("SELECT count(*) FROM token").await, 0);
}

#[tokio::test]
async fn revocation_works_at_once() {
    let t = open().await;
    let (a, b) = (consumer(&t, "a").await, consumer(&t, "b").await);
    t.token_issue(&token(&t, a, &org(), None)).await.unwrap();
    t.token_issue(&NewToken { hash: [4; 32], ..token(&t, b, &org(), None) }).await.unwrap();
    t.consumer_revoke("a").await.unwrap();
    assert_eq!(t.token_check(&[3; 32], t.clock.now()).await.unwrap(), None);
    assert!(t.token_check(&[4; 32], t.clock.now()).await.unwrap().is_some(), "others keep theirs");
    assert!(t.token_issue(&token(&t, a, &org(), None)).await.is_err(), "no new one either");
    assert!(t.consumer_login("a").await.unwrap().is_none());
    assert!(matches!(t.consumer_revoke("nobody").await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_token_is_only_for_an_org_the_consumer_has() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    let other = OrgId::new("school-9").unwrap();
    assert!(matches!(t.token_issue(&token(&t, consumer, &other, None)).await, Err(StoreError::Refused(_))));
    let unknown = Some(Uuid::from_u128(77));
    assert!(t.token_issue(&token(&t, consumer, &org(), unknown)).await.is_err());
}

#[tokio::test]
async fn a_revoked_node_loses_its_tokens_and_comes_back_when_approved() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    let node = node(&t, 5, consumer).await.unwrap();
    t.token_issue(&token(&t, consumer, &org(), Some(node))).await.unwrap();
    t.node_revoke(node).await.unwrap();
    assert_eq!(t.token_check(&[3; 32], t.clock.now()).await.unwrap(), None);
    assert!(t.token_issue(&token(&t, consumer, &org(), Some(node))).await.is_err());
    t.node_approve(node).await.unwrap();
    t.token_issue(&token(&t, consumer, &org(), Some(node))).await.unwrap();
}

#[tokio::test]
async fn a_consumer_is_bound_to_the_first_key_and_a_node_id_to_its_own() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    t.consumer_bind(consumer, "one").await.unwrap();
    t.consumer_bind(consumer, "one").await.unwrap();
    assert!(matches!(t.consumer_bind(consumer, "two").await, Err(StoreError::Refused(_))));
    node(&t, 5, consumer).await.unwrap();
    node(&t, 5, consumer).await.unwrap();
    let stranger = NodeHello {
        id: Uuid::from_u128(5),
        thumbprint: "other".into(),
        public_key: [2; 32],
        recipient: "age1".into(),
        version: "0.1.0".into(),
        consumer,
    };
    assert!(matches!(t.node_seen(&stranger).await, Err(StoreError::Refused(_))));
    assert_eq!(t.node_get(stranger.id).await.unwrap().unwrap().thumbprint, "thumb");
}

#[tokio::test]
async fn client_keys_are_unique_and_secrets_do_not_show() {
    let t = open().await;
    consumer(&t, "key").await;
    let login = t.consumer_login("key").await.unwrap().unwrap();
    assert_eq!(login.consumer.orgs.len(), 2);
    assert!(!format!("{login:?}").contains("secret_hash"));
    let again = NewConsumer {
        client_key: "key".into(),
        secret_hash: [0; 32],
        user: String::new(),
        role: String::new(),
        orgs: vec![org()],
    };
    assert!(matches!(t.consumer_create(&again).await, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn a_renamed_org_keeps_its_consumers_tokens_and_reports() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    let node = node(&t, 5, consumer).await.unwrap();
    t.token_issue(&token(&t, consumer, &org(), Some(node))).await.unwrap();
    t.report_store(node, &org(), &serde_json::json!({ "pending": 3 })).await.unwrap();
    let new = OrgId::new("school-7-new").unwrap();
    let mut tx = t.write("rename", Durability::Flushed).await.unwrap();
    tx.org_rename(&org(), &new).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(t.token_check(&[3; 32], t.clock.now()).await.unwrap().unwrap().org, new);
    assert!(t.consumers_list().await.unwrap()[0].orgs.contains(&new));
    let nodes = t.nodes_list().await.unwrap();
    assert_eq!(nodes[0].orgs[0].org, new);
    assert_eq!(nodes[0].orgs[0].report.as_ref().unwrap()["pending"], 3);
}

/// Presents a continuation and, unless it is old, gets the next one.
async fn sync(t: &TestStore, presented: Option<&str>) -> (ContinuationCheck, Option<String>) {
    let (node, org) = (Uuid::from_u128(5), org());
    let mut tx = t.write("sync", Durability::Flushed).await.unwrap();
    let check = t.continuation_present(&mut tx, node, &org, presented).await.unwrap();
    let fresh = match check {
        ContinuationCheck::Old => None,
        _ => Some(tx.continuation_issue(node, &org).await.unwrap()),
    };
    tx.commit().await.unwrap();
    (check, fresh)
}

#[tokio::test]
async fn the_last_two_continuations_are_known_and_older_ones_alarm() {
    use ContinuationCheck::{First, Known, Old};
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    node(&t, 5, consumer).await.unwrap();
    let (check, lost) = sync(&t, None).await;
    assert_eq!(check, First);
    let (check, a) = sync(&t, None).await;
    assert_eq!(check, Known, "the first answer was lost on its way");
    let (check, _lost) = sync(&t, a.as_deref()).await;
    assert_eq!(check, Known);
    let (check, b) = sync(&t, a.as_deref()).await;
    assert_eq!(check, Known, "the answer was lost, so the one before comes again");
    let (check, c) = sync(&t, b.as_deref()).await;
    assert_eq!(check, Known);
    assert!(t.nodes_list().await.unwrap()[0].orgs[0].diverged_at.is_none());
    for old in [a.as_deref(), lost.as_deref(), None, Some("made up")] {
        assert_eq!(sync(&t, old).await, (Old, None), "{old:?}");
    }
    assert!(t.nodes_list().await.unwrap()[0].orgs[0].diverged_at.is_some());
    assert_eq!(sync(&t, c.as_deref()).await.0, Known, "the machine that went on is not disturbed");
    let mut tx = t.write("adopt", Durability::Flushed).await.unwrap();
    tx.continuation_adopt(Uuid::from_u128(5), &org()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(sync(&t, a.as_deref()).await.0, First);
    assert!(t.nodes_list().await.unwrap()[0].orgs[0].diverged_at.is_none());
}
