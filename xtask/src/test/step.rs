//! One step: a cargo command whose output streams through.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::summary::{Outcome, Report};
use crate::workspace::cargo;

/// A cargo command with a name for the summary.
pub struct Step {
    name: &'static str,
    command: Command,
}

impl Step {
    /// `cargo <arguments>` with no standard input.
    pub fn cargo(name: &'static str, arguments: &[&str]) -> Self {
        let mut command = cargo();
        command.args(arguments);
        Self { name, command }
    }

    /// Sets a variable for the step.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs the step with the output straight to ours.
    pub fn run(mut self) -> Report {
        let start = self.announce();
        let status = self.command.status();
        let outcome = match status {
            Ok(status) if status.success() => Outcome::Passed,
            Ok(_) => Outcome::Failed,
            Err(error) => return Report::failed(self.name, &format!("cannot start cargo: {error}"), start.elapsed()),
        };
        Report::of(self.name, outcome, start.elapsed())
    }

    /// Runs the step, passes its output on, and gives back the lines (without colours) that `keep` wants.
    pub fn run_watched(mut self, keep: impl Fn(&str) -> bool + Sync) -> (Report, Vec<String>) {
        let start = self.announce();
        if std::io::stdout().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
            self.command.env("CARGO_TERM_COLOR", "always");
        }
        let child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                return (
                    Report::failed(self.name, &format!("cannot start cargo: {error}"), start.elapsed()),
                    Vec::new(),
                );
            }
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let lines = std::thread::scope(|scope| {
            let out = scope.spawn(|| pass_on(stdout, std::io::stdout(), &keep));
            let mut lines = pass_on(stderr, std::io::stderr(), &keep);
            lines.extend(out.join().unwrap_or_default());
            lines
        });
        let passed = child.wait().is_ok_and(|status| status.success());
        let outcome = if passed { Outcome::Passed } else { Outcome::Failed };
        (Report::of(self.name, outcome, start.elapsed()), lines)
    }

    fn announce(&self) -> Instant {
        let words: Vec<_> = self.command.get_args().map(std::ffi::OsStr::to_string_lossy).collect();
        eprintln!("\n── {}: cargo {}", self.name, words.join(" "));
        Instant::now()
    }
}

/// Copies a stream line by line and collects the lines wanted.
fn pass_on(from: Option<impl Read>, mut to: impl Write, keep: &(impl Fn(&str) -> bool + Sync)) -> Vec<String> {
    let Some(from) = from else { return Vec::new() };
    let mut kept = Vec::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // A closed terminal must not stop the checks.
        let _ = to.write_all(&line);
        let plain = without_colours(&String::from_utf8_lossy(&line));
        if keep(&plain) {
            kept.push(plain.trim_end().to_owned());
        }
        line.clear();
    }
    let _ = to.flush();
    kept
}

/// Drops terminal escapes (`ESC [ … letter`).
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Whether `cargo <name>` exists.
pub fn has_subcommand(name: &str) -> bool {
    let mut command = cargo();
    command.args([name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_dropped_before_a_line_is_read() {
        assert_eq!(without_colours("\u{1b}[32;1m Summary\u{1b}[0m 3 passed"), " Summary 3 passed");
        assert_eq!(without_colours("plain"), "plain");
        assert_eq!(without_colours("cut \u{1b}["), "cut ");
    }

    #[test]
    fn wanted_lines_are_kept_and_all_lines_pass() {
        let mut out = Vec::new();
        let kept = pass_on(Some(&b"one\ntwo\nthree"[..]), &mut out, &|line: &str| line.contains('t'));
        assert_eq!(out, b"one\ntwo\nthree");
        assert_eq!(kept, ["two", "three"]);
    }
}
