//! The keyring on disk: made whole, kept closed, and never shown.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::{Keyring, VaultError};
use tempfile::TempDir;

const FILES: [&str; 5] = ["chunks.key", "columns.json", "index.key", "node.age", "node.key"];

fn fresh() -> (TempDir, std::path::PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("keys");
    (home, dir)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_made_is_read_back() {
    let (home, dir) = fresh();
    let made = Keyring::create(&dir).unwrap();
    let read = Keyring::open(&dir).unwrap();
    assert_eq!(made.node_key().public(), read.node_key().public());
    assert_eq!(made.identity().recipient(), read.identity().recipient());
    assert_eq!(made.index().of("login", "anna"), read.index().of("login", "anna"));
    assert_eq!(made.chunks().seal(b"q").name, read.chunks().seal(b"q").name);
    let sealed = made.columns().seal("t", b"r", "c", b"x");
    assert_eq!(read.columns().open("t", b"r", "c", &sealed).unwrap(), b"x");
    assert_eq!(names(&dir), FILES);
    assert_eq!(names(home.path()), ["keys"], "nothing temporary is left");
}

#[test]
fn two_keyrings_share_nothing() {
    let ((_a, a), (_b, b)) = (fresh(), fresh());
    let (a, b) = (Keyring::create(&a).unwrap(), Keyring::create(&b).unwrap());
    assert_ne!(a.node_key().public(), b.node_key().public());
    assert_ne!(a.identity().recipient(), b.identity().recipient());
    assert_ne!(a.index().of("f", "x"), b.index().of("f", "x"));
    assert_ne!(a.chunks().seal(b"q").name, b.chunks().seal(b"q").name);
    assert!(b.columns().open("t", b"r", "c", &a.columns().seal("t", b"r", "c", b"x")).is_err());
}

#[test]
fn keys_are_never_overwritten() {
    let (_home, dir) = fresh();
    let made = Keyring::create(&dir).unwrap();
    let error = Keyring::create(&dir).unwrap_err();
    assert!(matches!(&error, VaultError::Exists { path } if *path == dir), "{error}");
    assert_eq!(Keyring::open(&dir).unwrap().node_key().public(), made.node_key().public());
}

#[test]
fn everything_is_closed_to_others() {
    let (_home, dir) = fresh();
    Keyring::create(&dir).unwrap();
    assert_eq!(mode(&dir), 0o700);
    for file in FILES {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
}

#[test]
fn looser_permissions_are_refused_with_the_command_that_helps() {
    let (_home, dir) = fresh();
    Keyring::create(&dir).unwrap();
    let extra = dir.join("notes");
    fs::write(&extra, "").unwrap();
    fs::set_permissions(&extra, fs::Permissions::from_mode(0o600)).unwrap();
    let all = FILES.iter().map(|f| (dir.join(f), 0o600)).chain([(dir.clone(), 0o700), (extra, 0o600)]);
    for (path, good) in all {
        for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
            fs::set_permissions(&path, fs::Permissions::from_mode(good | bit)).unwrap();
            let error = Keyring::open(&dir).unwrap_err().to_string();
            let help = format!("chmod {good:04o} '{}'", path.display());
            assert!(error.contains(&help) && error.contains(&format!("{:04o}", good | bit)), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(good)).unwrap();
    }
    Keyring::open(&dir).unwrap();
}

#[test]
fn missing_and_damaged_files_are_named() {
    for file in FILES {
        let (_home, dir) = fresh();
        Keyring::create(&dir).unwrap();
        let path = dir.join(file);
        for content in ["", "rubbish", "[]", "[{\"id\":1}]", &"A".repeat(70_000)] {
            fs::write(&path, content).unwrap();
            let error = Keyring::open(&dir).unwrap_err();
            assert!(matches!(&error, VaultError::BadKeyFile { path: p, .. } if *p == path), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let error = Keyring::open(&dir).unwrap_err();
        assert!(matches!(&error, VaultError::Io { path: p, .. } if *p == path), "{error}");
    }
}

#[test]
fn a_column_key_with_a_used_id_is_refused() {
    let (_home, dir) = fresh();
    Keyring::create(&dir).unwrap();
    let path = dir.join("columns.json");
    let one: Vec<serde_json::Value> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    fs::write(&path, serde_json::to_string(&[&one[0], &one[0]]).unwrap()).unwrap();
    assert!(matches!(Keyring::open(&dir), Err(VaultError::BadKeyFile { .. })));
}

#[test]
fn rotation_keeps_old_values_readable_also_after_a_restart() {
    let (_home, dir) = fresh();
    let keyring = Keyring::create(&dir).unwrap();
    let old = keyring.columns().seal("t", b"r", "c", b"x");
    assert_eq!(keyring.columns().rotate().unwrap(), 2);
    assert_eq!(keyring.columns().rotate().unwrap(), 3);
    for keyring in [keyring, Keyring::open(&dir).unwrap()] {
        assert_eq!(keyring.columns().key_ids(), [3, 2, 1]);
        assert_eq!(keyring.columns().open("t", b"r", "c", &old).unwrap(), b"x");
    }
}

#[test]
fn a_running_process_follows_a_rotation_by_another_one() {
    let (_home, dir) = fresh();
    let running = Keyring::create(&dir).unwrap();
    let rotating = Keyring::open(&dir).unwrap();
    let old = running.columns().seal("t", b"r", "c", b"old");
    rotating.columns().rotate().unwrap();
    let new = rotating.columns().seal("t", b"r", "c", b"new");
    assert_eq!(running.columns().key_ids(), [1], "it has not looked yet");
    assert_eq!(
        running.columns().open("t", b"r", "c", &new).unwrap(),
        b"new",
        "a key that it does not know makes it look"
    );
    assert_eq!(running.columns().key_ids(), [2, 1]);
    rotating.columns().forget_older().unwrap();
    assert_eq!(running.columns().open("t", b"r", "c", &old).unwrap(), b"old");
    running.columns().refresh();
    assert_eq!(running.columns().key_ids(), [2]);
    assert!(matches!(
        running.columns().open("t", b"r", "c", &old),
        Err(VaultError::UnknownColumnKey { key_id: 1, .. })
    ));
    fs::remove_file(dir.join("columns.json")).unwrap();
    running.columns().refresh();
    assert_eq!(running.columns().open("t", b"r", "c", &new).unwrap(), b"new", "what was read stays");
}

#[test]
fn a_results_key_is_kept_beside_the_others() {
    let (_home, dir) = fresh();
    let mut keyring = Keyring::create(&dir).unwrap();
    assert!(keyring.results().is_empty());
    let (one, two) = (keyring.add_results_key(&dir).unwrap(), keyring.add_results_key(&dir).unwrap());
    assert_eq!(keyring.results().recipients(), [two.clone(), one.clone()]);
    assert_eq!(Keyring::open(&dir).unwrap().results().recipients(), [two, one]);
    assert_eq!(mode(&dir.join("results.age")), 0o600);
}

#[test]
fn the_age_tool_can_read_the_identity() {
    let (_home, dir) = fresh();
    let keyring = Keyring::create(&dir).unwrap();
    // An identity file as the age tool defines it: comments, and one identity a line.
    let text = fs::read_to_string(dir.join("node.age")).unwrap();
    let identity = age::IdentityFile::from_buffer(text.as_bytes()).unwrap().into_identities().unwrap();
    let wrapped = DeliveryKey::generate().wrap_for(&keyring.identity().recipient()).unwrap();
    let opened = age::Decryptor::new(wrapped.as_slice()).unwrap().decrypt(identity.iter().map(|i| &**i as _));
    assert!(opened.is_ok());
}

#[test]
fn debug_shows_no_key() {
    let (_home, dir) = fresh();
    let keyring = Keyring::create(&dir).unwrap();
    let delivery_key = DeliveryKey::generate();
    let chunk = keyring.chunks().seal(b"q");
    let mut secrets: Vec<Vec<u8>> = ["node.key", "index.key", "chunks.key"]
        .map(|file| URL_SAFE_NO_PAD.decode(fs::read_to_string(dir.join(file)).unwrap().trim()).unwrap())
        .into();
    let columns: Vec<serde_json::Value> =
        serde_json::from_str(&fs::read_to_string(dir.join("columns.json")).unwrap()).unwrap();
    secrets.push(URL_SAFE_NO_PAD.decode(columns[0]["key"].as_str().unwrap().trim()).unwrap());
    secrets.push(delivery_key.to_bytes().to_vec());
    let chunk_key = serde_json::to_value(&chunk.key).unwrap();
    secrets.push(URL_SAFE_NO_PAD.decode(chunk_key.as_str().unwrap()).unwrap());

    let shown = format!(
        "{keyring:?} {keyring:#?} {:?} {:?} {:?} {:?} {:?} {delivery_key:?} {:?}",
        keyring.node_key(),
        keyring.identity(),
        keyring.columns(),
        keyring.index(),
        keyring.chunks(),
        chunk.key
    );
    assert!(shown.contains("NodeKey") && shown.contains("DeliveryKey") && !shown.contains("AGE-SECRET-KEY"));
    for secret in secrets {
        assert_eq!(secret.len(), 32);
        let decimal = secret[..6].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let spellings =
            [hex::encode(&secret[..6]), URL_SAFE_NO_PAD.encode(&secret[..6]), STANDARD_NO_PAD.encode(&secret[..6])];
        for spelling in spellings.into_iter().chain([decimal]) {
            assert!(!shown.to_lowercase().contains(&spelling.to_lowercase()), "a key shows in {shown}");
        }
    }
}
