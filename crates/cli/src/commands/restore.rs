//! `taosync restore`: a node from its backup, in an empty directory. Everything is checked before it is put in place.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use secrecy::SecretString;
use serde::Serialize;
use taosync_store::Store;
use taosync_store::settings::Role;
use taosync_store::subjects::Subject;
use taosync_vault::Keyring;
use taosync_vault::backup_seal::Opening;

use crate::backup::secret::Given;
use crate::backup::{Manifest, read};
use crate::bounded;
use crate::commands::{serve, subject};
use crate::config::{Config, Place};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks::{self, Way};
use crate::node::{ACTOR, Node};
use crate::output;

/// Bytes of a file with an age identity at most.
const MAX_IDENTITY: u64 = 64 * 1024;
/// Beginning of the name of a directory that is being filled.
const STAGING: &str = ".restoring-";

/// Make a node again from its backup
#[derive(Debug, Args)]
#[command(after_help = "The directory must be empty; with --replace what is there is moved into a folder beside the
new files, and nothing is deleted. A central begins a new history: local servers compare at
their next sync and hand in again what may be missing. A local server whose original has
synced since the backup gets no data until 'node adopt' or 'node renew'.

Examples:
  taosync --dir /srv/central restore /mnt/disk/central.age --passphrase-file /root/passphrase
  taosync restore --check /mnt/disk/central.age")]
pub struct Options {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    given: Given,
    /// File with the age identity (AGE-SECRET-KEY-1…) the backup was sealed for
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    identity: Option<PathBuf>,
    /// Move aside what is in the directory
    #[arg(long)]
    replace: bool,
    /// List of people who were erased since the backup ('subject erased --json', or erased.json): they are erased again
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    erased: Option<PathBuf>,
    /// Only read and check the backup; nothing is put anywhere
    #[arg(long, conflicts_with = "replace")]
    check: bool,
}

/// The answer.
#[derive(Serialize)]
struct Restored {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<String>,
    role: String,
    node: uuid::Uuid,
    at: jiff::Timestamp,
    parts: usize,
    receipts_through: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_aside: Option<String>,
    /// People who were erased since the backup, and are again.
    erased_again: u64,
    seconds: f64,
}

impl Options {
    /// Restores, or only checks.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let since = Instant::now();
        let place = &context.place;
        let opening = opening(self.identity.as_deref(), &self.given)?;
        let PutBack { manifest, aside: moved_aside, erased_again } = if self.check {
            let manifest = read_backup(&self.file, opening, read::Into::Nothing).await?;
            PutBack { manifest, aside: None, erased_again: 0 }
        } else {
            let there = if self.replace { There::MoveAside } else { There::Refuse };
            put_back(context, &self.file, opening, there, &self.erased(place)?).await?
        };
        let restored = Restored {
            file: self.file.display().to_string(),
            dir: (!self.check).then(|| place.dir().display().to_string()),
            role: manifest.role,
            node: manifest.node,
            at: manifest.at,
            parts: manifest.parts.len(),
            receipts_through: manifest.receipts_through,
            moved_aside: moved_aside.map(|path| path.display().to_string()),
            erased_again,
            seconds: since.elapsed().as_secs_f64(),
        };
        context.output.answer(&restored, || to_text(&restored))?;
        Ok(Exit::Done)
    }

    /// Who was erased since, by the list that was given and by the one of the node that is replaced.
    fn erased(&self, place: &Place) -> Result<BTreeSet<Subject>, Failure> {
        let there = Some(subject::list_file(place.dir())).filter(|path| path.is_file());
        let lists = self.erased.iter().chain(&there).map(|path| subject::read_list(path));
        lists.collect::<Result<Vec<_>, _>>().map(|lists| lists.into_iter().flatten().collect())
    }
}

/// What opens a file that was sealed for the holder of a key, or with a passphrase.
pub fn opening(identity: Option<&Path>, given: &Given) -> Result<Opening, Failure> {
    if let Some(path) = identity {
        let text = std::fs::File::open(path).and_then(|file| bounded::text(file, MAX_IDENTITY));
        let text = text.map_err(|error| Failure::file("read", path, error))?;
        let line = text.lines().map(str::trim).find(|line| line.starts_with("AGE-SECRET-KEY-1"));
        let line = line.ok_or_else(|| {
            Failure::wrong_text(format!("{} holds no age identity", path.display()), "it begins with AGE-SECRET-KEY-1")
        })?;
        return Ok(Opening::Identity(SecretString::from(line.to_owned())));
    }
    given.find("Passphrase of the backup")?.map(Opening::Passphrase).ok_or_else(|| {
        Failure::wrong_text(
            "the passphrase of the backup is missing",
            "give it with --passphrase-file FILE, '-' for standard input, or TAOSYNC_BACKUP_PASSPHRASE",
        )
    })
}

