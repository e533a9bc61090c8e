//! One exam from beginning to end: two organisations, two schools, a test, a morning, and the results.

use std::path::Path;

use serde_json::{Value, json};

use super::node::Node;
use super::people::{MATHS, centers, eligibility, login, password, taker_uri, takers};
use super::run::{Run, arg, program, says};
use super::runner_client::RunnerClient;

/// Takers of school A are 0..6, of school B 6..10.
pub const OF_A: std::ops::Range<usize> = 0..6;
pub const OF_B: std::ops::Range<usize> = 6..10;

/// A central that publishes a test which the takers of two orgs may sit.
pub fn central_with_test() -> Node {
    let central = Node::central_with(&[("test-centers", centers(&["A", "B"])), ("test-takers", takers(0..10))]);
    let package = central.file("demo.zip", taosync_packages::demo_package());
    let publish = ["delivery", "publish", arg(&package), "--label", "Maths, grade 6", "--uri", MATHS];
    let published = central.run(&publish).done();
    assert_eq!((published["version"].as_u64(), published["changed"].as_bool()), (Some(1), Some(true)));
    assert_eq!(central.run(&publish).done()["changed"], false, "the same file twice changes nothing");
    central.bring("eligibilities", &eligibility("A", OF_A)).done();
    central.bring("eligibilities", &eligibility("B", OF_B)).done();
    central
}

fn variable(kind: &str, identifier: &str, base_type: &str, text: &str) -> Value {
    json!({"kind": kind, "identifier": identifier, "cardinality": "single", "base_type": base_type,
           "values": [{"text": text}]})
}

/// A pupil signs in, answers, and finishes; gives the id of the attempt.
pub fn sit(runner: &RunnerClient, taker: usize) -> String {
    let signed_in = runner.post("authenticate", &json!({"login": login(taker), "password": password(taker)}));
    assert_eq!(signed_in["test_taker"], taker_uri(taker));
    assert_eq!(signed_in["deliveries"][0]["uri"], MATHS, "{signed_in:#}");
    let attempt = runner.post("executions", &json!({"delivery": MATHS, "test_taker": taker_uri(taker)}));
    let id = attempt["id"].as_str().unwrap().to_owned();
    answer(runner, &id, "first");
    finish(runner, &id);
    id
}

fn answer(runner: &RunnerClient, id: &str, text: &str) {
    let item = json!({"identifier": "item-1", "sequence_index": 1, "session_status": "final"});
    let saved = json!([{"item": item, "variables": [variable("response", "RESPONSE", "string", text)]}]);
    runner.save(&format!("executions/{id}/variables"), &saved);
    let score = json!([{"variables": [variable("outcome", "SCORE_TOTAL", "float", "3.5")]}]);
    runner.save(&format!("executions/{id}/variables"), &score);
}

fn finish(runner: &RunnerClient, id: &str) {
    let ended = runner.post(&format!("executions/{id}/finish"), &json!({"state": "finished"}));
    assert_eq!(ended["state"], "finished");
}

fn attempts(node: &Node) -> Vec<Value> {
    node.results().into_iter().filter(|row| row["kind"] == "attempt").collect()
}

#[test]
fn an_exam_in_two_schools() {
    let mut central = central_with_test();
    let server = central.serve();
    let (mut a, b) = (Node::init("local"), Node::init("local"));
    let before = a.run(&["status"]).exits(1).json();
    assert_eq!(before["ready"], false, "{before:#}");
    a.join(&central, &["A"]);
    b.join(&central, &["B"]);
    let first = a.sync();
    assert_eq!((first["deliveries"]["fetched"].as_u64(), first["deliveries"]["compiled"].as_u64()), (Some(1), Some(1)));
    b.sync();
    assert_eq!((a.count("test-taker"), b.count("test-taker")), (6, 4));
    says(&b.run(&["entity", "show", &taker_uri(0)]).failed(1, "TS-107"), &["no entity"]);
    is_ready(&a);

    let school = a.serve();
    let runner = RunnerClient::new(&a, &school);
    let ids: Vec<String> = OF_A.map(|taker| sit(&runner, taker)).collect();
    the_test_is_here(&runner);
    strangers_stay_out(&runner);
    let stranger = RunnerClient::new(&a, &school).with_key("not-the-key");
    assert_eq!(stranger.ask("GET", "deliveries", b"").0, 401);

    let summary = a.sync();
    assert!(summary["results"]["sent"].as_u64().unwrap() >= 6, "{summary:#}");
    assert_eq!(attempts(&central).len(), 6);
    assert!(attempts(&central).iter().all(|row| row["org"] == "A" && row["status"] == "stored"));
    seen_at_central(&central, &ids[2]);
    exported(&central, &ids);

    reactivated(&a, &runner, &central, &ids[2]);
    deleted_after_send(&mut a, &runner, &central);
    histories(&a, &central);
    let again = a.sync();
    assert!(again["requests"].as_u64().unwrap() <= 3, "nothing to do costs next to nothing: {again:#}");
    a.is_whole();
    central.is_whole();
    school.stop().exits(0);
    server.stop().exits(0);
}

fn is_ready(local: &Node) {
    let status = local.run(&["status"]).done();
    assert_eq!(status["ready"], true, "{status:#}");
    let names: Vec<_> =
        status["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    for name in ["sync", "packages", "results", "executions", "disk", "clock", "version"] {
        assert!(names.iter().any(|known| known.contains(name)), "{name} is missing in {names:?}");
    }
    let monitor = Run::of(&mut program(&["--dir", arg(local.dir()), "status", "--nagios"])).exits(0);
    assert!(monitor.out.starts_with("TAOSYNC OK - ") && monitor.out.lines().count() == 1, "{monitor:#?}");
}

