//! Every variable that rules and texts name must be declared: a runner would stop, or give no score.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use crate::compile::document::{Declaration, Item, ItemRef, Test};
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// Variables every item has, declared or not.
const OF_ITEMS: &[&str] = &["completionStatus", "numAttempts", "duration", "QTI_CONTEXT"];
/// Variables every test, part and section has.
const OF_TESTS: &[&str] = &["duration", "QTI_CONTEXT"];

/// A place of a test that names a variable.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    name: String,
    /// A problem at that place, still without words.
    file: String,
    line: u32,
    element: String,
}

/// Attributes by which an element names a variable.
fn naming(name: &str) -> &'static [&'static str] {
    match name {
        "variable" | "default" | "correct" | "mapResponse" | "mapResponsePoint" | "printedVariable"
        | "setOutcomeValue" | "lookupOutcomeValue" | "setTemplateValue" | "setCorrectResponse" | "setDefaultValue" => {
            &["identifier"]
        }
        "feedbackBlock" | "feedbackInline" | "modalFeedback" | "testFeedback" => &["outcomeIdentifier"],
        "templateBlock" | "templateInline" => &["templateIdentifier"],
        _ => &[],
    }
}

fn names<'p, 't>(page: &'p Page<'t>) -> impl Iterator<Item = (Node<'p, 't>, &'p str)> {
    let own = |node: &Node<'p, 't>| node.is_element() && !page.is_foreign(*node);
    let named =
        |node| naming(&xml::name(node)).iter().filter_map(move |a| Some((node, xml::attribute(node, a)?.trim())));
    page.root().descendants().filter(own).flat_map(named)
}

/// Checks an item: each variable it names is declared in it.
pub(crate) fn check_item(page: &Page<'_>, item: &Item, report: &mut CheckReport) {
    let declared = declared(item);
    for (node, name) in names(page).filter(|(_, name)| !declared.contains(name) && !OF_ITEMS.contains(name)) {
        report.push(page.at(node, undeclared(name, "the item")));
    }
}

fn declared(item: &Item) -> BTreeSet<&str> {
    let lists: [&[Declaration]; 4] = [&item.responses, &item.outcomes, &item.templates, &item.contexts];
    lists.into_iter().flatten().map(|declaration| declaration.identifier.as_str()).collect()
}

/// Notes which variables a page of a test names: what items declare is known only later.
pub(crate) fn uses(page: &Page<'_>) -> Vec<Use> {
    let noted = |(node, name): (Node<'_, '_>, &str)| Use {
        name: name.to_owned(),
        file: page.path.to_owned(),
        line: page.line(node),
        element: node.tag_name().name().to_owned(),
    };
    names(page).map(noted).collect()
}

/// Checks a test: each variable it names is its own, or one of the item it names before the dot.
pub(crate) fn check_test(uses: &[Use], test: &Test, items: &[Item], report: &mut CheckReport) {
    let own: BTreeSet<&str> = test.outcomes.iter().map(|declaration| declaration.identifier.as_str()).collect();
    let scope = Scope { own, items: item_variables(test, items), others: containers(test) };
    for found in uses.iter().filter(|found| !scope.has(&found.name)) {
        let problem = undeclared(&found.name, "the test");
        report.push(problem.in_file(&found.file).at_line(found.line).in_element(&found.element));
    }
}

struct Scope<'t> {
    own: BTreeSet<&'t str>,
    /// Item reference → variables; none when the item could not be read.
    items: BTreeMap<&'t str, Option<BTreeSet<&'t str>>>,
    /// Parts and sections.
    others: BTreeSet<&'t str>,
}

impl Scope<'_> {
    fn has(&self, name: &str) -> bool {
        if self.own.contains(name) || OF_TESTS.contains(&name) {
            return true;
        }
        // `ITEM.SCORE`, or `ITEM.2.SCORE` for the second time an item is asked. Identifiers may have dots themselves.
        name.match_indices('.').any(|(dot, _)| {
            let (holder, variable) = (&name[..dot], &name[dot + 1..]);
            if self.others.contains(holder) {
                return OF_TESTS.contains(&variable);
            }
            let variable = variable.split_once('.').filter(|(n, _)| n.parse::<u32>().is_ok()).map_or(variable, |p| p.1);
            match self.items.get(holder) {
                Some(Some(variables)) => variables.contains(variable) || OF_ITEMS.contains(&variable),
                Some(None) => true,
                None => false,
            }
        })
    }
}

fn item_variables<'t>(test: &'t Test, items: &'t [Item]) -> BTreeMap<&'t str, Option<BTreeSet<&'t str>>> {
    let by_path: BTreeMap<&str, BTreeSet<&str>> =
        items.iter().map(|item| (item.href.as_str(), declared(item))).collect();
    let of_reference = |reference: &'t ItemRef| {
        let mut variables = by_path.get(reference.href.as_str()).cloned();
        if let Some(variables) = &mut variables {
            variables.extend(reference.variable_mappings.keys().map(String::as_str));
        }
        (reference.identifier.as_str(), variables)
    };
    test.item_refs().into_iter().map(of_reference).collect()
}

fn containers(test: &Test) -> BTreeSet<&str> {
    let mut found = BTreeSet::from([test.identifier.as_str()]);
    found.extend(test.parts.iter().map(|part| part.identifier.as_str()));
    found.extend(test.sections().into_iter().map(|section| section.identifier.as_str()));
    found
}

fn undeclared(name: &str, holder: &str) -> Problem {
    let message = format!("the variable '{}' is not declared in {holder}", shown(name));
    Problem::error("undeclared-variable", message).advice("declare it, or correct the name")
}
