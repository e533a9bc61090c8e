//! The canonical form: the bytes whose BLAKE3 hash is an entity's digest (DESIGN §4).
//!
//! Every part is length-prefixed (u64, little endian), so no two different entities share a form. Predicates and
//! values are sorted as multisets; languages and unknown fields are included; Unicode is not normalised. Long value
//! lists travel as links and have digests of their own, so they are not part of the owner's form.

use crate::Digest;
use crate::entity::{Entity, Value};

/// Version of this form, announced in `hello`. A change of a single byte above needs a new number.
pub const DIGEST_VERSION: u32 = 1;

/// A predicate with more values than this is stored and sent as links.
pub const MAX_INLINE_VALUES: usize = 256;

struct Form(blake3::Hasher);

impl Form {
    fn new(domain: &str) -> Self {
        let mut form = Self(blake3::Hasher::new());
        form.part(domain.as_bytes());
        form
    }

    fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    fn number(&mut self, number: usize) -> &mut Self {
        self.0.update(&(number as u64).to_le_bytes());
        self
    }

    fn value(&mut self, value: &Value) -> &mut Self {
        self.part(value.text.as_bytes());
        match &value.lang {
            None => self.number(0),
            Some(lang) => self.number(1).part(lang.as_bytes()),
        }
    }

    fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// The digest of an entity.
pub fn entity_digest(entity: &Entity) -> Digest {
    let mut form = Form::new("taosync entity 1");
    form.part(entity.uri.as_bytes()).part(entity.class.as_bytes());
    let mut properties: Vec<_> = entity.properties.iter().collect();
    properties.sort_unstable_by(|a, b| a.predicate.cmp(&b.predicate));
    form.number(properties.len());
    for property in properties {
        form.part(property.predicate.as_bytes()).number(property.values.len());
        let mut values: Vec<_> = property.values.iter().collect();
        values.sort_unstable();
        for value in values {
            form.value(value);
        }
    }
    let package = entity.package.as_ref().map(|p| ("package".to_owned(), p.to_json()));
    let mut other: Vec<_> = entity.other.iter().map(|(k, v)| (k.clone(), v.clone())).chain(package).collect();
    other.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    form.number(other.len());
    for (key, value) in other {
        form.part(key.as_bytes()).part(value.to_string().as_bytes());
    }
    form.finish()
}

/// What a present entity adds to the digest of its scope and type.
pub fn entry_member(uri: &str, digest: Digest) -> Digest {
    Form::new("taosync entry 1").part(uri.as_bytes()).part(&digest.0).finish()
}

/// What a link adds to the digest of its owner's scope and type.
pub fn link_member(owner: &str, predicate: &str, value: &Value) -> Digest {
    Form::new("taosync link 1").part(owner.as_bytes()).part(predicate.as_bytes()).value(value).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_form_is_fixed() {
        let entity =
            Entity::new("http://example.org/e#1", "http://example.org/c").with("http://p", "a").with("http://p", "b");
        assert_eq!(
            entity_digest(&entity).to_hex(),
            "a24aab50ac6b62f8d3049c589f797513d880ec194b97a522774048d5c794cc30",
            "changing the canonical form needs a new DIGEST_VERSION"
        );
    }

    #[test]
    fn the_form_of_a_package_is_fixed_too() {
        let mut entity = Entity::new("http://example.org/d#1", "http://example.org/c");
        entity.package = Some(crate::delivery::PackageRef {
            version: 2,
            tree_digest: Digest([1; 32]),
            compiled_digest: Digest([2; 32]),
            compiler: 1,
            sealed_tree: Digest([3; 32]),
            sealed_tree_bytes: 10,
            files: 3,
            bytes: 99,
        });
        assert_eq!(
            entity_digest(&entity).to_hex(),
            "3dd850e54b47bbbafba6438d75b63c2f76418ed0f9e4aabcb488ccc97a7085d1",
            "keys of JSON objects must stay sorted: is serde_json's preserve_order on?"
        );
    }

    #[test]
    fn language_duplicates_and_unknown_fields_count() {
        let plain = Entity::new("u", "c").with("p", "a");
        let twice = plain.clone().with("p", "a");
        let mut french = Entity::new("u", "c");
        french.push("p", Value { text: "a".into(), lang: Some("fr".into()) });
        let mut later = plain.clone();
        later.other.insert("later".into(), 1.into());
        let digests = [&plain, &twice, &french, &later].map(entity_digest);
        for (i, a) in digests.iter().enumerate() {
            for b in &digests[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    proptest! {
        #[test]
        fn order_of_predicates_and_values_does_not_matter(mut values in proptest::collection::vec("[a-c]{0,2}", 0..6)) {
            let build = |values: &[String], first: &str, second: &str| {
                let mut entity = Entity::new("u", "c");
                for predicate in [first, second] {
                    for value in values { entity.push(predicate, Value::plain(value)); }
                }
                entity
            };
            let forward = entity_digest(&build(&values, "p", "q"));
            values.reverse();
            prop_assert_eq!(forward, entity_digest(&build(&values, "q", "p")));
        }
    }
}
