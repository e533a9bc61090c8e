//! Deliveries in TAO: offered when TAO has compiled them, never half, and never under a running attempt.

use std::path::Path;

use taosync_model::delivery::PackageRef;
use taosync_model::{Entity, EntityType, vocabulary as v};
use taosync_packages::archive::pack::pack;
use taosync_packages::demo_package;
use taosync_store::projection::ImportState;
use taosync_sync::session::Mode;
use taosync_sync::tao_database::projection::{DeliveryOutcome, DeliveryState, Projected, Reach, hand_back};
use taosync_testbed::{Kind, tao};

use crate::own::{STATUS, beside_both, execution, school, uri};
use crate::place::{FakeTao, Place};

beside_both!(
    a_delivery_is_offered_when_tao_has_compiled_it,
    a_broken_test_is_put_aside_and_the_others_go_on,
    a_new_package_waits_for_running_attempts_and_a_broken_one_leaves_the_old,
    a_run_that_died_during_an_import_is_done_again,
    what_a_delivery_waits_for_is_said,
    what_tao_has_not_imported_is_handed_back_to_tao_sync,
);

/// Another package: the same files with a comment more in the style sheet.
fn other_package() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/demo-qti");
    let mut files = Vec::new();
    collect(&folder, &folder, &mut files);
    files.sort();
    pack(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))).unwrap()
}

fn collect(base: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(base, &path, files);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|ending| ending == "css") {
            bytes.extend_from_slice(b"\n/* the second edition */\n");
        }
        files.push((path.strip_prefix(base).unwrap().display().to_string(), bytes));
    }
}

async fn give(place: &Place, name: &str, package: Option<PackageRef>) {
    let mut delivery = Entity::new(uri(name), v::CLASS_DELIVERY).with(v::RDFS_LABEL, format!("{name}, May"));
    delivery.package = package;
    place.give(&[(EntityType::Delivery, delivery)]).await;
}

async fn begin(kind: Kind) -> Option<(Place, FakeTao)> {
    let mut place = Place::beside(kind, &tao::small_client()).await?;
    let fake = FakeTao::new();
    place.command = Some(fake.command());
    place.give(&school(&["anna"])).await;
    let package = place.package(&uri("maths"), &demo_package()).await;
    give(&place, "maths", Some(package)).await;
    Some((place, fake))
}

fn of<'a>(done: &'a Projected, name: &str) -> &'a DeliveryOutcome {
    done.deliveries.iter().find(|delivery| delivery.uri == uri(name)).unwrap()
}

async fn is_offered(place: &Place, name: &str) -> bool {
    !place.objects(&uri(name), v::RDF_TYPE).await.is_empty()
}

async fn a_delivery_is_offered_when_tao_has_compiled_it(kind: Kind) {
    let Some((mut place, fake)) = begin(kind).await else { return };
    let files = tempfile::tempdir().unwrap();
    place.files = Some(files.path().to_owned());
    let import = async {
        let (delivery, package) = fake.asked().await;
        assert_eq!((delivery.as_str(), package), (uri("maths").as_str(), demo_package()), "byte for byte");
        assert_eq!(place.objects(&delivery, v::RDFS_LABEL).await, ["maths, May"], "TAO knows what to import it as");
        assert!(!is_offered(&place, "maths").await, "nobody may start on half a delivery");
        place.say(&delivery, v::DELIVERY_CONTAINER, "{}").await;
        place.say(&delivery, v::RDF_TYPE, v::CLASS_DELIVERY).await;
        place.say(&delivery, v::RDF_TYPE, v::CLASS_DELIVERY).await;
        fake.answer(0);
    };
    let (done, ()) = tokio::join!(place.project(), import);
    assert_eq!(of(&done, "maths").state, DeliveryState::Imported, "{done:?}");
    assert_eq!(place.objects(&uri("maths"), v::RDF_TYPE).await, [v::CLASS_DELIVERY], "once");
    assert_eq!(std::fs::read(files.path().join("synchronisation/maths/export.zip")).unwrap(), demo_package());
    let tables = place.tables().await;
    assert!(tables["synchronisation"].iter().any(|row| row[1] == "created" && row[2] == uri("maths")));
    assert!(tables["kv_store"].iter().any(|row| row[0] == format!("entity-checksum-{}", uri("maths"))));
    assert!(place.project().await.deliveries.is_empty(), "nothing is looked at");
    let done = place.try_project(Mode::Apply, Reach::Everything).await.unwrap();
    assert_eq!(of(&done, "maths").state, DeliveryState::Ready);
}

