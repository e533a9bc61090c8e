//! `--identity FILE`: what opens sealed results.

use std::path::PathBuf;

use clap::Args;
use taosync_vault::results_keys::ResultsIdentities;

use crate::bounded;
use crate::failure::Failure;
use crate::node::Node;

/// Bytes of a file of identities at most.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the identities are.
#[derive(Clone, Debug, Default, Args)]
pub struct Given {
    /// File with the age identity that opens sealed results; '-' is standard input [default: keys of this node]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl Given {
    /// The identities that were given, and those this node keeps.
    pub fn with_those_of(&self, node: &Node) -> Result<ResultsIdentities, Failure> {
        let kept = node.keyring.results().clone();
        Ok(match &self.identity {
            None => kept,
            Some(_) => self.read()?.with(kept),
        })
    }

    /// The identities that were given; none when none were.
    pub fn read(&self) -> Result<ResultsIdentities, Failure> {
        let Some(path) = &self.identity else { return Ok(ResultsIdentities::default()) };
        let text = if path.as_os_str() == "-" {
            bounded::text(std::io::stdin().lock(), MAX_BYTES)
        } else {
            std::fs::File::open(path).and_then(|file| bounded::text(file, MAX_BYTES))
        };
        let text = text.map_err(|error| Failure::file("read", path, error))?;
        ResultsIdentities::from_text(&text).map_err(|error| {
            let advice = "give the file that age-keygen wrote; one with a passphrase is opened first with 'age -d'";
            Failure::new("TS-124", format!("{} cannot be used", path.display()), advice).because(error)
        })
    }
}
