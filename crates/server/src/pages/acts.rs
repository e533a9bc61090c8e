//! What is done at the pages. Each needs a session, a role, and a form that a page of this session made.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Redirect;
use http::HeaderMap;
use taosync_model::OrgId;
use taosync_sync::accounts::Visitor;
use uuid::Uuid;

use super::Pages;
use super::desk::Act;
use super::refusal::Refusal;
use super::visitor::{Form, SignedIn};

/// What the overview says after an act, by the word in its address.
pub(super) const SAID: [(&str, &str); 4] = [
    ("sync", "The sync has begun."),
    ("approve-removals", "Approved. Local servers apply the removals at their next sync."),
    ("revoke-node", "The local server is shut out; its tokens are void."),
    ("approve-node", "The local server is let in."),
];

/// `POST /acts/sync` (local).
pub(super) async fn sync(
    State(pages): State<Arc<Pages>>,
    signed_in: SignedIn,
    headers: HeaderMap,
    body: Body,
) -> Result<Redirect, Refusal> {
    act(&pages, &signed_in, &headers, body, Visitor::may_sync, |_| Ok(Act::Sync)).await
}

/// `POST /acts/approve-removals` (central).
pub(super) async fn approve_removals(
    State(pages): State<Arc<Pages>>,
    signed_in: SignedIn,
    headers: HeaderMap,
    body: Body,
) -> Result<Redirect, Refusal> {
    let read = |form: &Form| OrgId::new(form.get("org")).map(Act::ApproveRemovals).map_err(|_| Refusal::Form);
    act(&pages, &signed_in, &headers, body, Visitor::may_administer, read).await
}

/// `POST /acts/revoke-node` (central).
pub(super) async fn revoke_node(
    State(pages): State<Arc<Pages>>,
    signed_in: SignedIn,
    headers: HeaderMap,
    body: Body,
) -> Result<Redirect, Refusal> {
    act(&pages, &signed_in, &headers, body, Visitor::may_administer, |form| node(form).map(Act::RevokeNode)).await
}

/// `POST /acts/approve-node` (central).
pub(super) async fn approve_node(
    State(pages): State<Arc<Pages>>,
    signed_in: SignedIn,
    headers: HeaderMap,
    body: Body,
) -> Result<Redirect, Refusal> {
    act(&pages, &signed_in, &headers, body, Visitor::may_administer, |form| node(form).map(Act::ApproveNode)).await
}

fn node(form: &Form) -> Result<Uuid, Refusal> {
    form.get("node").parse().map_err(|_| Refusal::Form)
}

/// Role first, then the form, then the act; the browser ends at the overview, where reloading does nothing again.
async fn act(
    pages: &Pages,
    signed_in: &SignedIn,
    headers: &HeaderMap,
    body: Body,
    may: fn(&Visitor) -> bool,
    read: impl FnOnce(&Form) -> Result<Act, Refusal>,
) -> Result<Redirect, Refusal> {
    if !may(&signed_in.visitor) {
        return Err(Refusal::Role);
    }
    let act = read(&signed_in.form(headers, body).await?)?;
    let word = word_of(&act);
    (pages.desk.act)(act, signed_in.visitor.clone()).await?;
    Ok(Redirect::to(&format!("/overview?said={word}")))
}

const fn word_of(act: &Act) -> &'static str {
    match act {
        Act::Sync => SAID[0].0,
        Act::ApproveRemovals(_) => SAID[1].0,
        Act::RevokeNode(_) => SAID[2].0,
        Act::ApproveNode(_) => SAID[3].0,
    }
}
