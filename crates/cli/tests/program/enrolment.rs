//! Machines become known and stop being known: by a sheet of paper, by a sync manager's login, with other secrets, keys and
//! authorities, and when one is stolen.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::exam::central_with_test;
use super::node::Node;
use super::people::{MATHS, centers, school};
use super::results_xml::result;
use super::run::{Run, Started, arg, says};

/// A run that is given a text on its standard input.
pub fn fed(node: &Node, arguments: &[&str], text: &str) -> Run {
    let mut started = Started::new(node.command(arguments).stdin(Stdio::piped()));
    started.feed(text.as_bytes());
    started.wait()
}

/// The lines of the code on a sheet.
fn code_on(sheet: &Value) -> Vec<String> {
    let path = Path::new(sheet["file"].as_str().unwrap());
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains(sheet["label"].as_str().unwrap()) && !page.contains("src="), "{page}");
    let lines = page.split("<li>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
    let lines: Vec<String> = lines.filter(|line| line.len() == 19).collect();
    assert!((5..10).contains(&lines.len()), "{lines:?}");
    lines
}

fn sheets(central: &Node) -> Vec<Value> {
    let file = central.file("machines.csv", centers(&["A", "B"]));
    let out = central.dir().with_extension("sheets");
    let made = central.run(&["oauth", "generate", "--orgs", arg(&file), "--out", arg(&out)]).done();
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o700);
    made["sheets"].as_array().unwrap().clone()
}

fn enrol(node: &Node, lines: &[String]) -> Run {
    fed(node, &["oauth", "import", "--code", "-"], &lines.join("\n"))
}

fn consumer(central: &Node, key: &str) -> Value {
    let listed = central.run(&["oauth", "list"]).done();
    listed["consumers"].as_array().unwrap().iter().find(|consumer| consumer["key"] == key).unwrap().clone()
}

fn id(node: &Node) -> String {
    node.run(&["node", "show"]).done()["node"].as_str().unwrap().to_owned()
}

#[test]
fn a_sheet_of_paper_connects_one_machine_once() {
    let mut central = central_with_test();
    let server = central.serve();
    let sheets = sheets(&central);
    let (of_a, of_b) = (code_on(&sheets[0]), code_on(&sheets[1]));
    let key = sheets[0]["key"].as_str().unwrap();
    assert!(consumer(&central, key)["code"]["used_at"].is_null());
    let database = std::fs::read(central.dir().join("taosync.sqlite")).unwrap();
    let secret: &[u8] = of_a[4].as_bytes();
    assert!(!database.windows(secret.len()).any(|window| window == secret), "codes are kept as hashes");

    let local = Node::init("local");
    let mut wrong = of_a.clone();
    let other = if wrong[2].starts_with('0') { "1" } else { "0" };
    wrong[2].replace_range(..1, other);
    says(&enrol(&local, &wrong).failed(1, "TS-413"), &["line 3", "nothing was sent"]);
    let spelled: Vec<String> = of_a.iter().map(|line| line.to_lowercase().replace('-', " ")).collect();
    let connected = enrol(&local, &spelled).done();
    assert_eq!(connected["orgs"], serde_json::json!(["A"]));
    local.sync();
    assert_eq!(local.count("test-taker"), 6);
    enrol(&local, &of_a).done();
    assert!(!consumer(&central, key)["code"]["used_at"].is_null());

    let stranger = Node::init("local");
    says(&enrol(&stranger, &of_a).failed(1, "TS-415"), &["another machine", "office"]);
    central.run(&["oauth", "revoke", sheets[1]["key"].as_str().unwrap()]).done();
    let words: Vec<&str> = ["oauth", "import", "--code"].into_iter().chain(of_b.iter().map(String::as_str)).collect();
    stranger.run(&words).failed(1, "TS-415");
    local.sync();
    server.stop().exits(0);
}

