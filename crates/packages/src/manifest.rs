//! `imsmanifest.xml`: which resources a package has, and which of them are tests and items.

use std::collections::{BTreeMap, BTreeSet};

use crate::href::{self, Target};
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// Path of the manifest in every package.
pub const MANIFEST: &str = "imsmanifest.xml";

/// What a manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Resources in the order of the file.
    pub resources: Vec<Resource>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `identifier`.
    pub identifier: String,
    /// Line of the manifest where it begins.
    pub line: u32,
    /// What it is, by its `type`.
    pub kind: Kind,
    /// Path of its main file.
    pub href: Option<String>,
    /// Paths of all its files.
    pub files: Vec<String>,
    /// Identifiers of resources it needs.
    pub dependencies: Vec<String>,
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `imsqti_test_…` (also `imsqti_assessment_…` of older packages).
    Test,
    /// `imsqti_item_…` (also `apipitem_…`).
    Item,
    /// `imsqti_stimulus_…`: a text that items share.
    Stimulus,
    /// Anything else: styles, media, metadata.
    Other,
}

impl Kind {
    /// By the `type` attribute; the version in it is not looked at, the file's own namespace decides.
    fn of(resource_type: &str) -> Self {
        let resource_type = resource_type.trim();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|p| resource_type.starts_with(p));
        if starts(&["imsqti_test_", "imsqti_assessment_", "qtitest_", "apiptest_"]) {
            Self::Test
        } else if starts(&["imsqti_item_", "imsqti_apipitem_", "apipitem_"]) {
            Self::Item
        } else if starts(&["imsqti_stimulus_"]) {
            Self::Stimulus
        } else {
            Self::Other
        }
    }
}

impl Manifest {
    /// Reads a manifest; what is wrong in it goes to the report.
    pub(crate) fn read(page: &Page<'_>, report: &mut CheckReport) -> Self {
        let root = page.root();
        if xml::name(root) != "manifest" {
            let problem = Problem::error("wrong-root", "the manifest's first element must be 'manifest'");
            report.push(page.at(root, problem.advice("export the package again as a QTI package")));
            return Self::default();
        }
        if !root.tag_name().namespace().is_some_and(|namespace| namespace.contains("imscp")) {
            let problem = Problem::warning("unknown-version", "the namespace is none of IMS content packaging");
            report.push(page.at(root, problem.advice("the file is read as content packaging 1.1 all the same")));
        }
        let mut identifiers = BTreeSet::new();
        let resources = xml::children_named(root, "resources").flat_map(|list| xml::children_named(list, "resource"));
        let resources = resources.map(|node| resource(page, node, &mut identifiers, report)).collect();
        Self { resources }
    }

    /// Resources of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(move |r| r.kind == kind)
    }

    /// Every path the manifest names, with a resource that names it.
    pub fn named_files(&self) -> BTreeMap<&str, &Resource> {
        self.resources.iter().flat_map(|r| r.href.iter().chain(&r.files).map(move |path| (path.as_str(), r))).collect()
    }
}

fn resource(
    page: &Page<'_>,
    node: roxmltree::Node<'_, '_>,
    identifiers: &mut BTreeSet<String>,
    report: &mut CheckReport,
) -> Resource {
    let identifier = xml::attribute(node, "identifier").unwrap_or_default().to_owned();
    if identifier.is_empty() {
        let problem = Problem::error("missing-identifier", "the resource has no identifier");
        report.push(page.at(node, problem.advice("give each resource an identifier of its own")));
    } else if !identifiers.insert(identifier.clone()) {
        let problem = Problem::error("duplicate-identifier", "another resource has the same identifier");
        report.push(page.at(node, problem.advice("give each resource an identifier of its own")));
    }
    let files = xml::children_named(node, "file").filter_map(|file| path(page, file, report)).collect();
    let dependencies = xml::children_named(node, "dependency")
        .filter_map(|d| d.attribute("identifierref"))
        .map(str::to_owned)
        .collect();
    let kind = Kind::of(node.attribute("type").unwrap_or_default());
    report.extend(type_fault(node).map(|problem| page.at(node, problem)));
    let href = node.has_attribute("href").then(|| path(page, node, report)).flatten();
    if href.is_none() && kind != Kind::Other {
        let problem = Problem::error("missing-href", "the resource does not say which file it is");
        report.push(page.at(node, problem.advice("add the href of the test or item file")));
    }
    Resource { identifier, line: page.line(node), kind, href, files, dependencies }
}

/// What `xml:base` of the element and those around it puts before its address.
fn base(node: roxmltree::Node<'_, '_>) -> String {
    let bases: Vec<_> = node.ancestors().filter_map(|n| n.attribute((xml::XML_NAMESPACE, "base"))).collect();
    let with_slash = |base: &str| if base.is_empty() || base.ends_with('/') { base.into() } else { format!("{base}/") };
    bases.into_iter().rev().map(|base| with_slash(base.trim())).collect()
}

/// Types a resource of QTI has, without the version at the end.
const TYPES: &[&str] = &[
    "imsqti_test_xml",
    "imsqti_assessment_xml",
    "imsqti_section_xml",
    "imsqti_item_xml",
    "imsqti_stimulus_xml",
    "imsqti_rptemplate_xml",
    "imsqti_outcomes_xml",
    "imsqti_fragment_xml",
    "imsqti_apipitem_xml",
    "imsqti_apipsection_xml",
    "imsqti_apiptest_xml",
];
/// Versions at the end of a type.
const VERSIONS: &[&str] = &["v2p0", "v2p1", "v2p2", "v2p3", "v3p0"];

/// A type that looks like one of QTI and is none is mostly a typing mistake, after which a test or item is overlooked.
fn type_fault(node: roxmltree::Node<'_, '_>) -> Option<Problem> {
    let Some(written) = node.attribute("type").map(str::trim) else {
        let problem = Problem::warning("missing-attribute", "the resource has no 'type': it is taken along unread");
        return Some(problem.advice("add the type, such as 'imsqti_item_xmlv2p2' or 'webcontent'"));
    };
    let is_known = TYPES.iter().any(|t| written.strip_prefix(t).is_some_and(|version| VERSIONS.contains(&version)));
    if !written.to_ascii_lowercase().starts_with("imsqti") || is_known {
        return None;
    }
    let message = format!("'{}' is no type of QTI 2.0 to 3.0", shown(written));
    let problem = Problem::warning("unknown-type", message);
    Some(problem.advice("correct it, such as 'imsqti_test_xmlv2p2', 'imsqti_item_xmlv3p0'"))
}

/// The path an element's `href` names.
fn path(page: &Page<'_>, node: roxmltree::Node<'_, '_>, report: &mut CheckReport) -> Option<String> {
    let href = format!("{}{}", base(node), node.attribute("href").unwrap_or_default().trim());
    match href::resolve(page.path, &href) {
        Target::File(path) => Some(path),
        Target::Remote | Target::Elsewhere => None,
        Target::Invalid => {
            let problem = Problem::error("bad-href", "the href does not name a file inside the package");
            report.push(page.at(node, problem.advice("write it relative to the package, without leaving it")));
            None
        }
    }
}
