//! Nothing personal and nothing secret can be read in what a node writes: words are planted in every field that people
//! fill, an exam is held, and every byte on the disks of both servers is searched for them, while they run and after.

mod search;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taosync_model::vocabulary;
use tempfile::TempDir;

use super::browser::{Browser, add_account};
use super::node::{Node, Server};
use super::people::{MATHS, taker_uri};
use super::run::arg;
use super::runner_client::RunnerClient;
use search::{Find, Needle, below, forms, within};

/// In everything that is planted; what follows says where. No word of any language, and of no case, as logins have none.
const MARK: &str = "zq9kanarie7vogel";
const PASSPHRASE: &str = "a passphrase that nobody guesses";

fn planted(field: &str) -> String {
    format!("{MARK} {field}")
}

/// Both servers, below one directory that is searched; what people bring lies outside.
struct Stage {
    home: TempDir,
    outside: TempDir,
    central: Node,
    local: Node,
    needles: Vec<Needle>,
    logs: String,
    finds: Vec<String>,
}

impl Stage {
    fn new() -> Self {
        let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(home.path().join("tmp")).unwrap();
        let node = |role: &str| {
            let mut node = Node::init_in(role, &home.path().join(role));
            node.set("TMPDIR", home.path().join("tmp").display());
            node.set("TAOSYNC_LOG", "trace");
            node
        };
        let (central, local) = (node("central"), node("local"));
        let key = local.made["runner_key"].as_str().unwrap();
        let needles = vec![Needle::new("planted", MARK), Needle::new("runner key", key)];
        Self { home, outside, central, local, needles, logs: String::new(), finds: Vec::new() }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.outside.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A command that must succeed; what it logs is kept.
    fn run(&mut self, role: &str, arguments: &[&str]) -> Value {
        let node = if role == "central" { &self.central } else { &self.local };
        let run = node.run(arguments);
        self.logs.push_str(&run.err);
        run.done()
    }

    fn stop(&mut self, server: Server) {
        let run = server.stop();
        self.logs.push_str(&run.err);
        run.exits(0);
    }

    /// Looks at everything on both disks and in the logs; what is found is told at the end, all together.
    fn search(&mut self, moment: &str) {
        let (bytes, mut finds) = below(self.home.path(), &["keys"], &self.needles);
        assert!(bytes > 500_000, "{moment}: only {bytes} bytes were searched");
        finds.extend(within(Path::new("logs"), self.logs.as_bytes(), &self.needles));
        self.finds.extend(finds.iter().map(|find| format!("{moment}: {}", find.told())));
    }
}

#[test]
fn nothing_that_people_entered_is_readable_on_any_disk() {
    let mut stage = Stage::new();
    bring_in(&mut stage);
    let account = |stage: &Stage, role: &str| {
        let node = if role == "central" { &stage.central } else { &stage.local };
        add_account(node, &planted("account"), &planted("account password"), &["--role", "administrator"]);
    };
    account(&stage, "central");
    account(&stage, "local");
    stage.search("central is filled");
    let server = stage.central.serve();
    join(&mut stage);
    stage.run("local", &["sync", "all"]);
    let school = stage.local.serve();
    let runner = RunnerClient::new(&stage.local, &school);
    hold_exam(&stage, &runner);
    visit(&mut stage, &server, &school);
    assert!(
        stage.home.path().join("local/taosync.sqlite-wal").metadata().unwrap().len() > 0,
        "the log is searched too"
    );
    stage.search("an exam was held, nothing handed in");
    let summary = stage.run("local", &["sync", "all"]);
    assert!(summary["results"]["sent"].as_u64().unwrap() >= 4, "{summary:#}");
    stage.search("handed in, both servers running");
    for role in ["central", "local"] {
        let passphrase = stage.file("passphrase", PASSPHRASE);
        let backup = stage.home.path().join(format!("{role}.age"));
        stage.run(role, &["backup", arg(&backup), "--passphrase-file", arg(&passphrase)]);
        stage.run(role, &["verify"]);
        stage.run(role, &["status"]);
        stage.run(role, &["history"]);
        stage.run(role, &["doctor"]);
    }
    stage.search("backups were made");
    stage.stop(school);
    stage.stop(server);
    assert!(stage.logs.contains("TRACE"), "the logs are as loud as they can be");
    stage.search("all is over");
    keys_are_rotated(&mut stage);
    let finds = &stage.finds;
    assert!(finds.is_empty(), "{} finds:\n{}", finds.len(), finds[..finds.len().min(60)].join("\n"));
    the_search_finds_what_is_there(&stage);
}

/// Everything is sealed anew with a fresh key; with the older one gone, nothing that was sealed is lost.
fn keys_are_rotated(stage: &mut Stage) {
    let server = stage.central.serve();
    for role in ["central", "local"] {
        let rotated = stage.run(role, &["keys", "rotate"]);
        assert!(rotated["resealed"].as_u64().unwrap() > 20, "{rotated:#}");
        assert_eq!(rotated["older_forgotten"], role == "local", "central's server runs: {rotated:#}");
    }
    stage.run("local", &["sync", "all"]);
    stage.stop(server);
    let again = stage.run("central", &["keys", "rotate"]);
    assert_eq!((&again["older_forgotten"], again["keys"].as_array().unwrap().len()), (&true.into(), 1), "{again:#}");
    let server = stage.central.serve();
    let school = stage.local.serve();
    let runner = RunnerClient::new(&stage.local, &school);
    let signed_in = runner.post("authenticate", &json!({"login": login(2), "password": password(2)}));
    let open = signed_in["deliveries"][0]["running"].as_str().map(str::to_owned);
    let attempt = runner.post("executions", &json!({"delivery": MATHS, "test_taker": taker_uri(2)}));
    assert!(open.is_none() || attempt["id"].as_str() == open.as_deref(), "{signed_in:#}");
    let id = attempt["id"].as_str().unwrap().to_owned();
    runner.post(&format!("executions/{id}/finish"), &json!({"state": "finished"}));
    let summary = stage.run("local", &["sync", "all"]);
    assert_eq!((&summary["results"]["sent"], &summary["digest_equal"]), (&1.into(), &true.into()), "{summary:#}");
    let shown = stage.run("central", &["results", "show", &id]);
    assert!(shown["attempt"].to_string().contains(&planted("answer")), "what was saved before the rotation is there");
    let listed = stage.run("local", &["execution", "list"]);
    assert!(listed.to_string().contains(&planted("reason")));
    assert!(stage.run("central", &["oauth", "list"]).to_string().contains(&planted("consumer")));
    assert!(
        stage.run("central", &["entity", "show", "https://exams.example/c#2"]).to_string().contains("long list 399")
    );
    for role in ["central", "local"] {
        let verified = stage.run(role, &["verify"]);
        assert_eq!(verified["ok"], true, "{verified:#}");
    }
    stage.stop(school);
    stage.stop(server);
    stage.search("after the rotation");
}

/// Somebody looks at the pages of both servers, and mistypes.
fn visit(stage: &mut Stage, central: &Server, school: &Server) {
    for (node, server) in [(&stage.central, central), (&stage.local, school)] {
        let mut browser = Browser::new(node, server);
        browser.sign_in(&planted("account"), &planted("wrong password"));
        assert!(!browser.is_signed_in());
        browser.sign_in(&planted("account"), &planted("account password"));
        assert!(browser.page("/overview").contains(MARK), "the page shows whose session it is");
        browser.page("/history");
        browser.page("/audit");
        stage.needles.push(Needle::new("cookie", browser.token()));
    }
}

/// The same search, with something to be found.
fn the_search_finds_what_is_there(stage: &Stage) {
    let path = stage.home.path().join("local/planted");
    let mut kinds = forms(MARK);
    kinds.push(("plain", zstd::encode_all(format!("only packed: {MARK}").repeat(3).as_bytes(), 3).unwrap()));
    for (form, bytes) in kinds {
        std::fs::write(&path, [b"before ".as_slice(), &bytes, b" after"].concat()).unwrap();
        let (_, finds) = below(stage.home.path(), &["keys"], &stage.needles);
        assert!(finds.iter().any(|Find { path: p, form: f, .. }| *p == path && *f == form), "{form} was not found");
    }
    // Any place in a longer text that was encoded, not only its beginning.
    for shift in 0..3 {
        let text = format!("{}{MARK} rest", "x".repeat(shift));
        std::fs::write(&path, base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text)).unwrap();
        assert!(!below(stage.home.path(), &["keys"], &stage.needles).1.is_empty(), "base64 shifted by {shift}");
    }
    std::fs::remove_file(&path).unwrap();
    let named = stage.home.path().join(format!("local/{MARK}"));
    std::fs::write(&named, "").unwrap();
    assert!(!below(stage.home.path(), &["keys"], &stage.needles).1.is_empty(), "a name of a file");
    std::fs::remove_file(named).unwrap();
}

