//! `taosync keys authority`: central's private certificate authority gets a successor, which local servers hear of ahead.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use taosync_store::audit::AuditEntry;
use taosync_store::settings::Role;
use taosync_vault::tls::Tls;
use uuid::Uuid;

use crate::certificate;
use crate::commands::serve;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::{ACTOR, Node};
use crate::output;

/// The authority of central's certificate (central)
#[derive(Debug, Args)]
#[command(after_help = "First 'prepare', while the server runs: local servers hear of the next authority at
their next sync, over the connection they trust. When 'show' says that all have,
stop the server, 'switch', and start it again: the old authority is void then.

Examples:
  taosync --dir /srv/central keys authority show
  taosync --dir /srv/central keys authority prepare
  taosync --dir /srv/central keys authority switch")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the authority in use, its successor, and who has not heard of it yet
    Show,
    /// Make the next authority, and announce it
    Prepare,
    /// Serve with the next authority from now on; the one before is void
    Switch {
        /// Also when some local servers have not heard of it: they need a new code or command
        #[arg(long)]
        yes: bool,
    },
}

/// How far a change is.
struct State {
    fingerprint: String,
    next: Option<String>,
    announced_at: Option<Timestamp>,
    unheard: Vec<Uuid>,
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open_as(context, Role::Central).await?;
        if node.config.plain_http {
            return Err(Failure::wrong_text("this server speaks plain HTTP and has no certificate", ""));
        }
        match self.act {
            Act::Show => show(context, &node).await,
            Act::Prepare => prepare(context, &node).await,
            Act::Switch { yes } => switch(context, &node, yes).await,
        }
    }
}

async fn state(node: &Node) -> Result<State, Failure> {
    let keys = node.place.keys();
    let (fingerprint, next) = (Tls::open(&keys)?.fingerprint(), Tls::next_fingerprint(&keys)?);
    let announced = node.store.authorities_announced().await?;
    let announced = announced.filter(|said| next.as_ref().is_some_and(|next| said.fingerprints.contains(next)));
    let nodes = node.store.nodes_list().await?.into_iter().map(|status| status.node);
    let unheard = match &announced {
        // A token that was given since then came with the word of it.
        Some(said) => nodes.filter(|n| n.revoked_at.is_none() && n.last_seen < said.since).map(|n| n.id).collect(),
        None => Vec::new(),
    };
    Ok(State { fingerprint, next, announced_at: announced.map(|said| said.since), unheard })
}

async fn show(context: &Context, node: &Node) -> Result<(), Failure> {
    let state = state(node).await?;
    let window = Tls::window(&node.place.keys())?;
    let document = json!({
        "fingerprint": state.fingerprint, "certificate_until": window.until, "next": state.next,
        "announced_at": state.announced_at, "unheard": state.unheard,
    });
    context.output.answer(&document, || {
        let mut text =
            format!("authority    {}\ncertificate  valid until {}\n", state.fingerprint, output::time(window.until));
        if let (Some(next), Some(at)) = (&state.next, state.announced_at) {
            output::add(&mut text, format_args!("next         {next}, announced {}\n", output::time(at)));
            text.push_str(&waiting(&state.unheard));
        }
        text
    })
}

fn waiting(unheard: &[Uuid]) -> String {
    if unheard.is_empty() {
        return "             every local server has heard of it: stop the server, 'keys authority switch', start it\n"
            .to_owned();
    }
    unheard.iter().fold(String::new(), |mut text, node| {
        output::add(&mut text, format_args!("             not heard yet: local server {node}\n"));
        text
    })
}

async fn prepare(context: &Context, node: &Node) -> Result<(), Failure> {
    let next = Tls::prepare_next(&node.place.keys(), node.clock.now())?;
    let current = Tls::open(&node.place.keys())?.fingerprint();
    let entry =
        AuditEntry { actor: ACTOR, act: "authority.announce", object: &next, detail: json!({"beside": current}) };
    let said = node.store.authorities_announce(vec![current.clone(), next.clone()], &entry).await?;
    let document = json!({"fingerprint": current, "next": next, "announced_at": said.since});
    context.output.answer(&document, || {
        format!(
            "The next authority is announced: {next}\nLocal servers take both from their next sync on. 'keys authority show' says who \
             has heard of it.\n"
        )
    })
}

async fn switch(context: &Context, node: &Node, yes: bool) -> Result<(), Failure> {
    serve::refuse_running(&node.place)?;
    let state = state(node).await?;
    let Some(next) = state.next else {
        return Err(Failure::new("TS-416", "there is no next authority", "make it: 'taosync keys authority prepare'"));
    };
    if !yes && (!state.unheard.is_empty() || state.announced_at.is_none()) {
        let message = format!("{} local servers have not heard of the next authority", state.unheard.len());
        let advice =
            "let them sync first ('keys authority show' names them); with --yes they need a new code or command";
        return Err(Failure::new("TS-416", message, advice));
    }
    let entry =
        AuditEntry { actor: ACTOR, act: "authority.switch", object: &next, detail: json!({"was": state.fingerprint}) };
    // The word first: who hears it takes the next one, with which this server serves as soon as it starts again.
    node.store.authorities_announce(vec![next.clone()], &entry).await?;
    let tls = certificate::switch(node).await?;
    let document = json!({"fingerprint": tls.fingerprint(), "was": state.fingerprint, "unheard": state.unheard});
    context.output.answer(&document, || {
        format!(
            "This server has the authority {} from its next start on; the one before is void. Enrolment codes and commands that were \
             not used yet name the old one: make them again.\n",
            tls.fingerprint()
        )
    })
}
