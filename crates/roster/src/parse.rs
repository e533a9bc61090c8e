//! From a file to rows. Nothing is looked up here.

use std::borrow::Cow;
use std::collections::HashMap;

use taosync_model::Digest;

use crate::cells::Cells;
use crate::columns::{Column, read_header};
use crate::problem::{Problems, RosterProblem};
use crate::records::{Fault, MAX_COLUMNS, Place, Records};
use crate::rows::{CenterRow, EligibilityRow, PersonRow, Rows};
use crate::{Roster, RosterKind, text};

/// Bytes a file may have.
pub const MAX_FILE: usize = 256 * 1024 * 1024;
/// Rows a file may have, besides the header.
pub const MAX_ROWS: usize = 1_000_000;

/// Reads a file whole. `file_name` is only for messages. Up to [`crate::MAX_PROBLEMS`] problems are collected; with
/// one problem there is no roster.
pub fn parse(kind: RosterKind, file_name: &str, bytes: &[u8]) -> Result<Roster, Vec<RosterProblem>> {
    parse_bounded(kind, file_name, bytes, Bounds { file: MAX_FILE, rows: MAX_ROWS })
}

/// Bounds, so that tests can come near them.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) file: usize,
    pub(crate) rows: usize,
}

pub(crate) fn parse_bounded(
    kind: RosterKind,
    file_name: &str,
    bytes: &[u8],
    bounds: Bounds,
) -> Result<Roster, Vec<RosterProblem>> {
    let mut problems = Problems::of(file_name);
    let mut rows = Rows::of(kind);
    read(kind, bytes, bounds, &mut problems, |row| rows.append(row));
    problems.or(Roster { kind, file: file_name.to_owned(), rows })
}

/// Reads a file to its end, and hands over each row.
pub(crate) fn read(
    kind: RosterKind,
    bytes: &[u8],
    bounds: Bounds,
    problems: &mut Problems,
    mut take: impl FnMut(Rows),
) {
    if bytes.len() > bounds.file {
        let message = format!("the file has {} bytes, more than {}", bytes.len(), bounds.file);
        return problems.line(1, message, "split it into several files");
    }
    let Some(text) = text::decode(bytes, problems) else { return };
    let Some(mut reader) = Reader::open(kind, text, problems) else { return };
    // What comes twice is told after what is wrong by itself.
    let (mut keys, mut number, mut twice) = (Keys::default(), 0, problems.beside());
    while !problems.is_full()
        && let Some((line, row)) = reader.next(problems)
    {
        if number == bounds.rows {
            problems.line(line, format!("there are more than {} rows", bounds.rows), "split the file into several");
            break;
        }
        if let Some(row) = row {
            number += 1;
            keys.check(&row, &mut twice);
            take(row);
        }
    }
    problems.append(twice);
}

/// A cursor over the rows of a text, behind its header.
pub(crate) struct Reader<'a> {
    kind: RosterKind,
    header: Vec<Option<Column>>,
    records: Records<'a>,
    cells: Vec<Cow<'a, str>>,
}

impl<'a> Reader<'a> {
    /// Reads the header; none when the file cannot be gone on with.
    pub(crate) fn open(kind: RosterKind, text: &'a str, problems: &mut Problems) -> Option<Self> {
        let mut records = Records::new(text, text::delimiter(text));
        let mut cells = Vec::new();
        let header = first(kind, &mut records, &mut cells, problems)?;
        Some(Self { kind, header, records, cells })
    }

    /// The line of the next row, and the row if it can be cut into cells.
    pub(crate) fn next(&mut self, problems: &mut Problems) -> Option<(u64, Option<Rows>)> {
        let (line, result) = self.records.next_into(&mut self.cells)?;
        if let Err(fault) = result {
            note(fault, line, problems);
            return Some((line, None));
        }
        let mut row = Rows::of(self.kind);
        row.read(self.kind, &mut Cells::new(line, &self.header, &self.cells, problems));
        Some((line, Some(row)))
    }

    /// Where the next row begins.
    pub(crate) fn place(&self) -> Place {
        self.records.place()
    }

    /// Goes on from a place in the same text.
    pub(crate) fn go_to(&mut self, place: Place) {
        self.records.go_to(place);
    }
}

/// The header, when the file can be gone on with.
fn first<'a>(
    kind: RosterKind,
    records: &mut Records<'a>,
    cells: &mut Vec<Cow<'a, str>>,
    problems: &mut Problems,
) -> Option<Vec<Option<Column>>> {
    match records.next_into(cells) {
        None => problems.line(1, "the file is empty", "the first line names the columns, each further line is a row"),
        Some((line, Err(fault))) => note(fault, line, problems),
        Some((line, Ok(()))) => {
            let header = read_header(kind, line, cells, problems);
            return problems.is_empty().then_some(header);
        }
    }
    None
}

fn note(fault: Fault, line: u64, problems: &mut Problems) {
    match fault {
        Fault::OpenQuote => problems.line(line, "a quote opened here is never closed", "close it, or double it: \"\""),
        Fault::AfterQuote => {
            let message = "text follows a closing quote";
            problems.line(line, message, "quote the whole cell, and double the quotes inside it");
        }
        Fault::TooManyColumns => {
            problems.line(line, format!("the row has more than {MAX_COLUMNS} cells"), "remove what does not belong");
        }
    }
}

