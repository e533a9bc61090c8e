//! Our own small TAO: what is written, what is kept, what is removed, and what waits.

use taosync_model::tao::{Properties, TaoChecksum};
use taosync_model::{Entity, EntityType, Value, vocabulary as v};
use taosync_sync::session::Mode;
use taosync_sync::tao_database::projection::{Reach, Tally};
use taosync_testbed::{Kind, tao};

use crate::place::Place;

const BASE: &str = "http://central.example/tao.rdf#";
const EXECUTION: &str = "http://box.example/tao.rdf#de1";
pub const STATUS: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#StatusOfDeliveryExecution";
const DELIVERY: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionDelivery";
const SUBJECT: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionSubject";

pub fn uri(name: &str) -> String {
    format!("{BASE}{name}")
}

pub fn taker(name: &str) -> (EntityType, Entity) {
    let mut entity = Entity::new(uri(name), uri("class6"))
        .with(v::RDFS_LABEL, name)
        .with(v::USER_LOGIN, name)
        .with(v::USER_PASSWORD, "0123456789".to_owned() + &"a".repeat(64))
        .with(v::USER_ROLES, v::ROLE_TEST_TAKER)
        .with(v::USER_ASSIGNMENT, uri("elig"));
    entity.push(v::USER_FIRST_NAME, Value { text: "Zoë".into(), lang: Some("fr-FR".into()) });
    (EntityType::TestTaker, entity)
}

pub fn school(takers: &[&str]) -> Vec<(EntityType, Entity)> {
    let mut eligibility = Entity::new(uri("elig"), v::CLASS_ELIGIBILITY).with(v::ELIGIBLE_TEST_CENTER, uri("center"));
    for name in takers {
        eligibility.push(v::ELIGIBLE_TEST_TAKER, Value::plain(uri(name)));
    }
    let mut all = vec![
        (EntityType::Class, Entity::new(uri("class6a"), uri("class6")).with(v::RDFS_LABEL, "6a")),
        (EntityType::Class, Entity::new(uri("class6"), v::CLASS_SUBJECT).with(v::RDFS_LABEL, "Grade 6")),
        (
            EntityType::TestCenter,
            Entity::new(uri("center"), v::CLASS_TEST_CENTER).with(v::RDFS_LABEL, "North").with(v::ORGANISATION_ID, "7"),
        ),
        (EntityType::Eligibility, eligibility),
    ];
    all.extend(takers.iter().map(|name| taker(name)));
    all
}

