//! A promise is made only after it has reached the disk: the system calls of the real server show it.

mod trace;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::exam::central_with_test;
use super::node::{Node, Server};
use super::people::{MATHS, taker_uri};
use super::run::{PATIENCE, arg};
use trace::{Trace, unkept};

const PLAIN: &str = "TAOSYNC_PLAIN_HTTP";
/// Handed in by requests of [`AT_ONCE`], so that several batches are answered.
const ITEMS: usize = 130;
const AT_ONCE: usize = 50;

fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok_and(|run| run.status.success());
    if !found {
        eprintln!("SKIPPED: strace is not installed, so nobody watches when the server reaches the disk");
    }
    found
}

/// The server with every call that matters written to a file. strace is the grandchild: signals reach the server.
fn watched(node: &mut Node, file: &Path) -> Server {
    let calls = "trace=fsync,fdatasync,pwrite64,read,recvfrom,recvmsg,write,writev,sendto,sendmsg";
    node.serve_under(&["strace", "-D", "-f", "-yy", "-s", "4096", "-e", calls, "-o", arg(file)])
}

fn read_trace(file: &Path) -> Trace {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        if text.contains("+++ exited with") {
            return Trace::of(&text);
        }
        assert!(Instant::now() < until, "the trace does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One request of a runner over plain HTTP, so that the trace shows its words.
fn ask(node: &Node, server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let address = server.url.trim_start_matches("http://");
    let key = std::fs::read_to_string(node.dir().join("keys/runner.key")).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} /api/v1/runner/{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        key.trim(),
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{path}: {answer}");
    serde_json::from_str(body).unwrap_or_default()
}

/// A local server that has the test, and its central; both speak plain HTTP.
fn school() -> (Node, Server, Node) {
    let mut central = central_with_test();
    central.set(PLAIN, true);
    let server = central.serve();
    let generated = central.run(&["oauth", "generate", "--org", "A"]).done();
    let mut local = Node::init("local");
    local.set(PLAIN, true);
    let word = |name: &str| generated[name].as_str().unwrap();
    let (token_url, root_url) = (format!("{}/api/v1/oauth/token", server.url), format!("{}/", server.url));
    let import = ["oauth", "import", "-k", word("key"), "-s", word("secret"), "-tu", &token_url, "-u", &root_url];
    local.run(&import).done();
    local.sync();
    (central, server, local)
}

fn trace_file(node: &Node) -> PathBuf {
    node.dir().join("calls.trace")
}

#[test]
fn an_attempt_is_on_disk_before_its_end_is_confirmed() {
    if !has_strace() {
        return;
    }
    let (_central, server, mut local) = school();
    let file = trace_file(&local);
    let watched = watched(&mut local, &file);
    for taker in 0..3 {
        let new = json!({"delivery": MATHS, "test_taker": taker_uri(taker)});
        let attempt = ask(&local, &watched, "POST", "executions", &new);
        let id = attempt["id"].as_str().unwrap();
        let ended = ask(&local, &watched, "POST", &format!("executions/{id}/finish"), &Value::Null);
        assert_eq!(ended["state"], "finished");
    }
    ask(&local, &watched, "GET", "deliveries", &Value::Null);
    watched.stop().exits(0);
    let trace = read_trace(&file);
    let finishes = trace.exchanges(|request| request.contains("/finish HTTP/1.1"));
    assert_eq!(finishes.len(), 3, "every finish is seen");
    assert_eq!(unkept(&trace, &finishes), Vec::<String>::new());
    // What promises nothing is answered without the disk: the check sees the difference.
    let asked = trace.exchanges(|request| request.contains("GET /api/v1/runner/deliveries HTTP/1.1"));
    assert_eq!((asked.len(), unkept(&trace, &asked).len()), (1, 1));
    server.stop().exits(0);
}

#[test]
fn items_are_on_disk_before_their_receipts_leave() {
    if !has_strace() {
        return;
    }
    let (mut central, server, mut local) = school();
    server.stop().exits(0);
    local.set("TAOSYNC_RESULT_SERVICE__CHUNK_SIZE", AT_ONCE);
    let files: Vec<_> =
        (0..ITEMS).map(|n| local.file(&format!("r{n}.xml"), super::results_xml::result(n % 6, 1 + n / 6))).collect();
    let mut submit = vec!["execution", "submit"];
    submit.extend(files.iter().map(|file| arg(file)));
    local.run(&submit).done();
    let file = trace_file(&central);
    let watched = watched(&mut central, &file);
    let done = local.run(&["sync", "results"]).done();
    assert!(done["results"]["sent"].as_u64().unwrap() >= ITEMS as u64, "{done:#}");
    watched.stop().exits(0);
    let trace = read_trace(&file);
    let handed_in = trace.exchanges(|request| request.contains("POST /api/v1/outbox HTTP/1.1"));
    let answers: usize = handed_in.iter().map(|exchange| exchange.answers.len()).sum();
    assert!(answers >= ITEMS.div_ceil(AT_ONCE), "receipts of every batch are seen, not {answers} answers");
    assert_eq!(unkept(&trace, &handed_in), Vec::<String>::new());
}
