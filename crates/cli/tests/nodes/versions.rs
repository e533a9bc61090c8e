//! Versions of a test: a new one, going back, and the zip again.

use std::io::{Cursor, Read as _, Write as _};

use taosync_model::execution::ExecutionState;
use taosync_store::packages::Package;
use taosync_store::{Store, StoreError};
use taosync_sync::packages::contents;
use taosync_sync::packages::export::export;
use taosync_sync::packages::publish::{PublishError, PublishRequest, Published, publish, withdraw};
use taosync_sync::packages::readiness::readiness;
use taosync_sync::packages::rollback::rollback;
use taosync_sync::session::What;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::support::scissors::Scissors;
use crate::support::{Central, DELIVERY, Local, org, taker_uri};

/// The demo package, compressed, with its XML files changed.
fn repacked<'p>(change: impl Fn(&'p str, String) -> Vec<(&'p str, String)>) -> Vec<u8> {
    let mut demo = ZipArchive::new(Cursor::new(taosync_packages::demo_package())).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |path: &str, bytes: &[u8]| {
        zip.start_file(path, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
        zip.write_all(bytes).unwrap();
    };
    for at in 0..demo.len() {
        let mut file = demo.by_index(at).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let path = file.name().unwrap().into_owned();
        match ["imsmanifest.xml", "test.xml"].into_iter().find(|changed| *changed == path) {
            Some(path) => {
                let files = change(path, String::from_utf8(bytes).unwrap());
                for (path, text) in files {
                    add(path, text.as_bytes());
                }
            }
            None => add(&path, &bytes),
        }
    }
    zip.finish().unwrap().into_inner()
}

/// The demo package with the name of an edition in its test.
fn edition(name: &str) -> Vec<u8> {
    repacked(|path, text| match path {
        "test.xml" => vec![(path, format!("{text}<!-- edition {name} -->"))],
        _ => vec![(path, text)],
    })
}

/// The demo package, whose manifest names its test and a second one.
fn two_tests() -> Vec<u8> {
    repacked(|path, text| match path {
        "imsmanifest.xml" => {
            let second = "<resources><resource identifier=\"second\" type=\"imsqti_test_xmlv2p2\" href=\"second.xml\">\
                          <file href=\"second.xml\"/></resource>";
            vec![(path, text.replace("<resources>", second))]
        }
        "test.xml" => {
            vec![("second.xml", text.replace("<testPart identifier=\"", "<testPart identifier=\"x")), (path, text)]
        }
        _ => vec![(path, text)],
    })
}

async fn publish_edition(central: &Central, name: &str) -> Published {
    publish_zip(central, &edition(name), None).await.unwrap()
}

async fn publish_zip(central: &Central, zip: &[u8], test: Option<&str>) -> Result<Published, PublishError> {
    let file = central.node.dir.path().join("edition.zip");
    std::fs::write(&file, zip).unwrap();
    let (label, uri, naming) = ("Maths".into(), Some(DELIVERY.into()), "http://x/#".into());
    publish(central.store(), PublishRequest { file, label, uri, naming, test: test.map(Into::into) }).await
}

/// The zip that a node gives back.
async fn exported(store: &Store, package: &Package) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let done = export(store, package, file.reopen().unwrap()).await.unwrap();
    let zip = std::fs::read(file.path()).unwrap();
    assert_eq!((done.bytes, done.digest), (zip.len() as u64, taosync_model::Digest::of(&zip)));
    zip
}

async fn version(store: &Store, version: u32) -> Package {
    store.package_get(DELIVERY, version).await.unwrap().unwrap()
}

async fn started(local: &Local, taker: usize) -> u32 {
    local.runner().await.start(DELIVERY, &taker_uri(taker)).await.unwrap().package_version
}

