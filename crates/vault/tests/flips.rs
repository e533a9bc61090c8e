//! Any flipped bit anywhere is refused, in what is not checked so beside its own code: tokens, signatures of receipts and
//! of what is handed in, the texts of an audit entry, sealed files and backups.

use std::io::{Read as _, Write as _};
use std::sync::LazyLock;

use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};
use taosync_model::audit::AuditHead;
use taosync_model::item::{Envelope, ItemKind};
use taosync_model::{Digest, OrgId};
use taosync_vault::audit_chain::{self, Link};
use taosync_vault::backup_seal::{self, Opening, Seal};
use taosync_vault::node_identity::NodeIdentity;
use taosync_vault::node_key::{self, NodeKey};
use taosync_vault::sealed_file::{decrypt, encrypt_to};
use taosync_vault::tokens::TokenHash;
use taosync_vault::{item_proof, random};
use uuid::Uuid;

static IDENTITY: LazyLock<NodeIdentity> = LazyLock::new(NodeIdentity::generate);

fn flipped(bytes: &[u8], bit: prop::sample::Index) -> Vec<u8> {
    let (bit, mut bytes) = (bit.index(bytes.len() * 8), bytes.to_vec());
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn opened(sealed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    backup_seal::open(&Opening::Identity(IDENTITY.to_text()), sealed).ok()?.read_to_end(&mut plain).ok()?;
    Some(plain)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_token_is_itself_or_nothing(bit: prop::sample::Index) {
        let token = random::token();
        let kept = TokenHash::of(&token);
        // A token is ASCII: the highest bit would not be text.
        let mut other = token.expose_secret().to_owned().into_bytes();
        let bit = bit.index(other.len() * 7);
        other[bit / 7] ^= 1 << (bit % 7);
        let other = SecretString::from(String::from_utf8(other).unwrap());
        prop_assert!(TokenHash::matches(&token, &kept) && !TokenHash::matches(&other, &kept));
    }

    #[test]
    fn a_kept_hash_of_a_token_is_itself_or_nothing(bit: prop::sample::Index) {
        let token = random::token();
        prop_assert!(!TokenHash::matches(&token, &flipped(&TokenHash::of(&token), bit)));
    }

    #[test]
    fn a_signature_and_its_message_and_key_are_themselves_or_nothing(message: Vec<u8>, bit: prop::sample::Index) {
        let key = NodeKey::generate();
        let message = [message.as_slice(), b"."].concat();
        let signature = key.sign(&message);
        prop_assert!(node_key::verify(&key.public(), &message, &flipped(&signature, bit)).is_err());
        prop_assert!(node_key::verify(&key.public(), &flipped(&message, bit), &signature).is_err());
        let other: [u8; 32] = flipped(&key.public(), bit).try_into().unwrap();
        prop_assert!(node_key::verify(&other, &message, &signature).is_err());
    }

    #[test]
    fn the_signature_of_what_is_handed_in_is_itself_or_nothing(payload: Vec<u8>, bit: prop::sample::Index) {
        let key = NodeKey::generate();
        let envelope = |number: u128| {
            let (item, origin) = (Uuid::from_u128(number), Uuid::from_u128(9));
            Envelope::first(ItemKind::Attempt, item, OrgId::new("a").unwrap(), origin, &payload)
        };
        let envelopes = [envelope(1), envelope(2), envelope(3)];
        let leaves: Vec<Digest> = envelopes.iter().map(item_proof::leaf_of).collect();
        let text = item_proof::sign_batch(&key, &leaves);
        let signature = item_proof::verify_batch(&key.public(), &text, &leaves).unwrap();
        let other = hex::encode(flipped(&signature, bit));
        prop_assert!(item_proof::verify_batch(&key.public(), &other, &leaves).is_err());
        let proof = item_proof::proof_of(&key.public(), &signature, &leaves, 1).unwrap();
        let [_, second, _] = envelopes;
        prop_assert!(item_proof::verify(&key.public(), &second, &proof).is_ok());
        let changed = |digest: &Digest| Digest(flipped(&digest.0, bit).try_into().unwrap());
        let mut wrong = second.clone();
        wrong.digest = changed(&second.digest);
        prop_assert!(item_proof::verify(&key.public(), &wrong, &proof).is_err());
        for step in 0..proof.path.len() {
            let mut wrong = proof.clone();
            wrong.path[step] = changed(&proof.path[step]);
            prop_assert!(item_proof::verify(&key.public(), &second, &wrong).is_err());
        }
    }

    #[test]
    fn an_entry_of_the_audit_log_is_itself_or_breaks_the_chain(texts in "[a-z]{1,9}", bit: prop::sample::Index) {
        let previous = AuditHead { no: 6, digest: Digest::of(b"before") };
        let link = |texts: [&str; 4], previous: AuditHead, at: i64| Link { previous, at, texts }.head();
        let [a, b, c, d] = ["actor", "act", &texts, "{}"];
        let head = link([a, b, c, d], previous, 5);
        let mut other = texts.clone().into_bytes();
        let bit_of_text = bit.index(other.len() * 7);
        other[bit_of_text / 7] ^= 1 << (bit_of_text % 7);
        let other = String::from_utf8(other).unwrap();
        prop_assert_ne!(link([a, b, &other, d], previous, 5), head);
        let before = AuditHead { digest: Digest(flipped(&previous.digest.0, bit).try_into().unwrap()), ..previous };
        prop_assert_ne!(link([a, b, c, d], before, 5), head);
        prop_assert_ne!(link([a, b, c, d], previous, 5 ^ (1 << bit.index(62))), head);
        let key = NodeKey::generate();
        let signature = audit_chain::sign(&key, &head);
        let wrong = AuditHead { digest: Digest(flipped(&head.digest.0, bit).try_into().unwrap()), ..head };
        prop_assert!(audit_chain::verify(&key.public(), &wrong, &signature).is_err());
    }

    #[test]
    fn a_sealed_file_opens_as_it_was_or_not_at_all(plain: Vec<u8>, bit: prop::sample::Index) {
        let sealed = encrypt_to(&[IDENTITY.recipient()], &plain).unwrap();
        prop_assert_eq!(decrypt(&IDENTITY, &sealed, 1 << 20).unwrap(), plain);
        prop_assert!(decrypt(&IDENTITY, &flipped(&sealed, bit), 1 << 20).is_err());
    }

    #[test]
    fn a_backup_opens_as_it_was_or_not_at_all(bit: prop::sample::Index) {
        // Two pieces of 64 KiB and a part: a bit in any is noticed.
        let plain = vec![7; 150_000];
        let mut writer = backup_seal::seal(&Seal::Recipients(vec![IDENTITY.recipient()]), Vec::new()).unwrap();
        writer.write_all(&plain).unwrap();
        let sealed = writer.finish().unwrap();
        prop_assert_eq!(opened(&sealed), Some(plain));
        prop_assert_eq!(opened(&flipped(&sealed, bit)), None);
    }
}