/// What becomes of what is in the directory already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing may be there.
    Refuse,
    /// It is moved into a folder beside the new files.
    MoveAside,
}

/// What a restore did.
#[derive(Debug)]
pub struct PutBack {
    /// What was restored.
    pub manifest: Manifest,
    /// Where that which was there is now.
    pub aside: Option<PathBuf>,
    /// People who were erased again.
    pub erased_again: u64,
}

/// Makes the node of a backup again in the directory of the context, without the people who were erased since.
pub async fn put_back(
    context: &Context,
    file: &Path,
    opening: Opening,
    wanted: There,
    erased: &BTreeSet<Subject>,
) -> Result<PutBack, Failure> {
    let place = &context.place;
    let failed = |error| Failure::file("write", place.dir(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(place.dir()).map_err(failed)?;
    serve::refuse_running(place)?;
    let there = already_there(place)?;
    if !there.is_empty() && wanted == There::Refuse {
        let message = format!("{} is not empty: nothing was changed", place.dir().display());
        return Err(Failure::new(
            "TS-014",
            message,
            "choose another --dir, or move aside what is there with --replace",
        ));
    }
    let locks = if there.is_empty() { Vec::new() } else { lock(context)? };
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(place.dir()).map_err(failed)?;
    output::note(context.output, "reading and checking the backup");
    let manifest = read_backup(file, opening, read::Into::Dir(staging.path().to_owned())).await?;
    refuse_other_role(context, &manifest)?;
    make_ready(context, staging.path(), &manifest).await?;
    let erased_again = erase_again(context, staging.path(), &manifest, erased).await?;
    let aside = if there.is_empty() { None } else { Some(move_aside(context, &there)?) };
    move_in(place, staging.path()).map_err(failed)?;
    drop(locks);
    Ok(PutBack { manifest, aside, erased_again })
}

async fn read_backup(file: &Path, opening: Opening, into: read::Into) -> Result<Manifest, Failure> {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || read::read(&file, &opening, into)).await?
}

/// What would be in the way. A restore that was killed left nothing that anybody needs.
fn already_there(place: &Place) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::file("read", place.dir(), error);
    let mut there = Vec::new();
    for entry in std::fs::read_dir(place.dir()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            std::fs::remove_dir_all(entry.path()).map_err(failed)?;
        } else {
            there.push(entry.path());
        }
    }
    let config = place.config_file();
    if config.symlink_metadata().is_ok() && !there.iter().any(|path| path == config) {
        there.push(config.to_owned());
    }
    Ok(there)
}

/// A school's server is not made a central by the wrong file.
fn refuse_other_role(context: &Context, manifest: &Manifest) -> Result<(), Failure> {
    // Where no configuration can be read there is no role to mistake.
    let Ok(config) = Config::load(&context.place) else { return Ok(()) };
    if config.role.as_str() == manifest.role {
        return Ok(());
    }
    let dir = context.place.dir().display();
    let message =
        format!("the backup is of a {} server, and {dir} is a {} one: nothing was changed", manifest.role, config.role);
    Err(Failure::new("TS-005", message, "take the right file, or name another directory with --dir"))
}

/// Nobody syncs or changes the node that is replaced.
fn lock(context: &Context) -> Result<Vec<locks::Lock>, Failure> {
    [Way::Down, Way::Up].into_iter().map(|way| locks::sync_lock(context.place.dir(), way, &*context.clock)).collect()
}

/// Opens the restored node where it is still out of the way, and lets it know that it was restored.
async fn make_ready(context: &Context, staging: &Path, manifest: &Manifest) -> Result<(), Failure> {
    std::fs::metadata(staging.join("taosync.toml")).map_err(|error| Failure::file("read", staging, error))?;
    let keyring = Arc::new(Keyring::open(&staging.join("keys"))?);
    let store = Store::open(staging, keyring, context.clock.clone()).await?;
    let identity = store.identity().await?;
    if identity.node != manifest.node {
        return Err(Failure::new("TS-013", "the database of the backup is another node's", "take an older backup"));
    }
    store.restored(ACTOR).await?;
    // Some of them were ended since the backup.
    store.sessions_close().await?;
    store.close().await;
    Ok(())
}

