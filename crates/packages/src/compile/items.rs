//! Items: what they declare, ask and show.

use std::collections::BTreeSet;

use super::document::{Interaction, Item, Test};
use super::media::Media;
use super::{Source, fields, test, with_page};
use crate::checks;
use crate::problem::{CheckReport, Problem};
use crate::xml::{self, Page};

/// Reads the items of the manifest and of the tests, sorted by path; every one is checked, used or not.
pub(super) fn read_all(
    files: &dyn Source,
    tests: &[Test],
    listed: BTreeSet<String>,
    media: &mut Media<'_>,
    report: &mut CheckReport,
) -> Vec<Item> {
    let mut paths = listed;
    let used: BTreeSet<String> = test::used_items(tests).into_iter().map(str::to_owned).collect();
    // A test that cannot be read uses nothing, which says nothing about the items.
    for path in paths.difference(&used).filter(|_| !tests.is_empty()) {
        let problem = Problem::warning("unused-item", "the test does not use this item").in_file(path);
        report.push(problem.advice("nothing to do, unless it was meant to be asked"));
    }
    for path in used.difference(&paths) {
        let problem = Problem::warning("unlisted-item", "the test uses this item, but the manifest does not list it");
        report.push(problem.in_file(path).advice("add it to the manifest as an item"));
    }
    paths.extend(used);
    paths.iter().filter_map(|path| with_page(files, path, report, |page, r| item(page, media, r)).flatten()).collect()
}

fn item(page: &Page<'_>, media: &mut Media<'_>, report: &mut CheckReport) -> Option<Item> {
    let root = page.root();
    if xml::name(root) != "assessmentItem" {
        let problem = Problem::error(
            "wrong-root",
            "the first element of an item must be 'assessmentItem' ('qti-assessment-item' in QTI 3)",
        );
        report.push(page.at(root, problem.advice("check the type of the resource in the manifest")));
        return None;
    }
    checks::attributes::check(page, report);
    let item = Item {
        href: page.path.to_owned(),
        identifier: fields::identifier(page, root, report),
        title: fields::text(root, "title"),
        language: root.attribute(("http://www.w3.org/XML/1998/namespace", "lang")).map(str::to_owned),
        qti_version: fields::qti_version(page, report),
        adaptive: fields::is_set(root, "adaptive"),
        time_dependent: fields::is_set(root, "timeDependent"),
        responses: fields::declarations(page, root, "responseDeclaration", report),
        outcomes: fields::declarations(page, root, "outcomeDeclaration", report),
        interactions: interactions(page),
        assets: media.of_page(page, report).into_iter().collect(),
    };
    checks::responses::check(page, &item, report);
    Some(item)
}

fn interactions(page: &Page<'_>) -> Vec<Interaction> {
    // Custom interactions wrap elements of other namespaces with like names; only the outer one has a response.
    let asks = |node: &roxmltree::Node<'_, '_>| node.is_element() && xml::name(*node).ends_with("Interaction");
    let interaction = |node: roxmltree::Node<'_, '_>| {
        let response = xml::attribute(node, "responseIdentifier")?.to_owned();
        Some(Interaction { element: xml::name(node).into_owned(), response })
    };
    page.root().descendants().filter(asks).filter_map(interaction).collect()
}
