//! Files of keys: written whole or not at all, readable by their owner only, refused when they are not.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::{VaultError, random};

/// A key file is far smaller; what is larger is not one.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Makes a directory (0700) whose content appears all at once: `write` fills a new one beside it, which is renamed.
pub fn create_dir(dir: &Path, write: impl FnOnce(&Path) -> Result<(), VaultError>) -> Result<(), VaultError> {
    if dir.symlink_metadata().is_ok() {
        return Err(VaultError::Exists { path: dir.to_owned() });
    }
    let fresh = beside(dir);
    DirBuilder::new().mode(0o700).create(&fresh).map_err(failed("create", &fresh))?;
    let renamed = write(&fresh).and_then(|()| fs::rename(&fresh, dir).map_err(failed("create", dir)));
    if renamed.is_err() {
        // The first error is the one worth telling; a left-over holds keys that were never used.
        let _ = fs::remove_dir_all(&fresh);
    }
    renamed?;
    sync_dir(parent(dir))
}

/// Writes a file (0600) under a temporary name, syncs it to disk, renames it, and syncs the directory.
pub fn write(path: &Path, content: &[u8]) -> Result<(), VaultError> {
    let fresh = beside(path);
    let written = write_new(&fresh, content).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // The first error is the one worth telling.
        let _ = fs::remove_file(&fresh);
    }
    written.map_err(failed("write", path))?;
    sync_dir(parent(path))
}

/// Reads a file of keys as text; refuses one that others could read.
pub fn read(path: &Path) -> Result<Zeroizing<String>, VaultError> {
    let file = File::open(path).map_err(failed("read", path))?;
    let metadata = file.metadata().map_err(failed("read", path))?;
    check_mode(path, &metadata, 0o600)?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(VaultError::BadKeyFile { path: path.to_owned(), problem: "it is larger than a key file can be" });
    }
    let mut text = Zeroizing::new(String::with_capacity(metadata.len() as usize + 1));
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed("read", path))?;
    Ok(text)
}

/// Refuses a directory that others could read or change, or that holds such a file.
pub fn check_dir(dir: &Path) -> Result<(), VaultError> {
    check_mode(dir, &fs::metadata(dir).map_err(failed("read", dir))?, 0o700)?;
    for entry in fs::read_dir(dir).map_err(failed("read", dir))? {
        let path = entry.map_err(failed("read", dir))?.path();
        let metadata = match fs::metadata(&path) {
            // A temporary name of a write that just ended elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.map_err(failed("read", &path))?,
        };
        check_mode(&path, &metadata, if metadata.is_dir() { 0o700 } else { 0o600 })?;
    }
    Ok(())
}

/// A 32-byte key as the text of its file.
pub fn key_to_text(key: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", *Zeroizing::new(URL_SAFE_NO_PAD.encode(key))))
}

/// Reads a 32-byte key from the text of its file.
pub fn key_from_text(path: &Path, text: &str) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let mut key = Zeroizing::new([0; 32]);
    match URL_SAFE_NO_PAD.decode_slice(text.trim_ascii(), key.as_mut_slice()) {
        Ok(32) => Ok(key),
        _ => Err(VaultError::BadKeyFile { path: path.to_owned(), problem: "expected 43 characters of base64url" }),
    }
}

fn check_mode(path: &Path, metadata: &fs::Metadata, wanted: u32) -> Result<(), VaultError> {
    let mode = metadata.permissions().mode() & 0o7777;
    let of_others = mode & 0o077;
    if of_others == 0 { Ok(()) } else { Err(VaultError::TooOpen { path: path.to_owned(), mode, wanted }) }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> Result<(), VaultError> {
    File::open(dir).and_then(|opened| opened.sync_all()).map_err(failed("sync", dir))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.{}", random::uuid().simple()))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::Io { doing, path, source }
}
