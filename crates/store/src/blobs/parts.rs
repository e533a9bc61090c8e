//! Chunks on their way here. What has come of one lies under a temporary name until it is whole, so that a cut line or
//! a dead process costs nothing that arrived. Whole ones become chunks together. All of them lie in one
//! folder, `chunks/fetched`: names in one folder are flushed at once.

mod part;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use taosync_model::Digest;

use super::disk::flush;
use super::{Blobs, failed};
use crate::StoreError;
pub use part::Part;
use part::Written;

/// Begins the names of files that hold the start of a chunk.
pub(super) const PART_PREFIX: &str = ".cut-";

/// Folder of chunks that came one by one, beside those of other single chunks.
const FOLDER: &str = "fetched";

impl Blobs {
    /// How many bytes earlier tries left of these chunks; those with none are left out.
    pub async fn parts_held(&self, names: Vec<Digest>) -> Result<BTreeMap<Digest, u64>, StoreError> {
        self.run(move |blobs| {
            let mut held = BTreeMap::new();
            if !blobs.fetched_folder().is_dir() {
                return Ok(held);
            }
            for name in names {
                let path = blobs.part_path(name);
                match fs::metadata(&path) {
                    Ok(found) if found.len() > 0 => drop(held.insert(name, found.len())),
                    Ok(_) => {}
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(e) => return Err(failed("read", &path, e)),
                }
            }
            Ok(held)
        })
        .await
    }

    /// Takes up a chunk where an earlier try left it. What is longer than `whole` is no start of it and begins anew.
    pub async fn part_take_up(&self, name: Digest, whole: u64) -> Result<Part, StoreError> {
        self.run(move |blobs| {
            let path = blobs.part_path(name);
            let opened =
                blobs.in_fetched_folder(|| OpenOptions::new().read(true).append(true).create(true).open(&path));
            let mut written = Written::of(opened.map_err(|e| failed("open", &path, e))?, path);
            written.read_again()?;
            if written.bytes() > whole {
                written.empty()?;
            }
            Ok(Part::new(blobs.clone(), name, written))
        })
        .await
    }

    /// Writes whole chunks under their temporary names. All must have their names' hash.
    pub async fn parts_put(&self, batch: Vec<(Digest, Vec<u8>)>) -> Result<(), StoreError> {
        self.run(move |blobs| {
            for (name, bytes) in &batch {
                if Digest::of(bytes) != *name {
                    return Err(wrong(*name));
                }
                blobs.may_write()?;
                let path = blobs.part_path(*name);
                blobs.in_fetched_folder(|| fs::write(&path, bytes)).map_err(|e| failed("write", &path, e))?;
            }
            Ok(())
        })
        .await
    }

    /// Makes chunks of parts that are whole: all of them are flushed, then renamed, then the names are flushed together.
    pub async fn parts_land(&self, names: Vec<Digest>) -> Result<(), StoreError> {
        self.run(move |blobs| {
            let paths: Vec<_> = names.iter().map(|name| (blobs.part_path(*name), blobs.fetched_path(*name))).collect();
            // One by one: the bytes of large ones are on the disk, and flushing all that waits for it would hold up what is
            // written straight to it meanwhile.
            paths.iter().try_for_each(|(part, _)| flush(part))?;
            for (part, path) in &paths {
                fs::rename(part, path).map_err(|e| failed("write", path, e))?;
            }
            blobs.flush_fetched()
        })
        .await
    }

    /// [`Self::get_waiting`] also of a chunk that is whole and has not landed yet.
    pub fn get_arrived_waiting(&self, name: Digest) -> Result<Vec<u8>, StoreError> {
        match self.get_waiting(name) {
            // A damaged one is fetched again, and the good one lies there now.
            Err(StoreError::NotFound { .. } | StoreError::Damaged { .. }) => {}
            found => return found,
        }
        match fs::read(self.part_path(name)) {
            Ok(bytes) if Digest::of(&bytes) == name => Ok(bytes),
            // Not whole; or it landed meanwhile.
            _ => self.get_waiting(name),
        }
    }

    /// The bytes of a chunk that came by itself, when it is whole.
    pub(super) fn whole_by_itself(&self, name: Digest) -> Result<Option<u64>, StoreError> {
        let path = self.fetched_path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok((Digest::of(&bytes) == name).then_some(bytes.len() as u64)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", &path, e)),
        }
    }

    /// Waits until the names of chunks that came by themselves have reached the disk.
    pub(super) fn flush_fetched(&self) -> Result<(), StoreError> {
        self.flush_together([&*self.fetched_folder(), &*self.folder].into_iter())
    }

    /// Where a chunk is that came by itself.
    pub(super) fn fetched_path(&self, name: Digest) -> PathBuf {
        self.fetched_folder().join(name.to_hex())
    }

    fn part_path(&self, name: Digest) -> PathBuf {
        self.fetched_folder().join(format!("{PART_PREFIX}{}", name.to_hex()))
    }

    fn fetched_folder(&self) -> PathBuf {
        self.folder.join(FOLDER)
    }

    /// Does something in the folder, which is most often there.
    fn in_fetched_folder<T>(&self, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match act() {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(self.fetched_folder())?;
                act()
            }
            done => done,
        }
    }
}

pub(super) fn wrong(name: Digest) -> StoreError {
    StoreError::damaged(format!("chunk {name}, as it came,"))
}
