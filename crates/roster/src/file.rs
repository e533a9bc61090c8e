//! A large file in parts: it is checked as a whole, and its rows are read again some thousand at a time, so that memory does
//! not grow with their number.

use crate::parse::{Bounds, MAX_FILE, MAX_ROWS, Reader, read};
use crate::problem::{Problems, RosterProblem};
use crate::records::Place;
use crate::rows::Rows;
use crate::{Roster, RosterKind};

/// Rows of a part.
const PART_ROWS: usize = 2_000;

/// A file that was read to its end without a problem. It holds passwords, so it is never shown.
pub struct RosterFile {
    kind: RosterKind,
    file: String,
    bytes: Vec<u8>,
    rows: usize,
}

/// Where in a file the next part begins.
#[derive(Clone, Copy, Debug)]
pub struct PartPlace(Place);

impl RosterFile {
    /// Reads a file whole and keeps its bytes. `file_name` is only for messages. Up to [`crate::MAX_PROBLEMS`] problems are
    /// collected.
    pub fn check(kind: RosterKind, file_name: &str, bytes: Vec<u8>) -> Result<Self, Vec<RosterProblem>> {
        let (mut problems, mut rows) = (Problems::of(file_name), 0);
        read(kind, &bytes, Bounds { file: MAX_FILE, rows: MAX_ROWS }, &mut problems, |_| rows += 1);
        problems.or(Self { kind, file: file_name.to_owned(), bytes, rows })
    }

    /// What the file speaks of.
    pub fn kind(&self) -> RosterKind {
        self.kind
    }

    /// Rows in the file, without the header and blank lines.
    pub fn row_count(&self) -> usize {
        self.rows
    }

    /// The part that begins at a place, or at the first row, and where the next one does; none when all were read. Rows of
    /// test takers say nothing of each other and of nobody else, so they come in parts; all others come together.
    pub fn part(&self, place: Option<PartPlace>) -> Option<(Roster, PartPlace)> {
        // What was found to be right once is right again.
        let mut nothing = Problems::of(&self.file);
        let mut reader = Reader::open(self.kind, self.text(), &mut nothing)?;
        if let Some(PartPlace(place)) = place {
            reader.go_to(place);
        }
        let most = if self.kind == RosterKind::TestTakers { PART_ROWS } else { usize::MAX };
        let mut rows = Rows::of(self.kind);
        while rows.len() < most
            && let Some((_, row)) = reader.next(&mut nothing)
        {
            if let Some(row) = row {
                rows.append(row);
            }
        }
        // A file without rows is one empty part.
        if rows.len() == 0 && place.is_some() {
            return None;
        }
        Some((Roster { kind: self.kind, file: self.file.clone(), rows }, PartPlace(reader.place())))
    }

    fn text(&self) -> &str {
        // Unwrap safety: a file in another encoding was refused when it was checked.
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        text.strip_prefix('\u{feff}').unwrap_or(text)
    }
}

impl std::fmt::Debug for RosterFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("RosterFile");
        shown.field("kind", &self.kind).field("file", &self.file).field("rows", &self.rows).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takers(number: usize) -> String {
        let head = "\u{feff}label,interface language,login,password\n".to_owned();
        (0..number).fold(head, |text, n| text + &format!("\"Taker\n{n}\",en-GB,login{n},secret\n"))
    }

    fn lines(roster: &Roster) -> Vec<u64> {
        match &roster.rows {
            Rows::People(rows) => rows.iter().map(|row| row.line).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn parts_are_the_whole_with_the_same_lines() {
        for number in [0, 1, PART_ROWS, PART_ROWS + 1, 2 * PART_ROWS + 5] {
            let text = takers(number);
            let file = RosterFile::check(RosterKind::TestTakers, "t.csv", text.clone().into_bytes()).unwrap();
            assert_eq!(file.row_count(), number);
            let (mut read, mut place, mut parts) = (Vec::new(), None, 0);
            while let Some((part, next)) = file.part(place) {
                assert!(part.row_count() <= PART_ROWS);
                read.extend(lines(&part));
                (place, parts) = (Some(next), parts + 1);
            }
            assert_eq!(parts, number.div_ceil(PART_ROWS).max(1));
            let whole = crate::parse(RosterKind::TestTakers, "t.csv", text.as_bytes()).unwrap();
            assert_eq!(read, lines(&whole));
        }
    }

    #[test]
    fn a_login_that_comes_again_far_below_is_found() {
        let text = takers(PART_ROWS + 9) + "Again,en-GB,login3,secret\n";
        let problems = RosterFile::check(RosterKind::TestTakers, "t.csv", text.into_bytes()).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("the same login as on line 8"), "{}", problems[0]);
    }
}
