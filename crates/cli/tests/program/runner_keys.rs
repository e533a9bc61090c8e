//! Keys of test runners: made, listed, revoked; each opens its own organisations and nothing else.

use std::io::{Cursor, Write as _};

use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::exam::{OF_A, OF_B, central_with_test};
use super::node::Node;
use super::people::{MATHS, login, password, taker_uri};
use super::run::arg;
use super::runner_client::RunnerClient;
use super::whole_test::{refused, requests};

#[test]
fn a_key_opens_its_own_organisations_until_it_is_revoked() {
    let mut central = central_with_test();
    let server = central.serve();
    let mut local = Node::init("local");
    local.run(&["runner-key", "add", "too early"]).failed(2, "TS-010");
    local.join(&central, &["A"]);
    let only = local.run(&["runner-key", "add", "before there were two"]).done();
    assert_eq!(only["orgs"], json!(["A"]), "the one organisation there is");
    local.join(&central, &["B"]);
    local.run(&["runner-key", "add", "room 12"]).failed(2, "TS-010");
    local.run(&["runner-key", "add", "room 12", "--org", "C"]).failed(1, "TS-107");
    local.run(&["runner-key", "add", "room 12", "--org", "A", "--all-orgs"]).failed(2, "TS-001");
    central.run(&["runner-key", "list"]).failed(1, "TS-005");
    local.sync();
    drop(server);

    let add = |arguments: &[&str]| local.run(&[&["runner-key", "add"], arguments].concat()).done();
    let (of_b, of_both, of_all) =
        (add(&["b", "--org", "B"]), add(&["both", "--org", "A", "--org", "B"]), add(&["all", "--all-orgs"]));
    let listed = local.run(&["runner-key", "list"]);
    assert!([&only, &of_b, &of_both, &of_all].iter().all(|made| !listed.out.contains(made["key"].as_str().unwrap())));
    let listed = listed.done()["runner_keys"].as_array().unwrap().clone();
    let orgs: Vec<_> = listed.iter().map(|key| key["orgs"].clone()).collect();
    assert_eq!(orgs, [json!(null), json!(["A"]), json!(["B"]), json!(["A", "B"]), json!(null)], "{listed:#?}");

    let school = local.serve();
    let runner = |made: &serde_json::Value| RunnerClient::new(&local, &school).with_key(made["key"].as_str().unwrap());
    let (a, b, both, all) = (runner(&only), runner(&of_b), runner(&of_both), runner(&of_all));
    let sign_in = |number: usize| json!({"login": login(number), "password": password(number)});
    let attempt = a.post("executions", &json!({"delivery": MATHS, "test_taker": taker_uri(OF_A.start)}));
    let (id, package) = (attempt["id"].as_str().unwrap(), attempt["package_address"].as_str().unwrap());

    // Who belongs to another organisation is nobody here, and so is an attempt.
    assert_eq!(refused(&b, "POST", "authenticate", sign_in(OF_A.start).to_string().as_bytes()).1, "wrong_login");
    let start = json!({"delivery": MATHS, "test_taker": taker_uri(OF_A.start)}).to_string();
    assert_eq!(refused(&b, "POST", "executions", start.as_bytes()).1, "not_eligible");
    for (method, path) in requests(id, package).into_iter().filter(|(_, path)| path.starts_with("executions/")) {
        let body: &[u8] = if path.ends_with("finish") { b"" } else { b"[]" };
        assert_eq!(refused(&b, method, &path, body), (404, "not_found".to_owned()), "{method} {path}");
    }
    let of_a = b.ask("GET", &format!("executions/{id}"), b"");
    let of_nobody = b.ask("GET", "executions/00000000-0000-7000-8000-00000000000f", b"");
    let words = |answer: &(u16, Vec<u8>), id: &str| String::from_utf8_lossy(&answer.1).replace(id, "");
    let nobody = "00000000-0000-7000-8000-00000000000f";
    assert_eq!(words(&of_a, id), words(&of_nobody, nobody), "nothing tells it from one that is not there");
    let user = json!({"organisation_id": "A", "user": {"id": "7"}}).to_string();
    assert_eq!(refused(&b, "POST", "lti-users", user.as_bytes()).0, 404);
    assert_eq!(b.post("authenticate", &sign_in(OF_B.start))["deliveries"][0]["organisation_id"], "B");
    for (number, org) in [(OF_A.start, "A"), (OF_B.start, "B")] {
        for wide in [&both, &all] {
            assert_eq!(wide.post("authenticate", &sign_in(number))["deliveries"][0]["organisation_id"], org);
        }
    }
    // The test is of both organisations.
    b.get(&format!("{package}/test"));

    drop(school);
    let name = |made: &serde_json::Value| made["name"].as_str().unwrap().to_owned();
    local.run(&["runner-key", "revoke", &name(&of_b)]).done();
    local.run(&["runner-key", "revoke", "nothing"]).failed(1, "TS-107");
    let school = local.serve();
    let b = RunnerClient::new(&local, &school).with_key(of_b["key"].as_str().unwrap());
    assert_eq!(refused(&b, "GET", "deliveries", b""), (401, "runner_key_invalid".to_owned()));
}

#[test]
fn a_test_of_another_organisation_is_not_there() {
    let mut central = central_with_test();
    let mut zip = ZipWriter::new_append(Cursor::new(taosync_packages::demo_package())).unwrap();
    zip.start_file("french.txt", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"French").unwrap();
    let zip = central.file("french.zip", zip.finish().unwrap().into_inner());
    let french = "https://exams.example/tests.rdf#french";
    central.run(&["delivery", "publish", arg(&zip), "--label", "French", "--uri", french]).done();
    let rows = format!("test center,delivery,test takers\nCenter B,{french},{}\n", login(OF_B.start));
    central.bring("eligibilities", &rows).done();
    let server = central.serve();
    let mut local = Node::init("local");
    local.join(&central, &["A", "B"]);
    local.sync();
    drop(server);
    let keys = ["A", "B"].map(|org| local.run(&["runner-key", "add", org, "--org", org]).done());
    let school = local.serve();
    let [a, b] = keys.map(|made| RunnerClient::new(&local, &school).with_key(made["key"].as_str().unwrap()));
    let uris = |runner: &RunnerClient| {
        let listed = runner.get("deliveries")["deliveries"].as_array().unwrap().clone();
        listed.iter().map(|delivery| delivery["uri"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((uris(&a), uris(&b)), (vec![MATHS.to_owned()], vec![french.to_owned(), MATHS.to_owned()]));
    let query = |version: &str| format!("delivery?uri={}{version}", french.replace('#', "%23"));
    for version in ["", "&version=1", "&version=9"] {
        assert_eq!(refused(&a, "GET", &query(version), b""), (404, "not_found".to_owned()), "{version}");
    }
    let shown = b.get(&query(""));
    let test = format!("{}/test", shown["package_address"].as_str().unwrap());
    assert_eq!(b.get(&test)["test"]["identifier"], "maths-grade-6");
    assert_eq!(refused(&a, "GET", &test, b""), (404, "not_found".to_owned()), "its address helps nobody");
}
