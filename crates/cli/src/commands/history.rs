//! `taosync history`: past syncs, on both roles.

use clap::Args;
use serde_json::{Value, json};
use taosync_model::OrgId;
use taosync_store::history::SyncRun;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;

/// Show past syncs
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/local history
  taosync --dir /srv/central history --org School-7 --limit 5 --json")]
pub struct Options {
    /// Of one organisation only
    #[arg(long, value_name = "ORG")]
    org: Option<OrgId>,
    /// How many, newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl Options {
    /// Shows the history.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open(context).await?;
        let runs = node.store.sync_list(self.org.as_ref(), self.limit).await?;
        let document = json!({"syncs": runs.iter().map(to_json).collect::<Vec<_>>()});
        context.output.answer(&document, || {
            let head =
                ["began", "org", "what", "outcome", "created", "updated", "removed", "results", "down", "by", "why"];
            output::table(&head, runs.iter().map(row))
        })?;
        Ok(Exit::Done)
    }
}

fn to_json(run: &SyncRun) -> Value {
    json!({
        "sync": run.id, "node": run.node, "org": run.org, "actor": run.actor, "what": run.what,
        "started_at": run.started_at, "ended_at": run.ended_at, "outcome": run.outcome.as_str(),
        "code": run.code, "reason": run.reason, "summary": run.summary,
    })
}

fn row(run: &SyncRun) -> Vec<String> {
    let changed = |name: &str, place: usize| changed(&run.summary, name, place).to_string();
    let sent = run.summary["results"]["sent"].as_u64().or(run.summary["sent"].as_u64()).unwrap_or(0);
    let down = run.summary["bytes_down"].as_u64().map_or_else(String::new, output::bytes);
    let why: String = run.reason.as_deref().unwrap_or_default().chars().take(80).collect();
    vec![
        output::time(run.started_at),
        run.org.to_string(),
        run.what.clone(),
        run.outcome.as_str().to_owned(),
        changed("created", 0),
        changed("updated", 1),
        changed("removed", 2),
        sent.to_string(),
        down,
        run.actor.clone(),
        why,
    ]
}

/// A count over all types, from a local record (`types`) or from a report (`changed`).
fn changed(summary: &Value, name: &str, place: usize) -> u64 {
    let types = summary["types"].as_object();
    types.map_or_else(
        || summary["changed"][place].as_u64().unwrap_or(0),
        |types| types.values().filter_map(|counts| counts[name].as_u64()).sum(),
    )
}
