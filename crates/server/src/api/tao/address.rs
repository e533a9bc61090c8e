//! TAO's addresses that are served.

use http::Method;
use taosync_wire::tao as wire;

use crate::routes::{Access, Endpoint};

/// An address of TAO's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Token,
    Handshake,
    Checksums,
    Details,
    Classes,
    DeliveryTest,
    ConfirmFinished,
    ConfirmFailed,
    Results,
    Logs,
    Sessions,
    LtiUsers,
    SupportedVersions,
}

impl Address {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Token,
        Self::Handshake,
        Self::Checksums,
        Self::Details,
        Self::Classes,
        Self::DeliveryTest,
        Self::ConfirmFinished,
        Self::ConfirmFailed,
        Self::Results,
        Self::Logs,
        Self::Sessions,
        Self::LtiUsers,
        Self::SupportedVersions,
    ];

    /// The address of a path without a slash at its beginning.
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|address| address.path() == path)
    }

    /// The path without a slash at its beginning.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Token => wire::PATH_TOKEN,
            Self::Handshake => wire::PATH_HANDSHAKE,
            Self::Checksums => wire::PATH_CHECKSUMS,
            Self::Details => wire::PATH_DETAILS,
            Self::Classes => wire::PATH_CLASSES,
            Self::DeliveryTest => wire::PATH_DELIVERY_TEST,
            Self::ConfirmFinished => wire::PATH_CONFIRM_FINISHED,
            Self::ConfirmFailed => wire::PATH_CONFIRM_FAILED,
            Self::Results => wire::PATH_RESULTS,
            Self::Logs => wire::PATH_LOGS,
            Self::Sessions => wire::PATH_SESSIONS,
            Self::LtiUsers => wire::PATH_LTI_USERS,
            Self::SupportedVersions => wire::PATH_SUPPORTED_VM,
        }
    }

    /// Who may use it.
    pub const fn access(self) -> Access {
        match self {
            Self::Token => Access::ClientSecret,
            Self::Handshake => Access::SyncManager,
            _ => Access::TaoClient,
        }
    }

    /// The method TAO's clients use.
    const fn method(self) -> Method {
        match self {
            Self::Checksums | Self::DeliveryTest | Self::SupportedVersions => Method::GET,
            _ => Method::POST,
        }
    }

    pub fn endpoint(self) -> Endpoint {
        Endpoint { method: self.method(), path: format!("/{}", self.path()), access: self.access() }
    }
}
