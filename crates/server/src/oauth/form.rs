//! The form of a token request: each parameter once (RFC 6749 §3.2).

use std::collections::BTreeMap;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use taosync_wire::v1::token::ORG_PARAMETER;

use super::refusal::Refusal;
use crate::body;

/// Most bytes of the form.
pub(super) const MAX_FORM: usize = 8 * 1024;

/// What a token request asks.
pub(super) struct Form {
    pub grant_type: String,
    pub client_id: Option<String>,
    pub client_secret: Option<SecretString>,
    pub organisation: Option<String>,
}

/// Reads the form of a request.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Form, Refusal> {
    let refused = |why| Refusal::Request(StatusCode::BAD_REQUEST, why);
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(refused("the body must be application/x-www-form-urlencoded"));
    }
    let bytes = body::read(body, MAX_FORM).await.map_err(|error| {
        let status = StatusCode::from_u16(error.problem().status).unwrap_or(StatusCode::BAD_REQUEST);
        Refusal::Request(status, "the form is larger than 8192 bytes, was cut, or came too slowly")
    })?;
    parse(&bytes).map_err(refused)
}

fn parse(bytes: &[u8]) -> Result<Form, &'static str> {
    let mut parameters = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(bytes) {
        if parameters.insert(name, value).is_some() {
            return Err("a parameter is given twice");
        }
    }
    // An empty parameter counts as left out (RFC 6749 §3.2).
    let mut take = |name: &str| parameters.remove(name).map(String::from).filter(|value| !value.is_empty());
    Ok(Form {
        grant_type: take("grant_type").ok_or("the parameter grant_type is missing")?,
        client_id: take("client_id"),
        client_secret: take("client_secret").map(SecretString::from),
        organisation: take(ORG_PARAMETER),
    })
}
