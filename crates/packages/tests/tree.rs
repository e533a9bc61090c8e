//! From a package to chunks and back.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod zips;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};

use taosync_model::Digest;
use taosync_packages::recipe::make;
use taosync_packages::tree::{CHUNK_BYTES, Pages, build, read_file};
use taosync_packages::{PackageError, Tree, demo_package};
use taosync_vault::Keyring;
use taosync_vault::delivery_key::DeliveryKey;
use zips::{checked, packed, small_package};

type Chunks = BTreeMap<Digest, Vec<u8>>;

fn keyring() -> Keyring {
    let folder = tempfile::tempdir().unwrap();
    Keyring::create(&folder.path().join("keys")).unwrap()
}

fn built(zip: &[u8], keys: &Keyring) -> (Tree, Chunks) {
    let (report, package) = checked(zip);
    let package = package.unwrap_or_else(|| panic!("{report}"));
    let mut chunks = Chunks::new();
    let tree = build(&package.archive, keys.chunks(), &mut |name, bytes| {
        assert_eq!(*name, Digest::of(bytes), "chunks are named by their ciphertext");
        chunks.insert(*name, bytes.to_vec());
        Ok(())
    });
    (tree.unwrap(), chunks)
}

fn fetch(chunks: &Chunks) -> impl Fn(&Digest) -> Result<Vec<u8>, Error> + '_ {
    |name| chunks.get(name).cloned().ok_or_else(|| Error::from(ErrorKind::NotFound))
}

/// The small package with a picture of these bytes.
fn with_picture(picture: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let mut files = small_package();
    files[0].1 = picture;
    files
}

/// Bytes that do not compress, the same every time.
fn noise(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn every_file_comes_back_as_it_was() {
    let keys = keyring();
    for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES] {
        let files = with_picture(noise(size));
        let (tree, chunks) = built(&packed(&files), &keys);
        assert_eq!(tree.files.len(), files.len());
        for (path, bytes) in &files {
            let file = tree.file(path).unwrap();
            assert_eq!(file.chunks.len(), bytes.len().div_ceil(CHUNK_BYTES), "{path} {size}");
            assert_eq!(&read_file(file, &fetch(&chunks)).unwrap(), bytes);
        }
        assert_eq!(tree.bytes(), files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    }
}

#[test]
fn the_same_package_gives_the_same_chunks() {
    let keys = keyring();
    let (first, again) = (built(&demo_package(), &keys), built(&demo_package(), &keys));
    assert_eq!(first, again);
}

#[test]
fn the_tree_digest_does_not_depend_on_secrets_or_packing() {
    let files = small_package();
    let reordered: Vec<_> = files.iter().rev().cloned().collect();
    let (one, other) = (built(&packed(&files), &keyring()), built(&packed(&reordered), &keyring()));
    assert_eq!(one.0.tree_digest(), other.0.tree_digest());
    assert!(one.1.keys().all(|name| !other.1.contains_key(name)), "other secret, other chunks");
    let changed = built(&packed(&with_picture(b"another".to_vec())), &keyring());
    assert_ne!(one.0.tree_digest(), changed.0.tree_digest());
}

#[test]
fn the_tree_digest_is_fixed() {
    let (tree, _) = built(&packed(&small_package()), &keyring());
    assert_eq!(
        tree.tree_digest().to_hex(),
        "15ef7b59255663c806ee5abcd3d3402acf9ba2dbb933856b5e3ac8113390399e",
        "it is compared between versions of the program"
    );
}

#[test]
fn a_changed_file_changes_its_own_chunks_only() {
    let keys = keyring();
    let mut picture = noise(2 * CHUNK_BYTES + 10);
    let (before, _) = built(&packed(&with_picture(picture.clone())), &keys);
    picture[CHUNK_BYTES + 5] ^= 1;
    let (after, _) = built(&packed(&with_picture(picture)), &keys);
    let names = |tree: &Tree| tree.chunks().map(|chunk| chunk.name).collect::<BTreeSet<_>>();
    assert_eq!(names(&before).difference(&names(&after)).count(), 1);
    assert_eq!(names(&after).difference(&names(&before)).count(), 1);
}

#[test]
fn repetitive_files_shrink_and_noise_hardly_grows() {
    let keys = keyring();
    let (_, text) = built(&packed(&with_picture(vec![b'a'; 1_000_000])), &keys);
    assert!(text.values().map(Vec::len).sum::<usize>() < 10_000);
    let (tree, _) = built(&packed(&with_picture(noise(100_000))), &keys);
    assert_eq!(tree.file("i/a.png").unwrap().chunks[0].bytes, 100_000 + 1 + 16);
}

#[test]
fn damaged_chunks_are_refused() {
    let (tree, chunks) = built(&demo_package(), &keyring());
    let file = tree.file("test.xml").unwrap();
    let name = file.chunks[0].name;
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut chunks = chunks.clone();
        change(chunks.get_mut(&name).unwrap());
        read_file(file, &fetch(&chunks)).unwrap_err()
    };
    assert!(matches!(with(&|bytes| bytes[9] ^= 1), PackageError::DamagedChunk { .. }));
    assert!(matches!(with(&|bytes| bytes.truncate(9)), PackageError::DamagedChunk { .. }));
    assert!(matches!(with(&|bytes| bytes.push(0)), PackageError::DamagedChunk { .. }));
    let gone = read_file(file, &fetch(&Chunks::new())).unwrap_err();
    assert!(matches!(gone, PackageError::Store { act: "fetched", .. }));
}

