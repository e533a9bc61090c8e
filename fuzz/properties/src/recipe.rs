//! The recipe of a zip as it comes from central: its pages. An input is pages, each with its length in two bytes before it.

use std::collections::BTreeMap;

use taosync_model::Digest;
use taosync_packages::Tree;
use taosync_packages::recipe::{Recipe, own_chunks, rebuild};
use taosync_packages::tree::{ChunkRef, TreeFile};

use crate::shown;
use crate::zip_walker::keys;

/// Bytes the zip has, as the recipe says.
const ZIP_BYTES: u64 = 64 * 1024;
const TEXT: &[u8] = b"<p>one word and one word and another word</p>";

/// Follows the recipe: no more bytes come out than it says, and what is not the published zip is an error.
pub fn check(input: &[u8]) {
    let mut store = Store::default();
    let files = ["a.xml", "b/c.xml"].map(|path| {
        let chunks = vec![store.keep(TEXT)];
        TreeFile { path: path.to_owned(), bytes: TEXT.len() as u64, digest: Digest::of(TEXT), chunks }
    });
    let tree = Tree { files: files.to_vec(), test: None };
    let pages = pages(input).iter().map(|page| store.keep(page)).collect();
    let mut recipe = Recipe { bytes: ZIP_BYTES, digest: Digest::of(b""), pages };
    let fetch = |name: &Digest| store.0.get(name).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into());
    if let Err(error) = own_chunks(&recipe, &fetch) {
        shown(&error);
    }
    let mut zip = Vec::new();
    let error = rebuild(&recipe, &tree, &fetch, &mut zip).expect_err("the digest is that of nothing");
    shown(&error);
    assert!(zip.len() as u64 <= ZIP_BYTES);
    // What it makes is what it makes again.
    recipe.bytes = zip.len() as u64;
    recipe.digest = Digest::of(&zip);
    let mut again = Vec::new();
    let _ = rebuild(&recipe, &tree, &fetch, &mut again);
    assert!(zip.starts_with(&again), "the same recipe makes the same zip");
}

fn pages(mut input: &[u8]) -> Vec<&[u8]> {
    let mut pages = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let (page, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))));
        pages.push(page);
        input = rest;
    }
    pages
}

/// Sealed chunks by name.
#[derive(Default)]
struct Store(BTreeMap<Digest, Vec<u8>>);

impl Store {
    /// Keeps bytes as a chunk that was not worth compressing.
    fn keep(&mut self, bytes: &[u8]) -> ChunkRef {
        let sealed = keys().chunks().seal(&[&[0], bytes].concat());
        let chunk = ChunkRef {
            name: sealed.name,
            key: sealed.key,
            bytes: sealed.bytes.len() as u64,
            plain_bytes: bytes.len() as u64,
        };
        self.0.insert(sealed.name, sealed.bytes);
        chunk
    }
}
