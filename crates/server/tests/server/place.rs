//! A central with two organisations, each with one delivery of its own, listening on port 0.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use taosync_model::clock::ShiftedClock;
use taosync_model::delivery::PackageRef;
use taosync_model::vocabulary::{
    CLASS_DELIVERY, CLASS_ELIGIBILITY, CLASS_TEST_CENTER, ELIGIBLE_DELIVERY, ELIGIBLE_TEST_CENTER, ORGANISATION_ID,
};
use taosync_model::{Clock, Digest, Entity, EntityType, OrgId};
use taosync_server::{Central, ListenLimits, central_router, serve};
use taosync_store::blobs::Blobs;
use taosync_store::consumers::NewConsumer;
use taosync_store::entities::Change;
use taosync_store::packages::{ChunkRef, NewPackage};
use taosync_store::settings::{Identity, Role};
use taosync_store::{Durability, Store};
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::node_key::NodeKey;
use taosync_vault::proof::{Proof, ProofClaims};
use taosync_vault::succession::{Follows, FormerKey, vouch};
use taosync_vault::tls::Tls;
use taosync_vault::tokens::TokenHash;
use taosync_vault::{Keyring, random};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::desk::{Acts, desk};

/// A running server; dropping it leaves the socket to the end of the test.
pub struct Place {
    pub store: Store,
    pub blobs: Blobs,
    pub clock: Arc<ShiftedClock>,
    pub address: SocketAddr,
    pub fingerprint: String,
    pub stop: Option<oneshot::Sender<()>>,
    pub served: Option<tokio::task::JoinHandle<()>>,
    /// Machines by the tokens they were given.
    pub machines: Mutex<HashMap<String, Arc<Machine>>>,
    _home: TempDir,
}

/// A machine that asks for tokens.
pub struct Machine {
    pub keys: Keyring,
    pub id: Uuid,
    home: TempDir,
}

pub fn org(name: &str) -> OrgId {
    OrgId::new(name).unwrap()
}

pub fn delivery(name: &str) -> String {
    format!("http://example/delivery-{name}")
}

/// What the chunk of an org's package holds.
pub fn content(name: &str) -> Vec<u8> {
    format!("ciphertext of {name} ").repeat(1_000).into_bytes()
}

impl Place {
    pub async fn central() -> Self {
        Self::central_with(ListenLimits::default()).await
    }

    pub async fn central_with(limits: ListenLimits) -> Self {
        Self::open(Role::Central, limits, async |store, blobs, identity| {
            for name in ["a", "b"] {
                publish(&store, &blobs, name, &[content(name)]).await;
            }
            central_router(Central::new(store, blobs, identity).with_desk(desk(Acts::default())))
        })
        .await
    }

    pub async fn open(
        role: Role,
        limits: ListenLimits,
        router: impl AsyncFnOnce(Store, Blobs, Identity) -> Router,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let keys = home.path().join("keys");
        let keyring = Arc::new(Keyring::create(&keys).unwrap());
        let clock = Arc::new(ShiftedClock::default());
        let tls = Tls::create(&keys, &["localhost".to_owned()], clock.now()).unwrap();
        let store = Store::open(home.path(), keyring, clock.clone()).await.unwrap();
        let identity = Identity { node: random::uuid(), role, epoch: random::uuid() };
        store.identity_set(&identity).await.unwrap();
        let blobs = Blobs::open(home.path()).await.unwrap();
        let router = router(store.clone(), blobs.clone(), identity).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let config = tls.server_config();
        let served = tokio::spawn(async move {
            serve(listener, router, Some(config), limits, async { drop(stopped.await) }).await.unwrap();
        });
        let fingerprint = tls.fingerprint();
        let (stop, served) = (Some(stop), Some(served));
        let machines = Mutex::default();
        Self { store, blobs, clock, address, fingerprint, stop, served, machines, _home: home }
    }

    /// Makes a consumer and gives its secret.
    pub async fn consumer(&self, key: &str, orgs: &[&str]) -> SecretString {
        let secret = random::token();
        let new = NewConsumer {
            client_key: key.to_owned(),
            secret_hash: TokenHash::of(&secret),
            user: "manager".to_owned(),
            role: "sync manager".to_owned(),
            orgs: orgs.iter().map(|name| org(name)).collect(),
        };
        self.store.consumer_create(&new).await.unwrap();
        secret
    }

    pub fn token_url(&self) -> String {
        format!("https://localhost:{}/api/v1/oauth/token", self.address.port())
    }

    /// A token for an org, by the whole way.
    pub async fn token(&self, name: &str) -> String {
        self.token_of(&Arc::new(Machine::new()), name).await
    }

