//! Golden states of a real pair of TAOs: what `taoSync` wrote, and what we write from the same data, table by table. What
//! differs is named.

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::scope::FieldChoice;
use taosync_model::{Entity, EntityType, Value, vocabulary as v};
use taosync_packages::demo_package;
use taosync_sync::tao_database::projection::DeliveryState;
use taosync_testbed::dump::Dump;
use taosync_testbed::{Kind, tao};

use crate::own::beside_both;
use crate::place::{FakeTao, Place, tables_of};

const COMMENT: &str = "http://www.w3.org/2000/01/rdf-schema#comment";
/// Things that TAO's own import makes, and the local TAO itself.
const OF_THE_CLIENT: &str = "http://client.tao.local/";
const TAO: &str = "http://www.tao.lu/Ontologies/";

type Rows = Vec<Vec<String>>;
type Tables = BTreeMap<&'static str, Rows>;

beside_both!(
    the_first_projection_gives_what_tao_sync_gave,
    a_used_tao_is_recognised_and_then_changed_as_tao_sync_changed_it,
);

async fn the_first_projection_gives_what_tao_sync_gave(kind: Kind) {
    let (Some(central), Some(empty), Some(expected)) =
        (tao::golden("1-central-published"), tao::golden("1-client-empty"), tao::golden("2-client-after-data-sync"))
    else {
        return;
    };
    let Some(mut place) = Place::beside(kind, &empty).await else { return };
    let fake = FakeTao::new();
    place.command = Some(fake.command());
    let entities = entities(&central, &place).await;
    place.give(&entities).await;
    let (done, _) = tokio::join!(place.project(), fake.import_well(&place));
    assert!(done.deliveries.iter().all(|d| d.state == DeliveryState::Imported) && !done.deliveries.is_empty());
    compare(&tables_of(&expected), &place.tables().await);
}

async fn a_used_tao_is_recognised_and_then_changed_as_tao_sync_changed_it(kind: Kind) {
    let (Some(published), Some(used), Some(changed), Some(expected)) = (
        tao::golden("1-central-published"),
        tao::golden("4-client-after-result-sync"),
        tao::golden("5-central-changed"),
        tao::golden("5-client-after-changes"),
    ) else {
        return;
    };
    let Some(place) = Place::beside(kind, &used).await else { return };
    let before = place.tables().await;
    place.give(&entities(&published, &place).await).await;
    let done = place.project().await;
    assert!(!done.is_change() && done.sync.is_none(), "all of it is there: {done:?}");
    assert_eq!(place.tables().await, before, "nothing is written twice");
    assert!(done.deliveries.iter().all(|delivery| delivery.state == DeliveryState::Ready));
    let here = entities(&published, &place).await;
    let now = entities(&changed, &place).await;
    let uris: BTreeSet<(EntityType, &str)> = now.iter().map(|(t, e)| (*t, e.uri.as_str())).collect();
    let keys = here.iter().map(|(t, e)| (*t, e.uri.as_str()));
    let gone: Vec<(EntityType, &str)> = keys.filter(|key| !uris.contains(key)).collect();
    let news: Vec<(EntityType, Entity)> = now.iter().filter(|entity| !here.contains(entity)).cloned().collect();
    place.give(&news).await;
    place.take(&gone).await;
    let done = place.project().await;
    let tally = done.of(EntityType::TestTaker);
    assert_eq!((tally.created, tally.updated, tally.removed), (1, 3, 1), "{done:?}");
    assert_eq!(done.of(EntityType::Eligibility).removed, 1);
    compare(&tables_of(&expected), &place.tables().await);
}

/// The place of each statement in what the client wrote at its first sync.
fn order_read() -> BTreeMap<String, u64> {
    let Some(client) = tao::golden("2-client-after-data-sync") else { return BTreeMap::new() };
    let rows = client.rows().find(|rows| rows.table == "statements").unwrap();
    let place = |row: Vec<Option<String>>| {
        let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
        (row[2..5].join(" "), row[0].parse().unwrap())
    };
    rows.cells().map(place).collect()
}

