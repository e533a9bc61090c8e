//! `taosync keys`: the keys of this node, and those that open results.

pub mod results;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Who opens results
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central keys results list
  taosync --dir /srv/central keys results add age1… --name 'Office, safe 1'
  taosync --dir /srv/central results rehearse --identity key-1.txt
  taosync --dir /srv/central keys results remove central")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Keys that results are sealed for (central)
    Results(results::Options),
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::Results(options) => options.run(context).await?,
        }
        Ok(Exit::Done)
    }
}
