//! A whole exam between two TAOs: at central and in the school TAO works on, and taosync carries between them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use taosync_testbed::{Kind, TestDatabase, tao};
use taosync_vault::node_identity::NodeIdentity;

use crate::node::{Node, Server};
use crate::run::{arg, says};

pub const ANNA: &str = "https://central.example/tao.rdf#anna";
const MATHS: &str = "https://central.example/tao.rdf#maths";
pub const TRY: &str = "https://school.example/tao.rdf#ie1";

/// Anna's attempt as the school's TAO keeps it.
async fn sit(tao: &TestDatabase, state: &str) {
    attempt(tao, TRY, ANNA, state).await;
}

/// An attempt as a school's TAO keeps it.
pub async fn attempt(tao: &TestDatabase, execution: &str, taker: &str, state: &str) {
    let field = |name: &str| format!("http://www.tao.lu/Ontologies/TAODelivery.rdf#{name}");
    let triples = [
        ("http://www.w3.org/2000/01/rdf-schema#label".to_owned(), "Maths".to_owned()),
        ("http://www.w3.org/1999/02/22-rdf-syntax-ns#type".to_owned(), field("DeliveryExecution")),
        (field("DeliveryExecutionDelivery"), MATHS.to_owned()),
        (field("DeliveryExecutionSubject"), taker.to_owned()),
        (field("DeliveryExecutionStart"), "0.50000000 1778572800".to_owned()),
        (field("DeliveryExecutionEnd"), "0.25000000 1778576400".to_owned()),
        (field("StatusOfDeliveryExecution"), field(&format!("DeliveryExecutionStatus{state}"))),
    ];
    let rows: Vec<String> = triples
        .iter()
        .map(|(predicate, object)| {
            format!("(1, '{execution}', '{predicate}', '{object}', '', '', '2026-05-12 08:00:00')")
        })
        .collect();
    let head = "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch) VALUES";
    tao.execute(&format!("{head} {}", rows.join(", "))).await;
    let value =
        r#"{"identifier":"SCORE","cardinality":"single","baseType":"float","epoch":"0.1 1778576300","value":"MQ=="}"#;
    tao.execute(&format!("INSERT INTO results_storage VALUES ('{execution}', '{taker}', '{MATHS}')")).await;
    tao.execute(&format!(
        "INSERT INTO variables_storage (results_result_id, call_id_test, test, value, identifier, variable_hash)
         VALUES ('{execution}', '{execution}', 'urn:test', '{value}', 'SCORE', '{execution}x')"
    ))
    .await;
}

