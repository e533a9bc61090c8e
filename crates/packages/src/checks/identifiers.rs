//! Identifiers of a test name its parts in results and rules, so each may stand for one thing only.

use std::collections::BTreeSet;

use crate::compile::document::{Child, Section, Test};
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::Page;

/// Duplicates named; each costs a walk over the page.
const MOST: usize = 50;

/// Parts, sections and item references must have identifiers of their own.
pub(crate) fn check(page: &Page<'_>, test: &Test, report: &mut CheckReport) {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for part in &test.parts {
        note(&part.identifier, &mut seen, &mut twice);
        part.sections.iter().for_each(|section| visit(section, &mut seen, &mut twice));
    }
    for identifier in twice.into_iter().filter(|identifier| !identifier.is_empty()).take(MOST) {
        let message = format!("the identifier '{}' is used more than once", shown(identifier));
        let problem = page.at_last("identifier", identifier, Problem::error("duplicate-identifier", message));
        report.push(problem.advice("give each part, section and item reference an identifier of its own"));
    }
}

fn visit<'t>(section: &'t Section, seen: &mut BTreeSet<&'t str>, twice: &mut BTreeSet<&'t str>) {
    note(&section.identifier, seen, twice);
    for child in &section.children {
        match child {
            Child::Section(section) => visit(section, seen, twice),
            Child::Item(item) => note(&item.identifier, seen, twice),
        }
    }
}

fn note<'t>(identifier: &'t str, seen: &mut BTreeSet<&'t str>, twice: &mut BTreeSet<&'t str>) {
    if !seen.insert(identifier) {
        twice.insert(identifier);
    }
}
