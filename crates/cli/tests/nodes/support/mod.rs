//! A central and local servers on real sockets, with what tests want to know about them.

pub mod connect_proxy;
pub mod directories;
pub mod false_central;
pub mod proxy;
pub mod scissors;
pub mod tao_central;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Once};

use jiff::SignedDuration;
use scissors::Scissors;
use secrecy::{ExposeSecret as _, SecretString};
use taosync_model::clock::ShiftedClock;
use taosync_model::{Clock, Entity, EntityType, OrgId, Value, vocabulary as v};
use taosync_server::{Central as CentralState, ListenLimits, central_router, serve};
use taosync_store::audit::AuditEntry;
use taosync_store::blobs::Blobs;
use taosync_store::consumers::NewConsumer;
use taosync_store::entities::{Applied, Change};
use taosync_store::remotes::NewRemote;
use taosync_store::settings::{Identity, Role};
use taosync_store::{Durability, Store};
use taosync_sync::down::guard::Removals;
use taosync_sync::link::patience::Patience;
use taosync_sync::runner::Runner;
use taosync_sync::session::{self, Mode, Plan, Summary, SyncError, What};
use taosync_sync::up::UpLimits;
use taosync_vault::keyring::Keyring;
use taosync_vault::random;
use taosync_vault::tls::Tls;
use taosync_vault::tokens::TokenHash;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

static LOGS: Once = Once::new();

/// A node's directory with its open store.
pub struct Node {
    pub store: Store,
    pub clock: Arc<ShiftedClock>,
    pub dir: TempDir,
}

async fn node(role: Role) -> Node {
    LOGS.call_once(|| {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().init();
    });
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ShiftedClock::default());
    let keys = dir.path().join("keys");
    let mut keyring = Keyring::create(&keys).unwrap();
    let results_key = (role == Role::Central).then(|| keyring.add_results_key(&keys).unwrap());
    let store = Store::open(dir.path(), Arc::new(keyring), clock.clone()).await.unwrap();
    let identity = Identity { node: random::uuid(), role, epoch: random::uuid() };
    store.identity_set(&identity).await.unwrap();
    if let Some(recipient) = results_key {
        store.results_key_add(&recipient, "central", &by_test("results_key.add")).await.unwrap();
    }
    Node { store, clock, dir }
}

/// A line of the audit log.
pub fn by_test(act: &str) -> AuditEntry<'_> {
    AuditEntry { actor: "test", act, object: "test", detail: serde_json::Value::Null }
}

/// How a central listens.
#[derive(Clone, Copy, Default)]
pub struct Listening {
    pub limits: ListenLimits,
    /// Bytes of an answer the system takes before the client does; none: as much as it likes.
    pub send_buffer: Option<u32>,
}

impl Listening {
    fn bind(self, address: SocketAddr) -> TcpListener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes).unwrap();
        }
        socket.bind(address).unwrap();
        socket.listen(1024).unwrap()
    }
}

