//! `Range` of a request (RFC 9110 §14): one range of bytes. Anything else is passed over, as the RFC allows.

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

/// Which bytes to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All.
    Whole,
    /// From and to, both included.
    Bytes(u64, u64),
    /// The range lies outside.
    Unsatisfiable,
}

/// What a request wants of something with `length` bytes and this tag.
pub(crate) fn part(headers: &HeaderMap, etag: &str, length: u64) -> Part {
    if headers.get(IF_RANGE).is_some_and(|tag| tag.as_bytes() != etag.as_bytes()) {
        return Part::Whole;
    }
    let Some(text) = headers.get(RANGE).and_then(|range| range.to_str().ok()) else { return Part::Whole };
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Part::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => from(first, u64::MAX, length),
        (Some(first), Some(last)) if first <= last => from(first, last, length),
        (None, Some(suffix)) if first.is_empty() => {
            if suffix == 0 {
                Part::Unsatisfiable
            } else {
                from(length.saturating_sub(suffix), u64::MAX, length)
            }
        }
        _ => Part::Whole,
    }
}

fn from(first: u64, last: u64, length: u64) -> Part {
    if first < length { Part::Bytes(first, last.min(length - 1)) } else { Part::Unsatisfiable }
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (range, expected) in [
            ("bytes=0-0", Part::Bytes(0, 0)),
            ("bytes=2-5", Part::Bytes(2, 5)),
            ("bytes=2-", Part::Bytes(2, 9)),
            ("bytes=2-99", Part::Bytes(2, 9)),
            ("bytes=-3", Part::Bytes(7, 9)),
            ("bytes=-99", Part::Bytes(0, 9)),
            ("bytes=9-9", Part::Bytes(9, 9)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
            ("items=0-1", Part::Whole),
        ] {
            let headers = HeaderMap::from_iter([(RANGE, range.parse().unwrap())]);
            assert_eq!(part(&headers, "\"tag\"", 10), expected, "{range}");
        }
        assert_eq!(part(&HeaderMap::new(), "\"tag\"", 10), Part::Whole);
    }

    #[test]
    fn another_tag_means_the_whole() {
        let headers =
            |tag: &str| HeaderMap::from_iter([(RANGE, "bytes=2-5".parse().unwrap()), (IF_RANGE, tag.parse().unwrap())]);
        assert_eq!(part(&headers("\"tag\""), "\"tag\"", 10), Part::Bytes(2, 5));
        assert_eq!(part(&headers("\"other\""), "\"tag\"", 10), Part::Whole);
    }
}
