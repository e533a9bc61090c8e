//! `POST /api/v1/oauth/token` (RFC 6749 §4.4).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};
use secrecy::SecretString;
use taosync_model::OrgId;
use taosync_store::StoreError;
use taosync_store::consumers::Consumer;
use taosync_store::tokens::NewToken;
use taosync_vault::announcement::announce_authorities;
use taosync_vault::tokens::TokenHash;
use taosync_vault::{random, results_keys};
use taosync_wire::v1::PATH_TOKEN;
use taosync_wire::v1::token::{Authorities, ResultsKeys, TOKEN_TYPE, TokenAnswer};
use tokio::time::Instant;
use uuid::Uuid;

use super::client::Shown;
use super::proof::{self, Signed};
use super::refusal::Refusal;
use super::{client, form, node};
use crate::VERSION;
use crate::listen::Peer;
use crate::state::Central;

/// Answers a token request.
pub(crate) async fn token(
    State(central): State<Arc<Central>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = match grant(&central, peer, &headers, body).await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], answer).into_response()
}

async fn grant(central: &Central, peer: Peer, headers: &HeaderMap, body: Body) -> Result<TokenAnswer, Refusal> {
    let mut form = form::read(headers, body).await?;
    if form.grant_type != "client_credentials" {
        return Err(Refusal::GrantType);
    }
    let credentials = client::credentials(headers, &mut form)?;
    let (consumer, shown) = client::authenticate(central, peer.address.ip(), &credentials, Instant::now()).await?;
    tracing::Span::current().record("consumer", consumer.client_key.as_str());
    let org = choose_org(&consumer, form.organisation.as_deref())?;
    let path = format!("/{PATH_TOKEN}");
    let proof = proof::prove(central, &Signed { peer, headers, method: "POST", path: &path, token: None })?;
    proof::take(central, &proof).await?;
    let node = node::note(central, consumer.id, proof).await?;
    let answer = issue(central, &consumer, org, node).await?;
    Ok(TokenAnswer { new_secret: rotate(central, &consumer, shown).await?, ..answer })
}

/// While the secret of a consumer is changed: tells its machine the new one, and ends the old one once the new one is used.
async fn rotate(central: &Central, consumer: &Consumer, shown: Shown) -> Result<Option<SecretString>, Refusal> {
    match (shown, consumer.rotating_until) {
        (Shown::Current, None) => Ok(None),
        (Shown::Current, Some(_)) => {
            central.store.consumer_rotated(consumer.id).await?;
            Ok(None)
        }
        (Shown::Former, _) => Ok(central.store.consumer_secret(consumer).await?),
    }
}

/// The org that is asked for, or the first one the consumer may act for. The answer names them all.
fn choose_org<'a>(consumer: &'a Consumer, asked: Option<&str>) -> Result<&'a OrgId, Refusal> {
    let chosen = match asked {
        Some(asked) => consumer.orgs.iter().find(|org| org.as_str() == asked),
        None => consumer.orgs.first(),
    };
    chosen.ok_or_else(|| Refusal::Scope("this consumer may not act for this organisation".into()))
}

async fn issue(central: &Central, consumer: &Consumer, org: &OrgId, node: Uuid) -> Result<TokenAnswer, Refusal> {
    let token = random::token();
    let now = central.store.clock().now();
    let new = NewToken {
        hash: TokenHash::of(&token),
        consumer: consumer.id,
        org,
        node: Some(node),
        expires_at: now.saturating_add(central.token_lifetime).unwrap_or(now),
    };
    match central.store.token_issue(&new).await {
        Ok(()) => {}
        // Revoked between the check of the secret and here.
        Err(StoreError::Refused(_)) => return Err(Refusal::Client),
        Err(error) => return Err(error.into()),
    }
    let recipients = central.store.results_recipients().await?;
    let (key, id) = (central.store.keyring().node_key(), central.identity.node);
    let signature = results_keys::announce(key, id, &recipients);
    let authorities = central.store.authorities_announced().await?.map(|announced| {
        let fingerprints = announced.fingerprints;
        Authorities { signature: announce_authorities(key, id, &fingerprints), fingerprints }
    });
    Ok(TokenAnswer {
        access_token: token,
        token_type: TOKEN_TYPE.to_owned(),
        expires_in: central.token_lifetime.as_secs().unsigned_abs(),
        organisation_id: org.to_string(),
        organisations: consumer.orgs.iter().map(ToString::to_string).collect(),
        central: id,
        central_key: hex::encode(key.public()),
        version: VERSION.to_owned(),
        results: Some(ResultsKeys { recipients, signature }),
        authorities,
        new_secret: None,
    })
}
