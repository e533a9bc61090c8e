use taosync_model::clock::Clock as _;
use taosync_model::delivery::PackageRef;
use taosync_model::{Digest, Entity, OrgId};
use taosync_store::executions::NewExecution;
use taosync_store::packages::{ChunkRef, Kept, NewPackage, PackageContents, PackageState};
use taosync_store::{Durability, StoreError};
use taosync_vault::delivery_key::DeliveryKey;

use crate::support::{TestStore, open};

const DELIVERY: &str = "http://example.org/#delivery";

fn name(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn reference(version: u32) -> PackageRef {
    PackageRef {
        version,
        tree_digest: name("tree"),
        compiled_digest: name("compiled"),
        compiler: 1,
        sealed_tree: name(&format!("sealed tree {version}")),
        sealed_tree_bytes: 100,
        files: 2,
        bytes: 300,
    }
}

fn chunks(names: &[&str]) -> Vec<ChunkRef> {
    names.iter().map(|n| ChunkRef { name: name(n), bytes: 10 }).collect()
}

async fn publish(t: &TestStore, delivery: &str, version: u32, names: &[&str]) -> Result<(), StoreError> {
    let (reference, chunks) = (reference(version), chunks(names));
    let new = NewPackage { delivery, reference: &reference, chunks: &chunks };
    let mut tx = t.write("publish", Durability::Flushed).await?;
    t.package_publish(&mut tx, &new, &DeliveryKey::generate()).await?;
    tx.commit().await
}

#[tokio::test]
async fn versions_rise_and_a_withdrawn_one_no_longer_counts() {
    let t = open().await;
    publish(&t, DELIVERY, 1, &["a"]).await.unwrap();
    assert!(matches!(publish(&t, DELIVERY, 1, &["b"]).await, Err(StoreError::Refused(_))));
    assert!(publish(&t, DELIVERY, 3, &["b"]).await.is_err());
    publish(&t, DELIVERY, 2, &["a", "b"]).await.unwrap();
    assert_eq!(t.package_current(DELIVERY).await.unwrap().unwrap().version, 2);
    let mut tx = t.write("withdraw", Durability::Flushed).await.unwrap();
    tx.package_withdraw(DELIVERY, 2).await.unwrap();
    assert!(tx.package_withdraw(DELIVERY, 2).await.is_err());
    tx.commit().await.unwrap();
    assert_eq!(t.package_current(DELIVERY).await.unwrap().unwrap().version, 1);
    let mut tx = t.write("next", Durability::Flushed).await.unwrap();
    assert_eq!(tx.package_next_version(DELIVERY).await.unwrap(), 3, "a version is never used twice");
    tx.undo().await.unwrap();
    let second = t.package_get(DELIVERY, 2).await.unwrap().unwrap();
    assert_eq!((second.state, second.reference), (PackageState::Withdrawn, reference(2)));
    assert!(t.package_open(second.id).await.unwrap().key.is_some());
    assert_eq!(t.number("SELECT count(*) FROM chunk").await, 4, "two files and two trees");
}

#[tokio::test]
async fn an_org_gets_the_chunks_of_its_own_deliveries_only() {
    let t = open().await;
    publish(&t, DELIVERY, 1, &["a", "shared"]).await.unwrap();
    publish(&t, "http://example.org/#other", 1, &["secret", "shared"]).await.unwrap();
    t.run("INSERT INTO entity (id, uri, types, changed_at) VALUES (x'01', 'http://example.org/#delivery', 64, 0), (x'02', 'http://example.org/#other', 64, 0)").await;
    t.run("INSERT INTO scope_entry (scope, type, entity, seq, present, filtered, digest) VALUES (1, 6, x'01', 1, 1, 0, x''), (1, 6, x'02', 2, 0, 0, x''), (2, 6, x'02', 1, 1, 0, x'')").await;
    let tree = reference(1).sealed_tree;
    let asked = [name("a"), name("secret"), name("nowhere"), name("shared"), tree];
    assert_eq!(t.chunks_allowed(1, &asked).await.unwrap(), [name("a"), name("shared"), tree]);
    assert_eq!(t.chunks_allowed(2, &asked).await.unwrap(), [name("secret"), name("shared"), tree]);
    assert!(t.chunks_allowed(3, &asked).await.unwrap().is_empty());
    let mut tx = t.write("withdraw", Durability::Flushed).await.unwrap();
    tx.package_withdraw(DELIVERY, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert!(t.chunks_allowed(1, &asked).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_local_package_becomes_ready_locked_and_is_unlocked_later() {
    let t = open().await;
    let (first, second, chunks) = (reference(1), reference(2), chunks(&["a", "b"]));
    let new = NewPackage { delivery: DELIVERY, reference: &first, chunks: &chunks };
    let id = t.package_fetching(&new).await.unwrap();
    assert!(t.package_current(DELIVERY).await.unwrap().is_none());
    t.package_failed(id, "the line broke").await.unwrap();
    assert_eq!(t.package_get(DELIVERY, 1).await.unwrap().unwrap().reason.as_deref(), Some("the line broke"));
    assert_eq!(t.package_fetching(&new).await.unwrap(), id);
    t.package_ready(id, &PackageContents::default()).await.unwrap();
    let locked = t.package_current(DELIVERY).await.unwrap().unwrap();
    assert_eq!((locked.state, locked.unlocked), (PackageState::Ready, false));
    let key = DeliveryKey::generate();
    let contents = PackageContents {
        reference: None,
        key: Some(&key),
        tree: Some(&Kept::of(b"tree")),
        compiled: Some(&Kept::of(b"compiled")),
    };
    t.package_ready(id, &contents).await.unwrap();
    let opened = t.package_open(id).await.unwrap();
    assert_eq!(opened.key.unwrap().to_bytes(), key.to_bytes());
    assert_eq!(
        (opened.tree.as_deref(), opened.compiled.as_deref()),
        (Some(b"tree".as_slice()), Some(b"compiled".as_slice()))
    );
    assert_eq!(t.number("SELECT count(*) FROM package WHERE instr(tree, 'tree') > 0").await, 0);
    // The next version counts only once it is complete.
    let next = t.package_fetching(&NewPackage { reference: &second, ..new }).await.unwrap();
    assert_eq!(t.package_current(DELIVERY).await.unwrap().unwrap().version, 1);
    t.package_ready(next, &PackageContents::default()).await.unwrap();
    assert_eq!(t.package_current(DELIVERY).await.unwrap().unwrap().version, 2);
    t.package_failed(next, "late news").await.unwrap();
    assert_eq!(t.packages_list().await.unwrap()[1].state, PackageState::Ready);
}

#[tokio::test]
async fn another_package_with_the_same_number_replaces_it_but_under_no_execution() {
    let t = open().await;
    let (lost, now) = (reference(1), PackageRef { sealed_tree: name("another tree"), ..reference(1) });
    let new = NewPackage { delivery: DELIVERY, reference: &lost, chunks: &[] };
    let id = t.package_fetching(&new).await.unwrap();
    t.package_ready(id, &PackageContents { tree: Some(&Kept::of(b"lost")), ..PackageContents::default() })
        .await
        .unwrap();
    let org = OrgId::new("A").unwrap();
    let start = NewExecution { org: &org, delivery: DELIVERY, test_taker: "http://x/#anna", package_version: 1 };
    let execution = t.execution_start(&start).await.unwrap();
    assert_eq!(t.package_fetching(&NewPackage { reference: &now, ..new }).await.unwrap(), id);
    let contents =
        PackageContents { reference: Some(&now), tree: Some(&Kept::of(b"now")), ..PackageContents::default() };
    let error = t.package_ready(id, &contents).await.unwrap_err();
    assert!(error.to_string().contains("1 executions run on a package that central has lost"), "{error}");
    let kept = t.package_get(DELIVERY, 1).await.unwrap().unwrap();
    assert!(kept.is_ready_as(&lost) && !kept.is_ready_as(&now));
    assert_eq!(t.package_open(id).await.unwrap().tree.unwrap(), b"lost");
    t.execution_terminate(execution, "fire alarm", None).await.unwrap();
    t.package_ready(id, &contents).await.unwrap();
    assert!(t.package_get(DELIVERY, 1).await.unwrap().unwrap().is_ready_as(&now));
    assert_eq!(t.package_open(id).await.unwrap().tree.unwrap(), b"now");
}

#[tokio::test]
async fn an_execution_gets_what_central_names_also_when_a_newer_one_was_lost_there() {
    let t = open().await;
    for version in [1, 2] {
        let new = NewPackage { delivery: DELIVERY, reference: &reference(version), chunks: &[] };
        let id = t.package_fetching(&new).await.unwrap();
        t.package_ready(id, &PackageContents::default()).await.unwrap();
    }
    let version = async |wanted: u32, taken_back: &[u32]| {
        let mut delivery = Entity { package: Some(reference(wanted)), ..Entity::new(DELIVERY, "c") };
        delivery.take_back(taken_back.iter().copied());
        t.package_to_start(&delivery).await.unwrap().map(|package| package.version)
    };
    assert_eq!(version(1, &[]).await, Some(1));
    assert_eq!(version(2, &[]).await, Some(2));
    assert_eq!(version(3, &[]).await, Some(2), "until the wanted one is here");
    assert_eq!(version(1, &[2]).await, Some(1));
    assert_eq!(version(3, &[2]).await, Some(1), "never one that was taken back");
    assert_eq!(version(3, &[1, 2]).await, None);
    assert_eq!(version(2, &[2]).await, Some(2), "what central names counts");
    assert!(t.package_to_start(&Entity::new(DELIVERY, "c")).await.unwrap().is_none());
    let known = t.packages_get(&[(DELIVERY, 2), (DELIVERY, 3), ("http://example.org/#other", 1)]).await.unwrap();
    assert_eq!(known.iter().map(|package| package.version).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn chunks_on_local_are_missing_until_they_are_on_disk() {
    let t = open().await;
    let asked = [name("b"), name("a"), name("b")];
    assert_eq!(t.chunks_missing(&asked).await.unwrap(), [name("b"), name("a")]);
    t.chunks_add(&chunks(&["a"]), Durability::Flushed).await.unwrap();
    assert_eq!(t.chunks_missing(&asked).await.unwrap(), [name("b")]);
    let mut tx = t.write("forget", Durability::Flushed).await.unwrap();
    tx.chunks_forget(&[name("a")]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(t.chunks_missing(&asked).await.unwrap().len(), 2);
}

#[tokio::test]
async fn garbage_waits_is_revived_by_a_publisher_and_then_goes() {
    let t = open().await;
    publish(&t, DELIVERY, 1, &["a", "b"]).await.unwrap();
    t.chunks_add(&chunks(&["orphan", "claimed", "reused"]), Durability::Flushed).await.unwrap();
    assert_eq!(t.chunks_mark_dying().await.unwrap(), 3);
    assert_eq!(t.chunks_mark_dying().await.unwrap(), 0);
    assert_eq!(t.chunks_claim(&[name("claimed"), name("new")]).await.unwrap(), [name("new")]);
    publish(&t, DELIVERY, 2, &["reused"]).await.unwrap();
    let mut tx = t.write("collect", Durability::Flushed).await.unwrap();
    assert!(tx.chunks_take_dead(t.in_seconds(-60), 100).await.unwrap().is_empty(), "the wait is not over");
    tx.undo().await.unwrap();
    t.clock.shift(60);
    let mut tx = t.write("collect", Durability::Flushed).await.unwrap();
    assert_eq!(tx.chunks_take_dead(t.clock.now(), 100).await.unwrap(), [name("orphan")]);
    tx.commit().await.unwrap();
    // Nothing names the delivery, so it is gone; its number is not used again.
    assert_eq!(t.packages_retire_at_central(t.in_seconds(1)).await.unwrap(), 1);
    assert_eq!(t.packages_retire_at_central(t.in_seconds(1)).await.unwrap(), 0);
    assert_eq!(t.packages_list().await.unwrap().iter().map(|p| p.version).collect::<Vec<_>>(), [2]);
    assert_eq!(t.chunks_mark_dying().await.unwrap(), 6);
    assert_eq!(t.chunks_list().await.unwrap().len(), 6);
}

#[tokio::test]
async fn central_keeps_the_version_in_use_and_the_one_before() {
    let t = open().await;
    t.run("INSERT INTO entity (id, uri, types, body, changed_at) VALUES (x'01', 'http://example.org/#delivery', 64, x'00', 0)")
        .await;
    for version in 1..=4 {
        publish(&t, DELIVERY, version, &["a", &format!("own {version}")]).await.unwrap();
    }
    assert_eq!(t.packages_retire_at_central(t.in_seconds(-60)).await.unwrap(), 0, "they wait");
    assert_eq!(t.packages_retire_at_central(t.in_seconds(60)).await.unwrap(), 2);
    let versions = async || t.packages_list().await.unwrap().iter().map(|p| p.version).collect::<Vec<_>>();
    assert_eq!(versions().await, [3, 4]);
    let mut tx = t.write("withdraw", Durability::Flushed).await.unwrap();
    tx.package_withdraw(DELIVERY, 4).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(t.packages_retire_at_central(t.in_seconds(60)).await.unwrap(), 0, "3 counts again, and 4 is above it");
    assert_eq!(t.chunks_mark_dying().await.unwrap(), 4, "own chunks and lists of the first two");
}

#[tokio::test]
async fn local_keeps_what_central_names_what_was_before_and_what_somebody_works_on() {
    let t = open().await;
    t.run(
        "INSERT INTO replica_entry (id, scope, type, uri, seq, digest, body) \
           VALUES (x'01', 1, 6, 'http://example.org/#delivery', 1, x'00', x'00')",
    )
    .await;
    for version in 1..=6 {
        let new = NewPackage { delivery: DELIVERY, reference: &reference(version), chunks: &chunks(&["a"]) };
        let id = t.package_fetching(&new).await.unwrap();
        t.package_ready(id, &PackageContents::default()).await.unwrap();
    }
    let org = OrgId::new("A").unwrap();
    let start = NewExecution { org: &org, delivery: DELIVERY, test_taker: "http://x/#anna", package_version: 1 };
    let running = t.execution_start(&start).await.unwrap();
    let other = t.execution_start(&NewExecution { package_version: 2, ..start }).await.unwrap();
    t.execution_terminate(other, "fire alarm", Some(t.in_seconds(60))).await.unwrap();
    let named = [(DELIVERY.to_owned(), 3)];
    let versions = async || t.packages_list().await.unwrap().iter().map(|p| p.version).collect::<Vec<_>>();
    assert_eq!(t.packages_retire_at_local(&named, t.in_seconds(-60)).await.unwrap(), 0, "they wait");
    assert_eq!(t.packages_retire_at_local(&named, t.in_seconds(60)).await.unwrap(), 1);
    assert_eq!(versions().await, [1, 2, 3, 5, 6], "running, can go on, named, the newest two");
    t.execution_terminate(running, "over", None).await.unwrap();
    t.clock.shift(120);
    t.executions_erase_resume(t.clock.now()).await.unwrap();
    assert_eq!(t.packages_retire_at_local(&named, t.in_seconds(60)).await.unwrap(), 2);
    assert_eq!(versions().await, [3, 5, 6]);
    t.run("DELETE FROM replica_entry").await;
    assert_eq!(t.packages_retire_at_local(&[], t.in_seconds(60)).await.unwrap(), 3, "the delivery is gone");
}
