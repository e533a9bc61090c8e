use std::path::PathBuf;

use secrecy::SecretString;
use taosync_vault::backup_seal::{Opening, Seal};

use super::write::Source;
use super::*;

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        version: "0.1.0".into(),
        role: "central".into(),
        node: Uuid::from_u128(1),
        at: Timestamp::UNIX_EPOCH,
        receipts_through: 7,
        parts: Vec::new(),
    }
}

fn secret() -> SecretString {
    SecretString::from("correct horse".to_owned())
}

fn backup(dir: &Path, files: &[(&str, &[u8])]) -> PathBuf {
    let mut sources = Vec::new();
    for (name, content) in files {
        let path = dir.join(format!("from-{}", sources.len()));
        std::fs::write(&path, content).unwrap();
        sources.push(Source { name: (*name).to_owned(), path });
    }
    let file = dir.join("backup.age");
    let output = std::fs::File::create(&file).unwrap();
    write::write(output, &Seal::Passphrase(secret()), manifest(), &sources).unwrap();
    file
}

#[test]
fn what_was_written_is_read_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let big = vec![3; 300_000];
    let file = backup(dir.path(), &[("taosync.sqlite", &big), ("keys/node.key", b"key")]);
    let to = dir.path().join("to");
    let read = read::read(&file, &Opening::Passphrase(secret()), read::Into::Dir(to.clone())).unwrap();
    assert_eq!((read.receipts_through, read.parts.len()), (7, 2));
    assert_eq!(std::fs::read(to.join("taosync.sqlite")).unwrap(), big);
    assert_eq!(std::fs::read(to.join("keys/node.key")).unwrap(), b"key");
}

#[test]
fn a_damaged_backup_is_told_from_a_wrong_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let file = backup(dir.path(), &[("taosync.sqlite", &vec![5; 200_000])]);
    let check = || read::read(&file, &Opening::Passphrase(secret()), read::Into::Nothing);
    assert!(check().is_ok());
    let other = Opening::Passphrase(SecretString::from("another".to_owned()));
    assert_eq!(read::read(&file, &other, read::Into::Nothing).unwrap_err().code, "TS-012");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 70_000]).unwrap();
    assert_eq!(check().unwrap_err().code, "TS-013", "cut");
    let mut flipped = whole.clone();
    flipped[100_000] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    assert_eq!(check().unwrap_err().code, "TS-013", "changed");
    std::fs::write(&file, b"no backup").unwrap();
    assert_eq!(check().unwrap_err().code, "TS-012");
}

#[test]
fn nothing_is_written_outside() {
    for path in ["", "/etc/passwd", "../x", "keys/../../x", "./x"] {
        assert!(!is_inside(path), "{path}");
    }
    assert!(is_inside("keys/node.key"));
    let dir = tempfile::tempdir().unwrap();
    let file = backup(dir.path(), &[("a", b"1"), ("b", b"2")]);
    let to = dir.path().join("to");
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("a"), b"mine").unwrap();
    let refused = read::read(&file, &Opening::Passphrase(secret()), read::Into::Dir(to.clone()));
    assert_eq!(refused.unwrap_err().code, "TS-008");
    assert_eq!(std::fs::read(to.join("a")).unwrap(), b"mine");
}
