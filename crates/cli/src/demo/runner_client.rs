//! A small test runner's way to the local server: HTTPS with the server's own authority pinned, one connection.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use taosync_vault::tls::{Fingerprint, client_config};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use url::Url;

use super::went_wrong;
use crate::failure::Failure;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// What a runner needs to come in.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Root of the local server.
    pub root: Url,
    /// Its certificate authority.
    pub pin: Fingerprint,
    /// The runner's key.
    pub key: SecretString,
}

/// An open connection.
pub struct RunnerClient {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
    host: HeaderValue,
    bearer: HeaderValue,
    /// Requests sent.
    pub requests: u64,
}

/// An answer, read to its end.
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Body.
    pub body: Bytes,
}

impl RunnerClient {
    /// Connects.
    pub async fn connect(entrance: &Entrance) -> Result<Self, Failure> {
        let lost = |what: &'static str| went_wrong(format!("the test runner cannot reach {}: {what}", entrance.root));
        let host = entrance.root.host_str().ok_or_else(|| lost("no host"))?;
        let port = entrance.root.port_or_known_default().ok_or_else(|| lost("no port"))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| lost("bad host").because(error))?;
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| lost("no connection").because(error))?;
        // Small requests, each waiting for its answer.
        tcp.set_nodelay(true).map_err(|error| lost("no connection").because(error))?;
        let connector = TlsConnector::from(client_config(Some(entrance.pin))?);
        let tls = connector.connect(name, tcp).await.map_err(|error| lost("no TLS").because(error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(tls)).await.map_err(|error| lost("no HTTP").because(error))?;
        let header = |text: String| HeaderValue::try_from(text).map_err(|error| lost("bad header").because(error));
        let mut bearer = header(format!("Bearer {}", entrance.key.expose_secret()))?;
        bearer.set_sensitive(true);
        let host = header(format!("{host}:{port}"))?;
        Ok(Self { sender, connection: tokio::spawn(connection), host, bearer, requests: 0 })
    }

    /// Asks for a document.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        let answer = self.ask(Method::GET, path, Bytes::new()).await?;
        answer.document(path)
    }

    /// Asks for a file as it is.
    pub async fn bytes(&mut self, path: &str) -> Result<Bytes, Failure> {
        let answer = self.ask(Method::GET, path, Bytes::new()).await?;
        Ok(answer.good(path)?.body)
    }

    /// Sends a document, and reads the one that comes back.
    pub async fn post<T: DeserializeOwned>(&mut self, path: &str, document: &impl Serialize) -> Result<T, Failure> {
        self.send(path, document).await?.document(path)
    }

    /// Stores a document, which is answered with nothing.
    pub async fn put(&mut self, path: &str, document: &impl Serialize) -> Result<(), Failure> {
        self.ask(Method::PUT, path, written(document)?).await?.good(path)?;
        Ok(())
    }

    /// Sends a document; whatever the answer is.
    pub async fn send(&mut self, path: &str, document: &impl Serialize) -> Result<Answer, Failure> {
        self.ask(Method::POST, path, written(document)?).await
    }

    async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let lost = || went_wrong(format!("the local server gave no answer to {path}"));
        let request = Request::builder()
            .method(method)
            .uri(if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/runner/{path}") })
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| lost().because(error))?;
        self.requests += 1;
        self.sender.ready().await.map_err(|error| lost().because(error))?;
        let response = self.sender.send_request(request).await.map_err(|error| lost().because(error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok(Answer { status, body: body.map_err(|error| lost().because(error))?.to_bytes() })
    }

    /// Closes the connection, and waits until it is.
    pub async fn close(self) -> Result<(), Failure> {
        drop(self.sender);
        // What breaks after the last answer takes nothing away.
        let _ = self.connection.await?;
        Ok(())
    }
}

fn written(document: &impl Serialize) -> Result<Bytes, Failure> {
    let body = serde_json::to_vec(document);
    Ok(body.map_err(|error| went_wrong("a request cannot be written").because(error))?.into())
}

impl Answer {
    fn good(self, path: &str) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or_default();
        Err(went_wrong(format!("the local server answered {} to {path}: {detail}", self.status)))
    }

    fn document<T: DeserializeOwned>(self, path: &str) -> Result<T, Failure> {
        let answer = self.good(path)?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| went_wrong(format!("the answer to {path} is not what was expected")).because(error))
    }
}
