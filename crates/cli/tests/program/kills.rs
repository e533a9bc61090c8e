//! SIGKILL of the real processes, on both sides, at random moments of a first sync and of a hand-in: the next run
//! completes without help, nothing is lost, doubled or applied twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::node::{Node, Server};
use super::people::school;
use super::results_xml::result;
use super::run::{Run, Started, arg};

const TAKERS: usize = 20_000;
const RESULTS: usize = 600;
/// Results submitted at a time.
const PART: usize = 150;
/// Kills of each side, of each of the two.
const KILLS_OF_LOCAL: usize = 12;
const KILLS_OF_CENTRAL: usize = 6;
/// Runs at most until all kills are done and everything has arrived.
const MAX_RUNS: usize = 120;

/// Random moments. The seed is printed, and can be given again as `TAOSYNC_TEST_SEED`.
struct Moments(u64);

impl Moments {
    #[expect(clippy::disallowed_methods, reason = "a test wants another seed each time, and prints it")]
    fn new() -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let given = std::env::var("TAOSYNC_TEST_SEED").ok();
        let seed = given.map_or_else(now, |text| text.parse().expect("TAOSYNC_TEST_SEED is a number"));
        eprintln!("kills: TAOSYNC_TEST_SEED={seed}");
        Self(seed)
    }

    /// xorshift64*: good enough to choose moments.
    fn number(&mut self) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn between(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.number() % (to - from))
    }
}

/// What happened to the processes.
#[derive(Debug, Default)]
struct Toll {
    runs: usize,
    /// Runs of local that a signal ended.
    local: usize,
    /// Servers that a signal ended while local talked with them.
    central: usize,
    /// Kills after which a part, but not all, had arrived.
    halfway: usize,
}

/// Waits until the moment, or until the process has ended by itself.
fn wait_until(process: &mut Started, moment: Duration) {
    const STEP: Duration = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    while waited < moment && process.is_running() {
        thread::sleep(STEP);
        waited += STEP;
    }
}

/// Starts a run of local and kills it at the moment, unless it has ended before.
fn kill_local(local: &Node, what: &[&str], moment: Duration, toll: &mut Toll) -> Run {
    let mut process = local.start(what);
    wait_until(&mut process, moment);
    process.kill();
    let run = process.wait();
    toll.runs += 1;
    toll.local += usize::from(run.was_killed());
    run
}

/// Starts a run of local and kills central at the moment; central comes back on the same port.
fn kill_central(
    local: &Node,
    central: &mut Node,
    server: Server,
    what: &[&str],
    moment: Duration,
    toll: &mut Toll,
) -> (Run, Server) {
    let mut process = local.start(what);
    wait_until(&mut process, moment);
    let in_the_middle = process.is_running();
    let dead = server.kill();
    toll.central += usize::from(in_the_middle && dead.was_killed());
    let server = central.serve();
    let run = process.wait();
    toll.runs += 1;
    (run, server)
}

/// A run that nobody killed ended well, or says that the line broke.
fn ended_in_order(run: &Run) -> bool {
    if run.code() == Some(0) {
        return true;
    }
    assert_eq!(run.code(), Some(75), "{run:#?}");
    let document = run.json();
    let code = document["code"].as_str().or(document["error"]["code"].as_str()).unwrap_or_default();
    assert!(["TS-203", "TS-206", "TS-207", "TS-211", "TS-304"].contains(&code), "{document:#}");
    false
}

fn digests_at_central(central: &Node, org: &str) -> BTreeMap<String, String> {
    let types = central.run(&["scope", "show", org]).done()["types"].clone();
    let digest = |(name, of_type): (&String, &Value)| (name.clone(), of_type["digest"].as_str().unwrap().to_owned());
    types.as_object().unwrap().iter().map(digest).collect()
}

fn digests_at_local(summary: &Value) -> BTreeMap<String, String> {
    let digest = |(name, digest): (&String, &Value)| (name.clone(), digest.as_str().unwrap().to_owned());
    summary["orgs"][0]["digests"].as_object().unwrap().iter().map(digest).collect()
}

fn is_equal(central: &Node, local: &Node) {
    let summary = local.sync();
    assert_eq!(digests_at_local(&summary), digests_at_central(central, "A"));
    for counts in summary["types"].as_object().unwrap().values() {
        let changed = ["created", "updated", "removed"].map(|name| counts[name].as_u64().unwrap());
        assert_eq!(changed, [0, 0, 0], "the run before had applied everything: {summary:#}");
    }
    assert_eq!(local.count("test-taker"), TAKERS as u64);
    assert_eq!(local.count("eligibility"), 1);
    central.is_whole();
    local.is_whole();
}

fn fresh_local(central: &Node) -> Node {
    let mut local = Node::init("local");
    local.join(central, &["A"]);
    // Smaller chunks mean more moments between two of them.
    local.set("TAOSYNC_SYNC_SERVICE__CHUNK_SIZE", 500);
    local.set("TAOSYNC_RESULT_SERVICE__CHUNK_SIZE", 10);
    local
}

#[test]
fn killed_at_any_moment_the_next_run_completes() {
    let mut moments = Moments::new();
    let mut central = Node::central_with(&school("A", 0..TAKERS));
    central.set("TAOSYNC_SYNC_SERVICE__CHUNK_SIZE", 500);
    let mut server = central.serve();
    let (local, back) = first_sync(&mut central, server, &mut moments);
    server = back;
    is_equal(&central, &local);
    server = hand_in(&mut central, &local, server, &mut moments);
    is_equal(&central, &local);
    server.stop().exits(0);
}

