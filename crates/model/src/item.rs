//! What travels up: items with their envelopes, and the receipts that answer them (DESIGN §5).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit::AuditHead;
use crate::execution::ExecutionState;
use crate::{Digest, OrgId};

/// Payload form 1: JSON compressed with zstd.
pub const FORM_ZSTD_JSON: u8 = 1;
/// Payload form 2: an `age` file around form 1.
pub const FORM_AGE_ZSTD: u8 = 2;

/// Kind of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// One attempt: results, log and session.
    Attempt,
    /// Log rows written after the attempt's item was made; names the attempt.
    Log,
    /// A test session on its own.
    Session,
    /// An LTI user.
    LtiUser,
}

impl ItemKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Attempt, Self::Log, Self::Session, Self::LtiUser];

    /// The spelling in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Log => "log",
            Self::Session => "session",
            Self::LtiUser => "lti-user",
        }
    }
}

impl std::str::FromStr for ItemKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|k| k.as_str() == text).ok_or_else(|| format!("unknown kind of item '{text}'"))
    }
}

impl std::fmt::Display for ItemKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The plain part of an item: enough to store, route and count it without reading the payload. Fixed, with origin,
/// version and digest, in the transaction that finishes the execution, and never remade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Kind.
    pub kind: ItemKind,
    /// Identity of the item; for an attempt, the execution's id.
    pub item: Uuid,
    /// Organisation it belongs to.
    pub org: OrgId,
    /// Node that made it.
    pub origin: Uuid,
    /// From 1; a reactivated execution makes the next one.
    pub version: u32,
    /// Digest of the version before, from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// BLAKE3 of the payload bytes.
    pub digest: Digest,
    /// Bytes of the payload.
    pub size: u64,
    /// How to read the payload: [`FORM_ZSTD_JSON`] or [`FORM_AGE_ZSTD`].
    pub form: u8,
    /// The execution a log or session speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Uuid>,
    /// Delivery URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// Test taker URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_taker: Option<String>,
    /// How the execution ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ExecutionState>,
    /// When it began, by the local clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended, by the local clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// What is inside.
    #[serde(default)]
    pub counts: Counts,
}

impl Envelope {
    /// The first version of something that is handed in at once; what it is about is filled in where it is known.
    pub fn first(kind: ItemKind, item: Uuid, org: OrgId, origin: Uuid, payload: &[u8]) -> Self {
        Self {
            kind,
            item,
            org,
            origin,
            version: 1,
            previous: None,
            digest: Digest::of(payload),
            size: payload.len() as u64,
            form: FORM_ZSTD_JSON,
            execution: None,
            delivery: None,
            test_taker: None,
            state: None,
            started_at: None,
            finished_at: None,
            counts: Counts::default(),
        }
    }

    /// The bytes the node that hands the item in vouches for: a domain, then every field, each length-prefixed, and a byte
    /// before each that may be missing.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        let mut part = |field: &[u8]| {
            bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
            bytes.extend_from_slice(field);
        };
        part(b"taosync item");
        part(self.kind.as_str().as_bytes());
        part(self.item.as_bytes());
        part(self.org.as_str().as_bytes());
        part(self.origin.as_bytes());
        part(&self.version.to_le_bytes());
        part(&self.digest.0);
        part(&self.size.to_le_bytes());
        part(&[self.form]);
        for count in [self.counts.items, self.counts.variables, self.counts.log] {
            part(&count.to_le_bytes());
        }
        let time = |time: Option<Timestamp>| time.map(|time| time.as_nanosecond().to_le_bytes().to_vec());
        let text = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        for field in [
            self.previous.map(|digest| digest.0.to_vec()),
            self.execution.map(|id| id.as_bytes().to_vec()),
            text(&self.delivery),
            text(&self.test_taker),
            self.state.map(|state| state.as_str().as_bytes().to_vec()),
            time(self.started_at),
            time(self.finished_at),
        ] {
            part(&[u8::from(field.is_some())]);
            part(&field.unwrap_or_default());
        }
        bytes
    }
}

