//! What a test runner reads of a test: structure, items, files, and which version of it.

use std::path::Path;

use serde_json::{Value, json};
use taosync_model::Digest;
use taosync_packages::archive::pack::pack;
use taosync_packages::tree::CHUNK_BYTES;
use taosync_store::packages::{Kept, PackageContents};

use crate::room::{ANNA, MATHS, MATHS_IN_QUERY, Room};

const FILM: &str = "shared/50 % très long.mp4";

/// The fixture of QTI 3, with further files.
fn water(more: &[(&str, &[u8])]) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/qti-3");
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    files.extend(more.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())));
    pack(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).unwrap()
}

/// Two chunks and a half, no two bytes of which are alike for long.
fn film() -> Vec<u8> {
    (0..CHUNK_BYTES as u32 * 5 / 8).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[tokio::test]
async fn a_test_is_read_in_parts_that_say_where_the_rest_is() {
    let room = Room::open().await;
    let water = room.ready(1, &water(&[])).await;
    room.delivery_is(&water.reference).await;
    let listed = room.get("deliveries").await.json();
    assert_eq!(listed, json!({ "deliveries": [{ "uri": MATHS, "label": "Maths", "state": "ready", "version": 1 }] }));
    let shown = room.get(&format!("delivery?uri={MATHS_IN_QUERY}")).await.json();
    assert_eq!((&shown["label"], &shown["version"]), (&json!("Maths"), &json!(1)));
    assert_eq!(shown["package_address"], water.address);

    let whole = room.get(&format!("{}/compiled", water.address)).await;
    assert_eq!(Digest::of(&whole.body), water.reference.compiled_digest, "byte for byte what both sides compare");
    let compiled = whole.json();
    let test = room.get(&format!("{}/test", water.address)).await;
    assert_eq!((&test.json()["test"], &test.json()["form"]), (&compiled["test"], &compiled["form"]));
    let items = compiled["items"].as_array().unwrap();
    assert_eq!(items.len(), 4);
    for item in items {
        let answer = room.get(&format!("{}/items/{}", water.address, item["href"].as_str().unwrap())).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        let document = answer.json();
        assert_eq!(&document["item"], item);
        assert_eq!(assets_of(&room, &document).await, item["assets"].as_array().unwrap().len());
        let again = [("if-none-match", answer.header("etag"))];
        let again = room.get_with(&format!("{}/items/{}", water.address, item["href"].as_str().unwrap()), &again).await;
        assert_eq!((again.status, again.body.len(), again.header("cache-control")), (304, 0, "private, no-cache"));
    }
    let rivers = room.get(&format!("{}/items/items/rivers.xml", water.address)).await.json();
    assert_eq!(rivers["texts"], compiled["texts"], "what the item includes comes with it");
    assert_eq!(room.get(&format!("{}/items/items/none.xml", water.address)).await.status, 404);
}

/// Fetches the files of a page where it says they are; says how many there are.
async fn assets_of(room: &Room, document: &Value) -> usize {
    let files = document["files"].as_object().unwrap();
    for (path, file) in files {
        let answer = room.get(file["address"].as_str().unwrap()).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, file["media_type"].as_str().unwrap()),
            "{path}"
        );
        assert_eq!(Digest::of(&answer.body).to_hex(), file["digest"], "{path}");
        assert_eq!(answer.body.len() as u64, file["bytes"], "{path}");
    }
    files.len()
}

#[tokio::test]
async fn a_large_file_comes_in_ranges_with_a_tag_and_safe_headers() {
    let room = Room::open().await;
    let film = film();
    let water = room.ready(1, &water(&[(FILM, &film)])).await;
    let address = format!("{}/files/shared/50%20%25%20tr%C3%A8s%20long.mp4", water.address);
    let whole = room.get(&address).await;
    assert!(whole.status == 200 && whole.body == film, "{} bytes with {}", whole.body.len(), whole.status);
    let tag = whole.header("etag").to_owned();
    for (name, value) in [
        ("content-type", "video/mp4"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, max-age=31536000, immutable"),
        ("content-security-policy", "sandbox"),
        ("x-content-type-options", "nosniff"),
        ("etag", &format!("\"{}\"", Digest::of(&film))),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
    let (length, border) = (film.len(), CHUNK_BYTES);
    for (range, expected) in [
        (format!("bytes={}-{}", border - 10, border + 9), border - 10..border + 10),
        (format!("bytes={}-", 2 * border), 2 * border..length),
        ("bytes=-100".to_owned(), length - 100..length),
        ("bytes=0-0".to_owned(), 0..1),
        (format!("bytes=1-{}", length + 5), 1..length),
    ] {
        let part = room.get_with(&address, &[("range", &range), ("if-range", &tag)]).await;
        let told = format!("bytes {}-{}/{length}", expected.start, expected.end - 1);
        assert_eq!((part.status, part.header("content-range")), (206, told.as_str()), "{range}");
        assert!(part.body == film[expected], "{range}");
    }
    let outside = room.get_with(&address, &[("range", &format!("bytes={length}-"))]).await;
    assert_eq!((outside.status, outside.code().as_str()), (416, "range_outside"));
    assert_eq!(outside.header("content-range"), format!("bytes */{length}"));
    let changed = room.get_with(&address, &[("range", "bytes=0-0"), ("if-range", "\"other\"")]).await;
    assert_eq!((changed.status, changed.body.len()), (200, length), "a part of something else is of no use");
    let known = room.get_with(&address, &[("if-none-match", &format!("\"other\", {tag}"))]).await;
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, tag.as_str()));
}

