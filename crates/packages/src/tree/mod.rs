//! A package as a tree: path → file → chunks. Editing one item changes one small file and its chunks only.

mod build;
mod chunk_form;
mod read;
mod seal;

use std::io;

use serde::{Deserialize, Serialize};
use taosync_model::Digest;
use taosync_vault::chunk::ChunkKey;

pub use build::build;
pub(crate) use build::chunk;
pub use read::{TreeFiles, open_piece, read_file, stream_file};
pub use seal::Pages;
pub(crate) use seal::ends_page;

use crate::PackageError;
use crate::archive::path;
use crate::limits::Limits;

/// Plain bytes of a chunk at most; all but a file's last have exactly these. A format: changing it changes all chunks.
pub const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Takes a sealed chunk by name, into whatever store there is.
pub type ChunkSink<'a> = dyn FnMut(&Digest, &[u8]) -> io::Result<()> + 'a;
/// Gives a sealed chunk by name; what it gives is verified.
pub type ChunkFetch<'a> = dyn Fn(&Digest) -> io::Result<Vec<u8>> + 'a;

/// The files of a package, sorted by path. Holds the chunk keys, so it is kept and sent sealed only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Files, sorted by path, byte order.
    pub files: Vec<TreeFile>,
    /// Identifier of the test that was chosen in the manifest, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeFile {
    /// Path in the package.
    pub path: String,
    /// Plain bytes.
    pub bytes: u64,
    /// BLAKE3 of the plain bytes.
    pub digest: Digest,
    /// Its pieces in order; none for an empty file.
    pub chunks: Vec<ChunkRef>,
}

/// One piece of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef {
    /// Hash of the ciphertext: what the chunk is called in every store.
    pub name: Digest,
    /// Opens it.
    pub key: ChunkKey,
    /// Bytes of the ciphertext.
    pub bytes: u64,
    /// Plain bytes.
    pub plain_bytes: u64,
}

impl ChunkRef {
    /// Whether the sizes can be true: a fetch is then bounded.
    pub(crate) fn is_possible(&self) -> bool {
        self.plain_bytes <= CHUNK_BYTES as u64 && chunk_form::is_plausible(self)
    }
}

impl Tree {
    /// Hash of the plain tree: paths, sizes, contents, and the test. Two packages with equal digests hold the same, however
    /// and under whichever secret they were cut, compressed and sealed.
    pub fn tree_digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"taosync tree 1");
        hasher.update(&(self.files.len() as u64).to_le_bytes());
        for file in &self.files {
            hasher.update(&(file.path.len() as u64).to_le_bytes()).update(file.path.as_bytes());
            hasher.update(&file.bytes.to_le_bytes()).update(&file.digest.0);
        }
        if let Some(test) = &self.test {
            hasher.update(b"test").update(test.as_bytes());
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// The file at a path.
    pub fn file(&self, path: &str) -> Option<&TreeFile> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|at| &self.files[at])
    }

    /// All chunks in order; a chunk that several files share appears several times.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkRef> {
        self.files.iter().flat_map(|file| &file.chunks)
    }

    /// The chunks that compiling most likely reads, those of markup and of styles, and in which order: manifest and test
    /// lie higher up than items. Whoever fetches them first can compile while the rest comes.
    pub fn compiled_from(&self) -> Vec<&ChunkRef> {
        let is_read = |file: &&TreeFile| {
            let extension = file.path.rsplit_once('.').map_or("", |(_, extension)| extension);
            ["xml", "css", "html", "xhtml"].iter().any(|read| extension.eq_ignore_ascii_case(read))
        };
        let mut read: Vec<_> = self.files.iter().filter(is_read).collect();
        read.sort_by_key(|file| file.path.matches('/').count());
        read.into_iter().flat_map(|file| &file.chunks).collect()
    }

    /// Plain bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Whether the tree obeys the limits and does not contradict itself. Trees come from outside too.
    fn validate(&self, limits: &Limits) -> Result<(), PackageError> {
        let damaged = |what: String| Err(PackageError::DamagedTree(what));
        if self.files.len() > limits.entries {
            return damaged(format!("more than {} files", limits.entries));
        }
        if let Some(pair) = self.files.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return damaged(format!("'{}' is out of order", crate::problem::shown(&pair[1].path)));
        }
        let mut total = 0u64;
        for file in &self.files {
            if let Some(fault) = path::fault(&file.path, limits).or_else(|| file.fault(limits)) {
                return damaged(format!("the path '{}' {fault}", crate::problem::shown(&file.path)));
            }
            total = total.saturating_add(file.bytes);
        }
        if total > limits.total_bytes { damaged(format!("more than {} bytes", limits.total_bytes)) } else { Ok(()) }
    }
}

impl TreeFile {
    /// What is wrong with sizes and chunks, in words that complete "the path …".
    fn fault(&self, limits: &Limits) -> Option<&'static str> {
        if self.bytes > limits.file_bytes {
            return Some("has too large a file");
        }
        if self.chunks.len() as u64 != self.bytes.div_ceil(CHUNK_BYTES as u64) {
            return Some("has the wrong number of chunks");
        }
        let mut left = self.bytes;
        for chunk in &self.chunks {
            if chunk.plain_bytes != left.min(CHUNK_BYTES as u64) {
                return Some("has a chunk of the wrong size");
            }
            if !chunk_form::is_plausible(chunk) {
                return Some("has a chunk whose sealed size is impossible");
            }
            left -= chunk.plain_bytes;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_and_test_are_compiled_before_items_and_pictures_never() {
        let paths = ["a/b/item.xml", "a/picture.png", "imsmanifest.xml", "style.CSS", "tests/test.xml", "video.mp4"];
        let key: ChunkKey = serde_json::from_value(serde_json::Value::String("A".repeat(43))).unwrap();
        let file = |path: &str| {
            let name = Digest::of(path.as_bytes());
            let chunks = vec![ChunkRef { name, key: key.clone(), bytes: 2, plain_bytes: 1 }];
            TreeFile { path: path.to_owned(), bytes: 1, digest: name, chunks }
        };
        let tree = Tree { files: paths.map(file).into(), test: None };
        let order: Vec<_> = tree.compiled_from().into_iter().map(|chunk| chunk.name).collect();
        let expected = ["imsmanifest.xml", "style.CSS", "tests/test.xml", "a/b/item.xml"];
        assert_eq!(order, expected.map(|path| Digest::of(path.as_bytes())));
    }
}
