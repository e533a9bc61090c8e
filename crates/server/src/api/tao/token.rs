//! `requestToken`: a token for key and secret (WIRE §5.1), as JSON, as a form, or in the address. Unknown fields are
//! passed over: TAO's client sends its own options along.

use std::collections::HashMap;

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use secrecy::SecretString;
use serde_json::Value;
use taosync_store::StoreError;
use taosync_store::tokens::NewToken;
use taosync_vault::random;
use taosync_vault::tokens::TokenHash;
use taosync_wire::tao::access::TokenAnswer;
use taosync_wire::tao::failure::{PARAMETER_MISSING, UNEXPECTED, WRONG_CREDENTIALS};
use taosync_wire::tao::query::Query;
use taosync_wire::tao::text_of;
use tokio::time::Instant;

use super::fault::{Fault, answer};
use crate::listen::Peer;
use crate::oauth::{self, Credentials, Refusal, Shown};
use crate::state::Central;

/// The fields that count.
struct Asked {
    key: Option<String>,
    secret: Option<SecretString>,
    grant: Option<String>,
}

pub(super) async fn token(central: &Central, peer: Peer, query: &Query, body: &Bytes) -> Result<Response, Fault> {
    let asked = read(query, body);
    let missing = || Fault::with_words(StatusCode::BAD_REQUEST, PARAMETER_MISSING);
    let credentials = Credentials { key: asked.key.ok_or_else(missing)?, secret: asked.secret.ok_or_else(missing)? };
    if asked.grant.is_some_and(|grant| grant != "client_credentials") {
        return Err(Fault::with_words(StatusCode::NOT_IMPLEMENTED, UNEXPECTED));
    }
    let wrong = || Fault::with_words(StatusCode::UNAUTHORIZED, WRONG_CREDENTIALS);
    let (consumer, shown) = match oauth::authenticate(central, peer.address.ip(), &credentials, Instant::now()).await {
        Ok(known) => known,
        Err(Refusal::SlowDown(seconds)) => return Err(Fault::slow_down(seconds)),
        Err(Refusal::Server(error)) => {
            tracing::error!(problem = %error.problem(), "a token cannot be given");
            return Err(Fault::unexpected());
        }
        Err(_) => return Err(wrong()),
    };
    tracing::Span::current().record("consumer", consumer.client_key.as_str());
    if !consumer.thumbprints.is_empty() {
        // A local server of ours has it, by its key: with the secret alone nobody gets in, here neither.
        tracing::warn!("a plain token was asked for with the secret of a consumer that is bound to a machine");
        central.store.poll_count("consumer.plain-token-refused");
        return Err(wrong());
    }
    if shown == Shown::Current && consumer.rotating_until.is_some() {
        // The box has its new secret: the one before stops.
        central.store.consumer_rotated(consumer.id).await?;
    }
    let Some(org) = consumer.orgs.first() else { return Err(wrong()) };
    let token = random::token();
    let now = central.store.clock().now();
    let expires_at = now.saturating_add(central.token_lifetime).unwrap_or(now);
    let new = NewToken { hash: TokenHash::of(&token), consumer: consumer.id, org, node: None, expires_at };
    match central.store.token_issue(&new).await {
        Ok(()) => {}
        // Revoked between the check of the secret and here.
        Err(StoreError::Refused(_)) => return Err(wrong()),
        Err(error) => return Err(error.into()),
    }
    Ok(answer(&TokenAnswer { access_token: token, expires: expires_at.as_second() }))
}

fn read(query: &Query, body: &Bytes) -> Asked {
    let text = std::str::from_utf8(body).unwrap_or_default();
    if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
        let field = |name: &str| fields.get(name).and_then(text_of);
        return asked(field);
    }
    let form = Query::parse(text);
    let fields: HashMap<&str, &str> = ["client_id", "client_secret", "grant_type"]
        .into_iter()
        .filter_map(|name| Some((name, form.get(name).or_else(|| query.get(name))?)))
        .collect();
    asked(|name| fields.get(name).map(|&text| text.to_owned()))
}

fn asked(field: impl Fn(&str) -> Option<String>) -> Asked {
    let full = |name: &str| field(name).filter(|text| !text.is_empty());
    Asked { key: full("client_id"), secret: full("client_secret").map(SecretString::from), grant: full("grant_type") }
}
