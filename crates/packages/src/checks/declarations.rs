//! Declared variables: one of a name, with a base type, and values of that type.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::values;
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// Checks the declarations of a test or item.
pub(crate) fn check(page: &Page<'_>, report: &mut CheckReport) {
    let mut seen = BTreeSet::new();
    for node in xml::children(page.root()).filter(|node| xml::name(*node).ends_with("Declaration")) {
        let identifier = xml::attribute(node, "identifier").unwrap_or_default().trim();
        if !seen.insert(identifier) && !identifier.is_empty() {
            let message = format!("the variable '{}' is declared more than once", shown(identifier));
            let problem = Problem::error("duplicate-identifier", message);
            report.push(page.at(node, problem.advice("give each variable a name of its own")));
        }
        let base_type = xml::attribute(node, "baseType").map(str::trim);
        if base_type.is_none() && xml::attribute(node, "cardinality").is_some_and(|c| c.trim() != "record") {
            let name = if page.is_qti_3() { "base-type" } else { "baseType" };
            let problem = Problem::error("missing-attribute", format!("the attribute '{name}' is missing"));
            report.push(page.at(node, problem.advice("add it: without it values cannot be read")));
        }
        declared_values(page, node, base_type, report);
    }
}

fn declared_values(page: &Page<'_>, declaration: Node<'_, '_>, base_type: Option<&str>, report: &mut CheckReport) {
    for list in
        xml::children(declaration).filter(|c| matches!(xml::name(*c).as_ref(), "defaultValue" | "correctResponse"))
    {
        let values: Vec<_> = xml::children_named(list, "value").collect();
        let cardinality = xml::attribute(declaration, "cardinality").unwrap_or_default().trim();
        if cardinality == "single" && values.len() > 1 {
            let message = format!("a variable of cardinality 'single' has one value, not {}", values.len());
            let problem = Problem::error("wrong-count", message);
            report.push(page.at(list, problem.advice("remove values, or make it 'multiple' or 'ordered'")));
        }
        for value in values {
            let own_type = xml::attribute(value, "baseType").map(str::trim).or(base_type).unwrap_or_default();
            let text = xml::inner_text(value);
            if let Some(fault) = values::base_type_fault(own_type, text.trim()) {
                let problem = Problem::error("bad-value", format!("the value {fault}"));
                report.push(page.at(value, problem.advice("correct the value or the base type")));
            }
        }
    }
}
