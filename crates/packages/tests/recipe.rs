//! The zip of a package comes back byte for byte, and its recipe costs little.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod zips;

use std::collections::BTreeMap;
use std::io::{Cursor, Error, ErrorKind, Write as _};
use std::path::Path;

use proptest::prelude::*;
use taosync_model::Digest;
use taosync_packages::recipe::{Made, make, rebuild};
use taosync_packages::tree::{Pages, build};
use taosync_packages::{Limits, PackageError, Tree, archive::Archive};
use taosync_vault::Keyring;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};
use zips::{Raw, on_disk, packed, small_package, zip_of};

type Chunks = BTreeMap<Digest, Vec<u8>>;

struct Kept {
    tree: Tree,
    made: Made,
    chunks: Chunks,
}

fn keyring() -> Keyring {
    let folder = tempfile::tempdir().unwrap();
    Keyring::create(&folder.path().join("keys")).unwrap()
}

fn kept_with(zip: &Path, keys: &Keyring) -> Kept {
    let archive = Archive::open(zip, &Limits::default()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut chunks = Chunks::new();
    let mut sink = |name: &Digest, bytes: &[u8]| {
        chunks.insert(*name, bytes.to_vec());
        Ok(())
    };
    let tree = build(&archive, keys.chunks(), &mut sink).unwrap();
    let made = make(&archive, &tree, keys.chunks(), &mut sink).unwrap();
    Kept { tree, made, chunks }
}

fn kept(zip: &[u8]) -> Kept {
    kept_with(on_disk(zip).path(), &keyring())
}

impl Kept {
    fn rebuilt(&self) -> Result<Vec<u8>, PackageError> {
        let fetch = |name: &Digest| self.chunks.get(name).cloned().ok_or_else(|| Error::from(ErrorKind::NotFound));
        let mut out = Vec::new();
        rebuild(&self.made.recipe, &self.tree, &fetch, &mut out).map(|()| out)
    }

    /// Sealed bytes of the recipe: pages, and what it keeps beside them.
    fn recipe_bytes(&self) -> u64 {
        self.made.chunks.iter().map(|chunk| chunk.bytes).sum()
    }
}

#[track_caller]
fn comes_back(zip: &[u8]) -> Kept {
    let kept = kept(zip);
    assert!(kept.rebuilt().unwrap() == zip, "other bytes than were published");
    kept
}

fn deflated(files: &[(String, Vec<u8>)], level: i64) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (path, bytes) in files {
        zip.start_file(path, options.compression_level(Some(level))).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn zips_of_other_programs_come_back_and_cost_little() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/packed");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "zip") {
            let kept = comes_back(&std::fs::read(&path).unwrap());
            let most = 40 * kept.tree.files.len() as u64 + 250;
            let bytes = kept.recipe_bytes();
            assert!(bytes < most, "{}: a recipe of {bytes} bytes for {} files", path.display(), kept.tree.files.len());
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen} zips");
}

#[test]
fn a_file_packed_in_an_unknown_way_is_kept_as_it_is() {
    // The search of this crate's own packer is not that of zlib.
    let text: Vec<_> = (0..20_000).map(|n| format!("<p>{} and {}</p>", n % 97, n * n % 1_013)).collect();
    let files = vec![("a.xml".to_owned(), text.concat().into_bytes())];
    for level in [1, 6, 9] {
        comes_back(&deflated(&files, level));
    }
}

