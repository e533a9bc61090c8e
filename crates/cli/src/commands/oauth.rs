//! `taosync oauth`: connecting a local server with central.

pub mod generate;
pub mod import;
mod rotate;
mod sheets;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use taosync_store::consumers::Consumer;
use taosync_store::enrolment::EnrolmentCode;
use taosync_store::settings::Role;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;

/// Connect a local server with central
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central oauth generate --org School-7 --cmd
  taosync --dir /srv/local oauth import -k KEY -s - -tu TOKEN_URL -u ROOT_URL --ca-fingerprint F < secret.txt
  taosync --dir /srv/local oauth import --code -
  taosync --dir /srv/central oauth rotate KEY
  taosync --dir /srv/central oauth rebind KEY
  taosync --dir /srv/central oauth revoke KEY")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make a key and secret for the local servers of an organisation (central)
    Generate(generate::Options),
    /// Take a key and secret that central made (local)
    Import(import::Options),
    /// List keys (central), or the centrals this server knows (local)
    List,
    /// Give a key another secret, which its machine takes by itself (central)
    Rotate(rotate::Options),
    /// Let the next machine that comes with a key and its secret have it, in place of the one that had it (central)
    Rebind {
        /// The key, as 'oauth list' shows it
        key: String,
    },
    /// Revoke a key; its tokens stop working at once (central)
    Revoke {
        /// The key, as 'oauth list' shows it
        key: String,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::Generate(options) => options.run(context).await?,
            Act::Import(options) => options.run(context).await?,
            Act::Rotate(options) => options.run(context).await?,
            Act::List => list(context).await?,
            Act::Rebind { key } => rebind(context, &key).await?,
            Act::Revoke { key } => revoke(context, &key).await?,
        }
        Ok(Exit::Done)
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    match node.identity.role {
        Role::Central => list_consumers(context, &node).await,
        Role::Local => list_remotes(context, &node).await,
    }
}

async fn list_consumers(context: &Context, node: &Node) -> Result<(), Failure> {
    let consumers = node.store.consumers_list().await?;
    let codes = node.store.codes_list().await?;
    let code_of = |consumer: &Consumer| codes.iter().rev().find(|code| code.consumer == consumer.id);
    let document: Vec<_> = consumers
        .iter()
        .map(|c| {
            json!({
                "key": c.client_key, "orgs": c.orgs, "user": c.user, "role": c.role, "created_at": c.created_at,
                "last_used_at": c.last_used_at, "revoked_at": c.revoked_at, "thumbprints": c.thumbprints,
                "second_machine": c.stranger.as_ref().map(|s| json!({"node": s.node, "thumbprint": s.thumbprint, "at": s.at})),
                "rotating_until": c.rotating_until, "orphaned_at": c.orphaned_at,
                "code": code_of(c).map(|code| json!({
                    "made_at": code.made_at, "expires_at": code.expires_at, "used_at": code.used_at, "used_by": code.used_by,
                })),
            })
        })
        .collect();
    let now = node.clock.now();
    context.output.answer(&json!({"consumers": document}), || {
        output::table(
            &["key", "orgs", "user", "role", "made", "last used", "state"],
            consumers.iter().map(|consumer| consumer_row(consumer, code_of(consumer), now)),
        )
    })
}

fn consumer_row(consumer: &Consumer, code: Option<&EnrolmentCode>, now: Timestamp) -> Vec<String> {
    let orgs = consumer.orgs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let role = consumer.role.rsplit('#').next().unwrap_or_default().to_owned();
    let used = consumer.last_used_at.map_or_else(|| "never".to_owned(), output::time);
    let state = state(consumer, code, now);
    let made = output::time(consumer.created_at);
    vec![consumer.client_key.clone(), orgs, consumer.user.clone(), role, made, used, state]
}

fn state(consumer: &Consumer, code: Option<&EnrolmentCode>, now: Timestamp) -> String {
    let waiting = code.filter(|code| code.used_at.is_none());
    match (&consumer.revoked_at, &consumer.stranger, waiting, &consumer.last_used_at) {
        (Some(_), ..) => "revoked".to_owned(),
        (None, Some(_), ..) => "in use; another machine tried it".to_owned(),
        (None, None, ..) if consumer.orphaned_at.is_some() => "in use; its sync manager is gone".to_owned(),
        (None, None, Some(code), _) if code.expires_at > now => {
            format!("code good until {}", output::time(code.expires_at))
        }
        (None, None, Some(_), _) => "code is over".to_owned(),
        (None, None, None, None) => "not used yet".to_owned(),
        (None, None, None, Some(_)) if consumer.rotating_until.is_some_and(|until| until > now) => {
            "in use; has not taken its new secret yet".to_owned()
        }
        (None, None, None, Some(_)) => "in use".to_owned(),
    }
}

async fn list_remotes(context: &Context, node: &Node) -> Result<(), Failure> {
    let remotes = node.store.remotes_list().await?;
    let replicas = node.store.replicas_list().await?;
    let orgs_of = |remote| replicas.iter().filter(move |r| r.remote == remote).map(|r| r.org.to_string());
    let document: Vec<_> = remotes
        .iter()
        .map(|r| {
            json!({
                "remote": r.id, "key": r.client_key, "root_url": r.root_url, "token_url": r.token_url,
                "ca_fingerprint": r.ca_fingerprint, "kind": r.kind.as_str(), "central": r.central, "added_at": r.added_at,
                "orgs": orgs_of(r.id).collect::<Vec<_>>(),
            })
        })
        .collect();
    context.output.answer(&json!({"remotes": document}), || {
        let rows = remotes.iter().map(|r| {
            let orgs = orgs_of(r.id).collect::<Vec<_>>().join(", ");
            vec![r.client_key.clone(), orgs, r.root_url.clone(), output::time(r.added_at)]
        });
        output::table(&["key", "orgs", "central", "added"], rows)
    })
}

/// A machine that was rebuilt has a new node key: the office says that it may have the consumer of the old one.
async fn rebind(context: &Context, key: &str) -> Result<(), Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    node.store.consumer_rebind(key).await?;
    node.audit("consumer.rebind", key, json!({})).await?;
    context.output.answer(&json!({"rebound": key}), || {
        format!(
            "The next machine that comes with {key} and its secret has it from then on; the one that had it is shut out."
        )
    })
}

async fn revoke(context: &Context, key: &str) -> Result<(), Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    node.store.consumer_revoke(key).await?;
    node.audit("consumer.revoke", key, json!({})).await?;
    context.output.answer(&json!({"revoked": key}), || format!("{key} is revoked; its tokens do not work any more."))
}
