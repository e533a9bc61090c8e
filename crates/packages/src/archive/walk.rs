//! The walk over a zip's central directory, entry by entry.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Seek};

use zip::CompressionMethod;
use zip::read::{Config, OwnedZipFileEntry, ZipFileEntry};
use zip::unstable::read::ZipIterable;

use super::members::Listed;
use super::path::{self, folded, folders};
use super::{file_too_large, not_a_zip};
use crate::limits::{self, Limits};
use crate::problem::{Problem, shown};

/// What kind of thing an entry is, by its Unix mode.
const KIND_MASK: u32 = 0o170_000;
const KIND_FILE: u32 = 0o100_000;
const KIND_FOLDER: u32 = 0o040_000;

/// What the directory of a zip lists.
pub(super) struct Directory {
    /// Files by path.
    pub(super) files: BTreeMap<String, OwnedZipFileEntry>,
    /// Files and folders, in the order of the directory.
    pub(super) listed: Vec<Listed>,
}

/// The directory of a zip of `zip_bytes`, or every problem of it.
pub(super) fn directory<R: Read + Seek>(reader: R, zip_bytes: u64, limits: &Limits) -> Result<Directory, Vec<Problem>> {
    let mut directory =
        ZipIterable::try_new(reader, Config::default()).map_err(|e| vec![not_a_zip(&shown(&e.to_string()))])?;
    if directory.len() > limits.entries {
        return Err(vec![too_many(directory.len(), limits)]);
    }
    let mut walk = Walk::new(limits);
    let entries = directory.files().map_err(|e| vec![not_a_zip(&shown(&e.to_string()))])?;
    for entry in entries {
        match entry {
            Ok(entry) => walk.visit(entry),
            Err(error) => walk.problems.push(not_a_zip(&shown(&error.to_string()))),
        }
        if walk.directory_too_large() || walk.problems.len() >= limits::PROBLEMS {
            break;
        }
    }
    walk.finish(zip_bytes)
}

