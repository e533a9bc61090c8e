//! Reading a chunk piece by piece, so that a slow reader never holds a whole one in memory.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};

use taosync_model::Digest;

use super::{Blobs, failed};
use crate::StoreError;

/// What is here of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it: it is small.
    Whole(Vec<u8>),
    /// So many bytes: too many to be read at once.
    Large(u64),
    /// Nothing.
    Absent,
}

impl Blobs {
    /// Looks for chunks in the order given and reads those of at most `small` bytes; ends early when `together` bytes
    /// are read, but has looked for one at least. Hashes are not checked.
    pub async fn look(
        &self,
        names: Vec<Digest>,
        small: u64,
        together: u64,
    ) -> Result<Vec<(Digest, Found)>, StoreError> {
        self.run(move |blobs| {
            let (mut all, mut read) = (Vec::new(), 0);
            for name in names {
                let found = blobs.look_for(name, small)?;
                read += if let Found::Whole(bytes) = &found { bytes.len() as u64 } else { 0 };
                all.push((name, found));
                if read >= together {
                    break;
                }
            }
            Ok(all)
        })
        .await
    }

    fn look_for(&self, name: Digest, small: u64) -> Result<Found, StoreError> {
        let path = self.path(name);
        let read = || -> std::io::Result<Found> {
            let mut file = File::open(&path)?;
            let bytes = file.metadata()?.len();
            if bytes > small {
                return Ok(Found::Large(bytes));
            }
            let mut whole = Vec::with_capacity(bytes as usize);
            file.read_to_end(&mut whole)?;
            Ok(Found::Whole(whole))
        };
        match read() {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Found::Absent),
            other => other.map_err(|e| failed("read", &path, e)),
        }
    }

    /// Reads `length` bytes from an offset, fewer only at the end of the chunk. The hash is not checked: whoever puts
    /// the pieces together does that, by the chunk's name.
    pub async fn piece(&self, name: Digest, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        self.run(move |blobs| {
            let path = blobs.path(name);
            let read = || {
                let mut file = File::open(&path)?;
                file.seek(SeekFrom::Start(offset))?;
                let mut bytes = Vec::with_capacity(length);
                file.take(length as u64).read_to_end(&mut bytes)?;
                Ok(bytes)
            };
            read().map_err(|e: std::io::Error| match e.kind() {
                ErrorKind::NotFound => StoreError::NotFound {
                    what: format!("chunk {name}"),
                    advice: "fetch it again with 'taosync sync data', or publish its package again on central",
                },
                _ => failed("read", &path, e),
            })
        })
        .await
    }
}
