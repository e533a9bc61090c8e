//! A request before it is sent, and an answer while it is read.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use taosync_wire::frame::{FrameReader, Header};

use super::LinkError;

/// Bytes of an answer unpacked before its frames are taken: bounds what a hostile answer can make us hold.
const STEP: usize = 4 * 1024;

/// A small answer must be here within so many times the silence that is borne: who sends a byte now and then is not silent.
const WHOLE_ANSWER: u32 = 10;

/// A request: path relative to the root URL, headers, body.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// Whether the sync it belongs to is named in a header.
    pub(super) names_sync: bool,
}

impl Request {
    /// A GET request.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: Bytes::new(), names_sync: true }
    }

    /// A POST request with a body of frames.
    pub fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path: path.into(), headers: Vec::new(), body: body.into(), names_sync: true }
    }

    /// A POST request with JSON.
    pub fn post_json(path: impl Into<String>, body: &impl Serialize) -> Self {
        // Unwrap safety: messages are strings, numbers and lists, which always serialise.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self::post(path, body).header("content-type", "application/json")
    }

    /// Leaves out the header with the id of the sync, for what says it itself.
    #[must_use]
    pub fn without_sync(self) -> Self {
        Self { names_sync: false, ..self }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer whose head is known.
pub struct Response {
    /// Status; always a success when it comes out of [`super::Link::send`].
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Host and port that answered.
    pub host: String,
    body: Incoming,
    silence: Duration,
}

impl Response {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Incoming, host: String, silence: Duration) -> Self {
        Self { status, headers, host, body, silence }
    }

    /// The next bytes of the body; `None` at its end. A sender that stays silent too long is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, LinkError> {
        loop {
            let frame = tokio::time::timeout(self.silence, self.body.frame())
                .await
                .map_err(|_| LinkError::Silent { host: self.host.clone(), seconds: self.silence.as_secs() })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(LinkError::Cut { host: self.host.clone(), source: Box::new(error) }),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, refused above `limit` bytes, and when it comes too slowly.
    pub async fn bytes(self, limit: usize) -> Result<Bytes, LinkError> {
        let (time, host) = (self.silence * WHOLE_ANSWER, self.host.clone());
        let late = |_| LinkError::Silent { host, seconds: time.as_secs() };
        tokio::time::timeout(time, self.all(limit)).await.map_err(late)?
    }

    async fn all(mut self, limit: usize) -> Result<Bytes, LinkError> {
        let mut all = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if all.len() + piece.len() > limit {
                return Err(LinkError::Protocol(format!("an answer of more than {limit} bytes")));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }

    /// The body as JSON.
    pub async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, LinkError> {
        let body = self.bytes(limit).await?;
        serde_json::from_slice(&body)
            .map_err(|e| LinkError::Protocol(format!("JSON that cannot be read (column {})", e.column())))
    }

    /// The body as frames.
    pub fn frames<H: Header + DeserializeOwned>(self) -> Result<Frames<H>, LinkError> {
        let reader = FrameReader::new()
            .map_err(|source| LinkError::Cut { host: self.host.clone(), source: Box::new(source) })?;
        Ok(Frames { response: self, reader, unread: Bytes::new() })
    }
}

/// The frames of an answer, one after the other.
pub struct Frames<H> {
    response: Response,
    reader: FrameReader<H>,
    unread: Bytes,
}

impl<H: Header + DeserializeOwned> Frames<H> {
    /// The next frame; `None` after the last. A stream that is cut is an error.
    pub async fn next(&mut self) -> Result<Option<(H, Vec<u8>)>, LinkError> {
        loop {
            if let Some(frame) = self.reader.next_frame() {
                return Ok(Some(frame));
            }
            if !self.unread.is_empty() {
                let step = self.unread.len().min(STEP);
                self.reader.feed(&self.unread.split_to(step))?;
                continue;
            }
            match self.response.chunk().await? {
                Some(bytes) => self.unread = bytes,
                None => {
                    self.reader.finish()?;
                    return Ok(None);
                }
            }
        }
    }
}
