//! What only the disk knows: that bytes have reached it, and that it is full.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{Blobs, failed};
use crate::StoreError;

/// Files that are flushed one by one.
const FEW: usize = 16;

impl Blobs {
    /// Flushes files or folders. Linux can flush all that waits for the disk at once, which costs less than many files
    /// one after the other; for a few it would only wait for what others have written.
    pub(super) fn flush_together<'a>(&self, paths: impl ExactSizeIterator<Item = &'a Path>) -> Result<(), StoreError> {
        if cfg!(target_os = "linux") && paths.len() > FEW {
            let folder = File::open(&self.folder).map_err(|e| failed("open", &self.folder, e))?;
            return flush_disk_of(&folder).map_err(|e| failed("flush", &self.folder, e));
        }
        paths.into_iter().try_for_each(flush)
    }

    /// Counts a write: in tests of whole nodes the disk can be full on demand.
    #[cfg(feature = "faults")]
    pub(super) fn may_write(&self) -> Result<(), StoreError> {
        crate::faults::write(self.folder.parent().unwrap_or(&self.folder))
    }

    /// Does nothing: only tests have disks that are full on demand.
    #[cfg(not(feature = "faults"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "with faults, the disk of a node may be full")]
    pub(super) fn may_write(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Waits until a file or a folder has reached the disk.
pub(super) fn flush(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| failed("flush", path, e))
}

#[cfg(target_os = "linux")]
fn flush_disk_of(folder: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

#[cfg(not(target_os = "linux"))]
fn flush_disk_of(folder: &File) -> io::Result<()> {
    folder.sync_all()
}
