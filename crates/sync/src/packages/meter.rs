//! How far fetching is, counted as bytes arrive and files become whole.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use taosync_model::Digest;
use taosync_packages::Tree;
use taosync_store::packages::ChunkRef;

use crate::session::Progress;

/// Bytes that arrive between two words to whoever watches, at least.
const TOLD_BYTES: u64 = 64 * 1024;

/// Counts what travels and tells it to whoever watches.
pub(super) struct Meter<'a> {
    tell: &'a (dyn Fn(Progress) + Send + Sync),
    counts: Mutex<Counts>,
}

/// What travelled since the meter began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Travelled {
    /// Ciphertext bytes, those of cut chunks included.
    pub bytes: u64,
    /// Chunks that came to be here.
    pub chunks: u64,
}

#[derive(Default)]
struct Counts {
    travelled: Travelled,
    done: u64,
    /// Those of them that nobody was told of.
    untold: u64,
    of: u64,
    files: Files,
}

/// Files of a package that wait for chunks.
#[derive(Default)]
struct Files {
    waiting: HashMap<Digest, Vec<usize>>,
    /// Chunks that each file still lacks.
    lacks: Vec<usize>,
    done: u64,
}

impl<'a> Meter<'a> {
    pub fn new(tell: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        Self { tell, counts: Mutex::default() }
    }

    pub fn travelled(&self) -> Travelled {
        self.counts().travelled
    }

    /// The next package begins.
    pub fn begin(&self, words: String) {
        *self.counts() = Counts { travelled: self.travelled(), ..Counts::default() };
        (self.tell)(Progress::Phase(words));
    }

    /// So many bytes more are to come.
    pub fn expect(&self, bytes: u64) {
        let mut counts = self.counts();
        counts.of = counts.of.saturating_add(bytes);
        self.show(counts);
    }

    /// The files of the package are known, and which chunks of them are missing.
    pub fn expect_files(&self, tree: &Tree, missing: &[Digest]) {
        let mut waiting: HashMap<Digest, Vec<usize>> = missing.iter().map(|name| (*name, Vec::new())).collect();
        let mut files = Files { lacks: vec![0; tree.files.len()], ..Files::default() };
        for (at, file) in tree.files.iter().enumerate() {
            for chunk in &file.chunks {
                let Some(waits) = waiting.get_mut(&chunk.name) else { continue };
                if waits.last() != Some(&at) {
                    waits.push(at);
                    files.lacks[at] += 1;
                }
            }
        }
        files.done = files.lacks.iter().filter(|lacks| **lacks == 0).count() as u64;
        files.waiting = waiting;
        self.counts().files = files;
    }

    /// Bytes arrived.
    pub fn add(&self, bytes: u64) {
        let mut counts = self.counts();
        counts.travelled.bytes += bytes;
        counts.done += bytes;
        counts.untold += bytes;
        if counts.untold >= TOLD_BYTES {
            self.show(counts);
        }
    }

    /// Chunks came to be here.
    pub fn landed(&self, chunks: &[ChunkRef]) {
        let mut counts = self.counts();
        counts.travelled.chunks += chunks.len() as u64;
        let files = &mut counts.files;
        for at in chunks.iter().flat_map(|chunk| files.waiting.remove(&chunk.name).unwrap_or_default()) {
            files.lacks[at] -= 1;
            files.done += u64::from(files.lacks[at] == 0);
        }
        self.show(counts);
    }

    fn show(&self, mut counts: MutexGuard<'_, Counts>) {
        counts.untold = 0;
        let (bytes_done, bytes_of) = (counts.done.min(counts.of), counts.of);
        let (files_done, files_of) = (counts.files.done, counts.files.lacks.len() as u64);
        // Whoever watches may take its time.
        drop(counts);
        (self.tell)(Progress::Package { bytes_done, bytes_of, files_done, files_of });
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
