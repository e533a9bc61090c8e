//! `POST report`: central knows what local knows. Small, idempotent by sync id, kept by local until answered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use taosync_model::audit::AuditHead;
use taosync_model::{Digest, EntityType, OrgId};
use uuid::Uuid;

/// What a local server says about a sync of one org.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The sync.
    pub sync: Uuid,
    /// `success`, `partial`, `failed`, `interrupted`.
    pub outcome: String,
    /// Code of the reason, when it was not a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The reason in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began, by local's clock.
    pub started_at: Timestamp,
    /// When it ended, by local's clock.
    pub ended_at: Timestamp,
    /// Positions reached, per type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seqs: BTreeMap<EntityType, i64>,
    /// Digest over all types' digests: equal to central's when everything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whether the digests were equal.
    pub equal: bool,
    /// Deliveries that are not ready, with their state; an empty map means all are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_ready: BTreeMap<String, String>,
    /// How many more are not ready, when all their names would make the report too large.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_not_ready: u64,
    /// Deliveries held.
    pub deliveries: u64,
    /// Items waiting to be handed in.
    pub pending: u64,
    /// Removals that wait for a person.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u64,
    /// These by type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held_types: BTreeMap<EntityType, HeldReport>,
    /// Changes applied: created, updated, removed over all types.
    pub changed: [u64; 3],
    /// Items handed in by this sync.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sent: u64,
    /// Program version.
    pub version: String,
    /// Seconds local's clock is ahead of central's.
    pub clock: i64,
    /// Free bytes on local's disk.
    pub disk: u64,
    /// Whether that disk is encrypted, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// What was erased here because central removed people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<Purged>,
    /// Bytes a second down, measured; 0 when too little travelled to say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub line: u64,
}

/// A local server's signed word about copies of results it has erased, as central removed the people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// All that ever went, for the organisation.
    pub copies: u64,
    /// Where the local server's audit log ended.
    pub audit: AuditHead,
    /// Ed25519 by the node key over [`Purged::signed_bytes`], hex.
    pub signature: String,
}

impl Purged {
    /// What is signed: a domain, then node, number, head, organisation.
    pub fn signed_bytes(node: Uuid, org: &OrgId, copies: u64, audit: &AuditHead) -> Vec<u8> {
        let (copies, no) = (copies.to_le_bytes(), audit.no.to_le_bytes());
        [b"taosync purge".as_slice(), node.as_bytes(), &copies, &no, &audit.digest.0, org.as_str().as_bytes()].concat()
    }
}

/// Removals of a type that wait for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldReport {
    /// How many they are.
    pub count: u64,
    /// Since when, by local's clock.
    pub since: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The digest of a whole scope: hash over the types' digests in feed order.
pub fn scope_digest(types: &BTreeMap<EntityType, Digest>) -> Digest {
    let mut bytes = Vec::with_capacity(types.len() * 40);
    for (entity_type, digest) in types {
        bytes.extend_from_slice(&entity_type.code().to_le_bytes());
        bytes.extend_from_slice(&digest.0);
    }
    Digest::of(&bytes)
}
