//! The same with a small TAO of our own: what a clean clone can show.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use taosync_testbed::{Kind, tao};

use super::{Connected, changed};
use crate::node::Node;
use crate::run::{Started, arg, says};

const BASE: &str = "https://central.example/tao.rdf#";
const ROLES: &str = "http://www.tao.lu/Ontologies/generis.rdf#userRoles";

fn uri(name: &str) -> String {
    format!("{BASE}{name}")
}

async fn small(kind: Kind) -> Option<Connected> {
    Connected::adopted(kind, &tao::small_central()).await
}

/// A new test taker in TAO, named by the eligibility or not.
fn taker(name: &str) -> String {
    let row = |subject: &str, predicate: &str, object: &str| {
        format!("(1, '{subject}', '{predicate}', '{object}', '', '', '2026-03-02 10:00:00')")
    };
    let subject = uri(name);
    let rows = [
        row(
            &subject,
            "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
            "http://www.tao.lu/Ontologies/TAOSubject.rdf#Subject",
        ),
        row(&subject, "http://www.tao.lu/Ontologies/generis.rdf#login", name),
        row(&subject, ROLES, "http://www.tao.lu/Ontologies/TAO.rdf#DeliveryRole"),
        row(&uri("maths-north"), "http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestTaker", &subject),
    ];
    format!(
        "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch) VALUES {};",
        rows.join(", ")
    )
}

