//! From a recipe and the files to the zip. A recipe comes from outside too: it can make no more bytes than it says, and
//! what it makes is compared with the digest of the zip that was published.

use std::io::{self, Write};

use taosync_model::Digest;

use super::form::{Around, Behind, Blob, Body, End, Entry};
use super::headers::end_record;
use super::{NAME, Recipe, damaged};
use crate::PackageError;
use crate::deflate::{DeflateError, Replay, Work};
use crate::limits::{Limits, SCRIPT_BYTES};
use crate::tree::{ChunkFetch, ChunkRef, Tree, open_piece, stream_file};

/// Writes the zip. What was written is right only when this returned `Ok`.
pub fn rebuild(recipe: &Recipe, tree: &Tree, fetch: &ChunkFetch<'_>, out: &mut dyn Write) -> Result<(), PackageError> {
    if recipe.bytes > Limits::default().zip_bytes() {
        return Err(damaged("it says that the zip is larger than any may be"));
    }
    let Some((last, pages)) = recipe.pages.split_last() else { return Err(damaged("it has no pages")) };
    let around = Around::of_page(&open_piece(NAME, last, fetch)?)?;
    let out = Counted { out, hasher: blake3::Hasher::new(), written: 0, most: recipe.bytes };
    let mut builder = Builder { tree, fetch, out, work: Work::of_a_package(), headers: Vec::new() };
    builder.blob(&around.before)?;
    for page in pages {
        for entry in Entry::all(&open_piece(NAME, page, fetch)?)? {
            builder.entry(&entry)?;
        }
    }
    builder.end(&around)?;
    let mut out = builder.out;
    out.flush().map_err(written)?;
    let digest = Digest(*out.hasher.finalize().as_bytes());
    if out.written == recipe.bytes && digest == recipe.digest {
        Ok(())
    } else {
        Err(damaged("it does not give the zip that was published"))
    }
}

/// The chunks of bytes that nothing but the recipe tells. The pages must be here.
pub fn own_chunks(recipe: &Recipe, fetch: &ChunkFetch<'_>) -> Result<Vec<ChunkRef>, PackageError> {
    let Some((last, pages)) = recipe.pages.split_last() else { return Err(damaged("it has no pages")) };
    let mut chunks: Vec<ChunkRef> = Around::of_page(&open_piece(NAME, last, fetch)?)?.chunks().cloned().collect();
    for page in pages {
        for entry in Entry::all(&open_piece(NAME, page, fetch)?)? {
            chunks.extend(entry.chunks().cloned());
        }
    }
    if chunks.iter().all(ChunkRef::is_possible) {
        Ok(chunks)
    } else {
        Err(damaged("it has a part of an impossible size"))
    }
}

struct Builder<'a> {
    tree: &'a Tree,
    fetch: &'a ChunkFetch<'a>,
    out: Counted<'a>,
    work: Work,
    /// Headers of the directory, in the order of the entries.
    headers: Vec<Vec<u8>>,
}

impl Builder<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), PackageError> {
        let file = self.tree.file(&entry.path);
        if file.is_none() && !entry.path.is_empty() {
            return Err(damaged("it names a file that the package does not have"));
        }
        let plain = file.map_or(0, |file| file.bytes);
        self.headers.push(entry.central_header(plain, self.out.written));
        self.write(&entry.local_header(plain))?;
        match (&entry.body, file) {
            (Body::Bytes(blob), _) => self.blob(blob)?,
            (Body::File, Some(file)) => {
                let out = &mut self.out;
                stream_file(file, self.fetch, &mut |piece| out.write_all(piece).map_err(written))?;
            }
            (Body::Script(script), Some(file)) => {
                let script = self.whole(script)?;
                let (out, work) = (&mut self.out, &mut self.work);
                let mut replay = Replay::new(&script, file.bytes, out).map_err(unplayable)?;
                stream_file(file, self.fetch, &mut |piece| replay.push(piece, work).map_err(unplayable))?;
                replay.finish(work).map_err(unplayable)?;
            }
            (Body::File | Body::Script(_), None) => return Err(damaged("it packs a file that has no name")),
        }
        match &entry.behind {
            Behind::Signed => self.write(&entry.signed_descriptor(plain)),
            Behind::Unsigned => self.write(&entry.descriptor(plain)),
            Behind::Bytes(blob) => self.blob(blob),
        }
    }

    fn end(&mut self, around: &Around) -> Result<(), PackageError> {
        let (start, headers) = (self.out.written, std::mem::take(&mut self.headers));
        let usual: Vec<usize> = (0..headers.len()).collect();
        for at in around.order.as_ref().unwrap_or(&usual) {
            self.write(headers.get(*at).ok_or_else(|| damaged("its directory has an entry that is not there"))?)?;
        }
        match &around.end {
            End::Record(comment) => self.write(&end_record(headers.len(), start, self.out.written - start, comment)),
            End::Bytes(blob) => self.blob(blob),
        }
    }

    fn blob(&mut self, blob: &Blob) -> Result<(), PackageError> {
        if let Blob::Here(bytes) = blob {
            return self.write(bytes);
        }
        for chunk in blob.chunks() {
            let piece = open_piece(NAME, chunk, self.fetch)?;
            self.write(&piece)?;
        }
        Ok(())
    }

    /// A script, whole in memory.
    fn whole(&self, blob: &Blob) -> Result<Vec<u8>, PackageError> {
        if let Blob::Here(bytes) = blob {
            return Ok(bytes.clone());
        }
        let bytes = blob.chunks().iter().fold(0, |sum: u64, chunk| sum.saturating_add(chunk.plain_bytes));
        if bytes > SCRIPT_BYTES as u64 {
            return Err(damaged("it has a very long script"));
        }
        let pieces = blob.chunks().iter().map(|chunk| open_piece(NAME, chunk, self.fetch));
        Ok(pieces.collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PackageError> {
        self.out.write_all(bytes).map_err(written)
    }
}

/// Counts and hashes on the way, and takes no more than was announced.
struct Counted<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
    written: u64,
    most: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.most - self.written {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more than the zip had"));
        }
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn written(source: io::Error) -> PackageError {
    PackageError::Zip { act: "written", source }
}

fn unplayable(error: DeflateError) -> PackageError {
    match error {
        DeflateError::Unfit(why) => damaged(why),
        DeflateError::Io(source) => written(source),
    }
}
