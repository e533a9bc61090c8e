//! From files to the form a test runner reads. Deterministic: the same files give the same bytes on every machine,
//! so central can announce the digest of what a local server will have (DESIGN §6).

mod content;
mod declarations;
pub mod document;
mod fields;
mod items;
mod markup;
mod media;
mod rules;
mod sections;
mod source;
mod styles;
mod test;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::Digest;

pub use document::CompiledTest;
pub use source::Source;

use document::FileFacts;
use media::{Media, Need};

use crate::PackageError;
use crate::checks;
use crate::limits;
use crate::manifest::{Kind, MANIFEST, Manifest};
use crate::problem::{CheckReport, Problem};
use crate::xml::{self, Page};

/// Version of the compiler: a new one for every change that can give other bytes for the same files.
pub const COMPILER_VERSION: u32 = 2;

/// A compiled package.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The document.
    pub document: CompiledTest,
    /// Its JSON, the bytes that are kept and hashed.
    pub bytes: Vec<u8>,
    /// BLAKE3 of `bytes`.
    pub digest: Digest,
}

impl Compiled {
    fn new(document: CompiledTest) -> Result<Self, PackageError> {
        let bytes = serde_json::to_vec(&document).map_err(|e| PackageError::Encode("the compiled test", e.into()))?;
        let digest = Digest::of(&bytes);
        Ok(Self { document, bytes, digest })
    }
}

/// Compiles a package; `test` chooses one where the manifest names several. Errors: what `check` would have found, or
/// files that cannot be read.
pub fn compile(files: &dyn Source, test: Option<&str>) -> Result<Compiled, PackageError> {
    let mut report = CheckReport::default();
    let document = read(files, test, &mut report);
    match document {
        Some(document) if report.is_ok() => Compiled::new(document),
        _ => Err(PackageError::DoesNotCompile(Box::new(report))),
    }
}

/// Compiles while noting every problem; the compiled form is given only when none stops the package.
pub(crate) fn compile_noting(
    files: &dyn Source,
    test: Option<&str>,
    report: &mut CheckReport,
) -> Result<Option<Compiled>, PackageError> {
    let document = read(files, test, report);
    document.filter(|_| report.is_ok()).map(Compiled::new).transpose()
}

fn read(files: &dyn Source, test: Option<&str>, report: &mut CheckReport) -> Option<CompiledTest> {
    let manifest = read_manifest(files, report)?;
    checks::files::check(files, &manifest, report);
    let mut media = Media::new(files);
    let hrefs = test::find(&manifest, test, report);
    let mut tests: Vec<_> = hrefs.iter().filter_map(|href| test::read(files, href, &mut media, report)).collect();
    let listed = manifest.of_kind(Kind::Item).filter_map(|r| r.href.clone()).filter(|href| files.contains(href));
    let items = items::read_all(files, &tests, listed.collect(), &mut media, report);
    let stimuli = manifest.of_kind(Kind::Stimulus).filter_map(|r| r.href.as_deref());
    for path in stimuli.filter(|path| files.contains(path)) {
        media.follow(path, Need::Stimulus, report);
    }
    for (test, uses) in &tests {
        checks::variables::check_test(uses, test, &items, report);
    }
    let (test, _) = tests.pop()?;
    let shown: BTreeSet<&str> =
        test.assets.iter().chain(items.iter().flat_map(|item| &item.assets)).map(String::as_str).collect();
    let texts = media.into_texts().into_values().filter(|text| shown.contains(text.href.as_str())).collect();
    let files = facts(files, shown, report);
    Some(CompiledTest { form: document::FORM, compiler: COMPILER_VERSION, test, items, texts, files })
}

fn facts(files: &dyn Source, paths: BTreeSet<&str>, report: &mut CheckReport) -> BTreeMap<String, FileFacts> {
    let mut known = BTreeMap::new();
    for path in paths {
        match files.facts(path) {
            Ok(facts) => _ = known.insert(path.to_owned(), facts),
            Err(error) => report.push(unreadable(path, error)),
        }
    }
    known
}

fn read_manifest(files: &dyn Source, report: &mut CheckReport) -> Option<Manifest> {
    if !files.contains(MANIFEST) {
        let problem = Problem::error("no-manifest", format!("the package has no {MANIFEST} at its top"));
        report.push(problem.advice("pack the contents of the folder, not the folder itself"));
        return None;
    }
    with_page(files, MANIFEST, report, Manifest::read)
}

/// Reads and parses one XML file; what is wrong with it goes to the report.
fn with_page<T>(
    files: &dyn Source,
    path: &str,
    report: &mut CheckReport,
    then: impl FnOnce(&Page<'_>, &mut CheckReport) -> T,
) -> Option<T> {
    let bytes = match files.read(path, limits::XML_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.push(unreadable(path, error));
            return None;
        }
    };
    match xml::text(path, &bytes).and_then(|text| Page::parse(path, text)) {
        Ok(page) => Some(then(&page, report)),
        Err(problem) => {
            report.push(*problem);
            None
        }
    }
}

/// Why a file cannot be read. What the archive found is said once, however often the file is asked for.
fn unreadable(path: &str, error: PackageError) -> Problem {
    match error {
        PackageError::Refused(problem) => *problem,
        error => Problem::error("unreadable", error.to_string()).in_file(path).advice("export the package again"),
    }
}
