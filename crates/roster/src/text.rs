//! From bytes to text, and which character separates the cells.

use crate::problem::Problems;

const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];
const SAVE_AS_UTF8: &str = "save the file as CSV UTF-8 (in a spreadsheet: Save as, CSV UTF-8) and import that";

/// The text without byte order mark; any other encoding becomes a problem that names it.
pub(crate) fn decode<'a>(bytes: &'a [u8], problems: &mut Problems) -> Option<&'a str> {
    if let Some(what) = foreign(bytes) {
        problems.line(1, format!("this is {what}, not a CSV file in UTF-8"), SAVE_AS_UTF8);
        return None;
    }
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].split(|b| *b == b'\n').count() as u64;
            let message = "the file is not UTF-8; an accent here looks like Latin-1 (ISO 8859-1 or Windows-1252)";
            problems.line(line, message, SAVE_AS_UTF8);
            None
        }
    }
}

/// What the first bytes give away.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let zeros = |odd: usize| bytes.iter().take(64).enumerate().filter(|(at, b)| at % 2 == odd && **b == 0).count();
    match bytes {
        [0xFF, 0xFE, ..] => Some("UTF-16 (little endian)"),
        [0xFE, 0xFF, ..] => Some("UTF-16 (big endian)"),
        [b'P', b'K', 3, 4, ..] => Some("a zipped workbook (such as .xlsx or .ods)"),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => Some("an old workbook (.xls)"),
        _ if zeros(1) > 1 && zeros(0) == 0 => Some("UTF-16 (little endian, without mark)"),
        _ if zeros(0) > 1 && zeros(1) == 0 => Some("UTF-16 (big endian, without mark)"),
        _ if bytes.iter().take(4096).any(|b| *b == 0) => Some("a binary file"),
        _ => None,
    }
}

/// Comma, semicolon or tab: whichever the first line has most of, outside quotes.
pub(crate) fn delimiter(text: &str) -> u8 {
    let first = text.trim_start_matches(['\r', '\n']).lines().next().unwrap_or("");
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in first.bytes() {
        quoted ^= byte == b'"';
        if !quoted && let Some((_, count)) = counts.iter_mut().find(|(d, _)| *d == byte) {
            *count += 1;
        }
    }
    // `max_by_key` takes the last of equals; reversed, a comma wins a tie.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(d, _)| *d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(bytes: &[u8]) -> String {
        let mut problems = Problems::of("f.csv");
        assert!(decode(bytes, &mut problems).is_none());
        problems.or(()).expect_err("refused")[0].to_string()
    }

    #[test]
    fn other_encodings_are_named() {
        assert!(complaint(b"\xFF\xFEl\0a\0").contains("UTF-16 (little endian)"));
        assert!(complaint(b"\xFE\xFF\0l\0a").contains("UTF-16 (big endian)"));
        assert!(complaint(b"l\0a\0b\0e\0l\0").contains("without mark"));
        assert!(complaint(b"PK\x03\x04....").contains("workbook"));
        assert!(complaint(b"a\x00\x01\x00\x00b\x00").contains("binary"));
        let latin1 = complaint(b"label,login\nx,y\nfran\xE7ois,z\n");
        assert!(latin1.starts_with("f.csv:3") && latin1.contains("Latin-1"), "{latin1}");
    }

    #[test]
    fn a_byte_order_mark_is_taken_off() {
        let mut problems = Problems::of("f.csv");
        assert_eq!(decode(b"\xEF\xBB\xBFlabel", &mut problems), Some("label"));
    }

    #[test]
    fn delimiters_are_told_apart_outside_quotes() {
        assert_eq!(delimiter("label,login,mail\n1;2"), b',');
        assert_eq!(delimiter("label;login;mail"), b';');
        assert_eq!(delimiter("label\tlogin"), b'\t');
        assert_eq!(delimiter("\"a,b,c\";d;e"), b';');
        assert_eq!(delimiter("label"), b',');
    }
}
