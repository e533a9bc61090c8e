//! What can go wrong between our store and TAO's database.

use taosync_store::StoreError;
use taosync_tao::TaoError;

use super::projection::ProjectionError;
use crate::runner::RunnerError;

/// An error of work on TAO's database.
#[derive(Debug, thiserror::Error)]
pub enum TaoDatabaseError {
    /// This node is connected with no TAO.
    #[error("this node is connected with no TAO; run 'taosync tao connect --database URL'")]
    NotConnected,
    /// taoSync does the syncing there.
    #[error("this node has not adopted its TAO; run 'taosync tao check', then 'taosync tao adopt'")]
    NotAdopted,
    /// TAO's database.
    #[error(transparent)]
    Tao(#[from] TaoError),
    /// A chunk of a package could not be written.
    #[error(
        "a part of a package could not be written to this node's directory; make room and check who may write there"
    )]
    Write(#[source] std::io::Error),
    /// What came from central could not be written into TAO.
    #[error(transparent)]
    Projection(ProjectionError),
    /// No item could be made of an execution.
    #[error("an execution of TAO could not be made what is handed in; look at this node's keys with 'taosync doctor'")]
    Item(#[source] RunnerError),
    /// Our own.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TaoDatabaseError {
    /// Whether trying again later can help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotConnected | Self::NotAdopted | Self::Write(_) | Self::Projection(_) | Self::Item(_) => false,
            Self::Tao(error) => error.is_temporary(),
            Self::Store(error) => error.is_temporary(),
        }
    }

    /// The code of the error, as in docs/ERRORS.md; none where our own database says its own.
    pub const fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotConnected => "TS-501",
            Self::NotAdopted | Self::Tao(TaoError::NotAdopted) => "TS-502",
            Self::Tao(TaoError::BadAddress(_)) => "TS-503",
            Self::Tao(TaoError::Unreachable(_)) => "TS-504",
            Self::Tao(TaoError::Unrecognised { .. } | TaoError::NotExamined) => "TS-505",
            Self::Tao(TaoError::Busy { .. }) => "TS-506",
            Self::Tao(TaoError::Refused { .. } | TaoError::TooLarge { .. }) => "TS-507",
            Self::Tao(TaoError::Damaged { .. }) => "TS-508",
            Self::Write(_) => "TS-008",
            Self::Projection(_) => "TS-510",
            Self::Item(_) => "TS-511",
            Self::Tao(TaoError::NoTao) => "TS-512",
            Self::Store(_) => return None,
        })
    }
}

impl From<ProjectionError> for TaoDatabaseError {
    fn from(error: ProjectionError) -> Self {
        match error {
            ProjectionError::Store(error) => Self::Store(error),
            ProjectionError::Tao(error) => Self::Tao(error),
            other => Self::Projection(other),
        }
    }
}

impl From<RunnerError> for TaoDatabaseError {
    fn from(error: RunnerError) -> Self {
        match error {
            RunnerError::Store(error) => Self::Store(error),
            other => Self::Item(other),
        }
    }
}
