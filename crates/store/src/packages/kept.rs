//! The list of files and the compiled form, as they are kept: compressed, as the compiled form of a large test has
//! megabytes of JSON.

/// Begins everything that zstd compressed (RFC 8878 §3.1.1); no JSON begins so.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// Higher levels save little more of this, and take longer than writing it.
const LEVEL: i32 = 1;

/// JSON in the form in which it is sealed and kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept(Vec<u8>);

impl Kept {
    /// Compresses JSON.
    pub fn of(json: &[u8]) -> Self {
        Self(zstd::bulk::compress(json, LEVEL).unwrap_or_else(|_| json.to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The JSON again. What is not compressed is what an older program kept.
pub(super) fn json(kept: Vec<u8>) -> std::io::Result<Vec<u8>> {
    if kept.starts_with(&MAGIC) { zstd::stream::decode_all(&kept[..]) } else { Ok(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_reads_back_and_what_was_kept_uncompressed_too() {
        for text in ["", "{}", &format!("[{}0]", "1,".repeat(10_000))] {
            let kept = Kept::of(text.as_bytes());
            assert!(kept.bytes().starts_with(&MAGIC));
            assert_eq!(json(kept.bytes().to_vec()).unwrap(), text.as_bytes());
            assert_eq!(json(text.as_bytes().to_vec()).unwrap(), text.as_bytes());
        }
        assert!(Kept::of(&[b'1'; 10_000]).bytes().len() < 100);
    }

    #[test]
    fn what_was_cut_short_is_an_error() {
        let kept = Kept::of(b"{\"form\":2}");
        assert!(json(kept.bytes()[..kept.bytes().len() - 1].to_vec()).is_err());
    }
}
