//! Cutting a checked package into chunks.

use taosync_model::Digest;
use taosync_vault::chunk::ChunkSecret;

use super::{CHUNK_BYTES, ChunkRef, ChunkSink, Tree, TreeFile, chunk_form};
use crate::PackageError;
use crate::archive::{Archive, Entry};

/// Builds the tree of a package and hands every sealed chunk, by name, to `sink`. At most one chunk is in memory.
/// A chunk may be handed over more than once when files share content; storing it again is harmless.
pub fn build(archive: &Archive, secret: &ChunkSecret, sink: &mut ChunkSink<'_>) -> Result<Tree, PackageError> {
    let files = archive.entries().map(|entry| file(archive, entry, secret, sink));
    Ok(Tree { files: files.collect::<Result<_, _>>()?, test: None })
}

fn file(
    archive: &Archive,
    entry: Entry<'_>,
    secret: &ChunkSecret,
    sink: &mut ChunkSink<'_>,
) -> Result<TreeFile, PackageError> {
    let mut hasher = blake3::Hasher::new();
    let mut chunks = Vec::new();
    archive.stream(entry.path, CHUNK_BYTES, &mut |piece| {
        hasher.update(piece);
        chunks.push(chunk(piece, secret, sink)?);
        Ok::<_, PackageError>(())
    })?;
    let digest = Digest(*hasher.finalize().as_bytes());
    Ok(TreeFile { path: entry.path.to_owned(), bytes: entry.bytes, digest, chunks })
}

pub(crate) fn chunk(piece: &[u8], secret: &ChunkSecret, sink: &mut ChunkSink<'_>) -> Result<ChunkRef, PackageError> {
    let form = chunk_form::encode(piece).map_err(|e| PackageError::Encode("a chunk", e))?;
    let sealed = secret.seal(&form);
    sink(&sealed.name, &sealed.bytes).map_err(|source| PackageError::Store {
        name: sealed.name,
        act: "stored",
        source,
    })?;
    let (bytes, plain_bytes) = (sealed.bytes.len() as u64, piece.len() as u64);
    Ok(ChunkRef { name: sealed.name, key: sealed.key, bytes, plain_bytes })
}
