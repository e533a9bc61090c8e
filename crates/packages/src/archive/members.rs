//! Where the entries of a zip lie in its bytes. Two that overlap are two readings of the same bytes: no program packs
//! so, and what unpacks to more than it holds does.

use std::fs::File;
use std::os::unix::fs::FileExt;

use zip::read::ZipFileEntry;

use super::damaged;
use crate::problem::{Problem, shown};

/// Bytes of a local header before name and extra field (APPNOTE §4.3.7).
pub(crate) const LOCAL_BYTES: u64 = 30;
pub(crate) const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";

/// An entry as the central directory gives it.
#[derive(Debug)]
pub(super) struct Listed {
    path: String,
    is_folder: bool,
    central: u64,
    local: u64,
    compressed: u64,
}

impl Listed {
    pub(super) fn new(entry: &ZipFileEntry<'_>, path: &str, is_folder: bool) -> Self {
        let (central, local, compressed) =
            (entry.central_header_start(), entry.header_start(), entry.compressed_size());
        Self { path: path.to_owned(), is_folder, central, local, compressed }
    }
}

/// Where an entry lies. Offsets are from the start of the zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Path of a file; none for a folder.
    pub(crate) path: Option<String>,
    /// Its header in the central directory.
    pub(crate) central: u64,
    /// Its own header.
    pub(crate) local: u64,
    /// First byte of its content.
    pub(crate) data: u64,
    /// Byte after its content.
    pub(crate) end: u64,
}

/// The places of all entries, in the order of the zip's bytes. Errors: those that are not there, and those that overlap
/// each other or the central directory.
pub(super) fn locate(file: &File, listed: Vec<Listed>) -> Result<Vec<Member>, Vec<Problem>> {
    let directory = listed.iter().map(|entry| entry.central).min().unwrap_or(0);
    let (mut members, mut problems) = (Vec::new(), Vec::new());
    for entry in listed {
        match member(file, &entry) {
            Some(member) if member.end <= directory => members.push((member, entry.path)),
            Some(_) => problems.push(overlapping(&entry.path, "the zip's own directory")),
            None => problems.push(damaged(&entry.path, "its header is not where the zip's directory says")),
        }
    }
    members.sort_by_key(|(member, _)| member.local);
    for pair in members.windows(2).filter(|pair| pair[0].0.end > pair[1].0.local) {
        problems.push(overlapping(&pair[1].1, &format!("'{}'", shown(&pair[0].1))));
    }
    if problems.is_empty() { Ok(members.into_iter().map(|(member, _)| member).collect()) } else { Err(problems) }
}

fn member(file: &File, entry: &Listed) -> Option<Member> {
    let mut header = [0; LOCAL_BYTES as usize];
    file.read_exact_at(&mut header, entry.local).ok()?;
    if header[..4] != LOCAL_SIGNATURE {
        return None;
    }
    let [.., name_low, name_high, extra_low, extra_high] = header;
    let names = u64::from(u16::from_le_bytes([name_low, name_high]));
    let data = entry.local + LOCAL_BYTES + names + u64::from(u16::from_le_bytes([extra_low, extra_high]));
    let end = data.checked_add(entry.compressed)?;
    let path = (!entry.is_folder).then(|| entry.path.clone());
    Some(Member { path, central: entry.central, local: entry.local, data, end })
}

fn overlapping(path: &str, other: &str) -> Problem {
    Problem::error("overlapping-entries", format!("shares bytes of the zip with {other}"))
        .in_file(path)
        .advice("export the package again; a zip made so is either damaged or hostile")
}
