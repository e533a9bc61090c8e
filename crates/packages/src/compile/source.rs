//! Where a package's files come from while it compiles: a zip at central, a tree of chunks at a local server.

use super::document::FileFacts;
use crate::PackageError;

/// Files of a package by path.
pub trait Source {
    /// All paths, sorted.
    fn paths(&self) -> Vec<&str>;

    /// Whether there is such a file.
    fn contains(&self, path: &str) -> bool;

    /// A file of at most `max` bytes.
    fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, PackageError>;

    /// Size and digest of a file.
    fn facts(&self, path: &str) -> Result<FileFacts, PackageError>;
}
