//! What programs rely on: one document on stdout, the fields it has, exit codes, and the spellings of TAO.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::node::Node;
use super::people::{MATHS, login, school, taker_uri};
use super::results_xml::result;
use super::run::{Run, Started, arg, program, says};

/// The document has something at each of these paths.
#[track_caller]
fn has(document: &Value, pointers: &[&str]) {
    for pointer in pointers {
        assert!(document.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer} is missing: {document:#}");
    }
}

fn demo_package(node: &Node) -> std::path::PathBuf {
    node.file("demo.zip", taosync_packages::demo_package())
}

/// Runs with all logs on: they must not reach stdout, and the exit code must be this.
#[track_caller]
fn document(node: &Node, arguments: &[&str], code: i32) -> Value {
    let run = Run::of(node.command(arguments).env("TAOSYNC_LOG", "trace")).exits(code);
    assert!(!run.out.contains("TRACE") && run.out.lines().count() == 1, "{run:#?}");
    run.json()
}

#[test]
fn every_verb_of_central_prints_one_document() {
    let mut central = Node::init("central");
    has(&central.made, &["/role", "/dir", "/node", "/thumbprint", "/listen", "/ca_fingerprint", "/epoch"]);
    for (kind, text) in school("A", 0..12) {
        has(&central.bring(kind, &text).done(), &["/created", "/updated", "/unchanged", "/removed", "/types", "/orgs"]);
    }
    let staff = |column: &str, value: &str| {
        format!("label,interface language,login,password,{column}\nAda,fr-FR,ada-{value},secret-1,{value}\n")
    };
    central.bring("administrators", &staff("test centers", "Center A")).done();
    let proctor = staff("test centers", "Center A").replace("ada-", "proc-");
    central.bring("proctors", &proctor).done();
    central.bring("sync-managers", &staff("organisation id", "A").replace("ada-", "sync-")).done();
    let package = demo_package(&central);
    has(&document(&central, &["delivery", "check", arg(&package)], 0), &["/ok", "/errors", "/warnings", "/package"]);
    let publish = ["delivery", "publish", arg(&package), "--label", "Maths", "--uri", MATHS];
    has(&document(&central, &publish, 0), &["/uri", "/version", "/changed", "/files", "/bytes", "/tree_digest"]);
    let server = central.serve();
    has(
        &document(&central, &["status"], 0),
        &["/ready", "/since", "/checks", "/entities", "/orgs", "/nodes", "/results"],
    );
    has(&document(&central, &["verify"], 0), &["/ok", "/entities", "/chunks", "/packages", "/problems"]);
    has(&document(&central, &["history"], 0), &["/syncs"]);
    has(&document(&central, &["doctor"], 0), &["/ok", "/findings"]);
    has(&document(&central, &["node", "show"], 0), &["/node", "/role", "/thumbprint", "/version", "/ca_fingerprint"]);
    has(&document(&central, &["delivery", "list"], 0), &["/deliveries/0/uri", "/deliveries/0/state"]);
    has(&document(&central, &["delivery", "show", MATHS], 0), &["/uri", "/label", "/versions/0/version"]);
    has(
        &document(&central, &["entity", "list", "--type", "test-taker", "--org", "A"], 0),
        &["/entities/0/uri", "/count"],
    );
    has(&document(&central, &["entity", "show", &taker_uri(3)], 0), &["/uri", "/class", "/properties", "/orgs"]);
    let generated = document(&central, &["oauth", "generate", "--org", "A"], 0);
    has(&generated, &["/key", "/secret", "/token_url", "/root_url", "/ca_fingerprint", "/command"]);
    has(&document(&central, &["oauth", "list"], 0), &["/consumers/0/key"]);
    has(&document(&central, &["oauth", "revoke", generated["key"].as_str().unwrap()], 0), &["/revoked"]);
    has(&document(&central, &["scope", "register", "B"], 0), &["/registered/0", "/known"]);
    has(&document(&central, &["scope", "register"], 0), &["/registered", "/known/0"]);
    has(&document(&central, &["scope", "list"], 0), &["/scopes/0/org"]);
    has(&document(&central, &["scope", "show", "A"], 0), &["/types/test-taker/digest", "/epoch"]);
    has(&document(&central, &["scope", "rename", "B", "C"], 0), &["/old", "/new"]);
    has(&document(&central, &["results", "list"], 0), &["/results", "/count"]);
    let out = central.dir().join("out.jsonl");
    let export = ["results", "export", "--format", "jsonl", "--out", arg(&out)];
    has(&document(&central, &export, 0), &["/out", "/attempts", "/variables"]);
    has(&document(&central, &["entity", "set", &taker_uri(3), "label", "Anna"], 0), &["/updated"]);
    has(&document(&central, &["entity", "remove", &taker_uri(3)], 0), &["/removed"]);
    has(&document(&central, &["delivery", "withdraw", MATHS], 0), &["/withdrawn", "/orgs"]);
    server.stop().exits(0);
}

#[test]
fn every_verb_of_local_prints_one_document() {
    let mut central = Node::central_with(&school("A", 0..12));
    let package = demo_package(&central);
    central.run(&["delivery", "publish", arg(&package), "--label", "Maths", "--uri", MATHS]).done();
    let server = central.serve();
    let local = Node::init("local");
    has(&local.made, &["/role", "/node", "/runner_key", "/ca_fingerprint"]);
    local.join(&central, &["A"]);
    has(&document(&local, &["oauth", "list"], 0), &["/remotes/0/key", "/remotes/0/orgs/0"]);
    let types = ["test-center", "administrator", "proctor", "test-taker", "eligibility", "delivery"];
    for arguments in [&["sync", "all", "--dry-run"][..], &["sync", "all"], &["sync", "data"], &["sync", "results"]] {
        let summary = document(&local, arguments, 0);
        has(&summary, &["/status", "/digest_equal", "/proof", "/requests", "/bytes_down", "/bytes_up"]);
        has(&summary, &["/bytes_socket", "/seconds", "/seq"]);
        for name in ["fetched", "compiled", "bytes", "files"] {
            assert!(summary["deliveries"][name].is_u64(), "{name}: {summary:#}");
        }
        for name in ["sent", "duplicate", "refused", "pending"] {
            assert!(summary["results"][name].is_u64(), "{name}: {summary:#}");
        }
        assert_eq!(summary["status"], "success", "{summary:#}");
        if arguments == ["sync", "results"] {
            continue;
        }
        has(&summary, &["/seq/test-taker"]);
        if !arguments.contains(&"--dry-run") {
            has(&summary, &["/epoch"]);
        }
        for (kind, name) in
            types.iter().flat_map(|kind| ["created", "updated", "removed", "unchanged"].map(|n| (kind, n)))
        {
            assert!(summary["types"][*kind][name].is_u64(), "{kind} {name}: {summary:#}");
        }
    }
    let file = local.file("result.xml", result(2, 3));
    let submitted = document(&local, &["execution", "submit", arg(&file)], 0);
    has(&submitted, &["/stored", "/unchanged", "/executions/0/execution"]);
    let id = submitted["executions"][0]["execution"].as_str().unwrap();
    has(&document(&local, &["execution", "list"], 0), &["/executions/0/state", "/count"]);
    has(&document(&local, &["results", "list"], 0), &["/results/0/id", "/count"]);
    has(&document(&local, &["results", "show", id], 0), &["/envelope", "/attempt"]);
    let summary = document(&local, &["sync", "all"], 0);
    assert_eq!(summary["results"]["sent"], 1, "{summary:#}");
    has(&document(&local, &["status"], 0), &["/ready", "/since", "/checks/0/name", "/checks/0/text"]);
    has(&document(&local, &["verify"], 0), &["/ok", "/entities"]);
    let history = document(&local, &["history"], 0);
    has(&history, &["/syncs/0/org", "/syncs/0/outcome", "/syncs/0/started_at", "/syncs/0/summary/requests"]);
    has(&document(&local, &["doctor"], 0), &["/ok", "/findings"]);
    has(&document(&local, &["node", "show"], 0), &["/node", "/centrals/0/central"]);
    has(&document(&local, &["entity", "list", "--type=test-taker"], 0), &["/count"]);
    has(&document(&local, &["entity", "show", &taker_uri(1)], 0), &["/uri", "/orgs/0"]);
    has(&document(&local, &["delivery", "list"], 0), &["/deliveries/0/state"]);
    has(&document(&local, &["delivery", "show", MATHS], 0), &["/versions/0"]);
    has(
        &document(&local, &["results", "export", "--format", "qti", "--out", arg(&local.dir().join("qti"))], 0),
        &["/out"],
    );
    drop(server);
}

#[test]
fn exit_codes_tell_usage_from_failure_from_later() {
    let mut central = Node::init("central");
    central.set("TAOSYNC_PUBLIC_URL", "https://central.example/");
    let usage = [
        &["entity", "list"][..],
        &["entity", "list", "--type", "no-such-type"],
        &["no-such-verb"],
        &["sync", "data", "--type", "sync-manager-x"],
        &["results", "export", "--format", "qti"],
        &["init", "central", "--listen", "nowhere"],
    ];
    for arguments in usage {
        let document = central.run(arguments).exits(2).json();
        has(&document, &["/error/code", "/error/message"]);
    }
    central.run(&["entity", "show", "urn:nobody"]).failed(1, "TS-107");
    central.run(&["sync", "all"]).failed(1, "TS-005");
    central.run(&["init", "central"]).failed(1, "TS-004");
    central.run(&["oauth", "generate", "--org", "nobody"]).failed(1, "TS-403");
    let nowhere = tempfile::tempdir().unwrap();
    Run::of(&mut program(&["--dir", arg(nowhere.path()), "status", "--json"])).failed(1, "TS-003");
    let local = Node::init("local");
    local.run(&["sync", "all"]).failed(1, "TS-308");
    local.run(&["import", "test-takers", "no.csv"]).failed(1, "TS-005");
    local.run(&["execution", "terminate", "0198c2d4-0000-7000-8000-000000000000"]).exits(1).json();
    let help = Run::of(&mut program(&["--help"])).exits(0);
    says(&help.out, &["75 try again later", "Examples:"]);
}

#[test]
fn without_json_answers_are_text_and_errors_go_to_stderr() {
    let central = Node::central_with(&school("A", 0..3));
    let text = |arguments: &[&str]| Run::of(program(&["--dir", arg(central.dir())]).args(arguments));
    let listed = text(&["entity", "list", "--type", "test-taker"]).exits(0);
    says(&listed.out, &[&taker_uri(2), "Taker 2"]);
    let failed = text(&["entity", "show", "urn:nobody"]).exits(1);
    assert_eq!(failed.out, "");
    says(&failed.err, &["error[TS-107]", "urn:nobody", "→"]);
}

#[test]
fn the_directory_can_come_from_the_environment() {
    let central = Node::init("central");
    let by_variable = |name: &str, value: &str| Run::of(program(&["node", "show", "--json"]).env(name, value));
    assert_eq!(by_variable("TAOSYNC_DIR", arg(central.dir())).done()["node"], central.made["node"]);
}

#[test]
fn the_configuration_can_come_from_the_environment() {
    let mut central = Node::central_with(&school("A", 0..3));
    central.set("TAOSYNC_PUBLIC_URL", "https://central.example/taosync");
    let generated = central.run(&["oauth", "generate", "--org", "A"]).done();
    assert_eq!(generated["root_url"], "https://central.example/taosync/");
    central.set("TAOSYNC_SYNC_SERVICE__CHUNK_SIZE", 0);
    let message = central.run(&["status"]).failed(1, "TS-002");
    says(&message, &["environment (TAOSYNC_…)", "sync_service.chunk_size", "100000"]);
    central.set("TAOSYNC_SYNC_SERVICE__CHUNK_SIZE", 500);
    central.set("TAOSYNC_SYNC_SERVICE__CHUNK_SIZ", 5);
    says(&central.run(&["status"]).failed(1, "TS-002"), &["did you mean 'chunk_size'"]);
}

#[test]
fn what_central_prints_works_when_it_is_pasted_into_a_shell() {
    let mut central = Node::central_with(&school("A", 0..5));
    let server = central.serve();
    let local = Node::init("local");
    let generated = central.run(&["oauth", "generate", "--org", "A", "-cmd"]).done();
    let shown =
        Run::of(program(&["--dir", arg(central.dir())]).args(["oauth", "generate", "--organisation_id=A", "-cmd"]));
    assert!(shown.exits(0).out.starts_with("taosync oauth import -k "), "TAO's -cmd prints the command alone");
    let shell = |line: &str| {
        let beside = std::path::Path::new(env!("CARGO_BIN_EXE_taosync")).parent().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).env("TAOSYNC_DIR", local.dir()).env("PATH", beside);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Run::of(&mut command)
    };
    shell(generated["command"].as_str().unwrap()).exits(0);
    let synced = shell("taosync sync all --json").done();
    assert_eq!(synced["digest_equal"], true);
    server.stop().exits(0);
}

