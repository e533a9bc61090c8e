//! `taosync keys`: the keys of this node, and those that open results.

mod authority;
mod carry;
pub mod results;
mod rotate;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::{Exit, Failure};

/// The keys of this node, and those that open results
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central keys results list
  taosync --dir /srv/central keys results add age1… --name 'Office, safe 1'
  taosync --dir /srv/central results rehearse --identity key-1.txt
  taosync --dir /srv/central keys results remove central
  taosync --dir /srv/local keys rotate
  taosync --dir /srv/central keys authority prepare
  taosync --dir /srv/local keys export /mnt/stick/keys.age --recipient age1…")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Keys that results are sealed for (central)
    Results(results::Options),
    /// Seal the whole database anew with a fresh key, while the server runs
    Rotate(rotate::Options),
    /// The authority of central's certificate: show, prepare the next one, switch to it (central)
    Authority(authority::Options),
    /// Write the keys of this node into one sealed file
    Export(carry::Export),
    /// Put the keys of this node back from such a file
    Import(carry::Import),
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::Results(options) => options.run(context).await?,
            Act::Rotate(options) => options.run(context).await?,
            Act::Authority(options) => options.run(context).await?,
            Act::Export(options) => options.run(context).await?,
            Act::Import(options) => options.run(context).await?,
        }
        Ok(Exit::Done)
    }
}
