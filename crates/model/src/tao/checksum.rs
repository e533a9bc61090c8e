//! TAO's checksum of an entity (WIRE §4): what a TAO client compares to see that nothing has changed. It proves nothing
//! against malice; our own digests do.

use md5::{Digest as _, Md5};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Properties;

/// An MD5 hash, 16 bytes; lower-case hex in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaoChecksum(pub [u8; 16]);

/// Text that is not 32 hexadecimal characters.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a checksum of TAO: expected 32 hexadecimal characters")]
pub struct BadChecksum;

impl TaoChecksum {
    /// The checksum of merged properties.
    pub fn of(properties: &Properties) -> Self {
        Self(Md5::digest(properties.serialised()).into())
    }

    /// A checksum stored as 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, BadChecksum> {
        bytes.try_into().map(Self).map_err(|_| BadChecksum)
    }
}

impl std::fmt::Display for TaoChecksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for TaoChecksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaoChecksum({self})")
    }
}

impl std::str::FromStr for TaoChecksum {
    type Err = BadChecksum;

    fn from_str(text: &str) -> Result<Self, BadChecksum> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadChecksum)?;
        Ok(Self(bytes))
    }
}

impl Serialize for TaoChecksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaoChecksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
