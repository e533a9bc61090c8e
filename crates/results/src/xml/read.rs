//! One streaming pass over the file.

use quick_xml::NsReader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{NamespaceError, ResolveResult};
use taosync_model::assessment::AssessmentResult;

use super::attributes::Attributes;
use super::builder::{Builder, Node};
use super::{MAX_DEPTH, MAX_XML, NAMESPACES, is_xml_char};
use crate::ResultError;

const SEE_QTI: &str = "compare it with the QTI Results Reporting schema, or export it anew";
const MEND: &str = "the file is cut off or was edited: export it anew";

/// Reads an `assessmentResult`. Elements of other namespaces are skipped; further attributes of variables are kept,
/// those in a namespace as `{namespace}name`. Refused: a document type, entities XML does not predefine, encodings
/// other than UTF-8, more than 32 MiB, 64 levels, 200,000 variables or 1,000,000 values.
pub fn parse_xml(bytes: &[u8]) -> Result<AssessmentResult, ResultError> {
    if bytes.len() > MAX_XML {
        return Err(ResultError::TooLarge { bytes: bytes.len(), limit: MAX_XML });
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(wrong_encoding(1, "UTF-16"));
    }
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|e| wrong_encoding(line_at(bytes, e.valid_up_to()), "something else (Latin-1?)"))?;
    let mut parser = Parser { text, at: 0, builder: Builder::default(), open: Vec::new(), is_done: false };
    parser.run()?;
    let line = line_at(bytes, bytes.len());
    parser.builder.finish().map_err(|message| ResultError::Element {
        line,
        element: "assessmentResult".to_owned(),
        message,
        advice: SEE_QTI,
    })
}

fn wrong_encoding(line: u64, found: &str) -> ResultError {
    let message = format!("the file is not UTF-8 but {found}");
    ResultError::Xml { line, message, advice: "save or export it as UTF-8" }
}

fn line_at(bytes: &[u8], at: usize) -> u64 {
    bytes[..at.min(bytes.len())].split(|b| *b == b'\n').count() as u64
}

