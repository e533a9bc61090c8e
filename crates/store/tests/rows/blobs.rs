use std::fs;
use std::path::Path;

use taosync_model::Digest;
use taosync_store::StoreError;
use taosync_store::blobs::{Blobs, Found, Part};

use crate::support::now;

fn chunk(text: &str) -> (Digest, Vec<u8>) {
    (Digest::of(text.as_bytes()), text.as_bytes().to_vec())
}

#[tokio::test]
async fn chunks_are_found_by_their_hash_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let batch: Vec<_> = (0..300).map(|n| chunk(&format!("chunk {n}"))).collect();
    blobs.put_batch(batch.clone()).await.unwrap();
    for (name, bytes) in &batch {
        assert_eq!(&blobs.get(*name).await.unwrap(), bytes);
    }
    let (name, bytes) = &batch[0];
    let hex = name.to_hex();
    assert!(dir.path().join("chunks").join(&hex[..2]).join(&hex).is_file());
    assert_eq!(blobs.size(*name).await.unwrap(), Some(bytes.len() as u64));
    blobs.remove(vec![*name, Digest::of(b"never there")]).await.unwrap();
    assert!(!blobs.has(*name).await.unwrap());
    assert!(matches!(blobs.get(*name).await, Err(StoreError::NotFound { .. })));
    assert!(blobs.free_bytes().await.unwrap() > 0);
}

#[tokio::test]
async fn a_wrong_name_is_refused_and_nothing_of_the_batch_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let good = chunk("good");
    let wrong = (Digest::of(b"something else"), b"bytes".to_vec());
    let refused = blobs.put_batch(vec![good.clone(), wrong]).await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })));
    assert!(!blobs.has(good.0).await.unwrap());
}

#[tokio::test]
async fn a_damaged_chunk_is_noticed_and_repaired_by_writing_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let (name, bytes) = chunk("good");
    blobs.put_batch(vec![(name, bytes.clone())]).await.unwrap();
    let hex = name.to_hex();
    fs::write(dir.path().join("chunks").join(&hex[..2]).join(&hex), b"gooD").unwrap();
    assert!(matches!(blobs.get(name).await, Err(StoreError::Damaged { .. })));
    blobs.put_batch(vec![(name, bytes.clone())]).await.unwrap();
    assert_eq!(blobs.get(name).await.unwrap(), bytes);
}

#[tokio::test]
async fn what_a_dead_process_left_is_never_a_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let (name, bytes) = chunk("half written");
    let hex = name.to_hex();
    let folder = dir.path().join("chunks").join(&hex[..2]);
    fs::create_dir_all(&folder).unwrap();
    let leftover = folder.join(".part-abc123");
    fs::write(&leftover, &bytes[..5]).unwrap();
    assert!(!blobs.has(name).await.unwrap());
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(blobs.remove_leftovers(now().checked_sub(hour).unwrap()).await.unwrap(), 0, "perhaps still written");
    blobs.put_batch(vec![(name, bytes.clone())]).await.unwrap();
    assert_eq!(blobs.remove_leftovers(now().checked_add(hour).unwrap()).await.unwrap(), 1);
    assert!(!leftover.exists());
    assert_eq!(blobs.get(name).await.unwrap(), bytes);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file stays");
}

#[tokio::test]
async fn small_chunks_are_read_together_in_the_order_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let (small, large, last) = (chunk("small"), chunk("rather large"), chunk("last"));
    blobs.put_batch(vec![small.clone(), large.clone(), last.clone()]).await.unwrap();
    let absent = Digest::of(b"absent");
    let names = vec![large.0, absent, small.0, last.0];
    let whole = |chunk: &(Digest, Vec<u8>)| (chunk.0, Found::Whole(chunk.1.clone()));
    let all = [(large.0, Found::Large(12)), (absent, Found::Absent), whole(&small), whole(&last)];
    assert_eq!(blobs.look(names.clone(), 11, 100).await.unwrap(), all);
    assert_eq!(blobs.look(names.clone(), 11, 5).await.unwrap(), all[..3]);
    assert_eq!(blobs.look(names, 12, 1).await.unwrap(), [whole(&large)]);
}

/// Adds what came to a part, as whoever fetches does.
async fn add(part: &mut Part, mut rest: &[u8]) {
    loop {
        rest = part.take(rest);
        if rest.is_empty() {
            return;
        }
        part.write().await.unwrap();
    }
}

/// The start of a chunk, as a fetch that was cut leaves it.
async fn leave(blobs: &Blobs, name: Digest, whole: usize, start: &[u8]) {
    let mut part = blobs.part_take_up(name, whole as u64).await.unwrap();
    add(&mut part, start).await;
    part.write_all().await.unwrap();
}