    /// As [`Place::token`], for a machine.
    pub async fn token_of(&self, machine: &Arc<Machine>, name: &str) -> String {
        let secret = self.consumer(&format!("consumer-{name}"), &[name]).await;
        let form =
            format!("grant_type=client_credentials&client_id=consumer-{name}&client_secret={}", secret.expose_secret());
        let answer = self.ask_token(&form, Some(&machine.proof(self))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        self.machines.lock().unwrap().insert(token.clone(), machine.clone());
        token
    }

    /// The lines of a signed request, for who writes it byte by byte.
    pub fn raw_head(&self, method: &str, path: &str, token: &str) -> String {
        let machine = self.machines.lock().unwrap()[token].clone();
        let (host, proof) = (format!("localhost:{}", self.address.port()), machine.sign(self, method, path, token));
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: DPoP {token}\r\ndpop: {proof}\r\n")
    }

    /// The request with a proof, if it shows a token of one of the machines and has none yet.
    pub fn signed(&self, mut request: Request<Body>) -> Request<Body> {
        let line = request.headers().get("authorization").and_then(|line| line.to_str().ok()).unwrap_or_default();
        let token = line.strip_prefix("DPoP").unwrap_or_default().trim();
        let machine = self.machines.lock().unwrap().get(token).cloned();
        if let Some(machine) = machine.filter(|_| !request.headers().contains_key("dpop")) {
            let proof = machine.sign(self, request.method().as_str(), request.uri().path(), token);
            request.headers_mut().insert("dpop", proof.parse().unwrap());
        }
        request
    }
}

impl Machine {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let keys = Keyring::create(&home.path().join("keys")).unwrap();
        Self { keys, id: random::uuid(), home }
    }

    pub fn proof(&self, place: &Place) -> String {
        self.proof_with(place, self.claims())
    }

    pub fn claims(&self) -> ProofClaims {
        ProofClaims {
            node: Some(self.id),
            recipient: Some(self.keys.identity().recipient()),
            version: Some("1.0.0".to_owned()),
            former: Vec::new(),
        }
    }

    /// What this machine says when it goes on from another one, whose key vouches for its own.
    pub fn after(&self, former: &Self, follows: Follows) -> ProofClaims {
        let file = std::fs::read_to_string(former.home.path().join("keys/node.key")).unwrap();
        let seed = URL_SAFE_NO_PAD.decode(file.trim()).unwrap().try_into().unwrap();
        let former = FormerKey { key: NodeKey::from_seed(&seed), follows };
        let word = vouch(&former, self.id, &self.keys.node_key().public());
        ProofClaims { former: vec![word], ..self.claims() }
    }

    /// A proof for one request with a token.
    pub fn sign(&self, place: &Place, method: &str, path: &str, token: &str) -> String {
        let url = format!("https://localhost:{}{path}", place.address.port());
        let (key, now, token) = (self.keys.node_key(), place.clock.now(), SecretString::from(token));
        Proof::sign(key, method, &url, now, None, Some(&token), ProofClaims::default())
    }

    /// A proof for a request by which this machine is to become known.
    pub fn proof_for(&self, place: &Place, path: &str) -> String {
        let url = format!("https://localhost:{}{path}", place.address.port());
        Proof::sign(self.keys.node_key(), "POST", &url, place.clock.now(), None, None, self.claims())
    }

    /// A proof of another time than it is here.
    pub fn proof_at(&self, place: &Place, made: Timestamp, nonce: Option<&str>) -> String {
        Proof::sign(self.keys.node_key(), "POST", &place.token_url(), made, nonce, None, self.claims())
    }

    pub fn proof_with(&self, place: &Place, claims: ProofClaims) -> String {
        Proof::sign(self.keys.node_key(), "POST", &place.token_url(), place.clock.now(), None, None, claims)
    }
}

/// A center, an eligibility and a delivery with a package of these chunks, for one org.
pub async fn publish(store: &Store, blobs: &Blobs, name: &str, chunks: &[Vec<u8>]) {
    let key = DeliveryKey::generate();
    let tree = key.seal(b"tree");
    let mut files: Vec<(Digest, Vec<u8>)> = chunks.iter().map(|bytes| (Digest::of(bytes), bytes.clone())).collect();
    let refs: Vec<ChunkRef> =
        files.iter().map(|(name, bytes)| ChunkRef { name: *name, bytes: bytes.len() as u64 }).collect();
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
    files.push((reference.sealed_tree, tree));
    blobs.put_batch(files).await.unwrap();
    let center = format!("http://example/center-{name}");
    let entities = [
        (EntityType::TestCenter, Entity::new(&center, CLASS_TEST_CENTER).with(ORGANISATION_ID, name)),
        (
            EntityType::Delivery,
            Entity { package: Some(reference.clone()), ..Entity::new(delivery(name), CLASS_DELIVERY) },
        ),
        (
            EntityType::Eligibility,
            Entity::new(format!("http://example/eligibility-{name}"), CLASS_ELIGIBILITY)
                .with(ELIGIBLE_TEST_CENTER, &center)
                .with(ELIGIBLE_DELIVERY, delivery(name)),
        ),
    ];
    let mut tx = store.write("test", Durability::Flushed).await.unwrap();
    let changes = entities.into_iter().map(|(entity_type, entity)| Change::Upsert(entity_type, entity));
    store.entities_change(&mut tx, changes.collect()).await.unwrap();
    let new = NewPackage { delivery: &delivery(name), reference: &reference, chunks: &refs };
    store.package_publish(&mut tx, &new, &key).await.unwrap();
    store.scope_register(&mut tx, &org(name)).await.unwrap();
    tx.commit().await.unwrap();
}
