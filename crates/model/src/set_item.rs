//! Members of an org's set as two sides compare them when positions cannot be trusted (DESIGN §4): each has a place in an
//! order that both sides know, and an id that stands for its type, its name and its content.

use crate::{Digest, EntityType};

/// Bits of a place that come from a hash; above them stands the type.
const HASH_BITS: u32 = 24;

/// An entity or a link as a member of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetItem {
    /// Where it stands: the types one after the other, and two versions of one entity side by side, so that a changed
    /// entity is one difference and not two.
    pub place: u64,
    /// Hash of the type and of the member ([`crate::canonical::entry_member`], [`crate::canonical::link_member`]).
    pub id: [u8; 32],
}

impl SetItem {
    /// An entity; `member` is the hash of its entry in the set digest.
    pub fn entity(entity_type: EntityType, uri: &str, member: Digest) -> Self {
        let id = id_of(entity_type, member);
        Self { place: place_of(entity_type, blake3::hash(uri.as_bytes()).as_bytes()), id }
    }

    /// A link; `member` is its hash in the set digest.
    pub fn link(entity_type: EntityType, member: Digest) -> Self {
        let id = id_of(entity_type, member);
        Self { place: place_of(entity_type, &id), id }
    }
}

fn place_of(entity_type: EntityType, hash: &[u8; 32]) -> u64 {
    let bits = u64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])) >> (32 - HASH_BITS);
    (entity_type.code().unsigned_abs() << HASH_BITS) | bits
}

fn id_of(entity_type: EntityType, member: Digest) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"taosync item 1");
    hasher.update(&[entity_type.code() as u8]);
    hasher.update(&member.0);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::{entry_member, link_member};
    use crate::{EntityType, Value};

    #[test]
    fn versions_of_an_entity_stand_side_by_side_and_types_apart() {
        let of = |t, uri: &str, text: &str| SetItem::entity(t, uri, entry_member(uri, Digest::of(text.as_bytes())));
        let (old, new) = (of(EntityType::Proctor, "u", "1"), of(EntityType::Proctor, "u", "2"));
        assert_eq!(old.place, new.place);
        assert_ne!(old.id, new.id);
        let other = of(EntityType::TestTaker, "u", "1");
        assert!(other.place > old.place);
        assert_ne!(other.id, old.id, "one entity of two types is two members");
        assert!(of(EntityType::Class, "v", "1").place < 1 << HASH_BITS);
    }

    #[test]
    fn the_form_is_fixed() {
        let member = link_member("owner", "predicate", &Value::plain("value"));
        let item = SetItem::link(EntityType::Eligibility, member);
        assert_eq!(item.place, 89_708_213);
        assert_eq!(hex::encode(item.id), "58d6b5b89856285f43ce93a272cfcb310bd06441bf3a7c3519be62fe765f3acc");
    }
}
