//! Chunks on their way here. What has come of one lies under a temporary name until it is whole, so that a cut line or
//! a dead process costs nothing that arrived. Whole ones become chunks together, in one flush.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::path::{Path, PathBuf};

use taosync_model::Digest;

use super::{Blobs, failed, remove_file};
use crate::StoreError;

/// Begins the names of files that hold the start of a chunk.
pub(super) const PART_PREFIX: &str = ".cut-";

/// What has come of one chunk.
#[derive(Debug)]
pub struct Part {
    blobs: Blobs,
    name: Digest,
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Blobs {
    /// How many bytes earlier tries left of these chunks; those with none are left out.
    pub async fn parts_held(&self, names: Vec<Digest>) -> Result<BTreeMap<Digest, u64>, StoreError> {
        self.run(move |blobs| {
            let (mut held, mut folders) = (BTreeMap::new(), BTreeMap::new());
            for name in names {
                let path = blobs.part_path(name);
                // Asked once for each folder: before a first fetch most are not there.
                let is_there = folders.entry(name.0[0]).or_insert_with(|| path.parent().is_some_and(Path::is_dir));
                if !*is_there {
                    continue;
                }
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
            blobs.part_folder(&path)?;
            let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
            let file = opened.map_err(|e| failed("open", &path, e))?;
            let mut part = Part { blobs: blobs.clone(), name, path, file, hasher: blake3::Hasher::new(), bytes: 0 };
            part.read_again().map_err(|e| failed("read", &part.path, e))?;
            if part.bytes > whole {
                part.empty()?;
            }
            Ok(part)
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
                if fs::write(&path, bytes).is_err() {
                    // Most often its folder is there.
                    blobs.part_folder(&path)?;
                    fs::write(&path, bytes).map_err(|e| failed("write", &path, e))?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Makes chunks of parts that are whole: all of them are flushed together, then renamed, then the names are
    /// flushed together.
    pub async fn parts_land(&self, names: Vec<Digest>) -> Result<(), StoreError> {
        self.run(move |blobs| {
            let paths: Vec<_> = names.iter().map(|name| (blobs.part_path(*name), blobs.path(*name))).collect();
            blobs.flush_together(paths.iter().map(|(part, _)| part.as_path()))?;
            for (part, path) in &paths {
                fs::rename(part, path).map_err(|e| failed("write", path, e))?;
            }
            let folders = paths.iter().filter_map(|(_, path)| path.parent());
            let folders: BTreeSet<_> = folders.chain([blobs.folder.as_path()]).collect();
            blobs.flush_together(folders.into_iter())
        })
        .await
    }

    /// [`Self::get_waiting`] also of a chunk that is whole and has not landed yet.
    pub fn get_arrived_waiting(&self, name: Digest) -> Result<Vec<u8>, StoreError> {
        match self.get_waiting(name) {
            Err(StoreError::NotFound { .. }) => {}
            found => return found,
        }
        match fs::read(self.part_path(name)) {
            Ok(bytes) if Digest::of(&bytes) == name => Ok(bytes),
            // Not whole; or it landed meanwhile.
            _ => self.get_waiting(name),
        }
    }

    fn part_path(&self, name: Digest) -> PathBuf {
        let hex = name.to_hex();
        self.folder.join(&hex[..2]).join(format!("{PART_PREFIX}{hex}"))
    }

    fn part_folder(&self, part: &Path) -> Result<(), StoreError> {
        let folder = part.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(|e| failed("make", folder, e))
    }
}

impl Part {
    /// Bytes that are here.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds what has come, in pieces one after the other.
    pub async fn add(mut self, pieces: Vec<impl AsRef<[u8]> + Send + 'static>) -> Result<Self, StoreError> {
        let blobs = self.blobs.clone();
        let write = move |blobs: &Blobs| {
            blobs.may_write()?;
            write_all(&mut self.file, &pieces).map_err(|e| failed("write", &self.path, e))?;
            for piece in &pieces {
                self.hasher.update(piece.as_ref());
                self.bytes += piece.as_ref().len() as u64;
            }
            Ok(self)
        };
        blobs.run(write).await
    }

    /// Forgets what is here.
    pub async fn restart(mut self) -> Result<Self, StoreError> {
        let blobs = self.blobs.clone();
        blobs.run(move |_| self.empty().map(|()| self)).await
    }

    /// Whether this is the chunk that its name says. What is not is forgotten.
    pub async fn check(self) -> Result<(), StoreError> {
        if Digest(*self.hasher.finalize().as_bytes()) == self.name {
            return Ok(());
        }
        let blobs = self.blobs.clone();
        blobs.run(move |_| remove_file(&self.path).and(Err(wrong(self.name)))).await
    }

    fn read_again(&mut self) -> io::Result<()> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            match self.file.read(&mut piece)? {
                0 => return Ok(()),
                read => {
                    self.hasher.update(&piece[..read]);
                    self.bytes += read as u64;
                }
            }
        }
    }

    fn empty(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(|e| failed("write", &self.path, e))?;
        self.hasher.reset();
        self.bytes = 0;
        Ok(())
    }
}

/// Writes pieces one after the other, many in one call of the system.
fn write_all(file: &mut File, pieces: &[impl AsRef<[u8]>]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece.as_ref())).collect();
    let mut left = &mut slices[..];
    // Takes empty ones away.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn wrong(name: Digest) -> StoreError {
    StoreError::damaged(format!("chunk {name}, as it came,"))
}
