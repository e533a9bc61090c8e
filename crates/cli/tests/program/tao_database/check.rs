//! What `tao check` says of a TAO, and who is not let in.

use serde_json::Value;
use taosync_testbed::{Kind, TestDatabase, tao};

use crate::node::Node;
use crate::run::says;

const TRY: &str = "https://school.example/tao.rdf#ie1";

/// A local server beside a TAO of a school.
async fn school(kind: Kind) -> Option<(Node, TestDatabase)> {
    let tao = TestDatabase::with(kind, &tao::small_client()).await?;
    let local = Node::init("local");
    local.run(&["tao", "connect", "--database", tao.url()]).done();
    Some((local, tao))
}

fn findings(node: &Node) -> Vec<Value> {
    let run = node.run(&["tao", "check"]);
    run.json()["findings"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tao_sync_only_claims_is_listed() {
    for kind in Kind::BOTH {
        let Some((local, tao)) = school(kind).await else { return };
        assert_eq!(findings(&local), Vec::<Value>::new(), "{kind:?}");
        let field = |name: &str| format!("http://www.tao.lu/Ontologies/TAODelivery.rdf#{name}");
        let class = field("DeliveryExecution");
        let state = field("DeliveryExecutionStatusFinished");
        for (predicate, object) in [
            ("http://www.w3.org/1999/02/22-rdf-syntax-ns#type", class.as_str()),
            (&field("DeliveryExecutionDelivery"), "urn:maths"),
            (&field("DeliveryExecutionSubject"), "urn:anna"),
            (&field("StatusOfDeliveryExecution"), &state),
        ] {
            tao.execute(&format!(
                "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch)
                 VALUES (1, '{TRY}', '{predicate}', '{object}', '', '', '2026-05-12 08:00:00')"
            ))
            .await;
        }
        tao.execute(&format!(
            "INSERT INTO delivery_log (delivery_execution_id, event_id, data, created_at, created_by)
             VALUES ('{TRY}', 'TEST_RUN', '[]', '1778576000.25', 'cli')"
        ))
        .await;
        let claim = "INSERT INTO synchronisation_result VALUES";
        tao.execute(&format!("{claim} ('{TRY}', 'synchronized', '2026-05-12 10:00:00', 1)")).await;
        let found = findings(&local);
        assert_eq!((found.len(), &found[0]["severity"]), (1, &Value::from("warns")), "{kind:?} {found:#?}");
        says(&found[0].to_string(), &["marks 1 execution as handed in", TRY, "tao push"]);
        // Once central has confirmed a row of its log, the mark is believed.
        tao.execute("UPDATE delivery_log SET is_synced = 1").await;
        assert_eq!(findings(&local), Vec::<Value>::new(), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronisation_of_tao_sync_under_way_is_told() {
    for kind in Kind::BOTH {
        let Some((local, tao)) = school(kind).await else { return };
        tao.execute("CREATE TABLE tq_task_log (task_name VARCHAR(255) NOT NULL, status VARCHAR(50) NOT NULL)").await;
        tao.execute("INSERT INTO tq_task_log VALUES ('taoSync/SynchronizeAll', 'completed')").await;
        assert_eq!(findings(&local), Vec::<Value>::new(), "{kind:?}");
        tao.execute("INSERT INTO tq_task_log VALUES ('taoSync/SynchronizeAll', 'running')").await;
        says(&findings(&local)[0].to_string(), &["under way", "before you adopt"]);
    }
}

/// The test's MariaDB asks nobody who he is, so only PostgreSQL can show this.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_is_told_before_anything_is_adopted() {
    let Some((local, tao)) = school(Kind::Postgres).await else { return };
    let name = tao.url().rsplit('/').next().unwrap().replace("tao_", "reader_");
    tao.execute(&format!("CREATE ROLE {name} LOGIN")).await;
    let address = tao.url().replacen("postgres@", &format!("{name}@"), 1);
    assert_ne!(address, tao.url());
    let connect = |address: &str| local.run(&["tao", "connect", "--database", address]);
    says(&connect(&address).failed(1, "TS-512"), &["no TAO in this database", "rights"]);
    tao.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")).await;
    connect(&address).done();
    let found = findings(&local);
    assert_eq!((found.len(), &found[0]["severity"]), (1, &Value::from("stops")), "{found:#?}");
    says(&found[0].to_string(), &["may not write into statements, kv_store", "GRANT"]);
    says(&local.run(&["tao", "adopt"]).failed(1, "TS-509"), &["may not write into"]);
    tao.execute(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")).await;
    says(&findings(&local)[0].to_string(), &["may not write into statements, synchronisation, delivery_log"]);
    tao.execute(&format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}")).await;
    assert_eq!(findings(&local), Vec::<Value>::new());
    local.run(&["tao", "adopt"]).done();
    // Another user of the same TAO may take the place of this one; another TAO may not.
    connect(tao.url()).done();
    assert_eq!(local.run(&["tao", "check"]).json()["adopted"], true);
    let other = format!("{}x", tao.url());
    says(&connect(&other).failed(1, "TS-504"), &["cannot be reached"]);
    tao.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).await;
}
