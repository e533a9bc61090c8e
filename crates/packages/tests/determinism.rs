//! What a package compiles to depends on its files alone: not on how the zip was made, nor on the machine.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod zips;

use std::io::{Cursor, Write};

use proptest::prelude::*;
use taosync_model::Digest;
use taosync_packages::{demo_package, tree};
use taosync_vault::Keyring;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};
use zips::checked;

/// How one file is put into the zip.
#[derive(Clone, Copy, Debug)]
struct Packing {
    /// Compression level; none stores.
    level: Option<i64>,
    /// Year of its time.
    year: u16,
    mode: u32,
    /// Whether its folder has an entry of its own before it.
    with_folder: bool,
}

fn packing() -> impl Strategy<Value = Packing> {
    (prop::option::of(1i64..=9), 1980u16..2100, prop::sample::select(vec![0o644, 0o600, 0o755]), any::<bool>())
        .prop_map(|(level, year, mode, with_folder)| Packing { level, year, mode, with_folder })
}

fn demo_files() -> Vec<(String, Vec<u8>)> {
    let package = checked(&demo_package()).1.unwrap();
    let entries = package.archive.entries();
    entries.map(|entry| (entry.path.to_owned(), package.archive.read(entry.path, entry.bytes).unwrap())).collect()
}

fn packed(files: &[(String, Vec<u8>)], order: &[usize], packings: &[Packing], comment: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut folders = std::collections::BTreeSet::new();
    for (at, packing) in order.iter().zip(packings) {
        let (path, bytes) = &files[*at];
        let method = packing.level.map_or(CompressionMethod::Stored, |_| CompressionMethod::Deflated);
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .compression_level(packing.level)
            .last_modified_time(DateTime::from_date_and_time(packing.year, 2, 3, 4, 5, 6).unwrap())
            .unix_permissions(packing.mode);
        if let Some((folder, _)) = path.rsplit_once('/')
            && packing.with_folder
            && folders.insert(folder)
        {
            zip.add_directory(format!("{folder}/"), options).unwrap();
        }
        zip.start_file(path.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.set_comment(comment).unwrap();
    zip.finish().unwrap().into_inner()
}

/// Digests of the compiled form and of the tree.
fn digests(zip: &[u8]) -> (Digest, Digest) {
    let (report, package) = checked(zip);
    let package = package.unwrap_or_else(|| panic!("{report}"));
    let folder = tempfile::tempdir().unwrap();
    let keys = Keyring::create(&folder.path().join("keys")).unwrap();
    let tree = tree::build(&package.archive, keys.chunks(), &mut |_, _| Ok(())).unwrap();
    (package.compiled.digest, tree.tree_digest())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_files_compile_to_the_same_bytes_however_they_were_packed(
        order in Just((0..demo_files().len()).collect::<Vec<_>>()).prop_shuffle(),
        packings in prop::collection::vec(packing(), demo_files().len()),
        comment in "[a-z ]{0,20}",
    ) {
        let files = demo_files();
        prop_assert_eq!(digests(&packed(&files, &order, &packings, &comment)), digests(&demo_package()));
    }

    #[test]
    fn another_byte_in_any_file_gives_another_tree_and_in_a_page_or_picture_another_test(
        which in 0..demo_files().len(),
    ) {
        let mut files = demo_files();
        let (path, bytes) = &mut files[which];
        // Before the end of a page: a space between two elements of its root, or after the last.
        bytes.push(b'\n');
        let path = path.clone();
        let order: Vec<_> = (0..files.len()).collect();
        let plain = Packing { level: None, year: 1980, mode: 0o644, with_folder: false };
        let (compiled, tree) = digests(&packed(&files, &order, &vec![plain; files.len()], ""));
        let (compiled_before, tree_before) = digests(&demo_package());
        prop_assert_ne!(tree, tree_before);
        // A line end after the last element of a page says nothing.
        prop_assert_eq!(compiled == compiled_before, path.contains(".xml"), "{}", path);
    }
}
