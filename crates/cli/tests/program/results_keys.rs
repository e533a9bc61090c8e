//! The ceremony of the results keys (docs/KEYS.md), and what their holders do with them; with the ordinary `age` too.

use std::path::{Path, PathBuf};
use std::process::Command;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use taosync_vault::node_identity::NodeIdentity;

use super::exam::central_with_test;
use super::node::Node;
use super::results_xml;
use super::run::arg;

/// An offline key: its file, and its recipient.
fn key(node: &Node, name: &str) -> (PathBuf, String) {
    let identity = NodeIdentity::generate();
    let text = format!("# created by hand\n{}\n", identity.to_text().expose_secret());
    (node.file(name, text), identity.recipient())
}

fn used(document: &Value) -> Vec<&str> {
    let keys = document["keys"].as_array().unwrap().iter();
    keys.filter(|key| key["in_use"] == true).map(|key| key["name"].as_str().unwrap()).collect()
}

#[test]
fn results_are_sealed_for_offline_keys_and_opened_by_their_holders() {
    let mut central = central_with_test();
    let listed = central.run(&["keys", "results", "list"]).done();
    assert_eq!((used(&listed), &listed["keys"][0]["kept_here"]), (vec!["central"], &Value::Bool(true)));
    let ((file_1, recipient_1), (file_2, recipient_2)) = (key(&central, "key-1.txt"), key(&central, "key-2.txt"));
    let (stranger, _) = key(&central, "stranger.txt");
    central.run(&["keys", "results", "add", &recipient_1, "--name", "safe 1"]).done();
    central.run(&["keys", "results", "add", &recipient_1, "--name", "again"]).failed(1, "TS-108");
    let secret = std::fs::read_to_string(&file_2).unwrap();
    let pasted =
        central.run(&["keys", "results", "add", secret.lines().nth(1).unwrap(), "--name", "oops"]).failed(2, "TS-010");
    assert!(!pasted.contains(&secret.lines().nth(1).unwrap()[20..]));
    let added = central.run(&["keys", "results", "add", &recipient_2, "--name", "safe 2"]).done();
    assert_eq!(used(&added), ["central"], "not before they were rehearsed");
    central.run(&["results", "rehearse", "--identity", arg(&stranger)]).failed(1, "TS-107");
    for file in [&file_1, &file_2] {
        central.run(&["results", "rehearse", "--identity", arg(file)]).done();
    }
    assert_eq!(used(&central.run(&["keys", "results", "list"]).done()), ["central", "safe 1", "safe 2"]);
    assert_eq!(used(&central.run(&["keys", "results", "remove", "central"]).done()), ["safe 1", "safe 2"]);
    central.run(&["keys", "results", "remove", "safe 2"]).failed(1, "TS-108");

    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let result = local.file("result.xml", results_xml::result(0, 3));
    local.run(&["execution", "submit", arg(&result)]).done();
    local.sync();
    let id = central.results()[0]["id"].as_str().unwrap().to_owned();
    let row = &central.results()[0];
    assert_eq!((&row["form"], &row["sealed"], &row["signed"]), (&2.into(), &true.into(), &true.into()), "{row:#}");
    central.run(&["results", "show", &id]).failed(1, "TS-406");
    let shown = central.run(&["results", "show", &id, "--identity", arg(&file_2)]).done();
    assert!(shown["attempt"]["result"].is_object());
    let (csv, sealed, opened) =
        (central.file("r.csv", ""), central.dir().join("../sealed"), central.dir().join("../opened"));
    let export = |more: &[&str]| {
        let arguments = [&["results", "export", "--format", "csv", "--out", arg(&csv)], more].concat();
        central.run(&arguments).done()
    };
    assert_eq!(export(&[])["sealed"], 1);
    assert_eq!(export(&["--identity", arg(&file_1)])["attempts"], 1);
    let done = central.run(&["results", "export", "--format", "sealed", "--out", arg(&sealed)]).done();
    assert_eq!(done["attempts"], 1, "{done:#}");
    let file = std::fs::read_dir(&sealed).unwrap().next().unwrap().unwrap().path();
    // The holder of the key needs no node.
    let nowhere = Node::at(Path::new("/nonexistent"));
    let unseal = |identity: &Path| {
        nowhere.run(&["results", "unseal", "--identity", arg(identity), "--out", arg(&opened), arg(&file)])
    };
    unseal(&stranger).failed(1, "TS-406");
    assert_eq!(unseal(&file_1).done()["unsealed"], 1);
    let json = opened.join(file.file_name().unwrap()).with_extension("json");
    let attempt: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(attempt["result"], shown["attempt"]["result"]);
    let all = central.run(&["results", "unseal", "--identity", arg(&file_2), "--out", arg(&opened)]).done();
    assert_eq!(all["unsealed"], 1);
    with_ordinary_age(&file_1, &file, &std::fs::read(&json).unwrap());
    local.is_whole();
    central.is_whole();
    server.stop().exits(0);
}

/// In an emergency nobody needs taosync: `age -d -i KEY FILE | zstd -d`.
fn with_ordinary_age(identity: &Path, file: &Path, expected: &[u8]) {
    let Ok(run) = Command::new("age").args(["-d", "-i"]).args([identity, file]).output() else {
        eprintln!("SKIPPED: age is not installed, so nobody sees that it opens a sealed result");
        return;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(zstd::decode_all(run.stdout.as_slice()).unwrap(), expected);
}
