//! What a small TAO of our own shows: versions, late logs, claims, other storages, and what does not fit.

use taosync_model::item::ItemKind;
use taosync_store::outbox::OutboxFilter;
use taosync_sync::session::Mode;
use taosync_testbed::{Kind, TestDatabase, tao};

use super::pair::{Pair, rows, write_as};
use crate::school::{ANNA, MATHS};

const STATE: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStatus";
const FIELDS: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#";
const TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
const LABEL: &str = "http://www.w3.org/2000/01/rdf-schema#label";

pub async fn pair(kind: Kind) -> Option<Pair> {
    Pair::of(kind, &tao::small_client(), &tao::small_central()).await
}

pub fn id(number: u32) -> String {
    format!("http://box.example/tao.rdf#ie{number}")
}

/// An execution of Anna in the ontology, and what it scored.
pub async fn execution(tao: &TestDatabase, number: u32, state: &str) {
    let id = id(number);
    let triples = [
        (LABEL.to_owned(), "Maths, first try".to_owned(), "en-US"),
        (format!("{FIELDS}DeliveryExecutionDelivery"), MATHS.to_owned(), ""),
        (format!("{FIELDS}DeliveryExecutionSubject"), ANNA.to_owned(), ""),
        (format!("{FIELDS}DeliveryExecutionStart"), "0.50000000 1778572800".to_owned(), ""),
        (format!("{FIELDS}DeliveryExecutionEnd"), "0.25000000 1778576400".to_owned(), ""),
        (format!("{FIELDS}StatusOfDeliveryExecution"), format!("{STATE}{state}"), ""),
        (TYPE.to_owned(), format!("{FIELDS}DeliveryExecution"), ""),
    ];
    for (predicate, object, language) in triples {
        tao.execute(&format!(
            "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch)
             VALUES (1, '{id}', '{predicate}', '{object}', '{language}', '', '2026-05-12 08:00:00')"
        ))
        .await;
    }
    tao.execute(&format!("INSERT INTO results_storage VALUES ('{id}', '{ANNA}', '{MATHS}')")).await;
    variable(tao, &id, "SCORE", "MQ==").await;
}

pub async fn variable(tao: &TestDatabase, id: &str, identifier: &str, value: &str) {
    let json = format!(
        r#"{{"identifier":"{identifier}","cardinality":"single","baseType":"float","epoch":"0.10000000 1778576300","type":"outcomeVariable","externallyGraded":false,"normalMinimum":null,"normalMaximum":1,"value":"{value}"}}"#
    );
    tao.execute(&format!(
        "INSERT INTO variables_storage (results_result_id, call_id_item, test, item, value, identifier, variable_hash)
         VALUES ('{id}', '{id}.item-1.0', 'urn:test', 'urn:item-1', '{json}', '{identifier}', '{id}{identifier}{value}')"
    ))
    .await;
}

pub async fn log(tao: &TestDatabase, id: &str, event: &str) {
    tao.execute(&format!(
        "INSERT INTO delivery_log (delivery_execution_id, event_id, data, created_at, created_by)
         VALUES ('{id}', '{event}', '[]', '1778576000.25', 'cli')"
    ))
    .await;
}

async fn set(tao: &TestDatabase, id: &str, field: &str, value: &str) {
    let sql =
        format!("UPDATE statements SET object = '{value}' WHERE subject = '{id}' AND predicate = '{FIELDS}{field}'");
    tao.execute(&sql).await;
}

