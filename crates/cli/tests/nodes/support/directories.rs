//! Directories of nodes that are copied and put back, as people do it: file by file, while nobody writes.

use std::path::Path;
use std::sync::Arc;

use taosync_model::clock::ShiftedClock;
use taosync_store::Store;
use taosync_vault::keyring::Keyring;
use tempfile::TempDir;

use super::{Central, Local, Node};

/// A copy of a directory, all but what belongs to the running process.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

impl Node {
    /// A node on a copy of the directory.
    pub async fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.dir.path(), dir.path());
        Self::open(dir, self.clock.clone()).await
    }

    async fn open(dir: TempDir, clock: Arc<ShiftedClock>) -> Self {
        let keyring = Arc::new(Keyring::open(&dir.path().join("keys")).unwrap());
        let store = Store::open(dir.path(), keyring, clock.clone()).await.unwrap();
        Self { store, clock, dir }
    }
}

impl Local {
    /// A second machine with the same directory.
    pub async fn copy(&self) -> Self {
        Self { node: self.node.copy().await }
    }

    /// `taosync node adopt`.
    pub async fn adopt(&self) {
        let mut tx = self.store().write("test adopt", taosync_store::Durability::Flushed).await.unwrap();
        self.store().continuation_adopt(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// `taosync node renew`.
    pub async fn renew(self) -> Self {
        self.store().close().await;
        Keyring::renew_node(&self.node.dir.path().join("keys")).unwrap();
        let node = Node::open(self.node.dir, self.node.clock).await;
        node.store.identity_renew().await.unwrap();
        Self { node }
    }
}

impl Central {
    /// What its directory holds now, to be put back later.
    pub fn save(&self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.node.dir.path(), dir.path());
        dir
    }

    /// The same central on an older state of its directory, as if nothing had happened.
    pub async fn put_back(self, saved: TempDir) -> Self {
        self.store().close().await;
        let node = Node::open(saved, self.node.clock.clone()).await;
        let store = node.store.clone();
        let mut central = self.with_store(store).await;
        central.node = node;
        central
    }
}
