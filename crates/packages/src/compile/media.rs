//! Files a page shows: pictures, sound, film, styles, shared texts. Styles and shared texts are followed.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::document::Text;
use super::{Source, styles, texts, with_page};
use crate::checks;
use crate::href::{self, Target};
use crate::limits;
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// What a missing file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The page cannot be understood without it.
    Content,
    /// The page looks different without it.
    Looks,
    /// The same, and it may name further files.
    Styles,
    /// A link or something like it: taken along when it is a file of the package.
    Link,
    /// Another page whose own files are needed too.
    Page,
    /// The same, an `assessmentStimulus`.
    Stimulus,
}

/// What one page names itself.
#[derive(Clone, Default)]
pub(super) struct Shown {
    files: BTreeSet<String>,
    further: Vec<(String, Need)>,
}

impl Shown {
    /// Takes what a page names at some place; what is wrong with it is returned, to be placed there.
    pub(super) fn name(&mut self, files: &dyn Source, from: &str, written: &str, need: Need) -> Option<Problem> {
        match href::resolve(from, written) {
            Target::File(path) if files.contains(&path) => {
                if self.files.insert(path.clone()) && matches!(need, Need::Page | Need::Stimulus | Need::Styles) {
                    self.further.push((path, need));
                }
                None
            }
            Target::File(_) | Target::Invalid => missing(written, need),
            Target::Remote => remote(written, need),
            Target::Elsewhere => None,
        }
    }
}

/// Finds files shown. Pages that many others include are parsed once.
pub(super) struct Media<'f> {
    files: &'f dyn Source,
    included: BTreeMap<String, Shown>,
    texts: BTreeMap<String, Text>,
    /// Bytes of pages that may still be kept; nothing once there were too many.
    left: Option<u64>,
}

impl<'f> Media<'f> {
    pub(super) fn new(files: &'f dyn Source) -> Self {
        Self { files, included: BTreeMap::new(), texts: BTreeMap::new(), left: Some(limits::PAGES_BYTES) }
    }

    /// Whether the compiled test has room for this page too, with the paths of what it shows; says so when it has not.
    pub(super) fn keep(&mut self, path: &str, shown: &[String], report: &mut CheckReport) -> bool {
        let bytes = self.files.facts(path).map_or(0, |facts| facts.bytes);
        let bytes = bytes.saturating_add(shown.iter().map(|path| path.len() as u64).sum());
        let is_first = self.left.is_some();
        self.left = self.left.and_then(|left| left.checked_sub(bytes));
        if self.left.is_none() && is_first {
            let message = format!("the pages of the test have more than {} bytes together", limits::PAGES_BYTES);
            let problem = Problem::error("test-too-large", message).in_file(path);
            report.push(problem.advice("split the test, or move pictures that are written into pages to files"));
        }
        self.left.is_some()
    }

    /// The texts that pages included so far, by path.
    pub(super) fn into_texts(self) -> BTreeMap<String, Text> {
        self.texts
    }

    /// Paths of all files a page shows, directly or through pages it includes.
    pub(super) fn of_page(&mut self, page: &Page<'_>, report: &mut CheckReport) -> BTreeSet<String> {
        let Shown { files: mut found, further: mut waiting } = shown_by(self.files, page, report);
        let mut visited: BTreeSet<String> = waiting.iter().map(|(path, _)| path.clone()).collect();
        while let Some((path, need)) = waiting.pop() {
            if visited.len() > limits::INCLUDED_PAGES {
                let problem =
                    Problem::error("too-many-includes", format!("more than {} included pages", limits::INCLUDED_PAGES));
                report.push(problem.in_file(page.path).advice("include fewer shared texts"));
                break;
            }
            let shown = self.follow(&path, need, report);
            found.extend(shown.files.iter().cloned());
            waiting.extend(shown.further.iter().filter(|(path, _)| visited.insert(path.clone())).cloned());
        }
        found
    }

    /// What an included page or stylesheet shows.
    pub(super) fn follow(&mut self, path: &str, need: Need, report: &mut CheckReport) -> &Shown {
        if !self.included.contains_key(path) {
            let shown = if need == Need::Styles {
                styles::shown_by(self.files, path, report)
            } else {
                self.included_page(path, need, report).unwrap_or_default()
            };
            self.included.insert(path.to_owned(), shown);
        }
        &self.included[path]
    }

    fn included_page(&mut self, path: &str, need: Need, report: &mut CheckReport) -> Option<Shown> {
        let files = self.files;
        let (text, shown) = with_page(files, path, report, |page, report| {
            checks::of_page(page, report);
            if need == Need::Stimulus && xml::name(page.root()) != "assessmentStimulus" {
                report.push(page.at(page.root(), not_a_stimulus()));
            }
            (texts::text(files, page), shown_by(files, page, report))
        })?;
        if self.keep(path, &[], report) {
            self.texts.insert(path.to_owned(), text);
        }
        Some(shown)
    }
}

