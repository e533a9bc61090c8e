//! `taosync oauth rotate`: another secret for a consumer.

use std::path::PathBuf;

use clap::Args;
use jiff::ToSpan as _;
use secrecy::ExposeSecret as _;
use serde_json::json;
use taosync_store::StoreError;
use taosync_store::consumers::Consumer;
use taosync_store::rotation::Overlap;
use taosync_store::settings::Role;

use super::generate::{self, Client};
use super::sheets;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output;

/// Days the secret before is taken, unless somebody says otherwise: a school may be without a line for weeks.
const OVERLAP_DAYS: u16 = 30;

/// Give a key another secret, which its machine takes by itself (central)
#[derive(Debug, Args)]
#[command(after_help = "The machine hears of the new secret with its next sync. The old one stops once
the new one was used, or after the overlap. When the secret may be in wrong hands,
--at-once ends it now; the machine is then connected again with a code, on a sheet.
A TAO box cannot take a secret by itself: --cmd tao prints the command for it.

Examples:
  taosync --dir /srv/central oauth rotate KEY
  taosync --dir /srv/central oauth rotate KEY --at-once --out sheets")]
pub struct Options {
    /// The key, as 'oauth list' shows it
    key: String,
    /// Days the old secret is taken too
    #[arg(long, value_name = "DAYS", default_value_t = OVERLAP_DAYS, value_parser = clap::value_parser!(u16).range(1..=366))]
    overlap_days: u16,
    /// End the old secret now; the machine needs the code on the sheet
    #[arg(long, requires = "out", conflicts_with_all = ["overlap_days", "cmd"])]
    at_once: bool,
    /// With --at-once: write the sheet into this folder
    #[arg(long, value_name = "DIR", requires = "at_once")]
    out: Option<PathBuf>,
    /// With --at-once: days until a code that was not used is over
    #[arg(long, value_name = "DAYS", default_value_t = sheets::VALID_DAYS, requires = "out",
        value_parser = clap::value_parser!(u16).range(1..=366))]
    valid_days: u16,
    /// Print only the command to be run on a local server, or on a TAO box
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "taosync", value_name = "CLIENT")]
    cmd: Option<Client>,
}

impl Options {
    /// Changes the secret.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open_as(context, Role::Central).await?;
        let consumer = consumer(&node, &self.key).await?;
        match &self.out {
            Some(out) => at_once(context, &node, &consumer, out.clone(), self.valid_days).await,
            None => with_overlap(context, &node, self).await,
        }
    }
}

async fn with_overlap(context: &Context, node: &Node, options: Options) -> Result<(), Failure> {
    let Options { key, overlap_days, cmd, .. } = options;
    let now = node.clock.now();
    let until = now.checked_add((i64::from(overlap_days) * 24).hours()).unwrap_or(now);
    let secret = node.store.consumer_rotate(&key, Overlap::Until(until)).await?;
    node.audit("consumer.rotate", &key, json!({"until": until})).await?;
    let Some(client) = cmd else {
        return context.output.answer(&json!({"rotated": key, "old_until": until}), || {
            format!(
                "{key} has another secret: its machine takes it with its next sync. The old one stops then, and at {} in any \
                 case.",
                output::time(until)
            )
        });
    };
    let (root, token) = generate::urls(node, client).await?;
    let (pin, secret) = (node.tls()?.map(|tls| tls.fingerprint()), secret.expose_secret());
    let command = match client {
        Client::Taosync => generate::command(&key, secret, &token, &root, pin.as_deref()),
        Client::Tao => generate::tao_command(&key, secret, &token, &root),
    };
    let document = json!({"rotated": key, "old_until": until, "secret": secret, "command": command});
    context.output.answer(&document, || command.clone())
}

async fn at_once(
    context: &Context,
    node: &Node,
    consumer: &Consumer,
    out: PathBuf,
    valid_days: u16,
) -> Result<(), Failure> {
    let key = &consumer.client_key;
    sheets::make_dir(&out)?;
    node.store.consumer_rotate(key, Overlap::None).await?;
    node.audit("consumer.rotate", key, json!({"until": null})).await?;
    let code = sheets::make(node, key, consumer.orgs.clone(), consumer.user.clone(), valid_days).await?;
    let file = sheets::write(&out, &code)?.display().to_string();
    let document = json!({"rotated": key, "old_until": null, "sheet": file, "expires_at": code.expires_at});
    context.output.answer(&document, || {
        format!("The old secret of {key} is void. Its machine is connected again with the code on {file}: 'oauth import --code -'.")
    })
}

async fn consumer(node: &Node, key: &str) -> Result<Consumer, Failure> {
    let known = node.store.consumers_list().await?.into_iter();
    let found = known.filter(|consumer| consumer.revoked_at.is_none()).find(|consumer| consumer.client_key == key);
    found.ok_or_else(|| {
        let what = format!("consumer '{key}' that is not revoked");
        StoreError::NotFound { what, advice: "see 'taosync oauth list'" }.into()
    })
}
