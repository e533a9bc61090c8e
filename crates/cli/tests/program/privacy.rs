//! One person: what is held, as a file; the erasure, which reaches local servers, results that come later and older backups.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::exam::{central_with_test, sit};
use super::node::{Node, Server};
use super::people::{MATHS, taker_uri};
use super::run::{arg, says};
use super::runner_client::RunnerClient;

struct Exam {
    central: Node,
    server: Option<Server>,
    local: Node,
    school: Option<Server>,
    secret: String,
}

impl Exam {
    fn begin() -> Self {
        let mut central = central_with_test();
        let server = Some(central.serve());
        let mut local = Node::init("local");
        // As long as an attempt can be taken up again, whose it is stays here.
        local.set("TAOSYNC_RESULT_SERVICE__REACTIVATION_WINDOW_HOURS", 0);
        local.join(&central, &["A"]);
        local.sync();
        let school = Some(local.serve());
        let secret = arg(&central.file("passphrase", "correct horse battery staple\n")).to_owned();
        Self { central, server, local, school, secret }
    }

    fn sit(&self, taker: usize) -> String {
        sit(&RunnerClient::new(&self.local, self.school.as_ref().unwrap()), taker)
    }

    fn backup(&self, name: &str) -> std::path::PathBuf {
        let file = self.central.dir().with_file_name(name);
        self.central.run(&["backup", arg(&file), "--passphrase-file", &self.secret]).done();
        file
    }

    fn erase(&self, taker: usize) -> Value {
        self.central.run(&["subject", "erase", &taker_uri(taker), "--reason", "asked for"]).done()
    }

    fn restore(&self, to: &Node, backup: &Path, more: &[&str]) -> Value {
        let arguments = [&["restore", arg(backup), "--passphrase-file", &self.secret], more].concat();
        to.run(&arguments).done()
    }

    fn end(&mut self) {
        self.school.take().map(|server| server.stop().exits(0));
        self.server.take().map(|server| server.stop().exits(0));
    }
}

fn content(central: &Node, id: &str) -> String {
    central.run(&["results", "show", id]).out
}

fn knows(node: &Node, taker: usize) -> bool {
    node.run(&["entity", "show", &taker_uri(taker)]).code() == Some(0)
}

#[test]
fn a_person_is_exported_and_erased_also_from_what_comes_later() {
    let mut exam = Exam::begin();
    let (first, second) = (exam.sit(0), exam.sit(1));
    exam.local.sync();
    let file = exam.central.dir().with_file_name("person.json");
    let exported = exam.central.run(&["subject", "export", &taker_uri(0), arg(&file)]).done();
    assert_eq!((exported["entity"].as_bool(), exported["results"].as_u64()), (Some(true), Some(1)), "{exported:#}");
    let document = std::fs::read_to_string(&file).unwrap();
    says(&document, &["Zoé 0", "t00000@pupils.example", "eligibilities", &first, "\"content\""]);
    let hash = exam.central.run(&["entity", "show", &taker_uri(0)]).out;
    assert!(hash.contains("generis.rdf#password"), "{hash}");
    assert!(document.contains("not shown") && !document.contains("Zoé 1"), "{document}");
    exam.central.run(&["subject", "export", "urn:nobody", "x.json"]).failed(1, "TS-107");

    let slip = ["subject", "erase", "urn:nobody", "--reason", "a slip"];
    exam.central.run(&slip).failed(1, "TS-107");

    let late = exam.sit(2);
    assert_eq!(exam.erase(0)["answers"], 1);
    assert_eq!(exam.erase(0)["answers"], 0, "again changes nothing");
    assert_eq!(exam.erase(2)["entity"], true);
    assert!(!knows(&exam.central, 0) && knows(&exam.central, 1));
    exam.central.run(&["results", "show", &first]).failed(1, "TS-406");
    says(&content(&exam.central, &second), &["first"]);
    let out = exam.central.dir().with_file_name("all.csv");
    let left = exam.central.run(&["results", "export", "--format", "csv", "--out", arg(&out)]).done();
    assert_eq!((left["attempts"].as_u64(), left["gone"].as_u64()), (Some(1), Some(1)), "{left:#}");

    exam.local.sync();
    assert!(!knows(&exam.local, 0) && knows(&exam.local, 1), "gone from the school too");
    let listed = exam.central.results();
    assert!(listed.iter().any(|row| row["id"] == late.as_str()), "its receipt was given: {listed:#?}");
    exam.central.run(&["results", "show", &late]).failed(1, "TS-406");
    exam.central.is_whole();
    assert_eq!(exam.central.run(&["audit", "verify"]).done()["ok"], true);
    let log = exam.central.run(&["audit", "list", "--act", "subject", "--object", &taker_uri(0)]).done();
    assert_eq!(log["entries"].as_array().unwrap().len(), 4, "{log:#}");
    exam.end();
}

