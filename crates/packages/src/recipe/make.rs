//! From a zip to its recipe. Whatever is not understood is kept as it is, so every zip has one.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use taosync_model::Digest;
use taosync_vault::chunk::ChunkSecret;

use super::form::{Around, Behind, Blob, Body, End, Entry};
use super::headers::{central_length, comment, end_record};
use super::{AROUND_BYTES, FILE_BYTES, PAGE_BYTES, Recipe};
use crate::PackageError;
use crate::archive::Archive;
use crate::archive::members::Member;
use crate::deflate::{Replay, Work, record};
use crate::limits;
use crate::tree::{self, CHUNK_BYTES, ChunkRef, ChunkSink, Tree};

/// A directory that is longer, with what is behind it, is not taken apart.
const DIRECTORY_BYTES: u64 = 64 * 1024 * 1024;

/// A recipe with all chunks it needs.
#[derive(Debug)]
pub struct Made {
    /// The recipe.
    pub recipe: Recipe,
    /// Its pages, and chunks of bytes that nothing else tells.
    pub chunks: Vec<ChunkRef>,
}

/// Makes the recipe of a zip whose files are in `tree`, and hands every sealed chunk of it to `sink`. Blocking: unpacks
/// and packs every compressed file once more.
pub fn make(
    archive: &Archive,
    tree: &Tree,
    secret: &ChunkSecret,
    sink: &mut ChunkSink<'_>,
) -> Result<Made, PackageError> {
    let mut kitchen =
        Kitchen { archive, tree, secret, sink, work: Work::of_a_package(), settings: 0, chunks: Vec::new() };
    let digest = kitchen.digest()?;
    let (entries, around) = match kitchen.understood()? {
        Some(understood) => understood,
        None => {
            let before = kitchen.blob(0, archive.zip_bytes(), AROUND_BYTES)?;
            (Vec::new(), Around { before, order: None, end: End::Bytes(Blob::Here(Vec::new())) })
        }
    };
    let pages = kitchen.pages(&entries, &around)?;
    let recipe = Recipe { bytes: archive.zip_bytes(), digest, pages };
    Ok(Made { recipe, chunks: kitchen.chunks })
}

struct Kitchen<'a, 's> {
    archive: &'a Archive,
    tree: &'a Tree,
    secret: &'a ChunkSecret,
    sink: &'a mut ChunkSink<'s>,
    work: Work,
    /// Those that fitted the last file: one program packs all files of a zip.
    settings: u8,
    chunks: Vec<ChunkRef>,
}

impl Kitchen<'_, '_> {
    /// Entries and what is around them; `None` for a zip whose parts are not where they usually are.
    fn understood(&mut self) -> Result<Option<(Vec<Entry>, Around)>, PackageError> {
        let members = self.archive.members();
        let Some(first) = members.first() else { return Ok(None) };
        let start = members.iter().map(|member| member.central).min().unwrap_or(first.central);
        if self.archive.zip_bytes() - start > DIRECTORY_BYTES {
            return Ok(None);
        }
        let directory = self.bytes(start, self.archive.zip_bytes())?;
        let Some((listed, rest)) = listed(&directory, start) else { return Ok(None) };
        let headers: HashMap<u64, &[u8]> = listed.iter().copied().collect();
        let mut entries = Vec::new();
        for (at, member) in members.iter().enumerate() {
            let next = members.get(at + 1).map_or(start, |next| next.local);
            let Some(central) = headers.get(&member.central) else { return Ok(None) };
            let Some(entry) = self.entry(member, central, next)? else { return Ok(None) };
            entries.push(entry);
        }
        let Some(order) = order(members, &listed) else { return Ok(None) };
        let before = self.blob(0, first.local, AROUND_BYTES)?;
        let end_start = self.archive.zip_bytes() - rest.len() as u64;
        let record = end_record(listed.len(), start, end_start - start, comment(rest));
        let end = if record == rest {
            End::Record(comment(rest).to_vec())
        } else {
            End::Bytes(self.blob(end_start, self.archive.zip_bytes(), AROUND_BYTES)?)
        };
        Ok(Some((entries, Around { before, order, end })))
    }

