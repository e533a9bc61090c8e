//! Cells of a CSV text (RFC 4180), borrowed where possible.
//!
//! Own splitting, because the usual reader has no bound on the cells of a record, closes an open quote silently at
//! the end of the file, and takes text behind a closing quote without a word. Here each of these is named with its line.

use std::borrow::Cow;

/// A record may have this many cells.
pub(crate) const MAX_COLUMNS: usize = 200;

/// Why a record cannot be cut into cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file ends inside quotes.
    OpenQuote,
    /// Something other than a delimiter follows a closing quote.
    AfterQuote,
    /// More than [`MAX_COLUMNS`].
    TooManyColumns,
}

/// Where a record begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    at: usize,
    line: u64,
}

/// A cursor over a text.
pub(crate) struct Records<'a> {
    text: &'a str,
    at: usize,
    line: u64,
    delimiter: u8,
}

impl<'a> Records<'a> {
    pub(crate) fn new(text: &'a str, delimiter: u8) -> Self {
        Self { text, at: 0, line: 1, delimiter }
    }

    /// Where the next record begins.
    pub(crate) fn place(&self) -> Place {
        Place { at: self.at, line: self.line }
    }

    /// Goes on from a place in the same text.
    pub(crate) fn go_to(&mut self, place: Place) {
        (self.at, self.line) = (place.at, place.line);
    }

    /// Fills `cells` with the next record that is not blank and gives the line it begins on. After a fault the rest
    /// of the line is skipped; an open quote ends the file.
    pub(crate) fn next_into(&mut self, cells: &mut Vec<Cow<'a, str>>) -> Option<(u64, Result<(), Fault>)> {
        loop {
            if self.at >= self.text.len() {
                return None;
            }
            let line = self.line;
            cells.clear();
            let result = self.record(cells);
            if result.is_err() || cells.iter().any(|c| !c.trim().is_empty()) {
                return Some((line, result));
            }
        }
    }

    fn record(&mut self, cells: &mut Vec<Cow<'a, str>>) -> Result<(), Fault> {
        loop {
            if cells.len() == MAX_COLUMNS {
                self.skip_line();
                return Err(Fault::TooManyColumns);
            }
            let cell = if self.byte() == Some(b'"') { self.quoted()? } else { self.plain() };
            cells.push(cell);
            if self.byte() == Some(self.delimiter) {
                self.at += 1;
            } else if self.newline() {
                return Ok(());
            } else {
                self.skip_line();
                return Err(Fault::AfterQuote);
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn plain(&mut self) -> Cow<'a, str> {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|b| b == self.delimiter || b == b'\n' || b == b'\r').unwrap_or(rest.len());
        self.at += end;
        Cow::Borrowed(&rest[..end])
    }

    /// The text between quotes; a doubled quote is one.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.at += 1;
        let mut cell = Cow::Borrowed("");
        loop {
            let rest = &self.text[self.at..];
            let Some(end) = rest.bytes().position(|b| b == b'"') else {
                self.at = self.text.len();
                return Err(Fault::OpenQuote);
            };
            self.line += line_breaks(&rest[..end]);
            cell += &rest[..end];
            self.at += end + 1;
            if self.byte() != Some(b'"') {
                return Ok(cell);
            }
            cell += "\"";
            self.at += 1;
        }
    }

    /// Steps over a line break (`\n`, `\r\n`, or the `\r` of old); the end of the file is one too.
    fn newline(&mut self) -> bool {
        match self.byte() {
            None => true,
            Some(b'\n') => {
                self.at += 1;
                self.line += 1;
                true
            }
            Some(b'\r') => {
                self.at += 1 + usize::from(self.text.as_bytes().get(self.at + 1) == Some(&b'\n'));
                self.line += 1;
                true
            }
            Some(_) => false,
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        self.newline();
    }
}

fn line_breaks(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let is_break = |at: &usize| bytes[*at] == b'\n' || (bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
    (0..bytes.len()).filter(is_break).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(u64, Result<Vec<String>, Fault>)> {
        let mut records = Records::new(text, b',');
        let (mut cells, mut list) = (Vec::new(), Vec::new());
        while let Some((line, result)) = records.next_into(&mut cells) {
            list.push((line, result.map(|()| cells.iter().map(ToString::to_string).collect())));
        }
        list
    }

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn quotes_newlines_and_blank_lines() {
        let text = "a,b\r\n\n\"x \"\"y\"\"\r\nz\",\"\"\n,,\n1,2\r3,4";
        let expected = vec![
            (1, Ok(row(&["a", "b"]))),
            (3, Ok(row(&["x \"y\"\r\nz", ""]))),
            (6, Ok(row(&["1", "2"]))),
            (7, Ok(row(&["3", "4"]))),
        ];
        assert_eq!(all(text), expected);
    }

    #[test]
    fn faults_have_lines_and_do_not_hide_the_rest() {
        assert_eq!(
            all("a\n\"b\"c,d\ne"),
            vec![(1, Ok(row(&["a"]))), (2, Err(Fault::AfterQuote)), (3, Ok(row(&["e"])))]
        );
        assert_eq!(all("a\n\"b\nc"), vec![(1, Ok(row(&["a"]))), (2, Err(Fault::OpenQuote))]);
    }

    #[test]
    fn cells_of_a_record_are_bounded() {
        assert_eq!(all(&",x".repeat(MAX_COLUMNS - 1))[0].1.as_ref().map(Vec::len), Ok(MAX_COLUMNS));
        assert_eq!(all(&",x".repeat(MAX_COLUMNS))[0].1, Err(Fault::TooManyColumns));
    }
}
