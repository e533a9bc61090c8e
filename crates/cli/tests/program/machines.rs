//! Local machines that were copied, restored, renewed by halves or shut out: what the person at each side reads, and that
//! the commands they are told help.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::node::Node;
use super::people::school;
use super::results_xml::result;
use super::run::{Run, arg, program, says};

/// What a person reads: everything on stdout and stderr.
fn read(node: &Node, arguments: &[&str]) -> String {
    let mut all = vec!["--dir", arg(node.dir())];
    all.extend(arguments);
    let run = Run::of(&mut program(&all));
    run.out + &run.err
}

fn finding(node: &Node, name: &str) -> Value {
    let examined = node.run(&["doctor"]).json();
    let findings = examined["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["name"] == name).unwrap().clone()
}

/// A sync that fails with this code; results are handed in all the same.
#[track_caller]
fn sync_fails(node: &Node, code: &str) -> Value {
    let summary = node.run(&["sync", "all"]).exits(1).json();
    assert_eq!(summary["code"], code, "{summary:#}");
    summary
}

fn id(node: &Node) -> String {
    node.run(&["node", "show"]).done()["node"].as_str().unwrap().to_owned()
}

fn states(central: &Node) -> Vec<String> {
    let listed = central.run(&["node", "list"]).done();
    listed["nodes"].as_array().unwrap().iter().map(|node| node["state"].as_str().unwrap().to_owned()).collect()
}

fn submit(node: &Node, taker: usize) {
    let file = node.file(&format!("result{taker}.xml"), result(taker, 3));
    node.run(&["execution", "submit", arg(&file)]).done();
}

#[test]
fn a_restored_local_is_told_what_to_do_and_does_it() {
    let mut central = Node::central_with(&school("A", 0..20));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let secret = arg(&local.file("passphrase", "correct horse battery staple\n")).to_owned();
    let backup = local.dir().with_extension("age");
    local.run(&["backup", arg(&backup), "--passphrase-file", &secret]).done();
    // The original goes on, and has something that the backup has not.
    submit(&local, 1);
    local.sync();
    let target = tempfile::tempdir().unwrap();
    let restored = Node::at(&target.path().join("restored"));
    let told = read(&restored, &["restore", arg(&backup), "--passphrase-file", &secret]);
    says(&told, &["Restored a local server", "node adopt", "node renew", "sync all"]);
    submit(&restored, 2);
    let refused = sync_fails(&restored, "TS-311");
    assert_eq!(refused["results"]["sent"], 1, "results are taken all the same");
    let told = read(&restored, &["sync", "all"]);
    says(
        &told,
        &["no data, because", "→ if this is the machine that goes on", "'taosync node adopt'", "'taosync node renew'"],
    );
    says(
        &read(&restored, &["status"]),
        &["gives this machine no data", "'taosync node adopt'", "'taosync node renew'"],
    );
    assert_eq!(finding(&restored, "identity")["verdict"], "fail");
    says(
        &read(&central, &["node", "list"]),
        &["→ on the machine that goes on: 'taosync node adopt'", "node approve ID"],
    );
    says(&read(&central, &["status"]), &["copied or restored", "'taosync node list'"]);
    assert_eq!(finding(&central, "identity")["verdict"], "fail");

    assert_eq!(restored.run(&["node", "adopt"]).done()["adopted"], true);
    restored.sync();
    assert_eq!(finding(&restored, "identity")["verdict"], "ok");
    assert_eq!(states(&central), ["ok"]);
    // Now the other one is the copy: it becomes a machine of its own, and loses nothing.
    submit(&local, 3);
    sync_fails(&local, "TS-311");
    let renewed = local.run(&["node", "renew"]).done();
    assert_eq!(renewed["was"], id(&restored));
    local.sync();
    restored.sync();
    assert_eq!(central.results().len(), 3);
    assert_eq!(states(&central), ["copied: two machines have this identity", "ok"], "until somebody has looked");
    central.run(&["node", "approve", &id(&restored)]).done();
    assert_eq!(states(&central), ["ok", "ok"]);

    let shut_out = id(&local);
    says(&read(&central, &["node", "revoke", &shut_out]), &["shut out", "node lost"]);
    assert_eq!(states(&central), ["ok", "shut out"]);
    submit(&local, 4);
    says(sync_fails(&local, "TS-210")["reason"].as_str().unwrap(), &["shut out", "ask the office"]);
    central.run(&["node", "approve", &shut_out]).done();
    assert_eq!(local.sync()["results"]["sent"], 1, "it had waited");
    for node in [&central, &local, &restored] {
        node.is_whole();
    }
    server.stop().exits(0);
    std::fs::remove_file(backup).unwrap();
}

#[test]
fn a_renewal_that_was_cut_half_way_is_mended_by_another_one() {
    let mut central = Node::central_with(&school("A", 0..20));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    submit(&local, 1);
    // As a kill leaves it: fresh keys, the one before kept, the old id.
    let other = Node::init("local");
    let before = std::fs::read_to_string(local.dir().join("keys/node.key")).unwrap();
    let former = local.dir().join("keys/node.former");
    std::fs::write(&former, format!("another {}", before.trim())).unwrap();
    std::fs::set_permissions(&former, std::fs::Permissions::from_mode(0o600)).unwrap();
    for key in ["node.key", "node.age"] {
        std::fs::copy(other.dir().join("keys").join(key), local.dir().join("keys").join(key)).unwrap();
    }
    // The token of the last sync ends some day; here at once.
    for act in ["revoke", "approve"] {
        central.run(&["node", act, &id(&local)]).done();
    }
    let reason = sync_fails(&local, "TS-210")["reason"].as_str().unwrap().to_owned();
    says(&reason, &["known with another key", "run 'taosync node renew'"]);
    local.run(&["node", "renew"]).done();
    assert_eq!(local.sync()["results"]["sent"], 1, "nothing was lost");
    local.is_whole();
    server.stop().exits(0);
}

#[test]
fn a_backup_for_the_holder_of_a_key_opens_with_it_and_with_nothing_else() {
    let holder = Node::init("local");
    let recipient = holder.run(&["node", "show"]).done()["recipient"].as_str().unwrap().to_owned();
    let local = Node::init("local");
    let backup = local.dir().with_extension("age");
    let made = local.run(&["backup", arg(&backup), "--recipient", &recipient]).done();
    assert_eq!((&made["verified"], &made["passphrase"]), (&true.into(), &Value::Null), "{made:#}");
    let target = tempfile::tempdir().unwrap();
    let to = Node::at(&target.path().join("new"));
    let with = |identity: &Path| to.run(&["restore", arg(&backup), "--identity", arg(identity)]);
    let wrong = with(&local.dir().join("keys/node.age")).failed(1, "TS-012");
    says(&wrong, &["another passphrase or key", "nothing was changed"]);
    assert_eq!(with(&holder.dir().join("keys/node.age")).done()["node"], id(&local));
    to.is_whole();
    std::fs::remove_file(backup).unwrap();
}

#[test]
fn a_backup_of_the_other_role_changes_nothing() {
    let central = Node::init("central");
    let local = Node::init("local");
    let secret = arg(&local.file("passphrase", "correct horse battery staple\n")).to_owned();
    let backup = central.dir().with_extension("age");
    central.run(&["backup", arg(&backup), "--passphrase-file", &secret]).done();
    let before = id(&local);
    let refused = local.run(&["restore", arg(&backup), "--passphrase-file", &secret, "--replace"]).failed(1, "TS-005");
    says(&refused, &["of a central server", "a local one", "nothing was changed"]);
    assert_eq!(id(&local), before);
    local.is_whole();
    std::fs::remove_file(backup).unwrap();
}

#[test]
fn what_a_replaced_local_had_not_handed_in_is_handed_in_from_where_it_was_put() {
    let mut central = Node::central_with(&school("A", 0..20));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let secret = arg(&local.file("passphrase", "correct horse battery staple\n")).to_owned();
    let backup = local.dir().with_extension("age");
    local.run(&["backup", arg(&backup), "--passphrase-file", &secret]).done();
    // What a backup that was killed left behind goes with the next one.
    let leftover = local.dir().join(".backup-killed");
    std::fs::create_dir(&leftover).unwrap();
    let second = local.dir().with_extension("second.age");
    local.run(&["backup", arg(&second), "--passphrase-file", &secret]).done();
    assert!(!leftover.exists());
    submit(&local, 1);
    let told = read(&local, &["restore", arg(&backup), "--passphrase-file", &secret, "--replace"]);
    says(&told, &["What was there before is in", "sync results"]);
    assert_eq!(local.sync()["results"]["sent"], 0, "it is not in the backup");
    let aside = told.lines().find_map(|line| line.split("--dir ").nth(1)?.strip_suffix(" sync results")).unwrap();
    let aside = Node::at(Path::new(aside));
    let summary = aside.run(&["sync", "results"]).done();
    assert_eq!(summary["results"]["sent"], 1, "{summary:#}");
    assert_eq!(central.results().len(), 1);
    local.sync();
    server.stop().exits(0);
    for file in [backup, second] {
        std::fs::remove_file(file).unwrap();
    }
}
