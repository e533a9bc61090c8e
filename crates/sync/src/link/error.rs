//! What can go wrong between two nodes, in words for the person at the button.

use taosync_vault::tls::Distrust;
use taosync_wire::Problem;
use taosync_wire::frame::FrameError;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Not an address we would send secrets to.
    #[error(
        "{0} is not https; secrets travel encrypted only (plain http is taken on this machine's own address alone)"
    )]
    Insecure(String),
    /// The URL or a header cannot be sent.
    #[error("cannot make a request to {0}: check the address given at 'oauth import'")]
    Request(String),
    /// Nobody answered.
    #[error("no connection to {host}: {reason}; check the network cable and the address, then try again")]
    Unreachable {
        /// Host and port.
        host: String,
        /// In a few words.
        reason: String,
    },
    /// Somebody else answered.
    #[error(
        "{host} showed a certificate of another authority than the pinned one: a filter, a proxy or a login page in between answered, or central's keys were replaced; log in to the network or ask your administrator, and compare the fingerprint with central's"
    )]
    OtherAuthority {
        /// Host and port.
        host: String,
    },
    /// The certificate is not good.
    #[error("the certificate of {host} is not accepted: {reason}")]
    Certificate {
        /// Host and port.
        host: String,
        /// In a few words.
        reason: String,
    },
    /// The dates of the certificate are not those of this machine's clock, and central could not tell its time: nobody
    /// met it yet, or its own time is outside of them too.
    #[error("the certificate of {host} is not accepted: {reason}")]
    Dates {
        /// Host and port.
        host: String,
        /// In a few words.
        reason: String,
    },
    /// Central stopped talking.
    #[error("{host} was silent for {seconds} seconds; what arrived is kept, try again")]
    Silent {
        /// Host and port.
        host: String,
        /// How long.
        seconds: u64,
    },
    /// The connection broke.
    #[error("the connection to {host} broke; what arrived is kept, try again")]
    Cut {
        /// Host and port.
        host: String,
        /// The network's words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that no taosync central gives.
    #[error(
        "{host} answered with status {status} and something that is not from taosync: a filter or login page in between, or the wrong address"
    )]
    Stranger {
        /// Host and port.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// Central refused, and said why.
    #[error("central refused: {0}")]
    Problem(Problem),
    /// The token endpoint refused.
    #[error("central gave no token ({code}): {advice}")]
    Token {
        /// RFC 6749 §5.2 code.
        code: String,
        /// What to do.
        advice: String,
    },
    /// The answer cannot be read.
    #[error("central's answer cannot be read: {0}")]
    Frame(#[from] FrameError),
    /// The org got another name at central since the token was given.
    #[error("central has given this organisation another name meanwhile; sync again")]
    Renamed,
    /// The answer is not what the protocol says.
    #[error("central's answer breaks the protocol: {0}")]
    Protocol(String),
}

impl LinkError {
    /// Whether trying again later can help without anybody doing something else.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Cut { .. } | Self::Frame(_) | Self::Renamed => true,
            Self::Problem(problem) => matches!(problem.status, 408 | 425 | 429 | 500..=599),
            Self::Stranger { status, .. } => matches!(status, 502..=504),
            Self::Token { code, .. } => {
                matches!(code.as_str(), "slow_down" | "temporarily_unavailable" | "server_error")
            }
            _ => false,
        }
    }

    /// Stable short code (docs/ERRORS.md).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Insecure(_) => "TS-201",
            Self::Request(_) => "TS-202",
            Self::Unreachable { .. } => "TS-203",
            Self::OtherAuthority { .. } => "TS-204",
            Self::Certificate { .. } | Self::Dates { .. } => "TS-205",
            Self::Silent { .. } => "TS-206",
            Self::Cut { .. } => "TS-207",
            Self::Stranger { .. } => "TS-208",
            Self::Problem(_) => "TS-209",
            Self::Token { .. } => "TS-210",
            Self::Frame(_) => "TS-211",
            Self::Protocol(_) => "TS-212",
            Self::Renamed => "TS-213",
        }
    }

    pub(super) fn from_client(host: &str, error: hyper_util::client::legacy::Error) -> Self {
        let host = host.to_owned();
        if let Some(distrust) = Distrust::in_error(&error) {
            return match distrust {
                Distrust::OtherAuthority | Distrust::UnknownIssuer => Self::OtherAuthority { host },
                Distrust::Expired => Self::Dates {
                    host,
                    reason: "it has expired; check this machine's clock first, then renew central's certificate".into(),
                },
                Distrust::NotYetValid => {
                    Self::Dates { host, reason: "it is not valid yet; check this machine's clock".into() }
                }
                Distrust::OtherHost => Self::Certificate {
                    host,
                    reason: "it is made for another name; use the address printed by 'oauth generate'".into(),
                },
                Distrust::BadCertificate => Self::Certificate { host, reason: "it is malformed".into() },
            };
        }
        if error.is_connect() {
            return Self::Unreachable { host, reason: innermost(&error) };
        }
        Self::Cut { host, source: Box::new(error) }
    }
}

/// The last cause of an error, where the system says what happened.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