struct Parser<'a> {
    text: &'a str,
    /// Where the event at hand begins.
    at: usize,
    builder: Builder,
    /// Elements that are open, outermost first, with their names.
    open: Vec<(Node, String)>,
    is_done: bool,
}

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result<(), ResultError> {
        let mut reader = NsReader::from_str(self.text);
        loop {
            self.at = reader.buffer_position() as usize;
            match reader.read_event() {
                Ok(Event::Eof) if self.is_done => return Ok(()),
                Ok(Event::Eof) => return Err(self.xml("the file ends before assessmentResult does", MEND)),
                Ok(event) => self.event(event, &reader)?,
                Err(error) => {
                    return Err(self.xml(&format!("this is not well-formed ({})", without_values(&error)), MEND));
                }
            }
        }
    }

    fn event(&mut self, event: Event<'_>, reader: &NsReader<&'a [u8]>) -> Result<(), ResultError> {
        match event {
            Event::Start(start) => self.start(&start, reader),
            Event::Empty(start) => {
                self.start(&start, reader)?;
                self.end()
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.characters(&text.xml10_content()),
            Event::CData(text) => self.characters(&text.xml10_content()),
            Event::GeneralRef(entity) => self.entity(&entity),
            Event::Decl(declaration) => self.declaration(&declaration),
            Event::DocType(_) => Err(self.xml("a document type (DTD) is not accepted", "remove the DOCTYPE line")),
            Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>, reader: &NsReader<&'a [u8]>) -> Result<(), ResultError> {
        let (namespace, name) = reader.resolver().resolve_element(start.name());
        let name = name.into_inner();
        if self.open.len() == MAX_DEPTH {
            return Err(self.xml(&format!("elements are nested deeper than {MAX_DEPTH}"), SEE_QTI));
        }
        let is_qti = matches!(namespace, ResolveResult::Bound(ns) if NAMESPACES.contains(&ns.into_inner()));
        let node = self.node(name, is_qti).map_err(|message| self.element(name, message))?;
        if node != Node::Foreign {
            Attributes::read(start, reader.resolver())
                .and_then(|attributes| self.builder.open(node, attributes))
                .map_err(|message| self.element(name, message))?;
        }
        self.open.push((node, name.to_owned()));
        Ok(())
    }

    /// What the element is; the error is the message.
    fn node(&self, name: &str, is_qti: bool) -> Result<Node, String> {
        match self.open.last() {
            None if self.is_done => Err("something follows the end of assessmentResult".to_owned()),
            None if is_qti && name == "assessmentResult" => Ok(Node::Result),
            None if name == "assessmentResult" => Err("the namespace is none of QTI Results Reporting".to_owned()),
            None => Err("a QTI result begins with assessmentResult".to_owned()),
            Some((Node::Foreign, _)) => Ok(Node::Foreign),
            Some((parent, of)) if parent.takes_text() => Err(format!("{of} holds text, not elements")),
            Some(_) if !is_qti => Ok(Node::Foreign),
            Some((parent, of)) => parent.child(name).ok_or_else(|| format!("it has no place inside {of}")),
        }
    }

    fn end(&mut self) -> Result<(), ResultError> {
        if let Some((node, name)) = self.open.pop() {
            let parent = self.open.last().map(|(node, _)| *node);
            self.builder.close(node, parent).map_err(|message| self.element(&name, message))?;
        }
        self.is_done = self.open.is_empty();
        Ok(())
    }

    fn characters(&mut self, text: &str) -> Result<(), ResultError> {
        if !text.chars().all(is_xml_char) {
            return Err(self.xml("there is a character XML does not allow", MEND));
        }
        match self.open.last() {
            Some((node, _)) if node.takes_text() => self.builder.text(text),
            Some((Node::Foreign, _)) => {}
            _ if text.trim().is_empty() => {}
            Some((_, name)) => return Err(self.element(name, "it holds elements, not text".to_owned())),
            None => return Err(self.xml("there is text outside of assessmentResult", MEND)),
        }
        Ok(())
    }

    fn entity(&mut self, entity: &BytesRef<'_>) -> Result<(), ResultError> {
        let bad = "an entity is used that XML does not predefine";
        let advice = "write the character itself, or a reference such as &#233;";
        match entity.resolve_char_ref() {
            Ok(Some(character)) => self.characters(character.encode_utf8(&mut [0; 4])),
            Ok(None) => match quick_xml::escape::resolve_xml_entity(&entity.xml10_content()) {
                Some(text) => self.characters(text),
                None => Err(self.xml(bad, advice)),
            },
            Err(_) => Err(self.xml(bad, advice)),
        }
    }

    fn declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), ResultError> {
        let Some(Ok(encoding)) = declaration.encoding() else { return Ok(()) };
        let is_utf8 = ["utf-8", "utf8", "us-ascii", "ascii"].contains(&encoding.to_lowercase().as_str());
        let line = line_at(self.text.as_bytes(), self.at);
        if is_utf8 { Ok(()) } else { Err(wrong_encoding(line, "declared as another encoding")) }
    }

    fn xml(&self, message: &str, advice: &'static str) -> ResultError {
        ResultError::Xml { line: line_at(self.text.as_bytes(), self.at), message: message.to_owned(), advice }
    }

    fn element(&self, name: &str, message: String) -> ResultError {
        let element = name.chars().take(64).flat_map(char::escape_debug).collect();
        ResultError::Element { line: line_at(self.text.as_bytes(), self.at), element, message, advice: SEE_QTI }
    }
}

/// What the reader found wrong. Its own words quote the file, whole answers among it: only those that cannot are taken.
fn without_values(error: &Error) -> String {
    match error {
        Error::Syntax(error) => error.to_string(),
        Error::IllFormed(IllFormedError::MismatchedEndTag { .. }) => "an element is closed by another name".to_owned(),
        Error::IllFormed(IllFormedError::UnmatchedEndTag(_)) => "an element is closed that is not open".to_owned(),
        Error::IllFormed(IllFormedError::UnclosedReference) => "an & begins no entity".to_owned(),
        Error::Namespace(NamespaceError::TooManyBindings(most)) => format!("more than {most} namespaces are declared"),
        Error::Namespace(_) => "a namespace is declared wrongly".to_owned(),
        Error::InvalidAttr(_) => "an attribute is malformed".to_owned(),
        _ => "it cannot be read".to_owned(),
    }
}
