//! `taosync node`: who this node is.

use clap::{Args, Subcommand};
use serde_json::json;
use taosync_store::settings::Role;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::{Node, VERSION};
use crate::output;

/// Show who this node is
#[derive(Debug, Args)]
#[command(after_help = "Example:
  taosync --dir /srv/local node show --json")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show id, role and public keys
    Show,
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Act::Show = self.act;
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
}
