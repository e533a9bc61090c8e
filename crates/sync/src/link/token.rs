//! Getting a token: OAuth2 client credentials with a proof of the node's key.

use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use taosync_model::OrgId;
use taosync_vault::proof::ProofClaims;
use taosync_vault::succession::vouch;
use taosync_vault::tls::Fingerprint;
use taosync_vault::{announcement::verify_authorities, results_keys, sealed_file};
use taosync_wire::v1::token::{Authorities, ORG_PARAMETER, ResultsKeys, TOKEN_TYPE, TokenAnswer, TokenError};
use url::{Url, form_urlencoded};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Link, LinkError, USE_NONCE, host_of, read_small};

/// Longest answer of a token endpoint.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// Longest secret that is taken.
const MAX_SECRET: usize = 1_024;
/// Authorities that a central may name together.
const MOST_AUTHORITIES: usize = 2;

/// A token for one org, and what came with it.
#[derive(Clone)]
pub struct Access {
    pub(super) token: Arc<SecretString>,
    /// The org the token is for, as central calls it now.
    pub org: OrgId,
    /// All orgs the consumer may ask for.
    pub orgs: Vec<OrgId>,
    /// Who answered.
    pub central: Central,
    /// For whom central wants results sealed, when it gave the token just now and said so; its signature holds.
    pub results: Option<Vec<String>>,
    /// The secret to be used from now on, when central gave the token just now and changes the secret.
    pub new_secret: Option<SecretString>,
    /// Authorities of central's certificate, when it said so just now; its signature holds.
    pub authorities: Option<Vec<String>>,
    renew_at: Timestamp,
    /// Given by central just now, not kept from an earlier sync.
    is_new: bool,
}

/// A central, as it names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Central {
    /// Node id.
    pub id: Uuid,
    /// Public key that signs receipts.
    pub key: [u8; 32],
}

/// An access as it is kept between syncs. It holds the token: it belongs into a sealed column.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(with = "taosync_wire::secret_text")]
    token: SecretString,
    node: Uuid,
    #[serde(default)]
    thumbprint: String,
    client_key: String,
    root: Url,
    org: OrgId,
    orgs: Vec<OrgId>,
    central: Uuid,
    key: [u8; 32],
    renew_at: Timestamp,
    #[serde(default)]
    nonce: Option<String>,
}

impl Access {
    /// Whether the token has more than a fifth of its life before it.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.renew_at
    }

    pub(super) fn same_token(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.token, &other.token)
    }
}

impl Link {
    /// Takes up an access that was kept after an earlier sync. One that cannot be read, or that was given to another
    /// node or login or by another address, is nothing.
    pub async fn take_up(&self, kept: &[u8]) {
        let Ok(kept) = serde_json::from_slice::<Kept>(kept) else { return };
        let is_ours = kept.node == self.caller.node
            && kept.thumbprint == self.caller.keyring.node_key().thumbprint()
            && kept.client_key == self.address.client_key
            && kept.root == self.address.root;
        if is_ours {
            let central = Central { id: kept.central, key: kept.key };
            let token = Arc::new(kept.token);
            let Kept { org, orgs, renew_at, nonce, .. } = kept;
            *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = nonce;
            *self.access.lock().await = Some(Access {
                token,
                org,
                orgs,
                central,
                results: None,
                new_secret: None,
                authorities: None,
                renew_at,
                is_new: false,
            });
        }
    }

    /// The access as it is kept for later syncs, when central gave one in this.
    pub async fn to_keep(&self) -> Option<Zeroizing<Vec<u8>>> {
        let access = self.access.lock().await.clone().filter(|access| access.is_new)?;
        let kept = Kept {
            token: (*access.token).clone(),
            node: self.caller.node,
            thumbprint: self.caller.keyring.node_key().thumbprint(),
            client_key: self.address.client_key.clone(),
            root: self.address.root.clone(),
            org: access.org,
            orgs: access.orgs,
            central: access.central.id,
            key: access.central.key,
            renew_at: access.renew_at,
            nonce: self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        serde_json::to_vec(&kept).ok().map(Zeroizing::new)
    }

    /// Asks for a token. An org that central does not know under this name any more may have been renamed: it is the one
    /// org of the consumer that is none of the others we know, if there is just one.
    pub(super) async fn fetch_token(&self) -> Result<Access, LinkError> {
        let refused = match self.ask_token(self.address.org.as_ref()).await {
            Err(LinkError::Token { code, advice }) if code == "invalid_scope" && self.address.org.is_some() => {
                LinkError::Token { code, advice }
            }
            other => return other,
        };
        let Ok(any) = self.ask_token(None).await else { return Err(refused) };
        let mut strange = any.orgs.iter().filter(|org| !self.served.contains(org));
        match (strange.next(), strange.next()) {
            (Some(org), None) if *org == any.org => Ok(any),
            (Some(org), None) => self.ask_token(Some(org)).await,
            _ => Err(refused),
        }
    }

    /// Asks once, and once more when central cannot tell by the clocks that the request was signed now.
    async fn ask_token(&self, org: Option<&OrgId>) -> Result<Access, LinkError> {
        match self.ask_token_once(org).await {
            Err(LinkError::Token { code, .. }) if code == USE_NONCE => self.ask_token_once(org).await,
            other => other,
        }
    }

    async fn ask_token_once(&self, org: Option<&OrgId>) -> Result<Access, LinkError> {
        let asked_at = self.caller.clock.now();
        let request = self.token_request(org)?;
        let host = host_of(&request);
        let answer = self.request(request).await?;
        let status = answer.status();
        let stranger = || LinkError::Stranger { host: host.clone(), status: status.as_u16() };
        let body = read_small(answer.into_body(), MAX_ANSWER, self.silence).await.ok_or_else(stranger)?;
        if !status.is_success() {
            let error: TokenError = serde_json::from_slice(&body).map_err(|_| stranger())?;
            return Err(token_error(error));
        }
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| stranger())?;
        access_of(answer, asked_at)
    }