#[test]
fn an_older_backup_does_not_bring_an_erased_person_back() {
    let mut exam = Exam::begin();
    let id = exam.sit(0);
    exam.local.sync();
    let backup = exam.backup("before.age");
    exam.erase(0);
    let list = exam.central.dir().join("erased.json");
    assert!(!std::fs::read_to_string(&list).unwrap().contains("t00000"), "the list names nobody");
    exam.end();

    let target = tempfile::tempdir().unwrap();
    let without = Node::at(&target.path().join("without"));
    exam.restore(&without, &backup, &[]);
    assert!(knows(&without, 0), "without the list the backup is what it was");
    says(&content(&without, &id), &["first"]);

    let with = Node::at(&target.path().join("with"));
    let restored = exam.restore(&with, &backup, &["--erased", arg(&list)]);
    assert_eq!(restored["erased_again"], 1, "{restored:#}");
    assert!(!knows(&with, 0) && knows(&with, 1));
    with.run(&["results", "show", &id]).failed(1, "TS-406");
    with.is_whole();
    let listed = with.run(&["subject", "erased"]).done();
    assert_eq!(listed["erased"].as_array().unwrap().len(), 1);

    let replaced = exam.restore(&exam.central, &backup, &["--replace"]);
    assert_eq!(replaced["erased_again"], 1, "the list of the directory is taken by itself: {replaced:#}");
    assert!(!knows(&exam.central, 0));
    let wrong = exam.central.file("wrong.json", "{}");
    let arguments = ["restore", arg(&backup), "--passphrase-file", &exam.secret, "--replace", "--erased", arg(&wrong)];
    exam.central.run(&arguments).failed(1, "TS-431");
}

#[test]
fn a_school_erases_its_copies_once_central_has_removed_the_people_and_holds_the_results() {
    let mut exam = Exam::begin();
    exam.sit(0);
    exam.sit(1);
    exam.local.sync();
    exam.erase(0);
    exam.local.sync();
    let purged = exam.local.run(&["retention", "run"]).done();
    assert_eq!(purged["kinds"][0]["due"], 0, "no backup holds it yet: {purged:#}");
    exam.backup("safe.age");
    exam.local.sync();
    exam.local.sync();
    let purged = exam.local.run(&["retention", "run"]).done();
    assert_eq!(purged["kinds"][0]["due"], 1, "{purged:#}");
    assert_eq!(exam.local.results().len(), 1, "the other one stays");
    exam.local.sync();
    let told = exam.central.run(&["audit", "list", "--act", "retention.purged"]).done();
    assert_eq!(told["entries"][0]["detail"]["copies"], 1, "central was told, signed: {told:#}");
    let own = exam.local.run(&["audit", "list", "--act", "retention.purge"]).done();
    assert_eq!(own["entries"].as_array().unwrap().len(), 1);
    exam.local.is_whole();
    exam.end();
}

#[test]
fn eligibilities_of_exams_that_are_over_go_and_the_school_follows() {
    let mut exam = Exam::begin();
    let end = "http://www.tao.lu/Ontologies/TAODelivery.rdf#PeriodEnd";
    exam.central.run(&["entity", "set", MATHS, end, "2020-01-01 12:00"]).done();
    let due = |central: &Node| {
        let plan = central.run(&["retention", "plan"]).done();
        let kinds = plan["kinds"].as_array().unwrap().clone();
        kinds.into_iter().find(|kind| kind["kind"] == "closed-exams").unwrap()
    };
    assert_eq!(
        (&due(&exam.central)["days"], &due(&exam.central)["due"]),
        (&Value::Null, &0.into()),
        "0 keeps for ever"
    );
    exam.central.set("TAOSYNC_RETENTION__CLOSED_EXAMS_DAYS", 30);
    assert_eq!(due(&exam.central)["due"], 2);
    exam.central.run(&["retention", "run"]).done();
    assert_eq!((exam.central.count("eligibility"), exam.central.count("test-taker")), (0, 10));
    exam.local.sync();
    assert_eq!((exam.local.count("eligibility"), exam.local.count("test-taker")), (0, 0));
    assert_eq!(
        exam.central.run(&["audit", "list", "--act", "retention"]).done()["entries"][0]["object"],
        "closed-exams"
    );
    exam.end();
}

#[test]
fn what_never_travels_stays_at_central_and_both_sides_are_equal() {
    let mut central = central_with_test();
    let mail = "http://www.tao.lu/Ontologies/generis.rdf#userMail";
    central.set("TAOSYNC_SYNC_SERVICE__NEVER_TRAVELS", format!("[\"{mail}\"]"));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    says(&central.run(&["entity", "show", &taker_uri(0)]).out, &["pupils.example", mail]);
    let there = local.run(&["entity", "show", &taker_uri(0)]).out;
    assert!(there.contains("Zoé 0") && !there.contains("pupils.example"), "{there}");
    server.stop().exits(0);
    central.set("TAOSYNC_SYNC_SERVICE__TEST_TAKER__FIELDS", format!("[\"{mail}\"]"));
    says(&central.run(&["retention", "plan"]).failed(1, "TS-002"), &["never_travels"]);
}

#[test]
fn a_study_gets_the_same_pseudonyms_every_time_and_no_names() {
    let mut exam = Exam::begin();
    exam.sit(0);
    exam.sit(1);
    exam.local.sync();
    let export = |name: &str, format: &str| {
        let out = exam.central.dir().with_file_name(name);
        let arguments = ["results", "export", "--format", format, "--pseudonymous", "--out", arg(&out)];
        assert_eq!(exam.central.run(&arguments).done()["attempts"], 2);
        std::fs::read_to_string(&out).unwrap()
    };
    let (one, two) = (export("one.csv", "csv"), export("two.csv", "csv"));
    assert_eq!(one, two);
    let lines = export("three.jsonl", "jsonl");
    let people: BTreeSet<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["envelope"]["test_taker"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(people.len(), 2, "{people:?}");
    assert!(people.iter().all(|person| person.starts_with("pseudonym:") && one.contains(person)), "{people:?}");
    for text in [&one, &lines] {
        assert!(text.contains("first"), "what was answered is there: {text}");
        assert!(!text.contains("takers.rdf") && !text.contains("t0000"), "{text}");
    }
    let sealed = ["results", "export", "--format", "sealed", "--pseudonymous", "--out", "x"];
    exam.central.run(&sealed).failed(2, "TS-010");
    exam.end();
}
