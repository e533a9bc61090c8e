//! The tests themselves: cargo-nextest where it is installed, `cargo test` where it is not.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::step::{self, Step};
use super::summary::{Counts, Outcome, Report};
use crate::tao_servers::TaoServers;

/// Seeds of the schedules of whole nodes: more than a plain run of the tests plays, so many that every fault fires.
const SIMULATED: (&str, &str) = ("TAOSYNC_SIMULATE_SEEDS", "0..300");

/// What runs the unit and whole-node tests.
#[derive(Clone, Copy)]
pub enum Runner {
    Nextest,
    CargoTest,
}

impl Runner {
    /// The best one on this machine.
    pub fn available() -> Self {
        if step::has_subcommand("nextest") { Self::Nextest } else { Self::CargoTest }
    }

    /// Runs all unit tests and all tests of whole nodes, with databases for those that need a TAO.
    pub fn run(self) -> Report {
        let servers = TaoServers::start();
        let mut report = match self {
            Self::Nextest => nextest(&servers),
            Self::CargoTest => {
                let arguments = ["test", "--workspace", "--all-targets", "--locked"];
                cargo_test("tests", &arguments, servers.variables())
            }
        };
        report.note(&servers.missing);
        report
    }
}

/// Runs the examples in doc comments, which nextest does not know.
pub fn doc_tests() -> Report {
    cargo_test("doc tests", &["test", "--workspace", "--doc", "--locked"], std::iter::empty())
}

fn nextest(servers: &TaoServers) -> Report {
    let arguments = ["nextest", "run", "--workspace", "--all-targets", "--locked", "--no-fail-fast"];
    // The result files of an earlier run must not be taken for this one's.
    let junit = junit_file();
    let _ = std::fs::remove_file(&junit);
    let step = with_all(Step::cargo("tests", &arguments), servers.variables());
    let (mut report, lines) = step.run_watched(|line| line.contains(" tests run: "));
    if let Some(counts) = lines.iter().rev().find_map(|line| nextest_counts(line)) {
        report.counts = counts;
    }
    if let Ok(xml) = std::fs::read_to_string(&junit) {
        report.note_skips(&loud_skips(&xml));
    }
    report
}

/// Where nextest leaves the result of each test (`.config/nextest.toml`).
fn junit_file() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    PathBuf::from(target).join("nextest/default/junit.xml")
}

fn cargo_test<'a>(
    name: &'static str,
    arguments: &[&str],
    variables: impl Iterator<Item = (&'static str, &'a str)>,
) -> Report {
    // `--show-output`: a test that skipped itself says so on its output, which is hidden otherwise.
    let arguments = [arguments, &["--no-fail-fast", "--", "--show-output"]].concat();
    let interesting = |line: &str| line.starts_with("test result: ") || line.starts_with("SKIPPED: ");
    let step = with_all(Step::cargo(name, &arguments), variables);
    let (mut report, lines) = step.run_watched(interesting);
    let results = lines.iter().filter_map(|line| cargo_test_counts(line));
    if let Some(counts) = results.reduce(Counts::plus) {
        report.counts = counts;
    } else if report.outcome == Outcome::Passed {
        report.counts = Counts::default();
    }
    let skips: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("SKIPPED: ")).map(str::to_owned).collect();
    report.note_skips(&skips);
    report
}

fn with_all<'a>(step: Step, variables: impl Iterator<Item = (&'static str, &'a str)>) -> Step {
    [SIMULATED].into_iter().chain(variables).fold(step, |step, (name, value)| step.with(name, value))
}

/// Reads nextest's last line: `Summary [ 0.2s] 12 tests run: 10 passed (1 slow), 2 failed, 1 skipped`.
fn nextest_counts(line: &str) -> Option<Counts> {
    let (_, results) = line.split_once(" tests run: ")?;
    Some(counts_of(results.split(',')))
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
fn cargo_test_counts(line: &str) -> Option<Counts> {
    let (_, results) = line.strip_prefix("test result: ")?.split_once(". ")?;
    Some(counts_of(results.split(';')))
}

fn counts_of<'a>(parts: impl Iterator<Item = &'a str>) -> Counts {
    let mut counts = Counts::default();
    for part in parts {
        let mut words = part.split_whitespace();
        let (Some(Ok(number)), Some(word)) = (words.next().map(str::parse::<usize>), words.next()) else { continue };
        match word {
            "passed" => counts.passed += number,
            "failed" | "timed" | "exec" => counts.failed += number,
            "skipped" | "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

/// The reason of each test that passed only because it skipped itself, one entry a test.
fn loud_skips(junit: &str) -> Vec<String> {
    let reason = |case: &str| {
        let (_, rest) = case.split_once("SKIPPED: ")?;
        let mut reason = String::new();
        // Unwrap safety: writing to a String cannot fail, so the result carries nothing.
        let _ = write!(reason, "{}", rest.lines().next()?.split('<').next()?.trim());
        Some(reason.replace("&apos;", "'").replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">"))
    };
    junit.split("<testcase ").skip(1).filter_map(reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_summaries_are_counted() {
        let line = "     Summary [   0.2s] 13 tests run: 10 passed (1 slow, 1 flaky), 2 failed, 1 timed out, 4 skipped";
        assert_eq!(nextest_counts(line), Some(Counts { passed: 10, failed: 3, skipped: 4 }));
        assert_eq!(nextest_counts("12 tests across 3 binaries"), None);
    }

    #[test]
    fn cargo_test_summaries_are_counted() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(cargo_test_counts(line), Some(Counts { passed: 3, failed: 1, skipped: 2 }));
        assert_eq!(cargo_test_counts("test a::b ... ok"), None);
    }

    #[test]
    fn a_test_that_skipped_itself_is_found() {
        let junit = "<testsuite><testcase name=\"a\"><system-err>SKIPPED: no \
                     &lt;data&gt;\nmore</system-err></testcase><testcase name=\"b\"></testcase></testsuite>";
        assert_eq!(loud_skips(junit), ["no <data>"]);
    }
}
