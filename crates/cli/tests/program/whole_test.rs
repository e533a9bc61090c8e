//! Whole tests, from the package to the result at central, through a test runner that was written from the docs alone.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taosync_packages::archive::pack::pack;

use super::candidate::{Knowledge, Sat, arrived, sit};
use super::exam::central_with_test;
use super::node::{Node, Server};
use super::people::{MATHS, centers, login, taker_uri, takers};
use super::run::arg;
use super::runner_client::RunnerClient;

/// TAO's tests that are sat, and how many items and files a candidate who knows everything meets.
const OF_TAO: &[(&str, usize, usize)] = &[
    ("qti-2.1/outcomeProcessing/SumScore.zip", 3, 6),
    ("qti-2.1/noItemResponse/LinearNonLinearMultipleTestParts.zip", 6, 0),
    ("qti-2.1/sharedStimulus/BasicSharedStimulus.zip", 3, 6),
    ("qti-2.1/timing/SeletionAndSectionTimeLimits.zip", 1, 0),
    ("qti-2.1/rubrics/RubricBlocksStylesheetsImages.zip", 2, 2),
    ("qti-2.2.1/categories/CategoriesWeights.zip", 3, 0),
];

fn delivery(number: usize) -> String {
    format!("https://exams.example/tests.rdf#test{number}")
}

/// A central with these packages, and a school whose takers 0 and 1 may sit them all.
struct School {
    central: Node,
    at_central: Server,
    local: Node,
    at_school: Server,
}

impl School {
    fn with(packages: &[PathBuf]) -> Self {
        let mut central = Node::central_with(&[("test-centers", centers(&["A"])), ("test-takers", takers(0..2))]);
        Self::publish(&central, packages);
        let at_central = central.serve();
        let mut local = Node::init("local");
        local.join(&central, &["A"]);
        local.sync();
        let at_school = local.serve();
        Self { central, at_central, local, at_school }
    }

    fn publish(central: &Node, packages: &[PathBuf]) {
        for (number, package) in packages.iter().enumerate() {
            let uri = delivery(number);
            central.run(&["delivery", "publish", arg(package), "--label", &uri, "--uri", &uri]).done();
        }
        let sits = |number| format!("Center A,{},{}|{}\n", delivery(number), login(0), login(1));
        let rows: String = (0..packages.len()).map(sits).collect();
        central.bring("eligibilities", &format!("test center,delivery,test takers\n{rows}")).done();
    }

    fn runner(&self) -> RunnerClient {
        RunnerClient::new(&self.local, &self.at_school)
    }

    /// Everything is handed in; what central holds is what was done.
    fn hand_in(self, sat: &[Sat]) {
        let summary = self.local.sync();
        assert_eq!(summary["results"]["sent"], sat.len(), "{summary:#}");
        for sat in sat {
            let shown = self.central.run(&["results", "show", &sat.id]).done();
            arrived(&shown["attempt"], sat);
        }
        self.at_school.stop().exits(0);
        self.at_central.stop().exits(0);
    }
}

fn asked(sat: &Sat) -> Vec<&str> {
    sat.items.iter().map(|item| item["identifier"].as_str().unwrap()).collect()
}

/// The fixture of QTI 3 as a package.
fn water(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/qti-3");
    let names = [
        "imsmanifest.xml",
        "test.xml",
        "items/boiling.xml",
        "items/guess.xml",
        "items/ice.xml",
        "items/rivers.xml",
        "shared/map.svg",
        "shared/rivers.xml",
        "styles/water.css",
        "styles/wave.svg",
    ];
    let files: Vec<_> = names.iter().map(|name| (*name, std::fs::read(root.join(name)).unwrap())).collect();
    let path = folder.join("water.zip");
    std::fs::write(&path, pack(files.iter().map(|(name, bytes)| (*name, bytes.as_slice()))).unwrap()).unwrap();
    path
}

#[test]
fn a_test_with_branches_is_taken_to_its_end_in_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let school = School::with(&[water(folder.path())]);
    let runner = school.runner();
    let clever = sit(&runner, &delivery(0), &taker_uri(0), Knowledge::Everything);
    assert_eq!(asked(&clever), ["ice", "boiling", "rivers"], "one of the two hard ones is selected");
    let score: Vec<_> = clever.outcomes.iter().map(|outcome| &outcome["values"][0]["text"]).collect();
    assert_eq!(score, ["expert", "4"], "the weight of ice counts twice");
    let tired = sit(&runner, &delivery(0), &taker_uri(1), Knowledge::Nothing);
    assert_eq!(asked(&tired), ["ice", "boiling"], "the hard part is for those who have a point");
    assert!(clever.files > tired.files && tired.files > 2, "{} and {} files", clever.files, tired.files);
    school.hand_in(&[clever, tired]);
}

