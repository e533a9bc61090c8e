//! The header with a token or key (RFC 6750 §2.1, RFC 9449 §7.1): one, bounded.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::SecretString;

/// Most bytes of the header; ours has 48.
const MAX_HEADER: usize = 512;

/// How a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// By whoever has it.
    Bearer,
    /// With a proof of the key it is bound to.
    Dpop,
}

/// The token of a request and how it is shown, or what is wrong with the header.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<(Scheme, SecretString), &'static str> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) if line.len() <= MAX_HEADER => line.to_str().ok(),
        (None, _) => return Err("the request carries no token"),
        _ => None,
    };
    let (scheme, token) = line.and_then(|line| line.split_once(' ')).unwrap_or_default();
    let schemes = [("bearer", Scheme::Bearer), ("dpop", Scheme::Dpop)];
    let known = schemes.into_iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
    match (known, token.trim()) {
        (Some((_, scheme)), token) if !token.is_empty() => Ok((scheme, SecretString::from(token))),
        _ => Err("the header of the token is malformed"),
    }
}
