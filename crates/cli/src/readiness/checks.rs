//! From facts to lines. Pure: nothing is asked here.

use jiff::Timestamp;
use serde_json::json;
use taosync_model::execution::ExecutionState;
use taosync_store::history::SyncOutcome;
use taosync_store::packages::PackageState;
use taosync_store::releases::Codes;
use taosync_sync::session::held::HeldGroup;

use super::facts::{Facts, Lacking, Org, Test};
use super::{Check, Level};
use crate::output::{self, age, bytes, time};
use crate::verification::LastPass;

/// Data older than this should be fetched again, in seconds.
const OLD: i64 = 7 * 86_400;
/// A pass over everything stored is old after this many seconds: it is made daily.
const STALE: i64 = 48 * 3_600;
/// Free bytes below which results could not be kept.
const NO_ROOM: u64 = 64 * 1024 * 1024;
/// Free bytes below which somebody should make room.
const LITTLE_ROOM: u64 = 1024 * 1024 * 1024;
/// Seconds of clock difference that are worth a look, and that make periods of tests wrong.
const CLOCK_OFF: u64 = 60;
const CLOCK_WRONG: u64 = 900;
/// Seconds of a day.
const DAY: u64 = 86_400;

/// All lines, in the order a person reads them.
pub(super) fn of(facts: &Facts) -> Vec<Check> {
    let all = [
        Some(sync(facts)),
        Some(tests(facts)),
        facts.tao.as_deref().map(tao),
        Some(results(facts)),
        Some(executions(facts)),
        Some(removals(facts)),
        Some(disk(facts.free_bytes)),
        Some(clock(facts.clock)),
        Some(whole(facts.pass.as_ref(), facts.now)),
        Some(version(facts)),
        Some(line(facts)),
    ];
    all.into_iter().flatten().collect()
}

fn sync(facts: &Facts) -> Check {
    let seconds = |org: &Org| org.verified_at.map(|at| facts.now.duration_since(at).as_secs());
    let value = json!({
        "orgs": facts.orgs.iter().map(|o| json!({"org": o.org, "verified_at": o.verified_at, "age_seconds": seconds(o)})).collect::<Vec<_>>(),
        "last_outcome": facts.last_sync.as_ref().map(|last| last.outcome.as_str()),
        "last_code": facts.last_sync.as_ref().and_then(|last| last.code.clone()),
    });
    let line = |level, text: String| Check::new("sync", level, text, value.clone());
    if facts.orgs.is_empty() {
        return line(
            Level::Critical,
            "this server knows no central yet: run the 'oauth import' command from the office".into(),
        );
    }
    let last = facts.last_sync.as_ref();
    let why = last.and_then(|last| last.reason.as_deref()).map(|why| format!(": {why}")).unwrap_or_default();
    if let Some(org) = facts.orgs.iter().find(|org| org.verified_at.is_none()) {
        return line(Level::Critical, format!("org {} was never verified equal to central{why}; synchronize", org.org));
    }
    if let Some(org) = facts.orgs.iter().find(|org| org.synced_at > org.verified_at) {
        return line(Level::Critical, format!("org {} is not equal to central{why}; synchronize again", org.org));
    }
    let Some(verified) = facts.verified_at() else { return line(Level::Critical, "never verified".into()) };
    let old = facts.now.duration_since(verified).as_secs();
    let equal = format!("equal to central, verified {} ({})", time(verified), age(old));
    match last {
        Some(last) if last.code.as_deref() == Some("TS-311") => line(
            Level::Warning,
            format!(
                "{equal}; but {}. If this machine goes on: 'taosync node adopt'; if it is a copy: 'taosync node renew'",
                last.reason.as_deref().unwrap_or("central gives it no data")
            ),
        ),
        Some(last) if matches!(last.outcome, SyncOutcome::Failed | SyncOutcome::Interrupted) => line(
            Level::Warning,
            format!(
                "{equal}; but the last sync, {}, {}{why}",
                age(facts.now.duration_since(last.at).as_secs()),
                if last.outcome == SyncOutcome::Failed { "failed" } else { "was interrupted" }
            ),
        ),
        _ if old > OLD => line(Level::Warning, format!("{equal}; that is long ago: synchronize")),
        _ => line(Level::Ok, equal),
    }
}

fn tests(facts: &Facts) -> Check {
    let is_ready = |test: &&Test| test.state == Some(PackageState::Ready);
    let ready = facts.tests.iter().filter(is_ready).count();
    let locked = facts.tests.iter().filter(is_ready).filter(|test| !test.unlocked).count();
    let missing: Vec<_> = facts.tests.iter().filter(|test| !is_ready(test)).collect();
    let names = |list: &[&Test]| list.iter().map(|t| t.uri.clone()).collect::<Vec<_>>();
    let needs_network = facts.tests.iter().filter(is_ready).filter_map(|test| test.release);
    let needs_network = needs_network.filter(|release| release.codes == Codes::None).map(|release| release.at).min();
    let value = json!({
        "ready": ready, "locked": locked, "not_ready": names(&missing), "network_needed_at": needs_network,
    });
    if let Some(first) = missing.first() {
        let name = if first.label.is_empty() { &first.uri } else { &first.label };
        let why = first.reason.as_deref().unwrap_or("not fetched yet");
        let text = format!(
            "{} of {} tests are not ready, first '{name}': {why}; synchronize",
            missing.len(),
            facts.tests.len()
        );
        return Check::new("packages", Level::Critical, text, value);
    }
    let text = match (ready, locked) {
        (0, _) => "no test is published for this server".to_owned(),
        (n, 0) => format!("all {n} tests are here and compiled"),
        (n, locked) => format!("all {n} tests are here; {locked} still locked"),
    };
    match needs_network {
        Some(at) => {
            let text = format!("{text}; without unlock codes, so the network is needed at {at}");
            Check::new("packages", Level::Warning, text, value)
        }
        None => Check::new("packages", Level::Ok, text, value),
    }
}

