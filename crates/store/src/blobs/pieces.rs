//! Reading a chunk piece by piece, so that a slow reader never holds a whole one in memory.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};

use taosync_model::Digest;

use super::{Blobs, failed};
use crate::StoreError;

impl Blobs {
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
