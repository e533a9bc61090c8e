//! Opened file trees of the packages that are being run, so that a picture does not cost reading the whole list.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use taosync_packages::Tree;
use taosync_store::packages::Package;
use taosync_sync::packages::contents::read_tree;
use uuid::Uuid;

use super::deliveries::locked;
use crate::problem::ApiError;
use crate::state::Local;

/// Trees that are kept: one exam has few tests.
const KEPT: usize = 8;

/// The trees used last.
#[derive(Default)]
pub(crate) struct Trees(Mutex<VecDeque<(Uuid, Arc<Tree>)>>);

impl Trees {
    fn get(&self, package: Uuid) -> Option<Arc<Tree>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(id, _)| *id == package).map(|(_, tree)| Arc::clone(tree))
    }

    fn keep(&self, package: Uuid, tree: &Arc<Tree>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(id, _)| *id != package);
        kept.push_front((package, Arc::clone(tree)));
        kept.truncate(KEPT);
    }
}

/// The tree of a package.
pub(super) async fn tree_of(local: &Local, package: &Package) -> Result<Arc<Tree>, ApiError> {
    if let Some(tree) = local.trees.get(package.id) {
        return Ok(tree);
    }
    let key = local.store.package_open(package.id).await?.key.ok_or_else(locked)?;
    let read = read_tree(&local.blobs, package.reference.sealed_tree, &key).await;
    let tree = Arc::new(read.map_err(|error| ApiError::internal(&error))?);
    local.trees.keep(package.id, &tree);
    Ok(tree)
}
