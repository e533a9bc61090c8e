//! `taosync scope`: organisations and what they see.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::json;
use taosync_model::{EntityType, OrgId};
use taosync_store::audit::AuditEntry;
use taosync_store::scopes::ScopeSummary;
use taosync_store::settings::Role;
use taosync_store::{Durability, Store};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks;
use crate::node::{ACTOR, Node};
use crate::output;

/// Organisations and what they see (central)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central scope register School-7
  taosync --dir /srv/central scope register          (every organisation id that a test center has)
  taosync --dir /srv/central scope rename School-7 Lycee-7
  taosync --dir /srv/central scope approve-removals School-7 --type test-taker")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Keep a feed for an organisation; without one, for all that test centers name
    Register {
        /// Organisation id; '*' for everything
        org: Option<OrgId>,
    },
    /// List organisations
    List,
    /// Show one organisation in figures
    Show {
        /// Organisation id
        org: OrgId,
    },
    /// Give an organisation another id
    Rename {
        /// The id it has
        old: OrgId,
        /// The id it gets
        new: OrgId,
    },
    /// Agree to everything that was removed from an organisation so far: local servers that hold it apply it
    ApproveRemovals {
        /// Organisation id
        org: OrgId,
        /// Of this type only; may be repeated
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<EntityType>,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::Register { org } => register(context, org).await?,
            Act::List => list(context).await?,
            Act::Show { org } => show(context, &org).await?,
            Act::Rename { old, new } => rename(context, &old, &new).await?,
            Act::ApproveRemovals { org, types } => approve_removals(context, &org, &types).await?,
        }
        Ok(Exit::Done)
    }
}

async fn register(context: &Context, org: Option<OrgId>) -> Result<(), Failure> {
    let node = Node::open_to_change(context).await?;
    let orgs = match org {
        Some(org) => vec![org],
        None => node.store.scope_candidates().await?,
    };
    let mut registered = Vec::new();
    let mut known = Vec::new();
    for org in orgs {
        let is_new = register_one(&node.store, &org).await?;
        if is_new { registered.push(org) } else { known.push(org) }
    }
    let document = json!({"registered": registered, "known": known});
    context.output.answer(&document, || {
        let names = |orgs: &[OrgId]| orgs.iter().map(OrgId::as_str).collect::<Vec<_>>().join(", ");
        match (registered.is_empty(), known.is_empty()) {
            (true, true) => "No test center names an organisation id; name one, or use '*' for everything.".to_owned(),
            (true, false) => format!("Registered already: {}", names(&known)),
            (false, true) => format!("Registered: {}", names(&registered)),
            (false, false) => format!("Registered: {}\nRegistered already: {}", names(&registered), names(&known)),
        }
    })
}

/// Registers an org; false when it was registered before.
pub async fn register_one(store: &Store, org: &OrgId) -> Result<bool, Failure> {
    let mut tx = store.write("scope_register", Durability::Flushed).await?;
    let is_new = store.scope_register(&mut tx, org).await?;
    if is_new {
        let entry = AuditEntry { actor: ACTOR, act: "scope.register", object: org.as_str(), detail: json!({}) };
        store.audit_add(&mut tx, &entry).await?;
    }
    tx.commit().await?;
    Ok(is_new)
}

async fn list(context: &Context) -> Result<(), Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    let scopes = node.store.scopes_list().await?;
    let registered = |org: &OrgId| scopes.iter().any(|scope| &scope.org == org);
    let mut candidates = node.store.scope_candidates().await?;
    candidates.retain(|org| !registered(org));
    let document = json!({"scopes": scopes, "not_registered": candidates});
    context.output.answer(&document, || {
        let mut text = output::table(
            &["org", "centers", "administrators", "proctors", "takers", "eligibilities", "deliveries"],
            scopes.iter().map(row),
        );
        if !candidates.is_empty() {
            let names = candidates.iter().map(OrgId::as_str).collect::<Vec<_>>().join(", ");
            output::add(&mut text, format_args!("Named by test centers, not registered: {names}\n"));
        }
        text
    })
}

