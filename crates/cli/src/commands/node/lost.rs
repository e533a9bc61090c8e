//! `taosync node lost`: a machine was lost or stolen. One command shuts it out, and says what it held.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use taosync_model::{EntityType, OrgId};
use taosync_store::audit::AuditFilter;
use taosync_store::nodes::{HeldKey, HeldLock, LostConsumer, LostNode, NodeOrg, OtherMachine};
use taosync_store::settings::Role;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::{ACTOR, Node};
use crate::output;

/// What was done, what the machine held, and what to do next.
#[derive(Debug, Serialize)]
struct Lost {
    node: Uuid,
    last_seen: Timestamp,
    shut_out: bool,
    tokens_ended: u64,
    consumers: Vec<Consumer>,
    orgs: Vec<Held>,
    tests: Vec<Test>,
    /// Whether its disk was encrypted when it last said so.
    disk_encrypted: Option<bool>,
    readable: Readable,
    next: Vec<String>,
}

/// A consumer it used.
#[derive(Debug, Serialize)]
struct Consumer {
    key: String,
    orgs: Vec<OrgId>,
    revoked: bool,
    /// Machines that go on with it.
    others: Vec<Other>,
}

/// A machine that shares a consumer with the lost one.
#[derive(Debug, Serialize)]
struct Other {
    node: Uuid,
    first_seen: Timestamp,
}

/// What it held of an organisation.
#[derive(Debug, Serialize)]
struct Held {
    org: OrgId,
    /// People and what else there is of each type, as central has them now.
    counts: BTreeMap<EntityType, i64>,
    /// Results that it had not handed in when it last said so.
    unsent_results: Option<u64>,
    reported_at: Option<Timestamp>,
}

/// A test whose key it has.
#[derive(Debug, Serialize)]
struct Test {
    delivery: String,
    version: u32,
    /// `open`, or `locked` under its unlock code.
    state: &'static str,
    release_at: Option<Timestamp>,
    /// When codes of this test were last shown here.
    codes_shown_at: Option<Timestamp>,
}

/// What somebody who has the machine can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Readable {
    /// Everything it held: its disk is not encrypted.
    Everything,
    /// Perhaps everything: it is not known whether its disk is encrypted.
    Unknown,
    /// Nothing without the passphrase of the disk, if it was switched off.
    NothingIfOff,
}

/// Shuts a machine out that was lost, and says what it held.
pub async fn lost(context: &Context, id: Uuid) -> Result<Exit, Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    let status = node.store.nodes_list().await?.into_iter().find(|status| status.node.id == id);
    let lost = node.store.node_lose(id, ACTOR).await?;
    let reported = status.map(|status| status.orgs).unwrap_or_default();
    let answer = told(&node, lost, &reported).await?;
    context.output.answer(&answer, || to_text(&answer))?;
    Ok(Exit::Done)
}

async fn told(node: &Node, lost: LostNode, reported: &[NodeOrg]) -> Result<Lost, Failure> {
    let LostNode { node: machine, tokens, consumers, keys } = lost;
    let disk_encrypted = last_word(reported, "encrypted").and_then(Value::as_bool);
    let consumers: Vec<Consumer> = consumers
        .into_iter()
        .map(|LostConsumer { client_key, orgs, is_revoked, others }| {
            let other = |OtherMachine { node, first_seen }| Other { node, first_seen };
            let others = others.into_iter().map(other).collect();
            Consumer { key: client_key, orgs, revoked: is_revoked, others }
        })
        .collect();
    let orgs = held(node, &consumers, reported).await?;
    let mut tests = Vec::with_capacity(keys.len());
    for key in keys {
        tests.push(test(node, key).await?);
    }
    let readable = match disk_encrypted {
        Some(true) => Readable::NothingIfOff,
        Some(false) => Readable::Everything,
        None => Readable::Unknown,
    };
    let mut lost = Lost {
        node: machine.id,
        last_seen: machine.last_seen,
        shut_out: true,
        tokens_ended: tokens,
        consumers,
        orgs,
        tests,
        disk_encrypted,
        readable,
        next: Vec::new(),
    };
    lost.next = next(&lost);
    Ok(lost)
}

/// What the newest report says under a name.
fn last_word<'a>(reported: &'a [NodeOrg], name: &str) -> Option<&'a Value> {
    let newest = reported.iter().filter(|org| org.report.is_some()).max_by_key(|org| org.reported_at)?;
    newest.report.as_ref()?.get(name)
}

