//! A node that gets a new key says with the one before that the new one follows it: so central knows the machine again,
//! and nobody else can take its place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::node_key::{self, NodeKey};

/// What a new key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The same node goes on with it, and the former key is good for nothing any more.
    SameNode,
    /// A copy becomes a node of its own; the machine it was copied from keeps its key.
    AnotherNode,
}

impl Follows {
    /// The spelling in a word and in `node.former`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SameNode => "same",
            Self::AnotherNode => "another",
        }
    }

    /// Reads the spelling.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::SameNode, Self::AnotherNode].into_iter().find(|follows| follows.as_str() == text)
    }
}

/// A key that a node had before.
#[derive(Debug)]
pub struct FormerKey {
    /// The key.
    pub key: NodeKey,
    /// What the key after it was made for.
    pub follows: Follows,
}

/// A former key that has given its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// Its public key.
    pub public: [u8; 32],
    /// What it says the new key is for.
    pub follows: Follows,
}

/// Words of former keys a node may show; who renews more often without meeting central asks there for a new consumer.
pub const MAX_FORMER: usize = 3;

/// What the former key says: `FOLLOWS.KEY.SIGNATURE`, the latter two in base64url.
pub fn vouch(former: &FormerKey, node: Uuid, new: &[u8; 32]) -> String {
    let FormerKey { key, follows } = former;
    let signature = URL_SAFE_NO_PAD.encode(key.sign(&said(*follows, node, new)));
    format!("{}.{}.{signature}", follows.as_str(), URL_SAFE_NO_PAD.encode(key.public()))
}

/// The former key that said so; `None` when the text is no such word about this node and key.
pub fn voucher(word: &str, node: Uuid, new: &[u8; 32]) -> Option<Voucher> {
    let (follows, rest) = word.split_once('.')?;
    let (key, signature) = rest.split_once('.')?;
    let follows = Follows::from_text(follows)?;
    let public = URL_SAFE_NO_PAD.decode(key).ok()?.try_into().ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    node_key::verify(&public, &said(follows, node, new), &signature).ok().map(|()| Voucher { public, follows })
}

fn said(follows: Follows, node: Uuid, new: &[u8; 32]) -> Vec<u8> {
    let purpose = format!("taosync key 1 {}\n", follows.as_str());
    [purpose.as_bytes(), node.as_bytes(), new].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(seed: u8) -> NodeKey {
        NodeKey::from_seed(&[seed; 32])
    }

    fn former(seed: u8) -> FormerKey {
        FormerKey { key: key(seed), follows: Follows::SameNode }
    }

    #[test]
    fn the_word_is_about_one_node_and_one_key() {
        let node = Uuid::from_u128(7);
        let word = vouch(&former(1), node, &key(2).public());
        let expected = Voucher { public: key(1).public(), follows: Follows::SameNode };
        assert_eq!(voucher(&word, node, &key(2).public()), Some(expected));
        assert_eq!(voucher(&word, Uuid::from_u128(8), &key(2).public()), None);
        assert_eq!(voucher(&word, node, &key(3).public()), None);
        let (_, signature) = word.rsplit_once('.').unwrap();
        let anothers = format!("same.{}.{signature}", URL_SAFE_NO_PAD.encode(key(3).public()));
        assert_eq!(voucher(&anothers, node, &key(2).public()), None);
        assert_eq!(voucher(&word.replace("same", "another"), node, &key(2).public()), None);
    }

    proptest! {
        #[test]
        fn a_changed_character_is_refused(at in 0_usize..130, with in "[A-Za-z0-9._-]") {
            let node = Uuid::from_u128(7);
            let mut word = vouch(&former(1), node, &key(2).public());
            prop_assume!(word[at..=at] != with);
            word.replace_range(at..=at, &with);
            prop_assert_eq!(voucher(&word, node, &key(2).public()), None);
        }
    }
}