#[test]
fn chunks_of_another_file_are_refused() {
    let (tree, chunks) = built(&demo_package(), &keyring());
    let mut file = tree.file("test.xml").unwrap().clone();
    let other = tree.file("imsmanifest.xml").unwrap();
    file.chunks.clone_from(&other.chunks);
    assert!(matches!(read_file(&file, &fetch(&chunks)), Err(PackageError::DamagedFile(_))));
}

#[test]
fn a_store_that_fails_stops_the_build() {
    let (_, package) = checked(&demo_package());
    let taken = RefCell::new(0);
    let full = build(&package.unwrap().archive, keyring().chunks(), &mut |_, _| {
        *taken.borrow_mut() += 1;
        if *taken.borrow() == 3 { Err(Error::from(ErrorKind::StorageFull)) } else { Ok(()) }
    });
    assert!(matches!(full, Err(PackageError::Store { act: "stored", .. })));
    assert_eq!(*taken.borrow(), 3);
}

#[test]
fn a_sealed_tree_opens_with_its_key_and_shows_nothing_without() {
    let keys = keyring();
    let (_, package) = checked(&demo_package());
    let archive = package.unwrap().archive;
    let mut chunks = Chunks::new();
    let mut sink = |name: &Digest, bytes: &[u8]| {
        chunks.insert(*name, bytes.to_vec());
        Ok(())
    };
    let tree = build(&archive, keys.chunks(), &mut sink).unwrap();
    let recipe = make(&archive, &tree, keys.chunks(), &mut sink).unwrap().recipe;
    let pages = Pages::of(&tree, recipe, keys.chunks(), &mut sink);
    let key = DeliveryKey::generate();
    let sealed = pages.unwrap().seal(&key).unwrap();
    assert_eq!(Pages::open(&sealed, &key).unwrap().read(&fetch(&chunks)).unwrap(), tree);
    assert!(Pages::open(&sealed, &DeliveryKey::generate()).is_err());
    assert!(!chunks.values().chain([&sealed]).any(|bytes| bytes.windows(8).any(|window| window == b"test.xml")));
    assert!(!format!("{tree:?}").contains(&serde_json::to_string(&tree.files[0].chunks[0].key).unwrap()));
}
