//! One line a variable, for spreadsheets and statistics.

use std::borrow::Cow;
use std::io::Write;

use taosync_model::assessment::{Attempt, Variable, VariableKind, VariableValue};
use taosync_model::item::Envelope;

use crate::ResultError;

/// The columns, in order. Several values are joined by `|` (a `|` inside one is `\|`, a `\` is `\\`); fields of a
/// record are `name=value`. Times are RFC 3339, UTC.
pub const COLUMNS: [&str; 15] = [
    "execution",
    "version",
    "delivery",
    "test taker",
    "state",
    "attempt started",
    "attempt finished",
    "item",
    "variable",
    "kind",
    "cardinality",
    "base type",
    "value",
    "correct",
    "at",
];

/// Writes attempts as CSV (RFC 4180, UTF-8). Text that a spreadsheet would take for a formula gets a leading `'`.
pub struct CsvExport<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> CsvExport<W> {
    /// Begins with the line of [`COLUMNS`].
    pub fn new(out: W) -> Result<Self, ResultError> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS).map_err(ResultError::Csv)?;
        Ok(Self { writer })
    }

    /// All variables of an attempt: those of the test with an empty item, then item by item.
    pub fn attempt(&mut self, envelope: &Envelope, attempt: &Attempt) -> Result<(), ResultError> {
        let test = attempt.result.test.iter().flat_map(|t| t.variables.iter().map(|v| ("", v)));
        let items = attempt.result.items.iter().flat_map(|i| i.variables.iter().map(|v| (i.identifier.as_str(), v)));
        let head = head(envelope);
        for (item, variable) in test.chain(items) {
            let cells = head.iter().cloned().chain(tail(item, variable));
            self.writer.write_record(cells.map(|c| safe(&c).into_owned().into_bytes())).map_err(ResultError::Csv)?;
        }
        Ok(())
    }

    /// Writes what is left and gives the output back.
    pub fn finish(self) -> Result<W, ResultError> {
        self.writer.into_inner().map_err(|e| ResultError::Write(e.into_error()))
    }
}

fn head(envelope: &Envelope) -> [String; 7] {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let time = |t: Option<jiff::Timestamp>| t.map(|t| t.to_string()).unwrap_or_default();
    [
        envelope.item.to_string(),
        envelope.version.to_string(),
        text(&envelope.delivery),
        text(&envelope.test_taker),
        envelope.state.map(|s| s.to_string()).unwrap_or_default(),
        time(envelope.started_at),
        time(envelope.finished_at),
    ]
}

fn tail(item: &str, variable: &Variable) -> [String; 8] {
    [
        item.to_owned(),
        variable.identifier.clone(),
        kind(variable.kind).to_owned(),
        variable.cardinality.clone(),
        variable.base_type.clone().unwrap_or_default(),
        joined(variable.values.as_deref()),
        joined(variable.correct.as_deref()),
        variable.at.map(|t| t.to_string()).unwrap_or_default(),
    ]
}

fn kind(kind: VariableKind) -> &'static str {
    match kind {
        VariableKind::Response => "response",
        VariableKind::Outcome => "outcome",
        VariableKind::Template => "template",
        VariableKind::Trace => "trace",
    }
}

fn joined(values: Option<&[VariableValue]>) -> String {
    let one = |value: &VariableValue| {
        let text = value.text.replace('\\', "\\\\").replace('|', "\\|");
        value.field.as_ref().map_or(text.clone(), |field| format!("{field}={text}"))
    };
    values.unwrap_or_default().iter().map(one).collect::<Vec<_>>().join("|")
}

/// Numbers stay numbers; other text that begins like a formula is marked as text.
fn safe(cell: &str) -> Cow<'_, str> {
    let is_number = || {
        cell.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
            && cell.parse::<f64>().is_ok()
    };
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_number() {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text_and_numbers_are_numbers() {
        for formula in ["=1+1", "+A1", "-cmd", "@SUM(A1)", "\t=1", "\r=1", "-1-1", "+", "-inf"] {
            assert_eq!(safe(formula), format!("'{formula}"));
        }
        for plain in ["-1", "+2.5", "-1e-3", "", "a=b", "1-2"] {
            assert_eq!(safe(plain), plain);
        }
    }

    #[test]
    fn joining_loses_nothing() {
        let value = |text: &str| VariableValue { text: text.to_owned(), ..Default::default() };
        assert_eq!(joined(Some(&[value("a|b"), value("c\\"), value("")])), "a\\|b|c\\\\|");
        let field = VariableValue { text: "1".to_owned(), field: Some("x".to_owned()), base_type: None };
        assert_eq!(joined(Some(&[field])), "x=1");
        assert_eq!(joined(None), "");
    }
}
