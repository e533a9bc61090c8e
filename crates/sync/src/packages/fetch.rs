//! Fetching at local: missing chunks only, verified, then compiled; a package is visible when all of it is right.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _};
use taosync_model::{Digest, Entity};
use taosync_packages::tree::{Pages, TreeFiles};
use taosync_packages::{COMPILER_VERSION, Tree, compile};
use taosync_store::blobs::Blobs;
use taosync_store::packages::{ChunkRef, NewPackage, PackageContents, PackageState};
use taosync_store::{Store, StoreError};
use taosync_vault::delivery_key::DeliveryKey;
use taosync_wire::v1;
use taosync_wire::v1::packages::{ChunkFrame, ChunksWanted, KeyWanted, Keys, KeysWanted};
use uuid::Uuid;

use super::contents::{fetch_with, joined_plain};
use super::publish::chunk_refs;
use crate::link::{Link, LinkError, Request};
use crate::session::{Progress, SyncError};

/// Ciphertext bytes of one request for chunks: what is lost at most when the line is cut.
const REQUEST_BYTES: u64 = 8 * 1024 * 1024;
/// Chunks of one request at most.
const REQUEST_CHUNKS: usize = 256;
/// Requests for chunks at once.
const AT_ONCE: usize = 3;
/// Keys of one request at most.
const KEYS_AT_ONCE: usize = 100;
/// Room that must stay free on the disk after fetching.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;

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
    /// Deliveries that are not ready, with the reason.
    pub failed: BTreeMap<String, String>,
}

/// Whether a delivery can be started here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// URI.
    pub uri: String,
    /// Label.
    pub label: String,
    /// Version central has.
    pub wanted: Option<u32>,
    /// Version that can be started here; perhaps an older one, or one that central has lost.
    pub ready: Option<u32>,
    /// Why what central has is not ready here, in words.
    pub reason: Option<String>,
}

impl Readiness {
    /// Whether what central has is ready here.
    pub fn is_ready(&self) -> bool {
        self.reason.is_none()
    }
}

/// How each delivery of this local server stands.
pub async fn readiness(store: &Store) -> Result<Vec<Readiness>, StoreError> {
    let mut list = Vec::new();
    for (uri, entity) in store.replica_deliveries().await? {
        let label = entity.label().to_owned();
        let Some(wanted) = &entity.package else {
            let reason = Some("central has published no package for it".to_owned());
            let ready = store.package_current(&uri).await?.map(|package| package.version);
            list.push(Readiness { label, wanted: None, ready, reason, uri });
            continue;
        };
        let ready = store.package_to_start(&uri, wanted).await?.map(|package| package.version);
        let reason = match store.package_get(&uri, wanted.version).await? {
            Some(package) if package.is_ready_as(wanted) => None,
            Some(package) if package.state == PackageState::Failed => package.reason,
            Some(_) => Some("its package is not completely here; synchronise again".to_owned()),
            None => Some("its package has not been fetched; synchronise again".to_owned()),
        };
        list.push(Readiness { label, wanted: Some(wanted.version), ready, reason, uri });
    }
    Ok(list)
}

