//! `taosync status`: ready or not, and why.

pub mod central;

use clap::Args;
use taosync_store::settings::Role;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;
use crate::readiness::{self, Check, Level, Readiness};

/// Say whether this node is ready, and what is not
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0 when ready, 1 when not. With --nagios one line for a monitor, and
its exit codes: 0 ok, 1 warning, 2 critical.

Examples:
  taosync --dir /srv/local status
  taosync --dir /srv/local status --nagios")]
pub struct Options {
    /// One line for a monitor (Nagios, Icinga)
    #[arg(long)]
    nagios: bool,
}

impl Options {
    /// Looks.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.nagios && !context.output.is_json() {
            return Ok(monitor(context).await);
        }
        let node = Node::open(context).await?;
        let readiness = match node.identity.role {
            Role::Central => central::show(context, &node).await?,
            Role::Local => {
                let readiness = readiness::look(&node).await?;
                context.output.answer(&readiness, || to_text(&readiness))?;
                readiness
            }
        };
        Ok(match (self.nagios, readiness.ready) {
            (true, _) => exit_of(readiness.level()),
            (false, true) => Exit::Done,
            (false, false) => Exit::Failed,
        })
    }
}

/// A monitor reads one line, also when nothing works.
async fn monitor(context: &Context) -> Exit {
    let looked = async {
        let node = Node::open(context).await?;
        match node.identity.role {
            Role::Central => Ok(central::look(&node).await?.readiness),
            Role::Local => readiness::look(&node).await,
        }
    };
    let (line, exit) = match looked.await {
        Ok(readiness) => (nagios_line(&readiness), exit_of(readiness.level())),
        Err::<_, Failure>(failure) => {
            (format!("TAOSYNC CRITICAL - [{}] {}", failure.code, failure.message), Exit::Usage)
        }
    };
    // A monitor that does not read gets the exit code.
    let _ = output::print_text(&line.replace('\n', " "));
    exit
}

const fn exit_of(level: Level) -> Exit {
    match level {
        Level::Ok => Exit::Done,
        Level::Warning => Exit::Failed,
        Level::Critical => Exit::Usage,
    }
}

fn nagios_line(readiness: &Readiness) -> String {
    let word = match readiness.level() {
        Level::Ok => "OK",
        Level::Warning => "WARNING",
        Level::Critical => "CRITICAL",
    };
    let wrong: Vec<_> =
        readiness.checks.iter().filter(|check| !check.ok).map(|check| check.text.replace('|', "/")).collect();
    let text = if wrong.is_empty() { sentence(readiness) } else { wrong.join("; ") };
    let figures: Vec<_> = readiness.checks.iter().flat_map(figures).collect();
    format!("TAOSYNC {word} - {}|{}", text.trim_end(), figures.join(" "))
}

/// The numbers of a line as performance data.
fn figures(check: &Check) -> Vec<String> {
    let numbers = check.value.as_object().into_iter().flatten();
    numbers
        .filter(|(_, value)| value.is_number())
        .map(|(name, value)| format!("{}_{name}={value}", check.name))
        .collect()
}

fn to_text(readiness: &Readiness) -> String {
    let mut text: String = readiness.checks.iter().map(check_line).collect();
    text.push_str(&sentence(readiness));
    text
}

fn check_line(check: &Check) -> String {
    let mark = match check.level {
        Level::Ok => "ok  ",
        Level::Warning => "look",
        Level::Critical => "NOT ",
    };
    format!("{mark}  {:<11} {}\n", check.name, check.text)
}

fn sentence(readiness: &Readiness) -> String {
    let since = output::time(readiness.since);
    if readiness.ready { format!("Ready since {since}.\n") } else { format!("Not ready since {since}.\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn readiness(level: Level) -> Readiness {
        let checks = vec![
            Check::new("results", Level::Ok, "0 waiting", json!({"pending": 0, "orgs": []})),
            Check::new("disk", level, "5 MB free | make room", json!({"free_bytes": 5_000_000})),
        ];
        Readiness { ready: level < Level::Critical, since: "2026-05-11T18:00:00Z".parse().unwrap(), checks }
    }

    #[test]
    fn people_read_lines_and_a_sentence() {
        insta::assert_snapshot!(to_text(&readiness(Level::Critical)), @r"
        ok    results     0 waiting
        NOT   disk        5 MB free | make room
        Not ready since 2026-05-11 18:00:00 UTC.
        ");
    }

    #[test]
    fn monitors_read_one_line() {
        insta::assert_snapshot!(nagios_line(&readiness(Level::Warning)), @"TAOSYNC WARNING - 5 MB free / make room|results_pending=0 disk_free_bytes=5000000");
        insta::assert_snapshot!(nagios_line(&readiness(Level::Ok)), @"TAOSYNC OK - Ready since 2026-05-11 18:00:00 UTC.|results_pending=0 disk_free_bytes=5000000");
        assert_eq!(exit_of(Level::Critical), Exit::Usage);
    }
}