fn not_a_stimulus() -> Problem {
    let message =
        "the first element of a shared text must be 'assessmentStimulus' ('qti-assessment-stimulus' in QTI 3)";
    Problem::error("wrong-root", message).advice("check the href that leads here")
}

fn shown_by(files: &dyn Source, page: &Page<'_>, report: &mut CheckReport) -> Shown {
    let mut shown = Shown::default();
    for node in page.root().descendants().filter(Node::is_element) {
        for (attribute, need) in references(page, node) {
            let Some(written) = xml::attribute(node, attribute) else { continue };
            report.extend(shown.name(files, page.path, written, *need).map(|problem| page.at(node, problem)));
        }
        for written in node.attribute("srcset").into_iter().flat_map(candidates) {
            report.extend(shown.name(files, page.path, written, Need::Looks).map(|problem| page.at(node, problem)));
        }
        for (_, style) in node.attribute("style").into_iter().flat_map(styles::references) {
            report.extend(shown.name(files, page.path, &style, Need::Looks).map(|problem| page.at(node, problem)));
        }
    }
    shown
}

/// The addresses in a `srcset`: each is followed by its width or density.
fn candidates(srcset: &str) -> impl Iterator<Item = &str> {
    srcset.split(", ").filter_map(|candidate| candidate.split_whitespace().next())
}

/// Attributes of an element that name files.
pub(super) fn references(page: &Page<'_>, node: Node<'_, '_>) -> &'static [(&'static str, Need)] {
    match xml::name(node).as_ref() {
        "img" | "audio" | "source" | "track" | "embed" => &[("src", Need::Content)],
        "video" => &[("src", Need::Content), ("poster", Need::Looks)],
        "object" => &[("data", Need::Content)],
        "stylesheet" => &[("href", Need::Styles)],
        "include" => &[("href", Need::Page)],
        "assessmentStimulusRef" => &[("href", Need::Stimulus)],
        "adaptiveEngineRef"
        | "adaptiveSettingsRef"
        | "qtiUsagedataRef"
        | "qtiMetadataRef"
        | "usagedataRef"
        | "metadataRef" => &[("href", Need::Content)],
        "interactionModule" if !page.is_foreign(node) => {
            &[("primaryPath", Need::Content), ("fallbackPath", Need::Looks)]
        }
        "a" => &[("href", Need::Link)],
        _ => &[],
    }
}

fn missing(written: &str, need: Need) -> Option<Problem> {
    let message = format!("'{}' is not a file of the package", shown(written));
    let problem = match need {
        Need::Content | Need::Page | Need::Stimulus => Problem::error("missing-asset", message),
        Need::Looks | Need::Styles => Problem::warning("missing-asset", message),
        Need::Link => return None,
    };
    Some(problem.advice("add the file or correct the reference"))
}

/// A link out of the test is the author's wish; anything else that is not in the package is missed during an exam.
fn remote(written: &str, need: Need) -> Option<Problem> {
    let message = format!("'{}' is not in the package: without a network it will not work", shown(written));
    let problem = Problem::warning("remote-media", message);
    (need != Need::Link).then(|| problem.advice("put the file into the package and refer to it there"))
}

#[cfg(test)]
mod tests {
    use taosync_model::Digest;

    use super::*;
    use crate::tree::{Tree, TreeFile, TreeFiles};

    /// How many of two pages are kept, the second of which has this many bytes beyond what the first leaves.
    fn kept(beyond: u64) -> (usize, usize) {
        let file =
            |path: &str, bytes| TreeFile { path: path.into(), bytes, digest: Digest::of(b""), chunks: Vec::new() };
        let tree =
            Tree { files: vec![file("a", 1_000), file("b", limits::PAGES_BYTES - 1_000 - 3 + beyond)], test: None };
        let fetch = |_: &Digest| Err(std::io::ErrorKind::NotFound.into());
        let files = TreeFiles::new(&tree, &fetch);
        let (mut media, mut report) = (Media::new(&files), CheckReport::default());
        // The path of what a page shows counts too.
        let kept = [("a", vec!["pic".to_owned()]), ("b", Vec::new())];
        let kept = kept.iter().filter(|(path, shown)| media.keep(path, shown, &mut report)).count();
        (kept, report.errors.len())
    }

    #[test]
    fn pages_of_a_test_at_and_beyond_the_limit() {
        assert_eq!(kept(0), (2, 0));
        assert_eq!(kept(1), (1, 1));
    }
}
