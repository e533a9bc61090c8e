//! A test runner as a school would have one: HTTPS to the local server, whose authority is pinned.

use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use taosync_vault::random;
use taosync_vault::tls::{Fingerprint, client_config};
use tokio_rustls::TlsConnector;

use super::node::{Node, Server};

/// Where the local server is, and the key to it.
pub struct RunnerClient {
    address: String,
    tls: Arc<rustls::ClientConfig>,
    key: String,
    runtime: tokio::runtime::Runtime,
}

impl RunnerClient {
    /// The key comes from the file that `init` wrote for the runner.
    pub fn new(local: &Node, server: &Server) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let pin: Fingerprint = local.made["ca_fingerprint"].as_str().unwrap().parse().unwrap();
        // Central has none, and is asked by browsers only.
        let key = std::fs::read_to_string(local.dir().join("keys/runner.key")).unwrap_or_default().trim().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = server.url.trim_start_matches("https://").to_owned();
        Self { address, tls: client_config(Some(pin)).unwrap(), key, runtime }
    }

    /// The same, with another key.
    pub fn with_key(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// One request on a connection of its own: the status and the body.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let body = Full::new(Bytes::copy_from_slice(body));
        let request = http::Request::builder()
            .method(method)
            .uri(if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/runner/{path}") })
            .header("host", &self.address)
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let response = self.exchange(request);
        (response.status().as_u16(), response.into_body().to_vec())
    }

    /// Any request, on a connection of its own.
    pub fn exchange(&self, request: http::Request<Full<Bytes>>) -> http::Response<Bytes> {
        let tcp = TcpStream::connect(&self.address).unwrap();
        tcp.set_nonblocking(true).unwrap();
        self.runtime.block_on(async {
            let tcp = tokio::net::TcpStream::from_std(tcp).unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let tls = TlsConnector::from(self.tls.clone()).connect(name, tcp).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
            let connection = tokio::spawn(connection);
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            drop(sender);
            connection.await.unwrap().unwrap();
            http::Response::from_parts(head, bytes)
        })
    }

    /// A request that must be answered with success.
    #[track_caller]
    pub fn post(&self, path: &str, document: &Value) -> Value {
        self.send("POST", path, document)
    }

    /// Variables or log rows, under an id of their own; they must be taken.
    #[track_caller]
    pub fn save(&self, path: &str, document: &Value) {
        self.send("PUT", &format!("{path}/{}", random::uuid()), document);
    }

    /// A document whose newest version counts.
    #[track_caller]
    pub fn put(&self, path: &str, document: &Value) {
        self.send("PUT", path, document);
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, document: &Value) -> Value {
        let (status, body) = self.ask(method, path, document.to_string().as_bytes());
        let text = String::from_utf8_lossy(&body);
        assert!((200..300).contains(&status), "{path}: {status} {text}");
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, b"");
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }
}
