//! Accounts on the command line, and what their owners do at the pages of real servers.

use std::process::Stdio;

use serde_json::json;

use super::browser::{Browser, add_account};
use super::exam::central_with_test;
use super::node::Node;
use super::run::{Run, Started};

const PASSWORD: &str = "correct horse battery";

fn with_input(node: &Node, arguments: &[&str], input: &str) -> Run {
    let mut command = node.command(arguments);
    let mut started = Started::new(command.stdin(Stdio::piped()));
    started.feed(input.as_bytes());
    started.wait()
}

#[test]
fn accounts_are_made_listed_changed_and_removed_and_no_password_is_shown() {
    let node = Node::init("local");
    let add = |login: &str, more: &[&str], input: &str| {
        with_input(&node, &[&["account", "add", login], more].concat(), input)
    };
    add("head", &["--role", "sync-manager"], PASSWORD).failed(2, "TS-010");
    add("office", &["--role", "administrator", "--org", "A"], PASSWORD).failed(2, "TS-010");
    add("office", &["--role", "administrator"], "too short\n").failed(2, "TS-010");
    add("office", &["--role", "administrator"], &"x".repeat(1_025)).failed(2, "TS-010");
    add(" ", &["--role", "auditor"], PASSWORD).failed(2, "TS-010");
    add("office", &["--role", "king"], PASSWORD).failed(2, "TS-001");
    let made = add_account(&node, "office", PASSWORD, &["--role", "administrator"]);
    assert_eq!(made["role"], "administrator");
    add_account(&node, "head", PASSWORD, &["--role", "sync-manager", "--org", "A", "--org", "B"]);
    add("OFFICE", &["--role", "auditor"], PASSWORD).failed(1, "TS-108");

    let listed = node.run(&["account", "list"]);
    assert!(!listed.out.contains("argon2") && !listed.out.contains(PASSWORD));
    let accounts = listed.done()["accounts"].clone();
    assert_eq!((&accounts[0]["login"], &accounts[0]["orgs"]), (&json!("office"), &json!([])));
    assert_eq!((&accounts[1]["login"], &accounts[1]["orgs"]), (&json!("head"), &json!(["A", "B"])));

    with_input(&node, &["account", "password", "head"], "another horse battery\n").done();
    with_input(&node, &["account", "password", "nobody"], PASSWORD).failed(1, "TS-107");
    node.run(&["account", "sign-out", "head"]).done();
    node.run(&["account", "remove", "head"]).done();
    node.run(&["account", "remove", "head"]).failed(1, "TS-107");
    let acts = node.run(&["audit", "list", "--act", "account"]).done();
    let acts: Vec<_> = acts["entries"].as_array().unwrap().iter().rev().map(|e| e["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["account.add", "account.add", "account.password", "account.sign-out", "account.remove"]);
}

#[test]
fn an_administrator_sees_the_fleet_and_shuts_a_machine_out_and_a_school_synchronizes_by_a_button() {
    let mut central = central_with_test();
    let mut local = Node::init("local");
    add_account(&central, "office", PASSWORD, &["--role", "administrator"]);
    add_account(&central, "auditor", PASSWORD, &["--role", "auditor"]);
    add_account(&local, "head", PASSWORD, &["--role", "sync-manager", "--org", "A"]);
    let server = central.serve();
    local.join(&central, &["A"]);
    let school = local.serve();

    let mut head = Browser::new(&local, &school);
    assert_eq!(head.sign_in("head", "correct horse batteries"), 401);
    assert_eq!(head.sign_in("head", PASSWORD), 303);
    assert!(head.page("/overview").contains("Not ready since"));
    assert_eq!(head.act("/acts/sync", ""), (303, "/overview?said=sync".to_owned()));
    let until = std::time::Instant::now() + super::run::PATIENCE;
    while !head.page("/overview").contains("Ready since") || head.page("/overview").contains("has been running") {
        assert!(std::time::Instant::now() < until, "{}", head.page("/history"));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let runs = local.run(&["history"]).done();
    let actor = runs["syncs"][0]["actor"].as_str().unwrap();
    assert!(actor.starts_with("account:"), "in the name of whoever pressed the button: {runs:#}");
    assert_eq!(head.status("/audit"), 403);

    let mut office = Browser::new(&central, &server);
    assert_eq!(office.sign_in("office", PASSWORD), 303);
    let fleet = office.page("/overview");
    let id = central.run(&["node", "list"]).done()["nodes"][0]["node"].as_str().unwrap().to_owned();
    assert!(fleet.contains(&id) && fleet.contains("just now"), "{fleet}");
    assert_eq!(office.act("/acts/revoke-node", &format!("node={id}")).1, "/overview?said=revoke-node");
    assert_eq!(central.run(&["node", "list"]).done()["nodes"][0]["state"], "shut out");
    assert_eq!(local.run(&["sync", "data"]).exits(1).json()["code"], "TS-210");
    assert_eq!(office.act("/acts/approve-node", &format!("node={id}")).0, 303);
    local.sync();
    assert_eq!(office.act("/acts/approve-removals", "org=A").0, 303);
    let (status, words) = office.act("/acts/approve-removals", "org=Nowhere");
    assert!(status == 409 && words.contains("[TS-403]"), "{words}");

    let mut auditor = Browser::new(&central, &server);
    assert_eq!(auditor.sign_in("auditor", PASSWORD), 303);
    let log = auditor.page("/audit?act=node");
    assert!(log.contains("node.revoke") && log.contains("account:"), "{log}");
    assert_eq!(auditor.act("/acts/revoke-node", &format!("node={id}")).0, 403);

    with_input(&central, &["account", "password", "office"], "another horse battery\n").done();
    assert_eq!(office.status("/overview"), 401, "the session ends with the password, in another process");
    drop(server);
    let server = central.serve();
    let mut again = Browser::new(&central, &server);
    assert_eq!(again.sign_in("office", "another horse battery"), 303);
    central.run(&["audit", "verify"]).done();
}

#[test]
fn a_restored_server_knows_no_session() {
    let mut local = Node::init("local");
    add_account(&local, "office", PASSWORD, &["--role", "administrator"]);
    let school = local.serve();
    let mut office = Browser::new(&local, &school);
    assert_eq!(office.sign_in("office", PASSWORD), 303);
    let passphrase = local.file("passphrase", "a passphrase that nobody guesses");
    let backup = local.dir().with_extension("age");
    let with = ["--passphrase-file", super::run::arg(&passphrase)];
    local.run(&[&["backup", super::run::arg(&backup)], &with[..]].concat()).done();
    drop(school);
    local.run(&[&["restore", super::run::arg(&backup), "--replace"], &with[..]].concat()).done();
    std::fs::remove_file(&backup).unwrap();
    let school = local.serve();
    let again = Browser::new(&local, &school);
    assert_eq!(again.with_session_of(&office).status("/overview"), 401);
}
