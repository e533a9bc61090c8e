//! Packages that are being run, opened once: every item and picture would else cost reading the whole list of files and
//! the whole compiled test.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use taosync_model::Digest;
use taosync_packages::Tree;
use taosync_packages::compile::document::{CompiledTest, Item, Test, Text};
use taosync_store::StoreError;
use taosync_store::packages::Package;
use taosync_sync::packages::contents::tree_of;
use url::Url;
use uuid::Uuid;

use super::caching::tag_of;
use super::key::Reach;
use super::media_type;
use crate::problem::ApiError;
use crate::state::Local;

/// Where packages are served.
const ROOT: &str = "/api/v1/runner/packages/";
/// Packages that are kept: one exam has few tests.
const KEPT: usize = 8;
/// Bytes that kept packages may have together, beside the newest.
const KEPT_BYTES: usize = 64 * 1024 * 1024;
/// What stands with a package whose contents in the database are damaged.
const DAMAGED: &str = "its compiled form or its list of files is damaged in the database; synchronise again";

/// The address of a package, without a slash at its end.
pub(super) fn address(tree: Digest) -> String {
    format!("{ROOT}{tree}")
}

/// A package as runners read it.
pub(super) struct Opened {
    /// Its files.
    pub tree: Tree,
    /// The compiled form, as both sides have it.
    pub compiled: Document,
    /// The test without its items.
    pub test: Document,
    /// Each item with what belongs to it, by path.
    pub items: HashMap<String, Document>,
    /// Roughly what it takes in memory.
    weight: usize,
}

/// A document of JSON.
pub(super) struct Document {
    pub bytes: Bytes,
    pub tag: String,
}

/// The packages used last.
#[derive(Default)]
pub(crate) struct Packages {
    kept: Mutex<VecDeque<(Uuid, Digest, Arc<Opened>)>>,
    /// A class begins within a second: one opens the package, the others wait for it.
    opening: tokio::sync::Mutex<()>,
}

impl Packages {
    fn get(&self, package: &Package) -> Option<Arc<Opened>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = package.reference.compiled_digest;
        let at = kept.iter().position(|(id, digest, _)| *id == package.id && *digest == compiled)?;
        let found = kept.remove(at)?;
        let opened = Arc::clone(&found.2);
        kept.push_front(found);
        Some(opened)
    }

    fn keep(&self, package: &Package, opened: &Arc<Opened>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(id, ..)| *id != package.id);
        kept.push_front((package.id, package.reference.compiled_digest, Arc::clone(opened)));
        let mut bytes = 0;
        let fitting = kept.iter().take(KEPT).take_while(|(.., opened)| {
            let fits = bytes == 0 || bytes + opened.weight <= KEPT_BYTES;
            bytes += opened.weight;
            fits
        });
        let fitting = fitting.count();
        kept.truncate(fitting);
    }
}