async fn values(tao: &TestDatabase) -> Vec<String> {
    let all = rows(tao, "SELECT value FROM variables_storage").await;
    all.into_iter().flatten().map(|value| value.rsplit("\"value\":").next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reactivated_execution_makes_a_version_that_replaces_what_came_before() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        execution(&pair.local, 1, "Finished").await;
        execution(&pair.local, 2, "Paused").await;
        let (taken, written) = pair.travel().await;
        assert_eq!((taken.attempts, taken.not_over, written.results), (1, 1, 1), "{taken:?} {written:?}");
        // Somebody lets Anna go on: while she does, nothing is taken and nothing is said of her.
        pair.local.execute("UPDATE synchronisation_result SET status = 'to_be_re_synced'").await;
        set(&pair.local, &id(1), "StatusOfDeliveryExecution", &format!("{STATE}Active")).await;
        let taken = pair.take().await;
        assert_eq!((taken.attempts, taken.next_versions, taken.not_over), (0, 0, 2), "{taken:?}");
        set(&pair.local, &id(1), "StatusOfDeliveryExecution", &format!("{STATE}Finished")).await;
        set(&pair.local, &id(1), "DeliveryExecutionEnd", "0.75000000 1778580000").await;
        pair.local.execute("DELETE FROM variables_storage").await;
        variable(&pair.local, &id(1), "SCORE", "Mg==").await;
        let (taken, written) = pair.travel().await;
        assert_eq!((taken.attempts, taken.next_versions, written.results), (0, 1, 1), "{taken:?} {written:?}");
        let items = pair.school.local.outbox_list(&OutboxFilter::default(), 10).await.unwrap();
        let versions: Vec<_> = items.iter().map(|i| (i.envelope.version, i.envelope.previous)).collect();
        assert_eq!(versions, [(1, None), (2, Some(items[0].envelope.digest))]);
        assert_eq!(values(&pair.central).await, ["\"Mg==\"}"], "the score of the second end, and only that");
        let end = "SELECT object FROM statements WHERE predicate LIKE '%DeliveryExecutionEnd' AND modelid = 1
             AND subject LIKE 'http%#i%'";
        assert_eq!(rows(&pair.central, end).await, [vec!["0.75000000 1778580000".to_owned()]].into());
        let status = rows(&pair.local, "SELECT status FROM synchronisation_result").await;
        assert_eq!(status, [vec!["synchronized".to_owned()]].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_rows_written_later_follow_and_are_marked_once_confirmed() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        execution(&pair.local, 1, "Finished").await;
        log(&pair.local, &id(1), "TEST_RUN").await;
        pair.travel().await;
        log(&pair.local, &id(1), "TEST_IRREGULARITY").await;
        // Of an execution that is not over, rows stay.
        execution(&pair.local, 2, "Active").await;
        log(&pair.local, &id(2), "TEST_RUN").await;
        assert_eq!(pair.take_as(Mode::DryRun).await.log_rows, 1);
        let taken = pair.take().await;
        assert_eq!((taken.log_rows, taken.unchanged), (1, 1), "{taken:?}");
        assert_eq!(pair.take().await.log_rows, 0, "a row becomes an item once");
        let open = "SELECT event_id FROM delivery_log WHERE is_synced = 0 AND delivery_execution_id LIKE '%ie1'";
        assert_eq!(rows(&pair.local, open).await.len(), 1);
        let (_, written) = pair.travel().await;
        assert_eq!((written.logs, written.logs_without_result), (1, 0), "{written:?}");
        assert_eq!(rows(&pair.local, open).await.len(), 0);
        let events = rows(&pair.central, "SELECT event_id FROM delivery_log").await;
        assert_eq!(events.into_iter().flatten().collect::<Vec<_>>(), ["SYNC_EVENT", "TEST_IRREGULARITY", "TEST_RUN"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_taosync_only_claims_is_handed_in() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        for number in 1..=3 {
            execution(&pair.local, number, "Finished").await;
            log(&pair.local, &id(number), "TEST_RUN").await;
            pair.local
                .execute(&format!(
                    "INSERT INTO synchronisation_result VALUES ('{}', 'synchronized', '2026-05-12 10:00:00', 1)",
                    id(number)
                ))
                .await;
        }
        pair.local.execute("UPDATE delivery_log SET is_synced = 1 WHERE delivery_execution_id LIKE '%ie1'").await;
        pair.local.execute("UPDATE synchronisation_result SET status = 'failed' WHERE id LIKE '%ie3'").await;
        let taken = pair.take().await;
        assert_eq!((taken.sent_by_taosync, taken.attempts, taken.only_claimed), (1, 2, 1), "{taken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_in_a_table_travel_alike() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        let old = format!(
            "INSERT INTO delivery_executions VALUES ('rds_de_old', '{MATHS}', '{ANNA}', 'M', '{STATE}Canceled', '2026-05-12 08:00:00', NULL)"
        );
        let new = format!(
            "INSERT INTO delivery_executions VALUES ('rds_de_1', '{MATHS}', '{ANNA}', 'M', '{STATE}Finished', '2026-05-12 08:00:00', '2026-05-12 09:00:00')"
        );
        pair.local.execute(&new).await;
        pair.local.execute(&old).await;
        pair.central.execute(&old).await;
        variable(&pair.local, "rds_de_1", "SCORE", "MQ==").await;
        let (taken, written) = pair.travel().await;
        assert_eq!((taken.attempts, taken.not_over, written.results), (1, 1, 1), "{taken:?} {written:?}");
        let sql =
            "SELECT delivery_id, user_id, label, status, CAST(started_at AS CHAR(19)), CAST(finished_at AS CHAR(19))
             FROM delivery_executions WHERE status LIKE '%Finished'";
        assert_eq!(rows(&pair.central, sql).await, rows(&pair.local, sql).await);
        let (_, again) = pair.travel().await;
        assert_eq!((again.results, again.problems.len()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_under_keys_travel_alike() {
    use base64::Engine as _;
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        let name = format!("kve_de_{}", id(1));
        let json = serde_json::json!({
            LABEL: "Maths", format!("{FIELDS}DeliveryExecutionDelivery"): MATHS,
            format!("{FIELDS}DeliveryExecutionSubject"): ANNA,
            format!("{FIELDS}DeliveryExecutionStart"): "0.50000000 1778572800",
            format!("{FIELDS}DeliveryExecutionEnd"): "0.25000000 1778576400",
            format!("{FIELDS}StatusOfDeliveryExecution"): format!("{STATE}Finished"),
        });
        let value = base64::engine::general_purpose::STANDARD.encode(json.to_string());
        pair.local.execute(&format!("INSERT INTO kv_store VALUES ('{name}', '{value}', 0)")).await;
        variable(&pair.local, &name, "SCORE", "MQ==").await;
        pair.central.execute(&format!("INSERT INTO kv_store VALUES ('kve_de_other', '{value}', 0)")).await;
        let (taken, written) = pair.travel().await;
        assert_eq!((taken.attempts, written.results), (1, 1), "{taken:?} {written:?}");
        let keys = rows(&pair.central, "SELECT kv_id FROM kv_store WHERE kv_id LIKE 'kve%'").await;
        let kinds: Vec<String> = keys.into_iter().flatten().map(|key| key.chars().take(6).collect()).collect();
        assert_eq!(kinds, ["kve_de", "kve_de", "kve_ud", "kve_ue"], "the execution, and the lists TAO finds it by");
        let (_, again) = pair.travel().await;
        assert_eq!((again.results, again.unchanged), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_result_that_does_not_fit_holds_up_no_other() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        execution(&pair.local, 1, "Finished").await;
        execution(&pair.local, 2, "Finished").await;
        let long = "x".repeat(200);
        let call = format!(
            "UPDATE variables_storage SET call_id_item = '{}.{long}.0' WHERE results_result_id LIKE '%ie2'",
            id(2)
        );
        pair.local.execute(&call).await;
        // The TAO at central has a narrower column.
        pair.central
            .execute(match kind {
                Kind::Postgres => "ALTER TABLE variables_storage ALTER COLUMN call_id_item TYPE varchar(100)",
                Kind::MariaDb => "ALTER TABLE variables_storage MODIFY call_id_item VARCHAR(100)",
            })
            .await;
        let (taken, written) = pair.travel().await;
        assert_eq!((taken.attempts, written.results, written.problems.len()), (2, 1, 1), "{written:?}");
        assert_eq!(written.problems[0].execution, id(2));
        assert_eq!(pair.mapping().await.len(), 1, "of the other nothing is left");
        // It is tried again once it can fit.
        pair.central
            .execute(match kind {
                Kind::Postgres => "ALTER TABLE variables_storage ALTER COLUMN call_id_item TYPE varchar(255)",
                Kind::MariaDb => "ALTER TABLE variables_storage MODIFY call_id_item VARCHAR(255)",
            })
            .await;
        assert_eq!(write_as(&pair.school.central, &pair.central, Mode::DryRun).await.results, 1);
        let written = pair.write().await;
        assert_eq!((written.results, written.problems.len()), (1, 0), "{written:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_somebody_works_with_is_not_touched() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        execution(&pair.local, 1, "Finished").await;
        pair.travel().await;
        let online = pair.mapping().await.into_keys().next().unwrap();
        set(&pair.central, &online, "StatusOfDeliveryExecution", &format!("{STATE}Active")).await;
        variable(&pair.local, &id(1), "COMMENT", "Yg==").await;
        let (taken, written) = pair.travel().await;
        assert_eq!((taken.next_versions, written.results, written.active), (1, 0, 1), "{taken:?} {written:?}");
        assert_eq!(values(&pair.central).await.len(), 1);
        set(&pair.central, &online, "StatusOfDeliveryExecution", &format!("{STATE}Finished")).await;
        assert_eq!(pair.write().await.results, 1);
        assert_eq!(values(&pair.central).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_run_without_a_tao_is_written_too() {
    for kind in Kind::BOTH {
        let Some(pair) = pair(kind).await else { return };
        let execution = pair.school.attempt(ANNA, "forty-two").await;
        pair.school.hand_in_well().await;
        assert_eq!(write_as(&pair.school.central, &pair.central, Mode::DryRun).await.results, 1);
        assert_eq!(pair.mapping().await.len(), 0, "a dry run writes nothing");
        assert_eq!(pair.write().await.results, 1);
        let offline = pair.mapping().await.into_values().next().unwrap();
        assert_eq!(offline, format!("urn:uuid:{execution}"));
        let calls = rows(&pair.central, "SELECT call_id_item, item FROM variables_storage").await;
        assert_eq!(calls, [vec![format!("{offline}.item-1.0"), "http://example.org/tao.rdf#item-1".to_owned()]].into());
        let items = pair.school.local.outbox_list(&OutboxFilter::default(), 10).await.unwrap();
        assert!(items.iter().all(|item| item.envelope.kind == ItemKind::Attempt));
    }
}