#[test]
fn the_spellings_of_tao_are_taken_and_a_secret_can_come_from_stdin() {
    let mut central = Node::central_with(&school("A", 0..5));
    let server = central.serve();
    let local = Node::init("local");
    let generated = central.run(&["oauth", "generate", "--organisation_id=A"]).done();
    let word = |name: &str| generated[name].as_str().unwrap();
    let import = |secret: &[u8]| {
        let mut command = local.command(&["oauth", "import", "-k", word("key"), "-s", "-", "-tu", word("token_url")]);
        command.args(["-u", word("root_url"), "--ca-fingerprint", word("ca_fingerprint")]).stdin(Stdio::piped());
        let mut started = Started::new(&mut command);
        started.feed(secret);
        started.wait()
    };
    import(b"").exits(2);
    let refused = import(b"not the secret\n").exits(1);
    assert_eq!(refused.json()["error"]["code"], "TS-210", "{refused:#?}");
    import(format!("{}\n", word("secret")).as_bytes()).done();
    let summary = local.run(&["sync", "data", "--type=test-center", "--organisation_id=A"]).done();
    assert_eq!(summary["types"]["test-center"]["created"], 1);
    assert_eq!(summary["types"]["test-taker"]["created"], 0);
    local.run(&["sync", "data", "--type", "test-taker", "--type=eligibility"]).done();
    assert_eq!(local.count("test-taker"), 5);
    server.stop().exits(0);
}