    /// One entry, up to the next header at `next`. `None` when its headers do not come out again as they are.
    fn entry(&mut self, member: &Member, central: &[u8], next: u64) -> Result<Option<Entry>, PackageError> {
        let local = self.bytes(member.local, member.data)?;
        let file = member.path.as_deref().and_then(|path| self.tree.file(path));
        let (path, plain) = file.map_or(("", 0), |file| (file.path.as_str(), file.bytes));
        let Some(mut entry) = Entry::of_headers(&local, central, path, member.local, plain) else { return Ok(None) };
        if entry.local_header(plain) != local
            || entry.central_header(plain, member.local) != central
            || u64::from(entry.compressed) != member.end - member.data
        {
            return Ok(None);
        }
        entry.body = self.body(&entry, member)?;
        entry.behind = self.behind(&entry, plain, member.end, next)?;
        Ok(Some(entry))
    }

    fn body(&mut self, entry: &Entry, member: &Member) -> Result<Body, PackageError> {
        let Some(file) = self.tree.file(&entry.path) else {
            return Ok(Body::Bytes(self.blob(member.data, member.end, FILE_BYTES)?));
        };
        let (digest, bytes) = (file.digest, file.bytes);
        if entry.is_deflated() {
            if let Some(script) = self.script(member, digest, bytes)? {
                return Ok(Body::Script(script));
            }
        } else if bytes == member.end - member.data && self.digest_of(member.data, member.end)? == digest {
            return Ok(Body::File);
        }
        Ok(Body::Bytes(self.blob(member.data, member.end, FILE_BYTES)?))
    }

    /// The script of a compressed file, when it is worth having and was seen to work.
    fn script(&mut self, member: &Member, text: Digest, bytes: u64) -> Result<Option<Blob>, PackageError> {
        let compressed = usize::try_from(member.end - member.data).unwrap_or(usize::MAX);
        let worth = (compressed / 2).min(limits::SCRIPT_BYTES);
        let stream = self.archive.raw(member.data, member.end);
        let Ok(recorded) = record(stream, worth, self.settings, &mut self.work) else { return Ok(None) };
        let comes_back = recorded.text == text && self.comes_back(member, bytes, &recorded.script)?;
        if !comes_back {
            return Ok(None);
        }
        self.settings = recorded.script.first().copied().unwrap_or(0);
        Ok(Some(self.kept(recorded.script)?))
    }

    /// Plays a script and compares every byte: what is promised here is needed when the zip is gone.
    fn comes_back(&mut self, member: &Member, bytes: u64, script: &[u8]) -> Result<bool, PackageError> {
        let Some(path) = &member.path else { return Ok(false) };
        let mut expected = Expected(self.archive.raw(member.data, member.end));
        let Ok(mut replay) = Replay::new(script, bytes, &mut expected) else { return Ok(false) };
        let (mut fits, work) = (true, &mut self.work);
        self.archive.stream(path, CHUNK_BYTES, &mut |piece| {
            fits = fits && replay.push(piece, work).is_ok();
            Ok::<_, PackageError>(())
        })?;
        Ok(fits && replay.finish(work).is_ok() && expected.is_at_end()?)
    }

    fn behind(&mut self, entry: &Entry, plain: u64, from: u64, to: u64) -> Result<Behind, PackageError> {
        if entry.has_descriptor() && to - from <= 16 {
            let bytes = self.bytes(from, to)?;
            if bytes == entry.signed_descriptor(plain) {
                return Ok(Behind::Signed);
            }
            if bytes == entry.descriptor(plain) {
                return Ok(Behind::Unsigned);
            }
        }
        Ok(Behind::Bytes(self.blob(from, to, FILE_BYTES)?))
    }

    fn pages(&mut self, entries: &[Entry], around: &Around) -> Result<Vec<ChunkRef>, PackageError> {
        let (mut pages, mut page, mut files) = (Vec::new(), Vec::new(), 0);
        for entry in entries {
            entry.put(&mut page)?;
            files += 1;
            if page.len() >= PAGE_BYTES || tree::ends_page(files, &entry.path) {
                pages.push(self.chunk(&page)?);
                page.clear();
                files = 0;
            }
        }
        if !page.is_empty() {
            pages.push(self.chunk(&page)?);
        }
        pages.push(self.chunk(&around.to_page()?)?);
        Ok(pages)
    }

