//! Digests and their sums: how two sides prove that they hold the same set.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A BLAKE3 hash, 32 bytes; hex in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

/// Text that is not 64 hex characters.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a digest: expected 64 hexadecimal characters")]
pub struct BadDigest;

impl Digest {
    /// Hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// A digest stored as 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, BadDigest> {
        bytes.try_into().map(Self).map_err(|_| BadDigest)
    }

    /// Lower-case hex.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({})", self.to_hex())
    }
}

impl std::str::FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadDigest)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The digest of a set: the sum modulo 2²⁵⁶ of one hash per member (DESIGN §4). Adding and removing members costs
/// the same whatever the size of the set, and the order does not matter.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SetDigest([u64; 4]);

impl SetDigest {
    /// The digest of the empty set.
    pub const EMPTY: Self = Self([0; 4]);

    /// Adds a member's hash.
    pub fn add(&mut self, member: Digest) {
        let mut carry = false;
        for (limb, word) in self.0.iter_mut().zip(words(member)) {
            let (sum, over) = limb.overflowing_add(word);
            let (sum, over_carry) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || over_carry);
        }
    }

    /// Takes a member's hash away.
    pub fn remove(&mut self, member: Digest) {
        let mut borrow = false;
        for (limb, word) in self.0.iter_mut().zip(words(member)) {
            let (rest, under) = limb.overflowing_sub(word);
            let (rest, under_borrow) = rest.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (rest, under || under_borrow);
        }
    }

    /// The 32 bytes that are stored and sent, least significant first.
    pub fn to_digest(self) -> Digest {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        Digest(bytes)
    }

    /// Reads back what [`SetDigest::to_digest`] gave.
    pub fn from_digest(digest: Digest) -> Self {
        Self(words(digest))
    }
}

impl std::fmt::Debug for SetDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SetDigest({})", self.to_digest())
    }
}

fn words(digest: Digest) -> [u64; 4] {
    std::array::from_fn(|i| {
        let mut word = [0; 8];
        word.copy_from_slice(&digest.0[i * 8..i * 8 + 8]);
        u64::from_le_bytes(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sum_wraps_at_two_to_the_256() {
        let mut sum = SetDigest::EMPTY;
        sum.add(Digest([0xff; 32]));
        let mut one = [0; 32];
        one[0] = 1;
        sum.add(Digest(one));
        assert_eq!(sum, SetDigest::EMPTY);
        sum.remove(Digest(one));
        assert_eq!(sum.to_digest(), Digest([0xff; 32]));
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_removal_undoes(a: [u8; 32], b: [u8; 32], c: [u8; 32]) {
            let (a, b, c) = (Digest(a), Digest(b), Digest(c));
            let mut left = SetDigest::EMPTY;
            for d in [a, b, c] { left.add(d); }
            let mut right = SetDigest::EMPTY;
            for d in [c, a, b] { right.add(d); }
            prop_assert_eq!(left, right);
            left.remove(b);
            let mut rest = SetDigest::EMPTY;
            rest.add(a);
            rest.add(c);
            prop_assert_eq!(left, rest);
            prop_assert_eq!(SetDigest::from_digest(left.to_digest()), left);
        }
    }
}
