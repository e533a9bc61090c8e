//! Signed requests: DPoP proofs (RFC 9449) with the node key, EdDSA (RFC 8037).
//!
//! A proof says: the holder of this key makes this request, now. Whether its `jti` was seen before, and whether the
//! key is the one the token is bound to, is for the caller, who has the database.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

use crate::node_key::{self, NodeKey};
use crate::succession::{MAX_FORMER, Voucher, voucher};
use crate::{random, tokens};

/// Most bytes of a proof.
pub const MAX_PROOF_BYTES: usize = 4096;
/// Most bytes of a `jti`; ours has 16.
pub const MAX_JTI_BYTES: usize = 128;

/// Random bytes of our `jti`: the 96 bits that RFC 9449 §4.2 asks for. Proofs travel with every request.
const JTI_BYTES: usize = 12;

const TYPE: &str = "dpop+jwt";
const ALGORITHM: &str = "EdDSA";

/// What a node says about itself on the token request, beside what RFC 9449 asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofClaims {
    /// Id of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Uuid>,
    /// Its age recipient, for which delivery keys are wrapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Words of the keys it had before ([`crate::succession`]), at most [`MAX_FORMER`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
}

/// A proof that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedProof {
    /// The key that signed.
    pub public: [u8; 32],
    /// Its RFC 7638 thumbprint, to which tokens are bound.
    pub thumbprint: String,
    /// Identity of the proof, at most [`MAX_JTI_BYTES`]; the caller refuses one seen before within the tolerance.
    pub jti: String,
    /// When it was made, by the node's clock.
    pub iat: Timestamp,
    /// The nonce the server gave, if it did.
    pub nonce: Option<String>,
    /// What the node says about itself.
    pub claims: ProofClaims,
    /// Former keys of the node, each of which says that this key follows it.
    pub former: Vec<Voucher>,
}