/// A central that listens.
pub struct Central {
    pub node: Node,
    pub address: SocketAddr,
    pub fingerprint: String,
    tls: Tls,
    listening: Listening,
    scissors: Option<Scissors>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Central {
    pub async fn start() -> Self {
        Self::start_with(Listening::default()).await
    }

    pub async fn start_with(listening: Listening) -> Self {
        let node = node(Role::Central).await;
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let tls = Tls::create(&node.dir.path().join("keys"), &hosts, node.clock.now()).unwrap();
        let fingerprint = tls.fingerprint();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut central = Self { node, address, fingerprint, tls, listening, scissors: None, running: None };
        central.listen().await;
        central
    }

    /// A central whose answers with chunks can be cut.
    pub async fn start_behind(scissors: &Scissors) -> Self {
        let mut central = Self::start().await;
        central.stop().await;
        central.scissors = Some(scissors.clone());
        central.listen().await;
        central
    }

    pub fn store(&self) -> &Store {
        &self.node.store
    }

    /// What central's listener shows who connects.
    pub fn tls_config(&self) -> Arc<rustls::ServerConfig> {
        self.tls.server_config()
    }

    /// Listens, again after [`Central::stop`], at the same address.
    pub async fn listen(&mut self) {
        let listener = self.listening.bind(self.address);
        self.address = listener.local_addr().unwrap();
        let blobs = Blobs::open(self.node.store.dir()).await.unwrap();
        let identity = self.node.store.identity().await.unwrap();
        let mut state = CentralState::new(self.node.store.clone(), blobs, identity);
        state.chunk_size = 50;
        let router = central_router(state);
        let router = self.scissors.as_ref().map_or(router.clone(), |scissors| scissors.around(router));
        let (stop, stopped) = oneshot::channel::<()>();
        let (config, limits) = (self.tls.server_config(), self.listening.limits);
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            serve(listener, router, Some(config), limits, shutdown).await.unwrap();
        });
        self.running = Some((stop, task));
    }

    /// Stops listening, as if the machine were switched off; the directory stays.
    pub async fn stop(&mut self) {
        if let Some((stop, task)) = self.running.take() {
            let _ = stop.send(());
            task.abort();
            let _ = task.await;
        }
    }

    /// The same central at the same address, started again with another store on the same directory.
    pub async fn with_store(mut self, store: Store) -> Self {
        self.stop().await;
        self.node.store = store;
        self.listen().await;
        self
    }

    pub async fn change(&self, changes: Vec<Change>) -> Applied {
        let store = self.store();
        let mut tx = store.write("test change", Durability::Flushed).await.unwrap();
        let applied = store.entities_change(&mut tx, changes).await.unwrap();
        tx.commit().await.unwrap();
        applied
    }

    /// A consumer for these orgs: key and secret.
    pub async fn consumer(&self, orgs: &[&str]) -> (String, SecretString) {
        let secret = random::token();
        let client_key = random::uuid().simple().to_string();
        let new = NewConsumer {
            client_key: client_key.clone(),
            secret_hash: TokenHash::of(&secret),
            user: "test".into(),
            role: v::ROLE_SYNC_MANAGER.into(),
            orgs: orgs.iter().map(|o| OrgId::new(*o).unwrap()).collect(),
        };
        self.store().consumer_create(&new).await.unwrap();
        (client_key, secret)
    }

    pub fn url(&self) -> String {
        format!("https://{}/", self.address)
    }

    /// Present members of an org, per type.
    pub async fn members(&self, org: &str) -> BTreeMap<EntityType, BTreeSet<String>> {
        let org = OrgId::new(org).unwrap();
        let mut members = BTreeMap::new();
        let state = self.store().feed_state(&org).await.unwrap().unwrap();
        for t in EntityType::FEED {
            let listing = self.store().scope_listing(state.scope, t).await.unwrap();
            members.insert(t, listing.into_keys().collect());
        }
        members
    }
}

/// A local server; its HTTP side is not needed to sync.
pub struct Local {
    pub node: Node,
}

impl Local {
    pub async fn start() -> Self {
        Self { node: node(Role::Local).await }
    }

    /// A local server that knows a central at an address, for these orgs of one consumer.
    pub async fn joined_at(central: &Central, root_url: &str, orgs: &[&str]) -> Self {
        let local = Self::start().await;
        local.join(central, root_url, orgs).await;
        local
    }

    pub async fn joined(central: &Central, org: &str) -> Self {
        Self::joined_at(central, &central.url(), &[org]).await
    }

    pub async fn join(&self, central: &Central, root_url: &str, orgs: &[&str]) {
        let (client_key, secret) = central.consumer(orgs).await;
        let new = NewRemote {
            root_url: root_url.to_owned(),
            token_url: format!("{root_url}api/v1/oauth/token"),
            client_key,
            secret: SecretString::from(secret.expose_secret().to_owned()),
            ca_fingerprint: Some(central.fingerprint.clone()),
            kind: taosync_store::remotes::RemoteKind::Taosync,
        };
        let remote = self.store().remote_put(&new).await.unwrap();
        for org in orgs {
            self.store().replica_open(remote, &OrgId::new(*org).unwrap()).await.unwrap();
        }
    }

    pub fn store(&self) -> &Store {
        &self.node.store
    }

