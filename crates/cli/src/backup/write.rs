//! Writing a backup: files go through the seal one after the other, and are hashed on their way.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::path::PathBuf;

use taosync_vault::backup_seal::{self, Seal};

use super::{MANIFEST, Manifest, Part};
use crate::failure::Failure;

/// A file to be put in.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path in the backup.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Writes a backup to its end and to the disk; the manifest comes back with every part. Memory is bounded by one buffer.
pub fn write(output: File, seal: &Seal, manifest: Manifest, sources: &[Source]) -> Result<Manifest, Failure> {
    let sealed = backup_seal::seal(seal, BufWriter::with_capacity(1 << 20, output))?;
    let mut archive = tar::Builder::new(sealed);
    let mut manifest = manifest;
    for source in sources {
        manifest.parts.push(append(&mut archive, source)?);
    }
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| Failure::new("TS-900", "the manifest of the backup makes no JSON", "").because(error))?;
    let ended = archive
        .append_data(&mut head(text.len() as u64), MANIFEST, text.as_slice())
        .and_then(|()| archive.into_inner())
        .and_then(backup_seal::SealedWriter::finish)
        .and_then(|mut output| output.flush().map(|()| output))
        .and_then(|output| output.into_inner().map_err(io::IntoInnerError::into_error))
        .and_then(|output| output.sync_all());
    ended.map_err(cannot_write)?;
    Ok(manifest)
}

fn append<W: io::Write>(archive: &mut tar::Builder<W>, source: &Source) -> Result<Part, Failure> {
    let failed = |error| Failure::file("read", &source.path, error);
    let file = File::open(&source.path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    // A file that grows meanwhile is taken as long as it was.
    let mut hashed = Hashed { inner: file.take(bytes), hasher: blake3::Hasher::new(), read: 0 };
    archive.append_data(&mut head(bytes), &source.name, &mut hashed).map_err(cannot_write)?;
    if hashed.read != bytes {
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Part { path: source.name.clone(), bytes, blake3: hashed.hasher.finalize().to_hex().to_string() })
}

fn head(bytes: u64) -> tar::Header {
    let mut head = tar::Header::new_gnu();
    head.set_size(bytes);
    head.set_mode(0o600);
    head
}

fn cannot_write(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::StorageFull {
        return Failure::new(
            "TS-101",
            "the disk is full: no backup was made",
            "make room, or write it to another disk",
        );
    }
    Failure::new("TS-008", "the backup cannot be written", "check the disk it goes to").because(error)
}

/// Hashes what is read.
pub struct Hashed<R> {
    /// Where it comes from.
    pub inner: R,
    /// The hash so far.
    pub hasher: blake3::Hasher,
    /// Bytes so far.
    pub read: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
}
