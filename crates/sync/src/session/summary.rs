//! What a sync did: the document behind `sync … --json`, the history, and the report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taosync_model::{Digest, EntityType, OrgId};
use uuid::Uuid;

use super::held::HeldGroup;
use crate::down::compare::Comparison;
use crate::tao_database::projection::Projected;

/// A sync in figures. With several orgs: counts are sums, `orgs` has each.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Id of the sync.
    pub sync: Uuid,
    /// `success`, `partial` (something waits for a person or another try) or `failed`.
    pub status: String,
    /// Code of the first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the failure may pass by itself: try again later.
    #[serde(default)]
    pub temporary: bool,
    /// What to do next, when something is to be done.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub advice: Vec<String>,
    /// Identity of central's history.
    pub epoch: Option<Uuid>,
    /// Position per type.
    pub seq: BTreeMap<EntityType, i64>,
    /// Whether both sides had equal digests; false where nothing was compared.
    pub digest_equal: bool,
    /// Whether digests were compared.
    #[serde(default)]
    pub compared: bool,
    /// What it took to find the differences, when positions could not be trusted or the digests differed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// `digest` (compared with a taosync central), `listing`, `receipt` or `none`.
    pub proof: String,
    /// Per type.
    pub types: BTreeMap<EntityType, TypeCounts>,
    /// Packages.
    pub deliveries: DeliveryCounts,
    /// Results and other items.
    pub results: ResultCounts,
    /// What was written into TAO's own database, where this node has adopted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tao: Option<Projected>,
    /// Removals that wait for a person.
    #[serde(default)]
    pub held_removals: u64,
    /// These by org and type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldGroup>,
    /// Seconds this machine's clock is ahead of central's, when data were received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead: Option<i64>,
    /// Bytes a second down, when enough travelled to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_speed: Option<u64>,
    /// Requests sent.
    pub requests: u64,
    /// HTTP heads and bodies received.
    pub bytes_down: u64,
    /// HTTP heads and bodies sent, apart from tokens and proofs.
    pub bytes_up: u64,
    /// Bytes of the lines with tokens and proofs, which `bytes_up` leaves out.
    pub bytes_proof: u64,
    /// Bytes on the socket, both ways.
    pub bytes_socket: u64,
    /// Wall time.
    pub seconds: f64,
    /// Each org by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orgs: Vec<OrgSummary>,
}

/// One org of a sync.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrgSummary {
    /// The org.
    pub org: OrgId,
    /// Identity of central's history.
    pub epoch: Option<Uuid>,
    /// Position per type.
    pub seq: BTreeMap<EntityType, i64>,
    /// Digest per type.
    pub digests: BTreeMap<EntityType, Digest>,
    /// Whether both sides had equal digests.
    pub digest_equal: bool,
    /// Entities held per type.
    pub counts: BTreeMap<EntityType, i64>,
}

/// What happened to entities of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCounts {
    /// New here.
    pub created: u64,
    /// Changed here.
    pub updated: u64,
    /// Gone from here.
    pub removed: u64,
    /// Same as before.
    pub unchanged: u64,
}

/// What happened to packages; in a dry run, what would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// Packages fetched whole.
    pub fetched: u64,
    /// Packages compiled to the expected digest.
    pub compiled: u64,
    /// Ciphertext bytes that travelled.
    pub bytes: u64,
    /// Files in fetched packages.
    pub files: u64,
    /// Chunks that travelled.
    pub chunks: u64,
    /// Packages that could not be made ready.
    pub failed: u64,
    /// How long fetching took.
    #[serde(default)]
    pub seconds: f64,
}

/// What happened to results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultCounts {
    /// Confirmed by a receipt in this sync.
    pub sent: u64,
    /// Of these, ones central held already.
    pub duplicate: u64,
    /// Could not be read by central.
    pub refused: u64,
    /// Held by central beside another version: a person has to look there.
    pub conflict: u64,
    /// Still waiting.
    pub pending: u64,
}

/// What a sync is doing, for the person watching.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A phase begins.
    Phase(String),
    /// Entities applied so far, of about this many.
    Entities {
        /// Done.
        done: u64,
        /// Expected.
        of: u64,
    },
    /// How far the package is that is being fetched.
    Package {
        /// Bytes that came.
        bytes_done: u64,
        /// Bytes that have to come.
        bytes_of: u64,
        /// Files that are whole.
        files_done: u64,
        /// Files of the package; 0 while they are not known.
        files_of: u64,
    },
    /// Results confirmed so far.
    Results {
        /// Done.
        done: u64,
        /// Expected.
        of: u64,
    },
}

/// What a clock means that is outside of the dates of central's certificate.
pub(super) fn clock_advice(ahead: i64) -> String {
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    format!(
        "this machine's clock is {} days {side} central's: its time was taken from central for this sync. Set the clock, and replace the battery of the machine if it forgets it",
        ahead.unsigned_abs() / 86_400
    )
}
