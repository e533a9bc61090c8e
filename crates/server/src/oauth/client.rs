//! Who asks for a token: HTTP Basic or parameters of the body, never both (RFC 6749 §2.3.1).

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use taosync_store::consumers::Consumer;
use taosync_vault::tokens::TokenHash;
use tokio::time::Instant;

use super::form::Form;
use super::refusal::Refusal;
use crate::state::Central;

/// Compared with when there is no such consumer, so that the work is the same.
const NOBODYS_HASH: [u8; 32] = [0; 32];

/// A client key and a secret as they were given.
pub(crate) struct Credentials {
    pub key: String,
    pub secret: SecretString,
}

/// Finds the credentials of a request.
pub(super) fn credentials(headers: &HeaderMap, form: &mut Form) -> Result<Credentials, Refusal> {
    let in_body = form.client_id.take().zip(form.client_secret.take());
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    match (lines.next(), lines.next(), in_body) {
        (None, _, Some((key, secret))) => Ok(Credentials { key, secret }),
        (Some(line), None, None) => {
            let line = line.to_str().map_err(|_| Refusal::Client)?;
            basic(line).ok_or(Refusal::Client)
        }
        (None, _, None) => Err(Refusal::Client),
        _ => Err(Refusal::Request(StatusCode::BAD_REQUEST, "give the credentials once: in the header or in the body")),
    }
}

fn basic(line: &str) -> Option<Credentials> {
    let (scheme, encoded) = line.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (key, secret) = text.split_once(':')?;
    Some(Credentials { key: form_decoded(key)?, secret: SecretString::from(form_decoded(secret)?) })
}

/// Both parts of the pair are form-encoded before they are joined; a `=` or `&` cannot stand in them.
fn form_decoded(part: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(part.as_bytes());
    match (pairs.next(), pairs.next()) {
        (Some((text, value)), None) if value.is_empty() => Some(text.into_owned()),
        _ => None,
    }
}

/// Which of a consumer's secrets was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The one it has.
    Current,
    /// The one before, while that is taken too.
    Former,
}

/// The consumer, if the secret is its own, and which of its secrets it is. An unknown consumer costs as much as a wrong secret, and both count.
pub(crate) async fn authenticate(
    central: &Central,
    peer: IpAddr,
    credentials: &Credentials,
    now: Instant,
) -> Result<(Consumer, Shown), Refusal> {
    central.wrong_secrets.check(peer, &credentials.key, now).map_err(Refusal::SlowDown)?;
    let login = central.store.consumer_login(&credentials.key).await?;
    let kept = login.as_ref().map_or(NOBODYS_HASH.as_slice(), |login| &login.secret_hash);
    let former = login.as_ref().and_then(|login| login.old_hash.as_deref()).unwrap_or(&NOBODYS_HASH);
    let is_current = TokenHash::matches(&credentials.secret, kept);
    let is_former = TokenHash::matches(&credentials.secret, former);
    match login {
        Some(login) if is_current || is_former => {
            central.wrong_secrets.right(peer, &credentials.key);
            Ok((login.consumer, if is_current { Shown::Current } else { Shown::Former }))
        }
        _ => {
            central.wrong_secrets.wrong(peer, &credentials.key, now);
            tracing::info!("a token was asked for with a wrong secret");
            Err(Refusal::Client)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn basic_pairs_are_form_decoded() {
        let decode = |text: &str| basic(&format!("basic {}", STANDARD.encode(text)));
        let pair = decode("a%3Ab+c:%25secret%3D").unwrap();
        assert_eq!((pair.key.as_str(), pair.secret.expose_secret()), ("a:b c", "%secret="));
        for bad in ["nocolon", "a=b:c", "a&b:c", ":", "a:"] {
            assert!(decode(bad).is_none(), "{bad}");
        }
        assert!(basic("Bearer abc").is_none());
        assert!(basic("Basic ???").is_none());
    }
}
