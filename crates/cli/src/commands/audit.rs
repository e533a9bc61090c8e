//! `taosync audit`: who did what, and whether the record of it is whole.

mod export;
mod heads;
mod syslog;
mod verify;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use taosync_store::audit::{AuditFilter, AuditRecord};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;

/// Who did what: list, verify, export
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central audit list --act consumer
  taosync --dir /srv/local audit heads                      (what receipts show of central's log)
  taosync --dir /srv/central audit verify --head 1204:9f3c…
  taosync --dir /srv/central audit export audit.jsonl
  taosync --dir /srv/central audit export --syslog tcp://logs.example:601")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List entries, newest first
    List(List),
    /// Check that no entry was changed, left out or cut off
    Verify(verify::Options),
    /// Write all entries to a file, or send them to a log server
    Export(export::Options),
    /// Say where the log of central ended when it signed the newest receipts held here (local)
    Heads,
}

#[derive(Debug, Args)]
struct List {
    /// By whom only
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// This act only, or all whose names begin so: 'consumer' for 'consumer.revoke' and the others
    #[arg(long, value_name = "ACT")]
    act: Option<String>,
    /// About this only: an id, a name, or the URI of a person
    #[arg(long, value_name = "OBJECT")]
    object: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open(context).await?;
        match self.act {
            Act::List(options) => options.run(context, &node).await,
            Act::Verify(options) => options.run(context, &node).await,
            Act::Export(options) => options.run(context, &node).await,
            Act::Heads => heads::run(context, &node).await,
        }
    }
}

impl List {
    async fn run(self, context: &Context, node: &Node) -> Result<Exit, Failure> {
        let Self { actor, act, object, limit } = self;
        let mut entries = Vec::new();
        for object in spellings(node, object) {
            let filter = AuditFilter { actor: actor.clone(), act: act.clone(), object };
            entries.extend(node.store.audit_find(&filter, limit).await?);
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.no));
        entries.truncate(limit as usize);
        let document: Vec<Value> = entries.iter().map(to_json).collect();
        context.output.answer(&json!({"entries": document}), || {
            let row = |entry: &AuditRecord| {
                let AuditRecord { no, at, actor, act, object, detail, .. } = entry;
                let texts = [actor, act, object, detail].map(Clone::clone);
                [no.to_string(), output::time(*at)].into_iter().chain(texts).collect()
            };
            output::table(&["no", "when", "who", "what", "to what", "details"], entries.iter().map(row))
        })?;
        Ok(Exit::Done)
    }
}

/// A person stands in the log under a keyed hash of the URI: both are looked for.
fn spellings(node: &Node, object: Option<String>) -> Vec<Option<String>> {
    match object {
        Some(text) => vec![Some(node.store.subject_name(&text)), Some(text)],
        None => vec![None],
    }
}

/// An entry with everything that is needed to check it elsewhere.
fn to_json(entry: &AuditRecord) -> Value {
    let detail: Value = serde_json::from_str(&entry.detail).unwrap_or_else(|_| Value::String(entry.detail.clone()));
    json!({
        "no": entry.no, "at": entry.at, "actor": entry.actor, "act": entry.act, "object": entry.object,
        "detail": detail, "previous": entry.previous, "digest": entry.digest, "signer": hex::encode(entry.signer),
        "signature": hex::encode(entry.signature),
    })
}
