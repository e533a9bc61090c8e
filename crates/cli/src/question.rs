//! Secrets that a person types at the terminal, or that come in on standard input. Never on the command line, where everybody
//! on the machine could read them.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::bounded;
use crate::failure::Failure;

/// Bytes of a password at most.
const MAX_BYTES: u64 = 4_096;

/// A secret that must be there: the first line of standard input, or what a person answers.
pub fn secret(question: &str) -> Result<SecretString, Failure> {
    let is_person = std::io::stdin().is_terminal();
    let given = if is_person { ask(question)? } else { first_line()? };
    given.ok_or_else(|| {
        Failure::wrong_text(
            format!("no answer to '{question}'"),
            "type it, or give it as the first line of standard input",
        )
    })
}

fn first_line() -> Result<Option<SecretString>, Failure> {
    let text = bounded::text(std::io::stdin().lock(), MAX_BYTES).map_err(|source| {
        Failure::wrong_text("standard input cannot be read", "give the secret as its first line").because(source)
    })?;
    let line = text.lines().next().unwrap_or_default();
    Ok((!line.is_empty()).then(|| SecretString::from(line)))
}

/// Asks without showing what is typed; an empty answer is none.
pub fn ask(question: &str) -> Result<Option<SecretString>, Failure> {
    let failed = |error: std::io::Error| Failure::new("TS-008", "the terminal cannot be read", "").because(error);
    let terminal = std::io::stdin();
    eprint!("{question}: ");
    std::io::stderr().flush().map_err(failed)?;
    let before = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(|error| failed(error.into()))?;
    let mut line = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
    let read = terminal.lock().read_line(&mut line);
    // The person wants to see what is typed afterwards, whatever happened.
    let shown = tcsetattr(&terminal, OptionalActions::Now, &before);
    eprintln!();
    read.map_err(failed)?;
    shown.map_err(|error| failed(error.into()))?;
    let line = line.trim_end_matches(['\r', '\n']);
    Ok((!line.is_empty()).then(|| SecretString::from(line.to_owned())))
}
