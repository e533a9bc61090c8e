//! Clients that say what they should, and then nothing.

use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use taosync_model::clock::SystemClock;
use taosync_model::item::{Counts, Envelope, ItemKind};
use taosync_model::{Clock as _, Digest, OrgId, vocabulary as v};
use taosync_store::consumers::NewConsumer;
use taosync_store::nodes::{NodeHello, NodeSeen};
use taosync_store::tokens::NewToken;
use taosync_vault::node_key::NodeKey;
use taosync_vault::proof::{Proof, ProofClaims};
use taosync_vault::random;
use taosync_vault::tls::client_config;
use taosync_vault::tokens::TokenHash;
use taosync_wire::frame::{FrameWriter, Header};
use taosync_wire::v1::compare::{AskFrame, ListingFrame, Part};
use taosync_wire::v1::outbox::OutboxFrame;
use taosync_wire::v1::{PATH_COMPARE, PATH_COMPARE_LISTING, PATH_FEED, PATH_OUTBOX};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uuid::Uuid;

use crate::support::Central;

/// Bytes a client makes room for; the system takes at least some thousand.
const ROOM: u32 = 4 * 1024;
/// Bytes of a body that are announced, and that come.
const ANNOUNCED: usize = 200_000;
const SENT: usize = 20_000;

/// A machine that may ask for an org.
pub struct Pass {
    node: Uuid,
    org: OrgId,
    token: SecretString,
    key: NodeKey,
}

/// What a writer begins.
#[derive(Clone, Copy)]
pub enum Upload {
    /// An item of an outbox.
    Item,
    /// The list of what it holds.
    Listing,
    /// The question for entities by name.
    Question,
}

/// An open connection of a client that has fallen silent.
pub struct Peer {
    stream: TlsStream<TcpStream>,
    /// Its end of the connection.
    pub port: u16,
}

impl Pass {
    pub async fn issue(central: &Central, org: &str) -> Self {
        let (node, org, token) = (random::uuid(), OrgId::new(org).unwrap(), random::token());
        let key = NodeKey::from_seed(&Digest::of(node.as_bytes()).0);
        let new = NewConsumer {
            client_key: random::uuid().simple().to_string(),
            secret_hash: TokenHash::of(&random::token()),
            user: "test".into(),
            role: v::ROLE_SYNC_MANAGER.into(),
            orgs: vec![org.clone()],
        };
        let consumer = central.store().consumer_create(&new).await.unwrap();
        let hello = NodeHello {
            id: node,
            thumbprint: key.thumbprint(),
            public_key: key.public(),
            recipient: "age1".into(),
            version: "0.1.0".into(),
            consumer,
            former: Vec::new(),
        };
        assert_eq!(central.store().node_seen(&hello, u32::MAX).await.unwrap(), NodeSeen::Noted);
        let expires_at = central.node.clock.now() + jiff::SignedDuration::from_hours(1);
        let kept = NewToken { hash: TokenHash::of(&token), consumer, org: &org, node: Some(node), expires_at };
        central.store().token_issue(&kept).await.unwrap();
        Self { node, org, token, key }
    }

    fn head(&self, method: &str, path: &str, length: usize) -> String {
        let (url, now) = (format!("https://localhost/{path}"), SystemClock.now());
        let proof = Proof::sign(&self.key, method, &url, now, None, Some(&self.token), ProofClaims::default());
        let token = self.token.expose_secret();
        format!(
            "{method} /{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: DPoP {token}\r\ndpop: {proof}\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n"
        )
    }

    /// Bytes of the answer that a client gets who takes it.
    pub async fn whole_feed(&self, central: &Central) -> usize {
        let answer = Peer::asks_for_feed(central, self).await.read_to_end().await;
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
        answer.len()
    }

    /// The path, and the first part of a body.
    fn upload(&self, upload: Upload) -> (&'static str, Vec<u8>) {
        let bytes: Vec<u8> = (0..SENT / 32).flat_map(|n| Digest::of(&n.to_le_bytes()).0).collect();
        let part = Part { len: ANNOUNCED as u64 };
        match upload {
            Upload::Item => (PATH_OUTBOX, begun(&OutboxFrame::Item(Box::new(self.envelope())), &bytes)),
            Upload::Listing => (PATH_COMPARE_LISTING, begun(&ListingFrame::Items(part), &bytes)),
            Upload::Question => (PATH_COMPARE, begun(&AskFrame::Items(part), &bytes)),
        }
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            kind: ItemKind::Attempt,
            item: random::uuid(),
            org: self.org.clone(),
            origin: self.node,
            version: 1,
            previous: None,
            digest: Digest::of(b"never comes"),
            size: ANNOUNCED as u64,
            form: 1,
            execution: None,
            delivery: None,
            test_taker: None,
            state: None,
            started_at: None,
            finished_at: None,
            counts: Counts::default(),
        }
    }
}

/// A frame of which this much of the body was sent.
fn begun(header: &(impl Header + Serialize), bytes: &[u8]) -> Vec<u8> {
    let mut writer = FrameWriter::new().unwrap();
    writer.begin(header).unwrap();
    writer.part(bytes).unwrap();
    writer.flush().unwrap()
}

impl Peer {
    async fn connect(central: &Central) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(ROOM).unwrap();
        let stream = socket.connect(central.address).await.unwrap();
        let port = stream.local_addr().unwrap().port();
        let config = client_config(Some(central.fingerprint.parse().unwrap())).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Self { stream: TlsConnector::from(config).connect(name, stream).await.unwrap(), port }
    }

    async fn send(mut self, bytes: &[u8]) -> Self {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
        self
    }

    /// Asks for everything, and takes nothing.
    pub async fn asks_for_feed(central: &Central, pass: &Pass) -> Self {
        let head = pass.head("GET", &format!("{PATH_FEED}?after="), 0);
        Self::connect(central).await.send(head.as_bytes()).await
    }

    /// Begins to send, and stops in the middle.
    pub async fn begins(central: &Central, pass: &Pass, upload: Upload) -> Self {
        let (path, body) = pass.upload(upload);
        let mut bytes = pass.head("POST", path, ANNOUNCED).into_bytes();
        bytes.extend(body);
        Self::connect(central).await.send(&bytes).await
    }

    /// Bytes that have come and were not taken.
    pub async fn waiting(&self) -> usize {
        let mut bytes = vec![0; 1024 * 1024];
        self.stream.get_ref().0.peek(&mut bytes).await.unwrap()
    }

    /// All that comes until the other side ends or cuts.
    pub async fn read_to_end(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes).await;
        bytes
    }
}
