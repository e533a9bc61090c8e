use taosync_model::execution::ExecutionState;
use taosync_model::{EntityType, OrgId};
use taosync_store::history::SyncOutcome;
use taosync_store::outbox::OutboxCounts;
use taosync_store::packages::PackageState;
use taosync_sync::session::held::HeldGroup;

use super::facts::{Facts, Lacking, LastSync, Org, Test};
use super::*;
use crate::verification::{Finding, LastPass, Part};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn good() -> Facts {
    let verified = Some(at("2026-05-11T18:00:00Z"));
    Facts {
        now: at("2026-05-12T06:00:00Z"),
        orgs: vec![Org { org: OrgId::new("School-7").unwrap(), verified_at: verified, synced_at: verified }],
        last_sync: Some(LastSync {
            outcome: SyncOutcome::Success,
            at: at("2026-05-11T18:00:00Z"),
            code: None,
            reason: None,
        }),
        tests: vec![Test {
            release: None,
            label: "Maths".into(),
            uri: "urn:maths".into(),
            state: Some(PackageState::Ready),
            unlocked: true,
            reason: None,
        }],
        outbox: OutboxCounts { sent: 27, ..OutboxCounts::default() },
        executions: vec![(ExecutionState::Active, 2), (ExecutionState::Finished, 27)],
        held: vec![],
        tao: None,
        free_bytes: 40_000_000_000,
        clock: Some(-3),
        line: Some(1_250_000),
        pass: Some(LastPass { number: 1, at: at("2026-05-11T06:00:00Z"), problems: 0, first: vec![] }),
        version: "1.2.3",
    }
}

fn shown(facts: &Facts) -> String {
    let line = |check: Check| format!("{:?} {}: {}\n", check.level, check.name, check.text);
    checks::of(facts).into_iter().map(line).collect()
}

fn level(facts: &Facts, name: &str) -> Level {
    checks::of(facts).into_iter().find(|check| check.name == name).unwrap().level
}

#[test]
fn a_server_on_the_morning_of_the_exam() {
    insta::assert_snapshot!(shown(&good()));
    assert!(checks::of(&good()).iter().all(|check| check.ok));
}

#[test]
fn a_fresh_server_is_not_ready() {
    let facts = Facts { orgs: vec![], last_sync: None, tests: vec![], clock: None, line: None, pass: None, ..good() };
    insta::assert_snapshot!(shown(&facts));
    assert_eq!(level(&facts, "sync"), Level::Critical);
}

#[test]
fn everything_that_can_be_wrong() {
    let mut facts = good();
    facts.orgs[0].synced_at = Some(at("2026-05-12T05:00:00Z"));
    facts.last_sync = Some(LastSync {
        outcome: SyncOutcome::Failed,
        at: at("2026-05-12T05:00:00Z"),
        code: Some("TS-207".into()),
        reason: Some("the connection broke".into()),
    });
    facts.tests[0].state = Some(PackageState::Failed);
    facts.tests[0].reason = Some("chunk x is damaged".into());
    facts.outbox.pending = 3;
    facts.outbox.refused = 1;
    facts.held = vec![HeldGroup {
        org: OrgId::new("School-7").unwrap(),
        entity_type: EntityType::TestTaker,
        count: 40,
        since: at("2026-05-10T06:00:00Z"),
        first: vec!["urn:anna".into()],
    }];
    facts.free_bytes = 500_000_000;
    facts.clock = Some(4_000);
    insta::assert_snapshot!(shown(&facts));
}

#[test]
fn old_data_and_a_failed_last_sync_are_worth_a_look_but_do_not_stop_the_exam() {
    let mut facts = good();
    facts.now = at("2026-05-20T06:00:00Z");
    assert_eq!(level(&facts, "sync"), Level::Warning);
    let mut facts = good();
    facts.last_sync.as_mut().unwrap().outcome = SyncOutcome::Interrupted;
    assert_eq!(level(&facts, "sync"), Level::Warning);
}

#[test]
fn limits_hold_at_their_edges() {
    for (free, expected) in [
        (64 * 1024 * 1024 - 1, Level::Critical),
        (64 * 1024 * 1024, Level::Warning),
        (1024 * 1024 * 1024 - 1, Level::Warning),
        (1024 * 1024 * 1024, Level::Ok),
    ] {
        assert_eq!(disk(free).level, expected, "{free}");
    }
    for (ahead, expected) in [(60, Level::Ok), (-61, Level::Warning), (900, Level::Warning), (-901, Level::Critical)] {
        let facts = Facts { clock: Some(ahead), ..good() };
        assert_eq!(level(&facts, "clock"), expected, "{ahead}");
    }
}

#[test]
fn damage_is_not_ready_and_an_old_pass_is_worth_a_look() {
    let mut facts = good();
    for (hours, expected) in [(1, Level::Ok), (48, Level::Ok), (49, Level::Warning)] {
        facts.pass = Some(LastPass {
            number: 1,
            at: facts.now - jiff::SignedDuration::from_hours(hours),
            problems: 0,
            first: vec![],
        });
        assert_eq!(level(&facts, "verify"), expected, "{hours}");
    }
    let finding = Finding {
        part: Part::Data,
        org: None,
        what: "urn:anna".into(),
        problem: "its stored body is damaged".into(),
        advice: "run 'taosync sync all'".into(),
    };
    facts.pass = Some(LastPass { number: 1, at: facts.now, problems: 1, first: vec![finding] });
    assert_eq!(level(&facts, "verify"), Level::Critical);
    assert!(
        shown(&facts).contains("urn:anna: its stored body is damaged: run 'taosync sync all'"),
        "{}",
        shown(&facts)
    );
}

#[test]
fn a_test_that_tao_has_not_imported_is_not_ready() {
    let with = |lacking: Vec<Lacking>| Facts { tao: Some(lacking), ..good() };
    assert_eq!(level(&with(vec![]), "tao"), Level::Ok);
    let lacking = |label: &str| Lacking { label: label.into(), reason: Some("no room".into()) };
    let facts = with(vec![lacking("Maths"), lacking("Physics")]);
    assert_eq!(level(&facts, "tao"), Level::Critical);
    let told = shown(&facts);
    assert!(told.contains("TAO has not imported Maths (no room) and 1 more: 'taosync tao pull'"), "{told}");
    assert!(!shown(&good()).contains("tao:"), "no TAO is adopted here");
}
