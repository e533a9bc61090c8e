//! Reading files back from chunks, verifying names, sizes and digests on the way.

use taosync_model::Digest;
use taosync_vault::chunk::open_chunk;

use super::{ChunkFetch, ChunkRef, Tree, TreeFile, chunk_form};
use crate::PackageError;
use crate::archive::file_too_large;
use crate::compile::Source;
use crate::compile::document::FileFacts;

/// Reads a whole file into memory; for large ones use [`stream_file`].
pub fn read_file(file: &TreeFile, fetch: &ChunkFetch<'_>) -> Result<Vec<u8>, PackageError> {
    let mut bytes = Vec::new();
    stream_file(file, fetch, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// Reads a file chunk by chunk. Every piece is authentic when it is handed over; that they are in the right order and
/// complete is known only after this returned `Ok`.
pub fn stream_file(
    file: &TreeFile,
    fetch: &ChunkFetch<'_>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), PackageError>,
) -> Result<(), PackageError> {
    let mut hasher = blake3::Hasher::new();
    let mut total = 0;
    for chunk in &file.chunks {
        let piece = open_piece(&file.path, chunk, fetch)?;
        hasher.update(&piece);
        total += piece.len() as u64;
        sink(&piece)?;
    }
    if total == file.bytes && Digest(*hasher.finalize().as_bytes()) == file.digest {
        Ok(())
    } else {
        Err(PackageError::DamagedFile(file.path.clone()))
    }
}

/// One chunk, opened and unpacked; `path` says in errors what it is of.
pub fn open_piece(path: &str, chunk: &ChunkRef, fetch: &ChunkFetch<'_>) -> Result<Vec<u8>, PackageError> {
    let damaged = |reason| PackageError::DamagedChunk { name: chunk.name, file: path.to_owned(), reason };
    let sealed =
        fetch(&chunk.name).map_err(|source| PackageError::Store { name: chunk.name, act: "fetched", source })?;
    if sealed.len() as u64 != chunk.bytes {
        return Err(damaged("it has the wrong size"));
    }
    let form =
        open_chunk(&chunk.name, &chunk.key, &sealed).map_err(|_| damaged("it does not match its name or key"))?;
    chunk_form::decode(form, chunk.plain_bytes).ok_or_else(|| damaged("its content cannot be unpacked"))
}

/// A tree and a way to its chunks, as files that can be compiled.
pub struct TreeFiles<'a> {
    tree: &'a Tree,
    fetch: &'a ChunkFetch<'a>,
}

impl<'a> TreeFiles<'a> {
    /// The files of a tree whose chunks `fetch` finds.
    pub fn new(tree: &'a Tree, fetch: &'a ChunkFetch<'a>) -> Self {
        Self { tree, fetch }
    }
}

impl Source for TreeFiles<'_> {
    fn paths(&self) -> Vec<&str> {
        self.tree.files.iter().map(|file| file.path.as_str()).collect()
    }

    fn contains(&self, path: &str) -> bool {
        self.tree.file(path).is_some()
    }

    fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, PackageError> {
        let file = self.tree.file(path).ok_or_else(|| PackageError::NoSuchFile(path.to_owned()))?;
        if file.bytes > max {
            return Err(PackageError::Refused(Box::new(file_too_large(path, file.bytes, max))));
        }
        read_file(file, self.fetch)
    }

    fn facts(&self, path: &str) -> Result<FileFacts, PackageError> {
        let file = self.tree.file(path).ok_or_else(|| PackageError::NoSuchFile(path.to_owned()))?;
        Ok(FileFacts { bytes: file.bytes, digest: file.digest })
    }
}
