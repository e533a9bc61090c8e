//! A fresh machine asks for a consumer of its own: with a sync manager's login, or with a code from the office.

use bytes::Bytes;
use http_body_util::Full;
use serde::Serialize;
use taosync_wire::v1::enrol::{EnrolRequest, Enrolled, HandshakeRequest};
use taosync_wire::v1::{PATH_ENROL, PATH_HANDSHAKE};
use zeroize::Zeroizing;

use super::{Link, LinkError, USE_NONCE};

/// Longest answer.
const MAX_ANSWER: usize = 64 * 1024;

impl Link {
    /// Signs in as a sync manager; the address needs no key and secret for it.
    pub async fn handshake(&self, request: &HandshakeRequest) -> Result<Enrolled, LinkError> {
        self.enrol_at(PATH_HANDSHAKE, request).await
    }

    /// Shows an enrolment code.
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<Enrolled, LinkError> {
        self.enrol_at(PATH_ENROL, request).await
    }

    /// Asks once, and once more when central cannot tell by the clocks that the request was signed now.
    async fn enrol_at(&self, path: &str, request: &impl Serialize) -> Result<Enrolled, LinkError> {
        let body = Zeroizing::new(serde_json::to_vec(request).map_err(|_| LinkError::Request(path.to_owned()))?);
        match self.enrol_once(path, &body).await {
            Err(LinkError::Problem(problem)) if problem.code == USE_NONCE => self.enrol_once(path, &body).await,
            other => other,
        }
    }

    async fn enrol_once(&self, path: &str, body: &[u8]) -> Result<Enrolled, LinkError> {
        let url = self.url(path)?;
        let request = http::Request::post(url.as_str())
            .header("content-type", "application/json")
            .header("dpop", self.proof("POST", &url, None, self.claims()))
            .body(Full::new(Bytes::copy_from_slice(body)))
            .map_err(|_| LinkError::Request(url.to_string()))?;
        self.exchange(request).await?.json(MAX_ANSWER).await
    }
}
