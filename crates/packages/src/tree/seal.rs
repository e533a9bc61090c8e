//! The list of files as it is kept and sent, in two steps. It is cut into pages, which are chunks like those of files;
//! the list of pages is sealed under the delivery key. A new version so brings only the pages that changed: the hashes
//! and keys of thousands of files do not compress.

use std::io::Read;

use serde::{Deserialize, Serialize};
use taosync_model::Digest;
use taosync_vault::chunk::ChunkSecret;
use taosync_vault::delivery_key::DeliveryKey;

use super::read::open_piece;
use super::{ChunkFetch, ChunkRef, ChunkSink, Tree, TreeFile, build};
use crate::PackageError;
use crate::limits::Limits;
use crate::recipe::{self, Recipe};

const LEVEL: i32 = 3;
/// JSON of the list of pages at most: some thousand pages of the largest tree that the limits allow, with room.
const LIST_BYTES: u64 = 8 * 1024 * 1024;
/// JSON of all files of the largest tree that the limits allow, with room.
const FILES_BYTES: u64 = 64 * 1024 * 1024;
/// Window of the decompressor, as a power of two: what level 3 uses at most, with room.
const WINDOW_LOG: u32 = 24;
/// A page ends after a path whose hash begins below this: one in 32. The paths alone decide, so that a file that comes
/// or goes changes its own page and leaves the others.
const LAST_OF_PAGE: u8 = 8;
/// A page also ends when it has so many files: where chance lets it grow, one changed file would cost too much.
const PAGE_FILES: usize = 48;
/// A page also ends when it has this much JSON.
const PAGE_BYTES: usize = 128 * 1024;
/// What stands for the path of a file where a page is damaged.
const PAGE_NAME: &str = "the list of files";

/// Whether a page of so many files ends after this path.
pub(crate) fn ends_page(files: usize, path: &str) -> bool {
    files >= PAGE_FILES || Digest::of(path.as_bytes()).0[0] < LAST_OF_PAGE
}

/// The pages of a tree and of the recipe of its zip, with their keys: kept and sent sealed only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// One after the other; each is a JSON list of files.
    pub pages: Vec<ChunkRef>,
    /// How the zip is made again from the files.
    pub recipe: Recipe,
    /// [`Tree::test`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
}

impl Pages {
    /// Cuts a tree into pages and hands every sealed one to `sink`. The same files always give the same pages.
    pub fn of(
        tree: &Tree,
        recipe: Recipe,
        secret: &ChunkSecret,
        sink: &mut ChunkSink<'_>,
    ) -> Result<Self, PackageError> {
        let mut pages = Vec::new();
        let (mut page, mut files) = (Vec::new(), 0);
        for (at, file) in tree.files.iter().enumerate() {
            page.push(if page.is_empty() { b'[' } else { b',' });
            serde_json::to_writer(&mut page, file).map_err(|e| PackageError::Encode("the file tree", e.into()))?;
            files += 1;
            let is_full = page.len() >= PAGE_BYTES || ends_page(files, &file.path);
            if is_full || at + 1 == tree.files.len() {
                page.push(b']');
                pages.push(build::chunk(&page, secret, sink)?);
                page.clear();
                files = 0;
            }
        }
        Ok(Self { pages, recipe, test: tree.test.clone() })
    }

    /// All pages: those of the list of files, and those of the recipe.
    pub fn all(&self) -> impl Iterator<Item = &ChunkRef> {
        self.pages.iter().chain(&self.recipe.pages)
    }

    /// Seals the list of pages. The bytes differ each time, as the vault's seal is random.
    pub fn seal(&self, key: &DeliveryKey) -> Result<Vec<u8>, PackageError> {
        let encode = |error| PackageError::Encode("the list of pages", error);
        let json = serde_json::to_vec(self).map_err(|e| encode(e.into()))?;
        Ok(key.seal(&zstd::bulk::compress(&json, LEVEL).map_err(encode)?))
    }

    /// Opens what [`Self::seal`] gave: the seal is checked first, then the sizes of the pages.
    pub fn open(sealed: &[u8], key: &DeliveryKey) -> Result<Self, PackageError> {
        let packed =
            key.open(sealed).map_err(|_| PackageError::DamagedTree("it does not match the delivery key".into()))?;
        let pages: Self =
            serde_json::from_slice(&unpack(&packed)?).map_err(|_| damaged("it is not a list of pages"))?;
        if !pages.all().all(ChunkRef::is_possible) {
            return Err(damaged("it has a page of an impossible size"));
        }
        let total = pages.all().fold(0, |sum: u64, page| sum.saturating_add(page.plain_bytes));
        if total > FILES_BYTES { Err(damaged("it is too large")) } else { Ok(pages) }
    }

    /// Reads the tree from its pages, and checks sizes, paths and order.
    pub fn read(&self, fetch: &ChunkFetch<'_>) -> Result<Tree, PackageError> {
        let mut files: Vec<TreeFile> = Vec::new();
        for page in &self.pages {
            let json = open_piece(PAGE_NAME, page, fetch)?;
            let more: Vec<TreeFile> = serde_json::from_slice(&json).map_err(|_| damaged("it is not a tree"))?;
            files.extend(more);
        }
        let tree = Tree { files, test: self.test.clone() };
        tree.validate(&Limits::default())?;
        Ok(tree)
    }

    /// Every chunk of a package whose tree was read from here: pages, files, and what the recipe has beside its pages.
    pub fn chunks(&self, tree: &Tree, fetch: &ChunkFetch<'_>) -> Result<Vec<ChunkRef>, PackageError> {
        let own = recipe::own_chunks(&self.recipe, fetch)?;
        Ok(self.all().chain(tree.chunks()).cloned().chain(own).collect())
    }
}

