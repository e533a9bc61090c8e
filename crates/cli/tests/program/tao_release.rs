//! A school hands the syncing back: what its TAO holds then is what taoSync itself would have left there, so that taoSync
//! finds nothing to do twice and everything that is new; and taosync, adopting again, finds what taoSync has done.

mod tao_sync;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use taosync_packages::demo_package;
use taosync_testbed::dump::Dump;
use taosync_testbed::{Kind, TestDatabase, tao};

use crate::node::{Node, Server};
use crate::run::{arg, says};
use crate::tao_projection::{agree, compared, of_dump};
use crate::tao_results::{ANNA, TRY, attempt, number};
use tao_sync::{DataStep, HandInStep, TaoSync};

const MATHS: &str = "https://central.example/tao.rdf#maths";
const BEN: &str = "https://central.example/tao.rdf#ben";
const CEM: &str = "https://central.example/tao.rdf#cem";
const ELIGIBILITY: &str = "https://central.example/tao.rdf#maths-north";
const TAKERS: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestTaker";
const ASSIGNMENT: &str = "http://www.tao.lu/Ontologies/TAOTestCenter#UserAssignment";
const LABEL: &str = "http://www.w3.org/2000/01/rdf-schema#label";
const LOGIN: &str = "http://www.tao.lu/Ontologies/generis.rdf#login";
const RUNTIME: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#AssembledDeliveryRuntime";

/// A central beside a TAO, and a school beside another, connected.
struct Ends {
    office_tao: TestDatabase,
    school_tao: TestDatabase,
    office: Node,
    school: Node,
    server: Option<Server>,
    _files: tempfile::TempDir,
}

impl Ends {
    /// `delivery` is the folder of its package in TAO's files.
    async fn new(kind: Kind, office: &Dump, school: &Dump, delivery: &str, org: &str) -> Option<Self> {
        let office_tao = TestDatabase::with(kind, office).await?;
        let school_tao = TestDatabase::with(kind, school).await?;
        let files = tempfile::tempdir().unwrap();
        let folder = files.path().join("synchronisation").join(delivery);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("export.zip"), demo_package()).unwrap();
        let mut office = Node::init("central");
        office.set("TAOSYNC_TAO__EVERY_SECONDS", 86_400);
        office.run(&["tao", "connect", "--database", office_tao.url(), "--files", arg(files.path())]).done();
        office.run(&["tao", "adopt"]).done();
        office.run(&["tao", "pull"]).done();
        let server = Some(office.serve());
        let school = Node::init("local");
        school.join(&office, &[org]);
        Some(Self { office_tao, school_tao, office, school, server, _files: files })
    }

    fn adopt(&self) {
        self.school.run(&["tao", "adopt"]).done();
    }

    fn release(&self) -> Value {
        self.school.run(&["tao", "release"]).done()
    }

    /// What a TAO central would list for the school's taoSync.
    fn listed(&self, uris: &BTreeSet<String>) -> BTreeMap<String, String> {
        let checksum = |uri: &String| {
            let shown = self.office.run(&["entity", "show", uri]).done();
            (uri.clone(), shown["tao_checksum"].as_str().unwrap().to_owned())
        };
        uris.iter().map(checksum).collect()
    }

    /// What taoSync remembers to have brought.
    async fn remembered(&self) -> BTreeSet<String> {
        let sql = "SELECT entity_id FROM synchronisation WHERE action <> 'deleted'";
        self.school_tao.texts(sql).await.into_iter().flatten().flatten().collect()
    }
}

type Rows = BTreeSet<Vec<String>>;

async fn rows(tao: &TestDatabase, sql: &str) -> Rows {
    let texts = tao.texts(sql).await;
    texts
        .into_iter()
        .map(|row| row.into_iter().map(|cell| cell.map_or("NULL".into(), |c| c.trim().to_owned())).collect())
        .collect()
}

/// Ignored: `time` everywhere, the moment of a sync, and `id` of `synchronisation`, a row's number; its `sync_id` is
/// compared by whether it is the newest: taoSync counts a sync also when nothing changed, and we do not. Of
/// `tt06_numbers` the checksum: of values that PHP takes for equal it depends on the order a database happened to give.
/// `statements` are compared by `agree`, which names what it leaves out.
const COMPARED: [&str; 4] = [
    "SELECT entity_id, type, action, CASE WHEN sync_id = (SELECT MAX(sync_id) FROM synchronisation) THEN 'newest' ELSE 'older' END FROM synchronisation WHERE entity_id NOT LIKE '%tt06_numbers'",
    "SELECT id, status, CAST(session_synced AS CHAR(9)) FROM synchronisation_result",
    "SELECT CAST(id AS CHAR(9)), delivery_execution_id, event_id, data, created_at, created_by, CAST(is_synced AS CHAR(9)) FROM delivery_log",
    "SELECT kv_id, kv_value, CAST(kv_time AS CHAR(9)) FROM kv_store WHERE kv_id NOT LIKE '%tt06_numbers'",
];

