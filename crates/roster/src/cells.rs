//! One row's cells, checked and typed.

use std::borrow::Cow;

use secrecy::SecretString;
use taosync_model::{OrgId, vocabulary};

use crate::columns::Column;
use crate::lookup::is_uri;
use crate::problem::{Problems, quoted};
use crate::rows::Proctoring;

/// Bytes a cell may have.
pub(crate) const MAX_CELL: usize = 64 * 1024;
/// Bytes a `|` list may have: a center can have tens of thousands of test takers, each named by a URI.
pub(crate) const MAX_LIST: usize = 8 * 1024 * 1024;
/// TAO keeps subjects in columns of 255 characters.
const MAX_URI: usize = 255;
const MAX_LOGIN: usize = 255;

/// The cells of one row by column. Every getter that finds something wrong notes it and gives a harmless value: a row
/// with problems never leaves the parser.
pub(crate) struct Cells<'a> {
    pub(crate) line: u64,
    header: &'a [Option<Column>],
    cells: &'a [Cow<'a, str>],
    problems: &'a mut Problems,
}

impl<'a> Cells<'a> {
    /// Checks what holds for every cell.
    pub(crate) fn new(
        line: u64,
        header: &'a [Option<Column>],
        cells: &'a [Cow<'a, str>],
        problems: &'a mut Problems,
    ) -> Self {
        let nameless =
            cells.iter().enumerate().find(|(at, c)| !c.is_empty() && !matches!(header.get(*at), Some(Some(_))));
        if let Some((at, _)) = nameless {
            let message = format!("cell {} has no column: the first line names {}", at + 1, header.len());
            problems.line(line, message, "quote cells that contain the delimiter, or name the column");
        }
        for (column, cell) in header.iter().zip(cells).filter_map(|(c, cell)| c.map(|c| (c, cell))) {
            let limit = if column.is_list() { MAX_LIST } else { MAX_CELL };
            if cell.len() > limit {
                let message = format!("the cell has {} bytes, more than {limit}", cell.len());
                problems.cell(line, column.name(), message, "look for a quote that is never closed, or shorten it");
            }
            if cell.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
                problems.cell(line, column.name(), "the cell has a control character", "type the cell anew");
            }
        }
        Self { line, header, cells, problems }
    }

    fn raw(&self, column: Column) -> &'a str {
        let at = self.header.iter().position(|c| *c == Some(column));
        at.and_then(|at| self.cells.get(at)).map_or("", |cell| cell.as_ref())
    }

    fn wrong(&mut self, column: Column, message: impl Into<String>, advice: &str) {
        self.problems.cell(self.line, column.name(), message, advice);
    }

    /// The text of an optional cell; `None` when it is empty: the file does not speak of it.
    pub(crate) fn optional(&self, column: Column) -> Option<String> {
        let text = self.raw(column).trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The text of a cell that must be filled.
    pub(crate) fn mandatory(&mut self, column: Column) -> String {
        self.optional(column).unwrap_or_else(|| {
            self.wrong(column, "the cell is empty", "fill it in");
            String::new()
        })
    }

    /// A login; lists are separated by `|`, so it cannot have one.
    pub(crate) fn login(&mut self) -> String {
        let login = self.mandatory(Column::Login);
        if login.len() > MAX_LOGIN || login.contains(['|', '\n', '\r', '\t']) {
            self.wrong(Column::Login, "the login is not usable", "use at most 255 bytes, without | and line breaks");
        }
        login
    }

    /// A password, as it stands: spaces belong to it.
    pub(crate) fn password(&mut self) -> SecretString {
        let text = self.raw(Column::Password);
        if text.is_empty() {
            self.wrong(Column::Password, "the cell is empty", "give every person a password");
        }
        SecretString::from(text)
    }

    /// `fr-FR` becomes the URI of TAO's language; a URI is taken as it is.
    pub(crate) fn language(&mut self, column: Column) -> Option<String> {
        let text = self.optional(column)?;
        if is_uri(&text) {
            return Some(text);
        }
        let uri = language_uri(&text);
        if uri.is_none() {
            let message = format!("{} is not the code of a language", quoted(&text));
            self.wrong(column, message, "write it like fr-FR or en-US");
        }
        uri
    }

    /// An organisation id: text, exactly as it stands.
    pub(crate) fn organisation_id(&mut self) -> String {
        let text = self.mandatory(Column::OrganisationId);
        if !text.is_empty() && OrgId::new(text.clone()).map_or(true, |org| org.is_everything()) {
            let message = format!("{} is not usable as an organisation id", quoted(&text));
            self.wrong(Column::OrganisationId, message, "use 1 to 128 bytes without line breaks; * means everything");
        }
        text
    }

    /// An e-mail address.
    pub(crate) fn mail(&mut self) -> Option<String> {
        let mail = self.optional(Column::Mail)?;
        if !mail.contains('@') || mail.contains(char::is_whitespace) {
            self.wrong(
                Column::Mail,
                "this is not an e-mail address",
                "write it like name@example.org, or leave it empty",
            );
        }
        Some(mail)
    }

    /// The row's own URI.
    pub(crate) fn uri(&mut self) -> Option<String> {
        let uri = self.optional(Column::Uri)?;
        if !is_uri(&uri) || uri.len() > MAX_URI {
            let message = format!("{} is not a usable URI", quoted(&uri));
            self.wrong(Column::Uri, message, "use http://, https:// or urn: and at most 255 bytes, or leave it empty");
        }
        Some(uri)
    }

    /// The parts of a `|` list; empty ones are nothing.
    pub(crate) fn list(&self, column: Column) -> Vec<String> {
        self.raw(column).split('|').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect()
    }

    /// A list with at least one part.
    pub(crate) fn mandatory_list(&mut self, column: Column) -> Vec<String> {
        let list = self.list(column);
        if list.is_empty() {
            self.wrong(column, "the list is empty", "name at least one; separate several by |");
        }
        list
    }

    /// `is proctored`.
    pub(crate) fn proctored(&mut self) -> Option<Proctoring> {
        let text = self.optional(Column::Proctored)?;
        match text.to_lowercase().as_str() {
            "1" | "true" | "yes" => Some(Proctoring::Needed),
            "0" | "false" | "no" => Some(Proctoring::ByPassed),
            _ => {
                let message = format!("{} is neither yes nor no", quoted(&text));
                self.wrong(Column::Proctored, message, "write 1 or 0 (also: true, false, yes, no)");
                None
            }
        }
    }
}

