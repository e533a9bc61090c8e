use std::sync::Arc;

use taosync_model::clock::ShiftedClock;
use taosync_model::{Entity, EntityType, vocabulary as v};
use taosync_store::entities::Change;

use super::*;
use crate::changes::{self, ChangeOptions};
use crate::commands::init;
use crate::config::{NewNode, Place};
use crate::output::Output;

const A_DAY: i64 = 24 * 3_600;

/// A central with one taker whom an eligibility names, and one whom none names.
async fn central(dir: &std::path::Path) -> (Context, Node, Arc<ShiftedClock>) {
    // Fails only when another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clock = Arc::new(ShiftedClock::default());
    let context = Context { place: Place::new(Some(dir)), output: Output::Json, clock: clock.clone() };
    let listen = "127.0.0.1:0".parse().unwrap();
    let new = NewNode { role: Role::Central, listen, plain_http: true, public_url: None, hosts: Vec::new() };
    init::make(&context, &new).await.unwrap();
    let mut node = Node::open(&context).await.unwrap();
    node.config.retention.people_days = 10;
    let named = Entity::new("urn:named", v::CLASS_SUBJECT);
    let idle = Entity::new("urn:idle", v::CLASS_SUBJECT);
    let eligibility = Entity::new("urn:eligibility", v::CLASS_ELIGIBILITY).with(v::ELIGIBLE_TEST_TAKER, "urn:named");
    let changes = vec![
        Change::Upsert(EntityType::TestTaker, named),
        Change::Upsert(EntityType::TestTaker, idle),
        Change::Upsert(EntityType::Eligibility, eligibility),
    ];
    changes::apply(&context, &node, changes, ChangeOptions::default(), "test", "test").await.unwrap();
    (context, node, clock)
}

async fn due(node: &Node) -> u64 {
    let plan = kinds::plan(node).await.unwrap();
    plan.into_iter().find(|kind| kind.kind == "people").unwrap().due.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_go_when_no_eligibility_names_them_and_their_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let (context, node, clock) = central(&dir.path().join("central")).await;
    clock.shift(9 * A_DAY);
    assert_eq!(due(&node).await, 0);
    clock.shift(2 * A_DAY);
    assert_eq!(due(&node).await, 1);
    let plan = kinds::plan(&node).await.unwrap();
    run(&context, &node, plan).await.unwrap();
    assert!(node.store.entity_get("urn:idle").await.unwrap().is_none());
    assert!(node.store.entity_get("urn:named").await.unwrap().is_some());
    assert_eq!((due(&node).await, node.store.subjects_erased().await.unwrap().len()), (0, 1));
    node.store.close().await;
}
