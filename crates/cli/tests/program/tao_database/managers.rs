//! TAO's sync managers connect schools with the central that does the syncing in taoSync's place.

use secrecy::SecretString;
use taosync_testbed::{Kind, tao};
use taosync_vault::passwords;

use super::{Connected, changed};
use crate::enrolment::fed;
use crate::node::Node;

const GENERIS: &str = "http://www.tao.lu/Ontologies/generis.rdf#";

/// Somebody with the role of sync managers, of a class.
fn somebody(name: &str, class: &str) -> String {
    let password = passwords::tao_hash(&SecretString::from("correct horse"));
    let said = [
        ("http://www.w3.org/1999/02/22-rdf-syntax-ns#type".to_owned(), class.to_owned()),
        (format!("{GENERIS}login"), name.to_owned()),
        (format!("{GENERIS}password"), password),
        (format!("{GENERIS}userRoles"), format!("{GENERIS}taoSyncManager")),
        ("http://www.taotesting.com/ontologies/synchro.rdf#organisationId".to_owned(), "School-7".to_owned()),
    ];
    let row = |(predicate, object): &(String, String)| {
        format!(
            "(1, 'https://central.example/tao.rdf#{name}', '{predicate}', '{object}', '', '', '2026-03-02 10:00:00')"
        )
    };
    let rows: Vec<String> = said.iter().map(row).collect();
    let columns = "modelid, subject, predicate, object, l_language, author, epoch";
    format!("INSERT INTO statements ({columns}) VALUES {}", rows.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_manager_of_taos_connects_a_school() {
    for kind in Kind::BOTH {
        let Some(Connected { mut central, tao }) = Connected::adopted(kind, &tao::small_central()).await else {
            return;
        };
        tao.execute(&somebody("sam", "http://www.tao.lu/Ontologies/TAO.rdf#User")).await;
        // The user of a consumer has the role too, and is nobody who signs in.
        tao.execute(&somebody("consumer", &format!("{GENERIS}User"))).await;
        let did = central.run(&["tao", "pull"]).done();
        assert_eq!(changed(&did)["sync-manager"], [1, 0, 0], "{kind:?} {did:#}");
        let server = central.serve();
        let pin = central.made["ca_fingerprint"].as_str().unwrap().to_owned();
        let shake = |node: &Node, login: &str| {
            fed(node, &["handshake", "--url", &server.url, "--ca-fingerprint", &pin, login], "correct horse\n")
        };
        let school = Node::init("local");
        shake(&school, "consumer").failed(1, "TS-414");
        assert_eq!(shake(&school, "sam").done()["orgs"], serde_json::json!(["School-7"]), "{kind:?}");
        school.sync();
        let people = ["administrator", "proctor", "test-taker"].map(|entity_type| school.count(entity_type));
        assert_eq!(people, [1, 1, 2], "{kind:?}: managers stay at central");
        // Who is no manager any more connects no school.
        let role = format!("DELETE FROM statements WHERE object = '{GENERIS}taoSyncManager' AND modelid = 1");
        tao.execute(&role).await;
        let did = central.run(&["tao", "pull"]).done();
        assert_eq!(changed(&did)["sync-manager"], [0, 0, 1], "{kind:?} {did:#}");
        shake(&Node::init("local"), "sam").failed(1, "TS-414");
        drop(server);
    }
}