fn login(n: usize) -> String {
    format!("{MARK}-login-{n}")
}

fn password(n: usize) -> String {
    format!("{MARK}-password-{n}")
}

/// People, centers and a test, with a planted word in every field.
fn bring_in(stage: &mut Stage) {
    let center = format!("uri,label,organisation id\nhttps://exams.example/c#1,{},A\n", planted("center"));
    let person = |role: &str, n: usize| {
        let fields = [planted(role), "fr-FR".into(), login(n), password(n), planted("first"), planted("last")];
        format!("{},{MARK}-{n}@mail.example,{}\n", fields.join(","), taker_uri(n))
    };
    let head = "label,interface language,login,password,first name,last name,mail,uri\n";
    let takers: String = std::iter::once(head.to_owned()).chain((0..3).map(|n| person("taker", n))).collect();
    let proctor = format!("{head}{}", person("proctor", 8)).replace(",uri\n", ",uri,test centers\n");
    let proctor = format!("{},https://exams.example/c#1\n", proctor.trim_end());
    let manager = "label,interface language,login,password,organisation id,first name,last name,mail\n".to_owned()
        + &[planted("manager"), "fr-FR".into(), login(9), password(9), "A".into(), planted("first"), planted("last")]
            .join(",")
        + &format!(",{MARK}-9@mail.example\n");
    for (kind, text) in
        [("test-centers", center), ("test-takers", takers), ("proctors", proctor), ("sync-managers", manager)]
    {
        let file = stage.file(&format!("{kind}.csv"), text);
        stage.run("central", &["import", kind, arg(&file)]);
    }
    let (note, long) = ("https://exams.example/p#note", "https://exams.example/p#long");
    stage.run("central", &["entity", "set", &taker_uri(0), note, &planted("property")]);
    let many: Vec<Value> = (0..400)
        .map(|n| json!({"predicate": long, "object": format!("{} {n}", planted("long list")), "lang": "en"}))
        .collect();
    let label = json!({"predicate": vocabulary::RDFS_LABEL, "object": planted("center"), "lang": ""});
    let org = json!({"predicate": vocabulary::ORGANISATION_ID, "object": "A", "lang": ""});
    let triples: Vec<Value> = [label, org].into_iter().chain(many).collect();
    let entity = json!({"uri": "https://exams.example/c#2", "type": "test-center",
        "class": vocabulary::CLASS_TEST_CENTER, "triples": triples});
    let file = stage.file("entities.jsonl", entity.to_string());
    stage.run("central", &["entity", "load", arg(&file)]);
    let package = stage.file("test.zip", package());
    stage.run("central", &["delivery", "publish", arg(&package), "--label", &planted("test"), "--uri", MATHS]);
    let logins: Vec<_> = (0..3).map(login).collect();
    let eligible =
        format!("test center,delivery,test takers\nhttps://exams.example/c#1,{MATHS},{}\n", logins.join("|"));
    let file = stage.file("eligibilities.csv", eligible);
    stage.run("central", &["import", "eligibilities", arg(&file)]);
}

