//! One byte flipped on the disk, anywhere: `verify` names it, and what can be mended is mended.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use taosync_model::Digest;

use super::exam::{central_with_test, sit};
use super::node::Node;
use super::people::MATHS;
use super::run::{arg, says};
use super::runner_client::RunnerClient;

/// Flips one bit in the middle of the first value that a query finds, and prints the value before and after it.
const FLIP: &str = r#"
import sqlite3, sys
path, table, column, where = sys.argv[1:5]
c = sqlite3.connect(path, timeout=20)
row = c.execute(f"SELECT {column} FROM {table} WHERE {where} ORDER BY 1 DESC LIMIT 1").fetchone()
assert row and row[0] is not None, "nothing to flip"
old = row[0]
if isinstance(old, int):
    new = old ^ 1
elif isinstance(old, str):
    at = len(old) // 2
    new = old[:at] + chr(ord(old[at]) ^ 1) + old[at + 1:]
else:
    new = bytearray(old); new[len(new) // 2] ^= 1; new = bytes(new)
done = c.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ? AND {where}", (new, old)).rowcount
assert done == 1, f"{done} rows"
c.commit()
print(repr(old)); print(repr(new))
"#;

/// Puts the value that was flipped back.
const UNFLIP: &str = r#"
import ast, sqlite3, sys
path, table, column, told = sys.argv[1:5]
old, new = [ast.literal_eval(line) for line in told.splitlines()]
c = sqlite3.connect(path, timeout=20)
assert c.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (old, new)).rowcount == 1
c.commit()
"#;

fn has_python() -> bool {
    let found = Command::new("python3").args(["-c", "import sqlite3"]).output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("SKIPPED: bytes of the database cannot be flipped without python3");
    }
    found
}

