//! Bringing data in: what is wrong is named with file, line and column, and changes nothing; what is right is taken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use super::node::Node;
use super::people::{centers, eligibility, login, maths, school, taker_uri, takers};
use super::run::{arg, says};

/// What everything at central comes to.
fn state(central: &Node) -> Value {
    central.run(&["scope", "list"]).done()
}

fn tally(document: &Value) -> [u64; 4] {
    ["created", "updated", "unchanged", "removed"].map(|name| document[name].as_u64().unwrap())
}

fn staff(login: &str, column: &str, value: &str) -> String {
    format!("label,interface language,login,password,{column}\nAda,fr-FR,{login},secret-{login},{value}\n")
}

#[test]
fn each_kind_is_taken_and_the_same_file_twice_changes_nothing() {
    let central = Node::central_with(&[("test-centers", centers(&["A", "007"])), ("entities", maths())]);
    let files = [
        ("test-centers", centers(&["A", "007"])),
        ("administrators", staff("admin", "test centers", "Center A|Center 007")),
        ("proctors", staff("proctor", "Test Centers", "Center A")),
        ("sync-managers", staff("manager", "organisation id", "007")),
        ("test-takers", takers(0..5)),
        ("eligibilities", eligibility("A", 0..5)),
    ];
    for (kind, text) in &files {
        let first = central.bring(kind, text).done();
        let created = u64::from(*kind != "test-centers") * if *kind == "test-takers" { 5 } else { 1 };
        assert_eq!(first["created"], created, "{kind}: {first:#}");
    }
    let before = state(&central);
    for (kind, text) in &files {
        let [created, updated, unchanged, removed] = tally(&central.bring(kind, text).done());
        assert_eq!((created, updated, removed), (0, 0, 0), "{kind}");
        assert!(unchanged > 0, "{kind}");
    }
    assert_eq!(state(&central), before);
    let orgs: Vec<_> =
        before["scopes"].as_array().unwrap().iter().map(|scope| scope["org"].as_str().unwrap()).collect();
    assert!(orgs.contains(&"007"), "ids are text: {orgs:?}");
}

#[test]
fn an_import_leaves_no_log_of_its_size() {
    let central = Node::init("central");
    central.bring("test-takers", &takers(0..2_000)).done();
    let size = |name: &str| std::fs::metadata(central.dir().join(name)).map_or(0, |file| file.len());
    assert!(size("taosync.sqlite") > 2_000_000, "it went into the database");
    assert_eq!(size("taosync.sqlite-wal"), 0);
    assert_eq!(central.count("test-taker"), 2_000);
}

#[test]
fn a_wrong_line_is_named_and_changes_nothing() {
    let central = Node::central_with(&school("A", 0..5));
    let before = (state(&central), central.count("test-taker"));
    let good = takers(10..12);
    let wrong: Vec<(&str, String, u64, &str)> = vec![
        ("test-takers", good.replace(",t00011,", ",,"), 3, "login"),
        (
            "test-takers",
            format!("{good}Twin,fr-FR,t00010,secret-1,F,L,m@x.example,urn:twin\n"),
            4,
            "the same login as on line 2",
        ),
        ("test-takers", good.replacen("label,", "lable,", 1), 1, "lable"),
        ("test-takers", format!("{good}\"never closed,fr-FR,x,secret-1\n"), 4, "quote"),
        ("test-centers", "label,organisation id\nX,X1\n,X2\n".to_owned(), 3, "label"),
        ("administrators", staff("a", "test centers", "No Such Center"), 2, "No Such Center"),
        ("proctors", staff("p", "test centers", "Center A|Nowhere"), 2, "Nowhere"),
        ("sync-managers", staff("m", "organisation id", "").replace(",\n", ",\"\"\n"), 2, "organisation"),
        ("eligibilities", eligibility("A", [1, 99]), 2, "entry 2"),
        ("eligibilities", eligibility("Z", [1]), 2, "Center Z"),
    ];
    for (kind, text, line, word) in wrong {
        let run = central.bring(kind, &text).exits(1);
        let document = run.json();
        assert_eq!(document["error"]["code"], "TS-401", "{kind}: {document:#}");
        let errors = document["errors"].as_array().unwrap();
        let at_line = |error: &&Value| error["line"] == line && error.to_string().contains(word);
        let named = errors.iter().find(at_line).unwrap_or_else(|| panic!("{kind} line {line} {word}: {document:#}"));
        assert!(named["file"].as_str().unwrap().ends_with(&format!("{kind}.csv")), "{named:#}");
        assert!(!named["advice"].as_str().unwrap().is_empty(), "{named:#}");
        says(document["error"]["message"].as_str().unwrap(), &["nothing was changed"]);
    }
    let missing_cell = good.replace(",t00011,", ",,");
    let document = central.bring("test-takers", &missing_cell).exits(1).json();
    assert!(document["errors"][0]["column"].as_str().is_some(), "the column is named: {document:#}");
    assert_eq!((state(&central), central.count("test-taker")), before);
}

