use taosync_model::clock::Clock as _;
use taosync_model::continuation::Judgement;
use taosync_model::receipt_mark::ReceiptMark;
use taosync_model::{Digest, OrgId};
use taosync_store::consumers::NewConsumer;
use taosync_store::nodes::{FormerThumbprint, NodeHello, NodeSeen, WENT_BACK_AT};
use taosync_store::settings::{Identity, Role};
use taosync_store::tokens::{NewToken, TOKENS_OF_NODE};
use taosync_store::{Durability, StoreError};
use taosync_vault::succession::Follows;
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

fn hello(id: u128, consumer: Uuid) -> NodeHello {
    NodeHello {
        id: Uuid::from_u128(id),
        thumbprint: "thumb".into(),
        public_key: [1; 32],
        recipient: "age1".into(),
        version: "0.1.0".into(),
        consumer,
        former: Vec::new(),
    }
}

async fn node(t: &TestStore, id: u128, consumer: Uuid) -> Result<Uuid, StoreError> {
    assert_eq!(t.node_seen(&hello(id, consumer), 9).await?, NodeSeen::Noted);
    Ok(Uuid::from_u128(id))
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
    node(&t, 5, consumer).await.unwrap();
    node(&t, 5, consumer).await.unwrap();
    let stranger = NodeHello { thumbprint: "other".into(), public_key: [2; 32], ..hello(5, consumer) };
    assert_eq!(t.node_seen(&stranger, 9).await.unwrap(), NodeSeen::OtherKey);
    assert_eq!(t.node_get(stranger.id).await.unwrap().unwrap().thumbprint, "thumb");
    let second = NodeHello { id: Uuid::from_u128(6), ..stranger.clone() };
    for _ in 0..2 {
        assert_eq!(t.node_seen(&second, 9).await.unwrap(), NodeSeen::Stranger);
    }
    let listed = t.consumers_list().await.unwrap().remove(0);
    let noted = listed.stranger.unwrap();
    assert_eq!((listed.thumbprints, noted.thumbprint.as_str(), noted.node), (vec!["thumb".into()], "other", second.id));
    let acts: Vec<_> = t.audit_list(9).await.unwrap().into_iter().map(|line| line.act).collect();
    assert_eq!(acts, ["consumer.second-machine", "consumer.bind"], "each machine is told once");
}

