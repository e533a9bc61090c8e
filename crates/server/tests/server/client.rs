//! A plain client that trusts the server's own authority.

use axum::body::{Body, Bytes};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use taosync_vault::tls::client_config;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::place::Place;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The stable code of a problem.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

impl Place {
    /// A connection after its handshake.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let config = client_config(Some(self.fingerprint.parse().unwrap())).unwrap();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// An error when the answer is cut.
    pub async fn try_send(&self, request: Request<Body>) -> Result<Answer, hyper::Error> {
        let request = self.signed(request);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.connect().await)).await.unwrap();
        let driver = tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        driver.abort();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header("host", format!("localhost:{}", self.address.port()))
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(with(self.request("GET", path), headers).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.send(with(self.request("POST", path), headers).body(body.into()).unwrap()).await
    }

    pub async fn put(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.send(with(self.request("PUT", path), headers).body(body.into()).unwrap()).await
    }

    /// A token request with this form.
    pub async fn ask_token(&self, form: &str, proof: Option<&str>) -> Answer {
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend(proof.map(|proof| ("dpop", proof)));
        self.post("/api/v1/oauth/token", &headers, form.to_owned()).await
    }
}

fn with(mut builder: http::request::Builder, headers: &[(&str, &str)]) -> http::request::Builder {
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
}

pub fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

/// A token that is shown with a proof; requests with one of [`Place::token`] are signed as they are sent.
pub fn dpop(token: &str) -> (&'static str, String) {
    ("authorization", format!("DPoP {token}"))
}