#[test]
fn a_wrong_digit_is_found_without_a_network() {
    let mut central = Node::central_with(&school("A", 0..1));
    let server = central.serve();
    let out = central.dir().with_extension("one");
    let made = central.run(&["oauth", "generate", "--org", "A", "--out", arg(&out), "--user", "North"]).done();
    let lines = code_on(&made["sheets"][0]);
    server.stop().exits(0);
    let local = Node::init("local");
    let mut swapped = lines.clone();
    swapped.swap(0, 1);
    says(&enrol(&local, &swapped).failed(1, "TS-413"), &["another place"]);
    enrol(&local, &lines[1..]).failed(1, "TS-413");
    enrol(&local, &lines).failed(75, "TS-203");
}

fn managers(password: &str) -> String {
    format!("label,interface language,login,password,organisation id\nAnna,en-GB,anna,{password},A\n")
}

#[test]
fn a_sync_manager_connects_a_fresh_machine() {
    let mut central = Node::central_with(&school("A", 0..3));
    central.bring("sync-managers", &managers("correct horse")).done();
    let server = central.serve();
    let pin = central.made["ca_fingerprint"].as_str().unwrap().to_owned();
    let shake = |node: &Node, password: &str, pin: &str| {
        fed(node, &["handshake", "--url", &server.url, "--ca-fingerprint", pin, "anna"], password)
    };
    let local = Node::init("local");
    says(&shake(&local, "wrong\n", &pin).failed(1, "TS-414"), &["wrong"]);
    shake(&local, "correct horse\n", &"ab".repeat(32)).failed(1, "TS-204");
    assert_eq!(shake(&local, "correct horse\n", &pin).done()["orgs"], serde_json::json!(["A"]));
    local.sync();
    shake(&local, "correct horse\n", &pin).done();
    central.bring("sync-managers", &managers("battery staple")).done();
    shake(&local, "correct horse\n", &pin).failed(1, "TS-414");
    shake(&local, "battery staple\n", &pin).done();
    local.sync();
    let made = |node: &Node| node.run(&["oauth", "list"]).done()["consumers"].as_array().unwrap().len();
    assert_eq!(made(&central), 1, "no new one for each try");
    let other = Node::init("local");
    shake(&other, "battery staple\n", &pin).done();
    other.sync();
    assert_eq!(made(&central), 2, "each machine has its own");
    server.stop().exits(0);
}

