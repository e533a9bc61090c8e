//! `cargo xtask fuzz`: lets the fuzzer look for inputs that break what must hold (`fuzz/README.md`), and says what it
//! found. The inputs that are kept run with the ordinary tests; this needs a nightly compiler and cargo-fuzz.

mod run;
mod summary;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use run::Outcome;

/// What `cargo xtask fuzz` accepts.
#[derive(clap::Args)]
pub struct Options {
    /// Targets to run; all when none is named.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Targets that run at once.
    #[arg(long, default_value_t = 2)]
    at_once: usize,
}

/// Builds the targets, runs them, and prints a table; fails when anything was found.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    crate::workspace::enter()?;
    let targets = chosen(&options.targets)?;
    let host = host()?;
    build()?;
    let binaries = PathBuf::from("fuzz/target").join(host).join("release");
    let time = Duration::from_secs(options.seconds);
    let left = Mutex::new(targets.iter());
    let next = || left.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let outcomes: Mutex<Vec<anyhow::Result<Outcome>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..options.at_once.max(1) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let outcome = run::target(&binaries, target, time);
                    outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut outcomes: Vec<Outcome> = outcomes.into_iter().collect::<anyhow::Result<_>>()?;
    outcomes.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(summary::print(&outcomes))
}

/// The targets there are, or those of them that were named.
fn chosen(named: &[String]) -> anyhow::Result<Vec<String>> {
    let files = std::fs::read_dir("fuzz/fuzz_targets").context("there is no folder fuzz/fuzz_targets")?;
    let mut all = Vec::new();
    for file in files {
        let path = file?.path();
        all.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    all.sort();
    for name in named {
        ensure!(all.contains(name), "there is no target '{name}'; there are {}", all.join(", "));
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}

/// The machine the targets are built for.
fn host() -> anyhow::Result<String> {
    let told = Command::new("rustc").args(["+nightly", "-vV"]).env_remove("RUSTUP_TOOLCHAIN").output();
    let told = told.ok().filter(|told| told.status.success());
    let told = told.context("no nightly compiler: rustup toolchain install nightly --profile minimal")?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

/// Our code has no `unsafe`: without the address sanitizer more inputs are tried, and the memory that is counted is the
/// memory the program would take. Faults of memory inside dependencies are therefore not looked for.
fn build() -> anyhow::Result<()> {
    let arguments = ["+nightly", "fuzz", "build", "--fuzz-dir", "fuzz", "--sanitizer", "none"];
    eprintln!("── cargo {}", arguments.join(" "));
    let mut cargo = Command::new("cargo");
    // Set by the toolchain that runs us, and stronger than `+nightly`.
    cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC").env_remove("CARGO_TARGET_DIR");
    let built = cargo.args(arguments).stdin(Stdio::null()).status().context("cargo cannot be started")?;
    if !built.success() {
        bail!("the targets could not be built; without cargo-fuzz: cargo install --locked cargo-fuzz");
    }
    Ok(())
}