fn damaged(what: &str) -> PackageError {
    PackageError::DamagedTree(what.to_owned())
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, PackageError> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(packed).map_err(|_| damaged("it cannot be unpacked"))?;
    reader.window_log_max(WINDOW_LOG).map_err(|_| damaged("it cannot be unpacked"))?;
    let mut json = Vec::new();
    reader.take(LIST_BYTES + 1).read_to_end(&mut json).map_err(|_| damaged("it cannot be unpacked"))?;
    if json.len() as u64 > LIST_BYTES { Err(damaged("it is too large")) } else { Ok(json) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};
    use std::io;

    use super::*;
    use crate::tree::CHUNK_BYTES;
    use proptest::prelude::*;
    use taosync_vault::Keyring;

    type Chunks = BTreeMap<Digest, Vec<u8>>;

    fn empty_file(path: &str) -> TreeFile {
        TreeFile { path: path.to_owned(), bytes: 0, digest: Digest::of(b""), chunks: Vec::new() }
    }

    fn keyring() -> Keyring {
        let folder = tempfile::tempdir().unwrap();
        Keyring::create(&folder.path().join("keys")).unwrap()
    }

    fn no_zip() -> Recipe {
        Recipe { bytes: 0, digest: Digest::of(b""), pages: Vec::new() }
    }

    fn paged(files: Vec<TreeFile>, keys: &Keyring) -> (Pages, Chunks) {
        let chunks = RefCell::new(Chunks::new());
        let pages = Pages::of(&Tree { files, test: None }, no_zip(), keys.chunks(), &mut |name, bytes| {
            chunks.borrow_mut().insert(*name, bytes.to_vec());
            Ok(())
        });
        (pages.unwrap(), chunks.into_inner())
    }

    fn opened(files: Vec<TreeFile>) -> Result<Tree, PackageError> {
        let (pages, chunks) = paged(files, &keyring());
        let key = DeliveryKey::generate();
        let pages = Pages::open(&pages.seal(&key).unwrap(), &key)?;
        pages.read(&|name| chunks.get(name).cloned().ok_or(io::ErrorKind::NotFound.into()))
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert_eq!(opened(Vec::new()).unwrap().files.len(), 0);
        assert_eq!(opened(vec![empty_file("a"), empty_file("b")]).unwrap().files.len(), 2);
        for files in [
            vec![empty_file("b"), empty_file("a")],
            vec![empty_file("a"), empty_file("a")],
            vec![empty_file("../a")],
            vec![TreeFile { bytes: 1, ..empty_file("a") }],
            vec![TreeFile { bytes: u64::MAX, ..empty_file("a") }],
        ] {
            assert!(matches!(opened(files), Err(PackageError::DamagedTree(_))));
        }
    }

    #[test]
    fn a_file_that_changes_comes_or_goes_changes_its_page_only() {
        let keys = keyring();
        let files: Vec<_> = (0..2_000).map(|n| empty_file(&format!("items/i{n:04}/qti.xml"))).collect();
        let (pages, before) = paged(files.clone(), &keys);
        assert!((10..100).contains(&pages.pages.len()), "{} pages", pages.pages.len());
        for change in 0..3 {
            let mut files = files.clone();
            match change {
                0 => files[777].digest = Digest::of(b"another"),
                1 => drop(files.remove(777)),
                _ => files.insert(777, empty_file("items/i0776/zoom.png")),
            }
            let (_, after) = paged(files, &keys);
            let names = |chunks: &Chunks| chunks.keys().copied().collect::<BTreeSet<_>>();
            let new = names(&after).difference(&names(&before)).count();
            assert!((1..=2).contains(&new), "change {change}: {new} pages");
        }
    }

    #[test]
    fn pages_have_a_size() {
        let long = "x".repeat(900);
        let files: Vec<_> = (0..1_000).map(|n| empty_file(&format!("{n:04}{long}"))).collect();
        let (pages, _) = paged(files, &keyring());
        assert!(pages.pages.iter().all(|page| page.plain_bytes < 2 * PAGE_BYTES as u64));
    }

    #[test]
    fn lists_that_unpack_without_end_are_refused() {
        let packed = zstd::bulk::compress(&vec![b' '; LIST_BYTES as usize + 1], LEVEL).unwrap();
        let error = unpack(&packed).unwrap_err();
        assert!(error.to_string().contains("too large"), "{error}");
        let (pages, _) = paged(vec![empty_file("a")], &keyring());
        let key = DeliveryKey::generate();
        let huge = ChunkRef { plain_bytes: CHUNK_BYTES as u64, bytes: CHUNK_BYTES as u64, ..pages.pages[0].clone() };
        for (pages, is_good) in [(vec![huge.clone(); 16], true), (vec![huge.clone(); 17], false)] {
            assert_eq!(
                Pages::open(&Pages { pages, recipe: no_zip(), test: None }.seal(&key).unwrap(), &key).is_ok(),
                is_good
            );
        }
        let larger = Pages {
            pages: vec![ChunkRef { plain_bytes: CHUNK_BYTES as u64 + 1, ..huge }],
            recipe: no_zip(),
            test: None,
        };
        assert!(Pages::open(&larger.seal(&key).unwrap(), &key).is_err());
    }

    #[test]
    fn another_key_opens_nothing() {
        let (pages, _) = paged(Vec::new(), &keyring());
        let sealed = pages.seal(&DeliveryKey::generate()).unwrap();
        assert!(matches!(Pages::open(&sealed, &DeliveryKey::generate()), Err(PackageError::DamagedTree(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_calmly(bytes: Vec<u8>) {
            let key = DeliveryKey::generate();
            prop_assert!(Pages::open(&bytes, &key).is_err());
            prop_assert!(Pages::open(&key.seal(&bytes), &key).is_err());
        }
    }
}
