//! Fetching at local: missing chunks only, verified, then compiled; a package is visible when all of it is right.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taosync_model::delivery::PackageRef;
use taosync_model::{Digest, Entity};
use taosync_packages::tree::{Pages, TreeFiles};
use taosync_packages::{COMPILER_VERSION, PackageError, Tree, compile};
use taosync_store::blobs::Blobs;
use taosync_store::packages::{ChunkRef, Kept, NewPackage, PackageContents};
use taosync_store::{Store, StoreError};
use taosync_vault::delivery_key::DeliveryKey;
use taosync_wire::v1;
use taosync_wire::v1::packages::{KeyWanted, Keys, KeysWanted, LockedKey};
use uuid::Uuid;

use super::contents::{joined_plain, read_pages};
use super::locked;
use super::meter::Meter;
use super::publish::chunk_refs;
use super::transfer::{Arrived, Fresh, Transfer};
use crate::link::patience::Patience;
use crate::link::{Link, LinkError, Request};
use crate::session::{Progress, SyncError};

/// Keys of one request at most.
const KEYS_AT_ONCE: usize = 100;

/// What fetching did.
#[derive(Clone, Debug, Default)]
pub struct FetchOutcome {
    /// Packages that became ready.
    pub fetched: u64,
    /// Packages that compiled to the expected digest.
    pub compiled: u64,
    /// Ciphertext bytes that travelled.
    pub bytes: u64,
    /// Chunks that travelled.
    pub chunks: u64,
    /// Files of packages that became ready.
    pub files: u64,
    /// How long it took.
    pub seconds: f64,
    /// Deliveries that are not ready, with the reason.
    pub failed: BTreeMap<String, String>,
}

/// Makes every delivery of the replica ready that is not. One that is broken does not hold up the others; nor does one
/// that a bad line keeps from coming, as long as others come. `outcome` is told truly also on an error.
pub async fn fetch(
    store: &Store,
    link: &Link,
    wanted: &BTreeMap<String, Entity>,
    patience: Patience,
    outcome: &mut FetchOutcome,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), SyncError> {
    let todo = not_ready(store, wanted).await?;
    if todo.is_empty() {
        return Ok(());
    }
    let since = Instant::now();
    progress(Progress::Phase("fetching tests".into()));
    let blobs = Blobs::open(store.dir()).await?;
    let meter = Meter::new(progress);
    let transfer = Transfer { store, link, blobs: &blobs, patience, meter: &meter, fresh: Fresh::new(&blobs) };
    let keys = keys(link, store, todo.iter().map(|package| (&*package.uri, &package.reference)));
    let result = match tokio::try_join!(keys, Box::pin(lists_of_pages(&transfer, &todo))) {
        Ok((keys, ())) => all(&transfer, &todo, &keys, outcome).await,
        Err(error) => Err(error),
    };
    outcome.bytes = meter.travelled().bytes;
    outcome.chunks = meter.travelled().chunks;
    outcome.seconds = since.elapsed().as_secs_f64();
    result
}

