//! Items: what they declare, ask and show.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::document::{Interaction, Item, StimulusRef, Test};
use super::markup::Writer;
use super::media::Media;
use super::{Source, content, declarations, fields, rules, test, with_page};
use crate::checks;
use crate::checks::variables::Use;
use crate::problem::{CheckReport, Problem};
use crate::xml::{self, Page};

/// Checks the items of the manifest and of the tests, and gives those that tests use, sorted by path.
pub(super) fn read_all(
    files: &dyn Source,
    tests: &[(Test, Vec<Use>)],
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
    paths.extend(used.iter().cloned());
    let mut items = Vec::new();
    for path in &paths {
        let item = with_page(files, path, report, |page, report| item(files, page, media, report)).flatten();
        items.extend(item.filter(|item| used.contains(path) && media.keep(path, &item.assets, report)));
    }
    items
}

fn item(files: &dyn Source, page: &Page<'_>, media: &mut Media<'_>, report: &mut CheckReport) -> Option<Item> {
    let root = page.root();
    if xml::name(root) != "assessmentItem" {
        let problem = Problem::error(
            "wrong-root",
            "the first element of an item must be 'assessmentItem' ('qti-assessment-item' in QTI 3)",
        );
        report.push(page.at(root, problem.advice("check the type of the resource in the manifest")));
        return None;
    }
    checks::of_page(page, report);
    let writer = Writer::new(files, page);
    let mut declared = |wanted| declarations::of_kind(writer, page, root, wanted, report);
    let (responses, outcomes) = (declared("responseDeclaration"), declared("outcomeDeclaration"));
    let (templates, contexts) = (declared("templateDeclaration"), declared("contextDeclaration"));
    let item = Item {
        href: page.path.to_owned(),
        identifier: fields::identifier(page, root, report),
        title: fields::text(root, "title"),
        label: fields::optional(root, "label"),
        language: root.attribute((xml::XML_NAMESPACE, "lang")).map(str::to_owned),
        qti_version: fields::qti_version(page, report),
        adaptive: fields::is_set(root, "adaptive"),
        time_dependent: fields::is_set(root, "timeDependent"),
        responses,
        outcomes,
        templates,
        contexts,
        template_processing: rules::processing(writer, root, "templateProcessing"),
        stimuli: xml::children_named(root, "assessmentStimulusRef").map(|node| stimulus(writer, node)).collect(),
        stylesheets: content::stylesheets(writer, root),
        body: writer.inside(root, "itemBody"),
        response_processing: rules::response_processing(writer, root),
        modal_feedbacks: content::feedbacks(writer, root, "modalFeedback"),
        catalog: writer.some_rules(xml::children_named(root, "catalogInfo")),
        companion_materials: writer.some_rules(xml::children_named(root, "companionMaterialsInfo")),
        interactions: interactions(page),
        assets: media.of_page(page, report).into_iter().collect(),
    };
    checks::of_item(page, &item, report);
    Some(item)
}

fn stimulus(writer: Writer<'_, '_, '_>, node: Node<'_, '_>) -> StimulusRef {
    StimulusRef {
        identifier: fields::text(node, "identifier"),
        title: fields::optional(node, "title"),
        href: writer.file(node, "href"),
    }
}

fn interactions(page: &Page<'_>) -> Vec<Interaction> {
    // Custom interactions wrap elements of other namespaces with like names; only the outer one has a response.
    let asks = |node: &Node<'_, '_>| node.is_element() && xml::name(*node).ends_with("Interaction");
    let interaction = |node: Node<'_, '_>| {
        let response = xml::attribute(node, "responseIdentifier")?.to_owned();
        Some(Interaction { element: xml::name(node).into_owned(), response })
    };
    page.root().descendants().filter(asks).filter_map(interaction).collect()
}
