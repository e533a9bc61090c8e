//! Why an act on a package failed.

use taosync_model::Digest;

use crate::Problem;
use crate::problem::CheckReport;

/// An act on a package that failed.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file of the package cannot be read as it claims to be.
    #[error("the package is damaged or hostile: {0}")]
    Refused(Box<Problem>),
    /// The package does not compile. Central checks before it publishes, so at a local server this means damage.
    #[error("the package does not compile, {} problem(s), first: {}", .0.errors.len(), first(.0))]
    DoesNotCompile(Box<CheckReport>),
    /// No such file.
    #[error("the package has no file '{0}'")]
    NoSuchFile(String),
    /// The object store failed to take or to give a chunk.
    #[error("chunk {name} could not be {act}")]
    Store {
        /// Which chunk.
        name: Digest,
        /// `stored` or `fetched`.
        act: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A chunk is not what its name or its tree says: fetch it again from central.
    #[error("chunk {name} of '{file}' is damaged: {reason}; fetch it again")]
    DamagedChunk {
        /// Which chunk.
        name: Digest,
        /// File it belongs to.
        file: String,
        /// What was found.
        reason: &'static str,
    },
    /// The chunks are right, but what they make is not the file of the tree.
    #[error("file '{0}' does not have the digest its tree says; publish the package again")]
    DamagedFile(String),
    /// A tree that cannot be read, or contradicts itself.
    #[error("the file tree of the package is damaged: {0}; fetch it again")]
    DamagedTree(String),
    /// A recipe that cannot be read, contradicts itself, or does not give the zip that was published.
    #[error("the recipe of the package's zip is damaged: {0}; fetch the package again")]
    DamagedRecipe(String),
    /// The zip, on its way in or out.
    #[error("the zip could not be {act}")]
    Zip {
        /// `read` or `written`.
        act: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// JSON or compression failed.
    #[error("{0} could not be written")]
    Encode(&'static str, #[source] std::io::Error),
}

fn first(report: &CheckReport) -> String {
    report.errors.first().map(ToString::to_string).unwrap_or_default()
}

impl From<Box<Problem>> for PackageError {
    fn from(problem: Box<Problem>) -> Self {
        Self::Refused(problem)
    }
}
