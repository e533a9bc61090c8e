//! Parameters in an address, nested as PHP writes them: `params[box_id]=…`.

use std::fmt::Write as _;

/// Parameters an address may have.
const MOST: usize = 1_000;
/// Where a page begins, counted.
const OFFSET: &str = "params[offset]";
/// Added to the address of the next page: where it begins, so that a page does not shift when data change. A box calls
/// the address as it is, as it does with any other.
const AFTER: &str = "params[taosync_after]";

/// The parameters of an address, in order. `Debug` shows their names only: one can be a client's secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Query")?;
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Query {
    /// Reads what stands after `?`.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MOST);
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// A parameter; of several with the same name the last one counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of `params`.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.get(&format!("params[{name}]"))
    }

    /// Where the page begins, as [`Query::next_page`] said.
    pub fn after(&self) -> Option<&str> {
        self.get(AFTER)
    }

    /// The same request for the page that begins at `offset`, or rather after `after`: the type, then all of `params` in
    /// their order.
    pub fn next_page(&self, offset: u64, after: &str) -> String {
        let mut next = Self(self.0.iter().filter(|(name, _)| name.starts_with("params[")).cloned().collect());
        next.set(OFFSET, offset.to_string());
        next.set(AFTER, after.to_owned());
        let mut text = format!("type={}", encode(self.get("type").unwrap_or_default()));
        for (name, value) in &next.0 {
            // Writing into memory does not fail.
            let _ = write!(text, "&{}={}", encode(name), encode(value));
        }
        text
    }

    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(pair) => pair.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |place: usize| char::from(*bytes.get(at + place)?).to_digit(16);
        match (bytes[at], digit(1).zip(digit(2))) {
            (b'+', _) => out.push(b' '),
            (b'%', Some((high, low))) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// As PHP's `urlencode`: letters, digits, `-`, `_` and `.` stay, a space is `+`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // As above.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn debug_shows_no_values() {
        let shown = format!("{:?}", Query::parse("client_id=key&client_secret=hush"));
        assert_eq!(shown, r#"Query["client_id", "client_secret"]"#);
    }

    #[test]
    fn the_next_page_repeats_what_was_asked() {
        let asked = "type=test-taker&x=1&params%5Borganisation_id%5D=ORG+7&params%5Btao_version%5D=2024.04+LTS";
        let query = Query::parse(asked);
        assert_eq!((query.get("type"), query.param("organisation_id")), (Some("test-taker"), Some("ORG 7")));
        let next = query.next_page(100, "77");
        assert_eq!(
            next,
            "type=test-taker&params%5Borganisation_id%5D=ORG+7&params%5Btao_version%5D=2024.04+LTS&params%5Boffset%5D=100&params%5Btaosync_after%5D=77"
        );
        let query = Query::parse(&next);
        assert_eq!((query.param("offset"), query.after()), (Some("100"), Some("77")));
        assert!(query.next_page(200, "99").ends_with("params%5Boffset%5D=200&params%5Btaosync_after%5D=99"));
    }

    #[test]
    fn what_is_not_encoded_right_stays() {
        assert_eq!(Query::parse("a=%zz%4&b=%+1&=&c").get("a"), Some("%zz%4"));
        assert_eq!(Query::parse("b=%+1").get("b"), Some("% 1"));
        assert_eq!(Query::parse("a=1&a=2").get("a"), Some("2"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".{0,60}") {
            let _ = Query::parse(&text).next_page(1, "");
        }

        #[test]
        fn what_is_encoded_reads_back(name in "[a-z\\[\\]]{1,8}", value in ".{0,30}") {
            let query = Query::parse(&format!("{}={}", encode(&name), encode(&value)));
            prop_assert_eq!(query.get(&name), Some(value.as_str()));
        }
    }
}