    /// Changes the database behind the program's back.
    pub fn edit(&self, sql: &str) {
        let python = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); n=c.execute(sys.argv[2]).rowcount; c.commit(); \
                      sys.exit(0 if n > 0 else 1)";
        let path = self.node.dir.path().join("taosync.sqlite");
        let status = std::process::Command::new("python3").args(["-c", python]).arg(path).arg(sql).status().unwrap();
        assert!(status.success(), "the edit must have changed something: {sql}");
    }

    pub async fn runner(&self) -> Runner {
        Runner::open(self.store().clone(), SignedDuration::from_hours(24)).await.unwrap()
    }

    pub async fn sync_with(&self, plan: Plan) -> Result<Summary, SyncError> {
        session::run(self.store(), &plan, &|_| {}).await
    }

    pub async fn sync(&self, what: What) -> Summary {
        self.sync_with(plan(what)).await.unwrap()
    }

    /// A sync that must succeed and end equal.
    pub async fn sync_equal(&self) -> Summary {
        let summary = self.sync(What::All).await;
        assert_eq!(summary.status, "success", "{summary:#?}");
        assert!(summary.digest_equal, "{summary:#?}");
        assert_eq!(summary.proof, "digest");
        assert_eq!(self.store().replica_check().await.unwrap(), []);
        summary
    }

    pub async fn members(&self, org: &str) -> BTreeMap<EntityType, BTreeSet<String>> {
        let replicas = self.store().replicas_list().await.unwrap();
        let replica = replicas.iter().find(|r| r.org.as_str() == org).unwrap();
        let mut members = BTreeMap::new();
        for t in EntityType::FEED {
            let listing = self.store().replica_listing(replica.id, t).await.unwrap();
            members.insert(t, listing.into_iter().map(|(uri, _)| uri).collect());
        }
        members
    }
}

/// A sync with the usual settings.
pub fn plan(what: What) -> Plan {
    Plan {
        what,
        types: Vec::new(),
        org: None,
        mode: Mode::Apply,
        removals: Removals::Guarded,
        chunk_size: 100,
        patience: Patience::none(),
        up: UpLimits::default(),
        actor: "test".into(),
        version: "0.1.0".into(),
        encrypted: None,
        proxy: None,
    }
}

pub fn up(entity_type: EntityType, entity: Entity) -> Change {
    Change::Upsert(entity_type, entity)
}

pub fn taker_uri(n: usize) -> String {
    format!("http://central.example/t.rdf#taker{n}")
}

pub const DELIVERY: &str = "http://central.example/t.rdf#delivery1";

pub fn center(org: &str) -> Entity {
    Entity::new(format!("http://central.example/t.rdf#center-{org}"), v::CLASS_TEST_CENTER)
        .with(v::RDF_TYPE, v::CLASS_TEST_CENTER)
        .with(v::RDFS_LABEL, format!("Center {org}"))
        .with(v::ORGANISATION_ID, org)
}

pub fn eligibility_uri(org: &str) -> String {
    format!("http://central.example/t.rdf#eligibility-{org}")
}

pub fn taker(n: usize, orgs: &[&str]) -> Entity {
    let mut entity = Entity::new(taker_uri(n), v::CLASS_SUBJECT)
        .with(v::RDF_TYPE, v::CLASS_SUBJECT)
        .with(v::RDFS_LABEL, format!("Élève {n}"))
        .with(v::USER_LOGIN, format!("taker{n}"))
        .with(v::USER_FIRST_NAME, format!("First {n}"))
        .with(v::USER_PASSWORD, taosync_model::Digest::of(&n.to_le_bytes()).to_hex())
        .with(v::USER_ROLES, v::ROLE_TEST_TAKER);
    for org in orgs {
        entity.push(v::USER_ASSIGNMENT, Value::plain(eligibility_uri(org)));
    }
    entity
}

pub fn eligibility(org: &str, takers: impl IntoIterator<Item = usize>) -> Entity {
    let mut entity = Entity::new(eligibility_uri(org), v::CLASS_ELIGIBILITY)
        .with(v::RDFS_LABEL, format!("Eligibility {org}"))
        .with(v::ELIGIBLE_TEST_CENTER, format!("http://central.example/t.rdf#center-{org}"))
        .with(v::ELIGIBLE_DELIVERY, DELIVERY);
    for taker in takers {
        entity.push(v::ELIGIBLE_TEST_TAKER, Value::plain(taker_uri(taker)));
    }
    entity
}

/// An org with a center, an eligibility and these takers; the delivery has no package.
pub fn org(org: &str, takers: std::ops::Range<usize>) -> Vec<Change> {
    let mut changes = vec![
        up(EntityType::TestCenter, center(org)),
        up(EntityType::Delivery, Entity::new(DELIVERY, v::CLASS_DELIVERY).with(v::RDFS_LABEL, "Maths")),
        up(EntityType::Eligibility, eligibility(org, takers.clone())),
    ];
    changes.extend(takers.map(|n| up(EntityType::TestTaker, taker(n, &[org]))));
    changes
}