#[test]
fn stored_files_cost_nothing_again() {
    let mut files = small_package();
    let mut noise = vec![0; 9_000_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    files[0].1 = noise;
    let kept = comes_back(&packed(&files));
    assert!(kept.recipe_bytes() < 500, "{}", kept.recipe_bytes());
}

#[test]
fn whatever_is_around_the_files_comes_back() {
    let plain = zip_of(&[
        Raw::stored("a.txt", b"hello"),
        Raw { mode: 0o040_755, ..Raw::stored("b/", b"") },
        Raw::zeros("b/c", 5_000),
    ]);
    comes_back(&plain);
    // Before the first header, as in a program that unpacks itself.
    comes_back(&[b"#!/bin/sh\n".as_slice(), &plain].concat());
    comes_back(&[vec![7; 100_000].as_slice(), &plain].concat());
    let mut commented = plain.clone();
    let at = commented.len() - 2;
    commented[at..].copy_from_slice(&5u16.to_le_bytes());
    commented.extend(b"hello");
    comes_back(&commented);
}

#[test]
fn only_the_page_of_a_changed_file_is_new() {
    let keys = keyring();
    let item = |n: usize, word: &str| {
        let text: Vec<_> = (0..40).map(|p| format!("<p>{word} {} of {p}</p>\n", n * 7919 % 10_007)).collect();
        (format!("items/i{n:04}/qti.xml"), text.concat().into_bytes())
    };
    let mut files: Vec<_> = (0..200).map(|n| item(n, "question")).collect();
    let before = kept_with(on_disk(&deflated(&files, 6)).path(), &keys);
    files[77] = item(77, "another question");
    let changed = files[77].1.len() as u64;
    let after = kept_with(on_disk(&deflated(&files, 6)).path(), &keys);
    let paged = |kept: &Kept| {
        let mut chunks = kept.chunks.clone();
        let pages = Pages::of(&kept.tree, kept.made.recipe.clone(), keys.chunks(), &mut |name, bytes| {
            chunks.insert(*name, bytes.to_vec());
            Ok(())
        });
        let key = taosync_vault::delivery_key::DeliveryKey::generate();
        (chunks, pages.unwrap().seal(&key).unwrap().len() as u64)
    };
    let ((old, _), (new, sealed)) = (paged(&before), paged(&after));
    let travels: u64 =
        new.iter().filter(|(name, _)| !old.contains_key(name)).map(|(_, bytes)| bytes.len() as u64).sum();
    let most = 3 * changed + 80 * files.len() as u64;
    assert!(travels + sealed < most, "{travels} + {sealed} bytes for one file of {changed}, at most {most}");
}

#[test]
fn a_damaged_recipe_is_refused() {
    let zip = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/packed/zlib-9.zip")).unwrap();
    let mut kept = kept(&zip);
    let recipe = kept.made.recipe.clone();
    kept.made.recipe.bytes -= 1;
    assert!(matches!(kept.rebuilt(), Err(PackageError::Zip { .. })), "it makes no more than it says");
    kept.made.recipe.bytes = u64::MAX;
    assert!(matches!(kept.rebuilt(), Err(PackageError::DamagedRecipe(_))), "larger than any zip may be");
    kept.made.recipe.bytes = recipe.bytes + 1;
    assert!(matches!(kept.rebuilt(), Err(PackageError::DamagedRecipe(_))));
    kept.made.recipe = recipe.clone();
    kept.made.recipe.digest = Digest::of(b"another");
    assert!(matches!(kept.rebuilt(), Err(PackageError::DamagedRecipe(_))));
    kept.made.recipe = recipe.clone();
    kept.made.recipe.pages.swap(0, recipe.pages.len() - 1);
    assert!(kept.rebuilt().is_err());
    kept.made.recipe.pages.clear();
    assert!(matches!(kept.rebuilt(), Err(PackageError::DamagedRecipe(_))));
    kept.made.recipe = recipe;
    kept.tree.files.retain(|file| file.path != "test.xml");
    assert!(matches!(kept.rebuilt(), Err(PackageError::DamagedRecipe(_))));
}

#[test]
fn tao_packages_come_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/qti");
    if !folder.is_dir() {
        eprintln!("SKIPPED: TAO's packages are not on this machine");
        return;
    }
    let keys = keyring();
    let mut seen = 0;
    for path in zips::packages(&folder) {
        let Ok(archive) = Archive::open(&path, &Limits::default()) else { continue };
        if archive.entries().any(|entry| archive.read(entry.path, u64::MAX).is_err()) {
            continue;
        }
        let zip = std::fs::read(&path).unwrap();
        let kept = kept_with(&path, &keys);
        assert!(kept.rebuilt().unwrap() == zip, "{}", path.display());
        let (files, bytes) = (kept.tree.files.len(), kept.recipe_bytes());
        println!("{}: {files} files, zip {}, recipe {bytes}", path.display(), zip.len());
        assert!(bytes < 120 * files as u64 + 250, "{}: {bytes} bytes for {files} files", path.display());
        seen += 1;
    }
    assert!(seen > 60, "{seen} packages");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_zip_comes_back(
        files in proptest::collection::btree_map("[a-z]{1,3}(/[a-z]{1,2})?", proptest::collection::vec(prop_oneof![Just(0u8), Just(b'a'), any::<u8>()], 0..3_000), 1..8),
        level in 1i64..10,
        noise in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let files: Vec<_> = files.into_iter().collect();
        let mut zip = deflated(&files, level);
        for (at, byte) in noise {
            let at = at.index(zip.len());
            zip[at] = byte;
        }
        let file = on_disk(&zip);
        if let Ok(archive) = Archive::open(file.path(), &Limits::default())
            && archive.entries().all(|entry| archive.read(entry.path, 1 << 20).is_ok())
        {
            prop_assert!(kept(&zip).rebuilt().unwrap() == zip);
        }
    }
}
