//! `cargo xtask bench`: the release program as two real processes on this machine, each path beside its limit.

mod data;
mod limits;
mod line;
mod node;
mod package;
mod packages;
mod paths;
mod process;
mod report;
mod slow;
mod tao;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::ValueEnum;

/// What `cargo xtask bench` accepts.
#[derive(clap::Args)]
pub struct Options {
    /// The program to measure; without it, the workspace is built with `--release` first.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Runs of each path; medians are shown.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Only these groups of paths.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Group>,
    /// Leave out sizes above this.
    #[arg(long, default_value_t = 100_000, value_name = "RECORDS")]
    largest: usize,
    /// Records in one commit of the program, for the raw insert beside it.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    commit: u32,
    /// Where the nodes live while measured; without it, a temporary folder.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// One JSON document instead of the table.
    #[arg(long)]
    json: bool,
}

/// Paths that share their preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Test takers down: initial, no change, 1 % changed, 1 % removed.
    Takers,
    /// One taker of 10,000 out of one eligibility.
    Eligibility,
    /// Results up, 20 variables each.
    Results,
    /// CSV import on central.
    Import,
    /// First sync and no change over a line of 100 ms and 2 Mbit/s.
    Line,
    /// First syncs over such a line, killed at random moments.
    Kills,
    /// A package of 200 MB: first fetch, little changed, a line of 100 ms and 10 Mbit/s.
    Packages,
    /// Pulls of a TAO's own database with 5,000 test takers.
    Tao,
}

impl Group {
    fn sizes(self) -> &'static [usize] {
        match self {
            Self::Takers => &[1_000, 10_000, 100_000],
            Self::Eligibility | Self::Line => &[10_000],
            Self::Results => &[1_000, 10_000],
            Self::Import | Self::Kills => &[100_000],
            Self::Packages => &[packages::FILES],
            Self::Tao => &[tao::TAKERS],
        }
    }
}

/// Measures what was asked for and prints it. Limits of a debug build would flatter the program: such a build hands
/// over to a release build of itself.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) {
        return run_in_release();
    }
    measure(options)?;
    Ok(ExitCode::SUCCESS)
}

fn run_in_release() -> anyhow::Result<ExitCode> {
    let mut command = crate::workspace::cargo();
    command
        .args(["run", "--release", "--quiet", "--locked", "--package", "xtask", "--"])
        .args(std::env::args_os().skip(1));
    let status = command.status().context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(options: &Options) -> anyhow::Result<()> {
    let scratch = match &options.dir {
        Some(dir) => tempfile::Builder::new().prefix("taosync-bench").tempdir_in(dir),
        None => tempfile::Builder::new().prefix("taosync-bench").tempdir(),
    };
    let scratch = scratch.context("cannot make a folder for the nodes")?;
    let bench = paths::Bench {
        scratch: scratch.path().canonicalize()?,
        program: program(options)?,
        runs: options.runs.into(),
        commit: options.commit as usize,
    };
    let groups = if options.only.is_empty() { Group::value_variants() } else { &options.only };
    let mut lines = Vec::new();
    for group in groups {
        for &size in group.sizes().iter().filter(|size| **size <= options.largest) {
            eprintln!("bench: {group:?}, {size} records, {} runs", options.runs);
            lines.extend(match group {
                Group::Takers => bench.takers(size)?,
                Group::Eligibility => bench.eligibility(size)?,
                Group::Results => bench.results(size)?,
                Group::Import => bench.import(size)?,
                Group::Line => bench.slow(size)?,
                Group::Kills => vec![bench.kills(size)?],
                Group::Packages => bench.packages()?,
                Group::Tao => bench.tao()?,
            });
        }
    }
    ensure!(!lines.is_empty(), "nothing to measure: every size is above --largest {}", options.largest);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
    } else {
        println!("{}\n\n{}", report::table(&lines), targets::table(&lines));
    }
    Ok(())
}

fn program(options: &Options) -> anyhow::Result<PathBuf> {
    if let Some(program) = &options.program {
        return program.canonicalize().with_context(|| format!("no program at {}", program.display()));
    }
    crate::workspace::enter()?;
    let status =
        crate::workspace::cargo().args(["build", "--release", "--locked", "--package", "taosync-cli"]).status();
    ensure!(status.is_ok_and(|s| s.success()), "the release build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    PathBuf::from(target).join("release/taosync").canonicalize().context("the release build left no program")
}
