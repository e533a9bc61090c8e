//! Who asks: a token of the token endpoint here, or login and password of a sync manager, as with TAO.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::SecretString;
use taosync_sync::tao::login::Manager;
use taosync_sync::tao::{Compat, Reach};
use taosync_vault::tokens::TokenHash;

use super::fault::Fault;
use crate::listen::Peer;
use crate::oauth::{self, NotLooked};
use crate::state::Central;

/// Bytes of an `Authorization` header at most.
const MAX_HEADER: usize = 1024;

/// Somebody who may ask.
pub(super) struct Caller {
    /// What may be seen.
    pub reach: Reach,
    /// The consumer's key, or the manager's login; for records.
    pub name: String,
}

/// Finds out who asks.
pub(super) async fn caller(
    central: &Central,
    compat: &Compat,
    peer: Peer,
    headers: &HeaderMap,
) -> Result<Caller, Fault> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(Fault::unauthorized()) };
    let line = line.to_str().ok().filter(|line| line.len() <= MAX_HEADER).ok_or_else(Fault::unauthorized)?;
    let (scheme, rest) = line.split_once(' ').ok_or_else(Fault::unauthorized)?;
    // The word of the scheme counts, in any case (RFC 9110 §11.1); TAO passes over it.
    let caller = if scheme.eq_ignore_ascii_case("bearer") {
        by_token(central, compat, rest.trim()).await?
    } else if scheme.eq_ignore_ascii_case("basic") {
        by_password(central, compat, peer, rest.trim()).await?
    } else {
        return Err(Fault::unauthorized());
    };
    tracing::Span::current().record("consumer", caller.name.as_str());
    central.store.poll_count("tao.request");
    Ok(caller)
}

async fn by_token(central: &Central, compat: &Compat, token: &str) -> Result<Caller, Fault> {
    if token.is_empty() {
        return Err(Fault::unauthorized());
    }
    let hash = TokenHash::of(&SecretString::from(token));
    let facts = central.store.token_check(&hash, central.store.clock().now()).await?;
    // Tokens of our own protocol are bound to a machine, and good for that protocol only.
    let facts = facts.filter(|facts| facts.node.is_none()).ok_or_else(Fault::unauthorized)?;
    Ok(Caller { reach: Reach::new(facts.orgs, compat), name: facts.client_key })
}

async fn by_password(central: &Central, compat: &Compat, peer: Peer, encoded: &str) -> Result<Caller, Fault> {
    let pair = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = pair.ok_or_else(Fault::unauthorized)?;
    let (login, password) = pair.split_once(':').ok_or_else(Fault::unauthorized)?;
    let manager = signed_in(central, peer, login, &SecretString::from(password)).await?;
    let manager = manager.ok_or_else(Fault::unauthorized)?;
    Ok(Caller { name: manager.login().to_owned(), reach: Reach::new(manager.orgs, compat) })
}

/// Checks a sync manager's password; guessing is slowed down.
pub(super) async fn signed_in(
    central: &Central,
    peer: Peer,
    login: &str,
    password: &SecretString,
) -> Result<Option<Manager>, Fault> {
    oauth::signed_in(central, peer, login, password).await.map_err(|refused| match refused {
        NotLooked::SlowDown(seconds) => Fault::slow_down(seconds),
        NotLooked::Store(error) => error.into(),
    })
}
