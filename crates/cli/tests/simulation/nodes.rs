//! Machines: each a directory and a runtime of its own. Killing one drops everything it was doing, where it was; what
//! counts afterwards is what its disk holds.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use taosync::commands::init;
use taosync::commands::restore::{self, There};
use taosync::config::{NewNode, Place};
use taosync::context::Context;
use taosync::failure::Failure;
use taosync::node::Node;
use taosync::output::Output;
use taosync_model::clock::ShiftedClock;
use taosync_model::{OrgId, vocabulary as v};
use taosync_server::{Central as CentralState, ListenLimits, central_router, serve};
use taosync_store::Store;
use taosync_store::consumers::NewConsumer;
use taosync_store::remotes::NewRemote;
use taosync_store::settings::Role;
use taosync_sync::runner::Runner;
use taosync_vault::backup_seal::Opening;
use taosync_vault::keyring::Keyring;
use taosync_vault::node_identity::NodeIdentity;
use taosync_vault::random;
use taosync_vault::tls::Tls;
use taosync_vault::tokens::TokenHash;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::line::Line;
use crate::picture::picture;
use crate::schedule::{LOCALS, Reopen, Who};

/// How long threads of a killed machine may take to end.
const DYING: Duration = Duration::from_secs(10);
/// Entities between two checkpoints of central's feed: few, so that little data makes many chunks.
const CHUNK: usize = 7;

/// The machine was killed while it worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// A machine; off when it has no process.
pub struct Machine {
    pub dir: PathBuf,
    pub clock: Arc<ShiftedClock>,
    role: Role,
    ahead: i64,
    /// Counts its deaths, and the pictures of its disk it was started from.
    lives: Arc<AtomicU32>,
    process: Option<Process>,
}

struct Process {
    runtime: Runtime,
    node: Node,
    runner: Option<Runner>,
    address: Option<SocketAddr>,
}

impl Machine {
    async fn start_in(dir: PathBuf, role: Role) -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let mut machine = Self { dir, clock, role, ahead: 0, lives: Arc::default(), process: None };
        machine.start().await;
        machine
    }

    /// Switches it on.
    pub async fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (context, role) = (self.context(), self.role);
        let started = runtime.spawn(async move {
            let node = Node::open(&context).await.unwrap();
            let window = node.config.result_service.reactivation_window();
            match role {
                Role::Central => (node.clone(), None, Some(listen(&node).await)),
                Role::Local => (node.clone(), Some(Runner::open(node.store, window).await.unwrap()), None),
            }
        });
        let (node, runner, address) = started.await.unwrap();
        self.process = Some(Process { runtime, node, runner, address });
    }

    /// Kills it: everything it was doing ends where it is.
    pub async fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        let runtime = process.runtime;
        // What it says while it dies, nobody hears.
        self.lives.fetch_add(1, Ordering::SeqCst);
        // The last handles of the store go before the threads that serve them.
        drop((process.node, process.runner));
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(DYING)).await.unwrap();
    }

    /// Fills its directory from a backup. What was interrupted is done again beside what is there by then.
    async fn restore(&self, backup: &Path, opening: &Opening, death: Option<Duration>) -> Result<bool, Failure> {
        let start = |there| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let (context, backup, opening) = (self.context(), backup.to_owned(), opening.clone());
            let work = runtime.spawn(async move {
                restore::put_back(&context, &backup, opening, there, &BTreeSet::new()).await.map(drop)
            });
            (runtime, work)
        };
        let (runtime, mut work) = start(There::Refuse);
        let ended = match death {
            Some(death) => tokio::time::timeout(death, &mut work).await.ok(),
            None => Some(work.await),
        };
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(DYING)).await.unwrap();
        if let Some(ended) = ended {
            return ended?.map(|()| false);
        }
        let (runtime, work) = start(There::MoveAside);
        let ended = work.await;
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(DYING)).await.unwrap();
        ended?.map(|()| true)
    }

    /// Starts something on it.
    pub fn spawn<F: Future<Output: Send> + Send + 'static>(&self, work: F) -> Work<F::Output> {
        let handle = self.process.as_ref().expect("the machine is on").runtime.spawn(work);
        Work { handle, lives: self.lives.clone(), life: self.lives.load(Ordering::SeqCst) }
    }

    /// Does something on it that nobody disturbs.
    pub async fn run<F: Future<Output: Send> + Send + 'static>(&self, work: F) -> F::Output {
        self.spawn(work).ended().await.expect("nobody kills it now")
    }

    /// What a command on this machine is given.
    pub fn context(&self) -> Context {
        Context { place: Place::new(Some(&self.dir)), output: Output::Json, clock: self.clock.clone() }
    }

    pub fn node(&self) -> Node {
        self.process.as_ref().expect("the machine is on").node.clone()
    }

    pub fn store(&self) -> Store {
        self.node().store
    }

    pub fn runner(&self) -> Runner {
        self.process.as_ref().and_then(|process| process.runner.clone()).expect("a local server that is on")
    }

    /// Sets its clock ahead by so many seconds of the right time.
    pub fn set_ahead(&mut self, seconds: i64) {
        self.clock.shift(seconds - self.ahead);
        self.ahead = seconds;
    }

    pub fn ahead(&self) -> i64 {
        self.ahead
    }

    /// Takes a picture of its disk as it is now, and goes on from there.
    fn move_to_copy(&mut self) {
        let copy = self.next_dir();
        picture(&self.dir, &copy);
        self.dir = copy;
    }

    /// Where it goes on; what it did and was not seen on the disk before never happened.
    fn next_dir(&self) -> PathBuf {
        let life = self.lives.fetch_add(1, Ordering::SeqCst) + 1;
        let name = self.dir.file_name().unwrap().to_string_lossy().into_owned();
        let name = name.split('-').next().unwrap_or_default();
        self.dir.with_file_name(format!("{name}-{life}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.runtime.shutdown_background();
        }
    }
}

