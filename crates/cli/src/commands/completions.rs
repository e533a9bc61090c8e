//! `taosync completions`: for the shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:
  taosync completions bash > /etc/bash_completion.d/taosync")]
pub struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Options {
    /// Prints them.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut bytes = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "taosync", &mut bytes);
        let script = String::from_utf8_lossy(&bytes).into_owned();
        context.output.answer(&json!({"shell": self.shell.to_string(), "script": script}), || script.clone())?;
        Ok(Exit::Done)
    }
}
