//! What is asked: each interaction has a declared response of the right type, and something to choose from.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use crate::compile::document::{Declaration, Item};
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// What an interaction answers with, and what it is chosen from.
struct Answer {
    base_types: &'static [&'static str],
    /// Elements of which there must be one.
    choices: &'static [&'static str],
}

fn answer(interaction: &str) -> Option<Answer> {
    let (base_types, choices): (&[&str], &[&str]) = match interaction {
        "choiceInteraction" | "orderInteraction" => (&["identifier"], &["simpleChoice"]),
        "inlineChoiceInteraction" => (&["identifier"], &["inlineChoice"]),
        "hottextInteraction" => (&["identifier"], &["hottext"]),
        "hotspotInteraction" | "graphicOrderInteraction" => (&["identifier"], &["hotspotChoice"]),
        "associateInteraction" => (&["pair"], &["simpleAssociableChoice"]),
        "graphicAssociateInteraction" => (&["pair"], &["associableHotspot"]),
        "matchInteraction" => (&["directedPair"], &["simpleAssociableChoice"]),
        "gapMatchInteraction" => (&["directedPair"], &["gapText", "gapImg"]),
        "graphicGapMatchInteraction" => (&["directedPair"], &["gapImg", "gapText"]),
        "textEntryInteraction" | "extendedTextInteraction" => (&["string", "integer", "float"], &[]),
        "sliderInteraction" => (&["integer", "float"], &[]),
        "selectPointInteraction" | "positionObjectInteraction" => (&["point"], &[]),
        "mediaInteraction" => (&["integer"], &[]),
        "drawingInteraction" | "uploadInteraction" => (&["file"], &[]),
        "endAttemptInteraction" => (&["boolean"], &[]),
        _ => return None,
    };
    Some(Answer { base_types, choices })
}

/// Checks the interactions of an item.
pub(crate) fn check(page: &Page<'_>, item: &Item, report: &mut CheckReport) {
    let declared: BTreeMap<&str, &Declaration> = item.responses.iter().map(|r| (r.identifier.as_str(), r)).collect();
    let mut asked: BTreeMap<&str, Node<'_, '_>> = BTreeMap::new();
    let is_interaction = |node: &Node<'_, '_>| node.is_element() && xml::name(*node).ends_with("Interaction");
    for node in page.root().descendants().filter(is_interaction) {
        let Some(response) = xml::attribute(node, "responseIdentifier").map(str::trim) else { continue };
        if asked.insert(response, node).is_some() {
            let message =
                format!("two interactions answer into '{}': one answer overwrites the other", shown(response));
            let problem = Problem::warning("shared-response", message);
            report.push(page.at(node, problem.advice("give each interaction a response of its own")));
        }
        let Some(declaration) = declared.get(response) else {
            let message = format!("the response '{}' is not declared, so answers would be lost", shown(response));
            let problem = Problem::error("undeclared-response", message);
            report.push(page.at(node, problem.advice("add a responseDeclaration with this identifier")));
            continue;
        };
        if !page.is_foreign(node) {
            of_answer(page, node, declaration, report);
        }
    }
    unused(page, &asked, report);
}

fn of_answer(page: &Page<'_>, node: Node<'_, '_>, declaration: &Declaration, report: &mut CheckReport) {
    let Some(Answer { base_types, choices }) = answer(&xml::name(node)) else { return };
    let base_type = declaration.base_type.as_deref().unwrap_or_default();
    if declaration.cardinality != "record" && !base_types.contains(&base_type) {
        let message = format!(
            "answers here are of base type '{}', but '{}' is declared as '{}'",
            base_types.join("' or '"),
            shown(&declaration.identifier),
            shown(base_type)
        );
        let problem = Problem::error("wrong-type", message);
        report.push(page.at(node, problem.advice("correct the baseType of the responseDeclaration")));
    }
    if choices.is_empty() {
        return;
    }
    let named = |node: &Node<'_, '_>| node.is_element() && xml::attribute(*node, "identifier").is_some();
    let inside: Vec<_> = node.descendants().skip(1).filter(named).collect();
    if !inside.iter().any(|choice| choices.contains(&xml::name(*choice).as_ref())) {
        let problem = Problem::error("no-choices", "there is nothing to choose from");
        report.push(page.at(node, problem.advice(format!("add elements '{}'", choices.join("' or '")))));
    }
    let mut identifiers = BTreeSet::new();
    for choice in inside.iter().filter(|choice| is_choice(&xml::name(**choice))) {
        let identifier = xml::attribute(*choice, "identifier").unwrap_or_default().trim();
        if !identifiers.insert(identifier) {
            let message = format!("two choices have the identifier '{}'", shown(identifier));
            let problem = Problem::warning("duplicate-choice", message + ": answers cannot tell them apart");
            report.push(page.at(*choice, problem.advice("give each choice an identifier of its own")));
        }
    }
    right_answers(page, node, declaration, &identifiers, report);
}

fn is_choice(name: &str) -> bool {
    matches!(
        name,
        "simpleChoice"
            | "inlineChoice"
            | "hottext"
            | "hotspotChoice"
            | "simpleAssociableChoice"
            | "associableHotspot"
            | "gapText"
            | "gapImg"
            | "gap"
    )
}

/// A right answer that nobody can give is a mistake of the author that candidates pay for.
fn right_answers(
    page: &Page<'_>,
    node: Node<'_, '_>,
    declaration: &Declaration,
    identifiers: &BTreeSet<&str>,
    report: &mut CheckReport,
) {
    let words = declaration.correct.iter().flatten().flat_map(|value| value.value.split_whitespace());
    for word in words.filter(|word| !identifiers.contains(word)) {
        let message = format!("the right answer '{}' is none of the choices", shown(word));
        let problem = Problem::warning("unknown-choice", message);
        report.push(page.at(node, problem.advice("correct the correctResponse or the identifiers of the choices")));
    }
}

fn unused(page: &Page<'_>, asked: &BTreeMap<&str, Node<'_, '_>>, report: &mut CheckReport) {
    for node in xml::children_named(page.root(), "responseDeclaration") {
        let identifier = xml::attribute(node, "identifier").unwrap_or_default().trim();
        if !asked.contains_key(identifier) && !identifier.is_empty() {
            let message = format!("no interaction answers into '{}'", shown(identifier));
            let problem = Problem::warning("unused-response", message);
            report.push(page.at(node, problem.advice("remove the declaration, or correct a responseIdentifier")));
        }
    }
}