#[test]
fn a_sync_manager_who_leaves_is_told_of_and_no_school_is_locked_out() {
    let mut central = Node::central_with(&school("A", 0..3));
    central.bring("sync-managers", &managers("correct horse")).done();
    let server = central.serve();
    let pin = central.made["ca_fingerprint"].as_str().unwrap().to_owned();
    let shake = |node: &Node| {
        fed(node, &["handshake", "--url", &server.url, "--ca-fingerprint", &pin, "anna"], "correct horse\n")
    };
    let local = Node::init("local");
    shake(&local).done();
    let key = central.run(&["oauth", "list"]).done()["consumers"][0]["key"].as_str().unwrap().to_owned();
    let doctor = |central: &Node| {
        let findings = central.run(&["doctor"]).json()["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["name"] == "sync managers").unwrap()
    };
    assert_eq!(doctor(&central)["verdict"], "ok");

    let listed = central.run(&["entity", "list", "--type", "sync-manager"]).done();
    let uri = listed["entities"][0]["uri"].as_str().unwrap().to_owned();
    let erased = central.run(&["subject", "erase", &uri, "--reason", "left the school"]);
    says(&erased.err, &[&key, "go on"]);
    erased.done();
    let found = doctor(&central);
    assert_eq!(found["verdict"], "warn");
    says(&found.to_string(), &[&key, "(A)", "oauth revoke"]);
    let kept = consumer(&central, &key);
    assert!(kept["orphaned_at"].is_string() && kept["user"] != "anna", "{kept}");
    says(&central.run(&["audit", "list", "--act", "consumer.orphan"]).done().to_string(), &[&key]);

    local.sync();
    local.run(&["node", "rekey"]).done();
    local.sync();
    shake(&local).failed(1, "TS-414");
    central.run(&["oauth", "revoke", &key]).done();
    assert_eq!(doctor(&central)["verdict"], "ok");
    assert_eq!(local.run(&["sync", "all"]).exits(1).json()["code"], "TS-210");
    server.stop().exits(0);
}

#[test]
fn a_school_takes_another_secret_by_itself_and_a_sheet_ends_the_old_one_at_once() {
    let mut central = central_with_test();
    let server = central.serve();
    let (a, b) = (Node::init("local"), Node::init("local"));
    let of_a = a.join(&central, &["A"]);
    b.join(&central, &["B"]);
    a.sync();
    b.sync();
    let key = of_a["key"].as_str().unwrap();
    central.run(&["oauth", "rotate", key]).done();
    assert!(!consumer(&central, key)["rotating_until"].is_null());
    a.sync();
    // Its next token is asked for with the new one, and ends the old one.
    a.run(&["node", "rekey"]).done();
    a.sync();
    assert!(consumer(&central, key)["rotating_until"].is_null(), "the new one was used");
    let again = Node::init("local");
    says(&again.import(&of_a).failed(1, "TS-210"), &["does not know this key and secret"]);

    let out = central.dir().with_extension("rotated");
    let rotated = central.run(&["oauth", "rotate", key, "--at-once", "--out", arg(&out)]).done();
    assert_eq!(a.run(&["sync", "all"]).exits(1).json()["code"], "TS-210");
    let sheet = serde_json::json!({"file": rotated["sheet"], "label": "sync manager"});
    enrol(&a, &code_on(&sheet)).done();
    a.sync();
    b.sync();
    a.is_whole();
    server.stop().exits(0);
}

#[test]
fn a_machine_gets_another_key_and_a_copy_of_the_old_one_is_shut_out() {
    let mut central = central_with_test();
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let file = local.file("result.xml", result(0, 2));
    local.run(&["execution", "submit", arg(&file)]).done();
    let stolen = local.dir().with_extension("stolen");
    copy(local.dir(), &stolen);
    let (before, node) = (local.run(&["node", "show"]).done(), id(&local));
    let rekeyed = local.run(&["node", "rekey"]).done();
    assert_eq!((&rekeyed["told"], &rekeyed["was"]), (&serde_json::json!(["A"]), &before["thumbprint"]));
    let summary = local.sync();
    assert_eq!(summary["results"]["sent"], 1, "what was finished under the old key is handed in");
    assert_eq!(id(&local), node, "the same machine");
    local.is_whole();
    let thief = Node::at(&stolen);
    let refused = thief.run(&["sync", "all"]).exits(1).json();
    assert_eq!(refused["code"], "TS-210", "{refused:#}");
    // Without a line, central hears of a key with the next sync.
    server.stop().exits(0);
    assert_eq!(local.run(&["node", "rekey"]).done()["told"], serde_json::json!([]));
    let server = central.serve();
    local.sync();
    server.stop().exits(0);
}

/// Copies a folder as it is, with its rights.
fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").args(["-a", arg(from), arg(to)]).status().unwrap();
    assert!(done.success());
}

