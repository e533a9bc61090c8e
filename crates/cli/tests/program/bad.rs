//! What goes wrong around the program: said clearly, with what to do, and nothing is lost.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use super::node::Node;
use super::people::school;
use super::results_xml::result;
use super::run::{arg, says};

#[test]
fn somebody_in_between_is_named_as_such() {
    let mut central = Node::central_with(&school("A", 0..3));
    let server = central.serve();
    let local = Node::init("local");
    let mut generated = central.run(&["oauth", "generate", "--org", "A"]).done();
    generated["ca_fingerprint"] = "ab".repeat(32).into();
    let message = local.import(&generated).failed(1, "TS-204");
    says(&message, &["filter", "login page", "fingerprint"]);
    generated["ca_fingerprint"] = "not a fingerprint".into();
    local.import(&generated).failed(2, "TS-010");
    server.stop().exits(0);
}

#[test]
fn a_certificate_that_is_not_the_pinned_one_any_more_stops_a_sync() {
    let mut central = Node::central_with(&school("A", 0..3));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let address = server.url.trim_start_matches("https://").to_owned();
    server.stop().exits(0);
    let mut other = Node::init("central");
    other.set("TAOSYNC_LISTEN", address);
    let server = other.serve();
    let summary = local.run(&["sync", "all"]).exits(1).json();
    assert_eq!((&summary["status"], &summary["code"]), (&"failed".into(), &"TS-204".into()));
    says(summary["reason"].as_str().unwrap(), &["filter", "login page"]);
    assert_eq!(local.count("test-taker"), 3, "nothing is taken away");
    server.stop().exits(0);
}

#[test]
fn a_revoked_key_ends_at_once_and_results_stay() {
    let mut central = Node::central_with(&school("A", 0..3));
    let server = central.serve();
    let local = Node::init("local");
    let generated = local.join(&central, &["A"]);
    local.sync();
    let file = local.file("result.xml", result(1, 2));
    local.run(&["execution", "submit", arg(&file)]).done();
    central.run(&["oauth", "revoke", generated["key"].as_str().unwrap()]).done();
    let summary = local.run(&["sync", "all"]).exits(1).json();
    assert_eq!(summary["code"], "TS-210", "{summary:#}");
    says(summary["reason"].as_str().unwrap(), &["revoked"]);
    assert_eq!(summary["results"]["pending"], 1, "{summary:#}");
    local.join(&central, &["A"]);
    assert_eq!(local.sync()["results"]["sent"], 1, "a new key takes its place");
    server.stop().exits(0);
}

#[test]
fn an_org_that_is_not_allowed_is_refused() {
    let mut central = Node::central_with(&school("A", 0..3));
    central.bring("test-centers", "label,organisation id\nCenter B,B\n").done();
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    says(&local.run(&["sync", "all", "--organisation_id=B"]).failed(1, "TS-309"), &["'B'"]);
    server.stop().exits(0);
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    let beside = tempfile::tempdir().unwrap();
    let dir = beside.path().join("node");
    let refused = Node::central_with(&[]);
    let message = super::run::Run::of(&mut super::run::program(&[
        "--dir",
        arg(&dir),
        "init",
        "central",
        "--listen",
        "0.0.0.0:0",
        "--plain-http",
        "--json",
    ]))
    .failed(2, "TS-006");
    says(&message, &["127.0.0.1"]);
    assert!(!dir.join("taosync.toml").exists());
    let mut later = refused;
    later.set("TAOSYNC_PLAIN_HTTP", "true");
    later.set("TAOSYNC_LISTEN", "0.0.0.0:0");
    let run = later.run(&["serve"]);
    assert_ne!(run.code(), Some(0), "{run:#?}");
    let local = Node::init("local");
    let import = ["oauth", "import", "-k", "k", "-s", "s", "-tu", "http://192.0.2.1/t", "-u", "http://192.0.2.1/"];
    says(&local.run(&import).failed(1, "TS-201"), &["encrypted"]);
}

