//! Sections, nested and from files of their own, with their item references.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::document::{Child, ItemRef, Section, Selection};
use super::markup::Writer;
use super::media::Media;
use super::{Source, content, fields, rules, with_page};
use crate::checks;
use crate::checks::variables::Use;
use crate::href::{self, Target};
use crate::limits;
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// Reads sections while counting them. Each section file is read once, so files that include each other come to an end.
pub(super) struct Sections<'f, 'm> {
    files: &'f dyn Source,
    media: &'m mut Media<'f>,
    left: usize,
    depth: usize,
    section_files: BTreeSet<String>,
    assets: BTreeSet<String>,
    uses: Vec<Use>,
}

impl<'f, 'm> Sections<'f, 'm> {
    pub(super) fn new(files: &'f dyn Source, media: &'m mut Media<'f>) -> Self {
        let (section_files, assets) = (BTreeSet::new(), BTreeSet::new());
        Self { files, media, left: limits::TEST_PARTS, depth: 0, section_files, assets, uses: Vec::new() }
    }

    /// Files shown by section files, and variables named in them.
    pub(super) fn into_parts(self) -> (BTreeSet<String>, Vec<Use>) {
        (self.assets, self.uses)
    }

    /// The sections of a test part.
    pub(super) fn of_part(&mut self, page: &Page<'_>, part: Node<'_, '_>, report: &mut CheckReport) -> Vec<Section> {
        let mut sections = Vec::new();
        for child in self.children(page, part, report) {
            match child {
                Child::Section(section) => sections.push(section),
                Child::Item(item) => report.push(misplaced(page, part, &item)),
            }
        }
        if sections.is_empty() {
            let problem = Problem::error("empty-part", "the test part has no section");
            report.push(page.at(part, problem.advice("add a section with items")));
        }
        sections
    }

    fn children(&mut self, page: &Page<'_>, parent: Node<'_, '_>, report: &mut CheckReport) -> Vec<Child> {
        let mut children = Vec::new();
        for node in xml::children(parent) {
            let child = match xml::name(node).as_ref() {
                "assessmentSection" => self.section(page, node, report).map(Child::Section),
                "assessmentSectionRef" => self.section_file(page, node, report).map(Child::Section),
                "assessmentItemRef" => self.item_ref(page, node, report).map(Child::Item),
                _ => None,
            };
            children.extend(child);
        }
        children
    }

