//! `taosync keys results`: for whom results are sealed.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use taosync_store::audit::AuditEntry;
use taosync_store::results_keys::{ResultsKey, in_use};
use taosync_store::settings::Role;
use taosync_vault::sealed_file::check_recipient;

use crate::context::Context;
use crate::failure::Failure;
use crate::node::{ACTOR, Node};
use crate::output;

/// Characters of a name.
const MAX_NAME: usize = 100;

/// Keys that results are sealed for (central)
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the keys, and which of them results are sealed for
    List,
    /// Add the recipient of a key that somebody keeps offline; it counts once it was rehearsed
    Add {
        /// age recipient (age1…): what 'age-keygen' prints as public key
        recipient: String,
        /// What people call it
        #[arg(long)]
        name: String,
    },
    /// Seal no more results for a key; what was sealed for it before stays so
    Remove {
        /// Name or recipient
        key: String,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open_as(context, Role::Central).await?;
        match self.act {
            Act::List => {}
            Act::Add { recipient, name } => add(&node, recipient.trim(), name.trim()).await?,
            Act::Remove { key } => {
                let known = node.store.results_keys().await?;
                // A name may be a person's: the log has the recipient.
                let going = known.iter().find(|known| known.name == key).map_or(key.as_str(), |known| &known.recipient);
                let (act, detail) = ("results_key.remove", Value::Null);
                let entry = AuditEntry { actor: ACTOR, act, object: going, detail };
                node.store.results_key_remove(&key, &entry).await?;
            }
        }
        let keys = node.store.results_keys().await?;
        let sealing_for = node.store.results_recipients().await?;
        let document = json!({"keys": to_json(&keys), "sealing_for": sealing_for});
        context.output.answer(&document, || to_text(&keys))
    }
}

async fn add(node: &Node, recipient: &str, name: &str) -> Result<(), Failure> {
    check_recipient(recipient).map_err(|error| {
        let advice = "give the public key that 'age-keygen' prints; the secret key never leaves its holder";
        Failure::wrong_text("this is no recipient of results", advice).because(error)
    })?;
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        let message = format!("the name of a key has 1 to {MAX_NAME} characters, all of them printable");
        return Err(Failure::wrong_text(message, "name the place or person that keeps it"));
    }
    let entry = AuditEntry { actor: ACTOR, act: "results_key.add", object: recipient, detail: Value::Null };
    Ok(node.store.results_key_add(recipient, name, &entry).await?)
}

/// The keys as others read them.
pub fn to_json(keys: &[ResultsKey]) -> Value {
    let used = in_use(keys);
    let key = |key: &ResultsKey| {
        json!({
            "name": key.name, "recipient": key.recipient, "added_at": key.added_at, "rehearsed_at": key.rehearsed_at,
            "kept_here": key.is_here, "in_use": used.contains(&key.recipient),
        })
    };
    keys.iter().map(key).collect()
}

/// The keys as people read them, and what is to be done.
pub fn to_text(keys: &[ResultsKey]) -> String {
    let used = in_use(keys);
    let rows = keys.iter().map(|key| {
        let is_used = used.contains(&key.recipient);
        let place = if key.is_here { "here" } else { "offline" };
        let rehearsed = key.rehearsed_at.map_or_else(|| "never".to_owned(), output::time);
        vec![
            key.name.clone(),
            place.into(),
            rehearsed,
            if is_used { "yes" } else { "no" }.into(),
            key.recipient.clone(),
        ]
    });
    let mut text = output::table(&["name", "kept", "rehearsed", "in use", "recipient"], rows);
    if used.is_empty() {
        text.push_str("\nResults are not sealed for anybody.\n");
    }
    if keys.iter().any(|key| !key.is_here && key.rehearsed_at.is_none()) {
        text.push_str("\nNext: prove that each new key opens results: taosync results rehearse --identity FILE\n");
    } else if keys.iter().any(|key| !used.contains(&key.recipient)) {
        text.push_str("\nNext: add a second key; results are not sealed for a single offline one.\n");
    }
    text
}
