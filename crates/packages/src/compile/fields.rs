//! Attributes and small elements that many parts of QTI share.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::document::TimeLimits;
use super::markup::Writer;
use crate::problem::{CheckReport, Problem};
use crate::xml::{self, Page};

/// The QTI version of a file by the namespace of its root.
pub(super) fn qti_version(page: &Page<'_>, report: &mut CheckReport) -> String {
    let namespace = page.root().tag_name().namespace().unwrap_or_default();
    let known = [("_v2p0", "2.0"), ("_v2p1", "2.1"), ("_v2p2", "2.2"), ("_v2p3", "2.3"), ("_v3p0", "3.0")];
    if let Some((_, version)) = known.iter().find(|(ending, _)| namespace.contains(ending)) {
        return (*version).to_owned();
    }
    let problem = Problem::warning("unknown-version", "the namespace is none of QTI 2.0 to 3.0");
    report.push(page.at(page.root(), problem.advice("the file is read as QTI 2; check that it shows as meant")));
    "unknown".to_owned()
}

/// The identifier every element of this kind must have.
pub(super) fn identifier(page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> String {
    let identifier = text(node, "identifier");
    if identifier.is_empty() {
        let problem = Problem::error("missing-identifier", "the element has no identifier");
        report.push(page.at(node, problem.advice("add the attribute 'identifier'")));
    }
    identifier
}

/// An attribute's text, empty when absent.
pub(super) fn text(node: Node<'_, '_>, wanted: &str) -> String {
    xml::attribute(node, wanted).unwrap_or_default().trim().to_owned()
}

/// An attribute's text; `None` when absent or empty.
pub(super) fn optional(node: Node<'_, '_>, wanted: &str) -> Option<String> {
    Some(text(node, wanted)).filter(|text| !text.is_empty())
}

/// All attributes as written, by their QTI 2 names.
pub(super) fn attributes(writer: Writer<'_, '_, '_>, node: Node<'_, '_>) -> BTreeMap<String, String> {
    writer.attributes(node).into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

/// Whether a boolean attribute is set; absent and unreadable ones are not.
pub(super) fn is_set(node: Node<'_, '_>, wanted: &str) -> bool {
    matches!(xml::attribute(node, wanted).map(str::trim), Some("true" | "1"))
}

/// Whether a boolean attribute whose default is true is set.
pub(super) fn is_not_unset(node: Node<'_, '_>, wanted: &str) -> bool {
    xml::attribute(node, wanted).is_none() || is_set(node, wanted)
}

/// A number from zero; `None` when absent or, with a problem, when it is something else.
pub(super) fn number(page: &Page<'_>, node: Node<'_, '_>, wanted: &str, report: &mut CheckReport) -> Option<f64> {
    let written = xml::attribute(node, wanted)?.trim();
    let number = written.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    if number.is_none() {
        report.push(bad_value(page, node, wanted, "a number from 0"));
    }
    number
}

pub(super) fn bad_value(page: &Page<'_>, node: Node<'_, '_>, attribute: &str, expected: &str) -> Problem {
    let problem = Problem::error("bad-value", format!("'{attribute}' must be {expected}"));
    page.at(node, problem.advice("correct the attribute"))
}

/// The `timeLimits` child.
pub(super) fn time_limits(page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> Option<TimeLimits> {
    let limits = xml::children_named(node, "timeLimits").next()?;
    let min_seconds = number(page, limits, "minTime", report);
    let max_seconds = number(page, limits, "maxTime", report);
    if let (Some(least), Some(most)) = (min_seconds, max_seconds)
        && least > most
    {
        let message = format!("the least time ({least} s) is longer than the most time ({most} s)");
        report.push(page.at(limits, Problem::error("bad-value", message).advice("correct one of the two")));
    }
    Some(TimeLimits { min_seconds, max_seconds, late_submission: is_set(limits, "allowLateSubmission") })
}

/// Attributes of the `itemSessionControl` child, by their QTI 2 names.
pub(super) fn session_control(node: Node<'_, '_>) -> BTreeMap<String, String> {
    xml::children_named(node, "itemSessionControl")
        .flat_map(|control| control.attributes())
        .filter(|attribute| attribute.namespace().is_none())
        .map(|attribute| (xml::camel(attribute.name()), attribute.value().to_owned()))
        .collect()
}
