//! The object store: chunks as files `chunks/ab/<hex>`, named by their BLAKE3 hash; at local those that were fetched as
//! files `chunks/fetched/<hex>`. A file under its name is always whole: it is written and flushed under a temporary name
//! in the same folder, then renamed. Small chunks that came together lie in packs ([`packs`]).

mod disk;
mod packs;
mod parts;
mod pieces;
mod places;
mod straight;
mod strays;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use taosync_model::Digest;
use tokio::task::JoinError;

use crate::StoreError;

pub use packs::{PACK_CHUNKS, Pack, Packed};
pub use parts::Part;
pub use pieces::Found;

const LEFTOVER_PREFIX: &str = ".part-";

/// The folder of chunks of one node.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: PathBuf,
    packs: Arc<Mutex<packs::Index>>,
    buffers: straight::Buffers,
}

impl Blobs {
    /// Opens (and, the first time, makes) the folder `chunks` in a node's directory.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let blobs = Self { folder: dir.join("chunks"), packs: Arc::default(), buffers: straight::Buffers::default() };
        blobs.run(|blobs| fs::create_dir_all(&blobs.folder).map_err(|e| failed("make", &blobs.folder, e))).await?;
        Ok(blobs)
    }

    /// Writes a batch: all files are flushed together, then renamed, then the names are flushed. A file that is there
    /// is replaced, which repairs a damaged one. Bytes that do not have their name's hash are refused, and then
    /// nothing is written.
    pub async fn put_batch(&self, batch: Vec<(Digest, Vec<u8>)>) -> Result<(), StoreError> {
        self.run(move |blobs| blobs.put_all(&batch)).await
    }

    /// Reads a chunk and checks that it is the one its name says. [`StoreError::NotFound`] when it is not here,
    /// [`StoreError::Damaged`] when it is another.
    pub async fn get(&self, name: Digest) -> Result<Vec<u8>, StoreError> {
        self.run(move |blobs| blobs.get_one(name)).await
    }

    /// [`Self::get`] for code on a thread that may wait for the disk.
    pub fn get_waiting(&self, name: Digest) -> Result<Vec<u8>, StoreError> {
        self.get_one(name)
    }

    /// Whether a chunk is here, and its bytes. Its contents are not read.
    pub async fn size(&self, name: Digest) -> Result<Option<u64>, StoreError> {
        self.run(move |blobs| blobs.find(name, |opened| Ok(Some(opened.bytes)))).await
    }

    /// Whether a chunk is here.
    pub async fn has(&self, name: Digest) -> Result<bool, StoreError> {
        Ok(self.size(name).await?.is_some())
    }

    /// Deletes chunks; those that are not here are passed over. What is in packs goes with them ([`Self::pack_shrink`]).
    pub async fn remove(&self, names: Vec<Digest>) -> Result<(), StoreError> {
        self.run(move |blobs| names.iter().flat_map(|name| blobs.paths(*name)).try_for_each(|path| remove_file(&path)))
            .await
    }

    /// Deletes temporary files that were last written before `before`: a process died while it wrote them, or nobody
    /// has fetched the rest of a chunk. Says how many.
    pub async fn remove_leftovers(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(move |blobs| blobs.sweep(before)).await
    }

    /// Bytes this user can still write on the disk of the folder.
    pub async fn free_bytes(&self) -> Result<u64, StoreError> {
        self.run(|blobs| {
            let disk = rustix::fs::statvfs(&blobs.folder).map_err(|e| failed("measure", &blobs.folder, e.into()))?;
            Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
        })
        .await
    }

    /// Files are waited for on threads of their own.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let blobs = self.clone();
        joined(tokio::task::spawn_blocking(move || work(&blobs)).await, &self.folder)
    }

    /// The files of its own that a chunk may be in.
    fn paths(&self, name: Digest) -> [PathBuf; 2] {
        [self.path(name), self.fetched_path(name)]
    }

    fn path(&self, name: Digest) -> PathBuf {
        let hex = name.to_hex();
        self.folder.join(&hex[..2]).join(hex)
    }

    fn put_all(&self, batch: &[(Digest, Vec<u8>)]) -> Result<(), StoreError> {
        if let Some((name, _)) = batch.iter().find(|(name, bytes)| Digest::of(bytes) != *name) {
            return Err(StoreError::damaged(format!("chunk {name}, as it was to be written,")));
        }
        let mut written = Vec::new();
        let mut folders = BTreeSet::new();
        for (name, bytes) in batch {
            self.may_write()?;
            let folder = self.folder_of(*name, &mut folders)?;
            written.push((write_temporary(&folder, bytes)?, self.path(*name)));
        }
        self.flush_together(written.iter().map(|(temporary, _)| &**temporary))?;
        for (temporary, path) in written {
            temporary.persist(&path).map_err(|e| failed("write", &path, e.error))?;
        }
        self.flush_together(folders.iter().map(PathBuf::as_path))
    }

    /// The folder of a chunk, made when it is the first there; it and its parent have to be flushed.
    fn folder_of(&self, name: Digest, touched: &mut BTreeSet<PathBuf>) -> Result<PathBuf, StoreError> {
        let folder = self.folder.join(&name.to_hex()[..2]);
        if touched.insert(folder.clone()) {
            touched.insert(self.folder.clone());
            fs::create_dir_all(&folder).map_err(|e| failed("make", &folder, e))?;
        }
        Ok(folder)
    }

    fn get_one(&self, name: Digest) -> Result<Vec<u8>, StoreError> {
        let mut is_here = false;
        let found = self.find(name, |opened| {
            let bytes = opened.read_all()?;
            is_here = true;
            Ok((Digest::of(&bytes) == name).then_some(bytes))
        })?;
        found.ok_or_else(|| if is_here { StoreError::damaged(format!("chunk {name}")) } else { not_here(name) })
    }

    fn sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        for folder in self.folders()? {
            for path in list(&folder)? {
                if is_leftover(&path, before) {
                    remove_file(&path)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// The folders that chunks are in.
    fn folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        Ok(list(&self.folder)?.into_iter().filter(|path| path.is_dir()).collect())
    }
}

fn not_here(name: Digest) -> StoreError {
    StoreError::NotFound {
        what: format!("chunk {name}"),
        advice: "fetch it again with 'taosync sync data', or publish its package again on central",
    }
}

/// Only the name is kept: a batch has more files than a process may have open.
fn write_temporary(folder: &Path, bytes: &[u8]) -> Result<tempfile::TempPath, StoreError> {
    let made = tempfile::Builder::new().prefix(LEFTOVER_PREFIX).tempfile_in(folder);
    let mut file = made.map_err(|e| failed("write in", folder, e))?;
    file.write_all(bytes).map_err(|e| failed("write", file.path(), e))?;
    Ok(file.into_temp_path())
}

fn joined<T>(done: Result<Result<T, StoreError>, JoinError>, folder: &Path) -> Result<T, StoreError> {
    done.unwrap_or_else(|e| Err(failed("use", folder, io::Error::other(e))))
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("delete", path, e)),
        _ => Ok(()),
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(folder).map_err(|e| failed("read", folder, e))?;
    entries.map(|entry| entry.map(|e| e.path()).map_err(|e| failed("read", folder, e))).collect()
}

fn is_leftover(path: &Path, before: Timestamp) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let named = [LEFTOVER_PREFIX, parts::PART_PREFIX].iter().any(|prefix| name.starts_with(prefix));
    named && was_written_before(path, before)
}

/// False also for a file that is not there.
fn was_written_before(path: &Path, before: Timestamp) -> bool {
    let written = fs::metadata(path).and_then(|found| found.modified()).ok();
    written.and_then(|time| Timestamp::try_from(time).ok()).is_some_and(|time| time < before)
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::DiskFull,
        _ => StoreError::Blob { act, path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_to_be_one() {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert!(matches!(failed("write", Path::new("x"), kind.into()), StoreError::DiskFull));
        }
        let other = failed("write", Path::new("x"), ErrorKind::PermissionDenied.into());
        assert!(matches!(other, StoreError::Blob { act: "write", .. }));
    }
}
