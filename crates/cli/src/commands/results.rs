//! `taosync results`: what came in (central), what was made here (local).

mod export;
mod identity;
mod list;
mod rehearse;
mod show;
mod unseal;

use clap::{Args, Subcommand};
use taosync_model::OrgId;
use taosync_model::item::ItemKind;
use taosync_store::outbox::OutboxFilter;
use taosync_store::received::ReceivedFilter;
use taosync_store::settings::Role;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;

pub use identity::Given;

/// Results: list, show, export, unseal
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central results list --org School-7
  taosync --dir /srv/central results show ID
  taosync --dir /srv/central results export --format csv --out results.csv
  taosync --dir /srv/central results export --format csv --pseudonymous --out study.csv
  taosync --dir /srv/central results export --format qti --out results/
  taosync --dir /srv/central results export --format sealed --out sealed/
  taosync results unseal --identity results-key.txt --out opened/ sealed/*.age
  taosync --dir /srv/central results rehearse --identity results-key.txt")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List results and other items
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show the variables of one result
    Show {
        /// Id of the execution
        id: uuid::Uuid,
        #[command(flatten)]
        identity: identity::Given,
    },
    /// Write results to files
    Export(export::Options),
    /// Open sealed results with the key of their holder
    Unseal(unseal::Options),
    /// Prove that a key opens results, before they are sealed for it (central)
    Rehearse(rehearse::Options),
}

/// Which results.
#[derive(Clone, Debug, Default, Args)]
pub struct Filter {
    /// Of one organisation only
    #[arg(long, visible_alias = "organisation-id", value_name = "ORG")]
    pub org: Option<OrgId>,
    /// Of one test only
    #[arg(long, value_name = "URI")]
    pub delivery: Option<String>,
    /// Of one test taker only (login or URI)
    #[arg(long, value_name = "LOGIN|URI")]
    pub test_taker: Option<String>,
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::List { filter } => list::list(context, &Node::open(context).await?, filter).await?,
            Act::Show { id, identity } => show::show(context, &Node::open(context).await?, id, &identity).await?,
            Act::Export(options) => options.run(context, &Node::open(context).await?).await?,
            Act::Unseal(options) => options.run(context).await?,
            Act::Rehearse(options) => options.run(context).await?,
        }
        Ok(Exit::Done)
    }
}

impl Filter {
    /// The same filter with the test taker's URI.
    async fn resolved(mut self, node: &Node) -> Result<Self, Failure> {
        if let Some(text) = self.test_taker.take() {
            self.test_taker = Some(taker_uri(node, text).await?);
        }
        Ok(self)
    }

    fn received(&self, kind: Option<ItemKind>) -> ReceivedFilter {
        ReceivedFilter {
            org: self.org.clone(),
            kind,
            delivery: self.delivery.clone(),
            test_taker: self.test_taker.clone(),
            ..ReceivedFilter::default()
        }
    }

    fn outbox(&self, kind: Option<ItemKind>) -> OutboxFilter {
        OutboxFilter {
            org: self.org.clone(),
            kind,
            delivery: self.delivery.clone(),
            test_taker: self.test_taker.clone(),
            ..OutboxFilter::default()
        }
    }
}

/// The URI behind a login; what looks like a URI is one.
async fn taker_uri(node: &Node, text: String) -> Result<String, Failure> {
    if text.contains(':') {
        return Ok(text);
    }
    let mut uris: Vec<String> = match node.identity.role {
        Role::Central => {
            let key = taosync_store::entities::Key::Login(text.clone());
            let found = node.store.entities_find(&[key]).await?;
            found.into_values().flatten().map(|stored| stored.entity.uri).collect()
        }
        Role::Local => node.store.replica_users(&text).await?.into_iter().map(|(_, _, entity)| entity.uri).collect(),
    };
    uris.sort_unstable();
    uris.dedup();
    match (uris.pop(), uris.is_empty()) {
        (Some(uri), true) => Ok(uri),
        (Some(_), false) => {
            Err(Failure::new("TS-107", "several people have this login", "give the URI of the one you mean"))
        }
        (None, _) => {
            Err(Failure::new("TS-107", "nobody here has this login", "check it, or give the URI of the test taker"))
        }
    }
}
