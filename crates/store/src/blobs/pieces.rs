//! Reading a chunk piece by piece, so that a slow reader never holds a whole one in memory.

use taosync_model::Digest;

use super::{Blobs, not_here};
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
        let found = self.find(name, |opened| {
            let is_large = opened.bytes > small;
            Ok(Some(if is_large { Found::Large(opened.bytes) } else { Found::Whole(opened.read_all()?) }))
        })?;
        Ok(found.unwrap_or(Found::Absent))
    }

    /// Reads `length` bytes from an offset, fewer only at the end of the chunk. The hash is not checked: whoever puts
    /// the pieces together does that, by the chunk's name.
    pub async fn piece(&self, name: Digest, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        self.run(move |blobs| {
            let piece = blobs.find(name, |opened| opened.read(offset, length as u64).map(Some))?;
            piece.ok_or_else(|| not_here(name))
        })
        .await
    }
}
