//! Signing in and out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{Extensions, HeaderMap};
use maud::{Markup, html};
use tokio::time::Instant;

use super::layout;
use super::refusal::Refusal;
use super::visitor::{Form, SignedIn, way};
use super::{Pages, cookie};
use crate::listen::Peer;

/// `GET /login`.
pub(super) async fn form() -> Markup {
    page(None)
}

/// The form, with a sentence above it.
pub(super) fn page(words: Option<&str>) -> Markup {
    let content = html! {
        @if let Some(words) = words { p.notice.bad role="alert" { (words) } }
        form.sign-in method="post" action="/login" {
            label for="login" { "Login" }
            input #login name="login" type="text" autocomplete="username" autocapitalize="none" spellcheck="false"
                maxlength="128" required autofocus;
            label for="password" { "Password" }
            input #password name="password" type="password" autocomplete="current-password" maxlength="1024" required;
            button type="submit" { "Sign in" }
        }
        p.quiet { "Accounts are made on the server with " code { "taosync account add" } "." }
    };
    layout::bare("Sign in", &content)
}

/// `POST /login`: a new session, whatever the browser had before. Wrong tries are slowed down for whoever makes them.
pub(super) async fn sign_in(
    State(pages): State<Arc<Pages>>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let mut form = Form::read(&headers, body).await?;
    let password = form.take_secret("password");
    let login = form.get("login").trim().to_owned();
    let peer = extensions.get::<Peer>().map(|peer| peer.address.ip()).ok_or(Refusal::Foreign)?;
    let name = login.to_lowercase();
    pages.wrong.begin(peer, &name, Instant::now()).map_err(Refusal::SlowDown)?;
    let token = pages.accounts.sign_in(&login, &password).await?;
    pages.wrong.take_back(peer, &name);
    let way = way(&pages, &extensions);
    if let Some(former) = cookie::token(&headers, way) {
        pages.accounts.sign_out(&former).await?;
    }
    Ok(([(SET_COOKIE, cookie::given(&token, way))], Redirect::to("/overview")).into_response())
}

/// `POST /logout`: the session is over here, not only in the browser.
pub(super) async fn sign_out(
    State(pages): State<Arc<Pages>>,
    signed_in: SignedIn,
    extensions: Extensions,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    signed_in.form(&headers, body).await?;
    pages.accounts.sign_out(signed_in.token()).await?;
    Ok(([(SET_COOKIE, cookie::taken(way(&pages, &extensions)))], Redirect::to("/login")).into_response())
}