#[test]
fn secrets_and_names_are_in_no_log() {
    let mut central = Node::central_with(&school("A", 0..5));
    central.set("TAOSYNC_LOG", "trace");
    let server = central.serve();
    let mut local = Node::init("local");
    local.set("TAOSYNC_LOG", "trace");
    let generated = central.run(&["oauth", "generate", "--org", "A"]).done();
    let imported = local.import(&generated).exits(0);
    let file = local.file("result.xml", result(2, 1));
    let synced = local.run(&["sync", "all"]).exits(0);
    let submitted = local.run(&["execution", "submit", arg(&file)]).exits(0);
    let handed_in = local.run(&["sync", "all"]).exits(0);
    let served = server.stop().exits(0);
    let runner_key = local.made["runner_key"].as_str().unwrap();
    let login = login(2);
    let secrets =
        [generated["secret"].as_str().unwrap(), runner_key, "Müller", "the answer of", "@pupils.example", &login];
    assert!(served.err.len() > 1_000, "the logs must be there to be looked through");
    for run in [imported, synced, submitted, handed_in, served] {
        for secret in secrets {
            assert!(!run.err.contains(secret), "'{secret}' is logged by {}", run.told);
        }
    }
}

#[test]
fn the_demo_is_one_document_and_equal() {
    let figures = Run::of(&mut program(&["demo", "--takers", "30", "--json"])).done();
    assert_eq!(figures["digest_equal"], true, "{figures:#}");
    let number = |name: &str| figures["results"][name].as_u64().unwrap();
    assert!(number("finished") > 0, "{figures:#}");
    assert_eq!((number("acknowledged"), number("at_central")), (number("finished"), number("finished")));
    for (kind, sides) in figures["types"].as_object().unwrap() {
        assert_eq!(sides["central"], sides["local"], "{kind}");
    }
    has(&figures, &["/second_sync/requests", "/second_sync/bytes_down", "/second_sync/bytes_up"]);
    let told = Run::of(&mut program(&["demo", "--takers", "10"])).exits(0);
    says(&told.out, &["Both sides are equal"]);
}
