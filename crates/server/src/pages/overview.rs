//! `GET /overview`: is this server ready? At central: which local servers are?

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::REFRESH;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use taosync_model::readiness::Readiness;
use taosync_store::StoreError;
use taosync_store::history::SyncOutcome;
use taosync_store::settings::Role;

use super::acts::SAID;
use super::layout::{self, Frame};
use super::refusal::Refusal;
use super::visitor::SignedIn;
use super::{Pages, fleet};

const HERE: &str = "/overview";
/// Past syncs that are searched for one that runs.
const LOOK_BACK: u32 = 10;
/// While a sync runs, the page is fetched again after so many seconds.
const WHILE_RUNNING: HeaderValue = HeaderValue::from_static("5");

#[derive(Deserialize)]
pub(super) struct Asked {
    /// The act that was just done.
    said: Option<String>,
}

pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let said = SAID.iter().find(|(word, _)| asked.said.as_deref() == Some(*word)).map(|(_, sentence)| *sentence);
    let readiness = (pages.desk.look)().await?;
    let running = match pages.role {
        Role::Central => None,
        Role::Local => running_since(&pages, &signed_in).await?,
    };
    let content = html! {
        @if let Some(sentence) = said { p.notice.good role="status" { (sentence) } }
        @if pages.role == Role::Central {
            (fleet::overview(&pages, &signed_in, &readiness).await?)
        } @else {
            (local(&signed_in, &readiness, running, sees_everything(&pages, &signed_in).await?))
        }
    };
    let page = layout::page("Overview", Frame::Of(&signed_in, pages.role, HERE), &content);
    Ok(if running.is_some() { ([(REFRESH, WHILE_RUNNING)], page).into_response() } else { page.into_response() })
}

/// The sentence, the button, and the lines.
fn local(signed_in: &SignedIn, readiness: &Readiness, running: Option<Timestamp>, whole: Whole) -> Markup {
    html! {
        (sentence(readiness))
        @if let Some(since) = running {
            p.notice.look role="status" { "A sync has been running since " (layout::time(since)) ". This page follows it." }
        } @else if signed_in.visitor.may_sync() {
            form.acts method="post" action="/acts/sync" {
                (layout::form_token(signed_in))
                button.large type="submit" { "Synchronize" }
                span.quiet { "Hands in results, fetches data and tests, and compares both sides." }
            }
        }
        (checks(readiness, whole))
    }
}

/// Ready or not, in a sentence.
pub(super) fn sentence(readiness: &Readiness) -> Markup {
    let since = layout::time(readiness.since);
    if readiness.ready {
        html! { p.answer.ok { "Ready since " (since) "." } }
    } else {
        html! { p.answer.bad { "Not ready since " (since) "." } }
    }
}

/// How much of the lines somebody may read: they may name other organisations and their tests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Yes,
    NamesOnly,
}

/// The lines.
pub(super) fn checks(readiness: &Readiness, whole: Whole) -> Markup {
    html! {
        h2 { "What was checked" }
        ul.checks {
            @for check in &readiness.checks {
                li {
                    span { (layout::mark(check.level)) }
                    span.name { (check.name) }
                    @if whole == Whole::Yes { span { (check.text) } }
                }
            }
        }
    }
}

/// Whether all organisations that this server serves are the visitor's.
async fn sees_everything(pages: &Pages, signed_in: &SignedIn) -> Result<Whole, StoreError> {
    let replicas = pages.store.replicas_list().await?;
    let all = signed_in.visitor.sees_all() || replicas.iter().all(|replica| signed_in.visitor.sees(&replica.org));
    Ok(if all { Whole::Yes } else { Whole::NamesOnly })
}

async fn running_since(pages: &Pages, signed_in: &SignedIn) -> Result<Option<Timestamp>, StoreError> {
    let runs = pages.store.sync_list(None, LOOK_BACK).await?;
    let mut running = runs.iter().filter(|run| run.outcome == SyncOutcome::Running && signed_in.visitor.sees(&run.org));
    Ok(running.next().map(|run| run.started_at))
}