fn removed(name: &str) -> String {
    let subject = uri(name);
    format!("DELETE FROM statements WHERE subject = '{subject}' OR object = '{subject}';")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_said_of_an_entity_comes_with_order_and_languages() {
    for kind in Kind::BOTH {
        let Some(connected) = small(kind).await else { return };
        let did = connected.pull();
        assert_eq!(
            json!(changed(&did)),
            json!({
                "class": [2, 0, 0], "test-center": [1, 0, 0], "administrator": [1, 0, 0], "proctor": [1, 0, 0],
                "test-taker": [3, 0, 0], "eligibility": [1, 0, 0], "delivery": [1, 0, 0]
            }),
            "{kind:?} {did:#}"
        );
        let center = connected.entity(&uri("north"));
        let labels = &center["properties"]["http://www.w3.org/2000/01/rdf-schema#label"];
        let expected = json!([{"value": "North School", "lang": "en-US"}, {"value": "École du Nord", "lang": "fr-FR"}]);
        assert_eq!(labels, &expected, "{kind:?} {center:#}");
        let class = connected.entity(&uri("group9b"));
        assert_eq!(class["class"], uri("year9"), "{kind:?} {class:#}");
        assert_eq!(connected.entity(&uri("ben"))["class"], uri("group9b"), "{kind:?}");
        let delivery = connected.entity(&uri("maths")).to_string();
        assert!(delivery.contains("Maxexec") && !delivery.contains("AssembledDeliveryRuntime"), "{kind:?} {delivery}");
        connected.central.is_whole();
        let scopes = connected.central.run(&["scope", "show", "School-7"]).done().to_string();
        says(&scopes, &["test-taker"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_came_from_tao_goes_with_it() {
    for kind in Kind::BOTH {
        let Some(connected) = small(kind).await else { return };
        connected
            .central
            .bring("test-takers", "label,interface language,login,password\nDora,en-GB,dora,secret words\n")
            .done();
        connected.pull();
        assert_eq!(connected.central.count("test-taker"), 4, "{kind:?}");
        connected.tao.execute(&removed("cem")).await;
        // A role that is taken away takes the type away.
        let role = "http://www.tao.lu/Ontologies/TAOProctor.rdf#ProctorRole";
        let taken = format!("DELETE FROM statements WHERE subject = '{}' AND object = '{role}';", uri("watch"));
        connected.tao.execute(&taken).await;
        says(&connected.central.run(&["tao", "pull"]).failed(1, "TS-402"), &["1 of 1 proctors leave org School-7"]);
        let did = connected.central.run(&["tao", "pull", "--yes"]).done();
        assert_eq!(json!(changed(&did)), json!({"test-taker": [0, 0, 1], "proctor": [0, 0, 1]}), "{kind:?} {did:#}");
        assert_eq!(connected.central.count("test-taker"), 3, "{kind:?}");
        let both = format!(
            "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch)
             VALUES (1, '{}', '{ROLES}', '{role}', '', '', '')",
            uri("head")
        );
        connected.tao.execute(&both).await;
        assert_eq!(
            json!(changed(&connected.pull())),
            json!({"administrator": [0, 1, 0], "proctor": [1, 0, 0]}),
            "{kind:?}"
        );
        connected
            .tao
            .execute(&format!("DELETE FROM statements WHERE subject = '{}' AND object = '{role}'", uri("head")))
            .await;
        let did = connected.central.run(&["tao", "pull", "--yes"]).done();
        assert_eq!(changed(&did)["proctor"], [0, 0, 1], "{kind:?} {did:#}");
        assert_eq!(connected.central.count("administrator"), 1, "{kind:?}");
        connected.central.is_whole();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_removal_needs_a_persons_word() {
    for kind in Kind::BOTH {
        let Some(connected) = small(kind).await else { return };
        let names: Vec<_> = (0..8).map(|n| format!("t{n}")).collect();
        connected.tao.execute(&names.iter().map(|name| taker(name)).collect::<String>()).await;
        connected.pull();
        connected.tao.execute(&names[..6].iter().map(|name| removed(name)).collect::<String>()).await;
        let told = connected.central.run(&["tao", "pull"]).failed(1, "TS-402");
        says(&told, &["6 of 10 test-takers leave org School-7"]);
        assert_eq!(connected.central.count("test-taker"), 11, "{kind:?}");
        let did = connected.central.run(&["tao", "pull", "--accept-removals"]).done();
        assert_eq!(changed(&did)["test-taker"], [0, 0, 6], "{kind:?} {did:#}");
        assert_eq!(connected.central.count("test-taker"), 5, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_come_from_taos_files() {
    for kind in Kind::BOTH {
        let Some(connected) = small(kind).await else { return };
        let about = |answer: &serde_json::Value| answer["packages"]["notes"].to_string();
        says(&about(&connected.pull()), &["maths", "--files DIR"]);
        let files = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(files.path().join("synchronisation/maths")).unwrap();
        let zip = files.path().join("synchronisation/maths/export.zip");
        connected
            .central
            .run(&["tao", "connect", "--database", connected.tao.url(), "--files", arg(files.path())])
            .done();
        says(&about(&connected.pull()), &["maths", "cannot be read"]);
        std::fs::write(&zip, b"no zip").unwrap();
        let broken = connected.pull();
        says(&about(&broken), &["maths", "cannot be used", "not-a-zip"]);
        assert_eq!(about(&connected.pull()), about(&broken), "{kind:?}: it is told again");
        let demo = taosync_packages::demo_package();
        std::fs::write(&zip, &demo).unwrap();
        let dry = connected.central.run(&["tao", "pull", "--dry-run"]).done();
        assert_eq!(
            dry["packages"]["counts"],
            json!([{"what": "packages to be checked and published", "number": 1}]),
            "{kind:?}"
        );
        let did = connected.pull();
        assert_eq!(did["packages"]["counts"], json!([{"what": "packages published", "number": 1}]), "{kind:?} {did:#}");
        let did = connected.pull();
        assert_eq!(did["packages"]["counts"], json!([{"what": "packages as before", "number": 1}]), "{kind:?} {did:#}");
        let listed = connected.central.run(&["delivery", "list"]).done();
        assert_eq!(listed["deliveries"].as_array().unwrap().len(), 1, "{kind:?} {listed:#}");
        // What TAO says of a delivery later does not take its package away.
        let renamed = "UPDATE statements SET object = 'Maths A' WHERE object = 'Maths'";
        connected.tao.execute(renamed).await;
        assert_eq!(json!(changed(&connected.pull())), json!({"delivery": [0, 1, 0]}), "{kind:?}");
        let out = files.path().join("out.zip");
        connected.central.run(&["delivery", "export", &uri("maths"), arg(&out)]).done();
        assert_eq!(std::fs::read(&out).unwrap(), demo, "{kind:?}");
        assert_eq!(connected.entity(&uri("maths"))["label"], "Maths A", "{kind:?}");
        // TAO writes the file anew whenever the delivery is saved.
        std::fs::remove_file(&zip).unwrap();
        std::fs::write(&zip, &demo).unwrap();
        let did = connected.pull();
        assert_eq!(did["packages"]["counts"], json!([{"what": "packages as before", "number": 1}]), "{kind:?} {did:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_happens_before_it_is_adopted_and_after_it_is_released() {
    for kind in Kind::BOTH {
        let Some(connected) = Connected::new(kind, &tao::small_central()).await else { return };
        let central = &connected.central;
        let rows = "SELECT CAST(COUNT(*) AS CHAR(9)), CAST(MAX(id) AS CHAR(9)) FROM statements";
        let before = connected.tao.texts(rows).await;
        says(&central.run(&["tao", "pull"]).failed(1, "TS-502"), &["taosync tao adopt"]);
        says(&central.run(&["tao", "push"]).failed(1, "TS-502"), &["taosync tao adopt"]);
        let would = central.run(&["tao", "pull", "--dry-run"]).done();
        assert_eq!((&would["created"], &would["dry_run"]), (&json!(10), &json!(true)), "{kind:?} {would:#}");
        let checked = central.run(&["tao", "check"]).done();
        assert_eq!(checked["counts"]["test-taker"], 3, "{kind:?} {checked:#}");
        assert_eq!((&checked["adopted"], &checked["findings"][0]["severity"]), (&json!(false), &json!("warns")));
        central.run(&["tao", "adopt"]).done();
        assert_eq!(connected.pull()["created"], 10, "{kind:?}");
        central.run(&["tao", "release"]).done();
        central.run(&["tao", "pull"]).failed(1, "TS-502");
        assert_eq!(connected.tao.texts(rows).await, before, "{kind:?}: central's pull writes nothing into TAO");
        central.run(&["tao", "adopt"]).done();
        let again = connected.pull();
        assert_eq!((&again["as_before"], &again["created"]), (&json!(false), &json!(0)), "{kind:?} {again:#}");
        let log = central.run(&["audit", "list"]).done().to_string();
        says(&log, &["tao.connect", "tao.adopt", "tao.release", "tao.pull"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tao_is_refused_and_no_password_is_shown() {
    for kind in Kind::BOTH {
        let Some(connected) = Connected::new(kind, &tao::small_central()).await else { return };
        connected.tao.execute("ALTER TABLE statements ADD COLUMN tenant VARCHAR(9) DEFAULT 'x' NOT NULL").await;
        assert_eq!(
            connected.central.run(&["tao", "check"]).code(),
            Some(0),
            "{kind:?}: a column with a default is no harm"
        );
        connected.tao.execute("ALTER TABLE statements ALTER COLUMN tenant DROP DEFAULT").await;
        for verb in ["check", "adopt", "pull"] {
            says(&connected.central.run(&["tao", verb]).failed(1, "TS-505"), &["statements", "tenant"]);
        }
        let other = Node::init("central");
        let address = connected.tao.url().replacen("://", "://nobody:hunter2@", 1).replacen("@postgres@", "@", 1);
        let address = if kind == Kind::MariaDb { address.replacen("@root:secret@", "@", 1) } else { address };
        let run = other.run(&["tao", "connect", "--database", &address.replace("tao_", "missing_")]);
        let shown = format!("{}{}", run.out, run.err);
        assert!(run.code() != Some(0) && !shown.contains("hunter2"), "{kind:?} {shown}");
        let database = std::fs::read(connected.central.dir().join("taosync.sqlite")).unwrap();
        let address = connected.tao.url().as_bytes();
        assert!(memchr::memmem::find(&database, address).is_none(), "{kind:?}: the address is sealed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pulls_at_once_bring_everything_in_once() {
    for kind in Kind::BOTH {
        let Some(connected) = small(kind).await else { return };
        let both = [connected.central.start(&["tao", "pull"]), connected.central.start(&["tao", "pull"])];
        let created = both.map(|run| run.wait().done()["created"].as_u64().unwrap());
        assert_eq!(created.iter().sum::<u64>(), 10, "{kind:?} {created:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_killed_leaves_all_or_nothing() {
    for kind in Kind::BOTH {
        let Some(connected) = small(kind).await else { return };
        let files = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(files.path().join("synchronisation/maths")).unwrap();
        std::fs::write(files.path().join("synchronisation/maths/export.zip"), taosync_packages::demo_package())
            .unwrap();
        connected
            .central
            .run(&["tao", "connect", "--database", connected.tao.url(), "--files", arg(files.path())])
            .done();
        let mut killed = 0;
        for wait in (0..).map(|n| Duration::from_millis(25 * n)) {
            let mut run = connected.central.start(&["tao", "pull"]);
            tokio::time::sleep(wait).await;
            run.kill();
            if !run.wait().was_killed() {
                break;
            }
            killed += 1;
            let takers = connected.central.count("test-taker");
            assert!(takers == 0 || takers == 3, "{kind:?} after {wait:?}: {takers}");
        }
        assert!(killed > 1, "{kind:?}: nothing was killed");
        let did = connected.pull();
        assert_eq!(did["packages"]["counts"], json!([{"what": "packages as before", "number": 1}]), "{kind:?} {did:#}");
        assert_eq!(connected.central.count("test-taker"), 3, "{kind:?}");
        connected.central.is_whole();
    }
}

/// MySQL's collation takes both for the same name, and knows no blank at the end of one.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_in_case_or_blanks_alone_are_told_apart() {
    for kind in Kind::BOTH {
        let Some(connected) = small(kind).await else { return };
        let names = ["Anna", "ANNA", "zoé", "zoe", "zoe "];
        connected.tao.execute(&names.map(taker).concat()).await;
        let label = "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch) VALUES";
        for (number, name) in names.iter().enumerate() {
            let said = format!(
                "(1, '{}', 'http://www.w3.org/2000/01/rdf-schema#label', '{number} 😀 ', '', '', '')",
                uri(name)
            );
            connected.tao.execute(&format!("{label} {said}")).await;
        }
        let did = connected.pull();
        assert_eq!(changed(&did)["test-taker"], [8, 0, 0], "{kind:?} {did:#}");
        for (number, name) in names.iter().enumerate() {
            let here = connected.entity(&uri(name));
            assert_eq!(
                (&here["label"], &here["uri"]),
                (&json!(format!("{number} 😀 ")), &json!(uri(name))),
                "{kind:?}"
            );
        }
        connected
            .tao
            .execute(&format!("DELETE FROM statements WHERE subject = '{}' AND object LIKE '1 %'", uri("ANNA")))
            .await;
        let did = connected.pull();
        assert_eq!(changed(&did)["test-taker"], [0, 1, 0], "{kind:?} {did:#}");
        assert_eq!(connected.entity(&uri("Anna"))["label"], "0 😀 ", "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_while_tao_writes_sees_every_taker_whole() {
    const TAKERS: u64 = 40;
    for kind in Kind::BOTH {
        let Some(connected) = small(kind).await else { return };
        let writes = async {
            for number in 0..TAKERS {
                connected.tao.execute(&taker(&format!("t{number:02}"))).await;
            }
        };
        let pulls = async {
            let mut whole = 0;
            for _ in 0..4 {
                let mut run = connected.central.start(&["tao", "pull"]);
                while run.is_running() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                run.wait().done();
                // Whoever is here has the organisation's eligibility: it came in the same statement.
                let here = connected.central.count("test-taker");
                let named = connected.entity(&uri("maths-north"))["properties"]
                    ["http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestTaker"]
                    .as_array()
                    .map_or(0, Vec::len);
                assert_eq!(here, named as u64 + 1, "{kind:?}: one of the small TAO's three is named by none");
                whole += 1;
            }
            whole
        };
        let ((), whole) = tokio::join!(writes, pulls);
        assert_eq!(whole, 4);
        connected.pull();
        assert_eq!(connected.central.count("test-taker"), TAKERS + 3, "{kind:?}");
        assert_eq!(connected.pull()["as_before"], true, "{kind:?}");
        connected.central.is_whole();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_central_pulls_by_itself() {
    for kind in Kind::BOTH {
        let Some(Connected { mut central, tao }) = small(kind).await else { return };
        central.set("TAOSYNC_TAO__EVERY_SECONDS", 1);
        let server = central.serve();
        let until = std::time::Instant::now() + Duration::from_secs(60);
        while central.count("test-taker") < 3 && std::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tao.execute(&removed("cem")).await;
        while central.count("test-taker") != 2 && std::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(central.count("test-taker"), 2, "{kind:?}");
        drop(server);
    }
}

#[test]
fn an_address_has_a_length() {
    let central = Node::init("central");
    let connect = |address: &str| {
        let mut command = central.command(&["tao", "connect", "--database", "-"]);
        let mut run = Started::new(command.stdin(Stdio::piped()));
        run.feed(address.as_bytes());
        run.wait().failed(1, "TS-503")
    };
    says(&connect(&"x".repeat(2_048)), &["it is no address"]);
    says(&connect(&"x".repeat(2_049)), &["it is too long"]);
    says(&connect("\n"), &["it is empty"]);
}