/// Something that runs on a machine.
pub struct Work<T> {
    handle: JoinHandle<T>,
    lives: Arc<AtomicU32>,
    life: u32,
}

impl<T> Work<T> {
    /// What it came to, or that the machine was killed. What was done after the last picture of a disk never happened.
    /// A panic goes on.
    pub async fn ended(&mut self) -> Result<T, Gone> {
        let answer = (&mut self.handle).await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Gone,
        })?;
        if self.lives.load(Ordering::SeqCst) == self.life { Ok(answer) } else { Err(Gone) }
    }

    pub fn is_over(&self) -> bool {
        self.handle.is_finished()
    }
}

async fn listen(node: &Node) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut state = CentralState::new(node.store.clone(), node.blobs().await.unwrap(), node.identity);
    state.chunk_size = CHUNK;
    let config = Tls::open(&node.place.keys()).unwrap().server_config();
    tokio::spawn(async move {
        let never = std::future::pending::<()>();
        serve(listener, central_router(state), Some(config), ListenLimits::default(), never).await.unwrap();
    });
    address
}

/// All machines of a schedule and the lines between them.
pub struct Nodes {
    pub central: Machine,
    /// Those of the beginning, then copies of them.
    pub locals: Vec<Machine>,
    /// Of which one of the beginning each is.
    bases: Vec<usize>,
    lines: Vec<Line>,
    pictures: usize,
    /// Who can open the backups.
    pub keeper: NodeIdentity,
    /// What nobody may ever read in a file or a log.
    pub secrets: Vec<String>,
    place: TempDir,
}