#[test]
fn tests_of_tao_are_taken_to_their_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/qti");
    if !folder.is_dir() {
        eprintln!("SKIPPED: TAO's packages are not on this machine");
        return;
    }
    let packages: Vec<PathBuf> = OF_TAO.iter().map(|(name, ..)| folder.join(name)).collect();
    let school = School::with(&packages);
    let runner = school.runner();
    let sit = |number| sit(&runner, &delivery(number), &taker_uri(0), Knowledge::Everything);
    let sat: Vec<Sat> = (0..packages.len()).map(sit).collect();
    let met: Vec<_> = OF_TAO.iter().zip(&sat).map(|((name, ..), sat)| (*name, sat.items.len(), sat.files)).collect();
    assert_eq!(met, OF_TAO);
    school.hand_in(&sat);
}

/// Every request that changes or shows something, for an execution and a package.
pub fn requests(id: &str, package: &str) -> Vec<(&'static str, String)> {
    let save = "00000000-0000-4000-8000-000000000001";
    vec![
        ("POST", "authenticate".to_owned()),
        ("GET", "deliveries".to_owned()),
        ("GET", format!("delivery?uri={}", MATHS.replace('#', "%23"))),
        ("GET", format!("{package}/test")),
        ("GET", format!("{package}/compiled")),
        ("GET", format!("{package}/items/items/01-fraction/item.xml")),
        ("GET", format!("{package}/files/test.xml")),
        ("POST", "executions".to_owned()),
        ("GET", format!("executions/{id}")),
        ("PUT", format!("executions/{id}/variables/{save}")),
        ("PUT", format!("executions/{id}/log/{save}")),
        ("PUT", format!("executions/{id}/position")),
        ("POST", format!("executions/{id}/finish")),
        ("POST", format!("executions/{id}/reactivate")),
        ("POST", "lti-users".to_owned()),
    ]
}

/// Status and stable code of an answer that is a problem.
pub fn refused(runner: &RunnerClient, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let (status, answer) = runner.ask(method, path, body);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let problem: Value = serde_json::from_slice(&answer).unwrap_or_else(|_| panic!("{method} {path}: {status} {text}"));
    assert_eq!(problem["status"], status, "{method} {path}: {text}");
    (status, problem["code"].as_str().unwrap().to_owned())
}

#[test]
fn a_runner_that_errs_is_told_so_and_breaks_nothing() {
    let mut central = central_with_test();
    let server = central.serve();
    let mut local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let school = local.serve();
    let runner = RunnerClient::new(&local, &school);
    let attempt = runner.post("executions", &json!({"delivery": MATHS, "test_taker": taker_uri(0)}));
    let (id, package) = (attempt["id"].as_str().unwrap(), attempt["package_address"].as_str().unwrap());
    let told = |method: &str, path: &str, body: &[u8], status: u16, code: &str| {
        assert_eq!(refused(&runner, method, path, body), (status, code.to_owned()), "{method} {path}");
    };

    let stranger = RunnerClient::new(&local, &school).with_key("not-the-key");
    for (method, path) in requests(id, package) {
        let answer = refused(&stranger, method, &path, b"{}");
        assert_eq!(answer, (401, "runner_key_invalid".to_owned()), "{method} {path}");
    }
    let nobody = "00000000-0000-7000-8000-00000000000f";
    for id in [nobody, "not-an-id", "..", "%00"] {
        for (method, path) in requests(id, package).into_iter().filter(|(_, path)| path.starts_with("executions/")) {
            let body: &[u8] = if path.ends_with("finish") { b"" } else { b"[]" };
            told(method, &path, body, 404, "not_found");
        }
    }
    let rubbish: [&[u8]; 6] = [b"{", b"\xff\xfe", b"7", b"[{\"variables\":[{\"kind\":\"guess\"}]}]", b"{\"a\":1}", b""];
    for body in rubbish {
        for (method, path) in requests(id, package) {
            let takes_anything = path.ends_with("position") && serde_json::from_slice::<Value>(body).is_ok();
            let takes_nothing = method == "GET" || path.ends_with("reactivate") || path.ends_with("finish");
            if !takes_anything && !takes_nothing {
                told(method, &path, body, 400, "bad_request");
            }
        }
    }
    told("POST", &format!("executions/{id}/finish"), b"{\"state\":\"active\"}", 400, "bad_request");
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    for path in [format!("executions/{id}/position"), format!("executions/{id}/log/{nobody}")] {
        told("PUT", &path, &large, 413, "body_too_large");
    }
    for path in
        ["items/items/none.xml", "items/../test", "files/..%2f..%2fkeys%2fnode.key", "files/../../../x", "rubbish"]
    {
        told("GET", &format!("{package}/{path}"), b"", 404, "not_found");
    }
    told("DELETE", &format!("executions/{id}"), b"", 405, "method_not_allowed");
    assert_eq!(runner.get(&format!("executions/{id}"))["variables"], json!([]), "nothing of this was taken");

    runner.post(&format!("executions/{id}/finish"), &json!({}));
    told("PUT", &format!("executions/{id}/variables/{nobody}"), b"[]", 409, "execution_over");
    told("PUT", &format!("executions/{id}/position"), b"{}", 409, "execution_over");
    assert_eq!(runner.post(&format!("executions/{id}/finish"), &json!({"state": "terminated"}))["state"], "finished");
    let summary = local.sync();
    assert_eq!(summary["results"]["sent"], 1, "{summary:#}");
    school.stop().exits(0);
    server.stop().exits(0);
}