pub fn number(outcome: &Value, words: &str) -> u64 {
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

/// A central and a school, each beside a TAO it has adopted, with Anna's attempt handed in.
struct Exam {
    at_central: TestDatabase,
    at_school: TestDatabase,
    central: Node,
    school: Node,
}

impl Exam {
    /// `prepare` does what is to be done at central before the school knows it.
    async fn sat(kind: Kind, prepare: impl FnOnce(&Node)) -> Option<Self> {
        let join = |school: &Node, central: &Node| drop(school.join(central, &["School-7"]));
        Self::sat_over(kind, prepare, join).await
    }

    /// `join` connects the school with central.
    async fn sat_over(kind: Kind, prepare: impl FnOnce(&Node), join: impl FnOnce(&Node, &Node)) -> Option<Self> {
        let at_central = TestDatabase::with(kind, &tao::small_central()).await?;
        let at_school = TestDatabase::with(kind, &tao::small_client()).await?;
        let mut central = Node::init("central");
        central.set("TAOSYNC_TAO__EVERY_SECONDS", 86_400);
        prepare(&central);
        let school = Node::init("local");
        for (node, tao) in [(&central, &at_central), (&school, &at_school)] {
            node.run(&["tao", "connect", "--database", tao.url()]).done();
            node.run(&["tao", "adopt"]).done();
        }
        central.run(&["tao", "pull"]).done();
        let server: Server = central.serve();
        join(&school, &central);
        school.run(&["sync", "data"]).exits(0);
        sit(&at_school, "Finished").await;
        let summary = school.run(&["sync", "results"]).done();
        // Over TAO's wire log and session are items of their own.
        let results = &summary["results"];
        assert!(results["sent"].as_u64() >= Some(1) && results["pending"] == 0, "{summary:#}");
        server.stop();
        Some(Self { at_central, at_school, central, school })
    }

    async fn results_in_tao(&self) -> usize {
        self.at_central.texts("SELECT result_id FROM results_storage").await.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_results_are_written_into_tao_where_the_key_is() {
    for kind in Kind::BOTH {
        let identities = [NodeIdentity::generate(), NodeIdentity::generate()];
        let file = |central: &Node, number: usize| {
            let text = format!("{}\n", identities[number].to_text().expose_secret());
            central.file(&format!("key-{number}.txt"), text)
        };
        // An offline key counts beside another one.
        let offline = |central: &Node| {
            for (number, identity) in identities.iter().enumerate() {
                let name = format!("safe {number}");
                central.run(&["keys", "results", "add", &identity.recipient(), "--name", &name]).done();
            }
            for number in 0..identities.len() {
                central.run(&["results", "rehearse", "--identity", arg(&file(central, number))]).done();
            }
            central.run(&["keys", "results", "remove", "central"]).done();
        };
        let Some(exam) = Exam::sat(kind, offline).await else { return };
        let key = file(&exam.central, 1);
        let without = exam.central.run(&["tao", "push"]).done();
        assert_eq!(number(&without, "results written"), 0, "{without:#}");
        says(&without["notes"].to_string(), &["1 result or log is sealed", "--identity FILE"]);
        assert_eq!(exam.results_in_tao().await, 0, "{kind:?}");
        let with = exam.central.run(&["tao", "push", "--identity", arg(&key)]).done();
        assert_eq!((number(&with, "results written"), with["notes"].as_array().unwrap().len()), (1, 0), "{with:#}");
        assert_eq!(exam.results_in_tao().await, 1, "{kind:?}");
        let again = exam.central.run(&["tao", "push"]).done();
        assert_eq!((again["counts"].to_string(), again["notes"].to_string()), ("[]".into(), "[]".into()), "{again:#}");
        drop(exam.at_school);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_over_taos_wire_goes_into_taos_tables() {
    let over_taos_wire = |school: &Node, central: &Node| {
        let mut generated = central.run(&["oauth", "generate", "--org", "School-7"]).done();
        let root = generated["root_url"].as_str().unwrap();
        generated["token_url"] = format!("{root}taoOauth/TokenApi/requestToken").into();
        school.import_with(&generated, &["--remote", "tao", "--organisation-id", "School-7"]).done();
    };
    let versions = |central: &Node| {
        central.run(&["compat", "supported-version", "add", "2023.12"]).done();
    };
    for kind in Kind::BOTH {
        let Some(exam) = Exam::sat_over(kind, versions, over_taos_wire).await else { return };
        let pushed = exam.central.run(&["tao", "push"]).done();
        assert_eq!(number(&pushed, "results written"), 1, "{kind:?} {pushed:#}");
        let there = exam.at_central.texts("SELECT test_taker, delivery FROM results_storage").await;
        assert_eq!(there, [[Some(ANNA.to_owned()), Some(MATHS.to_owned())]], "{kind:?}");
        let value = |tao| async move { TestDatabase::texts(tao, "SELECT value FROM variables_storage").await };
        let (here, there) = (value(&exam.at_school).await, value(&exam.at_central).await);
        let score = |rows: &[Vec<Option<String>>]| {
            let variable: Value = serde_json::from_str(rows[0][0].as_deref().unwrap()).unwrap();
            (variable["identifier"].clone(), variable["value"].clone(), rows.len())
        };
        assert_eq!(score(&here), score(&there), "{kind:?}");
        let again = exam.central.run(&["tao", "push"]).done();
        assert_eq!(again["counts"], serde_json::json!([]), "{again:#}");
    }
}

/// Holds the database of a node, so that nothing more is noted there.
fn hold(node: &Node) -> Option<Child> {
    let python = "import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
c.execute('BEGIN IMMEDIATE')
print('held', flush=True)
sys.stdin.read()";
    let mut command = Command::new("python3");
    command.args(["-c", python, arg(&node.dir().join("taosync.sqlite"))]);
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        println!("SKIPPED: the database cannot be held without python3");
        return None;
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    Some(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_killed_after_tao_has_it_and_before_it_is_noted_is_done_once() {
    for kind in Kind::BOTH {
        let Some(exam) = Exam::sat(kind, |_| {}).await else { return };
        let Some(mut holder) = hold(&exam.central) else { return };
        let mut push = exam.central.start(&["tao", "push"]);
        let until = std::time::Instant::now() + Duration::from_secs(60);
        while exam.results_in_tao().await == 0 && push.is_running() && std::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        push.kill();
        assert!(push.wait().was_killed(), "{kind:?}: it ended before it was killed");
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert_eq!(exam.results_in_tao().await, 1, "{kind:?}");
        let tables = ["statements", "variables_storage", "delivery_log", "kv_store", "delivery_monitoring"];
        let mut before = Vec::new();
        for table in tables {
            before.push(exam.at_central.texts(&format!("SELECT CAST(COUNT(*) AS CHAR(9)) FROM {table}")).await);
        }
        let again = exam.central.run(&["tao", "push"]).done();
        let counts = (number(&again, "results written"), number(&again, "had already"));
        assert_eq!(counts, (0, 1), "{kind:?} {again:#}");
        for (table, before) in tables.iter().zip(before) {
            let after = exam.at_central.texts(&format!("SELECT CAST(COUNT(*) AS CHAR(9)) FROM {table}")).await;
            assert_eq!(after, before, "{kind:?} {table}");
        }
        let once = exam.central.run(&["tao", "push"]).done();
        assert_eq!(once["counts"], serde_json::json!([]), "{kind:?} {once:#}");
        exam.school.is_whole();
    }
}
