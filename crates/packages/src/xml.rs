//! XML files of a package: bounded before they are parsed, and read alike in QTI 2 and QTI 3.
//!
//! QTI 3 writes `qti-assessment-item` and `base-type` where QTI 2 writes `assessmentItem` and `baseType`. Everything
//! above this module asks in the words of QTI 2.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use roxmltree::{Document, Node, ParsingOptions};

use crate::limits;
use crate::problem::{Problem, shown};

/// Namespace of `xml:lang` and its like.
pub(crate) const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
/// Namespace of `xsi:schemaLocation` and its like.
pub(crate) const SCHEMA_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// A parsed XML file of the package.
pub(crate) struct Page<'text> {
    pub(crate) path: &'text str,
    document: Document<'text>,
    /// Offset after each line end, to find lines without scanning the file again.
    lines: Vec<usize>,
}

/// The text of an XML file, without its byte order mark.
pub(crate) fn text<'b>(path: &str, bytes: &'b [u8]) -> Result<&'b str, Box<Problem>> {
    if bytes.len() as u64 > limits::XML_BYTES {
        return Err(too_large(path, "bytes", limits::XML_BYTES).into());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        let problem = Problem::error("not-utf-8", "the file is not UTF-8 text").in_file(path).at_line(line as u32);
        Box::new(problem.advice("save the file as UTF-8"))
    })
}

impl<'text> Page<'text> {
    /// Parses a text within the limits.
    pub(crate) fn parse(path: &'text str, text: &'text str) -> Result<Self, Box<Problem>> {
        let lines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        guard(path, text, &lines)?;
        let options = ParsingOptions { allow_dtd: false, nodes_limit: limits::XML_NODES, entity_resolver: None };
        let document = Document::parse_with_options(text, options).map_err(|error| match error {
            roxmltree::Error::NodesLimitReached => too_large(path, "nodes", u64::from(limits::XML_NODES)),
            error => malformed(path, error.pos().row, &error.to_string()),
        })?;
        Ok(Self { path, document, lines })
    }

    /// The root element.
    pub(crate) fn root(&self) -> Node<'_, 'text> {
        self.document.root_element()
    }

    /// Places a problem at an element of this file.
    pub(crate) fn at(&self, node: Node<'_, '_>, problem: Problem) -> Problem {
        problem.in_file(self.path).at_line(self.line(node)).in_element(node.tag_name().name())
    }

    /// The line where an element begins, from 1.
    pub(crate) fn line(&self, node: Node<'_, '_>) -> u32 {
        line(&self.lines, node.range().start)
    }

    /// Whether the page says that it is QTI.
    pub(crate) fn is_qti(&self) -> bool {
        self.root().tag_name().namespace().is_some_and(|namespace| namespace.contains("imsqti"))
    }

    /// Whether the page says that it is QTI 3, whose names are written with dashes.
    pub(crate) fn is_qti_3(&self) -> bool {
        self.root().tag_name().namespace().is_some_and(|namespace| namespace.contains("_v3p"))
    }

    /// Whether an element is of another vocabulary than the page: MathML, XInclude, extensions of some maker.
    pub(crate) fn is_foreign(&self, node: Node<'_, '_>) -> bool {
        node.tag_name().namespace() != self.root().tag_name().namespace()
    }

    /// Places a problem at the last element with this attribute, or else in this file: what stands for several places.
    pub(crate) fn at_last(&self, attribute_name: &str, value: &str, problem: Problem) -> Problem {
        let holds = |node: &Node<'_, '_>| node.is_element() && attribute(*node, attribute_name) == Some(value);
        match self.root().descendants().rfind(holds) {
            Some(node) => self.at(node, problem),
            None => problem.in_file(self.path),
        }
    }
}

/// The name of an element in the words of QTI 2.
pub(crate) fn name<'n>(node: Node<'n, '_>) -> Cow<'n, str> {
    let name = node.tag_name().name();
    match name.strip_prefix("qti-") {
        // The two names whose capitals follow no rule.
        Some("duration-lt") => Cow::Borrowed("durationLT"),
        Some("duration-gte") => Cow::Borrowed("durationGTE"),
        Some(rest) => Cow::Owned(camel(rest)),
        None => Cow::Borrowed(name),
    }
}

/// An attribute, asked for in the words of QTI 2. Attributes of foreign namespaces are not found.
pub(crate) fn attribute<'n>(node: Node<'n, '_>, wanted: &str) -> Option<&'n str> {
    node.attributes()
        .find(|a| {
            a.namespace().is_none() && (a.name() == wanted || (a.name().contains('-') && camel(a.name()) == wanted))
        })
        .map(|a| a.value())
}

/// Child elements.
pub(crate) fn children<'n, 't>(node: Node<'n, 't>) -> impl Iterator<Item = Node<'n, 't>> {
    node.children().filter(Node::is_element)
}

/// Child elements of a name.
pub(crate) fn children_named<'n, 't>(node: Node<'n, 't>, wanted: &str) -> impl Iterator<Item = Node<'n, 't>> {
    children(node).filter(move |child| name(*child) == wanted)
}

/// All text inside an element.
pub(crate) fn inner_text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect()
}

/// `baseType` → `base-type`, as QTI 3 writes it.
pub(crate) fn dashed(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.ends_with(|last: char| last == '-' || last.is_ascii_uppercase()) {
            out.push('-');
        }
        out.push(c);
    }
    // A capital that follows another belongs to the same word, as in `durationLT`.
    out.to_ascii_lowercase()
}

/// `base-type` → `baseType`.
pub(crate) fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(chars.as_str());
    }
    out
}

