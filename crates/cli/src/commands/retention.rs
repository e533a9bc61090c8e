//! `taosync retention`: how long what is kept, and erasing what is over its time.

mod kinds;

use clap::{Args, Subcommand};
use serde_json::json;
use taosync_store::settings::Role;

use crate::chores;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks;
use crate::node::Node;
use crate::output;
use kinds::Kind;

/// How long what is kept, and erasing what is over its time
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central retention plan
  taosync --dir /srv/central retention run

The periods stand in the section [retention] of the configuration; 0 keeps for ever.")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the periods, and what 'run' would erase now
    Plan,
    /// Erase what is over its time
    Run,
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open(context).await?;
        let plan = kinds::plan(&node).await?;
        match self.act {
            Act::Plan => {
                context.output.answer(&json!({"kinds": plan}), || table(&plan, "due now"))?;
            }
            Act::Run => {
                let done = run(context, &node, plan).await?;
                context.output.answer(&json!({"kinds": done}), || table(&done, "erased"))?;
            }
        }
        Ok(Exit::Done)
    }
}

async fn run(context: &Context, node: &Node, plan: Vec<Kind>) -> Result<Vec<Kind>, Failure> {
    if node.identity.role == Role::Local {
        let erased = chores::purge_confirmed(node).await? + chores::purge_departed(node).await?;
        return Ok(plan.into_iter().map(|kind| Kind { due: Some(erased), ..kind }).collect());
    }
    node.store.views_refresh().await?;
    let _lock = locks::change_lock(node.place.dir()).await?;
    let mut done = Vec::with_capacity(plan.len());
    for kind in plan {
        done.push(kinds::execute(context, node, kind).await?);
    }
    node.store.log_cut().await?;
    Ok(done)
}

fn table(kinds: &[Kind], head: &str) -> String {
    let rows = kinds.iter().map(|kind| {
        let days = kind.days.map_or_else(|| "for ever".to_owned(), |days| format!("{days} days"));
        let due = kind.due.map_or_else(|| "by the running server".to_owned(), |due| due.to_string());
        vec![kind.kind.to_owned(), days, due, kind.what.to_owned()]
    });
    output::table(&["kind", "kept", head, "what goes"], rows)
}

#[cfg(test)]
mod tests;
