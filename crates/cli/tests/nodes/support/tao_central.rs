//! A TAO central in the test's process: it answers as the recordings of a real one say, faults of the real one included,
//! and can be told to behave worse.

mod answers;
mod data;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use secrecy::SecretString;
use serde_json::Value;
use taosync_model::OrgId;
use taosync_store::remotes::{NewRemote, RemoteKind};
use taosync_wire::tao::PATH_TOKEN;
use taosync_wire::tao::query::Query;
use tokio::net::TcpListener;

pub use data::{CLASS, Recording, Row, School, properties};

use super::Local;

/// The only version that is let in.
pub const VERSION: &str = "2023.12";

/// What goes wrong, in which the type is spelled as on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Every page is the first one, and names a next one.
    Repeats(&'static str),
    /// The first page has half of what it should, and names no next one.
    CutShort(&'static str),
    /// The list is empty.
    Empty(&'static str),
    /// Every second list leaves out one more.
    Flickers(&'static str),
    /// Each page begins one early.
    Duplicates(&'static str),
    /// Listed, but not given.
    Vanishes(&'static str),
    /// Given with the checksum of something else.
    WrongChecksum(&'static str),
    /// Something that was not asked for comes along.
    Unasked(&'static str),
    /// Status 500 for paths that contain this, after so many that went well.
    Stumbles(&'static str, u32),
    /// An answer that begins and never ends, for paths that contain this, after so many that went well.
    Hangs(&'static str, u32),
    /// A page that is not TAO's, with status 200.
    LoginPage(&'static str),
    /// Done, but the answer is lost.
    AnswerLost(&'static str),
    /// Nothing is acknowledged, and nothing done.
    AckEmpty(&'static str),
    /// Acknowledged is something else.
    AckOfAnother(&'static str),
    /// Acknowledged is what was not done, as a failure.
    AckFailed(&'static str),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn query(&self) -> Query {
        Query::parse(&self.query)
    }
}

/// Everything this central knows.
pub struct Inside {
    pub school: School,
    /// Entities of a page.
    pub chunk: usize,
    /// Data are kept by organisation: some types come all at once.
    pub by_org: bool,
    pub fault: Fault,
    /// How often the fault showed itself.
    pub fired: u32,
    pub seen: Vec<Seen>,
    pub tokens: Vec<String>,
    /// Results that are held, by the name the box gave.
    pub results: Vec<(String, Value)>,
    pub logs: Vec<Value>,
    pub sessions: Vec<String>,
    pub users: Vec<Value>,
    pub confirmed: Vec<Value>,
}

type Shared = Arc<Mutex<Inside>>;

/// A TAO central that listens on loopback.
pub struct TaoCentral {
    pub address: SocketAddr,
    inside: Shared,
}

impl TaoCentral {
    pub async fn start(school: School) -> Self {
        let inside = Inside {
            school,
            chunk: 10,
            by_org: false,
            fault: Fault::None,
            fired: 0,
            seen: Vec::new(),
            tokens: Vec::new(),
            results: Vec::new(),
            logs: Vec::new(),
            sessions: Vec::new(),
            users: Vec::new(),
            confirmed: Vec::new(),
        };
        let inside = Arc::new(Mutex::new(inside));
        let router = Router::new().fallback(answer).with_state(inside.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, inside }
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub fn root(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on this goes wrong.
    pub fn suffers(&self, fault: Fault) {
        let mut inside = self.inside();
        inside.fault = fault;
        inside.fired = 0;
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inside().seen)
    }

    /// A local server that knows this central.
    pub async fn local(&self, org: &str) -> Local {
        let local = Local::start().await;
        local.join_tao(&self.root(), "key", "secret", org, None).await;
        local
    }
}

impl Local {
    /// What `oauth import --remote tao` leaves.
    pub async fn join_tao(&self, root: &str, key: &str, secret: &str, org: &str, fingerprint: Option<String>) {
        let new = NewRemote {
            root_url: root.to_owned(),
            token_url: format!("{root}{PATH_TOKEN}"),
            client_key: key.to_owned(),
            secret: SecretString::from(secret),
            ca_fingerprint: fingerprint,
            kind: RemoteKind::Tao { version: VERSION.into() },
        };
        let remote = self.store().remote_put(&new).await.unwrap();
        self.store().replica_open(remote, &OrgId::new(org).unwrap()).await.unwrap();
    }
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let seen = Seen {
        method,
        path: uri.path().trim_start_matches('/').to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    };
    let mut inside = shared.lock().unwrap();
    inside.seen.push(seen.clone());
    inside.answer(&seen)
}

fn json(status: u16, body: &Value) -> Response {
    response(status, body.to_string().into())
}

fn response(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