#[tokio::test]
async fn the_next_machine_gets_a_consumer_that_is_bound_anew_once() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    let old = node(&t, 5, consumer).await.unwrap();
    t.token_issue(&token(&t, consumer, &org(), Some(old))).await.unwrap();
    let key = |id: u128, name: &str, byte: u8| NodeHello {
        thumbprint: name.into(),
        public_key: [byte; 32],
        ..hello(id, consumer)
    };
    assert_eq!(t.node_seen(&key(6, "new", 2), 9).await.unwrap(), NodeSeen::Stranger);
    t.consumer_rebind("key").await.unwrap();
    assert_eq!(t.token_check(&[3; 32], t.clock.now()).await.unwrap(), None, "the old machine's tokens are gone");
    assert_eq!(t.node_seen(&key(6, "new", 2), 9).await.unwrap(), NodeSeen::Noted);
    assert_eq!(t.node_seen(&key(7, "third", 3), 9).await.unwrap(), NodeSeen::Stranger, "once");
    assert_eq!(t.node_seen(&hello(5, consumer), 9).await.unwrap(), NodeSeen::Stranger, "the old one neither");
    assert!(matches!(t.consumer_rebind("nobody").await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_node_with_a_new_key_is_known_by_the_word_of_the_old_one_which_then_ends() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    let id = node(&t, 5, consumer).await.unwrap();
    t.token_issue(&token(&t, consumer, &org(), Some(id))).await.unwrap();
    let former = |follows| vec![FormerThumbprint { thumbprint: "thumb".into(), follows }];
    let new = |follows| NodeHello {
        thumbprint: "new".into(),
        public_key: [2; 32],
        former: former(follows),
        ..hello(5, consumer)
    };
    assert_eq!(t.node_seen(&new(Follows::AnotherNode), 9).await.unwrap(), NodeSeen::OtherKey);
    assert_eq!(t.node_seen(&new(Follows::SameNode), 9).await.unwrap(), NodeSeen::Noted);
    assert_eq!(t.token_check(&[3; 32], t.clock.now()).await.unwrap(), None, "bound to the old key");
    assert_eq!(t.node_get(id).await.unwrap().unwrap().thumbprint, "new");
    assert_eq!(t.node_seen(&hello(5, consumer), 9).await.unwrap(), NodeSeen::OtherKey, "the old key is over");
    let copy = NodeHello { id: Uuid::from_u128(6), ..hello(5, consumer) };
    assert_eq!(t.node_seen(&copy, 9).await.unwrap(), NodeSeen::Stranger);
}

#[tokio::test]
async fn a_proof_is_taken_once_until_it_is_forgotten() {
    let t = open().await;
    assert!(t.proof_take(&[1; 16]).await.unwrap());
    assert!(!t.proof_take(&[1; 16]).await.unwrap());
    assert!(t.proof_take(&[2; 16]).await.unwrap());
    t.clock.shift(10);
    assert_eq!(
        t.proofs_sweep(t.clock.now().checked_sub(jiff::SignedDuration::from_secs(5)).unwrap()).await.unwrap(),
        2
    );
    assert!(t.proof_take(&[1; 16]).await.unwrap());
    t.clock.shift(-3600);
    assert_eq!(t.proofs_sweep(jiff::Timestamp::UNIX_EPOCH).await.unwrap(), 1, "a clock that was put right");
}

#[tokio::test]
async fn a_consumer_has_as_many_nodes_as_it_may_have_and_no_more() {
    let t = open().await;
    let (one, other) = (consumer(&t, "one").await, consumer(&t, "other").await);
    for id in 1..=3 {
        assert_eq!(t.node_seen(&hello(id, one), 3).await.unwrap(), NodeSeen::Noted);
    }
    assert_eq!(t.node_seen(&hello(4, one), 3).await.unwrap(), NodeSeen::TooMany);
    assert_eq!(t.node_get(Uuid::from_u128(4)).await.unwrap(), None, "nothing is kept of it");
    assert_eq!(t.node_seen(&hello(3, one), 3).await.unwrap(), NodeSeen::Noted, "those that are there go on");
    assert_eq!(t.node_seen(&hello(4, other), 3).await.unwrap(), NodeSeen::Noted, "another consumer has room");
    assert_eq!(t.node_seen(&hello(4, one), 3).await.unwrap(), NodeSeen::TooMany, "moving over is no way around");
}

#[tokio::test]
async fn a_node_holds_so_many_tokens_of_an_org_and_the_oldest_goes() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    let (node, other) = (node(&t, 5, consumer).await.unwrap(), node(&t, 6, consumer).await.unwrap());
    let hash = |n: u32| [n as u8; 32];
    t.token_issue(&NewToken { hash: hash(99), ..token(&t, consumer, &org(), Some(other)) }).await.unwrap();
    for n in 0..=TOKENS_OF_NODE {
        t.clock.shift(1);
        t.token_issue(&NewToken { hash: hash(n), ..token(&t, consumer, &org(), Some(node)) }).await.unwrap();
        let first = t.token_check(&hash(0), t.clock.now()).await.unwrap();
        assert_eq!(first.is_some(), n < TOKENS_OF_NODE, "after {} tokens", n + 1);
    }
    assert_eq!(t.number("SELECT count(*) FROM token").await, i64::from(TOKENS_OF_NODE) + 1);
    assert!(t.token_check(&hash(1), t.clock.now()).await.unwrap().is_some(), "only the oldest went");
    assert!(t.token_check(&hash(99), t.clock.now()).await.unwrap().is_some(), "another node keeps its own");
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
async fn a_renamed_org_keeps_its_consumers_and_reports_and_its_tokens_are_asked_for_anew() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    let node = node(&t, 5, consumer).await.unwrap();
    t.token_issue(&token(&t, consumer, &org(), Some(node))).await.unwrap();
    t.report_store(node, &org(), &serde_json::json!({ "pending": 3 })).await.unwrap();
    let new = OrgId::new("school-7-new").unwrap();
    let mut tx = t.write("rename", Durability::Flushed).await.unwrap();
    tx.org_rename(&org(), &new).await.unwrap();
    tx.commit().await.unwrap();
    assert!(t.token_check(&[3; 32], t.clock.now()).await.unwrap().is_none());
    assert!(t.consumers_list().await.unwrap()[0].orgs.contains(&new));
    let nodes = t.nodes_list().await.unwrap();
    assert_eq!(nodes[0].orgs[0].org, new);
    assert_eq!(nodes[0].orgs[0].report.as_ref().unwrap()["pending"], 3);
}

