//! Packages: delivery keys, and chunks of ciphertext (DESIGN §6).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use taosync_model::Digest;

use crate::frame::Header;

/// Chunks asked for in one request at most.
pub const MAX_CHUNKS: usize = 1_000;

/// `POST delivery-keys`: which keys are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysWanted {
    /// Deliveries and versions.
    pub deliveries: Vec<KeyWanted>,
    /// The one of them whose chunks are to be named too, should its key be withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks_of: Option<String>,
}

/// One wanted key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyWanted {
    /// Delivery URI.
    pub uri: String,
    /// Version of its package.
    pub version: u32,
}

/// The answer: keys sealed to the asking node. What the node may not see is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Sealed keys.
    pub keys: Vec<SealedKey>,
    /// Packages whose key is withheld until their release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locked: Vec<LockedKey>,
}

/// A package before its release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedKey {
    /// Delivery URI.
    pub uri: String,
    /// Version of its package.
    pub version: u32,
    /// From then on the key is handed out.
    pub release_at: Timestamp,
    /// The key under the node's key and its unlock code: `age` file, base64. None when there are no codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// Names and bytes of its chunks, when they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<(Digest, u64)>,
}

/// A delivery key sealed to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// Delivery URI.
    pub uri: String,
    /// Version of its package.
    pub version: u32,
    /// `age` file, base64.
    pub sealed: String,
}

/// `POST chunks`: which chunks are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunksWanted {
    /// Names, at most [`MAX_CHUNKS`].
    pub names: Vec<Digest>,
}

/// The header line of a frame of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChunkFrame {
    /// A chunk; the body is its ciphertext.
    Chunk(ChunkHead),
    /// There is no such chunk for this org.
    Missing(Digest),
    /// Last frame.
    End,
}

/// Name and length of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkHead {
    /// Name: hash of the ciphertext.
    pub name: Digest,
    /// Bytes that follow.
    pub len: u64,
}

impl Header for ChunkFrame {
    fn body_len(&self) -> u64 {
        match self {
            Self::Chunk(head) => head.len,
            Self::Missing(_) | Self::End => 0,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::End)
    }
}
