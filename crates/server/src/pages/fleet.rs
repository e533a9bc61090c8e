//! Central's overview: every local server with what it last said.

use std::collections::BTreeMap;

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;
use taosync_model::OrgId;
use taosync_model::readiness::{Level, Readiness};
use taosync_store::StoreError;
use taosync_store::nodes::{Node, NodeOrg, NodeStatus};

use super::Pages;
use super::layout;
use super::overview::{self, Whole};
use super::visitor::SignedIn;

/// Seconds after which a local server should have synced again.
const OLD: i64 = 7 * 86_400;

/// The sentence and lines for those who see all, and the local servers the visitor sees.
pub(super) async fn overview(pages: &Pages, signed_in: &SignedIn, readiness: &Readiness) -> Result<Markup, StoreError> {
    let now = pages.store.clock().now();
    let last = pages.store.sync_last_success().await?;
    let last: BTreeMap<_, _> = last.into_iter().map(|last| ((last.node, last.org), last.at)).collect();
    let nodes = seen(pages.store.nodes_list().await?, signed_in);
    let mut rows = Vec::new();
    for status in &nodes {
        for org in &status.orgs {
            let success = last.get(&(status.node.id, org.org.clone())).copied();
            rows.push(row(signed_in, &status.node, org, success, now));
        }
        if status.orgs.is_empty() {
            rows.push(silent(signed_in, &status.node));
        }
    }
    let mut head =
        vec!["State", "Organisation", "Local server", "Last success", "Last sync", "Not handed in", "Removals held"];
    if signed_in.visitor.may_administer() {
        head.push("Access");
    }
    Ok(html! {
        @if signed_in.visitor.sees_all() { (overview::sentence(readiness)) }
        (held(signed_in, &nodes))
        @if rows.is_empty() {
            p { "No local server has met this central yet." }
        } @else {
            (layout::table("Local servers and their organisations", &head, &rows))
        }
        @if signed_in.visitor.sees_all() { (overview::checks(readiness, Whole::Yes)) }
    })
}

/// What a sync manager may know: servers of their organisations, and of each nothing about others.
fn seen(nodes: Vec<NodeStatus>, signed_in: &SignedIn) -> Vec<NodeStatus> {
    if signed_in.visitor.sees_all() {
        return nodes;
    }
    let of_visitor = |mut status: NodeStatus| {
        status.orgs.retain(|org| signed_in.visitor.sees(&org.org));
        (!status.orgs.is_empty()).then_some(status)
    };
    nodes.into_iter().filter_map(of_visitor).collect()
}

fn row(signed_in: &SignedIn, node: &Node, org: &NodeOrg, success: Option<Timestamp>, now: Timestamp) -> Vec<Markup> {
    let report = org.report.as_ref();
    let number = |name: &str| report.and_then(|report| report[name].as_u64());
    let outcome = report.and_then(|report| report["outcome"].as_str()).unwrap_or("no report yet");
    let (level, words) = state(node, org, success, now);
    let mut cells = vec![
        html! { (layout::mark(level)) @if !words.is_empty() { div.quiet { (words) } } },
        layout::text(org.org.as_str()),
        identity(node),
        success.map_or_else(|| layout::text("never"), |at| html! { (layout::time(at)) div.quiet { (ago(at, now)) } }),
        html! { (outcome) @if let Some(at) = org.reported_at { div.quiet { (layout::time(at)) } } },
        number("pending").map_or_else(layout::nothing, |waiting| layout::text(waiting.to_string())),
        number("held").map_or_else(layout::nothing, |held| layout::text(held.to_string())),
    ];
    cells.extend(access(signed_in, node));
    cells
}

/// A server that asked for a token and has said nothing yet.
fn silent(signed_in: &SignedIn, node: &Node) -> Vec<Markup> {
    let (level, words) =
        if node.revoked_at.is_some() { (Level::Critical, "shut out") } else { (Level::Warning, "has not synced yet") };
    let state = html! { (layout::mark(level)) div.quiet { (words) } };
    let none = layout::nothing;
    let mut cells = vec![state, none(), identity(node), layout::text("never"), none(), none(), none()];
    cells.extend(access(signed_in, node));
    cells
}

