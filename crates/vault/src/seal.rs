//! XChaCha20-Poly1305 over length-prefixed associated data: the one cipher behind columns, chunks and sealed trees.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
/// Bytes of an authentication tag.
pub const TAG_BYTES: usize = 16;

/// Appends ciphertext and tag to `out`.
pub fn seal_onto(out: &mut Vec<u8>, key: &[u8; KEY_BYTES], nonce: [u8; NONCE_BYTES], context: &[u8], plain: &[u8]) {
    let start = out.len();
    out.extend_from_slice(plain);
    let sealed = XChaCha20Poly1305::new(key.into()).encrypt_inout_detached(
        &XNonce::from(nonce),
        context,
        (&mut out[start..]).into(),
    );
    // Unwrap safety: the cipher refuses only messages of 256 GiB and more, which no buffer here holds.
    let tag = sealed.expect("a message in memory is within the cipher's limit");
    out.extend_from_slice(&tag);
}

/// Opens ciphertext and tag; `None` when a single bit of them, of the nonce or of the context differs.
pub fn open(key: &[u8; KEY_BYTES], nonce: [u8; NONCE_BYTES], context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
    let mut plain = ciphertext.to_vec();
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&XNonce::from(nonce), context, plain.as_mut_slice().into(), &Tag::from(*tag))
        .ok()?;
    Some(plain)
}

/// Associated data of several parts, each length-prefixed, so that no two lists of parts share a form.
pub fn context(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        context.extend_from_slice(&(part.len() as u32).to_le_bytes());
        context.extend_from_slice(part);
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_is_met() {
        // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let context = hex::decode("50515253c0c1c2c3c4c5c6c7").unwrap();
        let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
        let nonce: [u8; 24] = std::array::from_fn(|i| 0x40 + i as u8);
        let mut sealed = Vec::new();
        seal_onto(&mut sealed, &key, nonce, &context, plain);
        assert_eq!(hex::encode(&sealed[..16]), "bd6d179d3e83d43b9576579493c0e939");
        assert_eq!(hex::encode(&sealed[sealed.len() - 16..]), "c0875924c1c7987947deafd8780acf49");
        assert_eq!(open(&key, nonce, &context, &sealed).as_deref(), Some(plain.as_slice()));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(context(&[b"ab", b"c"]), context(&[b"a", b"bc"]));
    }
}
