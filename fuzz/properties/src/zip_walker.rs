//! A package as it comes from outside: the zip itself.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::OnceLock;

use taosync_model::Digest;
use taosync_packages::archive::Archive;
use taosync_packages::recipe::{make, rebuild};
use taosync_packages::tree::{TreeFiles, build, read_file};
use taosync_packages::{CheckedPackage, Limits, check as check_package, compile};
use taosync_vault::Keyring;

use crate::qti::{problem, words};

/// So small that inputs meet them.
fn limits() -> Limits {
    Limits {
        entries: 64,
        total_bytes: 1024 * 1024,
        file_bytes: 512 * 1024,
        ratio: 50,
        ratio_free_bytes: 64 * 1024,
        path_depth: 8,
        path_bytes: 128,
        directory_bytes: 16 * 1024,
    }
}

/// Walks the zip and reads its files in two ways; a whole package goes through chunks and back.
pub fn check(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(input).expect("the disk takes an input");
    match Archive::open(file.path(), &limits()) {
        Ok(archive) => walk(&archive),
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= 1_002, "{} problems", problems.len());
            for one in &problems {
                problem(one);
            }
        }
    }
    comes_back(file.path(), input);
    let (report, package) = check_package(file.path(), &limits(), None);
    assert_eq!(words(&report), words(&check_package(file.path(), &limits(), None).0));
    assert_eq!(package.is_some(), report.is_ok());
    if let Some(package) = package {
        through_chunks(&package);
    }
}

fn walk(archive: &Archive) {
    let limits = limits();
    let (mut folded, mut total) = (std::collections::BTreeSet::new(), 0);
    assert!(archive.entries().len() <= limits.entries);
    for entry in archive.entries() {
        let inside = std::path::Path::new(entry.path).components();
        assert!(inside.into_iter().all(|c| matches!(c, std::path::Component::Normal(_))), "{:?}", entry.path);
        assert!(entry.path.len() <= limits.path_bytes && entry.path.split('/').count() <= limits.path_depth);
        assert!(folded.insert(entry.path.to_lowercase()), "{:?} twice", entry.path);
        assert!(entry.bytes <= limits.file_bytes);
        total += entry.bytes;
        let whole = archive.read(entry.path, limits.file_bytes);
        let mut pieces = Vec::new();
        let streamed = archive.stream(entry.path, 1_000, &mut |piece| {
            assert!(piece.len() <= 1_000);
            pieces.extend_from_slice(piece);
            Ok::<_, Box<taosync_packages::Problem>>(())
        });
        match (whole, streamed) {
            (Ok(whole), Ok(())) => {
                assert_eq!(whole.len() as u64, entry.bytes, "a file has the bytes that were declared");
                assert_eq!(whole, pieces);
            }
            (Err(one), Err(other)) => assert_eq!(problem(&one), problem(&other)),
            (one, other) => panic!("{:?} reads in one way only: {:?} {other:?}", entry.path, one.map(|w| w.len())),
        }
    }
    assert!(total <= limits.total_bytes);
}

/// A zip whose files can be read comes back byte for byte.
fn comes_back(path: &std::path::Path, zip: &[u8]) {
    let Ok(archive) = Archive::open(path, &limits()) else { return };
    if archive.entries().any(|entry| archive.read(entry.path, u64::MAX).is_err()) {
        return;
    }
    let mut store: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut sink = |name: &Digest, bytes: &[u8]| {
        store.insert(*name, bytes.to_vec());
        Ok(())
    };
    let tree = build(&archive, keys().chunks(), &mut sink).expect("files that can be read can be cut");
    let made = make(&archive, &tree, keys().chunks(), &mut sink).expect("every zip has a recipe");
    let fetch = |name: &Digest| store.get(name).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into());
    let mut again = Vec::new();
    rebuild(&made.recipe, &tree, &fetch, &mut again).expect("a recipe gives its zip");
    assert!(again == zip, "another zip than was taken in");
}

/// Central cuts the package into chunks, a local server reads them: both have the same files and the same test.
fn through_chunks(package: &CheckedPackage) {
    let keys = keys();
    let mut store: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let tree = build(&package.archive, keys.chunks(), &mut |name, bytes| {
        store.insert(*name, bytes.to_vec());
        Ok(())
    })
    .expect("a checked package can be cut");
    let fetch = |name: &Digest| store.get(name).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into());
    for file in &tree.files {
        let bytes = read_file(file, &fetch).expect("what was cut can be read");
        assert_eq!(bytes, package.archive.read(&file.path, u64::MAX).expect("it was read before"));
    }
    let compiled = compile(&TreeFiles::new(&tree, &fetch), None).expect("a checked package compiles");
    assert_eq!(compiled, package.compiled);
}

/// The keys of a central; made once.
pub(crate) fn keys() -> &'static Keyring {
    static KEYS: OnceLock<Keyring> = OnceLock::new();
    KEYS.get_or_init(|| {
        let home = tempfile::tempdir().expect("a folder can be made");
        Keyring::create(&home.path().join("keys")).expect("keys can be made")
    })
}
