//! Tests before their release: all of it is here, nothing of it can be read; a code or central opens it.

use jiff::SignedDuration;
use taosync_store::packages::PackageState;
use taosync_store::releases::{Codes, Release};
use taosync_sync::packages::locked::{UnlockError, unlock};
use taosync_sync::packages::publish::{Opens, PublishRequest, publish_to_open};
use taosync_sync::packages::{Readiness, contents, readiness};
use taosync_sync::runner::RunnerError;
use taosync_vault::unlock_code::Locked;

use crate::support::{Central, DELIVERY, Local, org, taker_uri};

async fn publish_locked(central: &Central, codes: Codes) {
    let file = central.node.dir.path().join("demo.zip");
    std::fs::write(&file, taosync_packages::demo_package()).unwrap();
    let (label, uri) = ("Maths".to_owned(), Some(DELIVERY.to_owned()));
    let request = PublishRequest { file, label, uri, naming: "http://x/#".into(), test: None };
    let at = central.store().clock().now() + SignedDuration::from_hours(24);
    publish_to_open(central.store(), request, Opens::At(Release { at, codes })).await.unwrap();
}

async fn start(codes: Codes) -> (Central, Local) {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    publish_locked(&central, codes).await;
    let local = Local::joined(&central, "A").await;
    let summary = local.sync_equal().await;
    assert_eq!((summary.deliveries.fetched, summary.deliveries.failed), (1, 0), "{summary:#?}");
    (central, local)
}

/// Ready, and nothing of it can be read.
async fn assert_locked(local: &Local) {
    let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
    assert_eq!((package.state, package.unlocked), (PackageState::Ready, false));
    assert!(readiness::readiness(local.store()).await.unwrap().iter().all(Readiness::is_ready));
    let opened = local.store().package_open(package.id).await.unwrap();
    assert!(opened.key.is_none() && opened.tree.is_none() && opened.compiled.is_none());
    assert!(contents::file(local.store(), &package, "imsmanifest.xml").await.is_err());
    let refused = local.runner().await.start(DELIVERY, &taker_uri(0)).await.unwrap_err();
    assert!(matches!(refused, RunnerError::Locked { .. }), "{refused}");
    assert_eq!(words_on_disk(local.node.dir.path()), [""; 0], "words of the test on the disk");
}

/// Words that only the content of the test has, wherever they stand on the disk.
fn words_on_disk(dir: &std::path::Path) -> Vec<String> {
    let words = ["imsmanifest.xml", "assessmentItem", "choiceInteraction", "responseDeclaration"];
    let mut forms: Vec<(String, Vec<u8>)> = Vec::new();
    for word in words {
        let wide: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
        forms.extend([(word.to_owned(), word.into()), (word.to_owned(), wide), (word.to_owned(), hex(word))]);
    }
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                let is_in = |form: &&(String, Vec<u8>)| bytes.windows(form.1.len()).any(|part| part == form.1);
                found.extend(forms.iter().find(is_in).map(|(word, _)| format!("{word} in {}", path.display())));
            }
        }
    }
    found
}

fn hex(word: &str) -> Vec<u8> {
    word.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_test_is_ready_and_its_own_code_opens_it_without_a_line() {
    let (mut central, local) = start(Codes::Given).await;
    assert_locked(&local).await;
    local.sync_equal().await;
    assert_locked(&local).await;
    let at_central = central.store().package_current(DELIVERY).await.unwrap().unwrap();
    let node = local.store().identity().await.unwrap().node;
    let given = central.store().codes_given(at_central.id).await.unwrap();
    assert_eq!(given.iter().map(|coded| coded.node).collect::<Vec<_>>(), [node]);
    let key = central.store().package_open(at_central.id).await.unwrap().key.unwrap();
    let code = |node| key.code_for(&Locked { delivery: DELIVERY, version: 1, node });
    central.stop().await;

    let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
    let others = unlock(local.store(), &package, &code(at_central.id)).await;
    assert!(matches!(others, Err(UnlockError::WrongCode)), "{others:?}");
    assert_locked(&local).await;
    unlock(local.store(), &package, &code(node)).await.unwrap();
    let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
    assert!(package.unlocked);
    assert_eq!(contents::problem_with(local.store(), &package).await.unwrap(), None);
    local.runner().await.start(DELIVERY, &taker_uri(0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_its_release_on_the_next_sync_opens_it() {
    let (central, local) = start(Codes::None).await;
    assert_locked(&local).await;
    let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
    assert_eq!(local.store().package_locked_key(package.id).await.unwrap(), None, "no code, no key");
    // A correction of the same test, without a word about the release, lets nothing out.
    let file = central.node.dir.path().join("demo.zip");
    let (label, uri) = ("Maths, corrected".to_owned(), Some(DELIVERY.to_owned()));
    let request = PublishRequest { file, label, uri, naming: "http://x/#".into(), test: None };
    publish_to_open(central.store(), request.clone(), Opens::AsBefore).await.unwrap();
    local.sync_equal().await;
    assert_locked(&local).await;
    publish_to_open(central.store(), request, Opens::Now).await.unwrap();
    let summary = local.sync_equal().await;
    assert_eq!(summary.deliveries.compiled, 1, "{summary:#?}");
    local.runner().await.start(DELIVERY, &taker_uri(0)).await.unwrap();
}
