//! Chores of the workspace: `cargo xtask <chore>`.

use clap::{Parser, Subcommand};

mod bench;
mod fuzz;
mod simulate;
mod tao_servers;
mod test;
mod workspace;

/// Chores of the taosync workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measures the release program beside the physical limits of this machine.
    Bench(bench::Options),
    /// Lets the fuzzer look for inputs that break what must hold.
    Fuzz(fuzz::Options),
    /// Plays schedules of whole nodes with faults, and counts what happened.
    Simulate(simulate::Options),
    /// Keeps a PostgreSQL and a MariaDB running for single tests that need a TAO.
    TaoServers,
    /// Runs every check and test there is, and ends with a summary.
    Test(test::Options),
}

fn main() -> anyhow::Result<std::process::ExitCode> {
    match Cli::parse().chore {
        Chore::Bench(options) => bench::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Simulate(options) => simulate::run(&options),
        Chore::TaoServers => Ok(tao_servers::run()),
        Chore::Test(options) => test::run(&options),
    }
}
