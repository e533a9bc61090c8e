//! What fetching would bring, without fetching it: lists of files travel, are read and not kept.

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::delivery::PackageRef;
use taosync_model::{Digest, Entity};
use taosync_packages::tree::Pages;
use taosync_store::Store;
use taosync_store::blobs::Blobs;
use taosync_store::packages::ChunkRef;
use taosync_vault::delivery_key::DeliveryKey;

use super::FetchOutcome;
use super::fetch::{keys, lacking};
use super::locked;
use super::publish::chunk_refs;
use super::transfer::in_memory;
use crate::link::Link;
use crate::session::SyncError;

/// What [`super::fetch::fetch`] would do for these deliveries. Nothing is changed.
pub async fn look_ahead(
    store: &Store,
    link: &Link,
    wanted: &BTreeMap<String, Entity>,
) -> Result<FetchOutcome, SyncError> {
    let lacking = lacking(store, wanted).await?;
    let todo: Vec<_> = lacking.into_iter().map(|(entity, reference)| (&*entity.uri, reference)).collect();
    let mut outcome = FetchOutcome::default();
    if todo.is_empty() {
        return Ok(outcome);
    }
    let keys = keys(link, store, todo.iter().copied()).await?;
    let blobs = Blobs::open(store.dir()).await?;
    let look = Look { store, link, blobs: &blobs };
    let mut counted = BTreeSet::new();
    for (uri, reference) in todo {
        let size = match keys.locked.get(uri) {
            Some(_) => match locked::chunks(link, uri, reference).await {
                Ok(chunks) => look.size(chunks, &mut counted).await,
                Err(error) => Err(error),
            },
            None => look.package(reference, keys.open.get(uri), &mut counted).await,
        };
        match size {
            Ok(size) if size.chunks == 0 && keys.locked.contains_key(uri) => {}
            Ok(size) => {
                outcome.fetched += 1;
                outcome.bytes += size.bytes;
                outcome.chunks += size.chunks;
                outcome.files += reference.files;
            }
            Err(error @ (SyncError::Package(_) | SyncError::Store(_))) => {
                outcome.failed.insert(uri.to_owned(), error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

/// What would travel for one package.
struct Size {
    bytes: u64,
    chunks: u64,
}

struct Look<'a> {
    store: &'a Store,
    link: &'a Link,
    blobs: &'a Blobs,
}

impl Look<'_> {
    /// `counted`: chunks that packages before this one bring.
    async fn package(
        &self,
        reference: &PackageRef,
        key: Option<&DeliveryKey>,
        counted: &mut BTreeSet<Digest>,
    ) -> Result<Size, SyncError> {
        let key = key.ok_or_else(|| SyncError::Package("central gave no key for it that can be opened here".into()))?;
        let broken = |error: taosync_packages::PackageError| SyncError::Package(error.to_string());
        let head = ChunkRef { name: reference.sealed_tree, bytes: reference.sealed_tree_bytes };
        let sealed = self.read(&[head]).await?;
        let pages = Pages::open(sealed.get(&head.name).map_or(&[], Vec::as_slice), key).map_err(broken)?;
        let read = self.read(&chunk_refs(pages.all())).await?;
        let fetch = |name: &Digest| read.get(name).cloned().ok_or(std::io::ErrorKind::NotFound.into());
        let tree = pages.read(&fetch).map_err(broken)?;
        let mut chunks = chunk_refs(&pages.chunks(&tree, &fetch).map_err(broken)?);
        chunks.push(head);
        self.size(chunks, counted).await
    }

    /// What of these chunks would travel.
    async fn size(&self, mut chunks: Vec<ChunkRef>, counted: &mut BTreeSet<Digest>) -> Result<Size, SyncError> {
        chunks.retain(|chunk| counted.insert(chunk.name));
        let names: Vec<_> = chunks.iter().map(|chunk| chunk.name).collect();
        let missing: BTreeSet<_> = self.store.chunks_missing(&names).await?.into_iter().collect();
        let mut held = self.blobs.parts_held(missing.iter().copied().collect()).await?;
        let packed = self.blobs.packed(missing.iter().copied().collect()).await?;
        held.extend(packed.chunks.iter().map(|chunk| (chunk.name, chunk.bytes)));
        chunks.retain(|chunk| missing.contains(&chunk.name));
        let left = |chunk: &ChunkRef| chunk.bytes.saturating_sub(held.get(&chunk.name).copied().unwrap_or(0));
        let bytes = chunks.iter().map(left).fold(0, u64::saturating_add);
        Ok(Size { bytes, chunks: chunks.len() as u64 })
    }

    /// Chunks from here, or from central.
    async fn read(&self, chunks: &[ChunkRef]) -> Result<BTreeMap<Digest, Vec<u8>>, SyncError> {
        let names: Vec<_> = chunks.iter().map(|chunk| chunk.name).collect();
        let missing = self.store.chunks_missing(&names).await?;
        let mut read = in_memory(self.link, chunks, &missing).await?;
        for name in names.into_iter().filter(|name| !missing.contains(name)) {
            read.insert(name, self.blobs.get(name).await?);
        }
        Ok(read)
    }
}