/// Why a proof is refused. Safe to show: holds nothing of the proof but times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Longer than [`MAX_PROOF_BYTES`].
    #[error("the proof is larger than {MAX_PROOF_BYTES} bytes")]
    TooLarge,
    /// Not a compact JWS with the parts of a DPoP proof.
    #[error("the proof is malformed: {0}")]
    Malformed(&'static str),
    /// Not made with the one algorithm that is accepted.
    #[error("the proof must be of type {TYPE}, with algorithm {ALGORITHM} and an Ed25519 key: {0}")]
    Unsupported(&'static str),
    /// The signature is not that of the embedded key.
    #[error("the signature of the proof is not valid")]
    BadSignature,
    /// Made for another request.
    #[error("the proof was made for another request: {0} differs; a proxy in between may rewrite the address")]
    OtherRequest(&'static str),
    /// Made too long ago or in the future.
    #[error("the proof was made at {made}, but here it is {now}; check the clock and time zone of the node")]
    OutOfTime {
        /// By the node's clock.
        made: Timestamp,
        /// By this clock.
        now: Timestamp,
    },
    /// Not bound to the access token it came with.
    #[error("the proof does not belong to the access token")]
    OtherToken,
}

/// Making and checking proofs.
#[derive(Clone, Copy, Debug)]
pub struct Proof;

#[derive(Serialize, Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: Jwk,
    #[serde(default, skip_serializing)]
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
struct Jwk {
    crv: String,
    kty: String,
    x: String,
    /// The private half: a proof that shows it gives its key away.
    #[serde(default, skip_serializing)]
    d: Option<serde::de::IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(flatten)]
    claims: ProofClaims,
}

impl Proof {
    /// Signs a proof for one request, made at `at`. The query and fragment of `url` are left out (RFC 9449 §4.2).
    pub fn sign(
        key: &NodeKey,
        method: &str,
        url: &str,
        at: Timestamp,
        nonce: Option<&str>,
        access_token: Option<&SecretString>,
        claims: ProofClaims,
    ) -> String {
        let x = URL_SAFE_NO_PAD.encode(key.public());
        let jwk = Jwk { crv: "Ed25519".to_owned(), kty: "OKP".to_owned(), x, d: None };
        let header = Header { typ: TYPE.to_owned(), alg: ALGORITHM.to_owned(), jwk, crit: None };
        let payload = Payload {
            jti: URL_SAFE_NO_PAD.encode(random::bytes::<JTI_BYTES>()),
            htm: method.to_owned(),
            htu: target(url).unwrap_or_else(|| url.to_owned()),
            iat: at.as_second(),
            ath: access_token.map(token_hash),
            nonce: nonce.map(str::to_owned),
            claims,
        };
        let signed = format!("{}.{}", encode(&header), encode(&payload));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Checks a proof against the request it came with, as RFC 9449 §4.3 asks. `tolerance` is how far the node's clock
    /// may differ from `now`, either way. With an `access_token` the proof must be bound to it.
    pub fn verify(
        jws: &str,
        expected_method: &str,
        expected_url: &str,
        now: Timestamp,
        tolerance: SignedDuration,
        access_token: Option<&SecretString>,
    ) -> Result<VerifiedProof, ProofError> {
        let (public, payload) = signed_payload(jws)?;
        check_request(&payload, expected_method, expected_url)?;
        let iat = check_time(payload.iat, now, tolerance)?;
        check_token(payload.ath.as_deref(), access_token)?;
        if payload.jti.is_empty() || payload.jti.len() > MAX_JTI_BYTES {
            return Err(ProofError::Malformed("jti is empty or too long"));
        }
        let former = former_keys(&payload.claims, &public)?;
        Ok(VerifiedProof {
            former,
            thumbprint: node_key::thumbprint(&public),
            public,
            jti: payload.jti,
            iat,
            nonce: payload.nonce,
            claims: payload.claims,
        })
    }
}

/// The embedded key and what it signed.
fn signed_payload(jws: &str) -> Result<([u8; 32], Payload), ProofError> {
    if jws.len() > MAX_PROOF_BYTES {
        return Err(ProofError::TooLarge);
    }
    let three = ProofError::Malformed("expected three parts");
    let (signed, signature) = jws.rsplit_once('.').ok_or(three.clone())?;
    let (header, payload) = signed.split_once('.').ok_or(three)?;
    let public = public_key(&decode(header, "the header")?)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| ProofError::BadSignature)?;
    node_key::verify(&public, signed.as_bytes(), &signature).map_err(|_| ProofError::BadSignature)?;
    Ok((public, decode(payload, "the payload")?))
}

fn public_key(header: &Header) -> Result<[u8; 32], ProofError> {
    let checks = [
        (header.typ == TYPE, "typ"),
        (header.alg == ALGORITHM, "alg"),
        (header.crit.is_none(), "crit"),
        (header.jwk.kty == "OKP", "kty"),
        (header.jwk.crv == "Ed25519", "crv"),
        (header.jwk.d.is_none(), "the private key is shown"),
    ];
    if let Some((_, what)) = checks.into_iter().find(|(holds, _)| !holds) {
        return Err(ProofError::Unsupported(what));
    }
    let public = URL_SAFE_NO_PAD.decode(&header.jwk.x).ok().and_then(|x| x.try_into().ok());
    public.ok_or(ProofError::Malformed("x is not a public key"))
}

fn check_request(payload: &Payload, method: &str, url: &str) -> Result<(), ProofError> {
    if payload.htm != method {
        return Err(ProofError::OtherRequest("the method"));
    }
    match (target(&payload.htu), target(url)) {
        (Some(claimed), Some(expected)) if claimed == expected => Ok(()),
        _ => Err(ProofError::OtherRequest("the address")),
    }
}

fn check_time(seconds: i64, now: Timestamp, tolerance: SignedDuration) -> Result<Timestamp, ProofError> {
    let made = Timestamp::from_second(seconds).map_err(|_| ProofError::Malformed("iat is not a time"))?;
    if now.duration_since(made).abs() > tolerance {
        return Err(ProofError::OutOfTime { made, now });
    }
    Ok(made)
}

fn check_token(claimed: Option<&str>, access_token: Option<&SecretString>) -> Result<(), ProofError> {
    let Some(token) = access_token else { return Ok(()) };
    match claimed {
        Some(hash) if tokens::equal(hash.as_bytes(), token_hash(token).as_bytes()) => Ok(()),
        _ => Err(ProofError::OtherToken),
    }
}

/// The keys that say this one follows them; a word that is not true refuses the whole proof.
fn former_keys(claims: &ProofClaims, public: &[u8; 32]) -> Result<Vec<Voucher>, ProofError> {
    let bad = || ProofError::Malformed("former is not the word of a former key");
    match claims.node {
        _ if claims.former.is_empty() => Ok(Vec::new()),
        Some(node) if claims.former.len() <= MAX_FORMER => {
            claims.former.iter().map(|word| voucher(word, node, public).ok_or_else(bad)).collect()
        }
        _ => Err(bad()),
    }
}

/// `htu`: the address without user, query and fragment, in normal form (case of scheme and host, default port).
fn target(url: &str) -> Option<String> {
    let mut url = Url::parse(url).ok().filter(Url::has_host)?;
    url.set_query(None);
    url.set_fragment(None);
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    Some(url.into())
}

/// `ath` (RFC 9449 §4.2).
fn token_hash(token: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.expose_secret()))
}

fn encode(part: &impl Serialize) -> String {
    // Unwrap safety: strings, numbers and a UUID only, nothing that serde_json refuses.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("strings and numbers are JSON"))
}

fn decode<T: serde::de::DeserializeOwned>(part: &str, what: &'static str) -> Result<T, ProofError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| ProofError::Malformed(what))?;
    serde_json::from_slice(&json).map_err(|_| ProofError::Malformed(what))
}

#[cfg(test)]
mod tests;