    /// A part of the zip, in chunks when it is longer than `here` bytes.
    fn blob(&mut self, start: u64, end: u64, here: u64) -> Result<Blob, PackageError> {
        if end - start <= here {
            return Ok(Blob::Here(self.bytes(start, end)?));
        }
        let (mut source, mut chunks) = (self.archive.raw(start, end), Vec::new());
        loop {
            let mut piece = Vec::new();
            (&mut source).take(CHUNK_BYTES as u64).read_to_end(&mut piece).map_err(unreadable)?;
            if piece.is_empty() {
                return Ok(Blob::Chunks(chunks));
            }
            let chunk = tree::chunk(&piece, self.secret, self.sink)?;
            self.chunks.push(chunk.clone());
            chunks.push(chunk);
        }
    }

    /// What was made for one file, in chunks unless it is little.
    fn kept(&mut self, bytes: Vec<u8>) -> Result<Blob, PackageError> {
        if bytes.len() as u64 <= FILE_BYTES {
            return Ok(Blob::Here(bytes));
        }
        Ok(Blob::Chunks(bytes.chunks(CHUNK_BYTES).map(|piece| self.chunk(piece)).collect::<Result<_, _>>()?))
    }

    fn chunk(&mut self, bytes: &[u8]) -> Result<ChunkRef, PackageError> {
        let chunk = tree::chunk(bytes, self.secret, self.sink)?;
        self.chunks.push(chunk.clone());
        Ok(chunk)
    }

    fn digest(&self) -> Result<Digest, PackageError> {
        self.digest_of(0, self.archive.zip_bytes())
    }

    fn digest_of(&self, start: u64, end: u64) -> Result<Digest, PackageError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(self.archive.raw(start, end)).map_err(unreadable)?;
        Ok(Digest(*hasher.finalize().as_bytes()))
    }

    fn bytes(&self, start: u64, end: u64) -> Result<Vec<u8>, PackageError> {
        let mut bytes = Vec::new();
        self.archive.raw(start, end).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

/// The headers of a directory with their places, and what is behind the last.
fn listed(directory: &[u8], start: u64) -> Option<(Vec<(u64, &[u8])>, &[u8])> {
    let (mut headers, mut rest, mut at) = (Vec::new(), directory, start);
    while let Some(length) = central_length(rest) {
        let (header, behind) = rest.split_at(length);
        headers.push((at, header));
        at += length as u64;
        rest = behind;
    }
    u16::try_from(headers.len()).is_ok().then_some((headers, rest))
}

/// Which entry each header of the directory is of, where that is not the order of the entries. The outer `None`: some
/// header is of no entry.
#[expect(clippy::option_option, reason = "no order at all, and the usual one")]
fn order(members: &[Member], listed: &[(u64, &[u8])]) -> Option<Option<Vec<usize>>> {
    let by_place: HashMap<u64, usize> = members.iter().enumerate().map(|(at, member)| (member.central, at)).collect();
    let order: Vec<usize> = listed.iter().map(|(place, _)| by_place.get(place).copied()).collect::<Option<_>>()?;
    let is_usual = order.len() == members.len() && order.iter().enumerate().all(|(at, entry)| at == *entry);
    (order.len() == members.len()).then_some((!is_usual).then_some(order))
}

fn unreadable(source: io::Error) -> PackageError {
    PackageError::Zip { act: "read", source }
}

/// Takes what should be the bytes of a file, and refuses the first other one.
struct Expected<R>(R);

impl<R: Read> Write for Expected<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut expected = Vec::new();
        (&mut self.0).take(bytes.len() as u64).read_to_end(&mut expected)?;
        if expected == bytes { Ok(bytes.len()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Read> Expected<R> {
    fn is_at_end(&mut self) -> Result<bool, PackageError> {
        Ok((&mut self.0).take(1).read_to_end(&mut Vec::new()).map_err(unreadable)? == 0)
    }
}
