//! Opening a zip from outside: its directory is walked with limits, nothing is ever written to disk, and what an
//! entry really holds is measured while it is read, because declared sizes lie.

pub(crate) mod members;
pub mod pack;
pub(crate) mod path;
mod positioned;
mod walk;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::OnceLock;

use taosync_model::Digest;
use zip::ZipReadOptions;
use zip::read::OwnedZipFileEntry;

use crate::PackageError;
use crate::compile::document::FileFacts;
use crate::limits::Limits;
use crate::problem::Problem;
use members::Member;
use positioned::Positioned;

/// A zip whose directory obeys the limits. Files are read one by one, from as many threads as wanted.
pub struct Archive {
    file: File,
    bytes: u64,
    files: BTreeMap<String, ZippedFile>,
    members: Vec<Member>,
}

/// A file of the zip, with its digest once somebody has read it whole.
struct ZippedFile {
    entry: OwnedZipFileEntry,
    digest: OnceLock<Digest>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("bytes", &self.bytes).field("files", &self.files.len()).finish_non_exhaustive()
    }
}

/// One file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path in the package, `/` between names.
    pub path: &'a str,
    /// Plain bytes as declared; reading fails when they are not the real ones.
    pub bytes: u64,
}

impl Archive {
    /// Opens a zip and checks its directory. Errors: every problem found in it (bounded).
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, Vec<Problem>> {
        let file = File::open(path).map_err(|e| vec![unreadable(&e)])?;
        let bytes = file.metadata().map_err(|e| vec![unreadable(&e)])?.len();
        if bytes == 0 {
            return Err(vec![not_a_zip("it is empty")]);
        }
        if bytes > limits.zip_bytes() {
            return Err(vec![zip_too_large(bytes, limits)]);
        }
        let directory = walk::directory(BufReader::new(Positioned::new(&file, bytes)), bytes, limits)?;
        let members = members::locate(&file, directory.listed)?;
        let files =
            directory.files.into_iter().map(|(path, entry)| (path, ZippedFile { entry, digest: OnceLock::new() }));
        Ok(Self { file, bytes, files: files.collect(), members })
    }

    /// Bytes of the zip itself.
    pub(crate) fn zip_bytes(&self) -> u64 {
        self.bytes
    }

    /// Where files and folders lie, in the order of the zip's bytes.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// A part of the zip itself, up to the byte before `end`.
    pub(crate) fn raw(&self, start: u64, end: u64) -> impl Read + use<'_> {
        Positioned::at(&self.file, self.bytes, start).take(end.saturating_sub(start))
    }

    /// The files, sorted by path. Folders are not listed: a package has none beyond those its paths name.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.files.iter().map(|(path, file)| Entry { path, bytes: file.entry.size() })
    }

    /// Whether the archive holds a file.
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Reads a whole file of at most `max` bytes into memory.
    pub fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, Box<Problem>> {
        let entry = &self.files.get(path).ok_or_else(|| Box::new(missing(path)))?.entry;
        if entry.size() > max {
            return Err(Box::new(file_too_large(path, entry.size(), max)));
        }
        let mut bytes = Vec::new();
        self.stream(path, usize::try_from(max).unwrap_or(usize::MAX), &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, Box<Problem>>(())
        })?;
        Ok(bytes)
    }

    /// Reads a file in pieces of exactly `piece_bytes` (the last one shorter; none for an empty file), so that no
    /// large file is ever whole in memory. The checksum is known to be right only after this returned `Ok`.
    pub fn stream<E: From<Box<Problem>>>(
        &self,
        path: &str,
        piece_bytes: usize,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let entry = &self.files.get(path).ok_or_else(|| Box::new(missing(path)))?.entry;
        let declared = entry.size();
        let mut source = BufReader::new(Positioned::new(&self.file, self.bytes));
        let mut plain = entry
            .as_ref()
            .with_reader(&mut source, ZipReadOptions::new())
            .map_err(|e| Box::new(damaged(path, &e.to_string())))?
            .take(declared.saturating_add(1));
        let mut total = 0u64;
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let read = (&mut plain).take(piece_bytes as u64).read_to_end(&mut piece);
            read.map_err(|e| Box::new(damaged(path, &e.to_string())))?;
            total += piece.len() as u64;
            if total > declared || (piece.is_empty() && total < declared) {
                return Err(Box::new(lying(path, declared)).into());
            }
            if piece.is_empty() {
                return Ok(());
            }
            sink(&piece)?;
        }
    }

    /// Reads every byte of a file, once however often it is asked for: finds damage before anybody relies on the file.
    pub(crate) fn verify(&self, path: &str) -> Result<Digest, Box<Problem>> {
        const PIECE: usize = 256 * 1024;
        let file = self.files.get(path).ok_or_else(|| Box::new(missing(path)))?;
        if let Some(digest) = file.digest.get() {
            return Ok(*digest);
        }
        let mut hasher = blake3::Hasher::new();
        self.stream(path, PIECE, &mut |piece| {
            hasher.update(piece);
            Ok::<_, Box<Problem>>(())
        })?;
        Ok(*file.digest.get_or_init(|| Digest(*hasher.finalize().as_bytes())))
    }
}

pub(crate) fn file_too_large(path: &str, bytes: u64, most: u64) -> Problem {
    Problem::error("file-too-large", format!("{bytes} bytes; at most {most} are allowed"))
        .in_file(path)
        .advice("make the file smaller or split it")
}

fn zip_too_large(bytes: u64, limits: &Limits) -> Problem {
    Problem::error("package-too-large", format!("{bytes} bytes of zip; at most {} are allowed", limits.zip_bytes()))
        .advice("split the test or compress its media")
}

fn unreadable(error: &std::io::Error) -> Problem {
    Problem::error("unreadable", format!("the package cannot be opened: {error}")).advice("check path and permissions")
}

fn not_a_zip(why: &str) -> Problem {
    Problem::error("not-a-zip", format!("the package is not a readable zip: {why}"))
        .advice("export it again; if it was downloaded, download it again")
}

fn missing(path: &str) -> Problem {
    Problem::error("missing-file", "the file is not in the package").in_file(path).advice("add the file to the zip")
}

fn damaged(path: &str, why: &str) -> Problem {
    Problem::error("damaged-entry", format!("the file cannot be read from the zip: {}", crate::problem::shown(why)))
        .in_file(path)
        .advice("export the package again")
}

fn lying(path: &str, declared: u64) -> Problem {
    Problem::error("lying-size", format!("the file does not have the {declared} bytes the zip declares"))
        .in_file(path)
        .advice("export the package again; a zip made so is either damaged or hostile")
}

impl crate::compile::Source for Archive {
    fn paths(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    fn contains(&self, path: &str) -> bool {
        Archive::contains(self, path)
    }

    fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, PackageError> {
        Archive::read(self, path, max).map_err(PackageError::from)
    }

    fn facts(&self, path: &str) -> Result<FileFacts, PackageError> {
        let file = self.files.get(path).ok_or_else(|| PackageError::NoSuchFile(path.to_owned()))?;
        Ok(FileFacts { bytes: file.entry.size(), digest: self.verify(path)? })
    }
}
