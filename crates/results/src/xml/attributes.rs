//! Attributes of one element, namespaces resolved.

use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use quick_xml::name::{NamespaceResolver, ResolveResult};

use super::write::is_carried;
use super::{EXTENSION, MAX_ATTRIBUTES, is_xml_char};

/// The reader takes anything up to a space or an equals sign for a name.
const NEVER_IN_NAMES: &str = "<>&\"'/=";

/// Attributes in order. One in a namespace is named `{namespace}name`; declarations of namespaces are not among them.
pub(super) struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// Reads them; the error is the message.
    pub(super) fn read(start: &BytesStart<'_>, namespaces: &NamespaceResolver) -> Result<Self, String> {
        let mut list: Vec<(String, String)> = Vec::new();
        // The reader's own check for doubles costs the square of their number; ours comes after the bound.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| "an attribute is malformed".to_owned())?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let (namespace, local) = namespaces.resolve_attribute(attribute.key);
            let local = local.into_inner();
            let name = match namespace {
                ResolveResult::Bound(namespace) => format!("{{{}}}{local}", namespace.into_inner()),
                ResolveResult::Unbound => local.to_owned(),
                ResolveResult::Unknown(_) => return Err("an attribute has a prefix that is not declared".to_owned()),
            };
            if list.len() == MAX_ATTRIBUTES {
                return Err(format!("the element has more than {MAX_ATTRIBUTES} attributes"));
            }
            if list.iter().any(|(known, _)| *known == name) {
                return Err("an attribute is given twice".to_owned());
            }
            if !local.chars().all(|c| is_xml_char(c) && !NEVER_IN_NAMES.contains(c)) {
                return Err("an attribute has a name XML does not allow".to_owned());
            }
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            let value = value.map_err(|_| "an attribute has an entity that XML does not predefine".to_owned())?;
            if !value.chars().all(is_xml_char) {
                return Err("an attribute has a character XML does not allow".to_owned());
            }
            list.push((name, value.into_owned()));
        }
        Ok(Self(list))
    }

    /// Takes an attribute out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes one of taosync's own attributes out.
    pub(super) fn take_extension(&mut self, name: &str) -> Option<String> {
        self.take(&format!("{{{EXTENSION}}}{name}"))
    }

    /// Takes an attribute that has to be there; the error is the message.
    pub(super) fn require(&mut self, name: &str) -> Result<String, String> {
        self.take(name).ok_or_else(|| format!("the attribute {name} is missing"))
    }

    /// What nobody took, as far as it can be written again: unknown attributes of our own namespace cannot.
    pub(super) fn rest(self) -> Vec<(String, String)> {
        self.0.into_iter().filter(|(name, _)| is_carried(name)).collect()
    }
}