/// The package of an address. It is looked up each time, so that what is gone is gone at once.
pub(super) async fn opened(local: &Local, reach: &Reach, package: &str) -> Result<Arc<Opened>, ApiError> {
    let unknown = || ApiError::not_found("there is no such package here");
    let tree: Digest = package.parse().map_err(|_| unknown())?;
    let package = readable(local, reach, tree).await?.ok_or_else(unknown)?;
    if let Some(opened) = local.packages.get(&package) {
        return Ok(opened);
    }
    let _alone = local.packages.opening.lock().await;
    if let Some(opened) = local.packages.get(&package) {
        return Ok(opened);
    }
    match open(local, &package).await {
        Ok(opened) => {
            let opened = Arc::new(opened);
            local.packages.keep(&package, &opened);
            Ok(opened)
        }
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::error!(%error, delivery = package.delivery, version = package.version, "a test cannot be run");
            // Nobody starts what cannot be shown; the next sync makes it anew.
            local.store.package_damaged(package.id, DAMAGED).await?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The best package with these files that the key may read: several deliveries may have the same.
async fn readable(local: &Local, reach: &Reach, tree: Digest) -> Result<Option<Package>, StoreError> {
    for package in local.store.packages_by_tree(tree).await? {
        if reach.may_read(local, &package.delivery).await? {
            return Ok(Some(package));
        }
    }
    Ok(None)
}

async fn open(local: &Local, package: &Package) -> Result<Opened, StoreError> {
    let kept = local.store.package_open(package.id).await?;
    let (package, damaged) = (package.clone(), || StoreError::Damaged { what: "a compiled test".into() });
    let work = move || {
        let tree = tree_of(&package, &kept).ok().filter(|tree| tree.tree_digest() == package.reference.tree_digest)?;
        let compiled = kept.compiled.filter(|bytes| Digest::of(bytes) == package.reference.compiled_digest)?;
        Opened::of(tree, compiled)
    };
    tokio::task::spawn_blocking(work).await.ok().flatten().ok_or_else(damaged)
}

/// A part of the compiled form, with what is needed to show it.
#[derive(Serialize)]
struct Shown<'a> {
    form: u32,
    compiler: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<&'a Test>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a Item>,
    texts: Vec<&'a Text>,
    files: BTreeMap<&'a str, Asset>,
}

#[derive(Serialize)]
struct Asset {
    bytes: u64,
    digest: Digest,
    media_type: &'static str,
    address: String,
}

impl Opened {
    /// `None` when the compiled form cannot be read.
    fn of(tree: Tree, compiled: Vec<u8>) -> Option<Self> {
        let read: CompiledTest = serde_json::from_slice(&compiled).ok()?;
        let address = address(tree.tree_digest());
        let test = Shown { test: Some(&read.test), ..shown(&read, &address, &read.test.assets) };
        let test = Document::of(&test)?;
        let item = |item: &Item| {
            let shown = Shown { item: Some(item), ..shown(&read, &address, &item.assets) };
            Some((item.href.clone(), Document::of(&shown)?))
        };
        let items: HashMap<String, Document> = read.items.iter().map(item).collect::<Option<_>>()?;
        let of_items: usize = items.values().map(|item| item.bytes.len()).sum();
        // A file of the list has its path, its digest, and names and keys of its chunks.
        let weight = compiled.len() + test.bytes.len() + of_items + tree.files.len() * 400;
        let compiled = Document { tag: tag_of(Digest::of(&compiled)), bytes: compiled.into() };
        Some(Self { tree, compiled, test, items, weight })
    }
}

/// What belongs to a page that shows these files.
fn shown<'a>(compiled: &'a CompiledTest, address: &str, assets: &'a [String]) -> Shown<'a> {
    let text = |path: &String| compiled.texts.binary_search_by(|text| text.href.cmp(path)).ok();
    let texts = assets.iter().filter_map(text).map(|at| &compiled.texts[at]).collect();
    let files = assets.iter().filter_map(|path| {
        let facts = compiled.files.get(path)?;
        let (media_type, address) = (media_type::of(path), file_address(address, path));
        Some((path.as_str(), Asset { bytes: facts.bytes, digest: facts.digest, media_type, address }))
    });
    Shown { form: compiled.form, compiler: compiled.compiler, test: None, item: None, texts, files: files.collect() }
}

/// The address of a file; what a path may not hold as it is, is encoded.
fn file_address(package: &str, path: &str) -> String {
    let Ok(mut url) = Url::parse(&format!("http://local{package}/files")) else { return String::new() };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(path.split('/'));
    }
    url.path().to_owned()
}

impl Document {
    fn of(document: &impl Serialize) -> Option<Self> {
        let bytes = serde_json::to_vec(document).ok()?;
        Some(Self { tag: tag_of(Digest::of(&bytes)), bytes: bytes.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_any_path() {
        let address = |path| file_address("/p", path);
        assert_eq!(address("styles/water.css"), "/p/files/styles/water.css");
        assert_eq!(address("à la carte/50 %?#.png"), "/p/files/%C3%A0%20la%20carte/50%20%25%3F%23.png");
    }
}
