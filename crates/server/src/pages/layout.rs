//! What surrounds every page, its style, and small pieces that several pages show.

use axum::response::IntoResponse;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use taosync_model::readiness::Level;
use taosync_store::settings::Role;

use super::visitor::{FORM_TOKEN, SignedIn};
use crate::VERSION;

/// Address of the style sheet.
pub(crate) const STYLE: &str = "/style.css";
/// Of the pages: their own style and forms, nothing else, and nobody may put them into a frame.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Who sees the page.
#[derive(Clone, Copy)]
pub(super) enum Frame<'a> {
    /// Nobody, as far as the page knows.
    Bare,
    /// Somebody, at this address.
    Of(&'a SignedIn, Role, &'static str),
}

/// `GET /style.css`.
pub(crate) async fn style() -> impl IntoResponse {
    let text = HeaderValue::from_static("text/css; charset=utf-8");
    let cached = HeaderValue::from_static("public, max-age=3600");
    ([(CONTENT_TYPE, text), (CACHE_CONTROL, cached)], include_str!("style.css"))
}

/// A page for whoever opens it.
pub(crate) fn bare(title: &str, content: &Markup) -> Markup {
    page(title, Frame::Bare, content)
}

/// A whole page.
pub(super) fn page(title: &str, frame: Frame<'_>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – taosync" }
                link rel="stylesheet" href=(STYLE);
            }
            body {
                a.skip href="#main" { "To the content" }
                header { div.wide { span.brand { "taosync" } (navigation(frame)) } }
                main #main.wide { h1 { (title) } (content) }
                footer { div.wide { "taosync " (VERSION) } }
            }
        }
    }
}

fn navigation(frame: Frame<'_>) -> Markup {
    let Frame::Of(signed_in, role, here) = frame else { return html! {} };
    let mut pages = vec![("/overview", "Overview"), ("/history", "History")];
    if signed_in.visitor.sees_all() {
        pages.push(("/audit", "Audit log"));
    }
    html! {
        span.role { (role) }
        nav aria-label="Pages" {
            ul {
                @for (address, name) in pages {
                    li { a href=(address) aria-current=[(address == here).then_some("page")] { (name) } }
                }
            }
        }
        form.sign-out method="post" action="/logout" {
            (form_token(signed_in))
            span { (signed_in.visitor.login) ", " (signed_in.visitor.role) }
            button.plain type="submit" { "Sign out" }
        }
    }
}

/// The hidden field that shows that a form is of this session.
pub(super) fn form_token(signed_in: &SignedIn) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN) value=(signed_in.form_token()); }
}

/// A moment, for people and for programs.
pub(super) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (at.strftime("%Y-%m-%d %H:%M UTC")) } }
}

/// How serious a line is: a word, and a colour beside it.
pub(super) fn mark(level: Level) -> Markup {
    match level {
        Level::Ok => html! { span.mark.ok { "ok" } },
        Level::Warning => html! { span.mark.look { "look" } },
        Level::Critical => html! { span.mark.bad { "not ready" } },
    }
}

/// A table that a screen reader can announce and that scrolls by itself where it is too wide.
pub(super) fn table(caption: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
            }
        }
    }
}

/// A text as a cell.
pub(super) fn text(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

/// An empty cell.
pub(super) const fn nothing() -> Markup {
    PreEscaped(String::new())
}
