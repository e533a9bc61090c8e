//! Publishing at central: check the zip, cut it into sealed chunks, compile it, and let the delivery name it.

use std::collections::HashSet;
use std::path::PathBuf;

use taosync_model::delivery::PackageRef;
use taosync_model::{Digest, Entity, EntityType, Value, vocabulary};
use taosync_packages::tree::{self, Pages};
use taosync_packages::{COMPILER_VERSION, CheckReport, Limits, PackageError, Tree, check, recipe};
use taosync_store::blobs::Blobs;
use taosync_store::entities::{Applied, Change, Stored};
use taosync_store::packages::{ChunkRef, NewPackage};
use taosync_store::releases::Release;
use taosync_store::{Durability, Store, StoreError};
use taosync_vault::delivery_key::DeliveryKey;
use uuid::Uuid;

use super::contents::joined_plain;

/// Ciphertext gathered before it is written to the object store.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// A package to be published.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The zip.
    pub file: PathBuf,
    /// Label of the delivery.
    pub label: String,
    /// URI of the delivery; a new one is made from `naming` when absent.
    pub uri: Option<String>,
    /// What new URIs begin with.
    pub naming: String,
    /// Which test, by its identifier in the manifest, where the package has several.
    pub test: Option<String>,
}

/// What publishing did.
#[derive(Clone, Debug)]
pub struct Published {
    /// URI of the delivery.
    pub uri: String,
    /// The package.
    pub reference: PackageRef,
    /// Whether something changed: the same package under the same label is not published twice.
    pub changed: bool,
    /// Chunks that were new to the object store.
    pub new_chunks: u64,
    /// What it did to the scopes.
    pub applied: Applied,
    /// Warnings of the check.
    pub report: CheckReport,
}

/// Why a package was not published. Nothing is stored then.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The package has errors.
    #[error("the package has {} and was not published", .0.errors_counted())]
    Check(CheckReport),
    /// The package cannot be cut or sealed.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The database or the object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chunk could not be written.
    #[error("a part of the package could not be written to this node's directory")]
    Write(#[source] std::io::Error),
}

impl PublishError {
    /// What the object store said, where it was the object store.
    fn from_io(error: std::io::Error) -> Self {
        error.downcast::<StoreError>().map_or_else(Self::Write, Self::Store)
    }
}

/// When a version opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// As the version before, should that be locked still: a correction lets nothing out. A first one: at once.
    AsBefore,
    /// At once.
    Now,
    /// Then.
    At(Release),
}

/// Publishes a package as a new version of a delivery, which opens as the one before.
pub async fn publish(store: &Store, request: PublishRequest) -> Result<Published, PublishError> {
    publish_to_open(store, request, Opens::AsBefore).await
}

