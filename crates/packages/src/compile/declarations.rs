//! Declared variables with their defaults, right answers and tables.

use roxmltree::Node;

use super::document::{Declaration, Value};
use super::fields;
use super::markup::Writer;
use crate::problem::CheckReport;
use crate::xml::{self, Page};

/// Tables a declaration may hold.
const TABLES: &[&str] = &["mapping", "areaMapping", "matchTable", "interpolationTable"];

/// Declarations of a kind among the children, such as `responseDeclaration`.
pub(super) fn of_kind<'p, 't>(
    writer: Writer<'_, 'p, 't>,
    page: &'p Page<'t>,
    parent: Node<'p, 't>,
    wanted: &str,
    report: &mut CheckReport,
) -> Vec<Declaration> {
    xml::children_named(parent, wanted).map(|node| declaration(writer, page, node, report)).collect()
}

fn declaration<'p, 't>(
    writer: Writer<'_, 'p, 't>,
    page: &'p Page<'t>,
    node: Node<'p, 't>,
    report: &mut CheckReport,
) -> Declaration {
    let mut attributes = fields::attributes(writer, node);
    attributes.remove("identifier");
    let base_type = attributes.remove("baseType").map(|base_type| base_type.trim().to_owned());
    Declaration {
        identifier: fields::identifier(page, node, report),
        cardinality: attributes.remove("cardinality").unwrap_or_default().trim().to_owned(),
        default: values(node, "defaultValue", base_type.as_deref()),
        correct: values(node, "correctResponse", base_type.as_deref()),
        base_type,
        attributes,
        tables: writer.some_rules(xml::children(node).filter(|child| TABLES.contains(&xml::name(*child).as_ref()))),
    }
}

/// The values of a list. Around a string space may be meant, around anything else it is only the way it was written.
fn values(declaration: Node<'_, '_>, wanted: &str, base_type: Option<&str>) -> Option<Vec<Value>> {
    let list = xml::children_named(declaration, wanted).next()?;
    let value = |node: Node<'_, '_>| {
        let (text, own_type) = (xml::inner_text(node), fields::optional(node, "baseType"));
        let is_string = own_type.as_deref().or(base_type) == Some("string");
        Value {
            value: if is_string { text } else { text.trim().to_owned() },
            field: fields::optional(node, "fieldIdentifier"),
            base_type: own_type,
        }
    };
    Some(xml::children_named(list, "value").map(value).collect())
}
