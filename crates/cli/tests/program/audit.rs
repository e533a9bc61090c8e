//! The audit log of both sides of an exam: what is in it, what is not, and that a cut or changed one is found out.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::Value;

use super::exam::{central_with_test, sit};
use super::node::Node;
use super::people::{MATHS, login, taker_uri};
use super::run::{arg, says};
use super::runner_client::RunnerClient;

fn entries(node: &Node) -> Vec<Value> {
    let listed = node.run(&["audit", "list", "--limit", "100000"]).done();
    let mut entries = listed["entries"].as_array().unwrap().clone();
    entries.reverse();
    entries
}

fn acts(node: &Node) -> BTreeSet<String> {
    entries(node).iter().map(|entry| entry["act"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn holds(node: &Node, wanted: &[&str]) {
    let acts = acts(node);
    for act in wanted {
        assert!(acts.contains(*act), "{act} is not in {acts:?}");
    }
}

/// Behind the program's back: what somebody does who may write the file.
fn tamper(node: &Node, statements: &str) {
    let python = "import sqlite3,sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()";
    let path = node.dir().join("taosync.sqlite");
    let done = std::process::Command::new("python3").args(["-c", python]).arg(path).arg(statements).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

const UNGUARDED: &str = "DROP TRIGGER audit_unchanged; DROP TRIGGER audit_undeleted; DROP TRIGGER audit_in_order;";

#[test]
fn every_act_of_an_exam_is_in_the_log_and_no_person_is() {
    let mut central = central_with_test();
    let server = central.serve();
    let mut local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let school = local.serve();
    let id = sit(&RunnerClient::new(&local, &school), 0);
    local.sync();
    local.sync();
    central.run(&["results", "show", &id]).done();
    let out = central.dir().with_extension("csv");
    central.run(&["results", "export", "--format", "csv", "--out", arg(&out)]).done();
    central.run(&["entity", "set", &taker_uri(1), "label", "Another"]).done();
    central.run(&["delivery", "withdraw", MATHS]).done();
    let key = central.run(&["oauth", "list"]).done()["consumers"][0]["key"].as_str().unwrap().to_owned();
    central.run(&["oauth", "revoke", &key]).done();
    school.stop().exits(0);
    server.stop().exits(0);
    holds(
        &central,
        &[
            "node.init",
            "import",
            "delivery.publish",
            "consumer.create",
            "token.issue",
            "feed.read",
            "delivery.keys",
            "results.receive",
            "sync.report",
            "results.show",
            "results.export",
            "entity.set",
            "delivery.withdraw",
            "consumer.revoke",
            "polls",
        ],
    );
    holds(&local, &["node.init", "remote.import", "taker.login"]);
    for node in [&central, &local] {
        assert_eq!(node.run(&["audit", "verify"]).done()["ok"], true);
        let log = serde_json::to_string(&entries(node)).unwrap();
        for personal in [login(0), login(1), "Zoé".into(), "Müller".into(), "Another".into(), "pupils.example".into()]
        {
            assert!(!log.contains(&personal), "{personal} stands in the log");
        }
    }
    // A person is found by the URI although the log does not name it.
    let about = central.run(&["audit", "list", "--object", &taker_uri(1)]).done();
    assert_eq!(about["entries"].as_array().unwrap().len(), 1, "{about:#}");
    says(about["entries"][0]["act"].as_str().unwrap(), &["entity.set"]);
}

#[test]
fn receipts_show_that_a_log_was_cut_or_written_anew() {
    let mut central = central_with_test();
    let server = central.serve();
    let mut local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let school = local.serve();
    sit(&RunnerClient::new(&local, &school), 0);
    local.sync();
    school.stop().exits(0);
    server.stop().exits(0);
    let heads = local.run(&["audit", "heads"]).done();
    let head = heads["heads"][0]["head"].as_str().unwrap().to_owned();
    let no: i64 = head.split_once(':').unwrap().0.parse().unwrap();
    let file = central.file("heads.json", heads.to_string());
    let verified = central.run(&["audit", "verify", "--head", &head, "--heads", arg(&file)]).done();
    assert_eq!((verified["ok"].as_bool(), verified["heads_compared"].as_u64()), (Some(true), Some(2)));
    let forged = central.file("forged.json", heads.to_string().replace("\"no\":", "\"no\":1"));
    central.run(&["audit", "verify", "--heads", arg(&forged)]).failed(1, "TS-421");
    central.run(&["audit", "heads"]).failed(1, "TS-005");
    central.run(&["audit", "verify", "--head", "7"]).exits(2);

    tamper(&central, &format!("{UNGUARDED} DELETE FROM audit WHERE no >= {no};"));
    assert_eq!(central.run(&["audit", "verify"]).done()["ok"], true, "by itself nothing shows");
    for against in [["--head", head.as_str()], ["--heads", arg(&file)]] {
        let run = central.run(&[&["audit", "verify"], &against[..]].concat());
        let found = run.failed(1, "TS-420");
        says(&found, &[&format!("entry {no} is missing")]);
    }
    tamper(&central, "UPDATE audit SET actor = 'somebody else' WHERE no = 2;");
    let found = central.run(&["audit", "verify"]).exits(1).json();
    assert_eq!((found["errors"][0]["no"].as_i64(), found["errors"][0]["how"].as_str()), (Some(2), Some("changed")));
}

#[test]
fn a_log_is_exported_whole_or_from_where_the_last_export_ended() {
    let central = Node::init("central");
    central.run(&["scope", "register", "A"]).done();
    let out = central.dir().with_extension("jsonl");
    let first = central.run(&["audit", "export", arg(&out)]).done();
    let lines: Vec<Value> =
        std::fs::read_to_string(&out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, entries(&central));
    let all = lines.len();
    assert!(all > 1 && first["entries"] == all && first["last"] == all, "{first:#}");
    central.run(&["audit", "export", arg(&out)]).failed(1, "TS-008");

    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let address = format!("udp://{}", listener.local_addr().unwrap());
    let before_last = (all - 1).to_string();
    let sent = central.run(&["audit", "export", "--syslog", &address, "--after", &before_last]).done();
    assert_eq!(sent["entries"], 1);
    let mut bytes = [0; 8_192];
    let length = listener.recv(&mut bytes).unwrap();
    let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(message.starts_with("<109>1 ") && message.contains(" scope.register [taosync@"), "{message}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    central.run(&["audit", "export", "--syslog", &address]).done();
    let stream = heard.join().unwrap();
    let (length, rest) = stream.split_once(' ').unwrap();
    let (message, second) = rest.split_at(length.parse().unwrap());
    assert!(message.contains(" node.init [") && second.contains("<109>1 "), "{stream}");

    let path = central.dir().with_extension("sock");
    let listener = UnixDatagram::bind(&path).unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    central.run(&["audit", "export", "--syslog", &format!("unix:{}", path.display())]).done();
    let length = listener.recv(&mut bytes).unwrap();
    assert!(bytes[..length].starts_with(b"<109>1 "));
    central.run(&["audit", "export", "--syslog", "tcp://127.0.0.1:1"]).failed(1, "TS-422");
    central.run(&["audit", "export"]).exits(2);
}