/// A node's word for one item, as it can be shown alone: the way from the item's leaf up a Merkle tree (RFC 9162 §2.1, with
/// BLAKE3) over the items it handed in together, to the root under its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemProof {
    /// Public key of the node, Ed25519, hex.
    pub signer: String,
    /// Ed25519 over number of leaves and root, hex.
    pub signature: String,
    /// Place of the item in its batch, from 0.
    pub leaf: u32,
    /// Items in the batch.
    pub of: u32,
    /// The hashes beside the way, from the leaf up.
    pub path: Vec<Digest>,
}

/// What an item's payload holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Item results.
    pub items: u32,
    /// Variables in test and item results.
    pub variables: u32,
    /// Log entries.
    pub log: u32,
}

/// What central says about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptStatus {
    /// Held durably; nothing about it was known before.
    Stored,
    /// Held already: same version, same digest.
    Duplicate,
    /// Held, and follows the version that was the newest.
    Superseded,
    /// Held beside what was there: a person has to look.
    Conflict,
}

impl ReceiptStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Duplicate, Self::Superseded, Self::Conflict];

    /// The spelling in JSON, in the database and in the signed bytes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
            Self::Conflict => "conflict",
        }
    }
}

/// Central's word that it holds an item. It is true with its proof only, which follows it on the wire (one signature for
/// a batch) and stays with it at rest, so that every receipt can be verified alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Format version, 1.
    pub v: u8,
    /// Node id of central.
    pub central: Uuid,
    /// Epoch of central's history.
    pub epoch: Uuid,
    /// Number of the receipt in that history, rising.
    pub receipt_no: i64,
    /// Organisation of the token that handed the item in.
    pub org: OrgId,
    /// Kind of the item.
    pub kind: ItemKind,
    /// The item.
    pub item: Uuid,
    /// Its version.
    pub version: u32,
    /// Digest of the payload that is held.
    pub digest: Digest,
    /// When central stored it.
    pub received_at: Timestamp,
    /// What central did.
    pub status: ReceiptStatus,
    /// Taker or delivery has left the org meanwhile; stored all the same.
    #[serde(default)]
    pub out_of_scope: bool,
    /// What proves it; none while it travels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ReceiptProof>,
}

/// Proof that a receipt is one of a batch that central signed: the way from its leaf up a Merkle tree (RFC 9162 §2.1,
/// with BLAKE3) to the root under the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptProof {
    /// Ed25519 signature over number of leaves, root and head of the audit log, hex.
    pub signature: String,
    /// Place of the receipt in its batch, from 0.
    pub leaf: u32,
    /// Receipts in the batch.
    pub of: u32,
    /// The hashes beside the way, from the leaf up.
    pub path: Vec<Digest>,
    /// Where central's audit log ended when it signed.
    pub audit: AuditHead,
}

impl Receipt {
    /// The bytes that are proved: a domain, then every field, each length-prefixed.
    pub fn proved_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(320);
        let mut part = |field: &[u8]| {
            bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
            bytes.extend_from_slice(field);
        };
        part(b"taosync receipt");
        part(&[self.v]);
        part(self.central.as_bytes());
        part(self.epoch.as_bytes());
        part(&self.receipt_no.to_le_bytes());
        part(self.org.as_str().as_bytes());
        part(self.kind.as_str().as_bytes());
        part(self.item.as_bytes());
        part(&self.version.to_le_bytes());
        part(&self.digest.0);
        part(self.received_at.as_nanosecond().to_le_bytes().as_slice());
        part(self.status.as_str().as_bytes());
        part(&[u8::from(self.out_of_scope)]);
        bytes
    }
}

/// Why an item could not be read; nothing is stored, the item stays in the outbox and can be retried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The item.
    pub item: Uuid,
    /// Its version.
    pub version: u32,
    /// Stable code.
    pub code: String,
    /// What is wrong, in words.
    pub reason: String,
}
