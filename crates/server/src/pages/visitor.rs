//! Who asks: whoever shows the cookie of a session that is not over.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use secrecy::SecretString;
use taosync_sync::accounts::Visitor;
use taosync_vault::tokens;

use super::cookie::{self, Way};
use super::refusal::Refusal;
use super::{Pages, origin};
use crate::body;
use crate::listen::Peer;

/// Most bytes of a form.
pub(crate) const MAX_FORM: usize = 8 * 1024;
/// The field of a form that only a page of the same session can fill in.
pub(super) const FORM_TOKEN: &str = "form_token";

/// Somebody who is signed in.
pub(super) struct SignedIn {
    pub visitor: Visitor,
    token: SecretString,
}

/// The fields of a form, each given once.
pub(super) struct Form(BTreeMap<String, String>);

impl SignedIn {
    /// What forms of this session carry: nobody can make it up without the cookie, and it does not give the cookie away.
    pub fn form_token(&self) -> String {
        tokens::derived("form", &self.token)
    }

    /// The token of the session.
    pub const fn token(&self) -> &SecretString {
        &self.token
    }

    /// Reads a form that changes something; refused unless a page of this session sent it.
    pub async fn form(&self, headers: &HeaderMap, body: Body) -> Result<Form, Refusal> {
        let form = Form::read(headers, body).await?;
        if !tokens::equal(form.get(FORM_TOKEN).as_bytes(), self.form_token().as_bytes()) {
            return Err(Refusal::Foreign);
        }
        Ok(form)
    }
}

impl Form {
    /// Reads a form that a page of this server sent.
    pub async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        if !origin::is_our_own(headers) {
            return Err(Refusal::Foreign);
        }
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refusal::Form);
        }
        let bytes = body::read(body, MAX_FORM).await?;
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&bytes) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::Form);
            }
        }
        Ok(Self(fields))
    }

    /// A field; empty when it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Takes a secret field out.
    pub fn take_secret(&mut self, name: &str) -> SecretString {
        SecretString::from(self.0.remove(name).unwrap_or_default())
    }
}

/// How the browser of a request reaches this server.
pub(super) fn way(pages: &Pages, parts: &http::Extensions) -> Way {
    let secure = parts.get::<Peer>().is_some_and(|peer| peer.secure);
    if secure || pages.desk.tls_in_front { Way::Tls } else { Way::Loopback }
}

impl FromRequestParts<Arc<Pages>> for SignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, pages: &Arc<Pages>) -> Result<Self, Refusal> {
        let refused = Refusal::SignIn(None);
        let token = cookie::token(&parts.headers, way(pages, &parts.extensions)).ok_or(refused)?;
        let visitor = pages.accounts.visitor(&token).await?.ok_or(Refusal::SignIn(Some("You are signed out.")))?;
        tracing::Span::current().record("consumer", visitor.name.as_str());
        Ok(Self { visitor, token })
    }
}
