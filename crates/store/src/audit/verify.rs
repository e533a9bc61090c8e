//! Whether the audit log is whole: no entry was changed, left out, put in or cut off.

use std::collections::HashMap;

use taosync_model::Digest;
use taosync_model::audit::AuditHead;
use taosync_vault::audit_chain;

use super::AuditRecord;
use crate::{Store, StoreError};

/// Entries read at a time.
const PAGE: u32 = 1_000;

/// The first entry that is not as it was written, and how that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenEntry {
    /// Its number.
    pub no: i64,
    /// How.
    pub how: Broken,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is not there, and later ones are.
    Missing,
    /// It does not follow the entry before: one of the two was changed or put in.
    Unlinked,
    /// What it says is not what its digest is of.
    Changed,
    /// Its signature is not that of the key it names.
    Unsigned,
    /// It and all after it were signed by a key that is not this node's.
    OtherKey,
    /// A head that somebody else holds names it, and the log ends before it.
    CutOff,
    /// A head that somebody else holds names it with another digest: everything up to it may have been written anew.
    Rewritten,
}

impl Broken {
    /// The spelling in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unlinked => "unlinked",
            Self::Changed => "changed",
            Self::Unsigned => "unsigned",
            Self::OtherKey => "other-key",
            Self::CutOff => "cut-off",
            Self::Rewritten => "rewritten",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerdict {
    /// Entries that were read.
    pub entries: u64,
    /// Where the log ends.
    pub head: AuditHead,
    /// The first entry that is broken or missing.
    pub broken: Option<BrokenEntry>,
    /// Heads held elsewhere that the log was compared with.
    pub heads: usize,
}

/// Reads the log once, in order.
struct Walk {
    head: AuditHead,
    broken: Option<BrokenEntry>,
    /// Where the entries signed by the last signer begin.
    era: Option<(i64, [u8; 32])>,
    /// Heads held elsewhere, and whether the log was seen to agree.
    expected: HashMap<i64, Vec<Digest>>,
}

impl Store {
    /// Walks through the whole log, and compares it with heads that others hold, such as those in receipts.
    pub async fn audit_verify(&self, heads: &[AuditHead]) -> Result<AuditVerdict, StoreError> {
        let mut expected: HashMap<i64, Vec<Digest>> = HashMap::new();
        for head in heads.iter().filter(|head| head.no > 0) {
            expected.entry(head.no).or_default().push(head.digest);
        }
        let mut walk = Walk { head: AuditHead::default(), broken: None, era: None, expected };
        let mut entries = 0;
        loop {
            let page = self.audit_page(walk.head.no, PAGE).await?;
            if page.is_empty() {
                break;
            }
            entries += page.len() as u64;
            for entry in &page {
                walk.take(entry);
            }
        }
        walk.end(&self.keyring.node_key().public());
        Ok(AuditVerdict { entries, head: walk.head, broken: walk.broken, heads: heads.len() })
    }
}

impl Walk {
    fn take(&mut self, entry: &AuditRecord) {
        let before = self.head;
        self.head = entry.head();
        if self.era.is_none_or(|(_, signer)| signer != entry.signer) {
            self.era = Some((entry.no, entry.signer));
        }
        let is_expected = |digest: &Digest| *digest == entry.digest;
        let how = if before.no + 1 != entry.no {
            return self.note(before.no + 1, Broken::Missing);
        } else if before.digest != entry.previous {
            Broken::Unlinked
        } else if entry.computed() != entry.head() {
            Broken::Changed
        } else if audit_chain::verify(&entry.signer, &entry.head(), &entry.signature).is_err() {
            Broken::Unsigned
        } else if !self.expected.get(&entry.no).is_none_or(|digests| digests.iter().all(is_expected)) {
            Broken::Rewritten
        } else {
            return;
        };
        self.note(entry.no, how);
    }

    /// What shows only at the end: who signed last, and what others know beyond it.
    fn end(&mut self, node_key: &[u8; 32]) {
        match self.era {
            // A node notes its own making: an empty log has lost at least that.
            None => self.note(1, Broken::Missing),
            Some((from, signer)) if signer != *node_key => self.note(from, Broken::OtherKey),
            Some(_) => {}
        }
        if self.expected.keys().any(|no| *no > self.head.no) {
            self.note(self.head.no + 1, Broken::CutOff);
        }
    }

    /// The first one counts: those after it follow from it.
    fn note(&mut self, no: i64, how: Broken) {
        if self.broken.as_ref().is_none_or(|broken| no < broken.no) {
            self.broken = Some(BrokenEntry { no, how });
        }
    }
}
