//! What is wrong with the configuration: which file or variable, which key, and what it could have meant.

use std::path::Path;

use figment::error::Kind;
use figment::{Error, Metadata};

use crate::failure::Failure;

/// The first complaint, in words. Values are never quoted: a proxy's URL can hold a password.
pub fn of(error: Error, file: &Path) -> Failure {
    // Unwrap safety: an error of figment is a list that begins with itself.
    let error = error.into_iter().next().unwrap_or_else(|| Error::from("unreadable".to_owned()));
    let mut key = error.path.join(".");
    let (problem, advice) = words(&error.kind, &mut key);
    let at = place(error.metadata.as_ref(), file);
    let message = if key.is_empty() { format!("{at}: {problem}") } else { format!("{at}: '{key}' {problem}") };
    Failure::new("TS-002", message, advice)
}

/// Where a value came from.
pub fn place(metadata: Option<&Metadata>, file: &Path) -> String {
    let is_environment = metadata.is_some_and(|metadata| metadata.name.contains("environment"));
    if is_environment { "environment (TAOSYNC_…)".to_owned() } else { file.display().to_string() }
}

fn words(kind: &Kind, key: &mut String) -> (String, String) {
    match kind {
        Kind::UnknownField(name, known) => {
            name_the_field(key, name);
            let advice = nearest(name, known).map_or_else(
                || format!("known here: {}", known.join(", ")),
                |near| format!("did you mean '{near}'? known here: {}", known.join(", ")),
            );
            ("is not a key".to_owned(), advice)
        }
        Kind::MissingField(name) => {
            name_the_field(key, name);
            ("is missing".to_owned(), "add it".to_owned())
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            ("has a value of the wrong kind".to_owned(), format!("expected: {expected}"))
        }
        Kind::Message(text) => {
            let text = text.trim();
            let (what, advice) = text.split_once("; ").unwrap_or((text, ""));
            let advice = if advice.is_empty() { "correct it, or take the line out" } else { advice };
            if key.is_empty() {
                (format!("this is not TOML: {}", without_the_line(text)), advice.to_owned())
            } else {
                (format!("is wrong: {what}"), advice.to_owned())
            }
        }
        other => (format!("is wrong: {other}"), "correct it, or take the line out".to_owned()),
    }
}

/// The path of a key sometimes ends with the field in question, and sometimes with its section.
fn name_the_field(key: &mut String, name: &str) {
    if key == name || key.ends_with(&format!(".{name}")) {
        return;
    }
    if !key.is_empty() {
        key.push('.');
    }
    key.push_str(name);
}

/// The first and the last line of a complaint of the TOML reader; between them it quotes the file.
fn without_the_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    lines.next_back().map_or_else(|| first.to_owned(), |last| format!("{first}, {last}"))
}

/// The known key that a wrong one probably meant.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let scored = known.iter().map(|&key| (distance(name, key), key));
    scored.min().filter(|(distance, key)| *distance <= key.len().max(name.len()) / 3).map(|(_, key)| key)
}

/// Letters to insert, take out or change between two words.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