/// Before anybody can use the restored node: whoever was erased since the backup is erased in it.
async fn erase_again(
    context: &Context,
    staging: &Path,
    manifest: &Manifest,
    erased: &BTreeSet<Subject>,
) -> Result<u64, Failure> {
    if erased.is_empty() || manifest.role != Role::Central.as_str() {
        return Ok(0);
    }
    let staged = Context { place: Place::new(Some(staging)), output: context.output, clock: context.clock.clone() };
    let node = Node::open_to_change(&staged).await?;
    let number = subject::erase_again(&staged, &node, erased).await?;
    node.store.log_cut().await?;
    node.store.close().await;
    Ok(number)
}

fn move_aside(context: &Context, there: &[PathBuf]) -> Result<PathBuf, Failure> {
    let place = &context.place;
    let name = format!("replaced-{}", context.clock.now().strftime("%Y%m%dT%H%M%SZ"));
    let aside = place.dir().join(name);
    let failed = |error| Failure::file("write", &aside, error);
    DirBuilder::new().mode(0o700).create(&aside).map_err(failed)?;
    // The configuration first: from here on nobody takes what is left for a node.
    let mut there = there.to_vec();
    there.sort_by_key(|path| path != place.config_file());
    for path in there {
        let name = path.file_name().unwrap_or_default();
        if name.to_string_lossy().starts_with("replaced-") {
            continue;
        }
        match std::fs::rename(&path, aside.join(name)) {
            // The configuration of an installed service is on another disk.
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                std::fs::copy(&path, aside.join(name)).and_then(|_| std::fs::remove_file(&path)).map_err(failed)?;
            }
            moved => moved.map_err(failed)?,
        }
    }
    Ok(aside)
}

/// The configuration comes last, so that half a node is never taken for a whole one.
fn move_in(place: &Place, staging: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(staging)? {
        let entry = entry?;
        if entry.file_name() != "taosync.toml" {
            std::fs::rename(entry.path(), place.dir().join(entry.file_name()))?;
        }
    }
    File::open(place.dir())?.sync_all()?;
    let config = place.config_file();
    let parent = config.parent().unwrap_or(place.dir());
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let text = std::fs::read(staging.join("taosync.toml"))?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    std::io::Write::write_all(&mut file, &text)?;
    file.as_file().sync_all()?;
    file.persist(config).map_err(|error| error.error)?;
    File::open(parent)?.sync_all()
}

fn to_text(restored: &Restored) -> String {
    let at = output::time(restored.at);
    let Some(dir) = &restored.dir else {
        return format!(
            "{} is whole: a {} server (node {}) as it was at {at}, {} parts.\n",
            restored.file, restored.role, restored.node, restored.parts
        );
    };
    let mut text =
        format!("Restored a {} server (node {}) in {dir}, as it was at {at}.\n", restored.role, restored.node);
    if let Some(aside) = &restored.moved_aside {
        output::add(&mut text, format_args!("What was there before is in {aside}.\n"));
        if restored.role == Role::Local.as_str() {
            output::add(
                &mut text,
                format_args!(
                    "Results that were not handed in there yet are not in the backup: taosync --dir {aside} sync results\n"
                ),
            );
        }
    }
    if restored.erased_again > 0 {
        output::add(
            &mut text,
            format_args!("{} people who were erased since the backup are erased in it too.\n", restored.erased_again),
        );
    }
    if restored.role == Role::Central.as_str() {
        output::add(
            &mut text,
            format_args!(
                "It begins a new history: local servers compare at their next sync, and hand in again what may be missing.\n\
                 Keys and machines that were revoked after {at} are let in again: revoke them once more.\n\n\
                 Next: taosync --dir {dir} serve\n"
            ),
        );
    } else {
        output::add(
            &mut text,
            format_args!(
                "If this machine, or its original, has synced after {at}, central gives it no data until you say what it is:\n  \
                 taosync --dir {dir} node adopt    it replaces the original, which is gone\n  \
                 taosync --dir {dir} node renew    the original goes on elsewhere\n\n\
                 Next: taosync --dir {dir} sync all\n"
            ),
        );
    }
    text
}
