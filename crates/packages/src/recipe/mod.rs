//! How the zip of a package is made again from its files, byte for byte.
//!
//! Central keeps and sends the files of a package, not its zip. What the files do not tell is little: headers, order, and
//! how each file was compressed. That is the recipe. It is cut into pages as the list of files is, and nothing in a page
//! depends on where in the zip it is: a new version with one changed file brings one page.
//!
//! A compressed file has a script ([`crate::deflate`]). Where the program that packed it does not search as zlib does, the
//! compressed bytes themselves are kept, in chunks.

mod form;
mod headers;
mod make;
mod rebuild;

use serde::{Deserialize, Serialize};
use taosync_model::Digest;

pub use make::{Made, make};
pub use rebuild::{own_chunks, rebuild};

use crate::PackageError;
use crate::tree::ChunkRef;

/// Bytes of one file that are kept in a page; more go into chunks of their own, as a page is sent again when any of its
/// files changed.
const FILE_BYTES: u64 = 256;
/// Bytes around the files that are kept in a page.
const AROUND_BYTES: u64 = 2 * 1024;
/// A page also ends when it has this many bytes.
const PAGE_BYTES: usize = 64 * 1024;
/// What stands for the path of a file where a part of a recipe is damaged.
const NAME: &str = "the recipe of the zip";

/// The recipe of a zip. Holds the keys of its pages, so it is kept and sent sealed only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Bytes of the zip.
    pub bytes: u64,
    /// BLAKE3 of the zip.
    pub digest: Digest,
    /// Pages of entries in the order of the zip, then one of what is around them.
    pub pages: Vec<ChunkRef>,
}

fn damaged(what: &str) -> PackageError {
    PackageError::DamagedRecipe(what.to_owned())
}
