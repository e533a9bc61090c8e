//! `taosync backup`: everything a node is, in one sealed file, while it works.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::json;
use taosync_store::audit::AuditEntry;
use taosync_store::copies::Copied;
use taosync_store::settings::Role;
use taosync_vault::backup_seal::{self, Opening, Seal};
use taosync_vault::node_identity::NodeIdentity;
use tempfile::NamedTempFile;

use crate::backup::secret::Given;
use crate::backup::write::{self, Source};
use crate::backup::{FORMAT, Manifest, read};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks;
use crate::node::{ACTOR, Node, VERSION};
use crate::output::{self, Output};

/// Beginning of the names of what is being made.
const LEFTOVER: &str = ".backup-";

/// Write everything this node is into one sealed file
#[derive(Debug, Args)]
#[command(
    after_help = "Database, keys, configuration and the chunks of packages, as they are at one moment; the server
and syncs go on meanwhile. The file is read back and checked before it counts. Without a
passphrase a strong one is made and shown once: whoever loses it loses the backup.

Examples:
  taosync --dir /srv/central backup /mnt/disk/central.age --passphrase-file /root/passphrase
  taosync --dir /srv/central backup /mnt/disk/central.age --recipient age1…"
)]
pub struct Options {
    /// File to be written; must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    given: Given,
    /// Seal for the holder of this age key, instead of with a passphrase
    #[arg(long, value_name = "AGE1…", conflicts_with = "passphrase_file")]
    recipient: Option<String>,
}

/// What was made: the answer.
#[derive(Serialize)]
pub struct Made {
    file: String,
    bytes: u64,
    parts: usize,
    receipts_through: i64,
    missing_chunks: usize,
    verified: bool,
    same_disk: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase: Option<String>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Options {
    /// Makes a backup.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let since = Instant::now();
        if self.file.symlink_metadata().is_ok() {
            let message = format!("{} exists already: nothing was written", self.file.display());
            return Err(Failure::new("TS-014", message, "choose another name; backups are never overwritten"));
        }
        let node = Node::open(context).await?;
        let question = "Passphrase for the backup (empty: make one)";
        let (sealing, passphrase) = Sealing::chosen(self.recipient.as_deref(), &self.given, question)?;
        let made = make(context.output, &node, &self.file, sealing).await?;
        let passphrase = passphrase.map(|secret| secret.expose_secret().to_owned());
        let made = Made { passphrase, seconds: since.elapsed().as_secs_f64(), ..made };
        context.output.answer(&made, || to_text(&made, node.identity.role))?;
        Ok(Exit::Done)
    }
}

/// Makes a backup of an open node, reads it back, and lets the node know.
pub async fn make(output: Output, node: &Node, file: &Path, sealing: Sealing) -> Result<Made, Failure> {
    let (target, same_disk) = target(file, node.place.dir())?;
    let _alone = locks::backup_lock(node.place.dir()).await?;
    remove_leftovers(node.place.dir())?;
    let work = tempfile::Builder::new().prefix(LEFTOVER).tempdir_in(node.place.dir());
    let work = work.map_err(|error| Failure::file("write", node.place.dir(), error))?;
    let copy = work.path().join("taosync.sqlite");
    output::note(output, "copying the database");
    let copied = node.store.copy_to(&copy).await?;
    let manifest = manifest(node, &copied);
    let (sources, missing_chunks) = sources(node, copied, copy).await?;
    output::note(output, "writing and checking the backup");
    let name = file.to_owned();
    let written =
        tokio::task::spawn_blocking(move || write_checked(target, &name, &sealing, manifest, &sources)).await?;
    let (manifest, bytes) = written?;
    drop(work);
    note_backup(node, file, &manifest).await?;
    Ok(Made {
        file: file.display().to_string(),
        bytes,
        parts: manifest.parts.len(),
        receipts_through: manifest.receipts_through,
        missing_chunks,
        verified: true,
        same_disk,
        seconds: 0.0,
        passphrase: None,
    })
}

/// How a backup is closed and, to be checked, opened.
#[derive(Debug)]
pub struct Sealing {
    seal: Seal,
    opening: Opening,
}

impl Sealing {
    /// What was chosen: the holder of a key, or a passphrase that was given; without either a passphrase is made, and
    /// comes back to be shown.
    pub fn chosen(
        recipient: Option<&str>,
        given: &Given,
        question: &str,
    ) -> Result<(Self, Option<SecretString>), Failure> {
        if let Some(recipient) = recipient {
            return Ok((Self::for_recipient(recipient)?, None));
        }
        let given = given.find(question)?;
        let shown = given.is_none().then(backup_seal::passphrase);
        let secret = given.or_else(|| shown.clone()).unwrap_or_else(backup_seal::passphrase);
        Ok((Self { seal: Seal::Passphrase(secret.clone()), opening: Opening::Passphrase(secret) }, shown))
    }

    /// For the holder of an age key (`age1…`).
    pub fn for_recipient(recipient: &str) -> Result<Self, Failure> {
        taosync_vault::sealed_file::check_recipient(recipient)?;
        // Only its holder could read it back: a key that is forgotten at once reads it too, this one time.
        let reader = NodeIdentity::generate();
        let seal = Seal::Recipients(vec![recipient.to_owned(), reader.recipient()]);
        Ok(Self { seal, opening: Opening::Identity(reader.to_text()) })
    }
}

