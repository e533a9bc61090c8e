//! The command line as clap reads it. Each verb's options stand beside what it does, in `commands/`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Args, Parser};
use serde_json::json;
use taosync_model::clock::SystemClock;

use crate::commands::Command;
use crate::config::Place;
use crate::context::Context;
use crate::failure::Exit;
use crate::output::{self, Output};

/// Keeps exam centers in step with a central server: data and tests down before the exam, results up after it.
#[derive(Debug, Parser)]
#[command(
    name = "taosync",
    version,
    max_term_width = 110,
    after_help = "Examples:
  taosync --dir /srv/central init central --listen 0.0.0.0:8443 --host central.example
  taosync --dir /srv/central serve
  taosync --dir /srv/local sync all

Exit codes: 0 done, 1 failed, 2 wrong command line, 75 try again later. Logs: TAOSYNC_LOG=info."
)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub struct Globals {
    /// Directory of the node [default: /etc/taosync and /var/lib/taosync]
    #[arg(long, global = true, env = "TAOSYNC_DIR", hide_env_values = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print exactly one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

impl Globals {
    /// The surroundings of a command.
    pub fn context(&self) -> Context {
        Context {
            place: Place::new(self.dir.as_deref()),
            output: if self.json { Output::Json } else { Output::Text },
            clock: Arc::new(SystemClock),
        }
    }
}

/// Reads the arguments. Help, versions and complaints are printed here; the error is how to end.
pub fn read(arguments: &[OsString]) -> Result<Cli, Exit> {
    Cli::try_parse_from(arguments).map_err(|error| {
        let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        let wants_json = arguments.iter().any(|argument| argument == "--json");
        if wants_json && !is_answer {
            // The exit code tells the same when stdout is closed.
            let _ = output::print_json(&complaint(&error));
        } else {
            // As above.
            let _ = error.print();
        }
        if is_answer { Exit::Done } else { Exit::Usage }
    })
}

fn complaint(error: &clap::Error) -> serde_json::Value {
    let text = error.render().to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let rest: Vec<_> = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
    json!({"error": {"code": "TS-001", "message": message, "advice": rest.join(" ")}})
}

#[cfg(test)]
mod tests;
