//! `taosync doctor`: what could go wrong, and what to do about it. Works also when the node does not open.

pub mod encryption;
mod examine;
mod line;

use clap::Args;
use serde::Serialize;
use taosync_sync::packages::line::CONNECTIONS;

use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Look for what could go wrong, and say what to do
#[derive(Debug, Args)]
#[command(after_help = "Looks at configuration, rights of key files, certificate, database, disk,
clock, port and unfinished syncs. Exit code 1 when something has failed.

With --line a local server also fetches the tests it has once more, keeps nothing of
them, and says how long that took. Where one connection is much slower than the four
of a sync, something on the way (a filter, a proxy) slows single ones down.

Examples:
  taosync --dir /srv/local doctor
  taosync --dir /srv/local doctor --line
  taosync --dir /srv/local doctor --line --connections 1")]
pub struct Options {
    /// Measure the line to central too (local)
    #[arg(long)]
    line: bool,

    /// Connections over which the line is measured
    #[arg(long, value_name = "COUNT", requires = "line", default_value_t = CONNECTIONS as u8, value_parser = clap::value_parser!(u8).range(1..=16))]
    connections: u8,
}

/// How an examination went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    name: &'static str,
    verdict: Verdict,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

impl Finding {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, text: text.into(), advice: String::new() }
    }

    fn warn(name: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, text: text.into(), advice: advice.into() }
    }

    fn fail(name: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, text: text.into(), advice: advice.into() }
    }

    /// A failure elsewhere as a line here.
    fn of(name: &'static str, failure: &Failure) -> Self {
        Self::fail(name, format!("[{}] {}", failure.code, failure.message), failure.advice.clone())
    }
}

/// The answer.
#[derive(Debug, Serialize)]
struct Examined {
    ok: bool,
    findings: Vec<Finding>,
    /// The line to central, where it was asked for, for each organisation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    line: Vec<line::Measured>,
}

impl Options {
    /// Examines.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut findings = examine::all(context).await;
        let line = if self.line { line::all(context, self.connections.into()).await? } else { Vec::new() };
        findings.extend(line.iter().map(line::finding));
        let ok = findings.iter().all(|finding| finding.verdict != Verdict::Fail);
        let examined = Examined { ok, findings, line };
        context.output.answer(&examined, || to_text(&examined))?;
        Ok(if ok { Exit::Done } else { Exit::Failed })
    }
}

fn to_text(examined: &Examined) -> String {
    let line = |finding: &Finding| {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let advice = if finding.advice.is_empty() { String::new() } else { format!("      → {}\n", finding.advice) };
        format!("{verdict}  {:<13} {}\n{advice}", finding.name, finding.text)
    };
    examined.findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_come_with_advice() {
        let findings = vec![
            Finding::ok("database", "opens"),
            Finding::warn("plain http", "everybody on this machine can read along", "leave out plain_http"),
            Finding::of("keys", &Failure::new("TS-121", "keys can be read by others", "run: chmod 0600 keys/node.key")),
        ];
        insta::assert_snapshot!(to_text(&Examined { ok: false, findings, line: Vec::new() }), @r"
        ok    database      opens
        warn  plain http    everybody on this machine can read along
              → leave out plain_http
        FAIL  keys          [TS-121] keys can be read by others
              → run: chmod 0600 keys/node.key
        ");
    }
}
