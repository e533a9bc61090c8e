//! One chunk on its way: what comes is put together in memory, and written behind the back of whoever brings more.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use taosync_model::Digest;
use tokio::task::JoinHandle;

use super::wrong;
use crate::StoreError;
use crate::blobs::straight::Joined;
use crate::blobs::{Blobs, failed, joined, remove_file};

/// Bytes of a chunk that are written together, at most. A dead process costs twice as many.
const STEP: usize = 512 * 1024;

/// What has come of one chunk.
#[derive(Debug)]
pub struct Part {
    blobs: Blobs,
    name: Digest,
    start: Start,
    /// Of the start, and of what was taken since.
    bytes: u64,
    /// What was taken last, in memory still.
    unwritten: Option<Joined>,
}

/// What was taken before.
#[derive(Debug)]
enum Start {
    Written(Written),
    Writing(JoinHandle<Result<Written, StoreError>>),
    /// It could not be written, and that was told.
    Lost,
}

/// What is on the disk.
#[derive(Debug)]
pub(super) struct Written {
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Part {
    pub(super) fn new(blobs: Blobs, name: Digest, written: Written) -> Self {
        Self { blobs, name, bytes: written.bytes, start: Start::Written(written), unwritten: None }
    }

    /// Bytes that are here, in memory or on the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes what has come, as much as is to be written together; gives the rest back, which is to be taken after
    /// [`Self::write`].
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

    /// Begins to write what was taken, when what was taken before is written. An error of that is told here.
    pub async fn write(&mut self) -> Result<(), StoreError> {
        let written = self.written().await?;
        self.start = match self.unwritten.take() {
            None => Start::Written(written),
            Some(unwritten) => {
                let blobs = self.blobs.clone();
                Start::Writing(tokio::task::spawn_blocking(move || written.and(&unwritten, &blobs)))
            }
        };
        Ok(())
    }

    /// Writes what was taken, and waits until it is written.
    pub async fn write_all(&mut self) -> Result<(), StoreError> {
        self.write().await?;
        self.start = Start::Written(self.written().await?);
        Ok(())
    }

    /// Forgets what is here.
    pub async fn restart(&mut self) -> Result<(), StoreError> {
        self.unwritten = None;
        let mut written = self.written().await?;
        let emptied = self.blobs.run(move |_| written.empty().map(|()| written)).await?;
        (self.start, self.bytes) = (Start::Written(emptied), 0);
        Ok(())
    }

    /// Whether what was taken is the chunk that its name says. What is not is forgotten.
    pub async fn check(mut self) -> Result<(), StoreError> {
        self.write().await?;
        let written = self.written().await?;
        if Digest(*written.hasher.finalize().as_bytes()) == self.name {
            return Ok(());
        }
        self.blobs.run(move |_| remove_file(&written.path).and(Err(wrong(self.name)))).await
    }

    /// What is on the disk, once what is being written is. Whoever calls this gives it back.
    async fn written(&mut self) -> Result<Written, StoreError> {
        match std::mem::replace(&mut self.start, Start::Lost) {
            Start::Written(written) => Ok(written),
            Start::Writing(writing) => joined(writing.await, &self.blobs.folder),
            Start::Lost => Err(StoreError::damaged(format!("chunk {}, as far as it came,", self.name))),
        }
    }
}

impl Written {
    pub(super) fn of(file: File, path: PathBuf) -> Self {
        Self { path, file, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes more behind it.
    fn and(mut self, more: &Joined, blobs: &Blobs) -> Result<Self, StoreError> {
        blobs.may_write()?;
        // First, while the bytes are near the processor.
        self.hasher.update(more.bytes());
        more.write(&mut self.file, self.bytes).map_err(|e| failed("write", &self.path, e))?;
        self.bytes += more.bytes().len() as u64;
        Ok(self)
    }

    /// Learns what the file has.
    pub(super) fn read_again(&mut self) -> Result<(), StoreError> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            match self.file.read(&mut piece).map_err(|e| failed("read", &self.path, e))? {
                0 => return Ok(()),
                read => {
                    self.hasher.update(&piece[..read]);
                    self.bytes += read as u64;
                }
            }
        }
    }

    pub(super) fn empty(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(|e| failed("write", &self.path, e))?;
        self.hasher.reset();
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_could_not_be_written_is_told_once_the_disk_has_said_so_and_is_never_taken_for_written() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).await.unwrap();
        let path = dir.path().join("read only");
        std::fs::write(&path, b"").unwrap();
        let name = Digest::of(b"x");
        let mut part = Part::new(blobs, name, Written::of(File::open(&path).unwrap(), path.clone()));
        assert!(part.take(b"x").is_empty());
        part.write().await.unwrap();
        assert!(matches!(part.write().await, Err(StoreError::Blob { act: "write", .. })));
        assert!(part.write_all().await.is_err() && part.restart().await.is_err() && part.check().await.is_err());
    }

    #[tokio::test]
    async fn as_much_is_taken_as_is_written_together() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).await.unwrap();
        let bytes: Vec<u8> = (0..3 * STEP).map(|n| (n / 3) as u8).collect();
        let mut part = blobs.part_take_up(Digest::of(&bytes), bytes.len() as u64).await.unwrap();
        assert_eq!(part.take(&bytes).len(), 2 * STEP);
        assert_eq!(part.take(&bytes[STEP..]).len(), 2 * STEP, "nothing before the next step");
        part.write().await.unwrap();
        assert!(part.take(&bytes[STEP..][..9]).is_empty());
        part.write_all().await.unwrap();
        assert_eq!(part.take(&bytes[STEP + 9..]).len(), STEP, "steps begin where they did");
        part.write().await.unwrap();
        assert!(part.take(&bytes[2 * STEP..]).is_empty());
        part.check().await.unwrap();
    }
}