/// Publishes a package as a new version of a delivery.
pub async fn publish_to_open(store: &Store, request: PublishRequest, opens: Opens) -> Result<Published, PublishError> {
    let uri = request.uri.clone().unwrap_or_else(|| format!("{}i{}", request.naming, store.clock().new_id().simple()));
    let existing = store.entity_get(&uri).await?;
    refuse_other_type(&uri, existing.as_ref())?;
    let blobs = Blobs::open(store.dir()).await?;
    let cut = cut(store.clone(), blobs.clone(), request.file.clone(), request.test.clone()).await?;
    let current = store.package_current(&uri).await?;
    let before = match &current {
        Some(current) => store.release_of(current.id).await?,
        None => None,
    };
    let lost_tree = match &current {
        Some(current) if is_whole(&blobs, current.reference.sealed_tree).await? => None,
        current => current.as_ref().map(|current| (current.version, current.reference.sealed_tree)),
    };
    if let (Some(current), None) = (current, lost_tree)
        && current.reference.tree_digest == cut.tree.tree_digest()
        && existing.as_ref().is_some_and(|e| e.entity.label() == request.label)
    {
        reset(store, current.id, opens).await?;
        let applied = Applied::default();
        let reference = current.reference;
        return Ok(Published { uri, reference, changed: false, new_chunks: 0, applied, report: cut.report });
    }
    let key = DeliveryKey::generate();
    let sealed = cut.pages.seal(&key)?;
    let sealed_tree = Digest::of(&sealed);
    let sealed_tree_bytes = sealed.len() as u64;
    blobs.put_batch(vec![(sealed_tree, sealed)]).await?;
    let mut tx = store.write("delivery publish", Durability::Flushed).await?;
    // A delivery that was taken back as a whole comes again, not what it was.
    let withdrawn = if existing.is_none() { tx.packages_withdrawn(&uri).await? } else { Vec::new() };
    let reference = PackageRef {
        version: tx.package_next_version(&uri).await?,
        tree_digest: cut.tree.tree_digest(),
        compiled_digest: cut.compiled_digest,
        compiler: COMPILER_VERSION,
        sealed_tree,
        sealed_tree_bytes,
        files: cut.tree.files.len() as u64,
        bytes: cut.tree.bytes(),
    };
    let new = NewPackage { delivery: &uri, reference: &reference, chunks: &cut.chunks };
    all_here(&blobs, &new).await?;
    let id = store.package_publish(&mut tx, &new, &key).await?;
    let release = match opens {
        Opens::AsBefore => before,
        Opens::Now => None,
        Opens::At(release) => Some(release),
    };
    tx.release_set(id, release.as_ref()).await?;
    if let Some((version, tree)) = lost_tree {
        // Nobody can read that version any more, and its tree cannot be sealed to the same bytes again.
        tx.package_withdraw(&uri, version).await?;
        tx.chunks_forget(&[tree]).await?;
    }
    let mut entity = delivery_entity(existing, &uri, &request.label, &reference);
    entity.take_back(withdrawn);
    let applied = store.entities_change(&mut tx, vec![Change::Upsert(EntityType::Delivery, entity)]).await?;
    tx.commit().await?;
    Ok(Published { uri, reference, changed: true, new_chunks: cut.new_chunks, applied, report: cut.report })
}

/// The same package again, with another word about when it opens. What is out cannot be withheld any more.
async fn reset(store: &Store, package: Uuid, opens: Opens) -> Result<(), StoreError> {
    let release = match opens {
        Opens::AsBefore => return Ok(()),
        Opens::Now => None,
        Opens::At(release) => Some(release),
    };
    let before = store.release_of(package).await?;
    let is_out = before.is_none_or(|before| before.at <= store.clock().now());
    if release.is_some() && is_out {
        let advice = "it is open already, and its key is handed out; publish another package, or under another URI";
        return Err(StoreError::Refused(advice.into()));
    }
    let mut tx = store.write("delivery release", Durability::Flushed).await?;
    tx.release_set(package, release.as_ref()).await?;
    tx.commit().await
}

/// Takes a delivery back: local servers remove it at their next sync, without asking, as naming it was a person's word.
/// What it holds stays until garbage collection.
pub async fn withdraw(store: &Store, uri: &str) -> Result<Applied, StoreError> {
    let current = store.package_current(uri).await?.ok_or_else(|| StoreError::NotFound {
        what: format!("a published delivery {uri}"),
        advice: "see 'taosync delivery list'",
    })?;
    let mut tx = store.write("delivery withdraw", Durability::Flushed).await?;
    tx.package_withdraw(uri, current.version).await?;
    let applied = store.entities_change(&mut tx, vec![Change::Remove(uri.to_owned())]).await?;
    store.removals_approve_single(&mut tx, &applied.singly_removed(), uri).await?;
    tx.commit().await?;
    Ok(applied)
}

fn refuse_other_type(uri: &str, existing: Option<&Stored>) -> Result<(), StoreError> {
    match existing {
        Some(stored) if !stored.types.contains(&EntityType::Delivery) => Err(StoreError::Refused(format!(
            "{uri} is a {} already; give the delivery another --uri",
            stored.types.first().map_or("thing", |t| t.as_str())
        ))),
        _ => Ok(()),
    }
}

fn delivery_entity(existing: Option<Stored>, uri: &str, label: &str, reference: &PackageRef) -> Entity {
    let mut entity = existing.map_or_else(
        || Entity::new(uri, vocabulary::CLASS_DELIVERY).with(vocabulary::RDF_TYPE, vocabulary::CLASS_DELIVERY),
        |stored| stored.entity,
    );
    // The same label keeps its languages.
    if entity.label() != label {
        entity.set(vocabulary::RDFS_LABEL, vec![Value::plain(label)]);
    }
    entity.package = Some(reference.clone());
    entity
}