fn manifest(node: &Node, copied: &Copied) -> Manifest {
    let receipts_through = if node.identity.role == Role::Central { copied.receipts_through } else { 0 };
    Manifest { receipts_through, ..keys_manifest(node) }
}

/// What says whose keys a file holds.
pub fn keys_manifest(node: &Node) -> Manifest {
    Manifest {
        format: FORMAT,
        version: VERSION.to_owned(),
        role: node.identity.role.as_str().to_owned(),
        node: node.identity.node,
        at: node.clock.now(),
        receipts_through: 0,
        parts: Vec::new(),
    }
}

/// Every file of the directory of keys.
pub fn key_sources(node: &Node) -> Result<Vec<Source>, Failure> {
    let keys = node.place.keys();
    let listed = std::fs::read_dir(&keys).map_err(|error| Failure::file("read", &keys, error))?;
    let mut sources = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|error| Failure::file("read", &keys, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Temporary names of a write that goes on.
        if !name.starts_with('.') && entry.path().is_file() {
            sources.push(Source { name: format!("keys/{name}"), path: entry.path() });
        }
    }
    Ok(sources)
}

/// Every file of the node, the database by its copy; and how many chunks the database names that are not on the disk.
async fn sources(node: &Node, copied: Copied, copy: PathBuf) -> Result<(Vec<Source>, usize), Failure> {
    let mut sources = vec![Source { name: "taosync.sqlite".into(), path: copy }];
    sources.extend(key_sources(node)?);
    sources.push(Source { name: "taosync.toml".into(), path: node.place.config_file().to_owned() });
    let (files, missing) = node.blobs().await?.files_of(copied.chunks).await?;
    let source = |file: PathBuf| Source { path: node.place.dir().join(&file), name: file.display().to_string() };
    sources.extend(files.into_iter().map(source));
    Ok((sources, missing.len()))
}

/// Where the file is written until it is whole, and whether that is the disk it is to protect from.
pub fn target(file: &Path, dir: &Path) -> Result<(NamedTempFile, bool), Failure> {
    let folder = folder(file);
    let failed = |error| Failure::file("write", file, error);
    let temporary = tempfile::Builder::new().prefix(LEFTOVER).tempfile_in(folder).map_err(failed)?;
    let disk = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev());
    let same_disk = disk(folder).map_err(failed)? == disk(dir).map_err(|error| Failure::file("read", dir, error))?;
    Ok((temporary, same_disk))
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A backup that was killed left its copy of the database.
fn remove_leftovers(dir: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::file("read", dir, error);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(LEFTOVER);
        if is_ours && entry.path().is_dir() {
            std::fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Writes under a temporary name, reads everything back, and only then gives the file its name.
pub fn write_checked(
    temporary: NamedTempFile,
    file: &Path,
    sealing: &Sealing,
    manifest: Manifest,
    sources: &[Source],
) -> Result<(Manifest, u64), Failure> {
    let failed = |error| Failure::file("write", file, error);
    let output = temporary.reopen().map_err(failed)?;
    let manifest = write::write(output, &sealing.seal, manifest, sources)?;
    let checked = read::read(temporary.path(), &sealing.opening, read::Into::Nothing)?;
    if checked.parts != manifest.parts {
        let message = "the backup reads back differently from what was written";
        return Err(Failure::new("TS-013", message, "check the disk it goes to"));
    }
    let bytes = temporary.as_file().metadata().map_err(failed)?.len();
    temporary.persist_noclobber(file).map_err(|error| failed(error.error))?;
    File::open(folder(file)).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok((manifest, bytes))
}

async fn note_backup(node: &Node, file: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let detail = json!({"receipts_through": manifest.receipts_through, "parts": manifest.parts.len()});
    let object = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let entry = AuditEntry { actor: ACTOR, act: "node.backup", object: &object, detail };
    match node.identity.role {
        Role::Central => Ok(node.store.backup_verified(manifest.receipts_through, &entry).await?),
        Role::Local => Ok(node.store.audit_write(&entry).await?),
    }
}

fn to_text(made: &Made, role: Role) -> String {
    let mut text = format!(
        "Wrote {} ({}, {} parts) and read it back: it is whole.\n",
        made.file,
        output::bytes(made.bytes),
        made.parts
    );
    if role == Role::Central {
        output::add(&mut text, format_args!("Results up to receipt {} are inside.\n", made.receipts_through));
    }
    if made.same_disk {
        text.push_str("It lies on the same disk as the server: copy it to another one, or it dies with it.\n");
    }
    if made.missing_chunks > 0 {
        output::add(
            &mut text,
            format_args!("{} chunks of packages are not on this disk; see 'taosync verify'.\n", made.missing_chunks),
        );
    }
    if let Some(passphrase) = &made.passphrase {
        output::add(
            &mut text,
            format_args!(
                "\nPassphrase: {passphrase}\nIt is shown this once. Keep it apart from the file: without it nobody can restore.\n"
            ),
        );
    }
    text
}
