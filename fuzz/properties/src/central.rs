//! A central that listens on loopback, with one organisation and one package, and a connection to it. Made once for a
//! process: the real server, so that what is checked is what a stranger meets.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use taosync_model::clock::SystemClock;
use taosync_model::delivery::PackageRef;
use taosync_model::readiness::Readiness;
use taosync_model::vocabulary as v;
use taosync_model::{Clock as _, Digest, Entity, EntityType, OrgId};
use taosync_server::pages::Desk;
use taosync_server::{Central, ListenLimits, central_router, serve};
use taosync_store::accounts::sessions::Holder;
use taosync_store::accounts::{AccountRole, NewAccount};
use taosync_store::blobs::Blobs;
use taosync_store::consumers::NewConsumer;
use taosync_store::entities::Change;
use taosync_store::packages::{ChunkRef, NewPackage};
use taosync_store::settings::{Identity, Role};
use taosync_store::tokens::NewToken;
use taosync_store::{Durability, Store};
use taosync_sync::tao::Compat;
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::node_key::NodeKey;
use taosync_vault::proof::{Proof, ProofClaims};
use taosync_vault::tokens::TokenHash;
use taosync_vault::{Keyring, passwords, random};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

pub(crate) const ORG: &str = "School-7";
/// Credentials that are right, as the kept inputs have them.
pub(crate) const CLIENT: &str = "key";
pub(crate) const SECRET: &str = "secret";
/// Key of the node the consumer belongs to.
pub(crate) const NODE_SEED: [u8; 32] = [7; 32];
/// The host of the central.
pub(crate) const HOST: &str = "central.example";
/// The one version of TAO that is let in.
pub(crate) const TAO_VERSION: &str = "1";
/// Bytes of the one chunk.
pub(crate) const CHUNK: &[u8] = &[9; 300];
/// Bytes an answer may have here: everything there is at this central.
const MAX_ANSWER: usize = 64 * 1024;

pub(crate) struct Place {
    runtime: Runtime,
    address: std::net::SocketAddr,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
    /// A token of [`ORG`].
    pub token: String,
    /// A token for TAO's protocol.
    pub tao_token: String,
    /// The session of somebody who is signed in at the pages.
    pub session: SecretString,
    _home: TempDir,
}

/// The central of this process.
pub(crate) fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let home = home();
        let (address, token, tao_token, session) = runtime.block_on(open(&home));
        Place { runtime, address, connection: Mutex::new(None), token, tao_token, session, _home: home }
    })
}

/// In memory where the machine has such a place: every request of a feed reaches the disk.
fn home() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder can be made")
}

async fn open(home: &TempDir) -> (std::net::SocketAddr, String, String, SecretString) {
    let keyring = Arc::new(Keyring::create(&home.path().join("keys")).expect("keys can be made"));
    let store = Store::open(home.path(), keyring, Arc::new(SystemClock)).await.expect("a store can be made");
    let identity = Identity { node: random::uuid(), role: Role::Central, epoch: random::uuid() };
    store.identity_set(&identity).await.expect("an identity can be set");
    let blobs = Blobs::open(home.path()).await.expect("a place for chunks can be made");
    publish(&store, &blobs).await;
    let compat = Compat { supported_versions: vec![TAO_VERSION.to_owned()], ..Compat::default() };
    compat.save(&store).await.expect("settings are kept");
    let (token, tao_token) = consumer(&store).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    let session = signed_in(&store).await;
    let router = central_router(Central::new(store, blobs, identity).with_desk(desk()));
    tokio::spawn(serve(listener, router, None, ListenLimits::default(), std::future::pending()));
    (address, token, tao_token, session)
}

/// An administrator who is signed in, and whose password nobody knows.
async fn signed_in(store: &Store) -> SecretString {
    let (kept, token) = (SecretString::from("no hash of any password"), random::token());
    let new = NewAccount { login: "office", role: AccountRole::Administrator, orgs: &BTreeSet::new(), password: &kept };
    let id = store.account_add(&new, "fuzzer").await.expect("an account is made");
    store.session_open(&TokenHash::of(&token), &Holder::Account(id), &kept).await.expect("a session is opened");
    token
}

/// Every act is done by doing nothing: what counts is whether it is asked for.
fn desk() -> Desk {
    let readiness = || Readiness { ready: true, since: jiff::Timestamp::UNIX_EPOCH, checks: Vec::new() };
    Desk {
        look: Box::new(move || Box::pin(async move { Ok(readiness()) })),
        act: Box::new(|_, _| Box::pin(async { Ok(()) })),
        tls_in_front: false,
    }
}

