//! Where an audit log ends: enough to show later that nothing before it was taken away or rewritten.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Number and digest of the last entry of a node's audit log; 0 and zeros when there is none yet. As text `NUMBER:DIGEST`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the entry, from 1.
    pub no: i64,
    /// Digest of the entry, which holds the digest of the one before.
    pub digest: Digest,
}

/// Text that is no such head.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not the head of an audit log: expected NUMBER:DIGEST")]
pub struct BadHead;

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.no, self.digest)
    }
}

impl FromStr for AuditHead {
    type Err = BadHead;

    fn from_str(text: &str) -> Result<Self, BadHead> {
        let (no, digest) = text.split_once(':').ok_or(BadHead)?;
        let no = no.parse().ok().filter(|no| *no >= 0).ok_or(BadHead)?;
        Ok(Self { no, digest: digest.parse().map_err(|_| BadHead)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = AuditHead { no: 7, digest: Digest::of(b"entry") };
        assert_eq!(head.to_string().parse::<AuditHead>().unwrap(), head);
        for wrong in ["", "7", "7:", ":", "-1:00", "x:00", &format!("-7:{}", head.digest), &head.to_string()[..20]] {
            assert!(wrong.parse::<AuditHead>().is_err(), "{wrong}");
        }
    }
}
