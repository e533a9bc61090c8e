//! `cargo xtask test`: formatting, lints, tests, documentation tests and the dependency rules, in one go.
//!
//! Every step runs whatever happened before it; the summary at the end is what counts. What cannot run on a machine
//! is listed as skipped with its reason, never dropped in silence.

mod install;
mod schemathesis;
mod step;
mod suite;
mod summary;

use std::process::ExitCode;

use step::Step;
use suite::Runner;
use summary::{Outcome, Report};

/// What `cargo xtask test` accepts.
#[derive(clap::Args)]
pub struct Options {
    /// Install missing tools first: Debian packages (as root) and cargo's own tools.
    #[arg(long)]
    install: bool,
    /// Leave out what is slow and rarely breaks: documentation tests and the dependency rules.
    #[arg(long)]
    quick: bool,
    /// Also send thousands of made-up requests to both servers, after their OpenAPI documents (schemathesis).
    #[arg(long, conflicts_with = "quick")]
    long: bool,
}

const QUICK: &str = "left out by --quick";

/// Runs all steps; the exit code is a failure when any of them failed.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    crate::workspace::enter()?;
    let mut reports = Vec::new();
    if options.install {
        reports.extend(install::missing_tools());
    }
    reports.push(formatting());
    reports.push(lints());
    reports.push(Runner::available().run());
    if options.quick {
        reports.extend(["doc tests", "deny"].map(|name| Report::skipped(name, QUICK)));
    } else {
        reports.push(suite::doc_tests());
        reports.extend(dependency_rules());
    }
    reports.push(if options.long {
        schemathesis::run(options.install)
    } else {
        Report::skipped(schemathesis::NAME, "runs with --long")
    });
    reports.push(Report::skipped("fuzz", "kept inputs ran with the tests; to look for new ones: cargo xtask fuzz"));
    Ok(summary::print(&reports))
}

fn formatting() -> Report {
    if !step::has_subcommand("fmt") {
        return Report::skipped("fmt", "rustfmt is not installed: rustup component add rustfmt");
    }
    Step::cargo("fmt", &["fmt", "--all", "--check"]).run()
}

fn lints() -> Report {
    if !step::has_subcommand("clippy") {
        return Report::skipped("clippy", "clippy is not installed: rustup component add clippy");
    }
    Step::cargo("clippy", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()
}

/// Licences, banned crates and sources always; advisories when their database can be had.
fn dependency_rules() -> Vec<Report> {
    if !step::has_subcommand("deny") {
        let reason = "cargo-deny is not installed: cargo xtask test --install";
        return ["deny", "advisories"].map(|name| Report::skipped(name, reason)).into();
    }
    let rules = Step::cargo("deny", &["deny", "--locked", "check", "bans", "licenses", "sources"]).run();
    vec![rules, advisories()]
}

fn advisories() -> Report {
    let (mut report, output) = Step::cargo("advisories", &["deny", "--locked", "check", "advisories"]).run_watched(
        // The database lives in a git repository; a machine that may not reach it has nothing to check against.
        |line| line.contains("failed to fetch advisory database") || line.contains("failed to open advisory database"),
    );
    if report.outcome == Outcome::Failed && !output.is_empty() {
        report.skip("the advisory database cannot be fetched from this machine");
    }
    report
}