#[tokio::test]
async fn a_large_chunk_is_whole_wherever_it_was_cut_and_whatever_came_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let bytes: Vec<u8> = (0..1_700_000_u32).flat_map(|n| (n / 3 + 1).to_le_bytes()).take(1_700_000).collect();
    let cuts = [0, 1, 4_095, 4_096, 524_287, 524_288, 524_289, 1_048_576, 1_600_001, 1_700_000];
    for (number, cut) in cuts.into_iter().enumerate() {
        let mut bytes = bytes.clone();
        bytes.push(number as u8);
        let name = Digest::of(&bytes);
        let mut part = blobs.part_take_up(name, bytes.len() as u64).await.unwrap();
        add(&mut part, &bytes[..cut]).await;
        part.write_all().await.unwrap();
        // What was taken and not written is lost with the process.
        assert!(part.take(&bytes[cut..][..1]).is_empty());
        drop(part);
        let mut part = blobs.part_take_up(name, bytes.len() as u64).await.unwrap();
        assert_eq!(part.bytes(), cut as u64);
        for piece in bytes[cut..].chunks(16_381) {
            add(&mut part, piece).await;
        }
        part.check().await.unwrap();
        blobs.parts_land(vec![name]).await.unwrap();
        assert!(blobs.get(name).await.unwrap() == bytes, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_chunk_that_comes_in_parts_is_one_when_it_is_whole_and_has_landed() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let (name, bytes) = chunk("a chunk that is cut in the middle");
    let whole = bytes.len() as u64;
    let mut part = blobs.part_take_up(name, whole).await.unwrap();
    assert_eq!(part.bytes(), 0);
    part.write_all().await.unwrap();
    for piece in [&bytes[..3], &bytes[3..7]] {
        add(&mut part, piece).await;
        part.write_all().await.unwrap();
    }
    drop(part);
    assert_eq!(blobs.parts_held(vec![name, Digest::of(b"other")]).await.unwrap(), [(name, 7)].into());
    assert!(!blobs.has(name).await.unwrap());
    // As after a dead process.
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let mut part = blobs.part_take_up(name, whole).await.unwrap();
    assert_eq!(part.bytes(), 7);
    add(&mut part, &bytes[7..]).await;
    part.check().await.unwrap();
    assert!(!blobs.has(name).await.unwrap());
    let (other, more) = chunk("came at once");
    blobs.parts_put(vec![(other, more.clone())]).await.unwrap();
    blobs.parts_land(vec![name, other]).await.unwrap();
    assert_eq!((blobs.get(name).await.unwrap(), blobs.get(other).await.unwrap()), (bytes, more));
    assert!(blobs.parts_held(vec![name, other]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_part_of_something_else_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let (name, bytes) = chunk("what was asked for");
    let whole = bytes.len();
    let mut part = blobs.part_take_up(name, whole as u64).await.unwrap();
    add(&mut part, b"something").await;
    part.write().await.unwrap();
    add(&mut part, b" else").await;
    part.restart().await.unwrap();
    assert_eq!(part.bytes(), 0);
    add(&mut part, &vec![7; whole]).await;
    assert!(matches!(part.check().await, Err(StoreError::Damaged { .. })));
    assert!(blobs.parts_held(vec![name]).await.unwrap().is_empty());
    leave(&blobs, name, whole, &vec![7; whole + 1]).await;
    assert_eq!(blobs.part_take_up(name, whole as u64).await.unwrap().bytes(), 0, "longer than the chunk");
    assert!(matches!(blobs.parts_put(vec![(name, b"x".to_vec())]).await, Err(StoreError::Damaged { .. })));
    let hour = jiff::SignedDuration::from_hours(1);
    leave(&blobs, name, whole, b"start").await;
    assert_eq!(blobs.remove_leftovers(now().checked_sub(hour).unwrap()).await.unwrap(), 0, "the rest may still come");
    assert_eq!(blobs.remove_leftovers(now().checked_add(hour).unwrap()).await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_fetched_is_found_named_and_removed_wherever_else_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    let (name, bytes) = chunk("fetched");
    blobs.parts_put(vec![(name, bytes.clone())]).await.unwrap();
    blobs.parts_land(vec![name]).await.unwrap();
    let fetched = Path::new("chunks/fetched").join(name.to_hex());
    assert_eq!(blobs.files_of(vec![name]).await.unwrap(), (vec![fetched.clone()], vec![]));
    assert_eq!(blobs.names().await.unwrap(), [name]);
    // A damaged copy in one place hides no good one in the other.
    blobs.put_batch(vec![(name, bytes.clone())]).await.unwrap();
    let published = Path::new("chunks").join(&name.to_hex()[..2]).join(name.to_hex());
    for place in [&fetched, &published] {
        fs::write(dir.path().join(place), b"Fetched").unwrap();
        assert_eq!(blobs.get(name).await.is_ok(), *place == fetched);
    }
    blobs.remove(vec![name]).await.unwrap();
    assert_eq!(blobs.absent(vec![name]).await.unwrap(), [name]);
    assert!(!dir.path().join(fetched).exists() && !dir.path().join(published).exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("chunks"), b"a file").unwrap();
    let error = Blobs::open(dir.path()).await.unwrap_err();
    assert!(error.to_string().contains("chunks"), "{error}");
}