/// A runner reads the compiled test, and the files of the package as they were published.
fn the_test_is_here(runner: &RunnerClient) {
    let uri = MATHS.replace('#', "%23");
    let shown = runner.get(&format!("delivery?uri={uri}"));
    let package = shown["package_address"].as_str().unwrap();
    assert_eq!(runner.get(&format!("{package}/compiled"))["items"].as_array().unwrap().len(), 8);
    let (status, manifest) = runner.ask("GET", &format!("{package}/files/imsmanifest.xml"), b"");
    assert_eq!(status, 200);
    says(&String::from_utf8(manifest).unwrap(), &["<manifest"]);
    assert_eq!(runner.ask("GET", &format!("{package}/files/../keys/node.key"), b"").0, 404);
}

fn strangers_stay_out(runner: &RunnerClient) {
    let wrong = json!({"login": login(0), "password": "wrong"}).to_string();
    assert_eq!(runner.ask("POST", "authenticate", wrong.as_bytes()).0, 401);
    let other_school = json!({"delivery": MATHS, "test_taker": taker_uri(7)}).to_string();
    assert_eq!(runner.ask("POST", "executions", other_school.as_bytes()).0, 403);
    assert_eq!(runner.ask("GET", "executions/not-an-id", b"").0, 404);
    assert_eq!(runner.ask("POST", "executions", b"{broken").0, 400);
}

fn seen_at_central(central: &Node, id: &str) {
    let shown = central.run(&["results", "show", id]).done();
    assert_eq!(shown["envelope"]["test_taker"], taker_uri(2));
    says(&shown["attempt"].to_string(), &["SCORE_TOTAL", "3.5", "first"]);
    let of_one = central.run(&["results", "list", "--test-taker", &login(2)]).done();
    assert!(of_one["count"].as_u64().unwrap() >= 1, "{of_one:#}");
}

fn exported(central: &Node, ids: &[String]) {
    let export = |format: &str, out: &Path| {
        let done = central.run(&["results", "export", "--format", format, "--out", arg(out)]).done();
        assert_eq!(done["attempts"], ids.len(), "{done:#}");
    };
    let (jsonl, csv, qti) = ["r.jsonl", "r.csv", "qti"].map(|name| central.dir().join(name)).into();
    export("jsonl", &jsonl);
    let lines = std::fs::read_to_string(&jsonl).unwrap();
    assert!(
        lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()) && lines.lines().count() == ids.len()
    );
    export("csv", &csv);
    let rows = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(rows.lines().count(), 1 + 2 * ids.len(), "{rows}");
    export("qti", &qti);
    let files: Vec<_> = std::fs::read_dir(&qti).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), ids.len());
    says(&std::fs::read_to_string(&files[0]).unwrap(), &["<assessmentResult", "SCORE_TOTAL"]);
}

/// An attempt that goes on after it was handed in is handed in again, as its next version.
fn reactivated(local: &Node, runner: &RunnerClient, central: &Node, id: &str) {
    local.run(&["execution", "reactivate", id]).done();
    assert_eq!(local.run(&["execution", "list", "--state", "active"]).done()["count"], 1);
    answer(runner, id, "second thoughts");
    finish(runner, id);
    local.sync();
    let versions: Vec<_> = attempts(central).into_iter().filter(|row| row["id"] == id).collect();
    assert_eq!(versions.len(), 2, "both are kept: {versions:#?}");
    let head: Vec<_> = versions.iter().filter(|row| row["head"] == true).collect();
    assert_eq!((head.len(), &head[0]["version"], &head[0]["status"]), (1, &json!(2), &json!("superseded")));
    says(&central.run(&["results", "show", id]).done()["attempt"].to_string(), &["second thoughts"]);
}

fn deleted_after_send(local: &mut Node, runner: &RunnerClient, central: &Node) {
    let attempt = runner.post("executions", &json!({"delivery": MATHS, "test_taker": taker_uri(4)}));
    let id = attempt["id"].as_str().unwrap();
    answer(runner, id, "to be forgotten here");
    finish(runner, id);
    local.run(&["results", "show", id]).done();
    local.set("TAOSYNC_RESULT_SERVICE__DELETE_AFTER_SEND", "true");
    local.sync();
    assert!(!attempts(local).iter().any(|row| row["id"] == id), "it is not listed here any more");
    local.run(&["results", "show", id]).exits(1).json();
    says(&central.run(&["results", "show", id]).done()["attempt"].to_string(), &["to be forgotten here"]);
}

fn histories(local: &Node, central: &Node) {
    let here = local.run(&["history", "--limit", "100"]).done()["syncs"].as_array().unwrap().clone();
    let there = central.run(&["history", "--limit", "100"]).done()["syncs"].as_array().unwrap().clone();
    assert_eq!(here.len(), 4);
    assert!(here.iter().all(|sync| sync["outcome"] == "success" && sync["org"] == "A"), "{here:#?}");
    for sync in &here {
        let known = there.iter().find(|other| other["sync"] == sync["sync"]);
        let known = known.unwrap_or_else(|| panic!("central does not know of {sync:#}: {there:#?}"));
        assert_eq!((&known["org"], &known["outcome"]), (&sync["org"], &sync["outcome"]));
    }
    let status = central.run(&["status"]).done();
    assert_eq!(status["nodes"].as_array().unwrap().len(), 2, "{status:#}");
}