/// The entities of a central's dump, as a sync with all of it brings them.
async fn entities(dump: &Dump, place: &Place) -> Vec<(EntityType, Entity)> {
    let statements = dump.rows().find(|rows| rows.table == "statements").unwrap();
    let mut cells: Vec<Vec<String>> =
        statements.cells().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect();
    // In the order in which TAO's database gave them to that sync, which no column tells: what the client wrote does. Of
    // values that PHP takes for equal the first one counts.
    let read = order_read();
    cells.sort_by_key(|row| read.get(&row[2..5].join(" ")).copied().unwrap_or(u64::MAX));
    let mut subjects: BTreeMap<&str, Vec<&Vec<String>>> = BTreeMap::new();
    cells.iter().filter(|row| row[1] == "1").for_each(|row| subjects.entry(&row[2]).or_default().push(row));
    let objects = |subject: &str, predicate: &str| -> Vec<&str> {
        let rows = subjects.get(subject).into_iter().flatten().filter(|row| row[3] == predicate);
        rows.map(|row| row[4].as_str()).collect()
    };
    let class_tree = |root: &str| {
        let mut tree = BTreeSet::from([root.to_owned()]);
        while let Some(more) = subjects.keys().find(|s| {
            !tree.contains(**s) && objects(s, v::RDFS_SUB_CLASS_OF).iter().any(|parent| tree.contains(*parent))
        }) {
            tree.insert((*more).to_owned());
        }
        tree
    };
    let takers = class_tree(v::CLASS_SUBJECT);
    let mut found = Vec::new();
    for subject in subjects.keys() {
        let types = objects(subject, v::RDF_TYPE);
        let roles = objects(subject, v::USER_ROLES);
        let is = |class: &str| types.contains(&class);
        let entity_type = match () {
            () if takers.contains(*subject) && *subject != v::CLASS_SUBJECT => EntityType::Class,
            () if is(v::CLASS_TEST_CENTER) => EntityType::TestCenter,
            () if is(v::CLASS_TAO_USER) && roles.contains(&v::ROLE_ADMINISTRATOR) => EntityType::Administrator,
            () if is(v::CLASS_TAO_USER) && roles.contains(&v::ROLE_PROCTOR) => EntityType::Proctor,
            () if types.iter().any(|class| takers.contains(*class)) && roles.contains(&v::ROLE_TEST_TAKER) => {
                EntityType::TestTaker
            }
            () if is(v::CLASS_ELIGIBILITY) => EntityType::Eligibility,
            () if is(v::CLASS_DELIVERY) => EntityType::Delivery,
            () => continue,
        };
        let class = if entity_type == EntityType::Class { v::RDFS_SUB_CLASS_OF } else { v::RDF_TYPE };
        let mut entity = Entity::new(*subject, objects(subject, class)[0]);
        for row in subjects[subject].iter().filter(|row| row[3] != class) {
            let lang = Some(row[5].clone()).filter(|lang| !lang.is_empty());
            entity.push(&row[3], Value { text: row[4].clone(), lang });
        }
        FieldChoice::default_for(entity_type).apply(&mut entity);
        if entity_type == EntityType::Delivery {
            entity.package = Some(place.package(subject, &demo_package()).await);
        }
        found.push((entity_type, entity));
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}

fn compare(expected: &Tables, found: &Tables) {
    for (table, rows) in expected {
        let (expected, found) = match *table {
            "statements" => (statements(rows), statements(&found[table])),
            _ => (rows.clone(), found[table].clone()),
        };
        let lacking: Rows = expected.iter().filter(|row| !found.contains(row)).cloned().collect();
        let surplus: Rows = found.iter().filter(|row| !expected.contains(row)).cloned().collect();
        assert!(lacking.is_empty() && surplus.is_empty(), "{table}: lacking {lacking:#?}, surplus {surplus:#?}");
        assert_eq!(expected.len(), found.len(), "{table}: some row is there more often");
    }
}

/// Statements without what differs and is not ours to give; each difference is named.
fn statements(rows: &Rows) -> Rows {
    let delivery = rows.iter().find(|row| row[1] == v::ORIGIN_TEST_PACKAGE).map(|row| row[0].clone());
    let mut kept: Rows = rows.iter().filter(|row| is_compared(row, delivery.as_deref())).cloned().collect();
    for row in &mut kept {
        // When a class was made is another moment; that it was noted is compared.
        if row[1] == v::CREATED_AT {
            "a moment".clone_into(&mut row[2]);
        }
        // taoSync loses the languages of values; ours have their own.
        if row[1] == COMMENT {
            "a language".clone_into(&mut row[3]);
        }
    }
    kept.sort();
    // taoSync doubles rdf:type of everything, and TAO's import more statements of the delivery.
    let is_doubled = |row: &Vec<String>| row[1] == v::RDF_TYPE || Some(&row[0]) == delivery.as_ref();
    kept.dedup_by(|a, b| a == b && is_doubled(a));
    kept
}

fn is_compared(row: &[String], delivery: Option<&str>) -> bool {
    let (subject, predicate) = (row[0].as_str(), row[1].as_str());
    // TAO notes some changes, forgets others, and notes those of its own settings; we note each of ours.
    let is_stamp = predicate == v::UPDATED_AT;
    // What TAO's own import makes on the delivery: it is TAO's, and has names of the run.
    let is_import = Some(subject) == delivery
        && [v::DELIVERY_RUNTIME, v::DELIVERY_CONTAINER, v::DELIVERY_DIRECTORY, v::DELIVERY_TIME, v::DELIVERY_ORIGIN]
            .contains(&predicate);
    // Items, tests, attempts and settings of the local TAO; the ontology it was installed with.
    let is_local = subject.starts_with(OF_THE_CLIENT) || subject.starts_with(TAO);
    !(is_stamp || is_import || is_local)
}