async fn held(node: &Node, consumers: &[Consumer], reported: &[NodeOrg]) -> Result<Vec<Held>, Failure> {
    let mut orgs: Vec<OrgId> = reported.iter().map(|org| org.org.clone()).collect();
    orgs.extend(consumers.iter().flat_map(|consumer| consumer.orgs.iter().cloned()));
    orgs.sort();
    orgs.dedup();
    let mut held = Vec::with_capacity(orgs.len());
    for org in orgs {
        let scope = node.store.scope_show(&org).await?;
        let types = scope.map(|scope| scope.types).unwrap_or_default();
        let known = reported.iter().find(|known| known.org == org);
        held.push(Held {
            counts: types.into_iter().filter(|(_, t)| t.count > 0).map(|(kind, t)| (kind, t.count)).collect(),
            unsent_results: known.and_then(|known| known.report.as_ref()?.get("pending")?.as_u64()),
            reported_at: known.and_then(|known| known.reported_at),
            org,
        });
    }
    Ok(held)
}

async fn test(node: &Node, key: HeldKey) -> Result<Test, Failure> {
    let HeldKey { delivery, version, lock } = key;
    let (state, release_at) = match lock {
        HeldLock::Open => ("open", None),
        HeldLock::Code(at) => ("locked", Some(at)),
    };
    let act = Some("delivery.codes_shown".to_owned());
    let shown = AuditFilter { act, object: Some(delivery.clone()), ..AuditFilter::default() };
    let shown = if release_at.is_some() { node.store.audit_find(&shown, 1).await? } else { Vec::new() };
    Ok(Test { delivery, version, state, release_at, codes_shown_at: shown.first().map(|entry| entry.at) })
}

fn next(lost: &Lost) -> Vec<String> {
    let mut next = Vec::new();
    if lost.readable != Readable::NothingIfOff {
        next.push(
            "take the people of these organisations for known, their password hashes for guessed: give them other passwords \
             ('import test-takers'), and tell whoever is responsible for their data"
                .to_owned(),
        );
        if !lost.tests.is_empty() {
            next.push("replace the tests it has the keys of before they are sat: 'delivery publish'".to_owned());
        }
    }
    if lost.tests.iter().any(|test| test.codes_shown_at.is_some()) {
        next.push("unlock codes of locked tests were shown before: whoever heard its code can open them".to_owned());
    }
    if lost.orgs.iter().any(|org| org.unsent_results.is_some_and(|number| number > 0)) {
        next.push(
            "results were not handed in: if the machine is found, 'node approve' lets it hand them in".to_owned(),
        );
    }
    for consumer in lost.consumers.iter().filter(|consumer| !consumer.revoked) {
        next.push(format!("other machines use {} too and go on; 'oauth rotate {0}' changes its secret", consumer.key));
        for Other { node, first_seen } in &consumer.others {
            // Who has the machine may have given it another identity before it was missed.
            let since = output::time(*first_seen);
            next.push(format!("{node} goes on, since {since}: unless you know that machine, 'node lost {node}' too"));
        }
    }
    next.push(
        "for the machine in its place: 'oauth generate --org ORG --out DIR' here, 'init local' and 'oauth import --code' there"
            .to_owned(),
    );
    next
}

fn to_text(lost: &Lost) -> String {
    let mut text = format!(
        "Local server {} is shut out: {} tokens ended. Last seen {}.\n\nIt held:\n",
        lost.node,
        lost.tokens_ended,
        output::time(lost.last_seen)
    );
    for held in &lost.orgs {
        let counts: Vec<String> = held.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let unsent = match (held.unsent_results, held.reported_at) {
            (Some(number), Some(at)) => format!("{number} results not handed in on {}", output::time(at)),
            _ => "it never said what it had not handed in".to_owned(),
        };
        output::add(&mut text, format_args!("  {}: {}; {unsent}\n", held.org, counts.join(", ")));
    }
    for test in &lost.tests {
        let state = match test.release_at {
            None => "it has the key".to_owned(),
            Some(at) => format!("locked until {}; opens before only with its unlock code", output::time(at)),
        };
        output::add(&mut text, format_args!("  test {} version {}: {state}\n", test.delivery, test.version));
    }
    for consumer in &lost.consumers {
        let fate = if consumer.revoked { "revoked" } else { "goes on for its other machines" };
        output::add(&mut text, format_args!("  key {}: {fate}\n", consumer.key));
    }
    text.push_str(match lost.readable {
        Readable::Everything => "\nIts disk is not encrypted: whoever has it can read all of this.\n",
        Readable::Unknown => "\nWhether its disk is encrypted is not known: count on all of this being read.\n",
        Readable::NothingIfOff => "\nIts disk was encrypted: nothing can be read, unless it was taken while it ran.\n",
    });
    text.extend(lost.next.iter().map(|step| format!("  → {step}\n")));
    text
}
