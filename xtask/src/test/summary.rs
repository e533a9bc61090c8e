//! What came out: one line a step, and one line for all.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Table, presets};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// Tests of a step; a step that is not made of tests counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Counts {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    fn one(outcome: Outcome) -> Self {
        let is = |wanted| usize::from(outcome == wanted);
        Self { passed: is(Outcome::Passed), failed: is(Outcome::Failed), skipped: is(Outcome::Skipped) }
    }
}

/// One step of the run.
#[derive(Debug)]
pub struct Report {
    name: &'static str,
    pub outcome: Outcome,
    pub counts: Counts,
    notes: Vec<String>,
    time: Duration,
}

impl Report {
    /// A step that ran.
    pub fn of(name: &'static str, outcome: Outcome, time: Duration) -> Self {
        Self { name, outcome, counts: Counts::one(outcome), notes: Vec::new(), time }
    }

    /// A step that could not do its work.
    pub fn failed(name: &'static str, reason: &str, time: Duration) -> Self {
        Self { notes: vec![reason.to_owned()], ..Self::of(name, Outcome::Failed, time) }
    }

    /// A step that did not run, and why.
    pub fn skipped(name: &'static str, reason: &str) -> Self {
        Self { notes: vec![reason.to_owned()], ..Self::of(name, Outcome::Skipped, Duration::ZERO) }
    }

    /// Turns a step that ran in vain into a skipped one.
    pub fn skip(&mut self, reason: &str) {
        *self = Self { time: self.time, ..Self::skipped(self.name, reason) };
    }

    /// Counts tests that skipped themselves as skipped, not as passed, and keeps each reason once.
    pub fn note_skips(&mut self, reasons: &[String]) {
        let moved = reasons.len().min(self.counts.passed);
        self.counts.passed -= moved;
        self.counts.skipped += moved;
        for reason in reasons {
            if !self.notes.contains(reason) {
                self.notes.push(reason.clone());
            }
        }
    }

    /// Adds notes that are no skipped tests of their own.
    pub fn note(&mut self, notes: &[String]) {
        self.notes.extend(notes.iter().filter(|note| !self.notes.contains(note)).cloned().collect::<Vec<_>>());
    }

    /// What the step adds to the last line: a failed step is at least one failure, also when no test could run.
    fn total(&self) -> Counts {
        let mut counts = self.counts;
        if self.outcome == Outcome::Failed {
            counts.failed = counts.failed.max(1);
        }
        counts
    }
}

/// Prints the table and the last line; gives the exit code of the whole run.
pub fn print(reports: &[Report]) -> ExitCode {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["step", "outcome", "seconds", "tests", "notes"]);
    for report in reports {
        let outcome = match report.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
        };
        let total = report.total();
        let tests = format!("{} / {} / {}", total.passed, total.failed, total.skipped);
        let seconds = format!("{:.1}", report.time.as_secs_f64());
        table.add_row([report.name.to_owned(), outcome.to_owned(), seconds, tests, report.notes.join("; ")]);
    }
    let total = reports.iter().map(Report::total).fold(Counts::default(), Counts::plus);
    println!("\n{table}\n");
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    if total.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_fails_before_any_test_is_a_failure() {
        let mut report = Report::of("tests", Outcome::Failed, Duration::ZERO);
        report.counts = Counts::default();
        assert_eq!(report.total().failed, 1);
        assert_eq!(print(&[report]), ExitCode::FAILURE);
    }

    #[test]
    fn what_skipped_itself_has_not_passed() {
        let mut report = Report::of("tests", Outcome::Passed, Duration::ZERO);
        report.counts = Counts { passed: 3, failed: 0, skipped: 1 };
        report.note_skips(&["no data".to_owned(), "no data".to_owned()]);
        assert_eq!(report.counts, Counts { passed: 1, failed: 0, skipped: 3 });
        assert_eq!(report.notes, ["no data"]);
        assert_eq!(print(&[report]), ExitCode::SUCCESS);
    }
}
