//! Packages: published, fetched, compiled; only what is missing travels.

use taosync_model::{Digest, Entity, EntityType, vocabulary as v};
use taosync_store::blobs::Blobs;
use taosync_store::packages::PackageState;
use taosync_sync::packages::publish::{PublishRequest, publish, withdraw};
use taosync_sync::packages::{Readiness, contents, readiness};

use crate::support::{Central, DELIVERY, Local, org, up};

pub async fn publish_demo(central: &Central, uri: &str, label: &str) {
    let file = central.node.dir.path().join("demo.zip");
    std::fs::write(&file, taosync_packages::demo_package()).unwrap();
    let request =
        PublishRequest { file, label: label.into(), uri: Some(uri.into()), naming: "http://x/#".into(), test: None };
    publish(central.store(), request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_test_arrives_whole_and_ready() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    publish_demo(&central, DELIVERY, "Maths, grade 6").await;
    let local = Local::joined(&central, "A").await;
    let first = local.sync_equal().await;
    assert_eq!((first.deliveries.fetched, first.deliveries.compiled), (1, 1), "{first:#?}");
    let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
    assert_eq!(package.state, PackageState::Ready);
    assert_eq!(contents::problem_with(local.store(), &package).await.unwrap(), None);
    let manifest = contents::file(local.store(), &package, "imsmanifest.xml").await.unwrap().unwrap();
    assert!(String::from_utf8(manifest).unwrap().contains("manifest"));
    assert!(readiness::readiness(local.store()).await.unwrap().iter().all(Readiness::is_ready));
    let second = local.sync_equal().await;
    assert_eq!((second.deliveries.fetched, second.deliveries.chunks), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_files_under_another_delivery_do_not_travel_again() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    publish_demo(&central, DELIVERY, "Maths").await;
    let local = Local::joined(&central, "A").await;
    let first = local.sync_equal().await;
    let other = "http://central.example/t.rdf#delivery2";
    let eligibility = Entity::new("http://central.example/t.rdf#eligibility2", v::CLASS_ELIGIBILITY)
        .with(v::ELIGIBLE_TEST_CENTER, "http://central.example/t.rdf#center-A")
        .with(v::ELIGIBLE_DELIVERY, other);
    central.change(vec![up(EntityType::Eligibility, eligibility)]).await;
    publish_demo(&central, other, "Maths again").await;
    let second = local.sync_equal().await;
    assert_eq!(second.deliveries.fetched, 1);
    assert_eq!(
        second.deliveries.chunks, 1,
        "the list of files only: {:?} then {:?}",
        first.deliveries, second.deliveries
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_test_leaves_and_another_orgs_chunks_are_not_to_be_had() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    publish_demo(&central, DELIVERY, "Maths").await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    withdraw(central.store(), DELIVERY).await.unwrap();
    let summary = local.sync_equal().await;
    assert_eq!(summary.types[&EntityType::Delivery].removed, 1);

    central.change(vec![up(EntityType::TestCenter, crate::support::center("B"))]).await;
    let state = central.store().feed_state(&"B".parse().unwrap()).await.unwrap().unwrap();
    let names: Vec<_> = central.store().chunks_list().await.unwrap().iter().map(|c| c.name).collect();
    assert!(!names.is_empty());
    assert!(central.store().chunks_allowed(state.scope, &names).await.unwrap().is_empty());
}

/// Flips a bit of a chunk, wherever it lies.
async fn flip_in_chunk(local: &Local, name: Digest) {
    let dir = local.node.dir.path();
    let blobs = Blobs::open(dir).await.unwrap();
    let chunk = blobs.get(name).await.unwrap();
    let file = dir.join(blobs.files_of(vec![name]).await.unwrap().0.remove(0));
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(chunk.len()).position(|window| window == chunk).unwrap();
    bytes[at + 7] ^= 1;
    std::fs::write(&file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_is_named_and_mended() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    publish_demo(&central, DELIVERY, "Maths").await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
    // The list of files is in chunks too; it was read when it came and is not needed for reading the package.
    let opened = local.store().package_open(package.id).await.unwrap();
    let tree = contents::tree_of(&package, &opened).unwrap();
    let chunk = tree.chunks().next().unwrap().name;
    flip_in_chunk(&local, chunk).await;
    let problem = contents::problem_with(local.store(), &package).await.unwrap();
    assert!(problem.is_some(), "one flipped bit must be named");
    local.store().packages_mend(&[chunk], &[]).await.unwrap();
    let mended = local.sync_equal().await;
    assert_eq!((mended.deliveries.fetched, mended.deliveries.chunks), (1, 1), "only the damaged part travels");
    let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
    assert_eq!(contents::problem_with(local.store(), &package).await.unwrap(), None);
}