/// Shows a continuation, as `COUNT.HAVE.NEXT`.
async fn show(t: &TestStore, shown: &str, newest: Option<&ReceiptMark>) -> (Judgement, u64) {
    let mut tx = t.write("show", Durability::Flushed).await.unwrap();
    let shown = shown.parse().unwrap();
    let judged = t.continuation_show(&mut tx, Uuid::from_u128(5), &org(), &shown, newest).await.unwrap();
    tx.commit().await.unwrap();
    judged
}

#[tokio::test]
async fn a_copied_and_an_old_machine_are_noted_once_and_adopted() {
    let t = open().await;
    let consumer = consumer(&t, "key").await;
    node(&t, 5, consumer).await.unwrap();
    assert_eq!(show(&t, "0..a", None).await, (Judgement::Follows, 1));
    assert_eq!(show(&t, "0..a", None).await, (Judgement::Repeated, 1), "the answer was lost on its way");
    assert_eq!(show(&t, "1.a.", None).await, (Judgement::Follows, 1), "a look takes no step");
    assert_eq!(show(&t, "1.a.b", None).await, (Judgement::Follows, 2));
    assert!(t.nodes_list().await.unwrap()[0].orgs[0].diverged_at.is_none());
    assert_eq!(show(&t, "1.a.x", None).await.0, Judgement::Copied);
    assert_eq!(show(&t, "2.b.c", None).await, (Judgement::Follows, 3), "the one that went on is not disturbed");
    assert_eq!(show(&t, "1.a.x", None).await.0, Judgement::Old);
    let noted = t.nodes_list().await.unwrap()[0].orgs[0].clone();
    assert_eq!(noted.diverged.as_deref(), Some("copied"));
    assert!(noted.diverged_at.is_some());
    assert_eq!(show(&t, "1.a.x.adopted", None).await, (Judgement::Claimed, 4));
    assert!(t.nodes_list().await.unwrap()[0].orgs[0].diverged_at.is_none());
    assert_eq!(show(&t, "3.c.d", None).await.0, Judgement::Copied, "the other one is found");
    t.node_approve(Uuid::from_u128(5)).await.unwrap();
    assert!(t.nodes_list().await.unwrap()[0].orgs[0].diverged_at.is_none(), "somebody has looked at it");
    let acts: Vec<_> = t.audit_list(9).await.unwrap().into_iter().map(|line| line.act).collect();
    assert_eq!(acts, ["node.copied", "node.adopted", "node.copied", "consumer.bind"]);
}

#[tokio::test]
async fn a_central_that_went_back_knows_it_from_the_count_or_from_a_receipt() {
    let t = open().await;
    let identity = Identity { node: Uuid::from_u128(1), role: Role::Central, epoch: Uuid::from_u128(2 << 100) };
    t.identity_set(&identity).await.unwrap();
    assert_eq!(show(&t, "7.a.b", None).await.0, Judgement::CentralWentBack, "it has counted seven with us");
    assert_eq!(show(&t, "7.a.b.went-back", None).await, (Judgement::Claimed, 8));
    let mark = |epoch| ReceiptMark::new(3, Digest::of(b"item"), epoch);
    assert_eq!(show(&t, "8.b.c", Some(&mark(Uuid::from_u128(9 << 100)))).await.0, Judgement::Follows);
    assert_eq!(show(&t, "9.c.d", Some(&mark(identity.epoch))).await.0, Judgement::CentralWentBack);
    assert_eq!(show(&t, "9.c.d.went-back", None).await.0, Judgement::Claimed);
    assert!(t.nodes_list().await.unwrap().is_empty() && t.setting_get(WENT_BACK_AT).await.unwrap().is_some());
    let acts: Vec<_> = t.audit_list(9).await.unwrap().into_iter().map(|line| line.act).collect();
    assert_eq!(acts, ["central.went-back"], "once, until the machine is whole again");
}