/// A center with its manager, an eligibility, and a delivery with a package.
async fn publish(store: &Store, blobs: &Blobs) {
    let key = DeliveryKey::generate();
    let tree = key.seal(b"tree");
    let reference = PackageRef {
        version: 1,
        tree_digest: Digest::of(b"tree"),
        compiled_digest: Digest::of(b"compiled"),
        compiler: 1,
        sealed_tree: Digest::of(&tree),
        sealed_tree_bytes: tree.len() as u64,
        files: 1,
        bytes: 1,
    };
    let chunks = [ChunkRef { name: Digest::of(CHUNK), bytes: CHUNK.len() as u64 }];
    blobs.put_batch(vec![(Digest::of(CHUNK), CHUNK.to_vec()), (reference.sealed_tree, tree)]).await.expect("kept");
    let delivery = Entity { package: Some(reference.clone()), ..Entity::new("urn:x:delivery", v::CLASS_DELIVERY) };
    let center = Entity::new("urn:x:center", v::CLASS_TEST_CENTER).with(v::ORGANISATION_ID, ORG);
    let eligibility = Entity::new("urn:x:eligibility", v::CLASS_ELIGIBILITY)
        .with(v::ELIGIBLE_TEST_CENTER, "urn:x:center")
        .with(v::ELIGIBLE_DELIVERY, "urn:x:delivery");
    let manager = Entity::new("urn:x:manager", v::CLASS_TAO_USER)
        .with(v::USER_LOGIN, CLIENT)
        .with(v::USER_PASSWORD, passwords::tao_hash(&SecretString::from(SECRET)))
        .with(v::USER_ROLES, v::ROLE_SYNC_MANAGER)
        .with(v::ORGANISATION_ID, ORG);
    let changes = vec![
        Change::Upsert(EntityType::SyncManager, manager),
        Change::Upsert(EntityType::TestCenter, center),
        Change::Upsert(EntityType::Delivery, delivery),
        Change::Upsert(EntityType::Eligibility, eligibility),
    ];
    let mut tx = store.write("publish", Durability::Flushed).await.expect("a transaction begins");
    store.entities_change(&mut tx, changes).await.expect("entities are written");
    let new = NewPackage { delivery: "urn:x:delivery", reference: &reference, chunks: &chunks };
    store.package_publish(&mut tx, &new, &key).await.expect("the package is published");
    store.scope_register(&mut tx, &org()).await.expect("the scope is registered");
    tx.commit().await.expect("it is written");
}

fn org() -> OrgId {
    OrgId::new(ORG).expect("an organisation id")
}

/// A consumer with the right credentials, and tokens of it: one for each protocol.
async fn consumer(store: &Store) -> (String, String) {
    let new = NewConsumer {
        client_key: CLIENT.to_owned(),
        secret_hash: TokenHash::of(&SecretString::from(SECRET)),
        user: "manager".to_owned(),
        role: "sync manager".to_owned(),
        orgs: vec![org()],
    };
    store.consumer_create(&new).await.expect("a consumer is made");
    let login = store.consumer_login(CLIENT).await.expect("it is read").expect("it is there");
    let consumer = login.consumer.id;
    let node = node(store, consumer).await;
    (issue(store, consumer, Some(node)).await, issue(store, consumer, None).await)
}

async fn issue(store: &Store, consumer: uuid::Uuid, node: Option<uuid::Uuid>) -> String {
    let token = random::token();
    let (org, expires_at) = (org(), jiff::Timestamp::MAX);
    let new = NewToken { hash: TokenHash::of(&token), consumer, org: &org, node, expires_at };
    store.token_issue(&new).await.expect("a token is issued");
    token.expose_secret().to_owned()
}

async fn node(store: &Store, consumer: uuid::Uuid) -> uuid::Uuid {
    let key = NodeKey::from_seed(&NODE_SEED);
    let hello = taosync_store::nodes::NodeHello {
        id: store.clock().new_id(),
        thumbprint: key.thumbprint(),
        public_key: key.public(),
        recipient: store.keyring().identity().recipient(),
        version: "0".to_owned(),
        consumer,
        former: Vec::new(),
    };
    let _noted = store.node_seen(&hello, u32::MAX).await.expect("a node is noted");
    hello.id
}

/// A request whose path and headers come from an input; `None` when HTTP has no form for them.
pub(crate) fn request(
    method: &str,
    path: &[u8],
    headers: &[(&'static str, &[u8])],
    body: Vec<u8>,
) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::builder().method(method).uri(Uri::try_from(path).ok()?);
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?);
    }
    request.body(Full::new(body.into())).ok()
}

/// The request with its token and a proof of the node key for it.
pub(crate) fn signed(mut request: Request<Full<Bytes>>, token: &str) -> Request<Full<Bytes>> {
    let address = format!("http://{HOST}{}", request.uri().path());
    let (key, method) = (NodeKey::from_seed(&NODE_SEED), request.method().clone());
    let (now, secret) = (SystemClock.now(), SecretString::from(token));
    let proof = Proof::sign(&key, method.as_str(), &address, now, None, Some(&secret), ProofClaims::default());
    for (name, value) in [("host", HOST.to_owned()), ("authorization", format!("DPoP {token}")), ("dpop", proof)] {
        let value = HeaderValue::from_str(&value).expect("a header");
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    request
}

impl Place {
    /// Sends a request and reads the whole answer, which is as all answers of our own protocol are.
    pub fn ask(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let answer = self.exchange(request);
        sound(&answer);
        answer
    }

    /// Sends a request and reads the whole answer.
    pub fn exchange(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        self.runtime.block_on(async {
            let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
            let is_ready = match &mut kept {
                Some(connection) => connection.ready().await.is_ok(),
                None => false,
            };
            let mut connection = match kept {
                Some(connection) if is_ready => connection,
                _ => self.connect().await,
            };
            let answer = connection.send_request(request).await.expect("a request is answered, whatever it holds");
            let (head, body) = answer.into_parts();
            let body = body.collect().await.expect("an answer ends as it should").to_bytes();
            *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
            assert!(body.len() <= MAX_ANSWER, "an answer of {} bytes", body.len());
            Response::from_parts(head, body)
        })
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.expect("the central listens");
        let (connection, driver) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
        tokio::spawn(driver);
        connection
    }
}

/// What holds for every answer: it is no fault of the server, and names itself.
fn sound(answer: &Response<Bytes>) {
    assert!(!answer.status().is_server_error(), "{answer:?}");
    assert!(answer.headers().contains_key("taosync-request"), "{answer:?}");
    if answer.status().is_client_error() {
        let problem: serde_json::Value = serde_json::from_slice(answer.body()).expect("a refusal is JSON");
        let word = problem.get("code").or(problem.get("error")).and_then(|code| code.as_str());
        assert!(word.is_some_and(|word| !word.is_empty()), "a refusal has a code: {problem}");
        crate::shown(&problem);
    }
}
