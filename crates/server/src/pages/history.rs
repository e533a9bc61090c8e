//! `GET /history`: past syncs, newest first.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};
use taosync_model::readiness::Level;
use taosync_store::StoreError;
use taosync_store::history::{SyncOutcome, SyncRun};

use super::Pages;
use super::layout::{self, Frame};
use super::refusal::Refusal;
use super::visitor::SignedIn;

const HERE: &str = "/history";
/// Syncs on the page.
const SHOWN: u32 = 100;

pub(super) async fn page(State(pages): State<Arc<Pages>>, signed_in: SignedIn) -> Result<Markup, Refusal> {
    let rows: Vec<_> = runs(&pages, &signed_in).await?.iter().map(row).collect();
    let head = ["Began", "Ended", "Organisation", "What", "Outcome", "By", "Why"];
    let content = html! {
        @if rows.is_empty() { p { "Nothing was synced yet." } }
        @else { (layout::table(&format!("The newest {SHOWN} syncs"), &head, &rows)) }
    };
    Ok(layout::page("History", Frame::Of(&signed_in, pages.role, HERE), &content))
}

/// Of all organisations, or of each that the visitor sees.
async fn runs(pages: &Pages, signed_in: &SignedIn) -> Result<Vec<SyncRun>, StoreError> {
    if signed_in.visitor.sees_all() {
        return pages.store.sync_list(None, SHOWN).await;
    }
    let mut runs = Vec::new();
    for org in &signed_in.visitor.orgs {
        runs.extend(pages.store.sync_list(Some(org), SHOWN).await?);
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.started_at));
    runs.truncate(SHOWN as usize);
    Ok(runs)
}

fn row(run: &SyncRun) -> Vec<Markup> {
    let level = match run.outcome {
        SyncOutcome::Success => Level::Ok,
        SyncOutcome::Failed => Level::Critical,
        _ => Level::Warning,
    };
    let why = run.reason.as_deref().unwrap_or_default();
    vec![
        layout::time(run.started_at),
        run.ended_at.map_or_else(layout::nothing, layout::time),
        layout::text(run.org.as_str()),
        layout::text(&run.what),
        outcome(run.outcome.as_str(), level),
        html! { span.id { (run.actor) } },
        html! { @if let Some(code) = &run.code { strong { (code) } " " } (why) },
    ]
}

fn outcome(word: &str, level: Level) -> Markup {
    match level {
        Level::Ok => html! { span.mark.ok { (word) } },
        Level::Warning => html! { span.mark.look { (word) } },
        Level::Critical => html! { span.mark.bad { (word) } },
    }
}
