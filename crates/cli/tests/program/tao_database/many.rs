//! Many test takers: what a pull holds in memory does not grow with what it reads.

use std::time::Duration;

use taosync_testbed::{Kind, tao};

use super::Connected;
use crate::run::says;

const TAKERS: u32 = 20_000;
/// Of the whole process, which takes 62 MiB for nothing and 110 for these. A pull that held what it read would take 155.
const MOST_KIB: u64 = 130 * 1024;

/// Test takers in TAO, all named by the eligibility.
fn takers(kind: Kind) -> Vec<String> {
    let numbers = match kind {
        Kind::Postgres => format!("generate_series(1, {TAKERS}) AS n(seq)"),
        Kind::MariaDb => format!("seq_1_to_{TAKERS} AS n"),
    };
    let uri = "CONCAT('https://central.example/tao.rdf#many', n.seq)";
    let eligibility = "'https://central.example/tao.rdf#maths-north'";
    let generis = "http://www.tao.lu/Ontologies/generis.rdf#";
    let said = [
        (
            uri,
            "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
            "'http://www.tao.lu/Ontologies/TAOSubject.rdf#Subject'",
        ),
        (uri, "http://www.w3.org/2000/01/rdf-schema#label", "CONCAT('Taker number ', n.seq)"),
        (uri, &format!("{generis}login"), "CONCAT('taker', n.seq)"),
        (uri, &format!("{generis}password"), "REPEAT('0123456789', 8)"),
        (uri, &format!("{generis}userRoles"), "'http://www.tao.lu/Ontologies/TAO.rdf#DeliveryRole'"),
        (uri, "http://www.tao.lu/Ontologies/TAOTestCenter#UserAssignment", eligibility),
        (eligibility, "http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestTaker", uri),
    ];
    let insert = |(subject, predicate, object): (&str, &str, &str)| {
        format!(
            "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch)
             SELECT 1, {subject}, '{predicate}', {object}, '', '', '2026-03-02 10:00:00' FROM {numbers}"
        )
    };
    said.into_iter().map(insert).collect()
}

/// The most memory that a process has held; none once it has ended.
fn peak_kib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_of_many_test_takers_holds_a_part_of_them_at_a_time() {
    for kind in Kind::BOTH {
        let Some(connected) = Connected::adopted(kind, &tao::small_central()).await else { return };
        for statement in takers(kind) {
            connected.tao.execute(&statement).await;
        }
        let mut pull = connected.central.start(&["tao", "pull"]);
        let mut peak = 0;
        while pull.is_running() {
            peak = peak.max(peak_kib(pull.child().id()).unwrap_or_default());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let did = pull.wait().done();
        assert_eq!(did["types"]["test-taker"]["created"], TAKERS + 3, "{kind:?} {did:#}");
        println!("{kind:?}: {peak} KiB");
        assert!(peak > 20 * 1024 && peak < MOST_KIB, "{kind:?}: {peak} KiB");
        let shown = connected.central.run(&["scope", "show", "School-7"]).done();
        says(&shown.to_string(), &[&(TAKERS + 2).to_string()]);
        connected.central.is_whole();
        // Much of it goes: nothing of what was read part by part stays without a word.
        let gone = "DELETE FROM statements WHERE subject LIKE '%#many1%' OR object LIKE '%#many1%'";
        connected.tao.execute(gone).await;
        says(&connected.central.run(&["tao", "pull"]).failed(1, "TS-402"), &["leave org School-7"]);
        assert_eq!(connected.central.count("test-taker"), u64::from(TAKERS) + 3, "{kind:?}");
    }
}
