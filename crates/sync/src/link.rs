//! Requests to a central: one connection pool with pinned TLS, a token per org, retries where they are safe, and exact
//! counts of what travelled.

mod connect;
mod count;
mod enrol;
mod error;
pub mod patience;
mod request;
mod time;
mod token;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};
use taosync_model::{Clock, OrgId};
use taosync_vault::keyring::Keyring;
use taosync_vault::proof::{Proof, ProofClaims};
use taosync_vault::tls::{Dates, Pin};
use taosync_wire::{Problem, v1};
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use count::Traffic;
pub use error::LinkError;
pub use request::{Frames, Request, Response};
pub use token::{Access, Central};

/// How long central may stay silent before a request counts as lost.
const SILENCE: Duration = Duration::from_secs(60);

/// Where a central is and who we are there.
#[derive(Clone)]
pub struct Address {
    /// Root URL, ending in `/`.
    pub root: Url,
    /// URL of the token endpoint.
    pub token: Url,
    /// OAuth2 client key.
    pub client_key: String,
    /// OAuth2 client secret.
    pub secret: SecretString,
    /// Pinned certificate authorities: any of them may have signed. None: those the machine trusts.
    pub pins: Vec<Pin>,
    /// Who central is, once it was met: its word is needed when the clock here is wrong.
    pub central: Option<Central>,
    /// The org tokens are asked for; needed when the consumer has several.
    pub org: Option<OrgId>,
    /// Proxy, when configured; otherwise `HTTPS_PROXY` and its kin are honoured.
    pub proxy: Option<String>,
}

/// Who asks.
#[derive(Clone)]
pub struct Caller {
    /// This node.
    pub node: Uuid,
    /// Its keys.
    pub keyring: Arc<Keyring>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Version of this program.
    pub version: String,
}

type HttpClient = Client<connect::Connector, Full<Bytes>>;

/// A way to one central for one org.
pub struct Link {
    address: Address,
    caller: Caller,
    client: HttpClient,
    clock: Arc<time::CorrectedClock>,
    traffic: Arc<count::Counters>,
    access: tokio::sync::Mutex<Option<Access>>,
    /// The nonce that came with central's last answer.
    nonce: Mutex<Option<String>>,
    sync: Option<Uuid>,
    served: Vec<OrgId>,
    silence: Duration,
}

impl Link {
    /// A link; nothing is sent yet. Plain HTTP is refused except on loopback.
    pub fn new(address: Address, caller: Caller) -> Result<Self, LinkError> {
        for url in [&address.root, &address.token] {
            connect::check_scheme(url)?;
        }
        let traffic = Arc::new(count::Counters::default());
        let clock = Arc::new(time::CorrectedClock::new(caller.clock.clone()));
        let client = client(&address, Dates::Clock(clock.clone()), &traffic)?;
        Ok(Self {
            address,
            caller,
            client,
            clock,
            traffic,
            access: tokio::sync::Mutex::default(),
            nonce: Mutex::default(),
            sync: None,
            served: Vec::new(),
            silence: SILENCE,
        })
    }

    /// Changes how long central may stay silent; a minute otherwise.
    #[must_use]
    pub fn patient_for(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Names the sync that further requests belong to.
    #[must_use]
    pub fn for_sync(mut self, sync: Uuid) -> Self {
        self.sync = Some(sync);
        self
    }

    /// Names the orgs this local server knows at the same central, so that a renamed one can be told from them.
    #[must_use]
    pub fn beside(mut self, served: Vec<OrgId>) -> Self {
        self.served = served;
        self
    }

    /// What travelled so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic.read()
    }

    /// Access to the org: a token is fetched when there is none or it is old.
    pub async fn access(&self) -> Result<Access, LinkError> {
        let mut access = self.access.lock().await;
        let now = self.caller.clock.now();
        if let Some(known) = access.as_ref().filter(|a| a.is_fresh(now)) {
            return Ok(known.clone());
        }
        let fresh = self.fetch_token().await?;
        *access = Some(fresh.clone());
        Ok(fresh)
    }

    /// Facts about the central at the other end.
    pub async fn central(&self) -> Result<Central, LinkError> {
        Ok(self.access().await?.central)
    }

    /// Sends a request with the token; a refused token is replaced once. Anything but success is an error.
    pub async fn send(&self, request: Request) -> Result<Response, LinkError> {
        let access = self.access().await?;
        match self.send_with(&request, &access).await {
            Err(LinkError::Problem(problem)) if problem.status == 401 && problem.code.starts_with("token_") => {
                let mut held = self.access.lock().await;
                if held.as_ref().is_some_and(|h| h.same_token(&access)) {
                    *held = None;
                }
                drop(held);
                let fresh = self.access().await?;
                if fresh.org != access.org {
                    return Err(LinkError::Renamed);
                }
                self.send_with(&request, &fresh).await
            }
            other => other,
        }
    }

    /// Sends a request with a token, signed. When central cannot tell by the clocks that it was signed now, it is signed
    /// once more, with the nonce that central gave.
    async fn send_with(&self, request: &Request, access: &Access) -> Result<Response, LinkError> {
        match self.send_signed(request, access).await {
            Err(LinkError::Problem(problem)) if problem.code == USE_NONCE => self.send_signed(request, access).await,
            other => other,
        }
    }

