//! `GET feed?epoch=E&after=…&types=…`: what is new for an org since its positions (DESIGN §4).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use taosync_model::{Digest, EntityType, Value};
use uuid::Uuid;

use crate::Problem;
use crate::frame::Header;

/// Query of the feed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeedQuery {
    /// Epoch the positions belong to; absent before the first sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Uuid>,
    /// Positions, see [`taosync_model::scope::Positions`].
    #[serde(default)]
    pub after: String,
    /// Types wanted, separated by commas; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<String>,
}

/// The header line of a feed frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedFrame {
    /// First frame.
    Hello(Box<Hello>),
    /// This is now so; the body is the entity's JSON.
    Upsert(Upsert),
    /// A link came or went.
    Link(Link),
    /// In the answer to a comparison: central has no link with this hash.
    Unlink(Unlink),
    /// This is gone.
    Remove(Remove),
    /// Everything of this type up to here was sent.
    Checkpoint(Checkpoint),
    /// Last frame: where both sides must be equal.
    End(End),
    /// Last frame: central could not go on.
    Failed(Problem),
}

/// What central says first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Node id of central.
    pub central: Uuid,
    /// The org, as central calls it now.
    pub org: String,
    /// Identity of this history.
    pub epoch: Uuid,
    /// Changes at or below are forgotten, per type (left out where 0).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub floor: BTreeMap<EntityType, i64>,
    /// How much follows, per type (left out where nothing does).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<EntityType, Ahead>,
    /// Removals up to these numbers were approved at central, per type (left out where this feed removes nothing).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removals_approved_through: BTreeMap<EntityType, i64>,
    /// How many syncs central has counted with this one; kept with the continuation that was shown.
    pub steps: u64,
    /// Items up to this receipt are in a verified backup or replica of central.
    pub safe_receipt_no: i64,
    /// Highest receipt number given so far.
    pub top_receipt_no: i64,
    /// What this central can do beyond the base of version 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Version of the canonical form.
    pub digest_version: u32,
    /// Central's clock.
    pub time: Timestamp,
}

/// How much follows of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Upserts and links.
    pub upserts: i64,
    /// Removals.
    pub removals: i64,
}

/// An entity is now so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upsert {
    /// Type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Number.
    pub seq: i64,
    /// Bytes of JSON that follow.
    pub len: u64,
}

/// A link came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Type of the owner.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Number.
    pub seq: i64,
    /// URI of the owner.
    pub owner: String,
    /// Predicate URI.
    pub predicate: String,
    /// Value.
    pub value: Value,
    /// Went.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// A link that only local has, named by its hash ([`taosync_model::canonical::link_member`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlink {
    /// Type of the owner.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Hash of the link.
    pub member: Digest,
}

/// An entity is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// Type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Number.
    pub seq: i64,
    /// URI.
    pub uri: String,
}

/// Everything of a type up to a number was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Number.
    pub seq: i64,
}

/// Where both sides must be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Per type.
    pub types: BTreeMap<EntityType, TypeEnd>,
}

/// Where one type must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeEnd {
    /// Number of the newest change.
    pub seq: i64,
    /// Sum of all members' hashes.
    pub digest: Digest,
    /// Present entities.
    pub count: i64,
}

impl Header for FeedFrame {
    fn body_len(&self) -> u64 {
        match self {
            Self::Upsert(upsert) => upsert.len,
            _ => 0,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::End(_) | Self::Failed(_))
    }
}