#[test]
fn keys_that_others_can_read_are_refused_with_the_command_to_mend_it() {
    let central = Node::init("central");
    let key = central.dir().join("keys/node.key");
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let message = central.run(&["status"]).failed(1, "TS-121");
    says(&message, &["node.key", "mode 0644", "chmod 0600"]);
    let command = &message[message.find("chmod").unwrap()..];
    let done = std::process::Command::new("/bin/sh").args(["-c", command]).status().unwrap();
    assert!(done.success(), "{command}");
    central.run(&["status"]).done();
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let central = Node::init("central");
    let path = central.dir().join("taosync.sqlite");
    let bump = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                VALUES (9001, 'from the future', 1, x'00', 0)";
    let python = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
    let Ok(done) = std::process::Command::new("python3").args(["-c", python, arg(&path), bump]).output() else {
        eprintln!("SKIPPED: a newer schema cannot be made without python3");
        return;
    };
    assert!(done.status.success(), "{done:?}");
    let before = std::fs::read(&path).unwrap();
    says(&central.run(&["status"]).failed(1, "TS-103"), &["9001", "newer"]);
    says(&central.run(&["serve"]).failed(1, "TS-103"), &["newer"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_second_sync_is_told_to_wait() {
    let mut central = Node::central_with(&school("A", 0..5_000));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    let mut first = local.start(&["sync", "all"]);
    let lock = local.dir().join("down.lock");
    while first.is_running() && std::fs::read_to_string(&lock).unwrap_or_default().is_empty() {
        thread::sleep(Duration::from_millis(2));
    }
    let second = local.run(&["sync", "all"]);
    assert!(first.is_running(), "the first sync must still be at it");
    says(&second.failed(75, "TS-009"), &["already running", "pid"]);
    first.wait().done();
    local.sync();
    server.stop().exits(0);
}

#[test]
fn malformed_results_are_named_and_nothing_is_stored() {
    let mut central = Node::central_with(&school("A", 0..5));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let good = local.file("good.xml", result(1, 2));
    let deep = format!("{}{}", "<a>".repeat(5_000), "</a>".repeat(5_000));
    let entity = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>"#;
    let cases = [
        ("cut", result(2, 2).replace("</assessmentResult>", "")),
        ("no-xml", "this is no XML".to_owned()),
        ("html", "<html><body>Please log in</body></html>".to_owned()),
        ("deep", deep),
        ("entities", result(2, 1).replace("?>", &format!("?>{entity}"))),
        ("nobody", result(4_000, 1)),
        ("namespace", result(2, 1).replace("imsqti_result_v2p1", "something_else")),
    ];
    for (name, text) in cases {
        let file = local.file(&format!("{name}.xml"), text);
        let message = local.run(&["execution", "submit", arg(&good), arg(&file)]).failed(1, "TS-405");
        says(&message, &[&format!("{name}.xml"), "nothing was stored"]);
    }
    assert_eq!(local.run(&["execution", "list"]).done()["count"], 0);
    assert_eq!(local.run(&["execution", "submit", arg(&good), arg(&good)]).done()["stored"], 1);
    server.stop().exits(0);
}

#[test]
fn a_central_that_is_not_there_is_something_to_try_again() {
    let mut central = Node::central_with(&school("A", 0..3));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    server.kill();
    let summary = local.run(&["sync", "all"]).exits(75).json();
    assert_eq!((&summary["status"], &summary["code"]), (&"failed".into(), &"TS-203".into()));
    says(summary["reason"].as_str().unwrap(), &["no connection", "try again"]);
    let history = local.run(&["history"]).done();
    assert_eq!(history["syncs"][0]["outcome"], "failed", "a failed sync is kept too: {history:#}");
    let server = central.serve();
    local.sync();
    server.stop().exits(0);
}

#[test]
fn a_port_that_is_taken_is_said() {
    let mut central = Node::init("central");
    let server = central.serve();
    says(&central.run(&["serve"]).failed(1, "TS-007"), &["another"]);
    server.stop().exits(0);
}
