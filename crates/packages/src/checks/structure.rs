//! The elements of a page: names of its version, attributes and children as the standard demands them.

use roxmltree::Node;

use super::grammar::{self, Content, Rule};
use super::values;
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// Checks every element of QTI in a page. Other vocabularies are left to those who know them.
pub(super) fn check(page: &Page<'_>, report: &mut CheckReport) {
    let is_qti_3 = page.is_qti_3();
    for node in page.root().descendants().filter(|node| node.is_element() && !page.is_foreign(*node)) {
        let name = xml::name(node);
        if page.is_qti() {
            report.extend(name_fault(node, &name, is_qti_3).map(|problem| page.at(node, problem)));
        }
        let Some(rule) = grammar::rule_of(&name) else { continue };
        report.extend(attribute_faults(node, rule, is_qti_3).into_iter().map(|problem| page.at(node, problem)));
        children(page, node, rule, report);
    }
}

/// QTI 3 writes its names with `qti-` and dashes, QTI 2 without.
fn name_fault(node: Node<'_, '_>, name: &str, is_qti_3: bool) -> Option<Problem> {
    let has_prefix = node.tag_name().name().starts_with("qti-");
    if has_prefix && !grammar::is_known(name) {
        let problem = Problem::warning("unknown-element", "QTI has no element of this name; it has no effect");
        return Some(problem.advice("correct its name or remove it"));
    }
    if has_prefix == is_qti_3 || !(has_prefix || grammar::rule_of(name).is_some()) {
        return None;
    }
    let (version, right) = if is_qti_3 { (3, format!("qti-{}", xml::dashed(name))) } else { (2, name.to_owned()) };
    let problem = Problem::error("wrong-name", format!("QTI {version} writes this element '{right}'"));
    Some(problem.advice("rename it, or correct the namespace of the file's first element"))
}

fn attribute_faults(node: Node<'_, '_>, rule: &Rule, is_qti_3: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for wanted in rule.required.iter().filter(|wanted| xml::attribute(node, wanted).is_none()) {
        let written = if is_qti_3 { xml::dashed(wanted) } else { (*wanted).to_owned() };
        let problem = Problem::error("missing-attribute", format!("the attribute '{written}' is missing"));
        problems.push(problem.advice("add it: the element means nothing without it"));
    }
    for (wanted, meant) in grammar::expected_of(rule.name) {
        if xml::attribute(node, wanted).is_none() {
            let written = if is_qti_3 { xml::dashed(wanted) } else { (*wanted).to_owned() };
            let message = format!("the attribute '{written}' is missing; {meant} is taken instead");
            problems.push(Problem::warning("missing-attribute", message).advice("add it"));
        }
    }
    let identifier = xml::attribute(node, "identifier").map(str::trim).unwrap_or_default();
    if grammar::is_named_by_rules(rule.name) && !identifier.is_empty() && !values::is_identifier(identifier) {
        let message = format!("'{}' is no identifier: rules and results cannot name it safely", shown(identifier));
        let problem = Problem::warning("bad-identifier", message);
        problems.push(problem.advice("begin with a letter, go on with letters, digits, '_', '-' and '.'"));
    }
    for attribute in node.attributes().filter(|attribute| attribute.namespace().is_none()) {
        let name = xml::camel(attribute.name());
        if let Some(expected) = values::fault(&name, attribute.value()) {
            let message = format!("'{}' must be {expected}, not '{}'", attribute.name(), shown(attribute.value()));
            problems.push(Problem::error("bad-value", message).advice("correct the attribute"));
        }
        let has_capitals = attribute.name().contains(|c: char| c.is_ascii_uppercase());
        if is_qti_3 && has_capitals && node.tag_name().name().starts_with("qti-") {
            let message = format!("QTI 3 writes this attribute '{}'", xml::dashed(attribute.name()));
            problems.push(Problem::error("wrong-name", message).advice("rename it: as it is, it has no effect"));
        }
    }
    problems
}

fn children(page: &Page<'_>, node: Node<'_, '_>, rule: &Rule, report: &mut CheckReport) {
    let own: Vec<_> = xml::children(node).filter(|child| !page.is_foreign(*child)).collect();
    let (expressions, allowed): (&[Node<'_, '_>], &[&str]) = match rule.content {
        Content::Any => return,
        Content::Nothing => (&[], &[]),
        Content::Only(names) => (&[], names),
        Content::Expressions(..) => (&own, &[]),
        Content::Branch(rules) => (&own[..own.len().min(1)], rules),
    };
    for child in expressions.iter().filter(|child| !grammar::is_expression(&xml::name(**child))) {
        let problem = Problem::error("unknown-element", "an expression is expected here, and this is none");
        report.push(page.at(*child, problem.advice("correct its name, or put an expression in its place")));
    }
    for child in &own[expressions.len()..] {
        // Another page may be put in place of any element.
        if !allowed.contains(&xml::name(*child).as_ref()) && xml::name(*child) != "include" {
            let message = format!("this element does not belong into '{}' and would be ignored", rule.name);
            let problem = Problem::error("unknown-element", message);
            report.push(page.at(*child, problem.advice("correct its name, move it, or remove it")));
        }
    }
    report.extend(count_fault(rule, own.len()).map(|problem| page.at(node, problem)));
}

fn count_fault(rule: &Rule, count: usize) -> Option<Problem> {
    let (least, most) = match rule.content {
        Content::Expressions(least, most) => (least, most),
        Content::Branch(_) => (1, usize::MAX),
        _ => return None,
    };
    if (least..=most).contains(&count) {
        return None;
    }
    let expected = match (least, most) {
        (least, usize::MAX) => format!("at least {least}"),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    let message = format!("'{}' takes {expected} expression(s) and has {count}", rule.name);
    Some(Problem::error("wrong-count", message).advice("add what is missing or remove what is too much"))
}