struct Walk<'a> {
    limits: &'a Limits,
    files: BTreeMap<String, OwnedZipFileEntry>,
    listed: Vec<Listed>,
    explicit_folders: BTreeSet<String>,
    /// Folded path of every entry, with the path as written.
    seen: HashMap<String, String>,
    total_bytes: u64,
    directory_start: Option<u64>,
    directory_bytes: u64,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            files: BTreeMap::new(),
            listed: Vec::new(),
            explicit_folders: BTreeSet::new(),
            seen: HashMap::new(),
            total_bytes: 0,
            directory_start: None,
            directory_bytes: 0,
            problems: Vec::new(),
        }
    }

    fn visit(&mut self, entry: ZipFileEntry<'static>) {
        let start = *self.directory_start.get_or_insert(entry.central_header_start());
        self.directory_bytes = entry.central_header_start().saturating_sub(start);
        let name = match entry.name() {
            Ok(name) => name.into_owned(),
            Err(error) => return self.problems.push(not_a_zip(&shown(&error.to_string()))),
        };
        let is_folder = name.ends_with('/');
        let path = name.strip_suffix('/').unwrap_or(&name).to_owned();
        let faults = [self.path_fault(&name, &path), Self::kind_fault(&entry, &path, is_folder)];
        let size_fault = if is_folder { None } else { self.size_fault(&entry, &path) };
        let before = self.problems.len();
        self.problems.extend(faults.into_iter().flatten().chain(size_fault));
        if self.problems.len() > before {
            return;
        }
        self.listed.push(Listed::new(&entry, &path, is_folder));
        if is_folder {
            self.explicit_folders.insert(path);
        } else {
            self.files.insert(path, OwnedZipFileEntry::from(entry));
        }
    }

    fn path_fault(&mut self, name: &str, path: &str) -> Option<Problem> {
        if let Some(fault) = path::fault(path, self.limits) {
            return Some(
                Problem::error("unsafe-path", format!("the path {fault}"))
                    .in_file(name)
                    .advice("rename the file and pack again"),
            );
        }
        let other = self.seen.insert(folded(path), path.to_owned())?;
        if other == path {
            return Some(
                Problem::error("duplicate-path", "the zip holds this path twice")
                    .in_file(path)
                    .advice("keep one of the two"),
            );
        }
        Some(
            Problem::error("case-clash", format!("differs from '{}' only in upper and lower case", shown(&other)))
                .in_file(path)
                .advice("some disks take both for one file: rename one"),
        )
    }

    fn kind_fault(entry: &ZipFileEntry<'_>, path: &str, is_folder: bool) -> Option<Problem> {
        if entry.encrypted() {
            return Some(
                Problem::error("encrypted-entry", "the file is encrypted inside the zip")
                    .in_file(path)
                    .advice("pack without a password; deliveries are encrypted by taosync itself"),
            );
        }
        let kind = entry.unix_mode().unwrap_or(0) & KIND_MASK;
        let expected = if is_folder { KIND_FOLDER } else { KIND_FILE };
        if kind != 0 && kind != expected {
            return Some(
                Problem::error("special-file", "links, devices and other special files are not allowed")
                    .in_file(path)
                    .advice("pack the file itself"),
            );
        }
        let known = matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated);
        (!known && !is_folder).then(|| {
            Problem::error("unknown-compression", format!("compressed with '{}'", entry.compression()))
                .in_file(path)
                .advice("pack with 'store' or 'deflate', as every zip program can")
        })
    }

    fn size_fault(&mut self, entry: &ZipFileEntry<'_>, path: &str) -> Option<Problem> {
        let (bytes, compressed) = (entry.size(), entry.compressed_size());
        self.total_bytes = self.total_bytes.saturating_add(bytes);
        if bytes > self.limits.file_bytes {
            return Some(file_too_large(path, bytes, self.limits.file_bytes));
        }
        self.is_bomb(bytes, compressed).then(|| bomb(bytes, compressed).in_file(path))
    }

    fn is_bomb(&self, bytes: u64, compressed: u64) -> bool {
        bytes > self.limits.ratio_free_bytes && bytes > compressed.saturating_mul(self.limits.ratio)
    }

    fn directory_too_large(&self) -> bool {
        self.directory_bytes > self.limits.directory_bytes
    }

    fn finish(mut self, zip_bytes: u64) -> Result<Directory, Vec<Problem>> {
        if self.directory_too_large() {
            self.problems.push(not_a_zip("the names and comments of its directory are too large"));
        }
        if self.total_bytes > self.limits.total_bytes {
            let message =
                format!("{} bytes unpacked; at most {} are allowed", self.total_bytes, self.limits.total_bytes);
            self.problems
                .push(Problem::error("package-too-large", message).advice("split the test or compress its media"));
        } else if self.is_bomb(self.total_bytes, zip_bytes) {
            // Entries may share compressed bytes, so each can look harmless while the whole is not.
            self.problems.push(bomb(self.total_bytes, zip_bytes));
        }
        self.folder_clashes();
        if self.problems.is_empty() {
            Ok(Directory { files: self.files, listed: self.listed })
        } else {
            Err(self.problems)
        }
    }

    /// A name cannot be a file and a folder at once.
    fn folder_clashes(&mut self) {
        let files: HashMap<String, &String> = self.files.keys().map(|path| (folded(path), path)).collect();
        let below = self.files.keys().chain(&self.explicit_folders);
        let clashes: BTreeSet<&String> =
            below.flat_map(|path| folders(path)).filter_map(|folder| files.get(&folded(folder)).copied()).collect();
        let problems = clashes.into_iter().map(|path| {
            Problem::error("file-and-folder", "the path is a file and a folder at once")
                .in_file(path)
                .advice("rename one")
        });
        self.problems.extend(problems);
    }
}

fn too_many(entries: usize, limits: &Limits) -> Problem {
    Problem::error("too-many-entries", format!("{entries} entries; at most {} are allowed", limits.entries))
        .advice("split the test")
}

fn bomb(bytes: u64, compressed: u64) -> Problem {
    Problem::error("zip-bomb", format!("{compressed} compressed bytes unpack to {bytes}"))
        .advice("no real package compresses so well; ask where it comes from")
}
