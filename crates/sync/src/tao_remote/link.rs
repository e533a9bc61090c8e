//! Requests to a TAO central: bearer tokens that are renewed when they are refused, TAO's words about failures, and what
//! every request says about this server.

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use taosync_model::OrgId;
use taosync_wire::Problem;
use taosync_wire::tao::access::TokenAnswer;
use taosync_wire::tao::items::SupportedVersions;
use taosync_wire::tao::{BOX_ID_HEADER, Failure, PATH_SUPPORTED_VM, SyncParams};
use tokio::sync::Mutex;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::link::patience::Patience;
use crate::link::{Link, LinkError, Request, Response};

/// Longest answer that is read, in bytes: a list of some hundred thousand entities.
pub const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Longest answer of the token endpoint, and longest error.
const MAX_SMALL: usize = 64 * 1024;
/// Characters of central's words that are shown.
const WORDS: usize = 300;
/// Longest token that is taken.
const MAX_TOKEN: usize = 4_096;

/// What every request says about this server and its sync.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The org; the unscoped one is not named.
    pub org: OrgId,
    /// Number of the sync, counted here.
    pub sync_no: i64,
    /// What this server calls itself.
    pub box_id: String,
    /// The version of TAO it says it is.
    pub version: String,
}

impl Caller {
    /// This server as a box: its node id stands for TAO's box id.
    pub fn new(org: &OrgId, sync_no: i64, node: Uuid, version: &str) -> Self {
        Self { org: org.clone(), sync_no, box_id: node.simple().to_string(), version: version.to_owned() }
    }

    /// The parameters of a request.
    pub fn params(&self) -> SyncParams {
        SyncParams {
            organisation_id: (!self.org.is_everything()).then(|| self.org.to_string()),
            sync_id: Some(self.sync_no.to_string()),
            box_id: Some(self.box_id.clone()),
            tao_version: Some(self.version.clone()),
            ..SyncParams::default()
        }
    }
}

/// A way to a TAO central.
pub struct TaoLink {
    link: Link,
    caller: Caller,
    patience: Patience,
    token: Mutex<Token>,
}

#[derive(Default)]
struct Token {
    text: Option<SecretString>,
    is_new: bool,
}

impl TaoLink {
    /// Nothing is sent yet.
    pub fn new(link: Link, caller: Caller, patience: Patience) -> Self {
        Self { link, caller, patience, token: Mutex::default() }
    }

    /// What requests say about this server.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The connection below, for what travelled.
    pub const fn transport(&self) -> &Link {
        &self.link
    }

    /// Goes on with a token of an earlier sync. Central looks at it, so no clock has to agree.
    pub async fn take_up(&self, kept: &[u8]) {
        if let Ok(text) = std::str::from_utf8(kept) {
            *self.token.lock().await = Token { text: Some(SecretString::from(text)), is_new: false };
        }
    }

    /// The token for later syncs, when central gave one in this. It belongs into a sealed column.
    pub async fn to_keep(&self) -> Option<Zeroizing<Vec<u8>>> {
        let token = self.token.lock().await;
        let text = token.text.as_ref().filter(|_| token.is_new)?;
        Some(Zeroizing::new(text.expose_secret().as_bytes().to_vec()))
    }

    /// The versions of TAO that central lets in.
    pub async fn versions(&self) -> Result<Vec<String>, LinkError> {
        let answer: SupportedVersions = self.ask(&Request::get(PATH_SUPPORTED_VM)).await?;
        Ok(answer.data)
    }

    /// A request that may be repeated: tried again over a bad line, and when central stumbles.
    pub async fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, LinkError> {
        let mut failures = 0;
        loop {
            let error = match self.once(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            let Some(pause) = self.patience.pause_after(failures, &error) else { return Err(error) };
            tracing::info!(%error, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// A request that is sent once: its answer may be lost while what it asked for was done.
    pub async fn once<T: DeserializeOwned>(&self, request: &Request) -> Result<T, LinkError> {
        self.send(request).await?.json(MAX_ANSWER).await
    }

    /// Sends a request with the token; a refused one is replaced once. Anything but success is an error.
    pub async fn send(&self, request: &Request) -> Result<Response, LinkError> {
        let request = request.clone().header("accept", "application/json").header(BOX_ID_HEADER, &self.caller.box_id);
        let token = self.token().await?;
        let mut response = self.link.send_foreign(&request, Some(&token)).await?;
        if response.status.as_u16() == 401 {
            let mut held = self.token.lock().await;
            if held.text.as_ref().is_some_and(|text| text.expose_secret() == token.expose_secret()) {
                *held = Token::default();
            }
            drop(held);
            response = self.link.send_foreign(&request, Some(&self.token().await?)).await?;
        }
        if response.status.is_success() { Ok(response) } else { Err(failure_of(response).await) }
    }

    async fn token(&self) -> Result<SecretString, LinkError> {
        let mut token = self.token.lock().await;
        if let Some(text) = &token.text {
            return Ok(text.clone());
        }
        let text = self.fetch_token().await?;
        *token = Token { text: Some(text.clone()), is_new: true };
        Ok(text)
    }

    fn token_request(&self) -> Request {
        let (url, key, secret) = self.link.login();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", key);
        form.append_pair("client_secret", secret.expose_secret());
        form.append_pair("grant_type", "client_credentials");
        Request::post(url.as_str(), Bytes::from(form.finish()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .header(BOX_ID_HEADER, &self.caller.box_id)
    }

    async fn fetch_token(&self) -> Result<SecretString, LinkError> {
        let response = self.link.send_foreign(&self.token_request(), None).await?;
        match response.status.as_u16() {
            200..=299 => {}
            400 | 401 => {
                let advice = "central does not know this key and secret; make new ones there and import them here";
                return Err(LinkError::Token { code: "invalid_client".into(), advice: advice.into() });
            }
            _ => return Err(failure_of(response).await),
        }
        let answer: TokenAnswer = response.json(MAX_SMALL).await?;
        let is_token =
            |text: &str| !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|b| b.is_ascii_graphic());
        if !is_token(answer.access_token.expose_secret()) {
            return Err(LinkError::Protocol("the token is not one that can be sent back".into()));
        }
        Ok(answer.access_token)
    }
}

/// What TAO says about a failure. Who answers something else is not a TAO.
async fn failure_of(response: Response) -> LinkError {
    let (status, host) = (response.status.as_u16(), response.host.clone());
    let body = response.bytes(MAX_SMALL).await.unwrap_or_default();
    let Ok(failure) = serde_json::from_slice::<Failure>(&body) else { return LinkError::Stranger { host, status } };
    let words: String = failure.error_msg.chars().filter(|c| !c.is_control()).take(WORDS).collect();
    LinkError::Problem(Problem::new(status, "tao_failure", format!("TAO says '{words}' (status {status})"), ""))
}