impl Nodes {
    /// Fresh machines, each local joined to central through a line of its own.
    pub async fn start() -> Self {
        let place = tempfile::tempdir_in(fast_place()).unwrap();
        let template = template();
        for entry in std::fs::read_dir(template).unwrap() {
            let entry = entry.unwrap();
            picture(&entry.path(), &place.path().join(entry.file_name()));
        }
        let central = Machine::start_in(place.path().join("central"), Role::Central).await;
        let mut nodes = Self {
            central,
            locals: Vec::new(),
            bases: Vec::new(),
            lines: Vec::new(),
            pictures: 0,
            keeper: NodeIdentity::generate(),
            secrets: Vec::new(),
            place,
        };
        for number in 0..LOCALS.len() {
            nodes.join(number).await;
        }
        nodes.open_lines();
        nodes
    }

    async fn join(&mut self, number: usize) {
        let dir = self.place.path().join(format!("local{number}"));
        let local = Machine::start_in(dir, Role::Local).await;
        let line = Line::lay().await;
        let orgs: Vec<OrgId> = LOCALS[number].iter().map(|org| OrgId::new(*org).unwrap()).collect();
        let secret = random::token();
        let client_key = random::uuid().simple().to_string();
        let consumer = NewConsumer {
            client_key: client_key.clone(),
            secret_hash: TokenHash::of(&secret),
            user: "test".into(),
            role: v::ROLE_SYNC_MANAGER.into(),
            orgs: orgs.clone(),
        };
        let store = self.central.store();
        self.central.run(async move { store.consumer_create(&consumer).await.unwrap() }).await;
        self.secrets.push(secret.expose_secret().to_owned());
        let tls = Tls::open(&self.central.dir.join("keys")).unwrap();
        let remote = NewRemote {
            root_url: line.url(),
            token_url: format!("{}api/v1/oauth/token", line.url()),
            client_key,
            secret: SecretString::from(secret.expose_secret().to_owned()),
            ca_fingerprint: Some(tls.fingerprint()),
            kind: taosync_store::remotes::RemoteKind::Taosync,
        };
        let store = local.store();
        local
            .run(async move {
                let remote = store.remote_put(&remote).await.unwrap();
                for org in orgs {
                    store.replica_open(remote, &org).await.unwrap();
                }
            })
            .await;
        self.locals.push(local);
        self.bases.push(number);
        self.lines.push(line);
    }

    pub fn machine(&self, who: Who) -> &Machine {
        match who {
            Who::Central => &self.central,
            Who::Local(number) => &self.locals[self.any(number)],
        }
    }

    pub fn machine_mut(&mut self, who: Who) -> &mut Machine {
        match who {
            Who::Central => &mut self.central,
            Who::Local(number) => {
                let number = self.any(number);
                &mut self.locals[number]
            }
        }
    }

    /// Numbers may count further than there are local servers.
    pub fn any(&self, local: usize) -> usize {
        local % self.locals.len()
    }

    /// Which local server of the beginning this one is, or is a copy of.
    pub fn base(&self, local: usize) -> usize {
        self.bases[self.any(local)]
    }

    pub fn is_copy(&self, local: usize) -> bool {
        self.any(local) >= LOCALS.len()
    }

