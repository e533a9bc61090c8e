//! Why a sync, or a part of it, did not succeed.

use taosync_store::StoreError;

use crate::link::LinkError;
use crate::up::UpError;

/// An error of a sync.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Between the nodes.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// In this node's database or object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// While handing in.
    #[error(transparent)]
    Up(#[from] UpError),
    /// A stream could not be compressed.
    #[error("a stream could not be compressed")]
    Compress(#[source] std::io::Error),
    /// The programs do not fit.
    #[error("{0}; install the same version on both sides")]
    Version(String),
    /// Central shows an older state than this machine has met.
    #[error(
        "central went back in time: this machine has met a newer state of it; it was restored from a backup or an old copy. No data were changed here, and {offered} results that it may have lost are handed in again; sync once more, and tell the office"
    )]
    WentBack {
        /// Items that wait again.
        offered: u64,
    },
    /// Central has met this machine, or one with its identity, in a newer state.
    #[error("central gives this machine no data, because {0}; its results are taken all the same")]
    Diverged(Divergence),
    /// A TAO central does not let in the version this server says it is.
    #[error(
        "central lets in TAO in the versions '{theirs}', and this server says it is '{ours}'; import the central again with --tao-version, or have the version added there"
    )]
    TaoVersion {
        /// What this server says.
        ours: String,
        /// What central lets in.
        theirs: String,
    },
    /// There is nobody to sync with.
    #[error("this local server knows no central yet; run the 'taosync oauth import' command that the office gave you")]
    NoRemote,
    /// The org is not one of this local server's.
    #[error("this local server does not serve org '{0}'; see 'taosync node show' and 'taosync history'")]
    UnknownOrg(String),
    /// A package cannot be made ready.
    #[error("{0}")]
    Package(String),
}

/// How a machine is not the one that synced last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// Another machine with its identity has synced since.
    Copied,
    /// It is in an older state.
    Old,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Copied => "another machine with the same identity has synced since",
            Self::Old => "it, or the machine it is a copy of, has synced in a newer state",
        })
    }
}

impl SyncError {
    /// Whether trying again later can help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Link(error) => error.is_temporary(),
            Self::Store(error) => error.is_temporary(),
            Self::Up(error) => error.is_temporary(),
            _ => false,
        }
    }

    /// Stable short code (docs/ERRORS.md).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Link(error) | Self::Up(UpError::Link(error)) => error.code(),
            Self::Store(StoreError::DiskFull) | Self::Up(UpError::Store(StoreError::DiskFull)) => "TS-301",
            Self::Store(StoreError::Busy) | Self::Up(UpError::Store(StoreError::Busy)) => "TS-302",
            Self::Store(_) => "TS-303",
            Self::Up(_) => "TS-304",
            Self::Compress(_) => "TS-305",
            Self::Version(_) => "TS-306",
            Self::WentBack { .. } => "TS-307",
            Self::NoRemote => "TS-308",
            Self::UnknownOrg(_) => "TS-309",
            Self::Package(_) => "TS-310",
            Self::Diverged(_) => "TS-311",
            Self::TaoVersion { .. } => "TS-312",
        }
    }
}