/// A file is planned and written in parts of 2,000 rows.
#[test]
fn what_is_wrong_far_below_undoes_what_was_written_above() {
    const ROWS: usize = 4_100;
    let central = Node::central_with(&[("test-centers", centers(&["A"])), ("test-takers", takers(0..1))]);
    central.bring("administrators", &staff("admin", "test centers", "Center A")).done();
    let before = (state(&central), central.count("test-taker"));
    // The first row names taker 0 by its login only; far below the same one is named by its URI, with another login.
    let rows = takers(0..ROWS).replacen(&taker_uri(0), "", 1);
    let twin = format!("Twin,fr-FR,other,secret,F,L,m@x.example,{}\n", taker_uri(0));
    let admin = "Ada,fr-FR,admin,secret,F,L,m@x.example,urn:ada\n";
    let document = central.bring("test-takers", &format!("{rows}{twin}{admin}")).exits(1).json();
    let told: Vec<(u64, &str)> = document["errors"].as_array().unwrap().iter().map(said).collect();
    let line = ROWS as u64 + 2;
    assert!(
        matches!(told[..], [(a, twice), (b, taken)] if a == line && twice.contains("as on line 2")
        && b == line + 1 && taken.contains("the login belongs to")),
        "{told:?}"
    );
    assert_eq!((state(&central), central.count("test-taker")), before);
    assert_eq!(central.bring("test-takers", &rows).done()["created"], ROWS - 1);
}

fn said(error: &Value) -> (u64, &str) {
    (error["line"].as_u64().unwrap(), error["message"].as_str().unwrap())
}

