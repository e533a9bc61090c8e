//! The disk of a machine at one moment, taken while the machine is at work.

use std::path::{Path, PathBuf};

/// Copies a directory while it is in use, as one moment of it: files first and the database last, again as long as files came
/// in between, which the database of the copy would know and the copy would lack.
pub fn picture(from: &Path, to: &Path) {
    loop {
        copy_files(from, to);
        copy_database(from, to);
        if !has_more(from, to) {
            return;
        }
        std::fs::remove_dir_all(to).unwrap();
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for (path, copy) in files(from, to) {
        if path.is_dir() {
            copy_files(&path, &copy);
        } else {
            // A temporary file may be gone by now.
            let _ = std::fs::copy(&path, &copy);
        }
    }
}

/// Whether a file or folder is there that its copy lacks.
fn has_more(from: &Path, to: &Path) -> bool {
    let lacks = |path: &Path, copy: &Path| path.is_file() && !copy.exists() || path.is_dir() && has_more(path, copy);
    files(from, to).iter().any(|(path, copy)| lacks(path, copy))
}

/// What is copied of a directory, and where to. The database is copied apart; a backup that is being made takes its place of
/// work away when it ends.
fn files(from: &Path, to: &Path) -> Vec<(PathBuf, PathBuf)> {
    let is_apart = |name: &str| name.starts_with("taosync.sqlite") || name.starts_with(".backup-");
    // A folder may be gone by now.
    let entries = std::fs::read_dir(from).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name()).filter(|name| !is_apart(&name.to_string_lossy()));
    names.map(|name| (from.join(&name), to.join(name))).collect()
}

/// The database and its log fit each other when no checkpoint came in between; what maps the log to memory is not on the
/// disk for good and left out.
fn copy_database(from: &Path, to: &Path) {
    let database = from.join("taosync.sqlite");
    if !database.exists() {
        return;
    }
    let log = from.join("taosync.sqlite-wal");
    loop {
        let before = std::fs::read(&database).unwrap();
        let frames = std::fs::read(&log).unwrap_or_default();
        let head = |bytes: &[u8]| bytes.get(..32).map(<[u8]>::to_vec);
        let again = std::fs::read(&log).unwrap_or_default();
        if std::fs::read(&database).unwrap() == before && head(&again) == head(&frames) {
            std::fs::write(to.join("taosync.sqlite"), before).unwrap();
            std::fs::write(to.join("taosync.sqlite-wal"), frames).unwrap();
            return;
        }
    }
}