/// Brings what every package begins with, while central is asked for keys. A failure is one again when the list is
/// needed, and is told then.
async fn lists_of_pages(transfer: &Transfer<'_>, todo: &[Todo]) -> Result<(), SyncError> {
    let heads: Vec<_> = todo.iter().map(|package| head(&package.reference)).collect();
    match transfer.early(&heads).await {
        // Told once only: from then on the link goes by the new name.
        Err(renamed @ SyncError::Link(LinkError::Renamed)) => Err(renamed),
        Err(error) => {
            tracing::debug!(%error, "lists of pages did not come early");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The list of pages of a package.
fn head(reference: &PackageRef) -> ChunkRef {
    ChunkRef { name: reference.sealed_tree, bytes: reference.sealed_tree_bytes }
}

/// A package to be fetched.
pub(super) struct Todo {
    pub id: Uuid,
    pub uri: String,
    label: String,
    pub reference: PackageRef,
}

/// What was done for a package.
pub(super) enum Done {
    /// It was here, and is locked still.
    Nothing,
    /// All of its ciphertext is here now.
    Locked,
    /// It can be started; with so many files.
    Opened(u64),
}

/// What central says of keys, by URI.
#[derive(Default)]
pub(super) struct Known {
    /// Keys.
    pub open: BTreeMap<String, DeliveryKey>,
    /// Packages before their release.
    pub locked: BTreeMap<String, LockedKey>,
}

async fn not_ready(store: &Store, wanted: &BTreeMap<String, Entity>) -> Result<Vec<Todo>, SyncError> {
    let mut todo = Vec::new();
    for (entity, reference) in lacking(store, wanted).await? {
        let id = store.package_fetching(&NewPackage { delivery: &entity.uri, reference, chunks: &[] }).await?;
        let (uri, label) = (entity.uri.clone(), entity.label().to_owned());
        todo.push(Todo { id, uri, label, reference: reference.clone() });
    }
    Ok(todo)
}

/// Deliveries whose package is not ready here, with what central names.
pub(super) async fn lacking<'w>(
    store: &Store,
    wanted: &'w BTreeMap<String, Entity>,
) -> Result<Vec<(&'w Entity, &'w PackageRef)>, StoreError> {
    let mut named: Vec<_> = wanted.values().filter_map(|entity| Some((entity, entity.package.as_ref()?))).collect();
    let known: Vec<_> = named.iter().map(|(entity, reference)| (&*entity.uri, reference.version)).collect();
    let known = store.packages_get(&known).await?;
    named.retain(|(entity, reference)| {
        !known
            .iter()
            .any(|package| package.delivery == entity.uri && package.is_ready_as(reference) && package.unlocked)
    });
    Ok(named)
}

async fn all(
    transfer: &Transfer<'_>,
    todo: &[Todo],
    keys: &Known,
    outcome: &mut FetchOutcome,
) -> Result<(), SyncError> {
    let mut interrupted = None;
    let mut came = 0;
    for (at, package) in todo.iter().enumerate() {
        transfer.meter.begin(format!("fetching test {} of {}, {}", at + 1, todo.len(), package.label));
        let done = match keys.locked.get(&package.uri) {
            Some(locked) => locked::bring(transfer, package, locked).await,
            None => one(transfer, package, keys.open.get(&package.uri)).await.map(Done::Opened),
        };
        match done {
            Ok(Done::Nothing) => {}
            Ok(Done::Locked) => outcome.fetched += 1,
            Ok(Done::Opened(files)) => {
                outcome.fetched += 1;
                outcome.compiled += 1;
                outcome.files += files;
            }
            Err(error) if is_of_the_package(&error) => {
                let reason = error.to_string();
                transfer.store.package_failed(package.id, &reason).await?;
                outcome.failed.insert(package.uri.clone(), reason);
            }
            // Central may be unable to read one chunk, and cuts: the next package tells whether it was the line.
            Err(error)
                if error.is_temporary() && (interrupted.is_none() || transfer.meter.travelled().bytes > came) =>
            {
                came = transfer.meter.travelled().bytes;
                interrupted = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    interrupted.map_or(Ok(()), Err)
}

/// Whether an error says something about one package only: then it alone is put aside.
fn is_of_the_package(error: &SyncError) -> bool {
    match error {
        SyncError::Package(_) | SyncError::Link(LinkError::Protocol(_)) => true,
        SyncError::Link(LinkError::Problem(problem)) => problem.status == 404,
        SyncError::Store(error) => !error.is_temporary(),
        _ => false,
    }
}

/// Makes one package ready; says how many files it has.
async fn one(transfer: &Transfer<'_>, package: &Todo, key: Option<&DeliveryKey>) -> Result<u64, SyncError> {
    let key = key.ok_or_else(|| SyncError::Package("central gave no key for it that can be opened here".into()))?;
    let (arrived, landing) = transfer.landing();
    let (opened, landed) = tokio::join!(open(transfer, package, key, arrived), landing);
    transfer.fresh.forget();
    let opened = landed.and(opened)?;
    let contents = PackageContents {
        reference: Some(&package.reference),
        key: Some(key),
        tree: Some(&opened.tree),
        compiled: Some(&opened.compiled),
    };
    transfer.store.package_ready(package.id, &contents).await?;
    Ok(opened.files)
}

/// A package that compiles to what it does at central.
pub(super) struct Opened {
    pub tree: Kept,
    pub compiled: Kept,
    files: u64,
}

/// Fetches a package, and compiles it while it comes and lands.
async fn open(
    transfer: &Transfer<'_>,
    package: &Todo,
    key: &DeliveryKey,
    arrived: Arrived,
) -> Result<Opened, SyncError> {
    let Listed { tree, chunks, missing } = listed(transfer, package, key, &arrived).await?;
    let awaited = transfer.fresh.await_those(&missing);
    let fresh = transfer.fresh.clone();
    let compiled = compiled(move |name: &_| fresh.read(name), tree, &package.reference);
    let fetched = async move {
        let fetched = transfer.fetch(&chunks, missing, &arrived).await;
        // Nothing more comes: nobody waits for it, and what waits for company lands now.
        drop((awaited, arrived));
        fetched
    };
    let (fetched, compiled) = tokio::join!(fetched, compiled);
    fetched.and(compiled)
}

/// What a package consists of.
struct Listed {
    tree: Tree,
    chunks: Vec<ChunkRef>,
    /// Those of the chunks that are not here and not on their way to the disk, in the order in which they are best
    /// fetched.
    missing: Vec<Digest>,
}

/// Fetches the list of pages and the pages, and reads them.
async fn listed(
    transfer: &Transfer<'_>,
    package: &Todo,
    key: &DeliveryKey,
    arrived: &Arrived,
) -> Result<Listed, SyncError> {
    let reference = &package.reference;
    let head = [head(reference)];
    transfer.fetch(&head, transfer.missing(&head).await?, arrived).await?;
    let fresh = transfer.fresh.clone();
    let sealed = tokio::task::spawn_blocking(move || fresh.read(&head[0].name));
    let sealed = joined_plain(sealed.await).map_err(|e| SyncError::Package(e.to_string()))?;
    let pages = Pages::open(&sealed, key).map_err(broken)?;
    let list = chunk_refs(pages.all());
    needed(transfer.store, package, &list).await?;
    transfer.fetch(&list, transfer.missing(&list).await?, arrived).await?;
    let fresh = transfer.fresh.clone();
    let read = read_pages(move |name: &_| fresh.read(name), pages).await;
    let (tree, chunks) = read.map_err(|e| SyncError::Package(e.to_string()))?;
    if tree.tree_digest() != reference.tree_digest {
        return Err(SyncError::Package("its list of files is not the one that was published".into()));
    }
    needed(transfer.store, package, &chunks).await?;
    let mut missing = transfer.missing(&chunks).await?;
    // Pages are among them; they came, and land meanwhile.
    let came: HashSet<_> = list.iter().chain(&head).map(|chunk| chunk.name).collect();
    missing.retain(|name| !came.contains(name));
    transfer.meter.expect_files(&tree, &missing);
    let early: HashMap<_, _> = tree.compiled_from().into_iter().map(|chunk| chunk.name).zip(0..).collect();
    missing.sort_by_key(|name| early.get(name).copied().unwrap_or(usize::MAX));
    Ok(Listed { tree, chunks, missing })
}

/// Ties chunks to the package before anybody looks whether they are here: from now on they are no garbage.
pub(super) async fn needed(store: &Store, package: &Todo, chunks: &[ChunkRef]) -> Result<(), SyncError> {
    let new = NewPackage { delivery: &package.uri, reference: &package.reference, chunks };
    store.package_fetching(&new).await?;
    Ok(())
}

/// Compiles the fetched files, which may be on their way still, and compares with what central got.
pub(super) async fn compiled(
    fetch: impl Fn(&Digest) -> std::io::Result<Vec<u8>> + Send + 'static,
    tree: Tree,
    reference: &PackageRef,
) -> Result<Opened, SyncError> {
    same_compiler(reference)?;
    let expected = reference.compiled_digest;
    let work = move || {
        let json = serde_json::to_vec(&tree).map_err(|e| SyncError::Package(e.to_string()))?;
        let (tree_kept, files) = (Kept::of(&json), tree.files.len() as u64);
        let compiled = compile(&TreeFiles::new(&tree, &fetch), tree.test.as_deref()).map_err(broken)?;
        if compiled.digest != expected {
            return Err(SyncError::Package("it compiles to something else than at central".into()));
        }
        Ok(Opened { tree: tree_kept, compiled: Kept::of(&compiled.bytes), files })
    };
    joined_plain(tokio::task::spawn_blocking(work).await)
}

pub(super) fn same_compiler(reference: &PackageRef) -> Result<(), SyncError> {
    if reference.compiler == COMPILER_VERSION {
        return Ok(());
    }
    Err(SyncError::Package(format!(
        "central compiled it with version {} of the compiler, this program has version {COMPILER_VERSION}; update the older one",
        reference.compiler
    )))
}

fn broken(error: PackageError) -> SyncError {
    SyncError::Package(error.to_string())
}

/// Delivery keys. What central does not give, or what is no key for this node, is left out.
pub(super) async fn keys(
    link: &Link,
    store: &Store,
    wanted: impl Iterator<Item = (&str, &PackageRef)>,
) -> Result<Known, SyncError> {
    let mut keys = Known::default();
    let wanted: Vec<_> =
        wanted.map(|(uri, package)| KeyWanted { uri: uri.to_owned(), version: package.version }).collect();
    for part in wanted.chunks(KEYS_AT_ONCE) {
        let request =
            Request::post_json(v1::PATH_DELIVERY_KEYS, &KeysWanted { deliveries: part.to_vec(), chunks_of: None });
        let answer: Keys = link.send(request).await?.json(4 * 1024 * 1024).await?;
        keys.locked.extend(answer.locked.into_iter().map(|locked| (locked.uri.clone(), locked)));
        for sealed in answer.keys {
            let Ok(bytes) = STANDARD.decode(&sealed.sealed) else { continue };
            if let Ok(key) = store.keyring().identity().unwrap_delivery_key(&bytes) {
                keys.open.insert(sealed.uri, key);
            }
        }
    }
    Ok(keys)
}