/// A cheap pass that refuses what would cost the tree parser too much, before it starts.
fn guard(path: &str, text: &str, lines: &[usize]) -> Result<(), Box<Problem>> {
    let mut reader = Reader::from_str(text);
    let (mut depth, mut namespaces) = (0usize, 0usize);
    loop {
        let event = reader
            .read_event()
            .map_err(|error| malformed(path, line(lines, reader.error_position() as usize), &error.to_string()))?;
        match event {
            Event::Start(element) => {
                depth += 1;
                namespaces += declared_namespaces(path, &element)?;
            }
            Event::Empty(element) => namespaces += declared_namespaces(path, &element)?,
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::DocType(_) => {
                let problem = Problem::error("dtd", "the file has a document type declaration (DTD)");
                let problem = problem.in_file(path).at_line(line(lines, reader.buffer_position() as usize));
                let advice = "remove the <!DOCTYPE …>; entities it declares must be written out";
                return Err(Box::new(problem.advice(advice)));
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
        if depth > limits::XML_DEPTH {
            return Err(too_large(path, "nested elements", limits::XML_DEPTH as u64).into());
        }
        if namespaces > limits::XML_NAMESPACES {
            return Err(too_large(path, "namespace declarations", limits::XML_NAMESPACES as u64).into());
        }
    }
}

fn declared_namespaces(path: &str, element: &BytesStart<'_>) -> Result<usize, Box<Problem>> {
    let (mut attributes, mut namespaces) = (0, 0);
    // Malformed attributes are left to the parser, which says more about them.
    for attribute in element.attributes().with_checks(false).map_while(Result::ok) {
        attributes += 1;
        namespaces += usize::from(attribute.key.as_ref().starts_with("xmlns"));
        if attributes > limits::XML_ATTRIBUTES {
            return Err(too_large(path, "attributes of one element", limits::XML_ATTRIBUTES as u64).into());
        }
    }
    Ok(namespaces)
}

fn line(lines: &[usize], offset: usize) -> u32 {
    1 + lines.partition_point(|start| *start <= offset) as u32
}

fn malformed(path: &str, line: u32, why: &str) -> Problem {
    let problem = Problem::error("malformed-xml", format!("the file is not well-formed XML: {}", shown(why)));
    problem.in_file(path).at_line(line).advice("open it in an XML editor, or export it again")
}

fn too_large(path: &str, what: &str, most: u64) -> Problem {
    let problem = Problem::error("xml-too-large", format!("more than {most} {what}"));
    problem.in_file(path).advice("split the file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> Option<&'static str> {
        Page::parse("a.xml", text).err().map(|p| p.code)
    }

    #[test]
    fn depth_at_and_beyond_the_limit() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(code(&nested(limits::XML_DEPTH)), None);
        assert_eq!(code(&nested(limits::XML_DEPTH + 1)), Some("xml-too-large"));
        assert_eq!(code(&"<a>".repeat(1_000_000)), Some("xml-too-large"));
    }

    #[test]
    fn attributes_and_namespaces_at_and_beyond_the_limit() {
        let with = |count: usize| {
            let attributes: Vec<_> = (0..count).map(|n| format!("a{n}=''")).collect();
            format!("<a {}/>", attributes.join(" "))
        };
        assert_eq!(code(&with(limits::XML_ATTRIBUTES)), None);
        assert_eq!(code(&with(limits::XML_ATTRIBUTES + 1)), Some("xml-too-large"));
        let spaces = |count: usize| format!("<a>{}</a>", "<b xmlns='x'/>".repeat(count));
        assert_eq!(code(&spaces(limits::XML_NAMESPACES)), None);
        assert_eq!(code(&spaces(limits::XML_NAMESPACES + 1)), Some("xml-too-large"));
    }

    #[test]
    fn nodes_at_and_beyond_the_limit() {
        // The document itself is a node, and so is its root element.
        let with = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
        assert_eq!(code(&with(limits::XML_NODES as usize - 2)), None);
        assert_eq!(code(&with(limits::XML_NODES as usize - 1)), Some("xml-too-large"));
    }

    #[test]
    fn bytes_at_and_beyond_the_limit() {
        let mut bytes = vec![b' '; limits::XML_BYTES as usize];
        assert!(text("a.xml", &bytes).is_ok());
        bytes.push(b' ');
        assert_eq!(text("a.xml", &bytes).unwrap_err().code, "xml-too-large");
    }

    #[test]
    fn document_types_and_entities_are_refused() {
        assert_eq!(code("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"), Some("dtd"));
        assert_eq!(code("<!DOCTYPE a SYSTEM 'http://example.org/x.dtd'><a/>"), Some("dtd"));
        assert_eq!(code("<a>&unknown;</a>"), Some("malformed-xml"));
        assert_eq!(code("<a>&amp;&#65;</a>"), None);
    }

    #[test]
    fn the_line_of_a_fault_is_named() {
        let problem = Page::parse("a.xml", "<a>\n<b>\n</c>\n</a>").err().unwrap();
        assert_eq!((problem.code, problem.line), ("malformed-xml", Some(3)));
        assert_eq!(text("a.xml", b"<a>\n\n\xff</a>").unwrap_err().line, Some(3));
    }

    #[test]
    fn names_of_qti_3_are_read_in_the_words_of_qti_2() {
        let text = "<qti-assessment-item base-type='x' data-a='y' time-dependent='true'/>";
        let page = Page::parse("a.xml", text).unwrap();
        assert_eq!(name(page.root()), "assessmentItem");
        assert_eq!(attribute(page.root(), "baseType"), Some("x"));
        assert_eq!(attribute(page.root(), "timeDependent"), Some("true"));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_page_or_a_problem(text in "[<>/a-c='\"&;! \n\\[\\]-]{0,80}") {
            let _ = Page::parse("a.xml", &text);
        }
    }
}
