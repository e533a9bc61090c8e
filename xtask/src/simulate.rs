//! `cargo xtask simulate`: schedules of whole nodes with faults (`crates/cli/tests/simulation`), any number of them,
//! from the optimised build.

use std::process::ExitCode;

use crate::workspace::cargo;

/// What `cargo xtask simulate` accepts.
#[derive(clap::Args)]
pub struct Options {
    /// How many schedules.
    #[arg(long, default_value_t = 1_000)]
    schedules: u64,
    /// Seed of the first one.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// No schedule is begun after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
    /// Schedules at once; one for each processor when left out.
    #[arg(long)]
    jobs: Option<usize>,
}

/// Runs the schedules; the summary is the test's own.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    crate::workspace::enter()?;
    let jobs = options.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut command = cargo();
    command.args(["test", "--release", "--locked", "--package", "taosync-cli", "--test", "simulation"]);
    command.args(["--", "--nocapture", "--exact", "seeds::schedules_hold"]);
    command
        .env("TAOSYNC_SIMULATE_SEEDS", format!("{}..{}", options.from, options.from.saturating_add(options.schedules)));
    command.env("TAOSYNC_SIMULATE_JOBS", jobs.to_string());
    if let Some(minutes) = options.minutes {
        command.env("TAOSYNC_SIMULATE_MINUTES", minutes.to_string());
    }
    let status = command.status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
