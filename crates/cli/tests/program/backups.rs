//! Backups while the server works, restored elsewhere; and what is said when one cannot be used.

use std::path::Path;

use super::node::Node;
use super::people::school;
use super::results_xml::result;
use super::run::{Run, arg, says};

fn secret(node: &Node) -> String {
    arg(&node.file("passphrase", "correct horse battery staple\n")).to_owned()
}

fn restore(to: &Node, backup: &Path, secret: &str) -> Run {
    to.run(&["restore", arg(backup), "--passphrase-file", secret])
}

#[test]
fn a_central_is_backed_up_while_it_works_and_goes_on_elsewhere() {
    let mut central = Node::central_with(&school("A", 0..50));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    local.run(&["execution", "submit", arg(&local.file("one.xml", result(1, 5)))]).done();
    local.sync();
    let secret = secret(&central);
    let backup = central.dir().with_extension("age");
    // A sync goes on meanwhile.
    let syncing = local.start(&["sync", "all"]);
    let made = central.run(&["backup", arg(&backup), "--passphrase-file", &secret]).done();
    syncing.wait().exits(0);
    assert_eq!((&made["verified"], &made["receipts_through"]), (&true.into(), &1.into()), "{made:#}");
    assert!(made["passphrase"].is_null());
    let again = central.run(&["backup", arg(&backup), "--passphrase-file", &secret]).failed(1, "TS-014");
    says(&again, &["exists already", "never overwritten"]);
    let checked = central.run(&["restore", "--check", arg(&backup), "--passphrase-file", &secret]).done();
    assert_eq!(checked["parts"], made["parts"]);
    // Lost with the machine: what came after the backup.
    local.run(&["execution", "submit", arg(&local.file("two.xml", result(2, 5)))]).done();
    local.sync();
    assert_eq!(central.results().len(), 2);
    let running = restore(&central, &backup, &secret);
    says(&running.failed(75, "TS-011"), &["taosync serve", "stop it"]);
    server.stop().exits(0);
    let refused = restore(&central, &backup, &secret).failed(1, "TS-014");
    says(&refused, &["not empty", "--replace"]);
    let restored = central.run(&["restore", arg(&backup), "--passphrase-file", &secret, "--replace"]).done();
    assert!(Path::new(restored["moved_aside"].as_str().unwrap()).join("taosync.sqlite").is_file());
    central.is_whole();
    assert_eq!(central.results().len(), 1);
    let server = central.serve();
    // The person is told once; then everything is there again, also what was lost.
    for _ in 0..2 {
        local.run(&["sync", "all"]);
    }
    local.sync();
    assert_eq!(central.results().len(), 2, "handed in again");
    central.is_whole();
    local.is_whole();
    server.stop().exits(0);
    std::fs::remove_file(backup).unwrap();
}

#[test]
fn a_backup_that_cannot_be_used_says_why_and_changes_nothing() {
    let local = Node::init("local");
    let backup = local.dir().with_extension("age");
    let made = local.run(&["backup", arg(&backup)]).done();
    let passphrase = made["passphrase"].as_str().unwrap();
    assert_eq!(passphrase.len(), 35, "one was made, and is shown");
    let secret = arg(&local.file("passphrase", passphrase)).to_owned();
    let wrong = arg(&local.file("wrong", "another")).to_owned();
    let target = tempfile::tempdir().unwrap();
    let to = Node::at(&target.path().join("new"));
    says(&restore(&to, &backup, &wrong).failed(1, "TS-012"), &["another passphrase", "nothing was changed"]);
    let whole = std::fs::read(&backup).unwrap();
    let bad = local.file("cut.age", &whole[..whole.len() - 1000]);
    says(&restore(&to, &bad, &secret).failed(1, "TS-013"), &["damaged", "nothing was changed"]);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let bad = local.file("flipped.age", flipped);
    says(&restore(&to, &bad, &secret).failed(1, "TS-013"), &["damaged", "older backup"]);
    assert_eq!(std::fs::read_dir(to.dir()).unwrap().count(), 0, "nothing was put there");
    let restored = restore(&to, &backup, &secret).done();
    assert_eq!(restored["role"], "local");
    to.is_whole();
    let shown = |node: &Node| node.run(&["node", "show"]).done()["node"].clone();
    assert_eq!(shown(&to), shown(&local), "the same node");
    let renewed = to.run(&["node", "renew"]).done();
    assert_eq!(renewed["was"], shown(&local));
    assert_eq!(renewed["node"], shown(&to));
    assert_eq!(to.run(&["node", "adopt"]).done()["adopted"], true);
    std::fs::remove_file(backup).unwrap();
}