    /// Takes one from the budget; `None` when it is used up.
    fn count(&mut self, page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> Option<()> {
        self.left = self.left.checked_sub(1).or_else(|| {
            report.push(too_large(page, node, format!("more than {} sections and items", limits::TEST_PARTS)));
            None
        })?;
        Some(())
    }

    fn section(&mut self, page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> Option<Section> {
        self.count(page, node, report)?;
        if self.depth == limits::SECTION_DEPTH {
            report.push(too_large(page, node, format!("sections deeper than {}", limits::SECTION_DEPTH)));
            return None;
        }
        self.depth += 1;
        let children = self.children(page, node, report);
        self.depth -= 1;
        let ordering = xml::children_named(node, "ordering").next();
        let writer = Writer::new(self.files, page);
        Some(Section {
            identifier: fields::identifier(page, node, report),
            title: fields::text(node, "title"),
            visible: fields::is_not_unset(node, "visible"),
            required: fields::is_set(node, "required"),
            fixed: fields::is_set(node, "fixed"),
            keep_together: fields::is_not_unset(node, "keepTogether"),
            selection: selection(writer, page, node, report),
            shuffle: ordering.is_some_and(|ordering| fields::is_set(ordering, "shuffle")),
            adaptive_selection: writer.some_rules(xml::children_named(node, "adaptiveSelection")),
            session_control: fields::session_control(node),
            time_limits: fields::time_limits(page, node, report),
            preconditions: rules::preconditions(writer, node),
            branch_rules: rules::branch_rules(writer, node),
            rubrics: content::rubrics(writer, node),
            children,
        })
    }

    fn section_file(&mut self, page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> Option<Section> {
        self.count(page, node, report)?;
        let path = self.target(page, node, "missing-section", report)?;
        if !self.section_files.insert(path.clone()) {
            let problem = Problem::error("repeated-section", format!("'{}' is already part of the test", shown(&path)));
            report
                .push(page.at(node, problem.advice("use each section file once; a copy needs identifiers of its own")));
            return None;
        }
        let files = self.files;
        if !self.media.keep(&path, &[], report) {
            return None;
        }
        let section = with_page(files, &path, report, |inner, report| {
            let root = inner.root();
            if xml::name(root) != "assessmentSection" {
                let problem =
                    Problem::error("wrong-root", "the first element of a section file must be 'assessmentSection'");
                report.push(inner.at(root, problem.advice("check the href that leads here")));
                return None;
            }
            checks::of_page(inner, report);
            self.uses.extend(checks::variables::uses(inner));
            let assets = self.media.of_page(inner, report);
            self.assets.extend(assets);
            self.section(inner, root, report)
        });
        section.flatten().map(|section| self.referred(page, node, section))
    }

    /// A section in a file of its own, with what the reference to it adds.
    fn referred(&self, page: &Page<'_>, reference: Node<'_, '_>, mut section: Section) -> Section {
        let writer = Writer::new(self.files, page);
        section.required |= fields::is_set(reference, "required");
        section.fixed |= fields::is_set(reference, "fixed");
        section.preconditions.splice(0..0, rules::preconditions(writer, reference));
        section.branch_rules.splice(0..0, rules::branch_rules(writer, reference));
        section
    }

    fn item_ref(&mut self, page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> Option<ItemRef> {
        self.count(page, node, report)?;
        let identifier = fields::identifier(page, node, report);
        let href = self.target(page, node, "missing-item", report)?;
        let writer = Writer::new(self.files, page);
        Some(ItemRef {
            identifier,
            href,
            required: fields::is_set(node, "required"),
            fixed: fields::is_set(node, "fixed"),
            categories: fields::text(node, "category").split_whitespace().map(str::to_owned).collect(),
            weights: weights(page, node, report),
            preconditions: rules::preconditions(writer, node),
            branch_rules: rules::branch_rules(writer, node),
            variable_mappings: rules::variable_mappings(node),
            template_defaults: rules::template_defaults(writer, node),
            session_control: fields::session_control(node),
            time_limits: fields::time_limits(page, node, report),
        })
    }

    /// The file of the package an `href` leads to.
    fn target(
        &self,
        page: &Page<'_>,
        node: Node<'_, '_>,
        code: &'static str,
        report: &mut CheckReport,
    ) -> Option<String> {
        let written = xml::attribute(node, "href").unwrap_or_default();
        if let Target::File(path) = href::resolve(page.path, written)
            && self.files.contains(&path)
        {
            return Some(path);
        }
        let problem = Problem::error(code, format!("'{}' is not a file of the package", shown(written)));
        report.push(page.at(node, problem.advice("add the file or correct the href")));
        None
    }
}

fn misplaced(page: &Page<'_>, part: Node<'_, '_>, item: &ItemRef) -> Problem {
    let message = format!("item '{}' is outside any section and would not be asked", shown(&item.identifier));
    page.at(part, Problem::error("misplaced-item", message).advice("move it into a section"))
}

fn too_large(page: &Page<'_>, node: Node<'_, '_>, message: String) -> Problem {
    page.at(node, Problem::error("test-too-large", message).advice("make the test smaller or flatter"))
}

fn selection(
    writer: Writer<'_, '_, '_>,
    page: &Page<'_>,
    node: Node<'_, '_>,
    report: &mut CheckReport,
) -> Option<Selection> {
    let selection = xml::children_named(node, "selection").next()?;
    let Some(select) = xml::attribute(selection, "select").and_then(|s| s.trim().parse().ok()) else {
        report.push(fields::bad_value(page, selection, "select", "a whole number"));
        return None;
    };
    let with_replacement = fields::is_set(selection, "withReplacement");
    Some(Selection { select, with_replacement, extensions: writer.some_rules(xml::children(selection)) })
}

fn weights(page: &Page<'_>, node: Node<'_, '_>, report: &mut CheckReport) -> BTreeMap<String, f64> {
    let mut weights = BTreeMap::new();
    for weight in xml::children_named(node, "weight") {
        let identifier = fields::identifier(page, weight, report);
        match xml::attribute(weight, "value").and_then(|v| v.trim().parse::<f64>().ok()).filter(|v| v.is_finite()) {
            Some(value) => {
                weights.insert(identifier, value);
            }
            None => report.push(fields::bad_value(page, weight, "value", "a number")),
        }
    }
    weights
}
