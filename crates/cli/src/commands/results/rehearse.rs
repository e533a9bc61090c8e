//! `taosync results rehearse`: a test result is sealed for the results keys, as real ones will be, and opened with the
//! key of a holder. Only a key that did this counts (docs/KEYS.md).

use clap::Args;
use serde_json::json;
use taosync_model::assessment::Attempt;
use taosync_model::item::{FORM_AGE_ZSTD, FORM_ZSTD_JSON};
use taosync_results::{MAX_PLAIN, decode_attempt, encode_attempt};
use taosync_store::audit::AuditEntry;
use taosync_store::results_keys::in_use;
use taosync_store::settings::Role;
use taosync_sync::up::sealing::{at_rest, readable};
use taosync_vault::random;

use super::identity::Given;
use crate::commands::keys;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::{ACTOR, Node};

/// Prove that a key opens results, before they are sealed for it (central)
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    identity: Given,
}

impl Options {
    /// Rehearses with every key of the file.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open_as(context, Role::Central).await?;
        let identities = self.identity.read()?;
        if identities.is_empty() {
            return Err(Failure::wrong_text("no key was given", "add --identity FILE"));
        }
        let keys = node.store.results_keys().await?;
        let all: Vec<String> = keys.iter().map(|key| key.recipient.clone()).collect();
        let known: Vec<String> = identities.recipients().into_iter().filter(|one| all.contains(one)).collect();
        if known.is_empty() {
            let advice = "add its recipient first: taosync keys results add AGE_RECIPIENT --name NAME";
            return Err(Failure::new("TS-107", "the key that was given is no results key of this central", advice));
        }
        // Sealed for all of them together, as results are.
        let test = test_result();
        let plain = encode_attempt(&test);
        let sealed = at_rest(&all, FORM_ZSTD_JSON, &plain)?.unwrap_or_default();
        let opened = readable(FORM_AGE_ZSTD, &sealed, &identities).map_err(|error| does_not_open().because(error))?;
        if decode_attempt(&opened, MAX_PLAIN).map_err(|error| does_not_open().because(error))? != test {
            return Err(does_not_open());
        }
        let detail = json!({"recipients": known});
        let entry = AuditEntry { actor: ACTOR, act: "results_key.rehearse", object: "results", detail };
        let rehearsed = node.store.results_keys_rehearsed(&known, &entry).await?;
        let names: Vec<_> = rehearsed.into_iter().map(|key| key.name).collect();
        let keys = node.store.results_keys().await?;
        let document = json!({"rehearsed": names, "keys": keys::results::to_json(&keys), "sealing_for": in_use(&keys)});
        context.output.answer(&document, || {
            format!("A test result opens with {}.\n{}", names.join(", "), keys::results::to_text(&keys))
        })
    }
}

/// A result that nobody can have guessed.
fn test_result() -> Attempt {
    let mut attempt = Attempt::default();
    attempt.other.insert("rehearsal".to_owned(), json!(random::uuid()));
    attempt
}

fn does_not_open() -> Failure {
    Failure::new("TS-406", "the test result does not open with this key", "nothing was changed; try another key file")
}
