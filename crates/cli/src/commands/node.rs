//! `taosync node`: who this node is, and at central, who the others are.

mod boxes;
mod fleet;
mod lost;
mod machine;

use clap::{Args, Subcommand};
use serde_json::json;
use taosync_store::settings::Role;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::{Node, VERSION};
use crate::output;

/// Who this node is, and which machines central lets in
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/local node show --json
  taosync --dir /srv/local node adopt
  taosync --dir /srv/local node rekey
  taosync --dir /srv/central node revoke 01970000-0000-7000-8000-000000000000
  taosync --dir /srv/central node lost 01970000-0000-7000-8000-000000000000")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show id, role and public keys
    Show,
    /// This is the machine that goes on: it was restored from a backup or an older state (local)
    Adopt,
    /// This is a copy of a machine that goes on elsewhere: give it an identity of its own (local)
    Renew,
    /// Give this machine another key, which the one before vouches for (local)
    Rekey,
    /// List the local servers and TAO boxes that have met this central
    List,
    /// Let a local server in again, and end the alarm that it was copied or restored (central)
    Approve {
        /// Its id, as 'node list' shows it
        node: Uuid,
    },
    /// Shut a local server out (central)
    Revoke {
        /// Its id, as 'node list' shows it
        node: Uuid,
    },
    /// A local server was lost or stolen: shut it out with its keys, and say what it held (central)
    Lost {
        /// Its id, as 'node list' shows it
        node: Uuid,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::Show => show(context).await,
            Act::Adopt => machine::adopt(context).await,
            Act::Renew => machine::renew(context).await,
            Act::Rekey => machine::rekey(context).await,
            Act::List => fleet::list(context).await,
            Act::Approve { node } => fleet::approve(context, node).await,
            Act::Revoke { node } => fleet::revoke(context, node).await,
            Act::Lost { node } => lost::lost(context, node).await,
        }
    }
}

async fn show(context: &Context) -> Result<Exit, Failure> {
    let node = Node::open(context).await?;
    let remotes = node.store.remotes_list().await?;
    let centrals: Vec<_> = remotes.iter().map(|r| json!({"central": r.central, "root_url": r.root_url})).collect();
    let is_central = node.identity.role == Role::Central;
    let fingerprint = node.tls()?.map(|tls| tls.fingerprint());
    let document = json!({
        "node": node.identity.node,
        "role": node.identity.role.as_str(),
        "thumbprint": node.keyring.node_key().thumbprint(),
        "recipient": node.keyring.identity().recipient(),
        "version": VERSION,
        "epoch": is_central.then_some(node.identity.epoch),
        "ca_fingerprint": fingerprint,
        "centrals": if is_central { None } else { Some(centrals) },
    });
    context.output.answer(&document, || {
        let mut text = format!(
            "node        {}\nrole        {}\nthumbprint  {}\nrecipient   {}\nversion     {VERSION}\n",
            node.identity.node,
            node.identity.role,
            node.keyring.node_key().thumbprint(),
            node.keyring.identity().recipient(),
        );
        if is_central {
            output::add(&mut text, format_args!("epoch       {}\n", node.identity.epoch));
        }
        if let Some(fingerprint) = &fingerprint {
            output::add(&mut text, format_args!("authority   {fingerprint}\n"));
        }
        for remote in &remotes {
            let central = remote.central.map_or_else(|| "not met yet".to_owned(), |id| id.to_string());
            output::add(&mut text, format_args!("central     {central} at {}\n", remote.root_url));
        }
        text
    })?;
    Ok(Exit::Done)
}
