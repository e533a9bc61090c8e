//! Where the passphrase of a backup comes from: a file, standard input, the environment, or a person at the terminal.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::SecretString;

use crate::bounded;
use crate::failure::Failure;
use crate::question::ask;

/// Name of the variable.
const VARIABLE: &str = "TAOSYNC_BACKUP_PASSPHRASE";
/// Bytes of a passphrase at most.
const MAX_BYTES: u64 = 4096;

/// How the passphrase is given. Never on the command line, where everybody on the machine could read it.
#[derive(Debug, Args)]
pub struct Given {
    /// File whose first line is the passphrase; '-' is standard input [default: TAOSYNC_BACKUP_PASSPHRASE, or a question]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Given {
    /// The passphrase, if one was given; `question` is asked when a person is at the terminal.
    pub fn find(&self, question: &str) -> Result<Option<SecretString>, Failure> {
        if let Some(path) = &self.passphrase_file {
            return from_file(path).map(Some);
        }
        if let Ok(text) = std::env::var(VARIABLE) {
            return checked(&text, VARIABLE).map(Some);
        }
        if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() { ask(question) } else { Ok(None) }
    }
}

fn from_file(path: &Path) -> Result<SecretString, Failure> {
    let text = if path.as_os_str() == "-" {
        bounded::text(std::io::stdin().lock(), MAX_BYTES)
    } else {
        std::fs::File::open(path).and_then(|file| bounded::text(file, MAX_BYTES))
    };
    checked(&text.map_err(|error| Failure::file("read", path, error))?, &path.display().to_string())
}

fn checked(text: &str, place: &str) -> Result<SecretString, Failure> {
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        let message = format!("{place} holds no passphrase");
        return Err(Failure::wrong_text(message, "its first line is the passphrase"));
    }
    Ok(SecretString::from(line.to_owned()))
}
