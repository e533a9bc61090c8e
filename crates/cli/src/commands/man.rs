//! `taosync man`: the manual page, with all verbs.

use clap::{Args, CommandFactory as _};
use serde_json::json;

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::stdout_failed;

/// Print the manual page
#[derive(Debug, Args)]
#[command(after_help = "Example:
  taosync man > /usr/share/man/man1/taosync.1")]
pub struct Options {}

impl Options {
    /// Prints it.
    pub fn run(context: &Context) -> Result<Exit, Failure> {
        let mut bytes = Vec::new();
        let mut command = Cli::command();
        command.build();
        render(&command, &mut bytes).map_err(stdout_failed)?;
        let page = String::from_utf8_lossy(&bytes).into_owned();
        context.output.answer(&json!({"man": page}), || page.clone())?;
        Ok(Exit::Done)
    }
}

/// The page of a verb and then those of its verbs.
fn render(command: &clap::Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(out)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        render(verb, out)?;
    }
    Ok(())
}
