//! Instructions, feedback and styles.

use roxmltree::Node;

use super::document::{Feedback, Rubric, Stylesheet};
use super::fields;
use super::markup::Writer;
use crate::xml;

/// `rubricBlock` elements among the children.
pub(super) fn rubrics(writer: Writer<'_, '_, '_>, parent: Node<'_, '_>) -> Vec<Rubric> {
    let rubric = |node| {
        let mut attributes = fields::attributes(writer, node);
        let views = attributes.remove("view").unwrap_or_default();
        Rubric {
            views: views.split_whitespace().map(str::to_owned).collect(),
            purpose: attributes.remove("use"),
            attributes,
            stylesheets: stylesheets(writer, node),
            content: writer.content(inner(node)),
        }
    };
    xml::children_named(parent, "rubricBlock").map(rubric).collect()
}

/// Feedback elements of a name among the children.
pub(super) fn feedbacks(writer: Writer<'_, '_, '_>, parent: Node<'_, '_>, wanted: &str) -> Vec<Feedback> {
    let feedback = |node| Feedback {
        identifier: fields::text(node, "identifier"),
        outcome: fields::text(node, "outcomeIdentifier"),
        show_hide: fields::optional(node, "showHide").unwrap_or_else(|| "show".to_owned()),
        access: fields::optional(node, "access"),
        title: fields::optional(node, "title"),
        stylesheets: stylesheets(writer, node),
        content: writer.content(inner(node)),
    };
    xml::children_named(parent, wanted).map(feedback).collect()
}

/// `stylesheet` elements among the children.
pub(super) fn stylesheets(writer: Writer<'_, '_, '_>, parent: Node<'_, '_>) -> Vec<Stylesheet> {
    let stylesheet =
        |node| Stylesheet { href: writer.file(node, "href"), attributes: fields::attributes(writer, node) };
    xml::children_named(parent, "stylesheet").map(stylesheet).collect()
}

/// QTI 3 wraps what is shown in `qti-content-body`.
fn inner<'n, 't>(node: Node<'n, 't>) -> Node<'n, 't> {
    xml::children_named(node, "contentBody").next().unwrap_or(node)
}
