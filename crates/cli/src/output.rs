//! What a command prints: one JSON document, or text for people. Logs and errors for people go to stderr.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// How answers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Text for people.
    Text,
    /// One JSON document.
    Json,
}

impl Output {
    /// Whether one JSON document is wanted.
    pub fn is_json(self) -> bool {
        self == Self::Json
    }

    /// Prints the answer of a command: the document, or the text for people.
    pub fn answer(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self {
            Self::Json => print_json(document),
            Self::Text => print_text(&text()),
        }
    }

    /// Prints an error: with `--json` as the one document, else for people on stderr.
    pub fn failure(self, failure: &Failure) {
        if self.is_json() {
            // The error is on its way to the exit code already; a closed stdout cannot be told to anybody.
            let _ = print_json(&failure.to_json());
        } else {
            // As above.
            let _ = io::stderr().write_all(failure.to_text().as_bytes());
        }
    }
}

/// Prints one JSON document on one line.
pub fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, document).map_err(io::Error::from).map_err(stdout_failed)?;
    out.write_all(b"\n").and_then(|()| out.flush()).map_err(stdout_failed)
}

/// Prints text, with a line break at its end.
pub fn print_text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes());
    let ended = written.and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    ended.and_then(|()| out.flush()).map_err(stdout_failed)
}

/// Stdout is closed or full.
pub fn stdout_failed(source: io::Error) -> Failure {
    Failure::new("TS-008", "cannot write to standard output", "check where it goes to").because(source)
}

/// A note for the person at the keyboard, on stderr; nothing with `--json`.
pub fn note(output: Output, text: &str) {
    if output == Output::Text {
        // A note that nobody can read is not worth failing for.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Whether somebody is there who can answer a question.
pub fn somebody_is_there(output: Output) -> bool {
    output == Output::Text && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A table without lines and colours. Stored texts cannot steer the terminal: their control characters are replaced.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.to_vec());
    let mut is_empty = true;
    for row in rows {
        table.add_row(row.iter().map(|cell| cell.replace(char::is_control, "\u{fffd}")));
        is_empty = false;
    }
    if is_empty { "nothing\n".to_owned() } else { trimmed(&table.to_string()) }
}

fn trimmed(table: &str) -> String {
    table.lines().flat_map(|line| [line.strip_prefix(' ').unwrap_or(line).trim_end(), "\n"]).collect()
}

/// Adds to a text that is being built.
pub fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a string never fails.
    let _ = std::fmt::Write::write_fmt(text, more);
}

/// A number of bytes for people.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A time for people, in UTC, to the second.
pub fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long ago, for people.
pub fn age(seconds: i64) -> String {
    match seconds {
        i64::MIN..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_ages_read_well() {
        let shown: Vec<_> = [0, 999, 1_000, 999_499, 999_500, 5_000_000_000].into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "999.5 kB", "1.0 MB", "5.0 GB"]);
        let shown: Vec<_> = [-5, 59, 60, 7_200, 172_800].into_iter().map(age).collect();
        assert_eq!(shown, ["just now", "just now", "1 min ago", "2 h ago", "2 days ago"]);
    }

    #[test]
    fn tables_have_no_outer_spaces_and_say_when_they_are_empty() {
        insta::assert_snapshot!(table(&["org", "count"], [vec!["School-7".into(), "12".into()]]), @r"
        org       count
        School-7  12
        ");
        assert_eq!(table(&["org"], Vec::new()), "nothing\n");
    }
}
