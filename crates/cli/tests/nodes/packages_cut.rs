//! Packages over bad lines and from damaged stores: nothing that came is asked for again, and one broken test holds up
//! no other.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::time::Duration;

use taosync_model::{Digest, Entity, EntityType, vocabulary as v};
use taosync_store::blobs::Blobs;
use taosync_store::faults::{self, Fault};
use taosync_store::packages::{ChunkRef, PackageState};
use taosync_sync::link::patience::Patience;
use taosync_sync::packages::contents;
use taosync_sync::packages::line::{CONNECTIONS, measure};
use taosync_sync::packages::publish::{PublishError, PublishRequest, Published, publish};
use taosync_sync::session::{Mode, Plan, Summary, What, link_for};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::scissors::Scissors;
use crate::support::{Central, DELIVERY, Local, org, plan, up};

const OTHER: &str = "http://central.example/t.rdf#delivery2";

/// Bytes that do not compress, the same for the same words.
fn noise(words: &str, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().update(words.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The demonstration test with media of these sizes beside it.
fn zip_with(words: &str, sizes: &[usize]) -> Vec<u8> {
    let mut zip = ZipWriter::new_append(Cursor::new(taosync_packages::demo_package())).unwrap();
    for (n, size) in sizes.iter().enumerate() {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(format!("media/{words}{n}.bin"), options).unwrap();
        zip.write_all(&noise(&format!("{words} {n}"), *size)).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub async fn publish_with(central: &Central, uri: &str, words: &str, sizes: &[usize]) -> Published {
    try_publish_with(central, uri, words, sizes).await.unwrap()
}

pub async fn try_publish_with(
    central: &Central,
    uri: &str,
    words: &str,
    sizes: &[usize],
) -> Result<Published, PublishError> {
    let file = central.node.dir.path().join("published.zip");
    std::fs::write(&file, zip_with(words, sizes)).unwrap();
    let request =
        PublishRequest { file, label: words.into(), uri: Some(uri.into()), naming: "http://x/#".into(), test: None };
    publish(central.store(), request).await
}

/// A second delivery for the org.
async fn other_delivery(central: &Central) {
    let eligibility = Entity::new("http://central.example/t.rdf#eligibility2", v::CLASS_ELIGIBILITY)
        .with(v::ELIGIBLE_TEST_CENTER, "http://central.example/t.rdf#center-A")
        .with(v::ELIGIBLE_DELIVERY, OTHER);
    central.change(vec![up(EntityType::Eligibility, eligibility)]).await;
}

async fn assert_whole(local: &Local, uri: &str) {
    let package = local.store().package_current(uri).await.unwrap().unwrap();
    assert_eq!(package.state, PackageState::Ready);
    assert_eq!(contents::problem_with(local.store(), &package).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_cut_at_every_border_and_inside_chunks_costs_no_chunk_that_came() {
    let scissors = Scissors::default();
    let central = Central::start_behind(&scissors).await;
    central.change(org("A", 0..3)).await;
    publish_with(&central, DELIVERY, "Maths", &[4_500_000, 300_000, 150_000, 40_000, 30_000, 20_000]).await;
    let whole = Local::joined(&central, "A").await.sync_equal().await.deliveries;
    let clean = scissors.seen();
    assert!(clean.batches >= 1 && clean.alone.len() == 4, "small ones together, large ones alone: {clean:#?}");

    let local = Local::joined(&central, "A").await;
    let (mut rounds, mut bytes) = (0, 0);
    let last = loop {
        assert!(rounds < 200, "it never ends: {:#?}", scissors.seen());
        let share = [0.0, 0.4, 0.999][rounds % 3];
        scissors.cut_after(1, share);
        let summary = local.sync(What::Data).await;
        rounds += 1;
        bytes += summary.deliveries.bytes;
        if summary.code.is_none() {
            break summary;
        }
        assert_eq!(summary.code.as_deref().map(|code| &code[..4]), Some("TS-2"), "{summary:#?}");
        assert!(summary.temporary, "{summary:#?}");
        let known = local.store().package_current(DELIVERY).await.unwrap();
        assert!(known.is_none(), "half a package is never visible");
    };
    assert_eq!(last.status, "success");
    let seen = scissors.seen();
    let chunks = whole.chunks as usize;
    assert!(rounds >= chunks, "a cut after every chunk: {rounds} rounds, {chunks} chunks");
    assert!(seen.between >= chunks as u64 / 3 && seen.inside >= chunks as u64 / 3, "{seen:#?}");
    assert!(seen.ranges > 0, "the rest of a chunk was asked for");
    // Once for the local server without cuts, once for this one.
    let again: Vec<_> = seen.whole.iter().filter(|(_, times)| **times != 2).collect();
    assert!(again.is_empty(), "asked for again: {again:?}");
    for (name, bytes) in &clean.alone {
        assert_eq!(seen.alone[name], 2 * bytes, "no byte of a large chunk comes twice");
    }
    assert!(bytes >= whole.bytes, "{bytes} of {} bytes", whole.bytes);
    scissors.mend();
    local.sync_equal().await;
    assert_whole(&local, DELIVERY).await;
    assert_eq!(local.members("A").await, central.members("A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_cut_is_borne_within_the_sync() {
    let patience = Patience { tries: 1, pause: Duration::from_millis(20), dice: || 1.0 };
    for (chunks, share) in [(0, 0.0), (3, 0.5), (7, 0.5), (12, 0.0)] {
        let scissors = Scissors::default();
        let central = Central::start_behind(&scissors).await;
        central.change(org("A", 0..3)).await;
        publish_with(&central, DELIVERY, "Maths", &[500_000, 300_000, 40_000, 30_000, 20_000]).await;
        let local = Local::joined(&central, "A").await;
        scissors.cut_once_after(chunks, share);
        let summary = local.sync_with(Plan { patience, ..plan(What::Data) }).await.unwrap();
        let seen = scissors.seen();
        assert_eq!((summary.status.as_str(), seen.between + seen.inside), ("success", 1), "{summary:#?} {seen:#?}");
        assert!(seen.whole.values().all(|times| *times == 1), "nothing came twice: {seen:#?}");
        assert_whole(&local, DELIVERY).await;
    }
}

/// Flips a bit of a chunk in central's object store.
fn damage(central: &Central, name: Digest) {
    let hex = name.to_hex();
    let path = central.node.dir.path().join("chunks").join(&hex[..2]).join(&hex);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

/// The chunk of a file of a package at central.
async fn chunk_of(central: &Central, uri: &str, path: &str) -> Digest {
    let package = central.store().package_current(uri).await.unwrap().unwrap();
    let key = central.store().package_open(package.id).await.unwrap().key.unwrap();
    let blobs = Blobs::open(central.store().dir()).await.unwrap();
    let tree = contents::read_tree(&blobs, package.reference.sealed_tree, &key).await.unwrap();
    tree.file(path).unwrap().chunks[0].name
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_at_central_puts_only_its_test_aside_until_it_is_published_again() {
    for size in [20_000, 300_000] {
        let central = Central::start().await;
        central.change(org("A", 0..3)).await;
        other_delivery(&central).await;
        publish_with(&central, DELIVERY, "Maths", &[size]).await;
        publish_with(&central, OTHER, "French", &[size]).await;
        damage(&central, chunk_of(&central, DELIVERY, "media/Maths0.bin").await);

        let local = Local::joined(&central, "A").await;
        let summary = local.sync(What::All).await;
        assert_eq!(summary.status, "partial", "{summary:#?}");
        assert_eq!((summary.deliveries.fetched, summary.deliveries.failed), (1, 1), "{summary:#?}");
        assert!(summary.advice.iter().any(|line| line.contains(DELIVERY) && line.contains("hash")), "{summary:#?}");
        assert!(summary.digest_equal, "data are not held up");
        assert_whole(&local, OTHER).await;
        let aside = local.store().package_get(DELIVERY, 1).await.unwrap().unwrap();
        assert_eq!(aside.state, PackageState::Failed);
        assert!(aside.reason.unwrap().contains("hash"));

        publish_with(&central, DELIVERY, "Maths", &[size]).await;
        local.sync_equal().await;
        assert_whole(&local, DELIVERY).await;
    }
}

async fn dry_run(local: &Local) -> Summary {
    local.sync_with(Plan { mode: Mode::DryRun, ..plan(What::All) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_to_the_byte_what_will_travel_and_fetches_nothing() {
    let scissors = Scissors::default();
    let central = Central::start_behind(&scissors).await;
    central.change(org("A", 0..3)).await;
    other_delivery(&central).await;
    publish_with(&central, DELIVERY, "Maths", &[400_000, 20_000]).await;
    publish_with(&central, OTHER, "French", &[300_000]).await;
    let local = Local::joined(&central, "A").await;
    let would = dry_run(&local).await.deliveries;
    assert!(local.store().chunks_list().await.unwrap().is_empty(), "nothing is kept");
    assert!(local.store().packages_list().await.unwrap().is_empty());
    assert_eq!(would.fetched, 2);

    // After a cut inside a chunk, what is here counts as here.
    scissors.cut_after(8, 0.5);
    let cut = local.sync(What::Data).await;
    assert!(cut.code.is_some() && scissors.seen().inside == 1, "the fault must have fired: {cut:#?}");
    scissors.mend();
    let rest = dry_run(&local).await.deliveries;
    assert!(rest.bytes < would.bytes, "{rest:?} {would:?}");
    let did = local.sync_equal().await.deliveries;
    assert_eq!((did.fetched, did.bytes, did.chunks, did.files), (rest.fetched, rest.bytes, rest.chunks, rest.files));
    let nothing = dry_run(&local).await.deliveries;
    assert_eq!((nothing.fetched, nothing.bytes, nothing.chunks), (0, 0, 0));

    let fresh = Local::joined(&central, "A").await;
    let did = fresh.sync_equal().await.deliveries;
    assert_eq!(
        (did.fetched, did.bytes, did.chunks, did.files),
        (would.fetched, would.bytes, would.chunks, would.files)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_change_asks_for_no_chunk_and_a_changed_file_for_its_own() {
    let scissors = Scissors::default();
    let central = Central::start_behind(&scissors).await;
    central.change(org("A", 0..3)).await;
    publish_with(&central, DELIVERY, "Maths", &[400_000, 20_000]).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let before = scissors.seen().requests;
    assert!(before > 0);
    local.sync_equal().await;
    assert_eq!(scissors.seen().requests, before);
    publish_with(&central, DELIVERY, "Maths", &[400_000, 20_001]).await;
    let changed = local.sync_equal().await.deliveries;
    assert!((20_001..25_000).contains(&changed.bytes), "{changed:?}");
    assert_whole(&local, DELIVERY).await;
}

/// Chunks that are on the disk and that the database has forgotten.
async fn unnoted_does_not_come_again(scissors: &Scissors, local: &Local, unnoted: &[Digest]) {
    local.store().packages_mend(unnoted, &[]).await.unwrap();
    let would = dry_run(local).await.deliveries;
    assert_eq!((would.bytes, would.chunks), (0, unnoted.len() as u64));
    let requests = scissors.seen().requests;
    let did = local.sync_equal().await.deliveries;
    assert_eq!((did.fetched, did.bytes, did.chunks), (1, 0, unnoted.len() as u64));
    // The dry run has read the lists once more, the sync nothing.
    assert_eq!(scissors.seen().requests, requests);
    assert_whole(local, DELIVERY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_had_written_and_not_noted_does_not_come_again() {
    let scissors = Scissors::default();
    let central = Central::start_behind(&scissors).await;
    central.change(org("A", 0..3)).await;
    publish_with(&central, DELIVERY, "Maths", &[300_000, 20_000]).await;
    let local = Local::joined(&central, "A").await;
    let whole = local.sync_equal().await.deliveries;
    let blobs = Blobs::open(local.store().dir()).await.unwrap();
    let (mut singles, mut unnoted, mut bytes_of_pack, mut packs) = (Vec::new(), Vec::new(), 0, BTreeSet::new());
    for ChunkRef { name, bytes } in local.store().chunks_list().await.unwrap() {
        let file = blobs.files_of(vec![name]).await.unwrap().0.remove(0);
        if file.starts_with("chunks/packs") {
            unnoted.push(name);
            bytes_of_pack += 36 + bytes as usize;
            packs.insert(file);
        } else {
            singles.push(name);
        }
    }
    assert!(unnoted.len() >= 8 && packs.len() == 1 && !singles.is_empty(), "{packs:?}");

    // As when it died before the rows of the pack, and before any.
    for unnoted in [&unnoted, &[unnoted.clone(), singles.clone()].concat()] {
        unnoted_does_not_come_again(&scissors, &local, unnoted).await;
    }

    let before = scissors.seen().whole;
    // Of a pack that the power has cut, what is whole is kept, and only the rest comes.
    let file = local.node.dir.path().join(packs.first().unwrap());
    let bytes = std::fs::read(&file).unwrap();
    // Before the zeros that fill its last block.
    let end = 12 + bytes_of_pack;
    assert_eq!(bytes.len(), end.next_multiple_of(4096));
    std::fs::write(&file, &bytes[..end - 100]).unwrap();
    local.store().packages_mend(&unnoted, &[]).await.unwrap();
    let did = local.sync_equal().await.deliveries;
    assert_eq!(did.chunks, unnoted.len() as u64);
    assert!(did.bytes > 0 && did.bytes < whole.bytes / 2, "{did:?} {whole:?}");
    let after = scissors.seen().whole;
    let came: Vec<_> = after.iter().filter(|(name, times)| before[name] < **times).collect();
    assert!(came.len() == 1 && !singles.contains(came[0].0), "{came:?}");
    assert_whole(&local, DELIVERY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_one_part_has_failed_no_more_are_asked_for_and_what_came_stays() {
    let scissors = Scissors::default();
    let central = Central::start_behind(&scissors).await;
    central.change(org("A", 0..3)).await;
    let sizes = [400_000; 60];
    publish_with(&central, DELIVERY, "Maths", &sizes).await;
    let media = (0..sizes.len()).map(|n| format!("media/Maths{n}.bin"));
    let mut names = Vec::new();
    for path in media {
        names.push(chunk_of(&central, DELIVERY, &path).await);
    }
    let first = *names.iter().min().unwrap();
    damage(&central, first);
    let local = Local::joined(&central, "A").await;
    assert_eq!(local.sync(What::Data).await.deliveries.failed, 1);
    let asked = scissors.seen().alone;
    assert!(asked.contains_key(&first) && asked.len() < sizes.len(), "{} of {}", asked.len(), sizes.len());
    publish_with(&central, DELIVERY, "Maths", &sizes).await;
    local.sync_equal().await;
    assert_whole(&local, DELIVERY).await;
    let again: Vec<_> = scissors.seen().whole.into_iter().filter(|(_, times)| *times > 1).collect();
    assert_eq!(again, [(first, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_inside_a_chunk_is_told_and_what_was_written_does_not_come_again() {
    let scissors = Scissors::default();
    let central = Central::start_behind(&scissors).await;
    central.change(org("A", 0..3)).await;
    publish_with(&central, DELIVERY, "Maths", &[3_500_000]).await;
    let local = Local::joined(&central, "A").await;
    let dir = local.store().dir().to_owned();
    let (mut fired, mut inside, mut after) = (0, 0, 0);
    let large = chunk_of(&central, DELIVERY, "media/Maths0.bin").await;
    let blobs = Blobs::open(&dir).await.unwrap();
    loop {
        faults::arm(&dir, Fault::DiskFull { after });
        let done = local.sync_with(plan(What::Data)).await;
        fired += faults::disarm(&dir).min(1);
        let held = blobs.parts_held(vec![large]).await.unwrap();
        inside += u64::from(held.get(&large).is_some_and(|bytes| *bytes < 3_500_000));
        match done {
            Ok(summary) if summary.code.is_none() => break assert_eq!(summary.status, "success", "{summary:#?}"),
            Ok(summary) => assert_eq!(summary.code.as_deref(), Some("TS-301"), "{summary:#?}"),
            Err(error) => assert_eq!(error.code(), "TS-301", "{error}"),
        }
        // Half a package is never visible; a whole one may be, when the disk was full only for the note of how it ended.
        if local.store().package_current(DELIVERY).await.unwrap().is_some() {
            assert_whole(&local, DELIVERY).await;
        }
        after += 1;
    }
    assert!(fired >= 8 && inside > 0, "the disk was full {fired} times, {inside} times inside the chunk");
    // What was on its way when it failed came in vain: what is in memory, and an answer that nobody reads on.
    let seen = scissors.seen();
    assert!(seen.ranges > 0, "{seen:#?}");
    assert_whole(&local, DELIVERY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn measuring_the_line_fetches_all_again_over_so_many_connections_and_keeps_nothing() {
    let scissors = Scissors::default();
    let central = Central::start_behind(&scissors).await;
    central.change(org("A", 0..3)).await;
    publish_with(&central, DELIVERY, "Maths", &[400_000, 300_000, 20_000]).await;
    let local = Local::joined(&central, "A").await;
    let fetched = local.sync_equal().await.deliveries;
    let before = local.store().chunks_list().await.unwrap();
    let replica = local.store().replicas_list().await.unwrap().remove(0);
    let link = link_for(local.store(), &replica, "0.1.0", None).await.unwrap();
    for connections in [1, CONNECTIONS] {
        let requests = scissors.seen().requests;
        let line = measure(local.store(), &link, connections).await.unwrap();
        assert_eq!(scissors.seen().requests - requests, line.requests);
        assert!(line.bytes >= fetched.bytes && line.seconds > 0.0, "{line:?} {fetched:?}");
    }
    assert_eq!(local.store().chunks_list().await.unwrap(), before);
}
