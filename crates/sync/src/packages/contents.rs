//! Reading a package that is here: its tree, its files, and whether all of it is whole.

use taosync_model::Digest;
use taosync_packages::tree::{Pages, TreeFiles, read_file};
use taosync_packages::{PackageError, Tree, compile};
use taosync_store::blobs::Blobs;
use taosync_store::packages::{ChunkRef, Package, PackageOpened};
use taosync_store::{Store, StoreError};
use taosync_vault::delivery_key::DeliveryKey;

use super::publish::chunk_refs;

/// Why a file of a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// The database or the object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The package is not complete here.
    #[error("the package of {0} is not complete on this machine; synchronise first")]
    NotHere(String),
}

/// The opened tree of a package.
pub fn tree_of(package: &Package, opened: &PackageOpened) -> Result<Tree, ContentsError> {
    let bytes = opened.tree.as_ref().ok_or_else(|| ContentsError::NotHere(package.delivery.clone()))?;
    let damaged = |_| StoreError::Damaged { what: format!("the tree of {}", package.delivery) };
    Ok(serde_json::from_slice(bytes).map_err(damaged)?)
}

/// The tree of a package from its chunks, all of which are here.
pub async fn read_tree(blobs: &Blobs, sealed_tree: Digest, key: &DeliveryKey) -> Result<Tree, ContentsError> {
    let pages = Pages::open(&blobs.get(sealed_tree).await?, key)?;
    let blobs = blobs.clone();
    joined(tokio::task::spawn_blocking(move || pages.read(&fetch_with(&blobs))).await)
}

/// What the pages of a package tell: its tree, and every chunk it needs. The pages are here.
pub(super) async fn read_pages(
    fetch: impl Fn(&Digest) -> std::io::Result<Vec<u8>> + Send + 'static,
    pages: Pages,
) -> Result<(Tree, Vec<ChunkRef>), ContentsError> {
    let work = move || {
        let tree = pages.read(&fetch)?;
        let chunks = chunk_refs(&pages.chunks(&tree, &fetch)?);
        Ok((tree, chunks))
    };
    joined(tokio::task::spawn_blocking(work).await)
}

/// One file of a package, verified. Holds the whole file in memory: for items and ordinary media.
pub async fn file(store: &Store, package: &Package, path: &str) -> Result<Option<Vec<u8>>, ContentsError> {
    let opened = store.package_open(package.id).await?;
    let tree = tree_of(package, &opened)?;
    let Some(found) = tree.file(path).cloned() else { return Ok(None) };
    let blobs = Blobs::open(store.dir()).await?;
    let read = tokio::task::spawn_blocking(move || read_file(&found, &fetch_with(&blobs)));
    Ok(Some(joined(read.await)?))
}

/// Re-reads every chunk of a package and compiles it again; says what is wrong, in words.
pub async fn problem_with(store: &Store, package: &Package) -> Result<Option<String>, ContentsError> {
    let opened = store.package_open(package.id).await?;
    let tree = match &opened.tree {
        Some(_) => tree_of(package, &opened)?,
        None => match &opened.key {
            Some(key) => match read_tree(&Blobs::open(store.dir()).await?, package.reference.sealed_tree, key).await {
                Ok(tree) => tree,
                Err(error) => return Ok(Some(error.to_string())),
            },
            None => return Ok(Some("its key is not here".into())),
        },
    };
    let reference = package.reference.clone();
    let blobs = Blobs::open(store.dir()).await?;
    let checked = tokio::task::spawn_blocking(move || {
        if tree.tree_digest() != reference.tree_digest {
            return Some("its list of files is not the published one".to_owned());
        }
        let fetch = fetch_with(&blobs);
        for file in &tree.files {
            if let Err(error) = read_file(file, &fetch) {
                return Some(error.to_string());
            }
        }
        match compile(&TreeFiles::new(&tree, &fetch), tree.test.as_deref()) {
            Ok(compiled) if compiled.digest == reference.compiled_digest => None,
            Ok(_) => Some("it compiles to something else than at central".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    });
    let problem = joined_plain(checked.await);
    if problem.is_some() {
        return Ok(problem);
    }
    let stored = opened.compiled.as_deref().map(Digest::of);
    let differs = stored.is_some_and(|digest| digest != package.reference.compiled_digest);
    Ok(differs.then(|| "its stored compiled form is damaged".to_owned()))
}

/// Reads chunks for code on a thread of its own.
pub(super) fn fetch_with(blobs: &Blobs) -> impl Fn(&Digest) -> std::io::Result<Vec<u8>> + Send + use<> {
    let blobs = blobs.clone();
    move |name| blobs.get_waiting(*name).map_err(std::io::Error::other)
}

/// The same for work on a package.
pub(super) fn joined<T>(result: Result<Result<T, PackageError>, tokio::task::JoinError>) -> Result<T, ContentsError> {
    match result {
        Ok(value) => Ok(value?),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// A panic of the blocking part goes on here; it is never cancelled.
pub(super) fn joined_plain<T>(result: Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