#[test]
fn the_authority_is_changed_without_locking_anybody_out_who_heard_of_it() {
    let mut central = central_with_test();
    let server = central.serve();
    let (a, b) = (Node::init("local"), Node::init("local"));
    let unused = central.run(&["oauth", "generate", "--org", "A"]).done();
    a.join(&central, &["A"]);
    b.join(&central, &["B"]);
    a.sync();
    b.sync();
    let prepared = central.run(&["keys", "authority", "prepare"]).done();
    a.sync();
    let shown = central.run(&["keys", "authority", "show"]).done();
    assert_eq!((&shown["next"], &shown["unheard"]), (&prepared["next"], &serde_json::json!([id(&b)])), "{shown:#}");
    says(&central.run(&["keys", "authority", "switch"]).failed(75, "TS-011"), &["serve"]);
    server.stop().exits(0);
    says(&central.run(&["keys", "authority", "switch"]).failed(1, "TS-416"), &["1 local servers"]);
    central.run(&["keys", "authority", "switch", "--yes"]).done();
    let server = central.serve();
    a.sync();
    a.sync();
    assert_eq!(b.run(&["sync", "all"]).exits(1).json()["code"], "TS-204", "b has not heard of it");
    Node::init("local").import(&unused).failed(1, "TS-204");
    let remotes = a.run(&["oauth", "list"]).done();
    assert_eq!(remotes["remotes"][0]["ca_fingerprint"], prepared["next"], "the old one stopped");
    b.join(&central, &["B"]);
    b.sync();
    server.stop().exits(0);
}

#[test]
fn a_stolen_machine_is_shut_out_with_one_command_that_says_what_it_held() {
    let mut central = central_with_test();
    let locked = central.file("locked.zip", taosync_packages::demo_package());
    let uri = "https://exams.example/tests.rdf#locked";
    let publish = ["delivery", "publish", arg(&locked), "--label", "Later", "--uri", uri];
    central.run(&[&publish[..], &["--release-at", "2097-05-12T08:00:00+02:00"]].concat()).done();
    let eligible = format!("test center,delivery,test takers\nCenter A,{uri},t00000\n");
    central.bring("eligibilities", &eligible).done();
    let server = central.serve();
    let (a, b) = (Node::init("local"), Node::init("local"));
    let of_a = a.join(&central, &["A"]);
    b.join(&central, &["B"]);
    a.sync();
    b.sync();
    central.run(&["delivery", "unlock", uri]).done();

    let lost = central.run(&["node", "lost", &id(&a)]).done();
    assert!(lost["shut_out"] == true && lost["tokens_ended"].as_u64().unwrap() >= 1, "{lost:#}");
    assert_eq!(lost["orgs"][0]["org"], "A");
    assert_eq!(lost["orgs"][0]["counts"]["test-taker"], 6);
    assert_eq!(lost["orgs"][0]["unsent_results"], 0);
    assert_eq!((&lost["consumers"][0]["key"], &lost["consumers"][0]["revoked"]), (&of_a["key"], &true.into()));
    let test = |uri: &str| {
        let tests = lost["tests"].as_array().unwrap().iter();
        tests.clone().find(|test| test["delivery"] == uri).unwrap_or_else(|| panic!("{lost:#}")).clone()
    };
    assert_eq!(test(MATHS)["state"], "open");
    assert_eq!(test(uri)["state"], "locked");
    assert!(!test(uri)["codes_shown_at"].is_null(), "its code may be known");
    assert!(["everything", "unknown", "nothing_if_off"].contains(&lost["readable"].as_str().unwrap()));
    assert!(lost["next"].as_array().unwrap().len() >= 2, "{lost:#}");

    assert_eq!(a.run(&["sync", "all"]).exits(1).json()["code"], "TS-210");
    assert_eq!(central.run(&["delivery", "unlock", uri]).done()["codes"], serde_json::json!([]), "no code is shown");
    let audit = central.run(&["audit", "list", "--act", "node.lost"]).done();
    assert_eq!(audit["entries"][0]["object"], id(&a), "{audit:#}");
    b.sync();

    // A fresh machine takes its place; the stolen one gets nothing, also not with the new sheet.
    let out = central.dir().with_extension("place");
    let made = central.run(&["oauth", "generate", "--org", "A", "--out", arg(&out)]).done();
    let code = code_on(&made["sheets"][0]);
    says(&enrol(&a, &code).failed(1, "TS-415"), &["shut out"]);
    let rebuilt = Node::init("local");
    enrol(&rebuilt, &code).done();
    rebuilt.sync();
    assert_eq!(rebuilt.count("test-taker"), 6);
    server.stop().exits(0);
}
