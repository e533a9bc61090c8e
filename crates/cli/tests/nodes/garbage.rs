//! Chunks that are no longer needed go, while packages are published and fetched: nothing that is needed goes with them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jiff::SignedDuration;
use taosync_model::Digest;
use taosync_store::blobs::Blobs;
use taosync_store::packages::{ChunkRef, NewPackage};
use taosync_store::settings::Role;
use taosync_store::{Durability, Store};
use taosync_sync::packages::contents;
use taosync_sync::packages::garbage::{Collected, collect, remove_strays};
use taosync_sync::session::What;

use crate::packages_cut::{publish_with, try_publish_with};
use crate::support::{Central, DELIVERY, Local, org};

/// Longer than any publication here takes, on a busy machine too.
const WAIT: SignedDuration = SignedDuration::from_secs(3);
/// When strays were written, by what their files say.
const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;
/// Contents that come again and again: what is dying is needed anew.
const VARIANTS: usize = 4;

/// Collects until it is told to stop; gives the sums, strays among the leftovers.
async fn collector(store: Store, role: Role, stop: Arc<AtomicBool>) -> Collected {
    let mut all = Collected::default();
    while !stop.load(Ordering::SeqCst) {
        all.leftovers += remove_strays(&store, WAIT).await.unwrap();
        let more = collect(&store, role, WAIT).await.unwrap();
        all.packages += more.packages;
        all.chunks += more.chunks;
        all.leftovers += more.leftovers;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    all
}

/// Lays chunks that were deleted back on the disk, as a process does that dies before it has noted them long ago.
async fn stray_layer(dir: PathBuf, stop: Arc<AtomicBool>) {
    let mut known: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    while !stop.load(Ordering::SeqCst) {
        for path in chunk_files(&dir) {
            if !known.contains_key(&path) {
                known.extend(fs::read(&path).ok().map(|bytes| (path, bytes)));
            }
        }
        for (path, bytes) in &known {
            if !path.exists() {
                let temporary = dir.join("stray");
                fs::write(&temporary, bytes).unwrap();
                File::options().write(true).open(&temporary).unwrap().set_modified(LONG_AGO).unwrap();
                // Never in the place of one that somebody has just written.
                let _ = fs::hard_link(&temporary, path);
                fs::remove_file(&temporary).unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn chunk_files(dir: &Path) -> Vec<PathBuf> {
    let files = |folder: &Path| fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let chunks = files(&dir.join("chunks")).filter(|path| path.is_dir()).flat_map(|folder| files(&folder));
    chunks.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.')).collect()
}

#[tokio::test]
async fn what_a_dead_process_left_goes_and_what_somebody_is_about_to_note_stays() {
    let central = Central::start().await;
    central.change(org("A", 0..1)).await;
    publish_with(&central, DELIVERY, "Maths", &[5_000]).await;
    let blobs = Blobs::open(central.store().dir()).await.unwrap();
    let known = blobs.names().await.unwrap();
    let written = |text: &str| (Digest::of(text.as_bytes()), text.as_bytes().to_vec());
    let (stray, fetched, young) = (written("stray"), written("about to be fetched"), written("young"));
    blobs.put_batch(vec![stray.clone(), fetched.clone(), young.clone()]).await.unwrap();
    for path in chunk_files(central.store().dir()) {
        if !path.ends_with(young.0.to_hex()) {
            File::options().write(true).open(&path).unwrap().set_modified(LONG_AGO).unwrap();
        }
    }
    let reference = central.store().package_current(DELIVERY).await.unwrap().unwrap().reference;
    let chunks = [ChunkRef { name: fetched.0, bytes: 1 }];
    let new = NewPackage { delivery: "http://x/#other", reference: &reference, chunks: &chunks };
    central.store().package_fetching(&new).await.unwrap();
    assert_eq!(remove_strays(central.store(), SignedDuration::from_secs(1_800)).await.unwrap(), 1);
    let mut left = blobs.names().await.unwrap();
    left.retain(|name| !known.contains(name));
    left.sort_unstable();
    let mut expected = [fetched.0, young.0];
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert_eq!(blobs.absent(vec![stray.0, young.0]).await.unwrap(), [stray.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn collecting_while_publishing_and_fetching_takes_nothing_that_is_needed() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let local = Local::joined(&central, "A").await;
    let stop = Arc::new(AtomicBool::new(false));
    let at_central = tokio::spawn(collector(central.store().clone(), Role::Central, stop.clone()));
    let at_local = tokio::spawn(collector(local.store().clone(), Role::Local, stop.clone()));
    let layers =
        [central.store(), local.store()].map(|store| tokio::spawn(stray_layer(store.dir().to_owned(), stop.clone())));

    let since = Instant::now();
    let mut round = 0;
    while since.elapsed() < Duration::from_secs(9) || round < 2 * VARIANTS {
        let sizes: Vec<_> = (0..3).map(|n| 150_000 * n + 1_000 * (round % VARIANTS) + 500).collect();
        let words = format!("Maths {}", round % VARIANTS);
        // A stray that it found and that goes meanwhile is noticed in time: nothing is published without it.
        while let Err(error) = try_publish_with(&central, DELIVERY, &words, &sizes).await {
            assert!(error.to_string().contains("publish it again"), "{error}");
        }
        let summary = local.sync(What::All).await;
        assert_eq!(summary.status, "success", "round {round}: {summary:#?}");
        let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
        assert_eq!(contents::problem_with(local.store(), &package).await.unwrap(), None, "round {round}");
        round += 1;
        assert!(round < 500);
    }
    stop.store(true, Ordering::SeqCst);
    for layer in layers {
        layer.await.unwrap();
    }
    for (who, collected) in [("central", at_central.await.unwrap()), ("local", at_local.await.unwrap())] {
        let Collected { packages, chunks, leftovers } = collected;
        assert!(packages > 0 && chunks > 0 && leftovers > 0, "{who} must have collected something: {collected:?}");
    }
    local.sync_equal().await;
    for node in [central.store(), local.store()] {
        let kept = node.packages_list().await.unwrap();
        assert!(kept.len() >= 2, "the version before the current one stays");
        for package in kept {
            assert_eq!(contents::problem_with(node, &package).await.unwrap(), None, "version {}", package.version);
        }
    }
}

/// A pack of ten chunks, of which the package needs so many; their names.
async fn old_pack(local: &Local, words: &str, needed: usize) -> Vec<Digest> {
    let blobs = Blobs::open(local.store().dir()).await.unwrap();
    let texts = (0..10).map(|n| format!("{words} {n}").into_bytes());
    let chunks: Vec<_> = texts.map(|bytes| (Digest::of(&bytes), bytes)).collect();
    let pack = blobs.pack_put(chunks.clone()).await.unwrap();
    let file = local.store().dir().join("chunks/packs").join(pack.to_hex());
    File::options().write(true).open(file).unwrap().set_modified(LONG_AGO).unwrap();
    let noted: Vec<_> =
        chunks.iter().map(|(name, bytes)| ChunkRef { name: *name, bytes: bytes.len() as u64 }).collect();
    let reference = local.store().package_current(DELIVERY).await.unwrap().unwrap().reference;
    let new = NewPackage { delivery: DELIVERY, reference: &reference, chunks: &noted[..needed] };
    local.store().package_fetching(&new).await.unwrap();
    local.store().chunks_add(&noted, Durability::Flushed).await.unwrap();
    noted.iter().map(|chunk| chunk.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_goes_with_its_last_chunk_and_shrinks_when_most_of_it_is_dead() {
    let central = Central::start().await;
    central.change(org("A", 0..1)).await;
    publish_with(&central, DELIVERY, "Maths", &[5_000]).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let packs = || fs::read_dir(local.store().dir().join("chunks/packs")).unwrap().count();
    let before = packs();
    let dead = old_pack(&local, "dead", 0).await;
    let rare = old_pack(&local, "rare", 3).await;
    let full = old_pack(&local, "full", 6).await;
    assert_eq!(packs(), before + 3);
    let collected = || collect(local.store(), Role::Local, SignedDuration::from_millis(1));
    assert_eq!(collected().await.unwrap().chunks, 0, "they are dying");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(collected().await.unwrap().chunks, 10 + 7 + 4);
    assert_eq!(packs(), before + 2);
    let blobs = Blobs::open(local.store().dir()).await.unwrap();
    assert_eq!(blobs.absent(dead.clone()).await.unwrap(), dead);
    assert_eq!(blobs.absent(rare.clone()).await.unwrap(), rare[3..]);
    for name in rare[..3].iter().chain(&full[..6]) {
        blobs.get(*name).await.unwrap();
    }
    assert!(blobs.absent(full).await.unwrap().is_empty(), "less than half of it lies there in vain");
    let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
    assert_eq!(contents::problem_with(local.store(), &package).await.unwrap(), None);
}