impl Rows {
    fn read(&mut self, kind: RosterKind, cells: &mut Cells<'_>) {
        match self {
            Self::Centers(rows) => rows.push(center(cells)),
            Self::People(rows) => rows.push(person(kind, cells)),
            Self::Eligibilities(rows) => rows.push(eligibility(cells)),
        }
    }
}

fn center(cells: &mut Cells<'_>) -> CenterRow {
    CenterRow {
        line: cells.line,
        uri: cells.uri(),
        label: cells.mandatory(Column::Label),
        organisation_id: cells.organisation_id(),
        administrators: cells.list(Column::Administrators),
        proctors: cells.list(Column::Proctors),
        sub_centers: cells.list(Column::SubCenters),
    }
}

fn person(kind: RosterKind, cells: &mut Cells<'_>) -> PersonRow {
    let interface_language = cells.mandatory(Column::InterfaceLanguage);
    PersonRow {
        line: cells.line,
        uri: cells.uri(),
        label: cells.mandatory(Column::Label),
        login: cells.login(),
        password: cells.password(),
        interface_language: cells.language(Column::InterfaceLanguage).unwrap_or(interface_language),
        default_language: cells.language(Column::DefaultLanguage),
        first_name: cells.optional(Column::FirstName),
        last_name: cells.optional(Column::LastName),
        mail: cells.mail(),
        organisation_id: (kind == RosterKind::SyncManagers).then(|| cells.organisation_id()),
        test_centers: cells.list(Column::TestCenters),
    }
}

fn eligibility(cells: &mut Cells<'_>) -> EligibilityRow {
    EligibilityRow {
        line: cells.line,
        uri: cells.uri(),
        label: cells.optional(Column::Label),
        test_center: cells.mandatory(Column::TestCenter),
        delivery: cells.mandatory(Column::Delivery),
        test_takers: cells.mandatory_list(Column::TestTakers),
        proctored: cells.proctored(),
    }
}

/// What must not come twice in a file, by hash, with the line where it came first.
#[derive(Default)]
struct Keys(HashMap<[u8; 16], u64>);

impl Keys {
    fn check(&mut self, rows: &Rows, problems: &mut Problems) {
        match rows {
            Rows::Centers(rows) => {
                for row in rows {
                    if row.uri.is_none() {
                        self.center(&row.organisation_id, &row.label, row.line, problems);
                    }
                    self.uri(row.uri.as_deref(), row.line, problems);
                }
            }
            Rows::People(rows) => {
                for row in rows {
                    self.once(Column::Login, &row.login, row.line, problems);
                    self.uri(row.uri.as_deref(), row.line, problems);
                }
            }
            Rows::Eligibilities(rows) => {
                for row in rows {
                    self.uri(row.uri.as_deref(), row.line, problems);
                }
            }
        }
    }

    /// Several centers may share an organisation id; their labels tell them apart.
    fn center(&mut self, org: &str, label: &str, line: u64, problems: &mut Problems) {
        if let Some(first) = self.seen(&["center", org, label], line) {
            let message = format!("the same organisation id and label as on line {first}");
            let advice = "keep one of the two rows, or give both a uri";
            problems.cell(line, Column::OrganisationId.name(), message, advice);
        }
    }

    fn uri(&mut self, uri: Option<&str>, line: u64, problems: &mut Problems) {
        if let Some(uri) = uri {
            self.once(Column::Uri, uri, line, problems);
        }
    }

    fn once(&mut self, column: Column, text: &str, line: u64, problems: &mut Problems) {
        if text.is_empty() {
            return;
        }
        if let Some(first) = self.seen(&[column.name(), text], line) {
            let message = format!("the same {} as on line {first}", column.name());
            problems.cell(line, column.name(), message, "keep one of the two rows");
        }
    }

    /// The line where these words came first, if that was another one.
    fn seen(&mut self, words: &[&str], line: u64) -> Option<u64> {
        let first = *self.0.entry(short_hash(words)).or_insert(line);
        (first != line).then_some(first)
    }
}

/// Half a hash of some words: a million rows take it some ten megabytes to be told apart, and two never look the same.
pub(crate) fn short_hash(words: &[&str]) -> [u8; 16] {
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(&(word.len() as u64).to_le_bytes());
        bytes.extend_from_slice(word.as_bytes());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&Digest::of(&bytes).0[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(file: usize, rows: usize) -> Result<usize, String> {
        let csv = b"label,org id\nA,1\nB,2\n";
        parse_bounded(RosterKind::TestCenters, "f.csv", csv, Bounds { file, rows })
            .map(|roster| roster.row_count())
            .map_err(|problems| problems[0].to_string())
    }

    #[test]
    fn bytes_and_rows_are_bounded() {
        assert_eq!(outcome(21, 2), Ok(2));
        assert!(outcome(20, 2).is_err_and(|e| e.contains("21 bytes, more than 20")));
        assert!(outcome(21, 1).is_err_and(|e| e.starts_with("f.csv:3: there are more than 1 rows")));
    }
}
