//! Rules: when a part of a test is skipped, where it goes on, how variables get their values. They are carried whole.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::document::{BranchRule, Markup, ResponseProcessing};
use super::fields;
use super::markup::Writer;
use crate::xml;

/// Conditions of the `preCondition` children.
pub(super) fn preconditions<'p, 't>(writer: Writer<'_, 'p, 't>, parent: Node<'p, 't>) -> Vec<Markup> {
    xml::children_named(parent, "preCondition").map(|node| writer.rules(xml::children(node))).collect()
}

/// The `branchRule` children.
pub(super) fn branch_rules<'p, 't>(writer: Writer<'_, 'p, 't>, parent: Node<'p, 't>) -> Vec<BranchRule> {
    let rule = |node| BranchRule { target: fields::text(node, "target"), condition: writer.rules(xml::children(node)) };
    xml::children_named(parent, "branchRule").map(rule).collect()
}

/// The rules inside a child such as `outcomeProcessing`.
pub(super) fn processing<'p, 't>(writer: Writer<'_, 'p, 't>, parent: Node<'p, 't>, wanted: &str) -> Option<Markup> {
    let node = xml::children_named(parent, wanted).next()?;
    Some(writer.rules(xml::children(node)))
}

/// `responseProcessing`: a template's name, or rules.
pub(super) fn response_processing<'p, 't>(
    writer: Writer<'_, 'p, 't>,
    item: Node<'p, 't>,
) -> Option<ResponseProcessing> {
    let node = xml::children_named(item, "responseProcessing").next()?;
    let location = writer.file(node, "templateLocation").or_else(|| fields::optional(node, "templateLocation"));
    Some(ResponseProcessing {
        template: fields::optional(node, "template"),
        template_location: location,
        rules: writer.some_rules(xml::children(node)),
    })
}

/// `variableMapping` elements: name in the test → name in the item.
pub(super) fn variable_mappings(item_ref: Node<'_, '_>) -> BTreeMap<String, String> {
    let mapping = |node| (fields::text(node, "targetIdentifier"), fields::text(node, "sourceIdentifier"));
    xml::children_named(item_ref, "variableMapping").map(mapping).collect()
}

/// `templateDefault` elements: template variable → expression.
pub(super) fn template_defaults<'p, 't>(
    writer: Writer<'_, 'p, 't>,
    item_ref: Node<'p, 't>,
) -> BTreeMap<String, Markup> {
    let default = |node| (fields::text(node, "templateIdentifier"), writer.rules(xml::children(node)));
    xml::children_named(item_ref, "templateDefault").map(default).collect()
}
