//! Pieces of a page as JSON: bodies, texts, rules. Nothing is interpreted, so nothing is lost: values stay as written;
//! only names are those of QTI 2, whichever version the page has.
//!
//! The pieces stay text in memory too: a test of two thousand items would else be a forest of small allocations.

use std::borrow::Cow;
use std::collections::BTreeMap;

use roxmltree::Node as XmlNode;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Source, media};
use crate::PackageError;
use crate::href::{self, Target};
use crate::xml::{self, Page};

/// A list of [`Node`]s, kept as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Markup(Box<RawValue>);

/// A text or an element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Node {
    /// Text as written.
    Text(String),
    /// An element.
    Element(Element),
}

/// An element of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Name; for elements of QTI that in QTI 2, such as `choiceInteraction`.
    pub name: String,
    /// Namespace of what is neither QTI nor the HTML in it, such as that of MathML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Attributes as written; those of elements of QTI by their names in QTI 2.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Attributes that name files of the package, with the paths of those.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// What is inside, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
}

impl Markup {
    /// The nodes. Errors: never for what this crate wrote.
    pub fn nodes(&self) -> Result<Vec<Node>, PackageError> {
        serde_json::from_str(self.json()).map_err(|e| PackageError::Encode("a piece of the compiled test", e.into()))
    }

    /// The JSON: a list of texts and elements.
    pub fn json(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Markup {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json()
    }
}

impl Eq for Markup {}

/// What becomes of text that is nothing but space.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    /// Between words of a text it matters.
    Kept,
    /// Between rules it is only indentation.
    Dropped,
}

/// Writes pieces of one page.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a, 'p, 't> {
    files: &'a dyn Source,
    page: &'p Page<'t>,
}

impl<'a, 'p, 't> Writer<'a, 'p, 't> {
    pub(super) fn new(files: &'a dyn Source, page: &'p Page<'t>) -> Self {
        Self { files, page }
    }

    /// What an element shows, without its styles, which are a list of their own.
    pub(super) fn content(self, parent: XmlNode<'_, '_>) -> Markup {
        let shown = parent.children().filter(|node| !self.is_styles(*node));
        self.write(shown.collect(), Space::Kept)
    }

    /// What a child shows; nothing when there is no such child.
    pub(super) fn inside(self, parent: XmlNode<'_, '_>, wanted: &str) -> Markup {
        let child = xml::children_named(parent, wanted).next();
        child.map_or_else(|| self.write(Vec::new(), Space::Kept), |child| self.content(child))
    }

    /// One element, whole.
    pub(super) fn whole(self, element: XmlNode<'_, '_>) -> Markup {
        self.write(vec![element], Space::Kept)
    }

    /// Rules or expressions: elements.
    pub(super) fn rules(self, elements: impl IntoIterator<Item = XmlNode<'p, 't>>) -> Markup {
        self.write(elements.into_iter().collect(), Space::Dropped)
    }

    /// Rules or expressions, when there are any.
    pub(super) fn some_rules(self, elements: impl IntoIterator<Item = XmlNode<'p, 't>>) -> Option<Markup> {
        let elements: Vec<_> = elements.into_iter().collect();
        (!elements.is_empty()).then(|| self.rules(elements))
    }

    /// The attributes of an element, by their QTI 2 names.
    pub(super) fn attributes<'n>(self, element: XmlNode<'n, '_>) -> BTreeMap<String, &'n str> {
        let is_qti_3 = element.tag_name().name().starts_with("qti-") && !self.page.is_foreign(element);
        let named = element.attributes().filter_map(|attribute| {
            let name = match attribute.namespace() {
                None if is_qti_3 && !is_free(attribute.name()) => xml::camel(attribute.name()),
                None => attribute.name().to_owned(),
                Some(xml::XML_NAMESPACE) => format!("xml:{}", attribute.name()),
                // Where its schema lies matters to no runner.
                Some(xml::SCHEMA_NAMESPACE) => return None,
                Some(namespace) => format!("{{{namespace}}}{}", attribute.name()),
            };
            Some((name, attribute.value()))
        });
        named.collect()
    }

    /// The path an attribute leads to, when the package has that file.
    pub(super) fn file(self, element: XmlNode<'_, '_>, attribute: &str) -> Option<String> {
        match href::resolve(self.page.path, xml::attribute(element, attribute)?) {
            Target::File(path) if self.files.contains(&path) => Some(path),
            _ => None,
        }
    }

    fn is_styles(self, node: XmlNode<'_, '_>) -> bool {
        node.is_element() && !self.page.is_foreign(node) && xml::name(node) == "stylesheet"
    }

    fn write(self, nodes: Vec<XmlNode<'_, '_>>, space: Space) -> Markup {
        let piece = Piece { writer: self, space };
        let written = serde_json::value::to_raw_value(&Children { piece, nodes: &nodes });
        // Unwrap safety: strings, lists and maps with string keys are always JSON.
        Markup(written.expect("pages can be written as JSON"))
    }
}

/// Attributes whose names are the same in every version.
fn is_free(name: &str) -> bool {
    name.starts_with("data-") || name.starts_with("aria-")
}

#[derive(Clone, Copy)]
struct Piece<'a, 'p, 't> {
    writer: Writer<'a, 'p, 't>,
    space: Space,
}

impl Piece<'_, '_, '_> {
    fn is_written(self, node: XmlNode<'_, '_>) -> bool {
        node.is_element()
            || node.text().is_some_and(|text| {
                node.is_text() && (self.space == Space::Kept || !text.trim().is_empty() || is_alone(node))
            })
    }
}

/// A text that is all an element holds is a value, even when it is a space.
fn is_alone(node: XmlNode<'_, '_>) -> bool {
    node.prev_sibling().is_none() && node.next_sibling().is_none()
}

struct Children<'w, 'a, 'p, 't, 'n, 'i> {
    piece: Piece<'a, 'p, 't>,
    nodes: &'w [XmlNode<'n, 'i>],
}

impl Serialize for Children<'_, '_, '_, '_, '_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for node in self.nodes.iter().filter(|node| self.piece.is_written(**node)) {
            list.serialize_element(&One { piece: self.piece, node: *node })?;
        }
        list.end()
    }
}

struct One<'a, 'p, 't, 'n, 'i> {
    piece: Piece<'a, 'p, 't>,
    node: XmlNode<'n, 'i>,
}

impl Serialize for One<'_, '_, '_, '_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (writer, node) = (self.piece.writer, self.node);
        if node.is_text() {
            return serializer.serialize_str(node.text().unwrap_or_default());
        }
        let is_foreign = writer.page.is_foreign(node);
        let name = if is_foreign { Cow::Borrowed(node.tag_name().name()) } else { xml::name(node) };
        let attributes = writer.attributes(node);
        let references = media::references(writer.page, node).iter();
        let files: BTreeMap<_, _> =
            references.filter_map(|(attribute, _)| Some((*attribute, writer.file(node, attribute)?))).collect();
        let children: Vec<_> = node.children().filter(|child| self.piece.is_written(*child)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &name)?;
        if is_foreign && let Some(namespace) = node.tag_name().namespace() {
            map.serialize_entry("namespace", namespace)?;
        }
        if !attributes.is_empty() {
            map.serialize_entry("attributes", &attributes)?;
        }
        if !files.is_empty() {
            map.serialize_entry("files", &files)?;
        }
        if !children.is_empty() {
            map.serialize_entry("children", &Children { piece: self.piece, nodes: &children })?;
        }
        map.end()
    }
}
