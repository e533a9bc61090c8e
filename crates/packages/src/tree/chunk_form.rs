//! What is inside a chunk before it is sealed: one byte that says how, then the bytes, compressed when that helps.

use super::{CHUNK_BYTES, ChunkRef};

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Higher levels cost far more time than they save bytes.
const LEVEL: i32 = 3;
/// Bytes sealing may add; the vault's cipher adds a 16-byte tag.
const SEALING_BYTES: u64 = 64;

/// The form of a piece.
pub(super) fn encode(piece: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let mut form = vec![ZSTD];
    form.extend(zstd::bulk::compress(piece, LEVEL)?);
    if form.len() > piece.len() {
        form.clear();
        form.push(PLAIN);
        form.extend_from_slice(piece);
    }
    Ok(form)
}

/// The piece again; `None` when the form is not one of ours or not of `plain_bytes`.
pub(super) fn decode(mut form: Vec<u8>, plain_bytes: u64) -> Option<Vec<u8>> {
    let expected = usize::try_from(plain_bytes).ok().filter(|bytes| *bytes <= CHUNK_BYTES)?;
    let piece = match *form.first()? {
        PLAIN => form.split_off(1),
        ZSTD => zstd::bulk::decompress(&form[1..], expected).ok()?,
        _ => return None,
    };
    (piece.len() == expected).then_some(piece)
}

/// Whether a chunk's sealed size can be true: a fetch of it is then bounded.
pub(super) fn is_plausible(chunk: &ChunkRef) -> bool {
    chunk.bytes > 1 && chunk.bytes <= chunk.plain_bytes + 1 + SEALING_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn compressed_only_when_that_helps() {
        assert_eq!(encode(b"ab").unwrap(), b"\0ab");
        let form = encode(&[b'a'; 1000]).unwrap();
        assert!(form[0] == ZSTD && form.len() < 100);
    }

    #[test]
    fn wrong_sizes_and_unknown_forms_are_refused() {
        let form = encode(&[b'a'; 1000]).unwrap();
        assert_eq!(decode(form.clone(), 1000), Some(vec![b'a'; 1000]));
        assert_eq!(decode(form.clone(), 999), None);
        assert_eq!(decode(form, 1001), None);
        assert_eq!(decode(vec![7, 1, 2], 2), None);
        assert_eq!(decode(vec![], 0), None);
        assert_eq!(decode(vec![PLAIN], CHUNK_BYTES as u64 + 1), None);
    }

    proptest! {
        #[test]
        fn forms_read_back(piece: Vec<u8>) {
            prop_assert_eq!(decode(encode(&piece).unwrap(), piece.len() as u64), Some(piece));
        }

        #[test]
        fn any_bytes_are_a_piece_or_nothing(form: Vec<u8>, plain_bytes in 0u64..10_000) {
            let _ = decode(form, plain_bytes);
        }
    }
}
