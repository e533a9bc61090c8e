//! `taosync entity`: single entities, looked at on both roles, changed at central.

mod list;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use secrecy::SecretString;
use taosync_model::{EntityType, OrgId, Value, vocabulary};
use taosync_store::entities::{Change, Stored};
use taosync_vault::passwords;

use crate::changes::{self, ChangeOptions, Report};
use crate::commands::import;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks;
use crate::node::Node;
use crate::progress::Bar;

/// Look at single entities, and change them (central)
#[derive(Debug, Args)]
#[command(after_help = "A predicate is a URI, or one of: label, login, password, first-name, last-name,
mail, organisation-id, excluded-subjects.

A line of a JSONL file for 'load' is
  {\"uri\", \"type\", \"class\", \"triples\": [{\"predicate\", \"object\", \"lang\"}]}
and nothing is added to it.

Examples:
  taosync --dir /srv/central entity list --type test-taker --org School-7
  taosync --dir /srv/central entity show https://central.example/taosync.rdf#i1
  taosync --dir /srv/central entity set https://central.example/taosync.rdf#i1 label 'Anna B.'
  taosync --dir /srv/central entity load entities.jsonl --dry-run")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List entities of a type
    List {
        /// test-center, administrator, proctor, test-taker, eligibility, delivery, class or sync-manager
        #[arg(long = "type", value_name = "TYPE")]
        entity_type: EntityType,
        /// Only what this organisation sees
        #[arg(long, visible_alias = "organisation-id", value_name = "ORG")]
        org: Option<OrgId>,
    },
    /// Show everything about one entity
    Show {
        /// Its URI
        uri: String,
    },
    /// Give a property new values, in place of those it has (central)
    Set {
        /// URI of the entity
        uri: String,
        /// URI or short name of the property
        predicate: String,
        /// The values; one empty value takes the property away
        #[arg(required = true, allow_hyphen_values = true)]
        value: Vec<String>,
        /// Language of the values
        #[arg(long, value_name = "TAG")]
        lang: Option<String>,
        #[command(flatten)]
        change: ChangeOptions,
    },
    /// Remove an entity (central)
    Remove {
        /// Its URI
        uri: String,
        #[command(flatten)]
        change: ChangeOptions,
    },
    /// Load whole entities from a JSONL file (central)
    Load {
        /// The file; '-' for standard input
        #[arg(value_name = "FILE.jsonl")]
        file: PathBuf,
        #[command(flatten)]
        change: ChangeOptions,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::List { entity_type, org } => list::list(context, entity_type, org.as_ref()).await?,
            Act::Show { uri } => show::show(context, &uri).await?,
            Act::Set { uri, predicate, value, lang, change } => {
                let values = value.into_iter().map(|text| Value { text, lang: lang.clone() }).collect();
                set(context, &uri, &predicate, values, change).await?;
            }
            Act::Remove { uri, change } => remove(context, &uri, change).await?,
            Act::Load { file, change } => load(context, file, change).await?,
        }
        Ok(Exit::Done)
    }
}

/// A password is stored in TAO's form only: what is not in that form yet is the password itself.
fn hashed(value: Value) -> Value {
    if value.text.is_empty() || passwords::looks_like_tao_hash(&value.text) {
        return value;
    }
    Value::plain(passwords::tao_hash(&SecretString::from(value.text)))
}

async fn set(
    context: &Context,
    uri: &str,
    predicate: &str,
    values: Vec<Value>,
    options: ChangeOptions,
) -> Result<(), Failure> {
    let predicate = predicate_uri(predicate)?;
    let node = Node::open_to_change(context).await?;
    let _lock = locks::change_lock(node.place.dir()).await?;
    let Stored { types, mut entity, .. } = existing(&node, uri).await?;
    let takes_away = matches!(&values[..], [only] if only.text.is_empty());
    let values = if predicate == vocabulary::USER_PASSWORD { values.into_iter().map(hashed).collect() } else { values };
    entity.set(&predicate, if takes_away { Vec::new() } else { values });
    let changes = types.first().map(|&first| Change::Upsert(first, entity)).into_iter().collect();
    let object = node.store.audit_name(&types, uri);
    apply(context, &node, changes, options, "entity.set", &object).await
}

async fn remove(context: &Context, uri: &str, options: ChangeOptions) -> Result<(), Failure> {
    let node = Node::open_to_change(context).await?;
    let _lock = locks::change_lock(node.place.dir()).await?;
    let object = node.store.audit_name(&existing(&node, uri).await?.types, uri);
    apply(context, &node, vec![Change::Remove(uri.to_owned())], options, "entity.remove", &object).await
}

async fn load(context: &Context, file: PathBuf, options: ChangeOptions) -> Result<(), Failure> {
    let node = Node::open_to_change(context).await?;
    let name = file.display().to_string();
    let bar = Bar::phase(context.output, &format!("reading {name}"));
    let parsed = tokio::task::spawn_blocking(move || {
        let bytes = import::read_bounded(&file)?;
        taosync_roster::parse_jsonl(&file.display().to_string(), &bytes).map_err(import::wrong_lines)
    });
    let entities = parsed.await??;
    bar.begin(&format!("writing {} entities", entities.len()));
    let _lock = locks::change_lock(node.place.dir()).await?;
    let changes = entities.into_iter().map(|(entity_type, entity)| Change::Upsert(entity_type, entity)).collect();
    bar.end();
    apply(context, &node, changes, options, "entity.load", &name).await
}

async fn apply(
    context: &Context,
    node: &Node,
    changes: Vec<Change>,
    options: ChangeOptions,
    act: &str,
    object: &str,
) -> Result<(), Failure> {
    let applied = changes::apply(context, node, changes, options, act, object).await?;
    let report = Report::of(&applied, options);
    context.output.answer(&report, || report.to_text())
}

async fn existing(node: &Node, uri: &str) -> Result<Stored, Failure> {
    node.store.entity_get(uri).await?.ok_or_else(|| not_found(uri))
}

fn not_found(uri: &str) -> Failure {
    Failure::new(
        "TS-107",
        format!("there is no entity {uri} here"),
        "see 'taosync entity list --type TYPE' for those there are",
    )
}

/// Short names of the properties people change most.
fn predicate_uri(text: &str) -> Result<String, Failure> {
    let uri = match text {
        "label" => vocabulary::RDFS_LABEL,
        "login" => vocabulary::USER_LOGIN,
        "password" => vocabulary::USER_PASSWORD,
        "first-name" => vocabulary::USER_FIRST_NAME,
        "last-name" => vocabulary::USER_LAST_NAME,
        "mail" => vocabulary::USER_MAIL,
        "organisation-id" => vocabulary::ORGANISATION_ID,
        "excluded-subjects" => vocabulary::EXCLUDED_SUBJECTS,
        uri if uri.contains(':') && !uri.contains(char::is_whitespace) => uri,
        other => {
            let message = format!("'{}' is not a predicate", other.escape_debug());
            return Err(Failure::wrong_text(
                message,
                "give its URI, or one of the short names in 'taosync entity --help'",
            ));
        }
    };
    Ok(uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_and_uris_are_predicates() {
        assert_eq!(predicate_uri("label").unwrap(), vocabulary::RDFS_LABEL);
        assert_eq!(predicate_uri("urn:x").unwrap(), "urn:x");
        assert_eq!(predicate_uri("lable").unwrap_err().exit, Exit::Usage);
    }
}
