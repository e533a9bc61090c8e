//! Packages of QTI tests (DESIGN §6): from a zip of unknown origin to chunks that any disk may hold, and back to what
//! a test runner reads. No network, no database, no object store: those come in through closures.
//!
//! Publishing, at central
//! * [`archive`]: opens the zip within [`limits`], never unpacks it to disk.
//! * [`manifest`]: what the package says it holds.
//! * [`mod@check`]: everything that is wrong with it, as [`problem`]s with file and line.
//! * [`tree`]: cuts it into sealed chunks; [`tree::Pages`] is the list of them, in chunks of its own, and is sealed.
//!
//! Fetching, at a local server
//! * [`tree::Pages`], [`tree::read_file`]: list and files again, verified.
//! * [`mod@compile`]: the form a test runner reads, the same bytes on every machine.
//!
//! [`demo`] is a package of our own, to try all this without any other.

pub mod archive;
mod bytes;
pub mod check;
mod checks;
pub mod compile;
mod deflate;
pub mod demo;
pub mod error;
mod href;
pub mod limits;
pub mod manifest;
pub mod problem;
pub mod recipe;
pub mod tree;
mod xml;

pub use check::{CheckedPackage, check};
pub use compile::{COMPILER_VERSION, Compiled, compile};
pub use demo::demo_package;
pub use error::PackageError;
pub use limits::Limits;
pub use problem::{CheckReport, Problem, Severity};
pub use tree::{ChunkRef, Tree, TreeFile};
