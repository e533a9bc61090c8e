//! `taosync keys export` and `import`: the directory of keys as one sealed file, apart from the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::json;
use taosync_store::Store;
use taosync_vault::Keyring;

use crate::backup::read;
use crate::backup::secret::Given;
use crate::commands::backup::{self as made, Sealing};
use crate::commands::{restore, serve};
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Beginning of the name of a directory that is being filled.
const STAGING: &str = ".keys-";

/// Write the keys of this node into one sealed file
#[derive(Debug, Args)]
#[command(after_help = "Whoever can open the file can read everything this node has sealed: keep it apart from
backups and disks. It is an age file around a tar archive.

Examples:
  taosync --dir /srv/central keys export /mnt/stick/keys.age --recipient age1…
  taosync --dir /srv/central keys export /mnt/stick/keys.age --passphrase-file -")]
pub struct Export {
    /// File to be written; must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    given: Given,
    /// Seal for the holder of this age key, instead of with a passphrase
    #[arg(long, value_name = "AGE1…", conflicts_with = "passphrase_file")]
    recipient: Option<String>,
}

/// Put the keys of this node back from such a file
#[derive(Debug, Args)]
pub struct Import {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    given: Given,
    /// File with the age identity (AGE-SECRET-KEY-1…) it was sealed for
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    identity: Option<PathBuf>,
    /// Move aside the keys that are there
    #[arg(long)]
    replace: bool,
}

impl Export {
    /// Exports.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.file.symlink_metadata().is_ok() {
            let message = format!("{} exists already: nothing was written", self.file.display());
            return Err(Failure::new("TS-014", message, "choose another name; keys are never overwritten"));
        }
        let node = Node::open(context).await?;
        let question = "Passphrase for the keys (empty: make one)";
        let (sealing, passphrase) = Sealing::chosen(self.recipient.as_deref(), &self.given, question)?;
        let manifest = made::keys_manifest(&node);
        let sources = made::key_sources(&node)?;
        let (target, _) = made::target(&self.file, node.place.dir())?;
        let name = self.file.clone();
        let written =
            tokio::task::spawn_blocking(move || made::write_checked(target, &name, &sealing, manifest, &sources));
        let (manifest, bytes) = written.await??;
        node.audit("keys.export", &node.identity.node.to_string(), json!({"parts": manifest.parts.len()})).await?;
        let passphrase = passphrase.map(|secret| secret.expose_secret().to_owned());
        let document = json!({
            "file": self.file, "bytes": bytes, "parts": manifest.parts.len(), "passphrase": passphrase,
        });
        context.output.answer(&document, || {
            let shown = passphrase.as_ref().map_or_else(String::new, |passphrase| {
                format!("\nPassphrase: {passphrase}\nIt is shown this once. Keep it apart from the file.\n")
            });
            format!("Wrote {} keys into {} and read them back.\n{shown}", manifest.parts.len(), self.file.display())
        })
    }
}

impl Import {
    /// Imports. The keys must be those of the database that is there.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let place = &context.place;
        let failed = |error| Failure::file("write", place.dir(), error);
        if !place.database().is_file() {
            let message = format!("there is no database in {}", place.dir().display());
            return Err(Failure::new("TS-003", message, "keys belong to a database: restore that first"));
        }
        serve::refuse_running(place)?;
        let keys = place.keys();
        if keys.symlink_metadata().is_ok() && !self.replace {
            let message = format!("{} exists already: nothing was changed", keys.display());
            return Err(Failure::new("TS-014", message, "move the keys that are there aside with --replace"));
        }
        let opening = restore::opening(self.identity.as_deref(), &self.given)?;
        let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(place.dir()).map_err(failed)?;
        let (file, into) = (self.file.clone(), read::Into::Dir(staging.path().to_owned()));
        let manifest = tokio::task::spawn_blocking(move || read::read(&file, &opening, into)).await??;
        let fresh = staging.path().join("keys");
        let keyring = Arc::new(Keyring::open(&fresh)?);
        let store = Store::open(place.dir(), keyring, context.clock.clone()).await?;
        let identity = store.identity().await?;
        store.close().await;
        if identity.node != manifest.node {
            let message = format!("the file holds the keys of node {}, and this is {}", manifest.node, identity.node);
            return Err(Failure::new("TS-012", message, "take the file of this node; nothing was changed"));
        }
        let aside = if keys.symlink_metadata().is_ok() { Some(move_aside(&keys, context)?) } else { None };
        std::fs::rename(&fresh, &keys).map_err(failed)?;
        std::fs::File::open(place.dir()).and_then(|dir| dir.sync_all()).map_err(failed)?;
        let node = Node::open(context).await?;
        node.audit("keys.import", &identity.node.to_string(), json!({"parts": manifest.parts.len()})).await?;
        let document = json!({"node": identity.node, "parts": manifest.parts.len(), "replaced": aside});
        context.output.answer(&document, || {
            let replaced = aside.as_ref().map_or_else(String::new, |aside| {
                format!("Those that were there are in {}; delete them when all is well.\n", aside.display())
            });
            format!("Put {} keys back.\n{replaced}", manifest.parts.len())
        })
    }
}

fn move_aside(keys: &Path, context: &Context) -> Result<PathBuf, Failure> {
    let stamp = context.clock.now().strftime("%Y%m%dT%H%M%SZ");
    let aside = keys.with_file_name(format!("keys-replaced-{stamp}"));
    std::fs::rename(keys, &aside).map_err(|error| Failure::file("write", &aside, error))?;
    Ok(aside)
}
