//! Files a page shows: pictures, sound, film, styles, shared texts. Shared texts are followed.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::{Source, with_page};
use crate::href::{self, Target};
use crate::limits;
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// What a missing file means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The page cannot be understood without it.
    Content,
    /// The page looks different without it.
    Style,
    /// A link or something like it: taken along when it is a file of the package.
    Link,
    /// Another page whose own files are needed too.
    Page,
}

/// What one page names itself.
#[derive(Clone, Default)]
struct Shown {
    files: BTreeSet<String>,
    pages: Vec<String>,
}

/// Finds files shown. Pages that many others include are parsed once.
pub(super) struct Media<'f> {
    files: &'f dyn Source,
    included: BTreeMap<String, Shown>,
}

impl<'f> Media<'f> {
    pub(super) fn new(files: &'f dyn Source) -> Self {
        Self { files, included: BTreeMap::new() }
    }

    /// Paths of all files a page shows, directly or through pages it includes.
    pub(super) fn of_page(&mut self, page: &Page<'_>, report: &mut CheckReport) -> BTreeSet<String> {
        let Shown { files: mut found, pages: mut waiting } = shown_by(self.files, page, report);
        let mut visited: BTreeSet<String> = waiting.iter().cloned().collect();
        while let Some(path) = waiting.pop() {
            if visited.len() > limits::INCLUDED_PAGES {
                let problem =
                    Problem::error("too-many-includes", format!("more than {} included pages", limits::INCLUDED_PAGES));
                report.push(problem.in_file(page.path).advice("include fewer shared texts"));
                break;
            }
            let shown = self.included_page(&path, report);
            found.extend(shown.files.iter().cloned());
            waiting.extend(shown.pages.iter().filter(|page| visited.insert((*page).clone())).cloned());
        }
        found
    }

    fn included_page(&mut self, path: &str, report: &mut CheckReport) -> &Shown {
        let files = self.files;
        self.included
            .entry(path.to_owned())
            .or_insert_with(|| with_page(files, path, report, |page, r| shown_by(files, page, r)).unwrap_or_default())
    }
}

fn shown_by(files: &dyn Source, page: &Page<'_>, report: &mut CheckReport) -> Shown {
    let mut shown = Shown::default();
    for node in page.root().descendants().filter(Node::is_element) {
        for (attribute, need) in references(node) {
            let Some(written) = xml::attribute(node, attribute) else { continue };
            match href::resolve(page.path, written) {
                Target::Elsewhere => {}
                Target::File(path) if files.contains(&path) => {
                    if shown.files.insert(path.clone()) && *need == Need::Page {
                        shown.pages.push(path);
                    }
                }
                Target::File(_) | Target::Invalid => report.extend(missing(page, node, written, *need)),
            }
        }
    }
    shown
}

/// Attributes of an element that name files.
fn references(node: Node<'_, '_>) -> &'static [(&'static str, Need)] {
    match xml::name(node).as_ref() {
        "img" | "audio" | "source" | "track" | "embed" => &[("src", Need::Content)],
        "video" => &[("src", Need::Content), ("poster", Need::Style)],
        "object" => &[("data", Need::Content)],
        "stylesheet" => &[("href", Need::Style)],
        "include" | "assessmentStimulusRef" => &[("href", Need::Page)],
        "a" => &[("href", Need::Link)],
        _ => &[],
    }
}

fn missing(page: &Page<'_>, node: Node<'_, '_>, written: &str, need: Need) -> Option<Problem> {
    let message = format!("'{}' is not a file of the package", shown(written));
    let problem = match need {
        Need::Content | Need::Page => Problem::error("missing-asset", message),
        Need::Style => Problem::warning("missing-asset", message),
        Need::Link => return None,
    };
    Some(page.at(node, problem.advice("add the file or correct the reference")))
}