async fn a_broken_test_is_put_aside_and_the_others_go_on(kind: Kind) {
    let Some((place, fake)) = begin(kind).await else { return };
    let package = place.package(&uri("arts"), &demo_package()).await;
    give(&place, "arts", Some(package)).await;
    let import = async {
        assert_eq!(fake.asked().await.0, uri("arts"));
        place.say(&uri("arts"), v::DELIVERY_ORIGIN, "http://box.example/tao.rdf#half").await;
        place.say(&uri("arts"), v::RDF_TYPE, v::CLASS_DELIVERY).await;
        place.say(&uri("arts"), "http://box.example/local", "noted meanwhile").await;
        fake.answer(3);
        fake.import_well(&place).await;
    };
    let (done, ()) = tokio::join!(place.project(), import);
    assert_eq!(of(&done, "maths").state, DeliveryState::Imported);
    let broken = of(&done, "arts");
    assert_eq!(broken.state, DeliveryState::Failed);
    assert!(broken.reason.as_ref().unwrap().contains("item 3 has no response declaration"), "{broken:?}");
    assert!(!is_offered(&place, "arts").await && is_offered(&place, "maths").await);
    assert!(place.objects(&uri("arts"), v::DELIVERY_ORIGIN).await.is_empty());
    assert_eq!(place.objects(&uri("arts"), "http://box.example/local").await, ["noted meanwhile"]);
    // Not tried again by itself, but when a person asks; this time TAO says that all is well, and has nothing.
    place.give(&[crate::own::taker("bela")]).await;
    assert_eq!(of(&place.project().await, "arts").state, DeliveryState::Failed);
    let import = async {
        assert_eq!(fake.asked().await.0, uri("arts"));
        fake.answer(0);
    };
    let (done, ()) = tokio::join!(place.try_project(Mode::Apply, Reach::Everything), import);
    let done = done.unwrap();
    assert!(of(&done, "arts").reason.as_ref().unwrap().contains("no compiled delivery"), "{done:?}");
    assert!(!is_offered(&place, "arts").await);
}

async fn a_new_package_waits_for_running_attempts_and_a_broken_one_leaves_the_old(kind: Kind) {
    let Some((place, fake)) = begin(kind).await else { return };
    let (done, _) = tokio::join!(place.project(), fake.import_well(&place));
    assert_eq!(of(&done, "maths").state, DeliveryState::Imported);
    execution(&place, "Active", "anna").await;
    let before = place.statements(&uri("maths")).await;
    let package = place.package(&uri("maths"), &other_package()).await;
    give(&place, "maths", Some(package)).await;
    let done = place.project().await;
    assert_eq!(of(&done, "maths").state, DeliveryState::Waiting);
    assert!(of(&done, "maths").reason.as_ref().unwrap().contains("attempts are open"));
    assert_eq!(place.statements(&uri("maths")).await, before, "an attempt runs on it");
    place.tao.execute(&format!("DELETE FROM statements WHERE predicate = '{STATUS}'")).await;
    let import = async {
        let (_, package) = fake.asked().await;
        assert_eq!(package, other_package());
        assert!(!is_offered(&place, "maths").await);
        place.say(&uri("maths"), v::DELIVERY_CONTAINER, "half").await;
        fake.answer(1);
    };
    let (done, ()) = tokio::join!(place.project(), import);
    assert_eq!(of(&done, "maths").state, DeliveryState::Failed);
    let mut after = place.statements(&uri("maths")).await;
    let mut before = before;
    before.retain(|(predicate, ..)| predicate != v::UPDATED_AT);
    after.retain(|(predicate, ..)| predicate != v::UPDATED_AT);
    assert_eq!(after, before, "the edition before is offered as it was");
}

async fn a_run_that_died_during_an_import_is_done_again(kind: Kind) {
    let Some((place, fake)) = begin(kind).await else { return };
    tokio::select! {
        _ = place.project() => panic!("the command has not answered"),
        _ = fake.asked() => {}
    }
    fake.answer(0);
    let imports = place.store.imports_list().await.unwrap();
    assert_eq!(imports.iter().map(|import| import.state).collect::<Vec<_>>(), [ImportState::Running]);
    assert!(!is_offered(&place, "maths").await);
    // What was left behind ends by itself.
    fake.ended().await;
    let (done, _) = tokio::join!(place.project(), fake.import_well(&place));
    assert_eq!(of(&done, "maths").state, DeliveryState::Imported);
    assert_eq!(place.objects(&uri("maths"), v::RDF_TYPE).await, [v::CLASS_DELIVERY]);
}

async fn what_a_delivery_waits_for_is_said(kind: Kind) {
    let Some((mut place, _)) = begin(kind).await else { return };
    place.command = None;
    give(&place, "none", None).await;
    let mut elsewhere = place.package(&uri("maths"), &demo_package()).await;
    elsewhere.version += 1;
    give(&place, "away", Some(elsewhere)).await;
    let done = place.project().await;
    for (name, words) in [("maths", "--command"), ("none", "no package"), ("away", "not been fetched")] {
        let outcome = of(&done, name);
        assert_eq!(outcome.state, DeliveryState::Waiting);
        assert!(outcome.reason.as_ref().unwrap().contains(words), "{outcome:?}");
        assert!(!is_offered(&place, name).await);
    }
    assert!(done.waits());
}

async fn what_tao_has_not_imported_is_handed_back_to_tao_sync(kind: Kind) {
    let Some((mut place, fake)) = begin(kind).await else { return };
    let (done, _) = tokio::join!(place.project(), fake.import_well(&place));
    assert_eq!(of(&done, "maths").state, DeliveryState::Imported);
    let package = place.package(&uri("arts"), &demo_package()).await;
    give(&place, "arts", Some(package)).await;
    place.command = None;
    place.project().await;
    let maths = place.statements(&uri("maths")).await;
    assert!(!place.statements(&uri("arts")).await.is_empty());
    assert_eq!(hand_back(&place.store, &place.database, &place.schema).await.unwrap(), 1);
    assert!(place.statements(&uri("arts")).await.is_empty(), "taoSync brings it anew");
    assert_eq!(place.statements(&uri("maths")).await, maths);
    assert_eq!(place.objects(&uri("anna"), v::USER_LOGIN).await, ["anna"]);
    // Adopted again, it goes on.
    place.command = Some(fake.command());
    let (done, _) = tokio::join!(place.project(), fake.import_well(&place));
    assert_eq!(of(&done, "arts").state, DeliveryState::Imported, "{done:?}");
}
