//! `POST compare`: when positions cannot be trusted, local shows what it holds, and central answers with what differs.
//! Every entity that only local has is answered by name, with `remove` or `upsert`; nothing is deleted by absence.

use serde::{Deserialize, Serialize};
use taosync_model::EntityType;

use crate::frame::Header;

/// The header line of a frame local sends. The answer is a feed stream ([`super::feed::FeedFrame`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompareFrame {
    /// Entities held of a type: the body is a row of [`Held`] entries, see [`encode_held`].
    Entities(Listing),
    /// Links held of a type: the body is a row of 32-byte link hashes.
    Links(Listing),
    /// Last frame.
    End,
}

/// A part of what local holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Bytes that follow.
    pub len: u64,
}

impl Header for CompareFrame {
    fn body_len(&self) -> u64 {
        match self {
            Self::Entities(listing) | Self::Links(listing) => listing.len,
            Self::End => 0,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::End)
    }
}

/// An entity local holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// URI.
    pub uri: String,
    /// Digest.
    pub digest: taosync_model::Digest,
}

/// Appends an entry: 32 bytes of digest, length of the URI as u16 (little endian), URI. A longer URI cannot be held.
pub fn encode_held(bytes: &mut Vec<u8>, uri: &str, digest: &taosync_model::Digest) {
    bytes.extend_from_slice(&digest.0);
    bytes.extend_from_slice(&(uri.len() as u16).to_le_bytes());
    bytes.extend_from_slice(uri.as_bytes());
}

/// Reads the entries of a body; `None` when it is malformed.
pub fn decode_held(mut bytes: &[u8]) -> Option<Vec<Held>> {
    let mut list = Vec::new();
    while !bytes.is_empty() {
        let (digest, rest) = bytes.split_at_checked(32)?;
        let (length, rest) = rest.split_at_checked(2)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let (uri, rest) = rest.split_at_checked(length)?;
        let uri = std::str::from_utf8(uri).ok()?.to_owned();
        list.push(Held { uri, digest: taosync_model::Digest::from_slice(digest).ok()? });
        bytes = rest;
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_read_back(list in proptest::collection::vec((".{0,40}", any::<[u8; 32]>()), 0..10)) {
            let mut bytes = Vec::new();
            for (uri, digest) in &list {
                encode_held(&mut bytes, uri, &taosync_model::Digest(*digest));
            }
            let read = decode_held(&bytes).unwrap();
            prop_assert_eq!(read.len(), list.len());
            for (held, (uri, digest)) in read.iter().zip(&list) {
                prop_assert_eq!((&held.uri, held.digest.0), (uri, *digest));
            }
        }

        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_held(&bytes);
        }
    }
}