/// A test whose files and their names hold planted words.
fn package() -> Vec<u8> {
    let mut demo = zip::ZipArchive::new(std::io::Cursor::new(taosync_packages::demo_package())).unwrap();
    let mut made = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for at in 0..demo.len() {
        let mut file = demo.by_index(at).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        made.start_file(file.name().unwrap().into_owned(), options).unwrap();
        let content = match String::from_utf8(content) {
            Ok(text) => text.replace("title=\"", &format!("title=\"{} ", planted("title"))).into_bytes(),
            Err(error) => error.into_bytes(),
        };
        made.write_all(&content).unwrap();
    }
    made.start_file(format!("{MARK}-name.txt"), options).unwrap();
    made.write_all(planted("content").repeat(50).as_bytes()).unwrap();
    made.finish().unwrap().into_inner()
}

fn join(stage: &mut Stage) {
    let user = planted("consumer");
    let generated = stage.run("central", &["oauth", "generate", "--org", "A", "--user", &user]);
    stage.needles.push(Needle::new("client secret", generated["secret"].as_str().unwrap()));
    stage.local.import(&generated).done();
}

/// Every field a test runner can fill; one attempt ends by somebody's word, with a reason.
fn hold_exam(stage: &Stage, runner: &RunnerClient) {
    let variable = |kind: &str, identifier: &str| {
        json!({"kind": kind, "identifier": identifier, "cardinality": "single", "base_type": "string",
               "values": [{"text": planted("answer")}]})
    };
    for n in 0..3 {
        let signed_in = runner.post("authenticate", &json!({"login": login(n), "password": password(n)}));
        assert_eq!(signed_in["test_taker"], taker_uri(n));
        let attempt = runner.post("executions", &json!({"delivery": MATHS, "test_taker": taker_uri(n)}));
        let id = attempt["id"].as_str().unwrap().to_owned();
        let item = json!({"identifier": "item-1", "sequence_index": 1, "session_status": "final"});
        let saved = json!([{"item": item, "variables": [variable("response", "RESPONSE"), variable("trace", "T")]}]);
        runner.save(&format!("executions/{id}/variables"), &saved);
        let entry = json!([{"at": "2026-05-12T08:00:00Z", "event": planted("event"), "by": planted("by"),
                            "data": {"note": planted("data")}}]);
        runner.save(&format!("executions/{id}/log"), &entry);
        runner.put(&format!("executions/{id}/position"), &json!({"at": planted("position")}));
        match n {
            0 => drop(runner.post(&format!("executions/{id}/finish"), &json!({"state": "finished"}))),
            1 => {
                let end = json!({"state": "terminated", "reason": planted("reason")});
                runner.post(&format!("executions/{id}/finish"), &end);
            }
            // One stays open.
            _ => continue,
        }
        runner.save(&format!("executions/{id}/log"), &entry);
    }
    let user = json!({"organisation_id": "A", "user": {"name": planted("lti"), "mail": format!("{MARK}@lti.example")}});
    runner.post("lti-users", &user);
    let wrong = json!({"login": login(0), "password": format!("{MARK}-wrong")}).to_string();
    assert_eq!(runner.ask("POST", "authenticate", wrong.as_bytes()).0, 401);
    // What cannot be read must not be quoted either.
    let broken = format!("{{\"login\": \"{}\", broken", planted("broken"));
    assert_eq!(runner.ask("POST", "authenticate", broken.as_bytes()).0, 400);
    assert!(stage.home.path().join("local/taosync.sqlite").exists());
}