#[test]
fn separators_marks_and_encodings() {
    let central = Node::init("central");
    let rows =
        |separator: &str, org: &str| format!("Label;ORGANISATION ID\nÉcole {org};{org}\n").replace(';', separator);
    central.bring("test-centers", &rows(";", "007")).done();
    central.bring("test-centers", &rows("\t", "1e5")).done();
    central.bring("test-centers", &format!("\u{feff}{}", rows(",", "01.10"))).done();
    let candidates = state(&central).to_string();
    says(&candidates, &["\"007\"", "\"1e5\"", "\"01.10\""]);
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(rows(",", "X").encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let latin1: Vec<u8> = rows(",", "X").chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    for (bytes, name) in [(utf16, "UTF-16"), (latin1, "Latin-1")] {
        let file = central.file("encoded.csv", bytes);
        let message = central.run(&["import", "test-centers", arg(&file)]).failed(1, "TS-401");
        says(&message, &[name]);
    }
    assert_eq!(central.count("test-center"), 3);
}

#[test]
fn a_dry_run_changes_nothing_and_a_large_removal_asks() {
    let central = Node::central_with(&school("A", 0..20));
    let file = central.file("more.csv", takers(0..30));
    let import = ["import", "test-takers", arg(&file), "--dry-run"];
    let said = central.run(&import).done();
    assert_eq!((said["dry_run"].as_bool(), said["created"].as_u64()), (Some(true), Some(10)));
    assert_eq!(central.count("test-taker"), 20);

    let fewer = central.file("fewer.csv", eligibility("A", 0..10));
    let before = state(&central);
    let message = central.run(&["import", "eligibilities", arg(&fewer)]).failed(1, "TS-402");
    says(&message, &["10 of 20", "--yes", "--dry-run"]);
    let said = central.run(&["import", "eligibilities", arg(&fewer), "--dry-run"]).done();
    assert_eq!(said["orgs"][0]["left"], 10, "{said:#}");
    assert_eq!(state(&central), before);
    central.run(&["import", "eligibilities", arg(&fewer), "--yes"]).done();
    assert_eq!(central.run(&["entity", "list", "--type", "test-taker", "--org", "A"]).done()["count"], 10);
}

/// Each of two small edits is ordinary, both together are half of a small school: local asks, central answers.
#[test]
fn removals_held_by_a_local_are_approved_at_central() {
    let mut central = Node::central_with(&school("A", 0..4));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    central.bring("eligibilities", &eligibility("A", 0..3)).done();
    central.bring("eligibilities", &eligibility("A", 0..2)).done();
    let held = local.run(&["sync", "all"]).done();
    assert_eq!((&held["status"], &held["held_removals"]), (&"partial".into(), &2.into()), "{held:#}");
    assert_eq!((&held["held"][0]["type"], &held["held"][0]["count"]), (&"test-taker".into(), &2.into()), "{held:#}");
    let check = |node: &Node| {
        let status = node.run(&["status"]).json();
        let checks = status["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "removals").unwrap()
    };
    let here = check(&local);
    assert_eq!((&here["level"], &here["value"]["held"]), (&"warning".into(), &2.into()), "{here:#}");
    says(&here.to_string(), &["scope approve-removals", "--accept-removals", &taker_uri(2)]);
    let there = check(&central);
    assert_eq!((&there["value"]["held"], &there["value"]["orgs"]["A"]), (&2.into(), &2.into()), "{there:#}");
    says(&there.to_string(), &["scope approve-removals"]);

    central.run(&["scope", "approve-removals", "B"]).failed(1, "TS-403");
    let none = central.run(&["scope", "approve-removals", "A", "--type", "proctor"]).done();
    assert_eq!(none["approved"], serde_json::json!({}));
    assert_eq!(local.run(&["sync", "data"]).done()["held_removals"], 2);
    let approved = central.run(&["scope", "approve-removals", "A"]).done();
    assert_eq!(approved["approved"]["test-taker"], 2, "{approved:#}");
    let done = local.sync();
    assert_eq!((&done["held_removals"], &done["types"]["test-taker"]["removed"]), (&0.into(), &2.into()), "{done:#}");
    assert_eq!((&check(&local)["ok"], &check(&central)["ok"]), (&true.into(), &true.into()));
    // The last of a type, removed by name at central, needs no second word.
    let center = central.run(&["entity", "list", "--type", "test-taker", "--org", "A"]).done();
    for entity in center["entities"].as_array().unwrap() {
        central.run(&["entity", "remove", entity["uri"].as_str().unwrap()]).done();
    }
    assert_eq!(local.sync()["types"]["test-taker"]["removed"], 2);
    server.stop().exits(0);
}

#[test]
fn entities_are_loaded_changed_shown_and_removed() {
    let central = Node::central_with(&school("A", 0..3));
    let triple = |predicate: &str, object: &str, lang: &str| serde_json::json!({"predicate": predicate, "object": object, "lang": lang});
    let label = "http://www.w3.org/2000/01/rdf-schema#label";
    let class = "http://www.w3.org/2000/01/rdf-schema#Class";
    let sub_class = "http://www.w3.org/2000/01/rdf-schema#subClassOf";
    let subject = "http://www.tao.lu/Ontologies/TAOSubject.rdf#Subject";
    let lines = [
        serde_json::json!({"uri": "urn:grade6", "type": "class", "class": class,
            "triples": [triple(label, "Grade 6", ""), triple(sub_class, subject, "")]}),
        serde_json::json!({"uri": "urn:zoe", "type": "test-taker", "class": "urn:grade6",
            "triples": [triple(label, "Zoé", "fr-FR"), triple("urn:own", "twice", ""), triple("urn:own", "twice", "")]}),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    assert_eq!(tally(&central.bring("entities", &text).done())[0], 2);
    assert_eq!(tally(&central.bring("entities", &text).done()), [0, 0, 2, 0]);
    let shown = central.run(&["entity", "show", "urn:zoe"]).done();
    assert_eq!(shown["class"], "urn:grade6");
    let own = shown["properties"]["urn:own"].as_array().unwrap();
    assert_eq!(own.len(), 2, "duplicates stay: {shown:#}");
    let predicates: Vec<_> = shown["properties"].as_object().unwrap().keys().collect();
    assert_eq!(predicates.len(), 2, "nothing is added: {predicates:?}");

    let broken = central.file("broken.jsonl", format!("{}\n{{\"uri\": \"urn:x\"\n", text.lines().next().unwrap()));
    let message = central.run(&["entity", "load", arg(&broken)]).failed(1, "TS-401");
    says(&message, &["broken.jsonl", "\"line\":2"]);

    central.run(&["entity", "set", "urn:zoe", "label", "Zoé B.", "--lang", "fr-FR"]).done();
    assert_eq!(central.run(&["entity", "show", "urn:zoe"]).done()["label"], "Zoé B.");
    central.run(&["entity", "set", "urn:zoe", "urn:own", ""]).done();
    assert!(central.run(&["entity", "show", "urn:zoe"]).done()["properties"].get("urn:own").is_none());
    central.run(&["entity", "set", "urn:zoe", "not a predicate", "x"]).exits(2);
    central.run(&["entity", "remove", "urn:zoe", "--dry-run"]).done();
    central.run(&["entity", "show", "urn:zoe"]).done();
    central.run(&["entity", "remove", "urn:zoe"]).done();
    central.run(&["entity", "show", "urn:zoe"]).failed(1, "TS-107");
}

/// A large import while the server runs, a local syncs, and another process reads: nobody is turned away.
#[test]
fn twenty_thousand_takers_come_in_while_the_server_runs() {
    const TAKERS: usize = 20_000;
    let mut central = Node::central_with(&school("A", 0..200));
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let done = AtomicBool::new(false);
    let (reads, syncs) = thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Acquire) {
                let count = central.count("test-taker") as usize;
                assert!(count == 200 || count == TAKERS, "all or nothing is seen: {count}");
                reads += 1;
            }
            reads
        });
        let syncs = scope.spawn(|| {
            let mut syncs = 0;
            while !done.load(Ordering::Acquire) {
                local.sync();
                syncs += 1;
            }
            syncs
        });
        let imported = central.bring("test-takers", &takers(0..TAKERS)).done();
        assert_eq!(imported["created"], TAKERS - 200, "{imported:#}");
        central.bring("eligibilities", &eligibility("A", 0..TAKERS)).done();
        done.store(true, Ordering::Release);
        (reads.join().unwrap(), syncs.join().unwrap())
    });
    assert!(reads > 0 && syncs > 0, "{reads} reads and {syncs} syncs while the import ran");
    local.sync();
    assert_eq!(local.count("test-taker"), TAKERS as u64);
    let shown = local.run(&["entity", "show", &taker_uri(TAKERS - 1)]).done();
    says(&shown.to_string(), &[&login(TAKERS - 1)]);
    central.is_whole();
    server.stop().exits(0);
}
