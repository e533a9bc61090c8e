//! `POST compare…`: when positions cannot be trusted, both sides find out what differs, and central answers with that.
//!
//! First rounds of set reconciliation (`compare/round`), or, when those do not come to an end, the whole list of what
//! local holds (`compare/listing`). Then local asks by name (`compare`). Every entity that only local has is answered by
//! name, with `remove` or `upsert`; nothing is deleted by absence.

use serde::{Deserialize, Serialize};
use taosync_model::scope::Positions;
use taosync_model::{Digest, EntityType};
use uuid::Uuid;

use crate::frame::Header;

/// Bytes of a message of the reconciliation at most; senders keep below [`MESSAGE_BYTES`].
pub const MAX_MESSAGE: usize = 1024 * 1024;
/// What senders limit their messages to; the last range of a message may exceed it by some kilobytes.
pub const MESSAGE_BYTES: usize = 512 * 1024;
/// Entities and links of an org that can be compared at most: bounds memory on both sides (40 bytes each).
pub const MAX_ITEMS: usize = 4_000_000;
/// Bytes of all names in one question at most.
pub const MAX_NAMES: usize = 64 * 1024 * 1024;
/// Bytes of a frame with ids or names that senders make.
pub const PART_BYTES: usize = 1024 * 1024;
/// Bytes of such a frame that are taken: a part, and the longest name that may go beyond it. Names are read into lists that
/// are larger than their bytes.
pub const MAX_PART: usize = PART_BYTES + 2 + u16::MAX as usize;
/// Bytes of an id.
pub const ID_BYTES: usize = 32;

/// The one frame of a round, in both directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoundFrame {
    /// The body is a message of the reconciliation (negentropy, version 1).
    Message(Message),
}

/// A message of the reconciliation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Where central stood before it read its side; absent in what local sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand: Option<Stand>,
    /// Bytes that follow.
    pub len: u64,
}

/// Where central stood: everything that differs from what it said lies behind these positions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// Identity of the history.
    pub epoch: Uuid,
    /// Newest number per type, as in [`Positions::to_text`].
    pub after: String,
}

impl Stand {
    /// The positions; `None` when they cannot be read.
    pub fn positions(&self) -> Option<Positions> {
        Positions::from_text(&self.after).ok()
    }
}

/// What local sends to `compare/listing`: the ids of all it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListingFrame {
    /// The body is a row of ids.
    Items(Part),
    /// Last frame.
    End,
}

/// What central answers to a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedFrame {
    /// Ids of what local lacks.
    Missing(Part),
    /// Ids of what only local has.
    Surplus(Part),
    /// Last frame.
    End(Stand),
}

/// What local asks for at `compare`; the answer is a feed stream ([`super::feed::FeedFrame`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskFrame {
    /// Entities by name: the body is a row of URIs, see [`encode_uri`].
    Entities(TypePart),
    /// Links that only local has: the body is a row of 32-byte link hashes.
    Links(TypePart),
    /// What local lacks: the body is a row of ids.
    Items(Part),
    /// Last frame.
    End,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Bytes that follow.
    pub len: u64,
}

/// A part of a list of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypePart {
    /// Type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Bytes that follow.
    pub len: u64,
}

impl Header for RoundFrame {
    fn body_len(&self) -> u64 {
        let Self::Message(message) = self;
        message.len
    }

    fn is_last(&self) -> bool {
        true
    }
}

impl Header for ListingFrame {
    fn body_len(&self) -> u64 {
        match self {
            Self::Items(part) => part.len,
            Self::End => 0,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::End)
    }
}

impl Header for ListedFrame {
    fn body_len(&self) -> u64 {
        match self {
            Self::Missing(part) | Self::Surplus(part) => part.len,
            Self::End(_) => 0,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::End(_))
    }
}

impl Header for AskFrame {
    fn body_len(&self) -> u64 {
        match self {
            Self::Entities(part) | Self::Links(part) => part.len,
            Self::Items(part) => part.len,
            Self::End => 0,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::End)
    }
}

/// Appends a URI: its length as u16 (little endian), then its bytes. A longer URI cannot be held.
pub fn encode_uri(bytes: &mut Vec<u8>, uri: &str) {
    bytes.extend_from_slice(&(uri.len() as u16).to_le_bytes());
    bytes.extend_from_slice(uri.as_bytes());
}

/// Reads the URIs of a body; `None` when it is malformed or too long.
pub fn decode_uris(mut bytes: &[u8]) -> Option<Vec<String>> {
    if bytes.len() > MAX_PART {
        return None;
    }
    let mut list = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at_checked(2)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let (uri, rest) = rest.split_at_checked(length)?;
        list.push(std::str::from_utf8(uri).ok()?.to_owned());
        bytes = rest;
    }
    Some(list)
}

/// Reads the ids of a body; `None` when it is malformed or too long.
pub fn decode_ids(bytes: &[u8]) -> Option<Vec<[u8; ID_BYTES]>> {
    let (ids, rest) = bytes.as_chunks::<ID_BYTES>();
    (rest.is_empty() && bytes.len() <= MAX_PART).then(|| ids.to_vec())
}

/// Reads the link hashes of a body; `None` when it is malformed or too long.
pub fn decode_members(bytes: &[u8]) -> Option<Vec<Digest>> {
    decode_ids(bytes).map(|ids| ids.into_iter().map(Digest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_read_back(list in proptest::collection::vec(".{0,40}", 0..10)) {
            let mut bytes = Vec::new();
            for uri in &list {
                encode_uri(&mut bytes, uri);
            }
            prop_assert_eq!(decode_uris(&bytes).unwrap(), list);
        }

        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_uris(&bytes);
            prop_assert_eq!(decode_ids(&bytes).is_some(), bytes.len() % ID_BYTES == 0);
        }
    }
    #[test]
    fn parts_are_taken_up_to_their_limit() {
        let ids = |length: usize| decode_ids(&vec![0; length]).map(|ids| ids.len());
        let most = MAX_PART / ID_BYTES * ID_BYTES;
        assert_eq!((ids(most), ids(most + ID_BYTES)), (Some(MAX_PART / ID_BYTES), None));
        let names = |length: usize| {
            let mut bytes = Vec::new();
            (0..length / 65_537).for_each(|_| encode_uri(&mut bytes, &"x".repeat(65_535)));
            let rest = length - bytes.len();
            encode_uri(&mut bytes, &"x".repeat(rest - 2));
            assert_eq!(bytes.len(), length);
            decode_uris(&bytes).map(|names| names.len())
        };
        assert_eq!(names(MAX_PART), Some(17));
        assert_eq!(names(MAX_PART + 1), None);
    }
}
