//! Reading a backup: every part is hashed while it is written, and nothing counts until the manifest at the end agrees.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use taosync_vault::backup_seal::{self, Opening};

use super::write::Hashed;
use super::{FORMAT, MANIFEST, MAX_MANIFEST, Manifest, Part, is_inside};
use crate::failure::Failure;

/// Where the parts go.
#[derive(Clone, Debug)]
pub enum Into {
    /// Nowhere: the backup is only checked.
    Nothing,
    /// Into this directory; nothing that is there is touched.
    Dir(PathBuf),
}

/// Reads a whole backup and checks every part of it.
pub fn read(file: &Path, opening: &Opening, into: Into) -> Result<Manifest, Failure> {
    let input = File::open(file).map_err(|error| Failure::file("read", file, error))?;
    let opened = backup_seal::open(opening, BufReader::with_capacity(1 << 20, input)).map_err(|_| cannot_open(file))?;
    let mut archive = tar::Archive::new(opened);
    let entries = archive.entries().map_err(|error| damaged(file, &error.to_string()))?;
    let (mut parts, mut manifest) = (Vec::new(), None);
    for entry in entries {
        let mut entry = entry.map_err(|error| damaged(file, &error.to_string()))?;
        let path = entry.path().ok().and_then(|path| path.to_str().map(str::to_owned));
        let path = path.filter(|path| is_inside(path) && manifest.is_none());
        let path = path.ok_or_else(|| damaged(file, "it holds what does not belong into a backup"))?;
        if path == MANIFEST {
            let mut text = Vec::new();
            let read = entry.by_ref().take(MAX_MANIFEST).read_to_end(&mut text);
            read.map_err(|error| damaged(file, &error.to_string()))?;
            let read: Manifest = serde_json::from_slice(&text).map_err(|_| damaged(file, "its manifest is no JSON"))?;
            manifest = Some(read);
        } else {
            parts.push(take(file, &path, &mut entry, &into)?);
        }
    }
    // The end of the archive is not the end of the seal: a cut behind it would go unnoticed.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| damaged(file, &error.to_string()))?;
    let manifest = manifest.ok_or_else(|| damaged(file, "its end is missing"))?;
    if manifest.format != FORMAT {
        let message =
            format!("{} is a backup of form {}, this program knows form {FORMAT}", file.display(), manifest.format);
        return Err(Failure::new("TS-012", message, "restore it with the version of taosync that made it"));
    }
    if manifest.parts != parts {
        return Err(damaged(file, "its parts are not those its manifest names"));
    }
    Ok(manifest)
}

fn take(file: &Path, path: &str, entry: &mut impl Read, into: &Into) -> Result<Part, Failure> {
    let mut hashed = Hashed { inner: entry, hasher: blake3::Hasher::new(), read: 0 };
    match into {
        Into::Nothing => io::copy(&mut hashed, &mut io::sink()).map_err(|error| damaged(file, &error.to_string()))?,
        Into::Dir(dir) => {
            let target = dir.join(path);
            let mut output = create(&target).map_err(|error| Failure::file("write", &target, error))?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                let read = hashed.read(&mut buffer).map_err(|error| damaged(file, &error.to_string()))?;
                if read == 0 {
                    break;
                }
                io::Write::write_all(&mut output, &buffer[..read])
                    .map_err(|error| Failure::file("write", &target, error))?;
            }
            output.sync_all().map_err(|error| Failure::file("write", &target, error))?;
            hashed.read
        }
    };
    let (bytes, hash) = (hashed.read, hashed.hasher.finalize());
    Ok(Part { path: path.to_owned(), bytes, blake3: hash.to_hex().to_string() })
}

fn create(target: &Path) -> io::Result<File> {
    if let Some(parent) = target.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)
}

fn cannot_open(file: &Path) -> Failure {
    let message =
        format!("{} cannot be opened: it is no backup, or sealed with another passphrase or key", file.display());
    Failure::new("TS-012", message, "give the passphrase it was made with; nothing was changed")
}

fn damaged(file: &Path, why: &str) -> Failure {
    let message = format!("the backup {} is damaged: {why}", file.display());
    Failure::new("TS-013", message, "nothing was changed; take another copy of it, or an older backup")
}
