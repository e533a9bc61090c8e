//! Small chunks that came together, in one file.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use taosync_model::Digest;
use taosync_store::StoreError;
use taosync_store::blobs::{Blobs, Found, PACK_CHUNKS};

use crate::support::now;

type Chunk = (Digest, Vec<u8>);

fn chunks(words: &str, count: usize) -> Vec<Chunk> {
    let text = |n: usize| format!("{words} {n} ").repeat(n % 3 + 1).into_bytes();
    (0..count).map(text).map(|bytes| (Digest::of(&bytes), bytes)).collect()
}

fn names(chunks: &[Chunk]) -> Vec<Digest> {
    chunks.iter().map(|(name, _)| *name).collect()
}

fn packs(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("chunks/packs")).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

async fn assert_all(blobs: &Blobs, chunks: &[Chunk]) {
    for (name, bytes) in chunks {
        assert_eq!(&blobs.get(*name).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn chunks_in_a_pack_are_read_like_others_by_every_process() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let other = Blobs::open(dir.path()).await.unwrap();
    let all = chunks("chunk", 40);
    let pack = blobs.pack_put(all.clone()).await.unwrap();
    blobs.packs_land(vec![pack]).await.unwrap();
    assert_eq!(packs(dir.path()), [dir.path().join("chunks/packs").join(pack.to_hex())]);
    let (name, bytes) = all[20].clone();
    let whole = bytes.len() as u64;
    for blobs in [blobs, other] {
        assert_all(&blobs, &all).await;
        assert_eq!(blobs.size(name).await.unwrap(), Some(whole));
        assert_eq!(blobs.piece(name, 3, 4).await.unwrap(), bytes[3..7]);
        assert_eq!(blobs.piece(name, whole - 2, 100).await.unwrap(), bytes[bytes.len() - 2..], "no byte of the next");
        let absent = Digest::of(b"absent");
        let seen = blobs.look(vec![name, absent], whole, 1_000).await.unwrap();
        assert_eq!(seen, [(name, Found::Whole(bytes.clone())), (absent, Found::Absent)]);
        assert_eq!(blobs.look(vec![name], whole - 1, 1_000).await.unwrap(), [(name, Found::Large(whole))]);
        assert_eq!(blobs.absent(vec![name, absent]).await.unwrap(), [absent]);
        assert!(blobs.names().await.unwrap().is_empty(), "none is a file of its own");
        let file = PathBuf::from(format!("chunks/packs/{pack}"));
        assert_eq!(blobs.files_of(vec![name, absent]).await.unwrap(), (vec![file], vec![absent]));
    }
}

#[tokio::test]
async fn every_flipped_byte_of_a_pack_is_noticed_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let all = chunks("chunk", 9);
    let pack = blobs.pack_put(all.clone()).await.unwrap();
    let file = packs(dir.path()).remove(0);
    let good = fs::read(&file).unwrap();
    let head = 12 + 36 * all.len();
    let end = head + all.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    assert_eq!(good.len(), end.next_multiple_of(4096), "the last block is filled up");
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        let fresh = Blobs::open(dir.path()).await.unwrap();
        let mut wrong = 0;
        for (name, bytes) in &all {
            match fresh.get(*name).await {
                Ok(read) => assert_eq!(&read, bytes),
                Err(StoreError::Damaged { .. } | StoreError::NotFound { .. }) => wrong += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let touched = if at < head { all.len() } else { usize::from(at < end) };
        assert_eq!(wrong, touched, "byte {at}");
        assert_eq!(fresh.packed(names(&all)).await.unwrap().chunks.len(), all.len() - wrong);
    }
    fs::write(&file, b"nothing of it").unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    assert!(blobs.packed(names(&all)).await.unwrap().chunks.is_empty());
    assert_eq!(blobs.pack_put(all.clone()).await.unwrap(), pack, "what comes again takes its place");
    assert_all(&blobs, &all).await;
    assert_all(&Blobs::open(dir.path()).await.unwrap(), &all).await;
}

#[tokio::test]
async fn of_a_pack_that_the_disk_has_cut_what_is_whole_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let all = chunks("chunk", 9);
    let pack = blobs.pack_put(all.clone()).await.unwrap();
    let file = packs(dir.path()).remove(0);
    let good = fs::read(&file).unwrap();
    let mut most = 0;
    for length in 0..=good.len() {
        fs::write(&file, &good[..length]).unwrap();
        let packed = Blobs::open(dir.path()).await.unwrap().packed(names(&all)).await.unwrap();
        assert!(packed.chunks.len() >= most, "more bytes, more chunks");
        assert!(
            packed
                .chunks
                .iter()
                .zip(&all)
                .all(|(held, (name, bytes))| { (held.name, held.bytes) == (*name, bytes.len() as u64) })
        );
        assert_eq!(packed.packs, if packed.chunks.is_empty() { vec![] } else { vec![pack] });
        most = packed.chunks.len();
    }
    assert_eq!(most, all.len());
}

#[tokio::test]
async fn a_damaged_copy_hides_no_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let all = chunks("chunk", 9);
    let (name, bytes) = all[0].clone();
    blobs.pack_put(all.clone()).await.unwrap();
    let file = packs(dir.path()).remove(0);
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..100]).unwrap();
    assert!(blobs.get(name).await.is_err());
    blobs.put_batch(vec![(name, bytes.clone())]).await.unwrap();
    assert_eq!(blobs.get(name).await.unwrap(), bytes, "a file of its own");
    fs::write(&file, &good).unwrap();
    let hex = name.to_hex();
    fs::write(dir.path().join("chunks").join(&hex[..2]).join(&hex), b"other").unwrap();
    assert_eq!(Blobs::open(dir.path()).await.unwrap().get(name).await.unwrap(), bytes, "a pack");
    fs::write(&file, &good[..100]).unwrap();
    blobs.pack_put(all[..8].to_vec()).await.unwrap();
    assert_eq!(blobs.get(name).await.unwrap(), bytes, "another pack");
}