#[tokio::test(flavor = "multi_thread")]
async fn new_attempts_follow_versions_there_and_back_and_running_ones_stay() {
    let central = Central::start().await;
    central.change(org("A", 0..6)).await;
    publish_edition(&central, "one").await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    let first = runner.start(DELIVERY, &taker_uri(0)).await.unwrap();
    assert_eq!(first.package_version, 1);

    publish_edition(&central, "two").await;
    assert_eq!(started(&local, 1).await, 1, "nothing changes before the sync");
    assert_eq!(local.sync_equal().await.deliveries.fetched, 1);
    assert_eq!((started(&local, 0).await, started(&local, 1).await), (1, 1), "they began with it");
    let second = runner.start(DELIVERY, &taker_uri(2)).await.unwrap();
    assert_eq!(second.package_version, 2);

    let back = rollback(central.store(), DELIVERY).await.unwrap();
    assert_eq!((back.from, back.to), (2, 1));
    assert_eq!(started(&local, 3).await, 2, "nothing changes before the sync");
    local.sync_equal().await;
    assert_eq!(started(&local, 4).await, 1);
    assert_eq!(started(&local, 2).await, 2, "it began with what was taken back");
    for execution in [first, second] {
        runner.finish(execution.id, ExecutionState::Finished, None).await.unwrap();
    }
    assert_eq!(local.sync_equal().await.results.sent, 2);

    // A school that comes now gets the version that counts, and a new version has a number of its own.
    let late = Local::joined(&central, "A").await;
    assert_eq!(late.sync_equal().await.deliveries.fetched, 1);
    assert_eq!(started(&late, 5).await, 1);
    assert_eq!(publish_edition(&central, "two").await.reference.version, 3);
    local.sync_equal().await;
    assert_eq!(started(&local, 5).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_is_not_started_where_the_version_before_has_not_come_yet() {
    let scissors = Scissors::default();
    let central = Central::start_behind(&scissors).await;
    central.change(org("A", 0..4)).await;
    publish_edition(&central, "one").await;
    publish_edition(&central, "two").await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    let running = runner.start(DELIVERY, &taker_uri(0)).await.unwrap();
    assert_eq!(running.package_version, 2, "the only one that came");

    rollback(central.store(), DELIVERY).await.unwrap();
    scissors.cut_after(0, 0.0);
    let cut = local.sync(What::Data).await;
    assert!(cut.code.is_some() && scissors.seen().between > 0, "the fault must have fired: {cut:#?}");
    let refused = runner.start(DELIVERY, &taker_uri(1)).await.unwrap_err();
    assert_eq!(refused.code(), "not_ready", "{refused}");
    assert!(runner.deliveries_for(&taker_uri(1)).await.unwrap().is_empty());
    assert_eq!(started(&local, 0).await, 2, "who began with it goes on");
    let tests = readiness(local.store()).await.unwrap();
    assert_eq!((tests[0].wanted, tests[0].ready), (Some(1), None), "{tests:?}");

    // Neither while the next version has not come.
    publish_edition(&central, "three").await;
    assert!(local.sync(What::Data).await.code.is_some());
    assert!(runner.start(DELIVERY, &taker_uri(1)).await.is_err());
    scissors.mend();
    local.sync_equal().await;
    assert_eq!(started(&local, 1).await, 3);

    // A delivery that was withdrawn and comes again is not what it was.
    withdraw(central.store(), DELIVERY).await.unwrap();
    local.sync_equal().await;
    publish_edition(&central, "four").await;
    scissors.cut_after(0, 0.0);
    assert!(local.sync(What::Data).await.code.is_some());
    assert!(runner.start(DELIVERY, &taker_uri(2)).await.is_err());
    scissors.mend();
    local.sync_equal().await;
    assert_eq!(started(&local, 2).await, 4);
    assert_eq!(central.store().scopes_check().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_goes_one_step_further_each_time_and_ends_at_the_first() {
    let central = Central::start().await;
    central.change(org("A", 0..1)).await;
    for name in ["one", "two", "three"] {
        publish_edition(&central, name).await;
    }
    for (from, to) in [(3, 2), (2, 1)] {
        let back = rollback(central.store(), DELIVERY).await.unwrap();
        assert_eq!((back.from, back.to), (from, to));
    }
    let refused = rollback(central.store(), DELIVERY).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(why) if why.contains("no version before 1")), "{refused}");
    publish_edition(&central, "four").await;
    let back = rollback(central.store(), DELIVERY).await.unwrap();
    assert_eq!((back.from, back.to), (4, 1), "what was taken back is not gone back to");
    let unknown = rollback(central.store(), "http://central.example/t.rdf#nothing").await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
    assert_eq!(central.store().scopes_check().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_give_back_every_published_zip_byte_for_byte() {
    let central = Central::start().await;
    central.change(org("A", 0..1)).await;
    let local = Local::joined(&central, "A").await;
    for (number, name) in [(1, "one"), (2, "two")] {
        publish_edition(&central, name).await;
        local.sync_equal().await;
        for store in [central.store(), local.store()] {
            assert!(exported(store, &version(store, number).await).await == edition(name), "version {number}");
        }
    }
    rollback(central.store(), DELIVERY).await.unwrap();
    assert!(
        exported(central.store(), &version(central.store(), 2).await).await == edition("two"),
        "also what was taken back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_package_with_several_tests_the_chosen_one_is_made_ready() {
    let central = Central::start().await;
    central.change(org("A", 0..1)).await;
    let zip = two_tests();
    assert!(
        matches!(publish_zip(&central, &zip, None).await, Err(PublishError::Check(report)) if report.has("several-tests"))
    );
    let second = publish_zip(&central, &zip, Some("second")).await.unwrap().reference;
    let local = Local::joined(&central, "A").await;
    assert_eq!(local.sync_equal().await.deliveries.compiled, 1, "both sides compile the same test");
    assert_eq!(contents::problem_with(local.store(), &version(local.store(), 1).await).await.unwrap(), None);
    assert!(exported(local.store(), &version(local.store(), 1).await).await == zip);

    let again = publish_zip(&central, &zip, Some("second")).await.unwrap();
    assert!(!again.changed, "the same choice is the same test");
    let other = publish_zip(&central, &zip, Some("test")).await.unwrap();
    assert!(
        other.changed && other.reference.compiled_digest != second.compiled_digest,
        "another test of the same files"
    );
    assert_eq!(local.sync_equal().await.deliveries.fetched, 1);
    assert_eq!(started(&local, 0).await, 2);
}
