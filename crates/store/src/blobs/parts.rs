//! Chunks on their way here. What has come of one lies under a temporary name until it is whole, so that a cut line or
//! a dead process costs nothing that arrived. Whole ones become chunks together, in one flush.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use taosync_model::Digest;

use super::straight::Joined;
use super::{Blobs, failed, remove_file};
use crate::StoreError;

/// Begins the names of files that hold the start of a chunk.
pub(super) const PART_PREFIX: &str = ".cut-";

/// Bytes of a chunk that are written together, at most: a dead process costs as many.
const STEP: usize = 512 * 1024;

/// What has come of one chunk.
#[derive(Debug)]
pub struct Part {
    blobs: Blobs,
    name: Digest,
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
    /// The last of them, in memory still.
    unwritten: Option<Joined>,
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
            let mut part = Part {
                blobs: blobs.clone(),
                name,
                path,
                file,
                hasher: blake3::Hasher::new(),
                bytes: 0,
                unwritten: None,
            };
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
    /// Bytes that are here, in memory or on the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes what has come, as much as is to be written together; gives the rest back, which is to be taken after that
    /// is written.
    #[must_use]
    pub fn take<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        let behind_step = (self.bytes % STEP as u64) as usize;
        let is_full = self.unwritten.is_some() && behind_step == 0;
        let room = if is_full { 0 } else { STEP - behind_step };
        let (taken, rest) = piece.split_at(room.min(piece.len()));
        if !taken.is_empty() {
            self.unwritten.get_or_insert_with(|| self.blobs.buffers.for_bytes(STEP)).push(taken);
            self.bytes += taken.len() as u64;
        }
        rest
    }

    /// Writes what was taken.
    pub async fn write(mut self) -> Result<Self, StoreError> {
        let Some(unwritten) = self.unwritten.take() else { return Ok(self) };
        let blobs = self.blobs.clone();
        let write = move |blobs: &Blobs| {
            blobs.may_write()?;
            let at = self.bytes - unwritten.bytes().len() as u64;
            unwritten.write(&mut self.file, at).map_err(|e| failed("write", &self.path, e))?;
            self.hasher.update(unwritten.bytes());
            Ok(self)
        };
        blobs.run(write).await
    }

    /// Forgets what is here.
    pub async fn restart(mut self) -> Result<Self, StoreError> {
        let blobs = self.blobs.clone();
        blobs.run(move |_| self.empty().map(|()| self)).await
    }

    /// Whether what was written is the chunk that its name says. What is not is forgotten.
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
        self.unwritten = None;
        Ok(())
    }
}

pub(super) fn wrong(name: Digest) -> StoreError {
    StoreError::damaged(format!("chunk {name}, as it came,"))
}
