//! Where a chunk is: in a file of its own, or in packs. A damaged copy hides no good one: all places are tried.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use taosync_model::Digest;

use super::{Blobs, failed};
use crate::StoreError;

/// Where the bytes of a chunk may be.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub path: PathBuf,
    /// Offset and bytes in a pack; `None` for a file that is the chunk.
    pub span: Option<(u64, u64)>,
}

/// A file that holds a chunk.
pub(super) struct Opened {
    file: File,
    start: u64,
    pub bytes: u64,
}

impl Place {
    pub fn open(&self) -> io::Result<Opened> {
        let file = File::open(&self.path)?;
        let (start, bytes) = match self.span {
            Some(span) => span,
            None => (0, file.metadata()?.len()),
        };
        Ok(Opened { file, start, bytes })
    }
}

impl Opened {
    /// Reads up to `length` bytes from an offset in the chunk; fewer only at its end, or where a file was cut short.
    pub fn read(mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = length.min(self.bytes.saturating_sub(offset));
        if self.start + offset > 0 {
            self.file.seek(SeekFrom::Start(self.start + offset))?;
        }
        let mut read = Vec::with_capacity(length as usize);
        self.file.take(length).read_to_end(&mut read)?;
        Ok(read)
    }

    pub fn read_all(self) -> io::Result<Vec<u8>> {
        let bytes = self.bytes;
        self.read(0, bytes)
    }
}

impl Blobs {
    /// Tries the places where a chunk may be until one gives what is looked for. `None` when none does.
    pub(super) fn find<T>(
        &self,
        name: Digest,
        mut look: impl FnMut(Opened) -> io::Result<Option<T>>,
    ) -> Result<Option<T>, StoreError> {
        let mut try_at = |place: &Place| match place.open().and_then(&mut look) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map_err(|e| failed("read", &place.path, e)),
        };
        let single = self.paths(name).map(|path| Place { path, span: None });
        for place in self.packed_places(name).iter().chain(&single) {
            if let Some(found) = try_at(place)? {
                return Ok(Some(found));
            }
        }
        // Another process may have brought or rewritten packs meanwhile.
        self.packs_look()?;
        for place in self.packed_places(name) {
            if let Some(found) = try_at(&place)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
