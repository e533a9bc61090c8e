//! How a test goes on: branch targets lie ahead, selections find enough.

use std::collections::BTreeMap;

use crate::compile::document::{BranchRule, Child, Section, Test};
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::Page;

/// Ways out that need no target.
const EXITS: &[&str] = &["EXIT_TEST", "EXIT_TESTPART", "EXIT_SECTION"];

/// One rule, with the place in the test after which it decides.
struct Jump<'t> {
    rule: &'t BranchRule,
    from: usize,
}

#[derive(Default)]
struct Walk<'t> {
    /// Identifier → place in the order of the test.
    places: BTreeMap<&'t str, usize>,
    jumps: Vec<Jump<'t>>,
    selections: Vec<&'t Section>,
}

/// Checks the flow of a test.
pub(crate) fn check(page: &Page<'_>, test: &Test, report: &mut CheckReport) {
    let mut walk = Walk::default();
    for part in &test.parts {
        walk.enter(&part.identifier);
        part.sections.iter().for_each(|section| walk.section(section));
        walk.leave(&part.branch_rules);
    }
    for Jump { rule, from } in &walk.jumps {
        let ahead = walk.places.get(rule.target.as_str()).is_some_and(|place| place > from);
        if !ahead && !EXITS.contains(&rule.target.as_str()) && !rule.target.is_empty() {
            let message = format!("nothing with the identifier '{}' follows in the test", shown(&rule.target));
            let problem = page.at_last("target", &rule.target, Problem::error("unknown-target", message));
            report
                .push(problem.advice("name a later item, section or part, or EXIT_SECTION, EXIT_TESTPART, EXIT_TEST"));
        }
    }
    for section in walk.selections {
        selection(page, section, report);
    }
}

impl<'t> Walk<'t> {
    fn enter(&mut self, identifier: &'t str) {
        let next = self.places.len();
        self.places.entry(identifier).or_insert(next);
    }

    /// Rules decide after all that is inside: everything seen so far is no way forward.
    fn leave(&mut self, rules: &'t [BranchRule]) {
        let from = self.places.len().saturating_sub(1);
        self.jumps.extend(rules.iter().map(|rule| Jump { rule, from }));
    }

    fn section(&mut self, section: &'t Section) {
        self.enter(&section.identifier);
        if section.selection.is_some() {
            self.selections.push(section);
        }
        for child in &section.children {
            match child {
                Child::Section(section) => self.section(section),
                Child::Item(item) => {
                    self.enter(&item.identifier);
                    self.leave(&item.branch_rules);
                }
            }
        }
        self.leave(&section.branch_rules);
    }
}

fn selection(page: &Page<'_>, section: &Section, report: &mut CheckReport) {
    let Some(selection) = &section.selection else { return };
    let (select, all) = (selection.select as usize, section.children.len());
    let required = section.children.iter().filter(|child| child.is_required()).count();
    let message = if !selection.with_replacement && select > all {
        format!("{select} are to be selected, but the section has only {all}")
    } else if select < required {
        format!("{select} are to be selected, but {required} are required")
    } else {
        return;
    };
    let problem = page.at_last("identifier", &section.identifier, Problem::error("bad-selection", message));
    report.push(problem.advice("correct 'select', or add and remove what is in the section"));
}