    async fn send_signed(&self, request: &Request, access: &Access) -> Result<Response, LinkError> {
        let url = self.url(&request.path)?;
        let proof = self.proof(request.method.as_str(), &url, Some(&access.token), ProofClaims::default());
        let mut builder = http::Request::builder().method(request.method.clone()).uri(url.as_str());
        let token = Zeroizing::new(format!("DPoP {}", access.token.expose_secret()));
        for (name, value) in [("authorization", token.as_str()), ("dpop", &proof)] {
            self.traffic.count_proof(name, value);
            builder = builder.header(name, value);
        }
        if let Some(sync) = self.sync.filter(|_| request.names_sync) {
            builder = builder.header(v1::SYNC_ID, sync.simple().to_string());
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let body = Full::new(request.body.clone());
        let request = builder.body(body).map_err(|_| LinkError::Request(url.to_string()))?;
        self.exchange(request).await
    }

    /// Sends a request in another protocol than ours, with this token if any. The answer is given whatever its status.
    pub async fn send_foreign(&self, request: &Request, token: Option<&SecretString>) -> Result<Response, LinkError> {
        let url = self.url(&request.path)?;
        let mut builder = http::Request::builder().method(request.method.clone()).uri(url.as_str());
        if let Some(token) = token {
            builder = builder.header("authorization", format!("Bearer {}", token.expose_secret()));
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let request = builder.body(Full::new(request.body.clone()));
        self.answer_to(request.map_err(|_| LinkError::Request(url.to_string()))?).await
    }

    /// Sends a request as it is; success gives the answer's head and its body to be read.
    async fn exchange(&self, request: http::Request<Full<Bytes>>) -> Result<Response, LinkError> {
        let response = self.answer_to(request).await?;
        if response.status.is_success() {
            return Ok(response);
        }
        Err(problem_of(response).await)
    }

    async fn answer_to(&self, request: http::Request<Full<Bytes>>) -> Result<Response, LinkError> {
        let host = host_of(&request);
        let (head, body) = self.request(request).await?.into_parts();
        Ok(Response::new(head.status, head.headers, body, host, self.silence))
    }

    /// Sends a request; once more when nothing was sent as the clock here is wrong, by central's time then.
    async fn request(
        &self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<http::Response<hyper::body::Incoming>, LinkError> {
        let answer = match self.call(&self.client, request.clone()).await {
            Err(refused @ LinkError::Dates { .. }) => {
                self.learn_time(refused).await?;
                self.call(&self.client, request).await
            }
            other => other,
        }?;
        self.note_nonce(answer.headers());
        Ok(answer)
    }

    async fn call(
        &self,
        client: &HttpClient,
        request: http::Request<Full<Bytes>>,
    ) -> Result<http::Response<hyper::body::Incoming>, LinkError> {
        let host = host_of(&request);
        self.traffic.count_request();
        tokio::time::timeout(self.silence, client.request(request))
            .await
            .map_err(|_| LinkError::Silent { host: host.clone(), seconds: self.silence.as_secs() })?
            .map_err(|error| LinkError::from_client(&host, error))
    }

    fn client_by(&self, dates: Dates) -> Result<HttpClient, LinkError> {
        client(&self.address, dates, &self.traffic)
    }

    /// Signs a request with the node key, with the nonce of central's last answer.
    fn proof(&self, method: &str, url: &Url, token: Option<&SecretString>, claims: ProofClaims) -> String {
        let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (key, now) = (self.caller.keyring.node_key(), self.caller.clock.now());
        Proof::sign(key, method, url.as_str(), now, nonce.as_deref(), token, claims)
    }

    /// Keeps the nonce of an answer for the next request.
    fn note_nonce(&self, headers: &http::HeaderMap) {
        let nonce = headers.get(v1::DPOP_NONCE).and_then(|nonce| nonce.to_str().ok());
        if let Some(nonce) = nonce.filter(|nonce| nonce.len() <= MAX_NONCE) {
            *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
        }
    }

    /// Where central gives tokens.
    pub fn login(&self) -> (&Url, &str, &SecretString) {
        (&self.address.token, &self.address.client_key, &self.address.secret)
    }

    fn url(&self, path: &str) -> Result<Url, LinkError> {
        self.address.root.join(path).map_err(|_| LinkError::Request(path.to_owned()))
    }
}

fn client(address: &Address, dates: Dates, traffic: &Arc<count::Counters>) -> Result<HttpClient, LinkError> {
    let connector = connect::Connector::new(address, dates, traffic.clone())?;
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(50))
        .pool_max_idle_per_host(8)
        .build(connector))
}

fn host_of(request: &http::Request<Full<Bytes>>) -> String {
    request.uri().authority().map(ToString::to_string).unwrap_or_default()
}

/// The code of an answer that asks for the nonce it brings.
const USE_NONCE: &str = "use_dpop_nonce";
/// Longest nonce that is taken.
const MAX_NONCE: usize = 128;

/// Longest error body that is read.
const MAX_PROBLEM: usize = 64 * 1024;

async fn problem_of(response: Response) -> LinkError {
    let status = response.status.as_u16();
    let host = response.host.clone();
    let is_ours = response
        .headers
        .get("content-type")
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.starts_with(taosync_wire::problem::MEDIA_TYPE));
    if !is_ours {
        return LinkError::Stranger { host, status };
    }
    let body = response.bytes(MAX_PROBLEM).await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => LinkError::Problem(problem),
        Err(_) => LinkError::Stranger { host, status },
    }
}

/// Reads a whole small body, bounded; for the token endpoint, whose errors have their own form.
async fn read_small(body: hyper::body::Incoming, limit: usize, time: Duration) -> Option<Bytes> {
    let limited = http_body_util::Limited::new(body, limit);
    tokio::time::timeout(time, limited.collect()).await.ok()?.ok().map(http_body_util::Collected::to_bytes)
}

#[cfg(test)]
mod tests;
