//! The program `taosync`: reads the command line, runs one command, prints one answer. A library, so that the simulation
//! of whole nodes does with its machines what the commands do; nobody else uses it.

mod argv;
pub mod backup;
mod bounded;
mod certificate;
pub mod changes;
mod chores;
mod cli;
pub mod commands;
pub mod config;
pub mod context;
mod demo;
pub mod failure;
pub mod locks;
mod logs;
mod memory;
pub mod node;
pub mod output;
mod progress;
mod question;
mod readiness;
mod verification;

use std::process::ExitCode;

use failure::{Exit, Failure};

/// Runs the program with the arguments of this process.
pub fn run() -> ExitCode {
    // Fails only when a provider is there already; then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    memory::keep_to_ourselves();
    logs::to_stderr();
    let arguments = argv::with_our_spellings(std::env::args_os());
    match cli::read(&arguments) {
        Ok(cli) => carry_out(cli).into(),
        Err(exit) => exit.into(),
    }
}

fn carry_out(cli: cli::Cli) -> Exit {
    let context = cli.globals.context();
    let output = context.output;
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli.command.run(context)),
        Err(error) => Err(Failure::new("TS-900", "the program cannot start its threads", "").because(error)),
    };
    ended.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit
    })
}