    /// What this node says about itself where it is not known yet.
    pub(super) fn claims(&self) -> ProofClaims {
        let keyring = &self.caller.keyring;
        let public = keyring.node_key().public();
        ProofClaims {
            node: Some(self.caller.node),
            recipient: Some(keyring.identity().recipient()),
            version: Some(self.caller.version.clone()),
            former: keyring.former().iter().map(|former| vouch(former, self.caller.node, &public)).collect(),
        }
    }

    fn token_request(&self, org: Option<&OrgId>) -> Result<http::Request<Full<Bytes>>, LinkError> {
        let url = &self.address.token;
        let proof = self.proof("POST", url, None, self.claims());
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(org) = org {
            form.append_pair(ORG_PARAMETER, org.as_str());
        }
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.address.client_key), encode(self.address.secret.expose_secret()));
        http::Request::post(url.as_str())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Basic {}", STANDARD.encode(pair)))
            .header("dpop", proof)
            .body(Full::new(Bytes::from(form.finish())))
            .map_err(|_| LinkError::Request(url.to_string()))
    }
}

fn token_error(error: TokenError) -> LinkError {
    let advice = match error.error.as_str() {
        "invalid_client" => {
            "central does not know this key and secret, or revoked them; make new ones there with 'oauth generate' and import them here"
        }
        "invalid_scope" => "the key is not allowed for this org; see 'oauth list' at central",
        _ => "",
    };
    let text = [advice, error.error_description.as_str()].into_iter().filter(|t| !t.is_empty());
    LinkError::Token { code: error.error.chars().take(64).collect(), advice: text.collect::<Vec<_>>().join(" — ") }
}

/// The recipients that central names, if it signed them and each can be sealed for.
fn keys_of(keys: ResultsKeys, central: Uuid, key: &[u8; 32]) -> Result<Vec<String>, LinkError> {
    let bad = || LinkError::Protocol("the token answer has results keys that central did not sign".into());
    results_keys::verify_announced(key, central, &keys.recipients, &keys.signature).map_err(|_| bad())?;
    let is_usable = keys.recipients.len() <= sealed_file::MAX_RECIPIENTS
        && keys.recipients.iter().all(|recipient| sealed_file::check_recipient(recipient).is_ok());
    if is_usable { Ok(keys.recipients) } else { Err(bad()) }
}

/// The authorities that central names, if it signed them.
fn authorities_of(said: Authorities, central: Uuid, key: &[u8; 32]) -> Result<Vec<String>, LinkError> {
    let bad = || LinkError::Protocol("the token answer has certificate authorities that central did not sign".into());
    verify_authorities(key, central, &said.fingerprints, &said.signature).map_err(|_| bad())?;
    let are_fingerprints = said.fingerprints.iter().all(|text| text.parse::<Fingerprint>().is_ok());
    if are_fingerprints && (1..=MOST_AUTHORITIES).contains(&said.fingerprints.len()) {
        Ok(said.fingerprints)
    } else {
        Err(bad())
    }
}

fn access_of(answer: TokenAnswer, asked_at: Timestamp) -> Result<Access, LinkError> {
    let bad = |what: &str| LinkError::Protocol(format!("the token answer has {what}"));
    if !answer.token_type.eq_ignore_ascii_case(TOKEN_TYPE) {
        return Err(bad("a token that is not bound to the key of this node"));
    }
    let org = OrgId::new(answer.organisation_id).map_err(|_| bad("no valid organisation_id"))?;
    let orgs = answer.organisations.into_iter().filter_map(|o| OrgId::new(o).ok()).collect();
    let mut key = [0; 32];
    hex::decode_to_slice(&answer.central_key, &mut key).map_err(|_| bad("no valid central_key"))?;
    let life = SignedDuration::from_secs(answer.expires_in.min(86_400) as i64);
    Ok(Access {
        token: Arc::new(answer.access_token),
        org,
        orgs,
        central: Central { id: answer.central, key },
        results: answer.results.map(|keys| keys_of(keys, answer.central, &key)).transpose()?,
        new_secret: answer.new_secret.filter(|secret| secret.expose_secret().len() <= MAX_SECRET),
        authorities: answer.authorities.map(|said| authorities_of(said, answer.central, &key)).transpose()?,
        renew_at: asked_at.saturating_add(life * 4 / 5).unwrap_or(asked_at),
        is_new: true,
    })
}
