//! `HandShake`: a sync manager signs in on a fresh box, and the box gets a consumer (WIRE §5.6): the same as all boxes of
//! that manager. Failures come with status 200 and a code that says what they are, as the recordings show.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use taosync_store::audit::AuditEntry;
use taosync_sync::tao::login;
use taosync_wire::tao::PATH_TOKEN;
use taosync_wire::tao::failure::{LOGIN_MISSING, UNAUTHORIZED};
use url::Url;

use super::Asked;
use super::caller::signed_in;
use super::fault::{Fault, answer};

pub(super) async fn handshake(asked: &Asked) -> Result<Response, Fault> {
    if asked.method == Method::OPTIONS {
        return Ok(StatusCode::OK.into_response());
    }
    asked.needs(&Method::POST)?;
    let fields: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(login), Some(password)) = (text("login"), text("password")) else {
        return Err(Fault::answered(StatusCode::OK, "412", LOGIN_MISSING));
    };
    // TAO has an answer of its own for the right password of somebody who is no sync manager. No box tells it from this one,
    // and it would confirm a password.
    let manager = signed_in(&asked.central, asked.peer, &login, &SecretString::from(password)).await?;
    let manager = manager.ok_or_else(|| Fault::answered(StatusCode::OK, "401", UNAUTHORIZED))?;
    let token_url = token_url(asked).ok_or_else(Fault::unexpected)?;
    let store = &asked.central.store;
    let given = login::handshake(store, &manager, token_url).await?;
    let object = given.answer.oauth_info.key.as_str();
    let act = if given.is_new { "consumer.create" } else { "consumer.handshake" };
    let detail = json!({ "orgs": manager.orgs, "how": "handshake" });
    store.audit_write(&AuditEntry { actor: "TAO client", act, object, detail }).await?;
    Ok(answer(&given.answer))
}

/// Where the box asks for tokens: the configured address, or the one it has used.
fn token_url(asked: &Asked) -> Option<String> {
    let mut root = match asked.central.public_urls.first() {
        Some(url) => url.clone(),
        None => {
            let scheme = if asked.peer.secure { "https" } else { "http" };
            let host = asked.headers.get(http::header::HOST)?.to_str().ok()?;
            Url::parse(&format!("{scheme}://{host}/")).ok()?
        }
    };
    let base = asked.central.tao_base_path.trim_matches('/');
    let path = format!("{}/{base}/{PATH_TOKEN}", root.path().trim_end_matches('/')).replace("//", "/");
    root.set_path(&path);
    Some(root.to_string())
}