/// Each of these stories is told beside both databases.
macro_rules! beside_both {
    ($($name:ident),* $(,)?) => {
        mod postgres { $(#[tokio::test] async fn $name() { super::$name(taosync_testbed::Kind::Postgres).await; })* }
        mod mariadb { $(#[tokio::test] async fn $name() { super::$name(taosync_testbed::Kind::MariaDb).await; })* }
    };
}
pub(crate) use beside_both;

beside_both!(
    what_is_new_is_written_as_tao_writes_it,
    only_what_changed_is_written_and_what_is_local_stays,
    what_central_removed_goes_unless_an_attempt_needs_it,
    nothing_is_deleted_that_no_sync_brought,
    what_tao_sync_brought_is_recognised_and_much_of_it_is_not_removed_unasked,
    a_dry_run_counts_and_writes_nothing,
    another_sync_in_tao_lets_everything_be_compared_again,
    a_person_of_two_types_stays_until_both_are_gone,
);

async fn what_is_new_is_written_as_tao_writes_it(kind: Kind) {
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    place.give(&school(&["anna"])).await;
    let done = place.project().await;
    assert_eq!(done.of(EntityType::TestTaker), Tally { created: 1, ..Tally::default() });
    assert_eq!((done.sync, done.of(EntityType::Class).created), (Some(1), 2));
    let mut rows = place.statements(&uri("anna")).await;
    rows.retain(|(predicate, ..)| predicate != v::UPDATED_AT);
    let row = |p: &str, o: &str, l: &str| (p.to_owned(), o.to_owned(), l.to_owned());
    let password = "0123456789".to_owned() + &"a".repeat(64);
    let mut expected = vec![
        row(v::RDF_TYPE, &uri("class6"), ""),
        row(v::RDFS_LABEL, "anna", "en-US"),
        row(v::USER_LOGIN, "anna", ""),
        row(v::USER_PASSWORD, &password, ""),
        row(v::USER_ROLES, v::ROLE_TEST_TAKER, ""),
        row(v::USER_ASSIGNMENT, &uri("elig"), ""),
        row(v::USER_FIRST_NAME, "Zoë", "fr-FR"),
    ];
    expected.sort();
    assert_eq!(rows, expected);
    assert_eq!(place.objects(&uri("class6a"), v::RDFS_SUB_CLASS_OF).await, [uri("class6")]);
    let tables = place.tables().await;
    assert!(
        tables["synchronisation"].contains(&["1", "created", &uri("anna"), "test-taker"].map(str::to_owned).to_vec())
    );
    let (entity_type, entity) = taker("anna");
    let checksum = TaoChecksum::of(&Properties::of(&entity, &[], entity_type, &place.store.fields().of(entity_type)));
    let key = format!("entity-checksum-{}", uri("anna"));
    let kept = tables["kv_store"].iter().find(|row| row[0] == key).expect("the checksum is kept");
    use base64::Engine as _;
    assert_eq!(kept[1], base64::engine::general_purpose::STANDARD.encode(checksum.to_string()));
    let again = place.project().await;
    assert!(!again.is_change() && again.sync.is_none() && again.types.is_empty(), "nothing is looked at: {again:?}");
    assert_eq!(place.tables().await, tables);
}

async fn only_what_changed_is_written_and_what_is_local_stays(kind: Kind) {
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    place.give(&school(&["anna", "bela"])).await;
    place.project().await;
    place.say(&uri("anna"), v::CREATED_AT, "1770000000.5").await;
    place.say(&uri("anna"), "http://box.example/local", "ours").await;
    let bela = place.statements(&uri("bela")).await;
    let (_, mut anna) = taker("anna");
    anna.set(v::RDFS_LABEL, vec![Value::plain("Anna B.")]);
    anna.set(v::USER_ROLES, vec![]);
    place.give(&[(EntityType::TestTaker, anna)]).await;
    let done = place.project().await;
    assert_eq!(done.of(EntityType::TestTaker), Tally { updated: 1, unchanged: 1, ..Tally::default() });
    assert_eq!(place.objects(&uri("anna"), v::RDFS_LABEL).await, ["Anna B."]);
    assert!(place.objects(&uri("anna"), v::USER_ROLES).await.is_empty(), "central once sent it and does no more");
    assert_eq!(place.objects(&uri("anna"), v::CREATED_AT).await, ["1770000000.5"]);
    assert_eq!(place.objects(&uri("anna"), "http://box.example/local").await, ["ours"]);
    assert_eq!(place.objects(&uri("anna"), v::UPDATED_AT).await.len(), 1);
    assert_eq!(place.statements(&uri("bela")).await, bela);
    let history = &place.tables().await["synchronisation"];
    let said =
        |action: &str, name: &str| history.iter().any(|row| row[0] == "2" && row[1] == action && row[2] == uri(name));
    assert!(said("updated", "anna") && said("touched", "bela") && said("touched", "center"), "{history:?}");
}

pub async fn execution(place: &Place, state: &str, taker: &str) {
    place.say(EXECUTION, SUBJECT, &uri(taker)).await;
    place.say(EXECUTION, DELIVERY, &uri("maths")).await;
    let state = format!("http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStatus{state}");
    place.say(EXECUTION, STATUS, &state).await;
}

async fn what_central_removed_goes_unless_an_attempt_needs_it(kind: Kind) {
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    place.give(&school(&["anna", "bela"])).await;
    place.project().await;
    execution(&place, "Active", "anna").await;
    let anna = place.statements(&uri("anna")).await;
    place.take(&[(EntityType::TestTaker, &uri("anna")), (EntityType::TestTaker, &uri("bela"))]).await;
    let done = place.project().await;
    assert_eq!(done.of(EntityType::TestTaker).removed, 1);
    assert!(done.waiting.len() == 1 && done.waiting[0].reason.contains("open"), "{:?}", done.waiting);
    assert!(place.statements(&uri("bela")).await.is_empty());
    assert_eq!(place.statements(&uri("anna")).await, anna);
    let tables = place.tables().await;
    assert!(tables["synchronisation"].iter().any(|row| row[1] == "deleted" && row[2] == uri("bela")));
    assert!(!tables["kv_store"].iter().any(|row| row[0].ends_with("#bela")), "its checksum is forgotten");
    place.tao.execute(&format!("DELETE FROM statements WHERE predicate = '{STATUS}'")).await;
    let done = place.project().await;
    assert_eq!((done.of(EntityType::TestTaker).removed, done.waiting.len()), (1, 0));
    assert!(place.statements(&uri("anna")).await.is_empty());
}

async fn nothing_is_deleted_that_no_sync_brought(kind: Kind) {
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    let (_, entity) = taker("anna");
    for property in &entity.properties {
        for value in &property.values {
            place.say(&entity.uri, &property.predicate, &value.text).await;
        }
    }
    place.say(&entity.uri, v::RDF_TYPE, &entity.class).await;
    place.give(&school(&["anna"])).await;
    assert_eq!(place.project().await.of(EntityType::TestTaker), Tally { recognised: 1, ..Tally::default() });
    place.take(&[(EntityType::TestTaker, &uri("anna"))]).await;
    let done = place.project().await;
    assert_eq!(done.of(EntityType::TestTaker).removed, 0);
    assert_eq!(place.objects(&uri("anna"), v::USER_LOGIN).await, ["anna"], "somebody here made it");
}

async fn what_tao_sync_brought_is_recognised_and_much_of_it_is_not_removed_unasked(kind: Kind) {
    let Some(mut place) = Place::beside(kind, &tao::small_client()).await else { return };
    let names: Vec<String> = (0..10).map(|n| format!("t{n}")).collect();
    for name in &names {
        let entity = taker(name).1;
        place.say(&entity.uri, v::USER_LOGIN, name).await;
        let row = format!("(1, 'created', '{}', 'test-taker', '2026-03-02 10:00:00')", entity.uri);
        place
            .tao
            .execute(&format!("INSERT INTO synchronisation (sync_id, action, entity_id, type, time) VALUES {row}"))
            .await;
    }
    place.give(&school(&["t0"])).await;
    let done = place.project().await;
    assert_eq!(done.held[&EntityType::TestTaker], 9);
    assert!(done.waits() && done.of(EntityType::TestTaker).removed == 0);
    place.removals = taosync_sync::down::guard::Removals::Accepted;
    let done = place.try_project(Mode::Apply, Reach::Everything).await.unwrap();
    assert_eq!(done.of(EntityType::TestTaker).removed, 9);
    assert!(place.statements(&uri("t1")).await.is_empty() && !place.statements(&uri("t0")).await.is_empty());
}

async fn a_dry_run_counts_and_writes_nothing(kind: Kind) {
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    place.give(&school(&["anna", "bela"])).await;
    let before = place.tables().await;
    let dry = place.try_project(Mode::DryRun, Reach::Changes).await.unwrap();
    assert!(dry.dry_run && dry.is_change() && dry.sync.is_none());
    assert_eq!(place.tables().await, before);
    let done = place.project().await;
    assert_eq!(dry.types, done.types);
    place.take(&[(EntityType::TestTaker, &uri("anna"))]).await;
    let dry = place.try_project(Mode::DryRun, Reach::Changes).await.unwrap();
    assert_eq!(dry.of(EntityType::TestTaker).removed, 1);
    assert!(!place.statements(&uri("anna")).await.is_empty());
}

async fn another_sync_in_tao_lets_everything_be_compared_again(kind: Kind) {
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    place.give(&school(&["anna"])).await;
    place.project().await;
    place.tao.execute(&format!("DELETE FROM statements WHERE subject = '{}'", uri("anna"))).await;
    assert!(!place.project().await.is_change(), "nobody says that anything has changed");
    let synchro = "http://www.taotesting.com/ontologies/synchro.rdf#synchro";
    place.say(synchro, "http://www.taotesting.com/ontologies/synchro.rdf#identifier", "12").await;
    let done = place.project().await;
    assert_eq!((done.of(EntityType::TestTaker).created, done.sync), (1, Some(13)));
    assert_eq!(place.objects(&uri("anna"), v::USER_LOGIN).await, ["anna"]);
}

async fn a_person_of_two_types_stays_until_both_are_gone(kind: Kind) {
    let Some(place) = Place::beside(kind, &tao::small_client()).await else { return };
    let person = |authorized: bool| {
        let entity =
            Entity::new(uri("olga"), v::CLASS_TAO_USER).with(v::USER_LOGIN, "olga").with(v::RDFS_LABEL, "Olga");
        if authorized { entity.with(v::AUTHORIZED_PROCTOR, uri("center")) } else { entity }
    };
    place.give(&[(EntityType::Administrator, person(true)), (EntityType::Proctor, person(false))]).await;
    place.project().await;
    assert_eq!(place.objects(&uri("olga"), v::AUTHORIZED_PROCTOR).await, [uri("center")]);
    assert_eq!(place.objects(&uri("olga"), v::USER_LOGIN).await, ["olga"]);
    place.take(&[(EntityType::Administrator, &uri("olga"))]).await;
    place.project().await;
    assert_eq!(place.objects(&uri("olga"), v::USER_LOGIN).await, ["olga"], "a proctor still");
    place.take(&[(EntityType::Proctor, &uri("olga"))]).await;
    place.project().await;
    assert!(place.statements(&uri("olga")).await.is_empty());
}
