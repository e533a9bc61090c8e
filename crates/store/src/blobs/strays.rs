//! Chunks that lie on the disk and that nobody knows: a process died between writing them and noting them.

use jiff::Timestamp;
use taosync_model::Digest;

use super::{Blobs, list, packs, remove_file, was_written_before};
use crate::StoreError;

impl Blobs {
    /// Names of all chunks that are files of their own.
    pub async fn names(&self) -> Result<Vec<Digest>, StoreError> {
        self.run(|blobs| {
            let mut names = Vec::new();
            for folder in blobs.folders()?.into_iter().filter(|folder| !folder.ends_with(packs::FOLDER)) {
                let files = list(&folder)?;
                let texts = files.iter().filter_map(|path| path.file_name()?.to_str());
                names.extend(texts.filter_map(|text| text.parse::<Digest>().ok()));
            }
            Ok(names)
        })
        .await
    }

    /// Those of the named chunks that are not on the disk.
    pub async fn absent(&self, names: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        Ok(self.files_of(names).await?.1)
    }

    /// Deletes those of the named chunks that were last written before `before`. Says how many.
    pub async fn remove_older(&self, names: Vec<Digest>, before: Timestamp) -> Result<u64, StoreError> {
        self.run(move |blobs| {
            let mut removed = 0;
            for path in names.iter().flat_map(|name| blobs.paths(*name)) {
                if was_written_before(&path, before) {
                    remove_file(&path)?;
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }
}