#[tokio::test]
async fn a_pack_takes_only_what_has_its_names_hash_and_so_many_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let mut wrong = chunks("chunk", 9);
    wrong[8].1.push(b'x');
    assert!(matches!(blobs.pack_put(wrong).await, Err(StoreError::Damaged { .. })));
    let mut many = chunks("chunk", PACK_CHUNKS + 1);
    assert!(matches!(blobs.pack_put(many.clone()).await, Err(StoreError::Refused(_))));
    assert!(packs(dir.path()).is_empty());
    many.pop();
    blobs.pack_put(many.clone()).await.unwrap();
    assert_all(&Blobs::open(dir.path()).await.unwrap(), &many).await;
}

#[tokio::test]
async fn a_pack_shrinks_to_what_is_needed_and_goes_when_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let reader = Blobs::open(dir.path()).await.unwrap();
    let all = chunks(&"chunk ".repeat(1_000), 12);
    blobs.pack_put(all.clone()).await.unwrap();
    assert_all(&reader, &all).await;
    let hour = SignedDuration::from_hours(1);
    assert!(blobs.packs_before(now().checked_sub(hour).unwrap()).await.unwrap().is_empty(), "perhaps not noted yet");
    let later = now().checked_add(hour).unwrap();
    let pack = blobs.packs_before(later).await.unwrap().remove(0);
    assert_eq!(pack.names(), names(&all));
    assert!(!pack.is_wasteful(&[]) && !pack.is_wasteful(&names(&all[..3])) && pack.is_wasteful(&names(&all[..9])));
    let before = fs::metadata(&packs(dir.path())[0]).unwrap().len();

    blobs.pack_shrink(pack, names(&all[..9])).await.unwrap();
    let files = packs(dir.path());
    assert_eq!(files.len(), 1);
    assert!(fs::metadata(&files[0]).unwrap().len() < before / 2);
    for blobs in [&blobs, &reader] {
        assert_all(blobs, &all[9..]).await;
        assert!(matches!(blobs.get(all[0].0).await, Err(StoreError::NotFound { .. })));
    }
    let pack = blobs.packs_before(later).await.unwrap().remove(0);
    blobs.pack_shrink(pack.clone(), pack.names()).await.unwrap();
    assert!(packs(dir.path()).is_empty());
    assert!(!reader.has(all[9].0).await.unwrap());
}

#[tokio::test]
async fn a_pack_with_a_damaged_list_holds_nothing_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    blobs.pack_put(chunks("chunk", 9)).await.unwrap();
    let file = packs(dir.path()).remove(0);
    fs::write(&file, b"tsypack1\xff\xff\xff\xff").unwrap();
    let later = now().checked_add(SignedDuration::from_hours(1)).unwrap();
    let pack = blobs.packs_before(later).await.unwrap().remove(0);
    assert!(pack.chunks.is_empty() && pack.is_wasteful(&[]));
    blobs.pack_shrink(pack, Vec::new()).await.unwrap();
    assert!(!file.exists());
}