fn python(node: &Node, script: &str, arguments: [&str; 3]) -> String {
    let path = node.dir().join("taosync.sqlite");
    let mut command = Command::new("python3");
    let done = command.args(["-c", script, arg(&path)]).args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// Flips a bit of a stored value; what it gives flips it back.
fn flip(node: &Node, table: &str, column: &str, filter: &str) -> String {
    python(node, FLIP, [table, column, filter])
}

fn flip_back(node: &Node, table: &str, column: &str, told: &str) {
    python(node, UNFLIP, [table, column, told]);
}

fn flip_file(path: &PathBuf) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn chunk_files(node: &Node) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(node.dir().join("chunks")).unwrap();
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

fn is_pack(file: &Path) -> bool {
    file.parent().unwrap().ends_with("packs")
}

/// The chunks of a pack, and where they begin: names and bytes after twelve other bytes, then the chunks in that order.
fn chunks_of_pack(file: &Path) -> Vec<(String, usize)> {
    let bytes = std::fs::read(file).unwrap();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut at = 12 + 36 * number(8);
    let mut chunks = Vec::new();
    for entry in (0..number(8)).map(|n| 12 + 36 * n) {
        let name = Digest::from_slice(&bytes[entry..entry + 32]).unwrap().to_hex();
        chunks.push((name, at));
        at += number(entry + 32);
    }
    chunks
}

/// The name of the chunk that lies in the middle of a file.
fn chunk_in_the_middle(file: &Path) -> String {
    if !is_pack(file) {
        return file.file_name().unwrap().to_str().unwrap().to_owned();
    }
    let middle = std::fs::metadata(file).unwrap().len() as usize / 2;
    chunks_of_pack(file).into_iter().rfind(|(_, at)| *at <= middle).unwrap().0
}

fn flip_list(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// `verify` names something of this kind, with what to do; `status` does not claim to be ready, `doctor` complains.
fn named(node: &Node, place: &str, part: &str, words: &[&str]) {
    let verified = node.run(&["verify"]).exits(1).json();
    let problems = verified["problems"].as_array().unwrap().clone();
    let found: Vec<&Value> = problems.iter().filter(|problem| problem["part"] == part).collect();
    assert!(!found.is_empty(), "{place}: {verified:#}");
    let text = serde_json::to_string(&found).unwrap();
    says(&text, words);
    // The name of a chunk is hex, and may happen to say anything that can be said in it.
    let names = found.iter().filter_map(|problem| problem["what"].as_str()).chain([place]);
    let without_names = names.fold(text.clone(), |text, name| text.replace(name, ""));
    for raw in ["aead", "Error", "XChaCha", "sqlx"] {
        assert!(!without_names.contains(raw), "{place}: {text}");
    }
    assert!(problems.iter().all(|problem| !problem["advice"].as_str().unwrap().is_empty()), "{place}");
    let status = node.run(&["status"]).exits(1).json();
    let check = status["checks"].as_array().unwrap().iter().find(|check| check["name"] == "verify").unwrap().clone();
    assert_eq!((&status["ready"], &check["level"]), (&false.into(), &"critical".into()), "{place}: {check:#}");
    let doctor = node.run(&["doctor"]).exits(1).json();
    says(&doctor.to_string(), &["things stored are damaged"]);
}

const TAKERS: &str = "type = 4";

#[test]
fn a_flipped_byte_on_local_is_named_and_fetched_again() {
    if !has_python() {
        return;
    }
    let mut central = central_with_test();
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    local.is_whole();
    let places = [
        ("replica_entry", "body", TAKERS, "data", "body is damaged"),
        ("replica_entry", "digest", TAKERS, "data", "another digest"),
        ("replica_entry", "body", "type = 5", "data", "body is damaged"),
        ("replica_link", "value", "1", "data", "links is damaged"),
        ("replica_type", "set_digest", TAKERS, "data", "type test-taker"),
        ("replica_type", "count", TAKERS, "data", "sum or counts differ"),
        ("package", "compiled", "1", "package", "damaged in the database"),
        ("package", "tree", "1", "package", "damaged in the database"),
        ("package", "key", "1", "package", "damaged in the database"),
    ];
    for (table, column, filter, part, words) in places {
        let place = format!("{table}.{column}");
        flip(&local, table, column, filter);
        named(&local, &place, part, &[words, "sync all"]);
        local.sync();
        local.run(&["status"]).done();
        local.is_whole();
    }
    let files = chunk_files(&local);
    assert!(files.iter().any(|file| is_pack(file)) && !files.iter().all(|file| is_pack(file)), "{files:?}");
    for file in files {
        flip_file(&file);
        let name = chunk_in_the_middle(&file);
        named(&local, &name, "chunk", &[&name, "is damaged", "sync all"]);
        local.sync();
        local.is_whole();
    }
    for file in chunk_files(&local).into_iter().filter(|file| is_pack(file)) {
        flip_list(&file);
        named(&local, "list of a pack", "chunk", &["is missing", "sync all"]);
        local.sync();
        local.is_whole();
    }
    server.stop().exits(0);
}

#[test]
fn a_flipped_byte_at_central_is_named_and_mended_where_it_can_be() {
    if !has_python() {
        return;
    }
    let mut central = central_with_test();
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    central.is_whole();
    for (table, column, filter) in [
        ("entity", "digest", "types = 16"),
        ("entity", "shown", "types = 16"),
        ("scope_entry", "digest", "scope = 1 AND type = 4 AND present = 1"),
        ("scope_type", "set_digest", "scope = 1 AND type = 4"),
        ("scope_type", "count", "scope = 1 AND type = 4"),
        ("scope_link", "value_id", "scope = 1 AND present = 1"),
    ] {
        flip(&central, table, column, filter);
        named(&central, &format!("{table}.{column}"), "data", &["verify --mend"]);
        let mended = central.run(&["verify", "--mend"]).done();
        assert!(mended["mended"].as_u64().unwrap() > 0, "{table}.{column}: {mended:#}");
        local.sync();
        local.is_whole();
        central.is_whole();
    }
    for (table, column, filter, part, words) in [
        ("entity", "body", "types = 16", "data", "body is damaged"),
        ("relation", "target", "linked = 1", "data", "a backup"),
        ("package", "key", "1", "package", "damaged in the database"),
    ] {
        let told = flip(&central, table, column, filter);
        named(&central, &format!("{table}.{column}"), part, &[words, "backup"]);
        flip_back(&central, table, column, &told);
        central.is_whole();
    }
    server.stop().exits(0);
}

#[test]
fn a_part_of_a_test_damaged_at_central_comes_back_by_publishing_it_again() {
    let mut central = central_with_test();
    let package = central.file("again.zip", taosync_packages::demo_package());
    for (at, file) in chunk_files(&central).into_iter().enumerate() {
        if at % 2 == 0 {
            flip_file(&file);
        } else {
            std::fs::remove_file(&file).unwrap();
        }
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        named(&central, &name, "chunk", &[&name, "publish the same package again"]);
        central.run(&["delivery", "publish", arg(&package), "--label", "Maths, grade 6", "--uri", MATHS]).done();
        central.is_whole();
        central.run(&["status"]).done();
    }
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    local.is_whole();
    local.run(&["status"]).done();
    server.stop().exits(0);
}

#[test]
fn mending_goes_on_around_a_body_that_cannot_be_read() {
    if !has_python() {
        return;
    }
    let central = central_with_test();
    // Takers name their eligibility: what each org sees of them depends on it.
    flip(&central, "entity", "body", "types = 16");
    flip(&central, "scope_entry", "digest", "scope = 1 AND type = 5 AND present = 1");
    flip(&central, "scope_type", "count", "scope = 1 AND type = 4");
    let before = central.run(&["verify"]).exits(1).json();
    let verified = central.run(&["verify", "--mend"]).exits(1).json();
    assert!(verified["mended"].as_u64().unwrap() >= 2, "{verified:#}");
    let problems = verified["problems"].as_array().unwrap();
    assert!(problems.len() < before["problems"].as_array().unwrap().len(), "{before:#} {verified:#}");
    let damaged = problems.iter().filter(|p| p["problem"].as_str().unwrap().contains("body is damaged"));
    let what: Vec<&str> = damaged.map(|problem| problem["what"].as_str().unwrap()).collect();
    assert_eq!(what.len(), 1, "{verified:#}");
    assert!(problems.iter().all(|problem| problem["what"] == what[0]), "only this one is left: {verified:#}");
}

#[test]
fn a_flipped_byte_in_a_result_or_a_receipt_is_named_on_both_sides() {
    if !has_python() {
        return;
    }
    let mut central = central_with_test();
    let server = central.serve();
    let mut local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let school = local.serve();
    let attempt = sit(&RunnerClient::new(&local, &school), 0);
    local.is_whole();
    let told = flip(&local, "outbox_content", "payload", "1");
    named(&local, "outbox_content.payload", "result", &[&attempt, "stored answers are damaged"]);
    flip_back(&local, "outbox_content", "payload", &told);
    assert_eq!(local.sync()["results"]["sent"], 1);
    for (node, table, column, words) in [
        (&local, "outbox_content", "payload", "stored answers are damaged"),
        (&local, "outbox", "digest", "another payload than its row"),
        (&local, "outbox_receipt", "signature", "not what central has signed"),
        (&central, "received", "payload", "stored answers are damaged"),
        (&central, "received", "digest", "another payload than its row"),
    ] {
        let told = flip(node, table, column, "1");
        named(node, &format!("{table}.{column}"), "result", &[&attempt, words, "backup"]);
        flip_back(node, table, column, &told);
        node.is_whole();
    }
    school.stop().exits(0);
    server.stop().exits(0);
}
