//! Small texts from outside: read whole, or refused. Cutting one short would make another secret of it without a word.

use std::io::{Error, ErrorKind, Read};

use zeroize::Zeroizing;

/// Room that is there from the beginning: a text that grows leaves copies of itself behind.
const ROOM: u64 = 64 * 1024;

/// Reads a text of at most `limit` bytes. Most are secrets: it is wiped from memory when dropped.
pub fn text(from: impl Read, limit: u64) -> Result<Zeroizing<String>, Error> {
    // Unwrap safety: at most 64 KiB.
    let room = usize::try_from(limit.saturating_add(1).min(ROOM)).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(room));
    from.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        let message = format!("it has more than {limit} bytes; is it the right file?");
        return Err(Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_up_to_its_limit_and_not_cut_beyond() {
        assert_eq!(text(&b"abcd"[..], 4).unwrap().as_str(), "abcd");
        assert_eq!(text(&b"abcde"[..], 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        // A letter of two bytes that stands across the limit is too long, not broken.
        assert!(text("abc\u{e9}".as_bytes(), 4).is_err());
        assert!(text(std::io::repeat(b'x'), 4_096).is_err(), "what never ends is read no further");
    }
}