/// A package whose chunks are in the object store.
pub(super) struct Cut {
    pub tree: Tree,
    pub pages: Pages,
    pub chunks: Vec<ChunkRef>,
    pub compiled_digest: Digest,
    pub compiled: Vec<u8>,
    pub new_chunks: u64,
    pub report: CheckReport,
}

/// Checks the zip and writes the chunks that are new. Runs beside the other requests: it reads every byte.
pub(super) async fn cut(store: Store, blobs: Blobs, file: PathBuf, test: Option<String>) -> Result<Cut, PublishError> {
    let handle = tokio::runtime::Handle::current();
    let work = move || {
        let (report, package) = check(&file, &Limits::default(), test.as_deref());
        let Some(package) = package else { return Err(PublishError::Check(report)) };
        let mut writer =
            ChunkWriter { store: &store, blobs: &blobs, handle: &handle, batch: Vec::new(), bytes: 0, new: 0 };
        let secret = store.keyring().chunks();
        let mut sink = |name: &Digest, bytes: &[u8]| writer.add(*name, bytes.to_vec());
        let tree = Tree { test, ..tree::build(&package.archive, secret, &mut sink)? };
        let made = recipe::make(&package.archive, &tree, secret, &mut sink)?;
        let pages = Pages::of(&tree, made.recipe, secret, &mut sink)?;
        let chunks = chunk_refs(pages.all().chain(tree.chunks()).chain(&made.chunks));
        writer.write().map_err(PublishError::from_io)?;
        let new_chunks = writer.new;
        let (compiled_digest, compiled) = (package.compiled.digest, package.compiled.bytes);
        Ok(Cut { tree, pages, chunks, compiled_digest, compiled, new_chunks, report })
    };
    joined_plain(tokio::task::spawn_blocking(work).await)
}

/// Asked once nobody can take chunks for garbage any more: they were unknown to the database until now.
pub(super) async fn all_here(blobs: &Blobs, new: &NewPackage<'_>) -> Result<(), StoreError> {
    let names = new.chunks.iter().map(|chunk| chunk.name).chain([new.reference.sealed_tree]);
    if blobs.absent(names.collect()).await?.is_empty() {
        return Ok(());
    }
    Err(StoreError::Refused("parts of the package were deleted while it was published; publish it again".into()))
}

/// Whether a chunk is on the disk as it was written.
pub(super) async fn is_whole(blobs: &Blobs, name: Digest) -> Result<bool, StoreError> {
    match blobs.get(name).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. } | StoreError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gathers chunks and writes those that are not there yet, or that the disk has damaged. A chunk that was about to be
/// collected is kept.
struct ChunkWriter<'a> {
    store: &'a Store,
    blobs: &'a Blobs,
    handle: &'a tokio::runtime::Handle,
    batch: Vec<(Digest, Vec<u8>)>,
    bytes: usize,
    new: u64,
}

impl ChunkWriter<'_> {
    fn add(&mut self, name: Digest, bytes: Vec<u8>) -> std::io::Result<()> {
        self.bytes += bytes.len();
        self.batch.push((name, bytes));
        if self.bytes >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let names: Vec<Digest> = batch.iter().map(|(name, _)| *name).collect();
        self.handle
            .block_on(async {
                let missing = self.store.chunks_claim(&names).await?;
                self.new += missing.len() as u64;
                let mut needed: HashSet<Digest> = missing.into_iter().collect();
                // Reading what should be there costs less than cutting and sealing it did.
                for name in names {
                    if !needed.contains(&name) && !is_whole(self.blobs, name).await? {
                        needed.insert(name);
                    }
                }
                self.blobs.put_batch(batch.into_iter().filter(|(name, _)| needed.contains(name)).collect()).await
            })
            .map_err(std::io::Error::other)
    }
}

/// Chunks as the store knows them, each once.
pub(super) fn chunk_refs<'a>(chunks: impl IntoIterator<Item = &'a tree::ChunkRef>) -> Vec<ChunkRef> {
    let unique: std::collections::BTreeMap<Digest, u64> = chunks.into_iter().map(|c| (c.name, c.bytes)).collect();
    unique.into_iter().map(|(name, bytes)| ChunkRef { name, bytes }).collect()
}