fn row(scope: &ScopeSummary) -> Vec<String> {
    let count = |entity_type| scope.types.get(&entity_type).map_or(0, |summary| summary.count).to_string();
    std::iter::once(scope.org.to_string()).chain(EntityType::SYNCED.map(count)).collect()
}

async fn show(context: &Context, org: &OrgId) -> Result<(), Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    let Some(scope) = node.store.scope_show(org).await? else {
        return Err(unknown_org(&node.store, org).await?);
    };
    context.output.answer(&scope, || {
        let rows = scope.types.iter().map(|(entity_type, summary)| {
            let numbers = [summary.count, summary.links, summary.seq].map(|number| number.to_string());
            let digest = summary.digest.to_hex().chars().take(16).collect();
            std::iter::once(entity_type.to_string()).chain(numbers).chain([digest]).collect()
        });
        let table = output::table(&["type", "count", "links", "position", "digest"], rows);
        format!("org {}, history {}\n{table}", scope.org, scope.epoch)
    })
}

/// The error that names the orgs there are.
pub async fn unknown_org(store: &Store, org: &OrgId) -> Result<Failure, Failure> {
    let mut known: Vec<String> = store.scopes_list().await?.into_iter().map(|scope| scope.org.to_string()).collect();
    known.extend(store.scope_candidates().await?.iter().map(ToString::to_string));
    known.sort_unstable();
    known.dedup();
    let more = if known.len() > 20 { format!(" and {} more", known.len() - 20) } else { String::new() };
    known.truncate(20);
    let advice = if known.is_empty() {
        "no test center has an organisation id yet: import test centers first, or use --org '*' for everything"
            .to_owned()
    } else {
        format!("known here: {}{more}; or register it with 'taosync scope register'", known.join(", "))
    };
    Ok(Failure::new("TS-403", format!("no organisation '{org}' is known here"), advice))
}

async fn rename(context: &Context, old: &OrgId, new: &OrgId) -> Result<(), Failure> {
    let node = Node::open_to_change(context).await?;
    let _lock = locks::change_lock(node.place.dir()).await?;
    node.store.org_rename(old, new).await?;
    node.audit("scope.rename", old.as_str(), json!({"new": new})).await?;
    let document = json!({"old": old, "new": new});
    context
        .output
        .answer(&document, || format!("'{old}' is now called '{new}'; local servers learn it at their next sync."))
}

async fn approve_removals(context: &Context, org: &OrgId, types: &[EntityType]) -> Result<(), Failure> {
    let node = Node::open_to_change(context).await?;
    let waiting = approve(&node, org, types, ACTOR).await?;
    let document = json!({"org": org, "approved": waiting});
    context.output.answer(&document, || {
        if waiting.is_empty() {
            return format!("Nothing that is remembered was removed from '{org}' without approval.");
        }
        let list: Vec<_> = waiting.iter().map(|(entity_type, count)| format!("{count} {entity_type}")).collect();
        format!("Approved for '{org}': {}.\nLocal servers apply it at their next sync.", list.join(", "))
    })
}

/// Approves what was removed from an organisation, of some types or (none named) of all; says how much is remembered.
pub async fn approve(
    node: &Node,
    org: &OrgId,
    types: &[EntityType],
    actor: &str,
) -> Result<BTreeMap<EntityType, u64>, Failure> {
    let _lock = locks::change_lock(node.place.dir()).await?;
    let Some(mut waiting) = node.store.removals_unapproved(org).await? else {
        return Err(unknown_org(&node.store, org).await?);
    };
    waiting.retain(|entity_type, count| *count > 0 && (types.is_empty() || types.contains(entity_type)));
    // Also types of which nothing is remembered: local servers may hold what central has forgotten since.
    let types = if types.is_empty() { &EntityType::FEED[..] } else { types };
    let approved: Vec<_> = types.iter().map(|entity_type| (org.clone(), *entity_type)).collect();
    let mut tx = node.store.write("scope_approve_removals", Durability::Flushed).await?;
    node.store.removals_approve(&mut tx, &approved).await?;
    let detail = json!({"removals": waiting});
    let entry = AuditEntry { actor, act: "scope.approve-removals", object: org.as_str(), detail };
    node.store.audit_add(&mut tx, &entry).await?;
    tx.commit().await?;
    Ok(waiting)
}
