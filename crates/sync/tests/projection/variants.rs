//! Variants of TAO's tables (WIRE §15): ids that are texts, a history by organisation, executions in a table or under
//! keys, and a TAO without taoSync.

use std::sync::Arc;

use base64::Engine as _;
use taosync_model::{EntityType, vocabulary as v};
use taosync_testbed::{Kind, TestDatabase, tao};

use crate::own::{beside_both, school, uri};
use crate::place::Place;

beside_both!(
    ids_may_be_texts,
    a_history_by_organisation_is_continued_so,
    executions_in_their_table_hold_on_to_people,
    executions_under_keys_hold_on_to_people,
    a_tao_without_tao_sync_gets_entities_and_no_history,
);

/// Beside a TAO that was changed first.
async fn beside(kind: Kind, postgres: &str, mariadb: &str) -> Option<Place> {
    let database = TestDatabase::with(kind, &tao::small_client()).await?;
    database.execute(if kind == Kind::Postgres { postgres } else { mariadb }).await;
    let place = Place::of(Arc::new(database)).await;
    place.give(&school(&["anna", "bela"])).await;
    Some(place)
}

async fn ids_may_be_texts(kind: Kind) {
    let text =
        "ALTER TABLE statements ALTER id DROP DEFAULT, ALTER id TYPE varchar(255) USING CAST(id AS varchar(255))";
    let Some(place) = beside(kind, text, "ALTER TABLE statements MODIFY id VARCHAR(255) NOT NULL").await else {
        return;
    };
    assert_eq!(place.project().await.of(EntityType::TestTaker).created, 2);
    let (entity_type, mut anna) = crate::own::taker("anna");
    anna.set(v::RDFS_LABEL, vec![taosync_model::Value::plain("Anna B.")]);
    place.give(&[(entity_type, anna)]).await;
    assert_eq!(place.project().await.of(EntityType::TestTaker).updated, 1);
    assert_eq!(place.objects(&uri("anna"), v::RDFS_LABEL).await, ["Anna B."]);
    let doubles = place.tao.texts("SELECT id FROM statements GROUP BY id HAVING count(*) > 1").await;
    assert!(doubles.is_empty(), "{doubles:?}");
}

async fn a_history_by_organisation_is_continued_so(kind: Kind) {
    let column = "ALTER TABLE synchronisation ADD organisation_id varchar(255) NOT NULL DEFAULT ''";
    let Some(place) = beside(kind, column, column).await else { return };
    place.project().await;
    let select = "SELECT action, organisation_id FROM synchronisation WHERE entity_id = ";
    let rows = async || place.tao.texts(&format!("{select}'{}'", uri("anna"))).await;
    let row = |action: &str| vec![vec![Some(action.to_owned()), Some("school-7".to_owned())]];
    assert_eq!(rows().await, row("created"));
    let synchro = "http://www.taotesting.com/ontologies/synchro.rdf#synchro";
    assert_eq!(place.objects(synchro, v::ORGANISATION_ID).await, ["school-7"], "TAO's sign-in asks for it");
    place.take(&[(EntityType::TestTaker, &uri("anna"))]).await;
    place.project().await;
    assert_eq!(rows().await, row("deleted"));
}

async fn executions_in_their_table_hold_on_to_people(kind: Kind) {
    let state = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStatusPaused";
    let values =
        format!("('rds_de_1', '{}', '{}', 'Maths', '{state}', '2026-03-02 10:00:00')", uri("maths"), uri("anna"));
    let insert = format!(
        "INSERT INTO delivery_executions (id, delivery_id, user_id, label, status, started_at) VALUES {values}"
    );
    let Some(place) = beside(kind, &insert, &insert).await else { return };
    held_until(&place, "DELETE FROM delivery_executions").await;
}

async fn executions_under_keys_hold_on_to_people(kind: Kind) {
    let state = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStatusActive";
    let json = serde_json::json!({ "subject": uri("anna"), "delivery": uri("maths"), "status": state }).to_string();
    let value = base64::engine::general_purpose::STANDARD.encode(json);
    let insert = format!("INSERT INTO kv_store (kv_id, kv_value, kv_time) VALUES ('kve_de_1', '{value}', 0)");
    let Some(place) = beside(kind, &insert, &insert).await else { return };
    held_until(&place, "DELETE FROM kv_store WHERE kv_id = 'kve_de_1'").await;
}

/// Anna, whom central removes, stays until a statement has ended her attempt; Bela does not.
async fn held_until(place: &Place, end: &str) {
    place.project().await;
    place.take(&[(EntityType::TestTaker, &uri("anna")), (EntityType::TestTaker, &uri("bela"))]).await;
    let done = place.project().await;
    assert_eq!((done.of(EntityType::TestTaker).removed, done.waiting.len()), (1, 1), "{done:?}");
    assert_eq!(place.objects(&uri("anna"), v::USER_LOGIN).await, ["anna"]);
    place.tao.execute(end).await;
    assert_eq!(place.project().await.of(EntityType::TestTaker).removed, 1);
    assert!(place.statements(&uri("anna")).await.is_empty());
}

async fn a_tao_without_tao_sync_gets_entities_and_no_history(kind: Kind) {
    let drop = "DROP TABLE synchronisation; DROP TABLE synchronisation_result";
    let Some(place) = beside(kind, drop, drop).await else { return };
    assert_eq!(place.project().await.of(EntityType::TestTaker).created, 2);
    place.take(&[(EntityType::TestTaker, &uri("anna"))]).await;
    assert_eq!(place.project().await.of(EntityType::TestTaker).removed, 1, "we brought it");
    let rows = place.tao.texts(&format!("SELECT subject FROM statements WHERE subject = '{}'", uri("anna"))).await;
    assert!(rows.is_empty());
}
