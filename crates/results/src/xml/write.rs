//! The way out. Elements in the order of the schema, one a line.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taosync_model::assessment::{AssessmentResult, ItemResult, Variable, VariableKind, VariableValue};

use super::{EXTENSION, WRITTEN, is_xml_char};

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// Writes an `assessmentResult` in the namespace of QTI 2.1, as TAO does. What QTI has no place for goes into
/// attributes of the namespace `urn:taosync:qti-results:1`, so that [`super::parse_xml`] reads back what was written.
/// Two things do not come back: characters that XML cannot carry in an attribute become U+FFFD (in values they are
/// kept), and a further attribute whose name is no XML name, or one QTI uses itself, is left out.
pub fn write_xml(result: &AssessmentResult) -> String {
    let mut out = Out(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    out.open("<assessmentResult", &[("xmlns", Some(WRITTEN)), ("xmlns:ts", Some(EXTENSION))], ">\n");
    context(&mut out, result);
    if let Some(test) = &result.test {
        let attributes = [("identifier", Some(test.identifier.as_str())), ("datestamp", Some(&test.datestamp))];
        out.open("  <testResult", &attributes, ">\n");
        test.variables.iter().for_each(|v| variable(&mut out, v));
        out.raw("  </testResult>\n");
    }
    result.items.iter().for_each(|i| item(&mut out, i));
    out.raw("</assessmentResult>\n");
    out.0
}

fn context(out: &mut Out, result: &AssessmentResult) {
    let context = &result.context;
    let sourced_id = [("sourcedId", context.sourced_id.as_deref())];
    if context.sessions.is_empty() {
        out.open("  <context", &sourced_id, "/>\n");
        return;
    }
    out.open("  <context", &sourced_id, ">\n");
    for session in &context.sessions {
        let attributes =
            [("sourceID", Some(session.source_id.as_str())), ("identifier", Some(session.identifier.as_str()))];
        out.open("    <sessionIdentifier", &attributes, "/>\n");
    }
    out.raw("  </context>\n");
}

fn item(out: &mut Out, item: &ItemResult) {
    let index = item.sequence_index.map(|i| i.to_string());
    let attributes = [
        ("identifier", Some(item.identifier.as_str())),
        ("sequenceIndex", index.as_deref()),
        ("datestamp", Some(item.datestamp.as_str())),
        ("sessionStatus", Some(item.session_status.as_str())),
    ];
    out.open("  <itemResult", &attributes, ">\n");
    item.variables.iter().for_each(|v| variable(out, v));
    if let Some(comment) = &item.candidate_comment {
        out.text("    <candidateComment", &[], comment, "</candidateComment>\n");
    }
    out.raw("  </itemResult>\n");
}

fn variable(out: &mut Out, variable: &Variable) {
    let name = match variable.kind {
        VariableKind::Response => "responseVariable",
        VariableKind::Outcome | VariableKind::Trace => "outcomeVariable",
        VariableKind::Template => "templateVariable",
    };
    let is_response = variable.kind == VariableKind::Response;
    let is_empty = variable.values.as_ref().is_some_and(Vec::is_empty);
    let at = variable.at.map(|t| t.to_string());
    let _ = write!(out.0, "    <{name}");
    out.attribute("identifier", &variable.identifier);
    out.attribute("cardinality", &variable.cardinality);
    let own = [
        ("baseType", variable.base_type.as_deref()),
        ("ts:kind", (variable.kind == VariableKind::Trace).then_some("trace")),
        ("ts:at", at.as_deref()),
        ("ts:empty", (is_empty && !is_response).then_some("true")),
    ];
    out.attributes(&own);
    out.further(&variable.attributes);
    out.raw(">\n");
    if let Some(correct) = &variable.correct {
        out.raw("      <correctResponse>\n");
        values(out, correct);
        out.raw("      </correctResponse>\n");
    }
    let list = variable.values.as_deref().unwrap_or_default();
    if is_response {
        // The schema wants the element for NULL too, so an empty list needs a mark to differ.
        out.open("      <candidateResponse", &[("ts:empty", is_empty.then_some("true"))], ">\n");
        values(out, list);
        out.raw("      </candidateResponse>\n");
    } else {
        values(out, list);
    }
    let _ = writeln!(out.0, "    </{name}>");
}

fn values(out: &mut Out, values: &[VariableValue]) {
    for value in values {
        let attributes = [("fieldIdentifier", value.field.as_deref()), ("baseType", value.base_type.as_deref())];
        out.text("        <value", &attributes, &value.text, "</value>\n");
    }
}

struct Out(String);

impl Out {
    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn open(&mut self, start: &str, attributes: &[(&str, Option<&str>)], end: &str) {
        self.raw(start);
        self.attributes(attributes);
        self.raw(end);
    }

    /// An element of text only: no white space is added.
    fn text(&mut self, start: &str, attributes: &[(&str, Option<&str>)], text: &str, end: &str) {
        if text.chars().all(is_xml_char) {
            self.open(start, attributes, ">");
            text.chars().for_each(|c| self.character(c));
        } else {
            self.open(start, attributes, " ts:encoding=\"base64\">");
            self.raw(&STANDARD.encode(text));
        }
        self.raw(end);
    }

    fn character(&mut self, c: char) {
        match c {
            '&' => self.raw("&amp;"),
            '<' => self.raw("&lt;"),
            '>' => self.raw("&gt;"),
            // A reader would make a line break of it.
            '\r' => self.raw("&#13;"),
            c => self.0.push(c),
        }
    }

    fn attributes(&mut self, attributes: &[(&str, Option<&str>)]) {
        for (name, value) in attributes {
            if let Some(value) = value {
                self.attribute(name, value);
            }
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let _ = write!(self.0, " {name}=\"");
        for c in value.chars() {
            match c {
                '"' => self.raw("&quot;"),
                '\t' => self.raw("&#9;"),
                '\n' => self.raw("&#10;"),
                c if is_xml_char(c) => self.character(c),
                _ => self.0.push('\u{FFFD}'),
            }
        }
        self.raw("\"");
    }

    /// Further attributes in order, those in a namespace with a prefix of their own; a name only once.
    fn further(&mut self, attributes: &[(String, String)]) {
        for (at, (name, value)) in attributes.iter().enumerate() {
            if attributes[..at].iter().any(|(earlier, _)| earlier == name) {
                continue;
            }
            match qualified(name, at) {
                Some((written, Some((prefix, namespace)))) => {
                    self.attribute(&format!("xmlns:{prefix}"), namespace);
                    self.attribute(&written, value);
                }
                Some((written, None)) => self.attribute(&written, value),
                None => {}
            }
        }
    }
}

/// A name as written, and the prefix it needs declared with its namespace.
type Qualified<'a> = (Cow<'a, str>, Option<(String, &'a str)>);

/// How a further attribute is written, and which prefix it needs; `None` when XML cannot carry it.
fn qualified(name: &str, at: usize) -> Option<Qualified<'_>> {
    let Some((namespace, local)) = name.strip_prefix('{').and_then(|n| n.rsplit_once('}')) else {
        let is_own = ["identifier", "cardinality", "baseType", "xmlns"].contains(&name);
        return (is_name(name) && !is_own).then_some((Cow::Borrowed(name), None));
    };
    if namespace == XML_NAMESPACE {
        return is_name(local).then(|| (Cow::Owned(format!("xml:{local}")), None));
    }
    let is_usable = is_name(local)
        && !namespace.is_empty()
        // The reader gives a namespace as it is written, references and all.
        && namespace.chars().all(|c| is_xml_char(c) && !c.is_whitespace() && !"&<>\"'".contains(c))
        && namespace != EXTENSION
        && namespace != "http://www.w3.org/2000/xmlns/";
    let prefix = format!("a{at}");
    is_usable.then(|| (Cow::Owned(format!("{prefix}:{local}")), Some((prefix, namespace))))
}

/// Whether a further attribute survives being written.
pub(super) fn is_carried(name: &str) -> bool {
    qualified(name, 0).is_some()
}

/// A name without a colon; the letters real vocabularies use.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}