async fn assert_as_tao_sync_left_it(school: &TestDatabase, golden: &Dump, kind: Kind) {
    let expected = TestDatabase::with(kind, golden).await.unwrap();
    for sql in COMPARED {
        let (found, expected) = (rows(school, sql).await, rows(&expected, sql).await);
        let differences: Vec<_> = found.symmetric_difference(&expected).collect();
        assert!(differences.is_empty() && !expected.is_empty(), "{kind:?} {sql} {differences:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_exam_and_a_change_tao_is_as_tao_sync_would_have_left_it() {
    let names = [
        "1-central-published",
        "3-client-with-executions",
        "4-client-after-result-sync",
        "5-central-changed",
        "5-client-after-changes",
    ];
    let dumps: Option<Vec<Dump>> = names.into_iter().map(tao::golden).collect();
    let Some([published, sat, handed_in, changed, after]) = dumps.and_then(|dumps| <[Dump; 5]>::try_from(dumps).ok())
    else {
        return;
    };
    for kind in Kind::BOTH {
        let delivery = "i6b04636cd2dfc16141467660e23699383d";
        let Some(ends) = Ends::new(kind, &published, &sat, delivery, "*").await else { return };
        ends.school.run(&["tao", "connect", "--database", ends.school_tao.url()]).done();
        ends.adopt();
        let synced = ends.school.sync();
        assert_eq!(synced["results"]["sent"], 5, "{synced:#}");
        assert_eq!(ends.release(), json!({"adopted": false, "left": 0}));
        assert_as_tao_sync_left_it(&ends.school_tao, &handed_in, kind).await;
        let next = TaoSync(&ends.school_tao).hand_in_step().await;
        assert_eq!(next.results.len() + next.sessions.len(), 0, "{next:?}");
        ends.adopt();
        ends.office_tao.switch(&changed).await;
        ends.office.run(&["tao", "pull"]).done();
        ends.school.sync();
        ends.release();
        assert_as_tao_sync_left_it(&ends.school_tao, &after, kind).await;
        let said = ends.school_tao.texts("SELECT subject, predicate, object, l_language FROM statements").await;
        agree(&compared(said.into_iter().map(|row| <[_; 4]>::try_from(row).unwrap())), &of_dump(&after));
    }
}

/// A command that stands for TAO's own import: it waits until the test has done in the database what TAO would.
fn import(school: &Node) -> (String, PathBuf) {
    let script = "#!/bin/sh\ntouch \"${0%/*}/asked\"\nwhile [ -e \"${0%/*}/asked\" ]; do sleep 0.05; done\n";
    let path = school.file("import", script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (path.display().to_string(), path.with_file_name("asked"))
}

/// A school whose TAO was empty, with the delivery imported and Anna's attempt handed in.
async fn exam(kind: Kind) -> Option<Ends> {
    let ends = Ends::new(kind, &tao::small_central(), &tao::small_client(), "maths", "School-7").await?;
    let (command, asked) = import(&ends.school);
    let connect = ["tao", "connect", "--database", ends.school_tao.url(), "--command", &command];
    ends.school.run(&connect).done();
    ends.adopt();
    let mut pull = ends.school.start(&["sync", "all"]);
    while !asked.exists() && pull.is_running() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    TaoSync(&ends.school_tao).say(MATHS, RUNTIME, "{}").await;
    std::fs::remove_file(&asked).expect("TAO is asked to import");
    pull.wait().exits(0);
    attempt(&ends.school_tao, TRY, ANNA, "Finished").await;
    log(&ends.school_tao, TRY, "TEST_RUN").await;
    let synced = ends.school.sync();
    assert_eq!(synced["results"]["sent"], 1, "{synced:#}");
    Some(ends)
}

async fn log(tao: &TestDatabase, execution: &str, event: &str) {
    let columns = "delivery_execution_id, event_id, data, created_at, created_by";
    let row = format!("('{execution}', '{event}', '[]', '1778576000.25', 'cli')");
    tao.execute(&format!("INSERT INTO delivery_log ({columns}) VALUES {row}")).await;
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn second_try(number: u32) -> String {
    format!("https://school.example/tao.rdf#ie{number}")
}

/// Cem is to sit the exam too.
async fn admit_cem(office: &TestDatabase) {
    let office = TaoSync(office);
    office.say(ELIGIBILITY, TAKERS, CEM).await;
    office.say(CEM, ASSIGNMENT, ELIGIBILITY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tao_sync_goes_on_where_taosync_stopped_and_back_again() {
    for kind in Kind::BOTH {
        let Some(ends) = exam(kind).await else { return };
        assert_eq!(ends.release()["left"], 0, "{kind:?}");
        let tao_sync = TaoSync(&ends.school_tao);
        // Of the six types all that the school sees; classes have no history in TAO.
        let types = "SELECT DISTINCT type FROM synchronisation WHERE action = 'created'";
        let expected = ["administrator", "delivery", "eligibility", "proctor", "test-center", "test-taker"];
        let expected: Rows = expected.into_iter().map(|name| vec![name.to_owned()]).collect();
        assert_eq!(rows(&ends.school_tao, types).await, expected, "{kind:?}");
        let mut seen = ends.remembered().await;
        assert_eq!((seen.len(), tao_sync.counter().await), (7, 1), "{kind:?} {seen:?}");
        // Nothing is done twice.
        assert_eq!(tao_sync.data_step(&ends.listed(&seen)).await, DataStep::default(), "{kind:?}");
        assert_eq!(tao_sync.hand_in_step().await, HandInStep::default(), "{kind:?}");
        // And what is new is found.
        admit_cem(&ends.office_tao).await;
        ends.office.run(&["tao", "pull"]).done();
        seen.insert(CEM.to_owned());
        let step = tao_sync.data_step(&ends.listed(&seen)).await;
        let news = DataStep { created: set(&[CEM]), updated: set(&[ELIGIBILITY]), deleted: BTreeSet::new() };
        assert_eq!(step, news, "{kind:?}");
        attempt(&ends.school_tao, &second_try(2), BEN, "Finished").await;
        log(&ends.school_tao, &second_try(2), "TEST_PAUSE").await;
        log(&ends.school_tao, TRY, "TEST_IRREGULARITY").await;
        let step = tao_sync.hand_in_step().await;
        let expected = HandInStep {
            results: BTreeSet::from([second_try(2)]),
            logs: set(&["TEST_PAUSE", "TEST_IRREGULARITY"]),
            sessions: BTreeSet::new(),
        };
        assert_eq!(step, expected, "{kind:?}");
        // taoSync does it, and taosync takes over again.
        tao_sync.hand_in().await;
        tao_sync.bring(&ends.listed(&set(&[CEM])), "test-taker", (LOGIN, "cem")).await;
        assert_eq!(tao_sync.counter().await, 2);
        ends.adopt();
        attempt(&ends.school_tao, &second_try(3), CEM, "Finished").await;
        let pushed = ends.school.run(&["tao", "push"]).done();
        let counts = ["taken into the outbox", "later log", "taken before", "handed in by taoSync"];
        assert_eq!(counts.map(|words| number(&pushed, words)), [1, 0, 1, 1], "{kind:?} {pushed:#}");
        let synced = ends.school.sync();
        assert_eq!(synced["results"]["sent"], 1, "{kind:?} {synced:#}");
        let takers = &synced["tao"]["types"]["test-taker"];
        assert_eq!(
            ["created", "updated", "removed"].map(|act| takers[act].as_u64()),
            [Some(0), Some(1), Some(0)],
            "{takers:#}"
        );
        assert_eq!(tao_sync.counter().await, 3, "{kind:?}");
        for (subject, predicate) in [(CEM, LOGIN), (CEM, LABEL), (ANNA, LABEL)] {
            let sql =
                format!("SELECT object FROM statements WHERE subject = '{subject}' AND predicate = '{predicate}'");
            assert_eq!(ends.school_tao.texts(&sql).await.len(), 1, "{kind:?} {subject} {predicate}");
        }
        assert_eq!(ends.release()["left"], 0, "{kind:?}");
        assert_eq!(tao_sync.data_step(&ends.listed(&seen)).await, DataStep::default(), "{kind:?}");
        assert_eq!(tao_sync.hand_in_step().await, HandInStep::default(), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_central_has_not_confirmed_is_told_at_release() {
    for kind in Kind::BOTH {
        let Some(mut ends) = exam(kind).await else { return };
        drop(ends.server.take());
        attempt(&ends.school_tao, &second_try(2), BEN, "Finished").await;
        ends.school.run(&["tao", "push"]).done();
        assert_eq!(ends.release(), json!({"adopted": false, "left": 1}), "{kind:?}");
        let step = TaoSync(&ends.school_tao).hand_in_step().await;
        assert_eq!(step.results, BTreeSet::from([second_try(2)]), "{kind:?}: nobody has taken it");
        let told = ends.school.run(&["tao", "push"]).failed(1, "TS-502");
        says(&told, &["tao adopt"]);
    }
}