    /// The orgs of a local server.
    pub fn orgs(&self, local: usize) -> &'static [&'static str] {
        LOCALS[self.base(local)]
    }

    /// The line of a local server; copies share it.
    pub fn line(&self, local: usize) -> &Line {
        &self.lines[self.base(local)]
    }

    /// Puts a picture of a machine's disk aside.
    pub fn save(&mut self, who: Who) -> PathBuf {
        self.pictures += 1;
        let aside = self.place.path().join(format!("aside-{}", self.pictures));
        picture(&self.machine(who).dir, &aside);
        aside
    }

    /// Switches a machine off and on again with what was put aside.
    pub async fn put_back(&mut self, who: Who, aside: &Path) {
        self.sever(who);
        let machine = self.machine_mut(who);
        machine.kill().await;
        let dir = machine.next_dir();
        picture(aside, &dir);
        machine.dir = dir;
        machine.start().await;
        self.open_lines();
    }

    /// The file of the next backup.
    pub fn next_backup(&mut self) -> PathBuf {
        self.pictures += 1;
        self.place.path().join(format!("backup-{}.age", self.pictures))
    }

    /// Makes a machine again from a backup, in another directory, and switches it on. Says whether it was interrupted and
    /// done again.
    pub async fn restore(&mut self, who: Who, backup: &Path, death: Option<Duration>) -> Result<bool, Failure> {
        self.sever(who);
        let opening = Opening::Identity(self.keeper.to_text());
        let machine = self.machine_mut(who);
        machine.kill().await;
        machine.dir = machine.next_dir();
        let interrupted = machine.restore(backup, &opening, death).await?;
        machine.start().await;
        self.open_lines();
        Ok(interrupted)
    }

    /// Switches on a second machine with the directory of a local server.
    pub async fn copy(&mut self, local: usize) {
        let (local, base) = (self.any(local), self.base(local));
        let dir = self.place.path().join(format!("copy{}", self.locals.len()));
        picture(&self.locals[local].dir, &dir);
        self.locals.push(Machine::start_in(dir, Role::Local).await);
        self.bases.push(base);
    }

    /// A person's word that this local server is one of its own (`taosync node renew`).
    pub async fn renew(&mut self, local: usize) {
        let machine = &mut self.locals[local];
        let store = machine.store();
        machine.run(async move { store.identity_renew().await.unwrap() }).await;
        machine.kill().await;
        Keyring::renew_node(&machine.dir.join("keys")).unwrap();
        machine.start().await;
    }

    /// Kills a machine and starts it again.
    pub async fn restart(&mut self, who: Who, reopen: Reopen) {
        if reopen == Reopen::CopyOfFiles {
            // What it says after its last picture must be heard by nobody.
            self.sever(who);
            self.machine_mut(who).move_to_copy();
        }
        self.machine_mut(who).kill().await;
        self.sever(who);
        self.machine_mut(who).start().await;
        self.open_lines();
    }

    fn sever(&self, who: Who) {
        for (number, line) in self.lines.iter().enumerate() {
            let concerned = match who {
                Who::Central => true,
                Who::Local(local) => self.base(local) == number,
            };
            if concerned {
                line.sever();
            }
        }
    }

    fn open_lines(&self) {
        let address = self.central.process.as_ref().and_then(|process| process.address).expect("central is on");
        for line in &self.lines {
            line.lead_to(address);
        }
    }

    /// Switches everything off.
    pub async fn end(mut self) {
        for local in &mut self.locals {
            local.kill().await;
        }
        self.central.kill().await;
    }

    /// All directories that were ever used.
    pub fn place(&self) -> &Path {
        self.place.path()
    }
}

/// Memory is faster than a disk; what a power cut takes away is taken by hand here, not by the disk.
fn fast_place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Directories with keys, certificate and an empty database: made once, copied for each schedule.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let made = TEMPLATE.get_or_init(|| {
        let place = tempfile::tempdir_in(fast_place()).unwrap();
        let path = place.path().to_owned();
        let making = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                initialise(&path.join("central"), Role::Central).await;
                for number in 0..LOCALS.len() {
                    initialise(&path.join(format!("local{number}")), Role::Local).await;
                }
            });
        });
        making.join().unwrap();
        place
    });
    made.path()
}

async fn initialise(dir: &Path, role: Role) {
    let place = Place::new(Some(dir));
    let context = Context { place: place.clone(), output: Output::Json, clock: Arc::new(ShiftedClock::default()) };
    let listen = "127.0.0.1:0".parse().unwrap();
    let new = NewNode { role, listen, plain_http: false, public_url: None, hosts: Vec::new() };
    init::make(&context, &new).await.unwrap();
    // Nothing is kept longer than it must be.
    let text = std::fs::read_to_string(place.config_file()).unwrap();
    let (before, after) = text.split_once("keep_days = 14").expect("days");
    std::fs::write(place.config_file(), format!("{before}keep_days = 0{after}")).unwrap();
}