/// Here TAO runs the exams, so a test it has not cannot be taken.
fn tao(lacking: &[Lacking]) -> Check {
    let labels: Vec<&str> = lacking.iter().map(|test| test.label.as_str()).collect();
    let value = json!({ "lacking": labels });
    let Some(first) = lacking.first() else {
        return Check::new("tao", Level::Ok, "TAO has all tests that are here".to_owned(), value);
    };
    let why = first.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let more = match lacking.len() {
        1 => String::new(),
        number => format!(" and {} more", number - 1),
    };
    let text = format!("TAO has not imported {}{why}{more}: 'taosync tao pull' says what it waits for", first.label);
    Check::new("tao", Level::Critical, text, value)
}

fn results(facts: &Facts) -> Check {
    let counts = &facts.outbox;
    let value = json!({"pending": counts.pending, "sent": counts.sent, "refused": counts.refused, "conflicts": counts.conflicts});
    let mut text = format!("{} waiting to be handed in, {} confirmed by central", counts.pending, counts.sent);
    if counts.refused > 0 {
        output::add(&mut text, format_args!(", {} refused: see 'taosync results list'", counts.refused));
    }
    let level = if counts.pending + counts.refused > 0 { Level::Warning } else { Level::Ok };
    Check::new("results", level, text, value)
}

fn executions(facts: &Facts) -> Check {
    let count = |pick: fn(ExecutionState) -> bool| {
        facts.executions.iter().filter(|(state, _)| pick(*state)).map(|(_, number)| number).sum::<u64>()
    };
    let active = count(|state| !state.is_over());
    let over = count(ExecutionState::is_over);
    Check::new(
        "executions",
        Level::Ok,
        format!("{active} running, {over} ended"),
        json!({"active": active, "ended": over}),
    )
}

fn removals(facts: &Facts) -> Check {
    let held: u64 = facts.held.iter().map(|group| group.count).sum();
    let value = json!({"held": held, "groups": facts.held});
    let Some(since) = facts.held.iter().map(|group| group.since).min() else {
        return Check::new("removals", Level::Ok, "none held back", value);
    };
    let groups = facts.held.iter().map(HeldGroup::to_text).collect::<Vec<_>>().join("; ");
    let age = age(facts.now.duration_since(since).as_secs());
    let text = format!(
        "central removed {groups}; the first was held {age}: the office approves with 'taosync scope approve-removals' or brings them back, else 'taosync sync data --accept-removals' here"
    );
    Check::new("removals", Level::Warning, text, value)
}

/// How much room is left; also for central.
pub fn disk(free: u64) -> Check {
    let (level, advice) = match free {
        0..NO_ROOM => (Level::Critical, ": results could not be kept, make room now"),
        NO_ROOM..LITTLE_ROOM => (Level::Warning, ": make room"),
        _ => (Level::Ok, ""),
    };
    Check::new("disk", level, format!("{} free{advice}", bytes(free)), json!({"free_bytes": free}))
}

/// How far this clock is from central's; also for `doctor`.
pub fn clock(ahead: Option<i64>) -> Check {
    let value = json!({"ahead_seconds": ahead});
    let Some(ahead) = ahead else {
        return Check::new("clock", Level::Ok, "not compared with central's yet", value);
    };
    let off = ahead.unsigned_abs();
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let shown = if off > 2 * DAY { format!("{} days", off / DAY) } else { format!("{off} s") };
    match off {
        0..=CLOCK_OFF => Check::new("clock", Level::Ok, format!("{off} s {side} central's"), value),
        _ => {
            let level = if off > CLOCK_WRONG { Level::Critical } else { Level::Warning };
            Check::new("clock", level, format!("{shown} {side} central's: set this machine's clock"), value)
        }
    }
}

/// What the last pass over everything stored found; also for central.
pub fn whole(pass: Option<&LastPass>, now: Timestamp) -> Check {
    let Some(pass) = pass else {
        let text = "what is stored was not checked yet: a running server does it daily, 'taosync verify' now";
        return Check::new("verify", Level::Ok, text, json!({"verified_at": null, "problems": null}));
    };
    let seconds = now.duration_since(pass.at).as_secs();
    let value = json!({
        "verified_at": pass.at, "age_seconds": seconds, "problems": pass.problems, "first": pass.first,
    });
    if let Some(first) = pass.first.first() {
        let text = format!(
            "{} things stored are damaged, found {}, first {}: {}; then 'taosync verify'",
            pass.problems,
            age(seconds),
            first.to_text(),
            first.advice
        );
        return Check::new("verify", Level::Critical, text, value);
    }
    let text = format!("everything stored was found whole {}", age(seconds));
    if seconds < -STALE {
        let text = "what is stored was last found whole on a day that is still to come: the clock was wrong then, or is \
                    now; run 'taosync verify'";
        return Check::new("verify", Level::Warning, text, value);
    }
    if seconds > STALE {
        let text = format!("{text}; that is long ago: let 'taosync serve' run, or run 'taosync verify'");
        return Check::new("verify", Level::Warning, text, value);
    }
    Check::new("verify", Level::Ok, text, value)
}

fn version(facts: &Facts) -> Check {
    Check::new("version", Level::Ok, facts.version, json!({"version": facts.version}))
}

fn line(facts: &Facts) -> Check {
    let text = facts.line.map_or_else(|| "not measured yet".to_owned(), |line| format!("{} a second", bytes(line)));
    Check::new("line", Level::Ok, text, json!({"bytes_per_second": facts.line}))
}
