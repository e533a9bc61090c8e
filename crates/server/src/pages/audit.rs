//! `GET /audit`: who did what, newest first, for those whose task it is to look.

use std::sync::Arc;

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use taosync_store::audit::{AuditFilter, AuditRecord};

use super::Pages;
use super::layout::{self, Frame};
use super::refusal::Refusal;
use super::visitor::SignedIn;

const HERE: &str = "/audit";
/// Entries on the page.
const SHOWN: u32 = 100;

#[derive(Deserialize)]
pub(super) struct Asked {
    act: Option<String>,
    actor: Option<String>,
}

pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Markup, Refusal> {
    if !signed_in.visitor.sees_all() {
        return Err(Refusal::Role);
    }
    let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = AuditFilter { act: given(asked.act), actor: given(asked.actor), object: None };
    let entries = pages.store.audit_find(&filter, SHOWN).await?;
    let head = pages.store.audit_head().await?;
    let rows: Vec<_> = entries.iter().map(row).collect();
    let content = html! {
        p { "The log ends at " span.id { (head) } ". Note this head elsewhere: "
            code { "taosync audit verify" } " shows later whether anything before it was changed or cut." }
        form.filter method="get" action="/audit" {
            label for="act" { "Act" }
            input #act name="act" type="text" value=[filter.act.as_deref()] placeholder="consumer.revoke" maxlength="128";
            label for="actor" { "Actor" }
            input #actor name="actor" type="text" value=[filter.actor.as_deref()] maxlength="128";
            button.plain type="submit" { "Show" }
        }
        @if rows.is_empty() { p { "No entry matches." } }
        @else { (layout::table(&format!("The newest {SHOWN} entries"), &["No.", "When", "Actor", "Act", "Object", "Detail"], &rows)) }
    };
    Ok(layout::page("Audit log", Frame::Of(&signed_in, pages.role, HERE), &content))
}

fn row(entry: &AuditRecord) -> Vec<Markup> {
    vec![
        layout::text(entry.no.to_string()),
        layout::time(entry.at),
        html! { span.id { (entry.actor) } },
        layout::text(&entry.act),
        html! { span.id { (entry.object) } },
        html! { @if entry.detail != "{}" { code { (entry.detail) } } },
    ]
}