/// Short, as the first characters tell machines apart; whole for who hovers or copies.
fn identity(node: &Node) -> Markup {
    let id = node.id.to_string();
    html! {
        span.id.short title=(id) { (id.get(..13).unwrap_or(&id)) "…" }
        div.quiet { "version " (node.version) }
    }
}

/// The worst that is known, as `node list` says it too.
fn state(node: &Node, org: &NodeOrg, success: Option<Timestamp>, now: Timestamp) -> (Level, String) {
    let report = org.report.as_ref();
    let not_ready = report.map_or(0, not_ready);
    if node.revoked_at.is_some() {
        (Level::Critical, "shut out".into())
    } else if org.diverged.as_deref() == Some("copied") {
        (Level::Critical, "copied: two machines have this identity".into())
    } else if org.diverged.is_some() {
        (Level::Critical, "restored, or an old copy".into())
    } else if org.behind_at.is_some() {
        (Level::Critical, "has met a newer state of this central".into())
    } else if report.is_none_or(|report| report["equal"] != true) {
        (Level::Critical, "not proved equal to central".into())
    } else if not_ready > 0 {
        (Level::Critical, format!("tests that are not ready: {not_ready}"))
    } else if success.is_none_or(|at| now.duration_since(at).as_secs() > OLD) {
        (Level::Warning, "has not synced for long".into())
    } else {
        (Level::Ok, String::new())
    }
}

fn not_ready(report: &Value) -> u64 {
    let named = report["not_ready"].as_object().map_or(0, serde_json::Map::len) as u64;
    named + report["more_not_ready"].as_u64().unwrap_or(0)
}

/// How long something is behind now, in words.
fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.duration_since(at).as_secs() {
        ..120 => "just now".into(),
        seconds @ 120..7_200 => format!("{} minutes ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} hours ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// Shutting out takes two steps, so that no slip does it.
fn access(signed_in: &SignedIn, node: &Node) -> Option<Markup> {
    if !signed_in.visitor.may_administer() {
        return None;
    }
    let field = html! { (layout::form_token(signed_in)) input type="hidden" name="node" value=(node.id); };
    Some(html! {
        details {
            summary { "Change" }
            @if node.revoked_at.is_none() {
                form method="post" action="/acts/revoke-node" {
                    (field)
                    p { "It can neither fetch data nor hand in results until it is let in again." }
                    button.plain type="submit" { "Shut out" }
                }
            }
            form method="post" action="/acts/approve-node" {
                (field)
                p { "Lets it in, and ends the alarm that it was copied or restored." }
                button.plain type="submit" { "Let in" }
            }
        }
    })
}

/// Removals that local servers hold back because nobody approved them, by organisation.
fn held(signed_in: &SignedIn, nodes: &[NodeStatus]) -> Markup {
    let mut by_org: BTreeMap<&OrgId, u64> = BTreeMap::new();
    for org in nodes.iter().flat_map(|status| &status.orgs) {
        let held = org.report.as_ref().and_then(|report| report["held"].as_u64()).unwrap_or(0);
        *by_org.entry(&org.org).or_default() += held;
    }
    by_org.retain(|_, held| *held > 0);
    html! {
        @for (org, held) in by_org {
            section.notice.look aria-label=(format!("Held removals of {org}")) {
                p { (held) " removals of " strong { (org) } " are held back by its local servers, as nobody has approved them. "
                    "Bring them back by an import, or approve them." }
                @if signed_in.visitor.may_administer() {
                    form method="post" action="/acts/approve-removals" {
                        (layout::form_token(signed_in))
                        input type="hidden" name="org" value=(org);
                        button type="submit" { "Approve the removals of " (org) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_told_in_words() {
        let now: Timestamp = "2026-05-12T08:00:00Z".parse().unwrap();
        let ago = |text: &str| ago(text.parse().unwrap(), now);
        assert_eq!(ago("2026-05-12T08:30:00Z"), "just now", "a clock that is ahead");
        assert_eq!(ago("2026-05-12T07:58:01Z"), "just now");
        assert_eq!(ago("2026-05-12T07:58:00Z"), "2 minutes ago");
        assert_eq!(ago("2026-05-12T06:00:01Z"), "119 minutes ago");
        assert_eq!(ago("2026-05-11T08:00:00Z"), "24 hours ago");
        assert_eq!(ago("2026-05-02T08:00:00Z"), "10 days ago");
    }
}