/// Makes every delivery of the replica ready that is not. One that fails does not hold up the others.
pub async fn fetch(
    store: &Store,
    link: &Link,
    wanted: &BTreeMap<String, Entity>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<FetchOutcome, SyncError> {
    let mut todo = Vec::new();
    for (uri, entity) in wanted {
        let Some(reference) = &entity.package else { continue };
        let known = store.package_get(uri, reference.version).await?;
        let is_ready = known.is_some_and(|package| package.is_ready_as(reference));
        if !is_ready {
            let new = NewPackage { delivery: uri, reference, chunks: &[] };
            let id = store.package_fetching(&new).await?;
            todo.push(Todo { id, uri: uri.clone(), reference: reference.clone() });
        }
    }
    let mut outcome = FetchOutcome::default();
    if todo.is_empty() {
        return Ok(outcome);
    }
    progress(Progress::Phase("fetching tests".into()));
    let keys = keys(store, link, &todo).await?;
    let blobs = Blobs::open(store.dir()).await?;
    for package in todo {
        let fetcher = Fetcher { store, link, blobs: &blobs, progress };
        match fetcher.package(&package, keys.get(&package.uri), &mut outcome).await {
            Ok(()) => {}
            Err(SyncError::Link(error)) if error.is_temporary() => return Err(error.into()),
            Err(error) => {
                let reason = error.to_string();
                store.package_failed(package.id, &reason).await?;
                outcome.failed.insert(package.uri, reason);
            }
        }
    }
    Ok(outcome)
}

struct Todo {
    id: Uuid,
    uri: String,
    reference: taosync_model::delivery::PackageRef,
}

async fn keys(store: &Store, link: &Link, todo: &[Todo]) -> Result<BTreeMap<String, DeliveryKey>, SyncError> {
    let mut keys = BTreeMap::new();
    for part in todo.chunks(KEYS_AT_ONCE) {
        let deliveries = part.iter().map(|t| KeyWanted { uri: t.uri.clone(), version: t.reference.version }).collect();
        let request = Request::post_json(v1::PATH_DELIVERY_KEYS, &KeysWanted { deliveries });
        let answer: Keys = link.send(request).await?.json(4 * 1024 * 1024).await?;
        for sealed in answer.keys {
            let malformed = || LinkError::Protocol(format!("the key of {} cannot be read", sealed.uri));
            let bytes = STANDARD.decode(&sealed.sealed).map_err(|_| malformed())?;
            let key = store.keyring().identity().unwrap_delivery_key(&bytes).map_err(|_| malformed())?;
            keys.insert(sealed.uri, key);
        }
    }
    Ok(keys)
}

struct Fetcher<'a> {
    store: &'a Store,
    link: &'a Link,
    blobs: &'a Blobs,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Fetcher<'_> {
    async fn package(
        &self,
        package: &Todo,
        key: Option<&DeliveryKey>,
        outcome: &mut FetchOutcome,
    ) -> Result<(), SyncError> {
        let key = key.ok_or_else(|| SyncError::Package("central gave no key for it".into()))?;
        let reference = &package.reference;
        let head = ChunkRef { name: reference.sealed_tree, bytes: reference.sealed_tree_bytes };
        self.chunks(vec![head], outcome).await?;
        let sealed = self.blobs.get(reference.sealed_tree).await?;
        let pages = Pages::open(&sealed, key).map_err(|e| SyncError::Package(e.to_string()))?;
        let list = pages.pages.iter().map(|page| ChunkRef { name: page.name, bytes: page.bytes });
        self.chunks(list.collect(), outcome).await?;
        let tree = self.tree(pages.clone()).await?;
        if tree.tree_digest() != reference.tree_digest {
            return Err(SyncError::Package("its list of files is not the one that was published".into()));
        }
        let chunks = chunk_refs(&tree, &pages);
        let new = NewPackage { delivery: &package.uri, reference, chunks: &chunks };
        self.store.package_fetching(&new).await?;
        self.chunks(chunks, outcome).await?;
        let files = tree.files.len() as u64;
        let tree_bytes = serde_json::to_vec(&tree).map_err(|e| SyncError::Package(e.to_string()))?;
        let compiled = self.compile(tree, reference).await?;
        let contents = PackageContents {
            reference: Some(reference),
            key: Some(key),
            tree: Some(&tree_bytes),
            compiled: Some(&compiled),
        };
        self.store.package_ready(package.id, &contents).await?;
        outcome.compiled += 1;
        outcome.fetched += 1;
        outcome.files += files;
        Ok(())
    }

    async fn tree(&self, pages: Pages) -> Result<Tree, SyncError> {
        let blobs = self.blobs.clone();
        let handle = tokio::runtime::Handle::current();
        let work = move || pages.read(&fetch_with(&blobs, &handle));
        joined_plain(tokio::task::spawn_blocking(work).await).map_err(|e| SyncError::Package(e.to_string()))
    }

    /// Compiles the fetched files and compares with what central got.
    async fn compile(&self, tree: Tree, reference: &taosync_model::delivery::PackageRef) -> Result<Vec<u8>, SyncError> {
        if reference.compiler != COMPILER_VERSION {
            return Err(SyncError::Package(format!(
                "central compiled it with version {} of the compiler, this program has version {COMPILER_VERSION}; update the older one",
                reference.compiler
            )));
        }
        let blobs = self.blobs.clone();
        let handle = tokio::runtime::Handle::current();
        let work = move || compile(&TreeFiles::new(&tree, &fetch_with(&blobs, &handle)));
        let compiled = joined_plain(tokio::task::spawn_blocking(work).await);
        let compiled = compiled.map_err(|e| SyncError::Package(e.to_string()))?;
        if compiled.digest != reference.compiled_digest {
            return Err(SyncError::Package("it compiles to something else than at central".into()));
        }
        Ok(compiled.bytes)
    }

    /// Fetches the chunks that are not here, several requests at once; each answer is stored before it counts.
    async fn chunks(&self, wanted: Vec<ChunkRef>, outcome: &mut FetchOutcome) -> Result<(), SyncError> {
        let names: Vec<Digest> = wanted.iter().map(|c| c.name).collect();
        let sizes: BTreeMap<Digest, u64> = wanted.into_iter().map(|c| (c.name, c.bytes)).collect();
        let missing = self.store.chunks_missing(&names).await?;
        // Sizes are what central says: they may be anything.
        let total = missing.iter().filter_map(|name| sizes.get(name)).copied().fold(0, u64::saturating_add);
        if total == 0 {
            return Ok(());
        }
        let free = self.blobs.free_bytes().await?;
        if free < total.saturating_add(SPARE_BYTES) {
            return Err(SyncError::Package(format!(
                "{} MB are needed for it and only {} MB are free on the disk",
                total / 1_000_000,
                free / 1_000_000
            )));
        }
        let before = outcome.bytes;
        let requests = futures_util::stream::iter(batches(missing, &sizes)).map(|asked| self.request(asked));
        let mut requests = std::pin::pin!(requests.buffer_unordered(AT_ONCE));
        while let Some((chunks, bytes)) = requests.try_next().await? {
            outcome.chunks += chunks;
            outcome.bytes += bytes;
            (self.progress)(Progress::Bytes { done: outcome.bytes - before, of: total });
        }
        Ok(())
    }

    async fn request(&self, mut asked: Asked) -> Result<(u64, u64), SyncError> {
        let request = Request::post_json(v1::PATH_CHUNKS, &ChunksWanted { names: asked.0.keys().copied().collect() });
        let mut frames = self.link.send(request).await?.frames::<ChunkFrame>()?;
        let (mut batch, mut rows) = (Vec::new(), Vec::new());
        let mut end = Ok(());
        loop {
            let taken = match frames.next().await {
                Ok(Some((ChunkFrame::Chunk(head), body))) => asked.take(head.name, &body).map(|()| {
                    rows.push(ChunkRef { name: head.name, bytes: head.len });
                    batch.push((head.name, body));
                }),
                Ok(Some((ChunkFrame::Missing(name), _))) => asked.strike(name).map(|_| {
                    end = Err(SyncError::Package(format!("central has no chunk {name} for it")));
                }),
                Ok(Some((ChunkFrame::End, _)) | None) => break,
                Err(error) => Err(error),
            };
            // What arrived whole is kept; the next try asks for the rest only.
            if let Err(error) = taken {
                end = Err(error.into());
                break;
            }
        }
        let (count, bytes) = (rows.len() as u64, rows.iter().map(|r| r.bytes).sum());
        self.blobs.put_batch(batch).await?;
        self.store.chunks_add(&rows).await?;
        end.map(|()| (count, bytes))
    }
}

/// Chunks of one request that have not come yet, with their bytes. What comes is held against it, so that an answer can
/// neither be larger than what was asked for nor go on for ever.
struct Asked(BTreeMap<Digest, u64>);

impl Asked {
    /// Checks a chunk that came.
    fn take(&mut self, name: Digest, body: &[u8]) -> Result<(), LinkError> {
        if self.strike(name)? != body.len() as u64 {
            return Err(LinkError::Protocol("a chunk of another size than the list of files says".into()));
        }
        if Digest::of(body) != name {
            return Err(LinkError::Protocol("a chunk that does not have its name's hash".into()));
        }
        Ok(())
    }

    /// Strikes a name out, and gives the bytes its chunk has.
    fn strike(&mut self, name: Digest) -> Result<u64, LinkError> {
        let bytes = self.0.remove(&name);
        bytes.ok_or_else(|| LinkError::Protocol("a chunk that was not asked for, or one a second time".into()))
    }
}

/// Names in requests of bounded bytes and number.
fn batches(missing: Vec<Digest>, sizes: &BTreeMap<Digest, u64>) -> Vec<Asked> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (BTreeMap::new(), 0_u64);
    for name in missing {
        let size = sizes.get(&name).copied().unwrap_or(0);
        if !batch.is_empty() && (bytes.saturating_add(size) > REQUEST_BYTES || batch.len() >= REQUEST_CHUNKS) {
            batches.push(Asked(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        batch.insert(name, size);
    }
    if !batch.is_empty() {
        batches.push(Asked(batch));
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: u32) -> Digest {
        Digest::of(&n.to_le_bytes())
    }

    fn split(sizes: &[u64]) -> Vec<usize> {
        let sizes: BTreeMap<Digest, u64> = (0..).zip(sizes).map(|(n, size)| (name(n), *size)).collect();
        batches(sizes.keys().copied().collect(), &sizes).iter().map(|asked| asked.0.len()).collect()
    }

    #[test]
    fn requests_are_bounded_in_bytes_and_in_number() {
        assert_eq!(split(&[]), [0; 0]);
        assert_eq!(split(&vec![1; REQUEST_CHUNKS]), [REQUEST_CHUNKS]);
        assert_eq!(split(&vec![1; REQUEST_CHUNKS + 1]), [REQUEST_CHUNKS, 1]);
        assert_eq!(split(&[REQUEST_BYTES / 2; 2]), [2]);
        assert_eq!(split(&[REQUEST_BYTES / 2 + 1; 2]), [1, 1]);
        assert_eq!(split(&[u64::MAX; 3]), [1, 1, 1], "sizes are what central says");
    }

    #[test]
    fn an_answer_brings_what_was_asked_for_once_and_no_byte_more() {
        let body = |n: u32| n.to_le_bytes();
        let mut asked = Asked([(name(1), 4), (name(2), 4), (name(3), 3), (name(4), 4)].into());
        assert!(asked.take(name(1), &body(1)).is_ok());
        assert!(asked.take(name(1), &body(1)).is_err(), "a second time");
        assert!(asked.take(name(9), &body(9)).is_err(), "never asked for");
        assert!(asked.take(name(2), &body(9)).is_err(), "other bytes");
        assert!(asked.take(name(3), &body(3)).is_err(), "one byte more than the list of files says");
        assert!(asked.strike(name(4)).is_ok() && asked.strike(name(4)).is_err(), "missing, but once");
    }
}
