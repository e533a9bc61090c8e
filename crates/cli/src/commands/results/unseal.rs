//! `taosync results unseal`: from sealed results to JSON, with the key of their holder.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use taosync_model::item::FORM_AGE_ZSTD;
use taosync_results::{MAX_PLAIN, unpack};
use taosync_store::settings::Role;
use taosync_sync::up::export::{Editions, Reading, Source, Target, export};
use taosync_sync::up::pseudonyms::Names;
use taosync_sync::up::sealing::readable;
use taosync_vault::results_keys::ResultsIdentities;
use taosync_wire::frame::MAX_BODY;

use super::Filter;
use super::identity::Given;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Open sealed results with the key of their holder
#[derive(Debug, Args)]
pub struct Options {
    /// Sealed files ('results export --format sealed'); without any, all results of this central
    files: Vec<PathBuf>,
    /// Directory for one JSON document a result
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    identity: Given,
    #[command(flatten)]
    filter: Filter,
}

/// What was opened, and what was not.
#[derive(Default)]
struct Unsealed {
    opened: u64,
    sealed: u64,
}

impl Options {
    /// Opens. Files need no node: the holder of the key may sit at a machine that never meets a network.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.out).map_err(|error| Failure::file("create", &self.out, error))?;
        let done = if self.files.is_empty() { self.all(context).await? } else { self.named(context).await? };
        if done.opened == 0 && done.sealed > 0 {
            let advice = "give the identity of a results key with --identity; 'taosync keys results list' shows whose";
            return Err(Failure::new("TS-406", "no result opens with this key", advice));
        }
        let document = json!({"out": self.out, "unsealed": done.opened, "sealed": done.sealed});
        context.output.answer(&document, || {
            let still = if done.sealed == 0 { String::new() } else { format!("; {} do not open", done.sealed) };
            format!("Opened {} results into {}{still}\n", done.opened, self.out.display())
        })
    }

    /// Every result of this central.
    async fn all(&self, context: &Context) -> Result<Unsealed, Failure> {
        let node = Node::open_as(context, Role::Central).await?;
        let identities = self.identity.with_those_of(&node)?;
        node.audit("results.unseal", "results", json!({})).await?;
        let filter = self.filter.clone().resolved(&node).await?;
        let sealed = tempfile::tempdir().map_err(|error| Failure::file("create", &std::env::temp_dir(), error))?;
        let source = Source::Received(filter.received(None), Editions::Newest);
        // What leaves the database here is sealed still; readable files are made in the directory that was named only.
        let target = Target::SealedFiles(sealed.path());
        export(&node.store, source, target, Reading { identities: &identities, names: Names::Uris })
            .await
            .map_err(super::export::failed)?;
        let entries = std::fs::read_dir(sealed.path()).map_err(|error| Failure::file("read", sealed.path(), error))?;
        let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
        let files = files.map_err(|error| Failure::file("read", sealed.path(), error))?;
        self.unseal(&files, &identities)
    }

    async fn named(&self, context: &Context) -> Result<Unsealed, Failure> {
        let given = self.identity.read()?;
        let identities = if given.is_empty() { Node::open(context).await?.keyring.results().clone() } else { given };
        self.unseal(&self.files, &identities)
    }

    fn unseal(&self, files: &[PathBuf], identities: &ResultsIdentities) -> Result<Unsealed, Failure> {
        let mut done = Unsealed::default();
        for file in files {
            match unseal(file, identities)? {
                Some(json) => {
                    // What stands before the ending has dots of its own.
                    let name = file.file_stem().unwrap_or_default().to_string_lossy();
                    let path = self.out.join(format!("{name}.json"));
                    std::fs::write(&path, json).map_err(|error| Failure::file("write", &path, error))?;
                    done.opened += 1;
                }
                None => done.sealed += 1,
            }
        }
        Ok(done)
    }
}

/// The JSON in a sealed file; nothing when it does not open.
fn unseal(file: &Path, identities: &ResultsIdentities) -> Result<Option<Vec<u8>>, Failure> {
    let metadata = std::fs::metadata(file).map_err(|error| Failure::file("read", file, error))?;
    if metadata.len() > MAX_BODY {
        return Err(Failure::wrong_text(format!("{} is too large for a result", file.display()), "leave it out"));
    }
    let sealed = std::fs::read(file).map_err(|error| Failure::file("read", file, error))?;
    let Ok(plain) = readable(FORM_AGE_ZSTD, &sealed, identities) else { return Ok(None) };
    let json = unpack(&plain, MAX_PLAIN).map_err(|error| {
        Failure::new("TS-406", format!("{} opens, but holds no result", file.display()), "leave it out").because(error)
    })?;
    Ok(Some(json))
}