/// Kills first syncs until there were enough kills; a local that is through is followed by a fresh one.
fn first_sync(central: &mut Node, mut server: Server, moments: &mut Moments) -> (Node, Server) {
    let mut toll = Toll::default();
    let mut local = fresh_local(central);
    let mut held = 0;
    while toll.local < KILLS_OF_LOCAL || toll.central < KILLS_OF_CENTRAL {
        assert!(toll.runs < MAX_RUNS, "{toll:?}");
        let moment = moments.between(30, 700);
        let run = if toll.central * 2 < toll.local {
            let (run, back) = kill_central(&local, central, server, &["sync", "all"], moment, &mut toll);
            server = back;
            ended_in_order(&run);
            run
        } else {
            kill_local(&local, &["sync", "all"], moment, &mut toll)
        };
        let now = local.count("test-taker") as usize;
        assert!(now >= held, "what had arrived is kept: {held}, then {now}");
        toll.halfway += usize::from(now > held && now < TAKERS);
        held = now;
        if run.code() == Some(0) && (toll.local < KILLS_OF_LOCAL || toll.central < KILLS_OF_CENTRAL) {
            is_equal(central, &local);
            local = fresh_local(central);
            held = 0;
        }
    }
    eprintln!("kills of a first sync: {toll:?}");
    assert!(toll.halfway >= 4, "kills must come while data arrive: {toll:?}");
    local.run(&["sync", "all"]).done();
    (local, server)
}

/// Kills a hand-in. What local has is submitted in parts, so that there is always something to be killed at.
fn hand_in(central: &mut Node, local: &Node, mut server: Server, moments: &mut Moments) -> Server {
    let mut toll = Toll::default();
    let mut executions: BTreeSet<String> = BTreeSet::new();
    let mut submitted = 0;
    let mut confirmed = 0;
    let submit = |executions: &mut BTreeSet<String>, from: usize, number: usize| {
        let files: Vec<PathBuf> =
            (from..from + number).map(|n| local.file(&format!("result-{n}.xml"), result(n, 20))).collect();
        let mut arguments = vec!["execution", "submit"];
        arguments.extend(files.iter().map(|file| arg(file)));
        // Killed while it stores, it has stored all or nothing; the same files again are the same attempts.
        let mut process = local.start(&arguments);
        wait_until(&mut process, Duration::from_millis(60));
        process.kill();
        process.wait();
        let document = local.run(&arguments).done();
        let ids = document["executions"].as_array().unwrap().iter().map(|one| one["execution"].as_str().unwrap());
        executions.extend(ids.map(str::to_owned));
    };
    while toll.local < KILLS_OF_LOCAL || toll.central < KILLS_OF_CENTRAL {
        assert!(toll.runs < MAX_RUNS, "{toll:?}");
        if submitted == confirmed {
            submit(&mut executions, submitted, PART);
            submitted += PART;
        }
        let moment = moments.between(30, 400);
        if toll.central * 2 < toll.local {
            let (run, back) = kill_central(local, central, server, &["sync", "results"], moment, &mut toll);
            server = back;
            ended_in_order(&run);
        } else {
            kill_local(local, &["sync", "results"], moment, &mut toll);
        }
        let now = attempts(local.results()).values().filter(|row| row["status"] == "sent").count();
        assert!(now >= confirmed, "a receipt is never forgotten");
        toll.halfway += usize::from(now > confirmed && now < submitted);
        confirmed = now;
    }
    while submitted < RESULTS {
        submit(&mut executions, submitted, PART);
        submitted += PART;
    }
    eprintln!("kills of a hand-in: {toll:?}, {submitted} results");
    assert!(toll.halfway >= 1, "kills must come while results are confirmed: {toll:?}");
    let last = local.run(&["sync", "results"]).done();
    assert_eq!(last["results"]["pending"], 0, "{last:#}");
    exactly_once(central, local, &executions, submitted);
    server
}

/// Items of kind attempt by id; none may be there twice.
fn attempts(results: Vec<Value>) -> BTreeMap<String, Value> {
    let mut attempts = BTreeMap::new();
    for row in results.into_iter().filter(|row| row["kind"] == "attempt") {
        let id = row["id"].as_str().unwrap().to_owned();
        assert!(attempts.insert(id, row).is_none(), "an attempt is listed twice");
    }
    attempts
}

fn exactly_once(central: &Node, local: &Node, executions: &BTreeSet<String>, submitted: usize) {
    assert_eq!(executions.len(), submitted);
    let (here, there) = (attempts(local.results()), attempts(central.results()));
    assert_eq!(here.keys().collect::<BTreeSet<_>>(), executions.iter().collect(), "each submitted file is one attempt");
    assert_eq!(there.keys().collect::<BTreeSet<_>>(), executions.iter().collect(), "exactly once at central");
    for (id, row) in &here {
        assert_eq!(row["status"], "sent", "{row:#}");
        assert_eq!(there[id]["status"], "stored", "{:#}", there[id]);
        assert_eq!((&there[id]["digest"], &there[id]["version"]), (&row["digest"], &row["version"]), "byte for byte");
    }
    let exported = central.dir().join("export.csv");
    let done = central.run(&["results", "export", "--format", "csv", "--out", arg(&exported)]).done();
    assert_eq!(done["attempts"], submitted);
    assert_eq!(done["variables"], submitted * 21, "20 answers and a score each");
}
