//! `taosync subject`: what is held of one person, as a file, and its erasure.

mod export;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use taosync_model::EntityType;
use taosync_store::Durability;
use taosync_store::audit::AuditEntry;
use taosync_store::entities::Change;
use taosync_store::received::ReceivedFilter;
use taosync_store::settings::Role;
use taosync_store::subjects::Subject;

use crate::changes::{self, ChangeOptions};
use crate::commands::results::Given;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks;
use crate::node::{ACTOR, Node};
use crate::output;

/// Everything that is held of one person (central)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central subject export https://example.org/rdf#i17 anna.json
  taosync --dir /srv/central subject erase https://example.org/rdf#i17 --reason 'request of 12 May'
  taosync --dir /srv/central subject erased --json > erased.json   (for 'restore --erased erased.json')")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Write everything that is held of a person into a file
    Export {
        /// URI of the person
        uri: String,
        /// A file that does not exist yet: one JSON document
        file: PathBuf,
        #[command(flatten)]
        identity: Given,
    },
    /// Erase a person: the entity everywhere, and the answers
    Erase {
        /// URI of the person
        uri: String,
        /// Why, for the audit log; without names
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List who was erased, by keyed hashes: what a restored backup needs to erase them again
    Erased,
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::Export { uri, file, identity } => {
                let node = Node::open_as(context, Role::Central).await?;
                export::run(context, &node, &uri, &file, &identity).await?;
            }
            Act::Erase { uri, reason } => erase(context, uri, &reason).await?,
            Act::Erased => erased(context).await?,
        }
        Ok(Exit::Done)
    }
}

async fn erase(context: &Context, uri: String, reason: &str) -> Result<(), Failure> {
    let node = Node::open_to_change(context).await?;
    let _lock = locks::change_lock(node.place.dir()).await?;
    let is_person = match node.store.entity_get(&uri).await? {
        Some(stored) => stored.types.iter().any(|entity_type| entity_type.is_person()),
        None => false,
    };
    if !is_person && !was_known(&node, &uri).await? {
        // A slip must not look like an erasure.
        let message = "nobody is or was known here by this URI: nothing was erased";
        return Err(Failure::new("TS-107", message, "see 'taosync entity list --type test-taker' for those there are"));
    }
    let answers = erase_answers(&node, std::slice::from_ref(&uri), reason).await?;
    if is_person {
        let name = node.store.subject_name(&uri);
        let options = ChangeOptions { dry_run: false, yes: true };
        changes::apply(context, &node, vec![Change::Remove(uri)], options, "subject.remove", &name).await?;
    }
    keep_list(&node).await?;
    // What was erased stands in the database's log until that is cut.
    node.store.log_cut().await?;
    context.output.answer(&json!({"erased": true, "entity": is_person, "answers": answers}), || {
        let entity = if is_person { "The person is gone here, and goes from local servers at their next sync.\n" } else { "" };
        format!(
            "{entity}{answers} results, logs and sessions have no content any more.\nBackups made before now still hold the \
             person: keep {} with them, and restore with --erased.\n",
            list_file(node.place.dir()).display()
        )
    })
}

/// Whether somebody who is no entity here has left results, or was erased before.
async fn was_known(node: &Node, uri: &str) -> Result<bool, Failure> {
    let subject = node.store.subject(uri);
    if node.store.subjects_erased().await?.iter().any(|erased| erased.subject == subject) {
        return Ok(true);
    }
    let filter = ReceivedFilter { test_taker: Some(uri.to_owned()), ..ReceivedFilter::default() };
    Ok(!node.store.received_list(&filter, 1).await?.is_empty())
}

/// Erases what came in from people, and notes each in the audit log by a keyed hash.
pub async fn erase_answers(node: &Node, uris: &[String], reason: &str) -> Result<u64, Failure> {
    let mut tx = node.store.write("subjects_erase", Durability::Flushed).await?;
    let answers = node.store.subjects_erase(&mut tx, uris).await?;
    let object = match uris {
        [uri] => node.store.subject_name(uri),
        many => format!("{} people", many.len()),
    };
    let detail = json!({"reason": reason, "answers": answers, "people": uris.len()});
    node.store.audit_add(&mut tx, &AuditEntry { actor: ACTOR, act: "subject.erase", object: &object, detail }).await?;
    tx.commit().await?;
    Ok(answers)
}

/// One of those who were erased.
#[derive(Serialize, Deserialize)]
struct Line {
    subject: String,
    at: jiff::Timestamp,
}

/// Who was erased.
#[derive(Serialize, Deserialize)]
struct List {
    erased: Vec<Line>,
}

async fn list(node: &Node) -> Result<List, Failure> {
    let erased = node.store.subjects_erased().await?;
    let line =
        |erased: taosync_store::subjects::ErasedSubject| Line { subject: hex::encode(erased.subject), at: erased.at };
    Ok(List { erased: erased.into_iter().map(line).collect() })
}

async fn erased(context: &Context) -> Result<(), Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    let list = list(&node).await?;
    context.output.answer(&list, || {
        let rows = list.erased.iter().map(|line| vec![output::time(line.at), line.subject.clone()]);
        output::table(&["erased", "person (keyed hash)"], rows)
    })
}

/// Beside the database, so that it is there when the database is replaced by an older one.
pub fn list_file(dir: &Path) -> PathBuf {
    dir.join("erased.json")
}

/// Writes the list beside the database.
pub async fn keep_list(node: &Node) -> Result<(), Failure> {
    let path = list_file(node.place.dir());
    let failed = |error| Failure::file("write", &path, error);
    let mut file = tempfile::NamedTempFile::new_in(node.place.dir()).map_err(failed)?;
    serde_json::to_writer(&mut file, &list(node).await?).map_err(|error| failed(error.into()))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Reads a list of people who were erased.
pub fn read_list(path: &Path) -> Result<BTreeSet<Subject>, Failure> {
    let wrong = || {
        let advice = "give what 'taosync subject erased --json' printed, or the file erased.json beside the database";
        Failure::new("TS-431", format!("{} is no list of people who were erased", path.display()), advice)
    };
    let text = std::fs::read(path).map_err(|error| Failure::file("read", path, error))?;
    let list: List = serde_json::from_slice(&text).map_err(|_| wrong())?;
    let subject = |line: Line| hex::decode(line.subject).ok()?.try_into().ok();
    list.erased.into_iter().map(|line| subject(line).ok_or_else(wrong)).collect()
}

/// Erases again, in a restored node, who was erased since the backup; says how many people that were.
pub async fn erase_again(context: &Context, node: &Node, subjects: &BTreeSet<Subject>) -> Result<u64, Failure> {
    node.store.subjects_remember(subjects).await?;
    keep_list(node).await?;
    let found = node.store.subjects_found(subjects).await?;
    if found.is_empty() {
        return Ok(0);
    }
    erase_answers(node, &found, "erased before the backup was restored").await?;
    let people = node
        .store
        .entities_find(&found.iter().cloned().map(taosync_store::entities::Key::Uri).collect::<Vec<_>>())
        .await?;
    let is_person = |types: &[EntityType]| types.iter().any(|entity_type| entity_type.is_person());
    let removals = people.into_values().flatten().filter(|stored| is_person(&stored.types));
    let removals: Vec<Change> = removals.map(|stored| Change::Remove(stored.entity.uri)).collect();
    let number = found.len() as u64;
    let options = ChangeOptions { dry_run: false, yes: true };
    changes::apply(context, node, removals, options, "subject.remove", &format!("{number} people")).await?;
    Ok(number)
}