/// TAO's URI of a language code. Case is put right, as people type it: `fr-fr`, `FR_fr`.
fn language_uri(code: &str) -> Option<String> {
    let mut parts = code.split(['-', '_']);
    let language = parts.next()?.to_ascii_lowercase();
    let is_language = (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
    let rest: Vec<String> = parts.map(|p| if p.len() == 2 { p.to_ascii_uppercase() } else { p.to_owned() }).collect();
    let is_rest = |p: &String| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_language || rest.len() > 3 || !rest.iter().all(is_rest) {
        return None;
    }
    let root = vocabulary::CLASS_TAO_USER.trim_end_matches("User");
    Some(rest.iter().fold(format!("{root}Lang{language}"), |uri, part| uri + "-" + part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_codes_become_uris_of_tao() {
        let uri = |code| language_uri(code).unwrap_or_default();
        assert_eq!(uri("fr-FR"), "http://www.tao.lu/Ontologies/TAO.rdf#Langfr-FR");
        assert_eq!(uri("EN_us"), "http://www.tao.lu/Ontologies/TAO.rdf#Langen-US");
        assert_eq!(uri("ar-arb"), "http://www.tao.lu/Ontologies/TAO.rdf#Langar-arb");
        for bad in ["", "french", "f", "fr-", "fr-F R", "12-FR", "fr-a-b-c-d"] {
            assert_eq!(language_uri(bad), None, "{bad}");
        }
    }
}
