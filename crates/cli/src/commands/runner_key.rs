//! `taosync runner-key`: what test runners show at this server.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use taosync_model::OrgId;
use taosync_store::runner_keys::{RunnerKey, RunnerScope};
use taosync_store::settings::Role;
use taosync_vault::random;
use taosync_vault::tokens::TokenHash;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;

/// Let test runners in, and shut them out again (local)
#[derive(Debug, Args)]
#[command(after_help = "A key opens the interface for test runners, for the organisations it names. It is shown
once; the server keeps its hash. 'init local' makes a first one for all organisations.

Examples:
  taosync --dir /srv/local runner-key add 'room 12'
  taosync --dir /srv/local runner-key add 'room 12' --org School-7
  taosync --dir /srv/local runner-key list
  taosync --dir /srv/local runner-key revoke 3f0c81d2a9b4")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make a key and show it, this once
    Add {
        /// What to call it: the runner or the room that gets it
        label: String,
        /// An organisation it opens; may be repeated [default: the one this server serves]
        #[arg(long = "org", visible_alias = "organisation-id", value_name = "ORG", conflicts_with = "all_orgs")]
        orgs: Vec<OrgId>,
        /// All organisations this server serves, now and later
        #[arg(long)]
        all_orgs: bool,
    },
    /// List keys, revoked ones too
    List,
    /// Revoke a key; the next request with it is refused
    Revoke {
        /// The key's name, as 'runner-key list' shows it
        name: String,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open_as(context, Role::Local).await?;
        match self.act {
            Act::Add { label, orgs, all_orgs } => {
                let scope = if all_orgs { RunnerScope::All } else { scope_of(&node, orgs).await? };
                add(context, &node, &label, &scope).await?;
            }
            Act::List => list(context, &node).await?,
            Act::Revoke { name } => revoke(context, &node, &name).await?,
        }
        Ok(Exit::Done)
    }
}

/// What a new key opens: what was named, if this server serves it; else the one organisation there is.
async fn scope_of(node: &Node, named: Vec<OrgId>) -> Result<RunnerScope, Failure> {
    let served: BTreeSet<OrgId> = node.store.replicas_list().await?.into_iter().map(|replica| replica.org).collect();
    let list = || served.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = named.iter().find(|org| !served.contains(org)) {
        let message = format!("this server does not serve the organisation '{unknown}'");
        return Err(Failure::new(
            "TS-107",
            message,
            format!("it serves: {}", if served.is_empty() { "none".into() } else { list() }),
        ));
    }
    match (named.is_empty(), served.len()) {
        (false, _) => Ok(RunnerScope::Of(named.into_iter().collect())),
        (true, 1) => Ok(RunnerScope::Of(served)),
        (true, 0) => Err(Failure::wrong_text(
            "this server serves no organisation yet",
            "import a key of central first ('taosync oauth import'), or say --all-orgs",
        )),
        (true, _) => Err(Failure::wrong_text(
            format!("this server serves several organisations: {}", list()),
            "name those the runner is for with --org, or say --all-orgs",
        )),
    }
}

async fn add(context: &Context, node: &Node, label: &str, scope: &RunnerScope) -> Result<(), Failure> {
    let key = random::token();
    let name = node.store.runner_key_add(&TokenHash::of(&key), label, scope).await?;
    node.audit("runner_key.add", &name, json!({"label": label, "orgs": scope.orgs()})).await?;
    let document = json!({"name": name, "label": label, "orgs": scope.orgs(), "key": key.expose_secret()});
    context.output.answer(&document, || {
        format!("Key {name} for {label}, for {}. It is shown this once:\n{}\n", shown(scope), key.expose_secret())
    })
}

async fn list(context: &Context, node: &Node) -> Result<(), Failure> {
    let keys = node.store.runner_keys_list().await?;
    let document: Vec<Value> = keys.iter().map(to_json).collect();
    context.output.answer(&json!({"runner_keys": document}), || {
        output::table(&["name", "label", "organisations", "made", "state"], keys.iter().map(row))
    })
}

fn to_json(key: &RunnerKey) -> Value {
    json!({
        "name": key.name, "label": key.label, "orgs": key.scope.orgs(), "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    })
}

fn row(key: &RunnerKey) -> Vec<String> {
    let state = key.revoked_at.map_or_else(|| "in use".to_owned(), |at| format!("revoked {}", output::time(at)));
    vec![key.name.clone(), key.label.clone(), shown(&key.scope), output::time(key.created_at), state]
}

fn shown(scope: &RunnerScope) -> String {
    scope.orgs().map_or_else(
        || "all organisations".to_owned(),
        |orgs| orgs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    )
}

async fn revoke(context: &Context, node: &Node, name: &str) -> Result<(), Failure> {
    node.store.runner_key_revoke(name).await?;
    node.audit("runner_key.revoke", name, json!({})).await?;
    context
        .output
        .answer(&json!({"revoked": name}), || format!("{name} is revoked; who shows it is refused from now on."))
}
