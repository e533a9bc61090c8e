//! The test of a package: which file it is, and its parts.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::document::{Navigation, Part, Submission, Test};
use super::markup::Writer;
use super::media::Media;
use super::sections::Sections;
use super::{Source, content, declarations, fields, rules, with_page};
use crate::checks;
use crate::checks::variables::Use;
use crate::manifest::{Kind, MANIFEST, Manifest, Resource};
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// Identifiers that are named when one must be chosen.
const NAMED: usize = 20;

/// Paths of the tests of the package, or of the one that is chosen by its identifier in the manifest; with any number
/// but one the package is refused. A delivery is exactly one test: with several, whichever we took would be a guess that a
/// warning does not undo on the day of the exam.
pub(super) fn find<'m>(manifest: &'m Manifest, chosen: Option<&str>, report: &mut CheckReport) -> BTreeSet<&'m str> {
    let tests: Vec<&Resource> = manifest.of_kind(Kind::Test).filter(|resource| resource.href.is_some()).collect();
    let wanted = tests.iter().filter(|test| chosen.is_none_or(|chosen| test.identifier == chosen));
    let hrefs: BTreeSet<&str> = wanted.filter_map(|test| test.href.as_deref()).collect();
    if tests.is_empty() {
        let problem = Problem::error("no-test", "the manifest names no test").in_file(MANIFEST);
        report.push(problem.advice("a delivery needs a test: export the test, not only its items"));
    } else if let (Some(chosen), true) = (chosen, hrefs.is_empty()) {
        let message = format!("the package has no test '{}'; it has {}", shown(chosen), named(&tests));
        let problem = Problem::error("unknown-test", message).in_file(MANIFEST);
        report.push(problem.advice("choose one of these with --test"));
    }
    if hrefs.len() > 1 {
        let message = format!("the package holds {} tests: {}", hrefs.len(), named(&tests));
        let problem = Problem::error("several-tests", message).in_file(MANIFEST).at_line(tests[1].line);
        report.push(problem.in_element("resource").advice("a delivery is one test: choose it with --test IDENTIFIER"));
    }
    hrefs
}

/// Tests by identifier, with their files.
fn named(tests: &[&Resource]) -> String {
    let name = |test: &&Resource| {
        format!("'{}' ({})", shown(&test.identifier), shown(test.href.as_deref().unwrap_or_default()))
    };
    let mut names: Vec<_> = tests.iter().take(NAMED).map(name).collect();
    if tests.len() > NAMED {
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// Reads the test file and the section files it refers to, and which variables they name.
pub(super) fn read<'f>(
    files: &'f dyn Source,
    href: &str,
    media: &mut Media<'f>,
    report: &mut CheckReport,
) -> Option<(Test, Vec<Use>)> {
    // A missing file was reported with the manifest that names it.
    if !files.contains(href) {
        return None;
    }
    with_page(files, href, report, |page, report| test(files, page, media, report)).flatten()
}

fn test<'f>(
    files: &'f dyn Source,
    page: &Page<'_>,
    media: &mut Media<'f>,
    report: &mut CheckReport,
) -> Option<(Test, Vec<Use>)> {
    let root = page.root();
    if xml::name(root) != "assessmentTest" {
        let problem = Problem::error(
            "wrong-root",
            "the first element of a test must be 'assessmentTest' ('qti-assessment-test' in QTI 3)",
        );
        report.push(page.at(root, problem.advice("check the type of the resource in the manifest")));
        return None;
    }
    checks::of_page(page, report);
    let writer = Writer::new(files, page);
    let mut sections = Sections::new(files, media);
    let parts: Vec<Part> =
        xml::children_named(root, "testPart").map(|node| part(writer, page, node, &mut sections, report)).collect();
    if parts.is_empty() {
        let problem = Problem::error("empty-test", "the test has no testPart");
        report.push(page.at(root, problem.advice("add a part with a section and items")));
    }
    let (mut assets, mut uses) = sections.into_parts();
    uses.extend(checks::variables::uses(page));
    assets.extend(media.of_page(page, report));
    let test = Test {
        identifier: fields::identifier(page, root, report),
        title: fields::text(root, "title"),
        href: page.path.to_owned(),
        qti_version: fields::qti_version(page, report),
        outcomes: declarations::of_kind(writer, page, root, "outcomeDeclaration", report),
        time_limits: fields::time_limits(page, root, report),
        stylesheets: content::stylesheets(writer, root),
        rubrics: content::rubrics(writer, root),
        parts,
        outcome_processing: rules::processing(writer, root, "outcomeProcessing"),
        feedbacks: content::feedbacks(writer, root, "testFeedback"),
        assets: assets.into_iter().collect(),
    };
    checks::of_test(page, &test, report);
    Some((test, uses))
}

fn part<'p, 't>(
    writer: Writer<'_, 'p, 't>,
    page: &'p Page<'t>,
    node: Node<'p, 't>,
    sections: &mut Sections<'_, '_>,
    report: &mut CheckReport,
) -> Part {
    Part {
        identifier: fields::identifier(page, node, report),
        navigation: navigation(page, node, report),
        submission: submission(page, node, report),
        session_control: fields::session_control(node),
        time_limits: fields::time_limits(page, node, report),
        preconditions: rules::preconditions(writer, node),
        branch_rules: rules::branch_rules(writer, node),
        rubrics: content::rubrics(writer, node),
        sections: sections.of_part(page, node, report),
        feedbacks: content::feedbacks(writer, node, "testFeedback"),
    }
}

fn navigation(page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> Navigation {
    match xml::attribute(node, "navigationMode").map(str::trim) {
        Some("nonlinear") => Navigation::Nonlinear,
        Some("linear") => Navigation::Linear,
        _ => {
            report.push(fields::bad_value(page, node, "navigationMode", "'linear' or 'nonlinear'"));
            Navigation::Linear
        }
    }
}

fn submission(page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> Submission {
    match xml::attribute(node, "submissionMode").map(str::trim) {
        Some("simultaneous") => Submission::Simultaneous,
        Some("individual") => Submission::Individual,
        _ => {
            report.push(fields::bad_value(page, node, "submissionMode", "'individual' or 'simultaneous'"));
            Submission::Individual
        }
    }
}

/// Paths of the items tests refer to.
pub(super) fn used_items(tests: &[(Test, Vec<Use>)]) -> BTreeSet<&str> {
    tests.iter().flat_map(|(test, _)| test.item_refs()).map(|item| item.href.as_str()).collect()
}
