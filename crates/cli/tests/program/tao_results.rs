//! A whole exam between two TAOs: at central and in the school TAO works on, and taosync carries between them.

use serde_json::Value;
use taosync_testbed::{Kind, TestDatabase, tao};

use crate::node::Node;
use crate::run::says;

const ANNA: &str = "https://central.example/tao.rdf#anna";
const MATHS: &str = "https://central.example/tao.rdf#maths";
const TRY: &str = "https://school.example/tao.rdf#ie1";

/// Anna's attempt as the school's TAO keeps it.
async fn sit(tao: &TestDatabase, state: &str) {
    let field = |name: &str| format!("http://www.tao.lu/Ontologies/TAODelivery.rdf#{name}");
    let triples = [
        ("http://www.w3.org/2000/01/rdf-schema#label".to_owned(), "Maths".to_owned()),
        ("http://www.w3.org/1999/02/22-rdf-syntax-ns#type".to_owned(), field("DeliveryExecution")),
        (field("DeliveryExecutionDelivery"), MATHS.to_owned()),
        (field("DeliveryExecutionSubject"), ANNA.to_owned()),
        (field("DeliveryExecutionStart"), "0.50000000 1778572800".to_owned()),
        (field("DeliveryExecutionEnd"), "0.25000000 1778576400".to_owned()),
        (field("StatusOfDeliveryExecution"), field(&format!("DeliveryExecutionStatus{state}"))),
    ];
    let rows: Vec<String> = triples
        .iter()
        .map(|(predicate, object)| format!("(1, '{TRY}', '{predicate}', '{object}', '', '', '2026-05-12 08:00:00')"))
        .collect();
    let head = "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch) VALUES";
    tao.execute(&format!("{head} {}", rows.join(", "))).await;
    let value =
        r#"{"identifier":"SCORE","cardinality":"single","baseType":"float","epoch":"0.1 1778576300","value":"MQ=="}"#;
    tao.execute(&format!("INSERT INTO results_storage VALUES ('{TRY}', '{ANNA}', '{MATHS}')")).await;
    tao.execute(&format!(
        "INSERT INTO variables_storage (results_result_id, call_id_test, test, value, identifier, variable_hash)
         VALUES ('{TRY}', '{TRY}', 'urn:test', '{value}', 'SCORE', '{TRY}x')"
    ))
    .await;
}

fn number(outcome: &Value, words: &str) -> u64 {
    let counts = outcome["counts"].as_array().unwrap();
    counts
        .iter()
        .find(|count| count["what"].as_str().unwrap().contains(words))
        .map_or(0, |c| c["number"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_travels_from_one_tao_into_the_other() {
    for kind in Kind::BOTH {
        let Some(at_central) = TestDatabase::with(kind, &tao::small_central()).await else { return };
        let Some(at_school) = TestDatabase::with(kind, &tao::small_client()).await else { return };
        let mut central = Node::init("central");
        // By itself the server pushes too; here a person does.
        central.set("TAOSYNC_TAO__EVERY_SECONDS", 86_400);
        central.run(&["tao", "connect", "--database", at_central.url()]).done();
        says(&central.run(&["tao", "push"]).failed(1, "TS-502"), &["adopt"]);
        central.run(&["tao", "adopt"]).done();
        central.run(&["tao", "pull"]).done();
        let school = Node::init("local");
        let server = central.serve();
        school.join(&central, &["School-7"]);
        school.run(&["tao", "connect", "--database", at_school.url()]).done();
        school.run(&["sync", "data"]).exits(0);
        sit(&at_school, "Finished").await;
        let would = school.run(&["tao", "push", "--dry-run"]).done();
        assert_eq!((number(&would, "taken into the outbox"), &would["dry_run"]), (1, &Value::Bool(true)), "{would:#}");
        school.run(&["tao", "adopt"]).done();
        let summary = school.run(&["sync", "results"]).done();
        assert_eq!(summary["results"]["sent"], 1, "{summary:#}");
        let marks = at_school.texts("SELECT id, status FROM synchronisation_result").await;
        assert_eq!(marks, [[Some(TRY.to_owned()), Some("synchronized".to_owned())]], "{kind:?}");
        server.stop();
        let would = central.run(&["tao", "push", "--dry-run"]).done();
        assert_eq!(number(&would, "results written"), 1, "{would:#}");
        let pushed = central.run(&["tao", "push"]).done();
        assert_eq!(number(&pushed, "results written"), 1, "{pushed:#}");
        let there = at_central.texts("SELECT test_taker, delivery FROM results_storage").await;
        assert_eq!(there, [[Some(ANNA.to_owned()), Some(MATHS.to_owned())]], "{kind:?}");
        let again = central.run(&["tao", "push"]).done();
        assert_eq!(again["counts"], serde_json::json!([]), "{again:#}");
    }
}
