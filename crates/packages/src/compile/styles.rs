//! Stylesheets: which files they name. A scan, not a parser: strings and comments are told apart, nothing else.

use super::media::{Need, Shown};
use super::{Source, unreadable};
use crate::limits;
use crate::problem::CheckReport;

/// What a stylesheet of the package names.
pub(super) fn shown_by(files: &dyn Source, path: &str, report: &mut CheckReport) -> Shown {
    let mut shown = Shown::default();
    let bytes = match files.read(path, limits::STYLE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.push(unreadable(path, error));
            return shown;
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut line = 1;
    let mut counted = 0;
    for (at, written) in references(&text) {
        line += text[counted..at].matches('\n').count();
        counted = at;
        let need = if has_ending(&written, ".css") { Need::Styles } else { Need::Looks };
        let problem = shown.name(files, path, &written, need);
        report.extend(problem.map(|problem| problem.in_file(path).at_line(line as u32)));
    }
    shown
}

fn has_ending(written: &str, ending: &str) -> bool {
    let path = written.split(['?', '#']).next().unwrap_or_default();
    path.len() >= ending.len() && path.as_bytes()[path.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
}

/// What `url(…)` and `@import "…"` name, with the offset of each.
pub(super) fn references(css: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut at, mut is_import) = (0, false);
    while at < css.len() {
        let rest = &css.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            at += 2 + css[at + 2..].find("*/").map_or(css.len() - at - 2, |end| end + 2);
        } else if starts_with(rest, b"url(") {
            let (written, end) = address(css, at + 4);
            found.push((at, written));
            (at, is_import) = (end, false);
        } else if matches!(rest[0], b'"' | b'\'') {
            let (written, end) = string(css, at);
            if is_import {
                found.push((at, written));
            }
            (at, is_import) = (end, false);
        } else {
            is_import = (is_import && rest[0].is_ascii_whitespace()) || starts_with(rest, b"@import");
            at += if starts_with(rest, b"@import") { 7 } else { 1 };
            while !css.is_char_boundary(at) {
                at += 1;
            }
        }
    }
    found.retain(|(_, written)| !written.trim().is_empty());
    found
}

fn starts_with(bytes: &[u8], start: &[u8]) -> bool {
    bytes.len() >= start.len() && bytes[..start.len()].eq_ignore_ascii_case(start)
}

/// What stands in the parentheses of `url(` from there on, and where it ends.
fn address(css: &str, from: usize) -> (String, usize) {
    let start = from + css[from..].len() - css[from..].trim_start().len();
    if css[start..].starts_with(['"', '\'']) {
        return string(css, start);
    }
    let end = css[start..].find(')').map_or(css.len(), |end| start + end);
    (css[start..end].trim().to_owned(), end)
}

/// A quoted string, and the offset after it. Escapes are rare in addresses; only the quote itself may be escaped.
fn string(css: &str, quote: usize) -> (String, usize) {
    let (mark, mut text) = (css.as_bytes()[quote] as char, String::new());
    let mut chars = css[quote + 1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
            '\n' => return (text, quote + 1 + at),
            c if c == mark => return (text, quote + 2 + at),
            c => text.push(c),
        }
    }
    (text, css.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(css: &str) -> Vec<String> {
        references(css).into_iter().map(|(_, written)| written).collect()
    }

    #[test]
    fn addresses_as_they_are_written() {
        assert_eq!(
            named("a { background: URL( \"a b.png\" ) } b { src: url(c.woff), url('d.ttf') }"),
            ["a b.png", "c.woff", "d.ttf"]
        );
        assert_eq!(
            named("@import 'one.css'; @IMPORT url(two.css); a::before { content: 'url(no.png)' }"),
            ["one.css", "two.css"]
        );
        assert_eq!(named("/* url(no.png) @import 'no.css' */ é { background: url(é.png) }"), ["é.png"]);
        assert_eq!(named("url()"), [""; 0]);
        assert_eq!(named("a { b: url("), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_scanned(css in "[url(@import'\"/*\\\\)é \n]{0,60}") {
            for (at, _) in references(&css) {
                prop_assert!(css.is_char_boundary(at));
            }
        }
    }
}