#[tokio::test]
async fn no_path_leads_out_of_the_package() {
    let room = Room::open().await;
    let water = room.ready(1, &water(&[])).await;
    for path in [
        "../../keys/node.key",
        "%2e%2e%2f%2e%2e%2fkeys%2fnode.key",
        "..%5c..%5ckeys%5cnode.key",
        "styles/../test.xml",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "./test.xml",
        "test.xml%00",
        "test.xml/",
        "TEST.XML",
        "%ff%fe",
        "styles",
        "",
    ] {
        let answer = room.get(&format!("{}/files/{path}", water.address)).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    let other = Digest::of(b"another test");
    for package in [other.to_hex(), "x".to_owned(), "%2e%2e".to_owned(), "%ff".to_owned()] {
        for part in ["compiled", "test", "items/items/ice.xml", "files/test.xml"] {
            let answer = room.get(&format!("packages/{package}/{part}")).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{package}/{part}");
        }
    }
    assert_eq!(room.get(&format!("{}/files/test.xml", water.address)).await.status, 200, "a file is served");
    let stranger = room.place.get(&format!("{}/files/test.xml", water.address), &[]).await;
    assert_eq!((stranger.status, stranger.code().as_str()), (401, "runner_key_invalid"));
}

async fn start(room: &Room) -> (String, Value) {
    let started = room.post("executions", &json!({ "delivery": MATHS, "test_taker": ANNA })).await;
    assert_eq!(started.status, 201, "{started:?}");
    (started.json()["id"].as_str().unwrap().to_owned(), started.json())
}

async fn current(room: &Room) -> (Value, Value) {
    let shown = room.get(&format!("delivery?uri={MATHS_IN_QUERY}")).await.json();
    let listed = room.get("deliveries").await.json();
    assert_eq!(listed["deliveries"][0]["version"], shown["version"]);
    (shown["version"].clone(), shown["package_address"].clone())
}

#[tokio::test]
async fn the_version_that_counts_is_the_one_central_names_and_an_attempt_keeps_its_own() {
    let room = Room::open().await;
    room.fill().await;
    let first = room.ready(2, &water(&[])).await;
    let second = room.ready(3, &water(&[("notes.txt", b"corrected")])).await;
    // The newest was taken back: central names the one before it.
    room.delivery_is(&first.reference).await;
    assert_eq!(current(&room).await, (json!(2), json!(first.address)));
    let (id, started) = start(&room).await;
    assert_eq!((&started["package_version"], &started["package_address"]), (&json!(2), &json!(first.address)));
    room.delivery_is(&second.reference).await;
    assert_eq!(current(&room).await, (json!(3), json!(second.address)));
    let running = room.get(&format!("executions/{id}")).await.json();
    assert_eq!((&running["package_version"], &running["package_address"]), (&json!(2), &json!(first.address)));
    assert_eq!(room.get(&format!("{}/test", first.address)).await.status, 200);
    let named = room.get(&format!("delivery?uri={MATHS_IN_QUERY}&version=2")).await.json();
    assert_eq!(named["package_address"], first.address);
    assert_eq!(start(&room).await.0, id, "the running one is given again");
    room.post(&format!("executions/{id}/finish"), &json!({})).await;
    assert_eq!(start(&room).await.1["package_version"], 3);
    let later = room.get(&format!("delivery?uri={MATHS_IN_QUERY}&version=4")).await;
    assert_eq!((later.status, later.code().as_str()), (409, "delivery_not_ready"));
    assert_eq!(room.get("delivery?uri=x").await.code(), "not_found");
    assert_eq!(room.get("delivery").await.code(), "bad_request");
}

#[tokio::test]
async fn a_damaged_compiled_form_is_not_ready_and_says_so() {
    let room = Room::open().await;
    room.fill().await;
    let water = room.ready(2, &water(&[])).await;
    room.delivery_is(&water.reference).await;
    let damaged = PackageContents { compiled: Some(&Kept::of(b"{\"form\":2}")), ..PackageContents::default() };
    room.place.store.package_ready(water.row, &damaged).await.unwrap();
    for part in ["test", "compiled", "items/items/ice.xml", "files/test.xml"] {
        let answer = room.get(&format!("{}/{part}", water.address)).await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "damaged"), "{part}");
    }
    let listed = room.get("deliveries").await.json();
    let version = room.place.store.package_get(MATHS, 2).await.unwrap().unwrap();
    assert!(version.reason.as_ref().unwrap().contains("compiled form"), "{version:?}");
    // What was whole before can still be started.
    assert_eq!((&listed["deliveries"][0]["state"], &listed["deliveries"][0]["version"]), (&json!("ready"), &json!(1)));
    assert_eq!(start(&room).await.1["package_version"], 1);
}

#[tokio::test]
async fn a_damaged_file_is_an_error_or_a_cut_answer_and_never_other_bytes() {
    let room = Room::open().await;
    let film = film();
    let water = room.ready(1, &water(&[(FILM, &film)])).await;
    let file = water.files.iter().find(|file| file.path == FILM).unwrap();
    room.place.blobs.remove(vec![file.chunks[1].name]).await.unwrap();
    let address = format!("{}/files/shared/50%20%25%20tr%C3%A8s%20long.mp4", water.address);
    let border = CHUNK_BYTES;
    let first = room.get_with(&address, &[("range", &format!("bytes=0-{}", border - 1))]).await;
    assert!(first.status == 206 && first.body == film[..border], "what is whole is served");
    let second = room.get_with(&address, &[("range", &format!("bytes={border}-"))]).await;
    assert_eq!((second.status, second.code().as_str()), (500, "damaged"));
    assert!(room.try_get(&address).await.is_err(), "an answer that has begun is cut");
}
