//! The XML files of a QTI package. An input is path, zero byte, content, zero byte, path …

use std::collections::BTreeMap;

use taosync_model::Digest;
use taosync_packages::compile::document::FileFacts;
use taosync_packages::compile::{CompiledTest, Source};
use taosync_packages::{CheckReport, PackageError, Problem, compile};

use crate::shown;

/// Files of one input at most: what a package holds is bounded by its zip, before anything here.
const MAX_FILES: usize = 64;
/// Problems kept of each severity.
const MAX_PROBLEMS: usize = 1_000;

pub(crate) struct Files<'a>(pub(crate) BTreeMap<&'a str, &'a [u8]>);

impl Source for Files<'_> {
    fn paths(&self) -> Vec<&str> {
        self.0.keys().copied().collect()
    }

    fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, PackageError> {
        let bytes = self.0.get(path).ok_or_else(|| PackageError::NoSuchFile(path.to_owned()))?;
        assert!(bytes.len() as u64 <= max, "inputs are far below the limit of a file");
        Ok(bytes.to_vec())
    }

    fn facts(&self, path: &str) -> Result<FileFacts, PackageError> {
        let bytes = self.0.get(path).ok_or_else(|| PackageError::NoSuchFile(path.to_owned()))?;
        Ok(FileFacts { bytes: bytes.len() as u64, digest: Digest::of(bytes) })
    }
}

/// Compiles the files twice, and reads what was compiled.
pub fn check(input: &[u8]) {
    let parts: Vec<&[u8]> = input.splitn(2 * MAX_FILES + 1, |byte| *byte == 0).collect();
    let named = parts.chunks_exact(2).filter_map(|pair| Some((std::str::from_utf8(pair[0]).ok()?, pair[1])));
    hold(&Files(named.collect()));
}

/// What must hold for the files of any package.
pub(crate) fn hold(files: &Files<'_>) {
    match (compile(files, None), compile(files, None)) {
        (Ok(compiled), Ok(again)) => {
            assert_eq!(compiled, again, "the same files give the same bytes");
            assert_eq!(compiled.digest, Digest::of(&compiled.bytes));
            let read: CompiledTest = serde_json::from_slice(&compiled.bytes).expect("what we write can be read");
            assert_eq!(read, compiled.document);
            for item in &read.items {
                assert!(files.contains(&item.href), "an item is a file of the package");
            }
        }
        (Err(PackageError::DoesNotCompile(report)), Err(PackageError::DoesNotCompile(again))) => {
            assert_eq!(words(&report), words(&again));
            assert!(!report.errors.is_empty(), "a package that is refused hears why");
        }
        (Err(error), Err(_)) => panic!("what is wrong with a file is a problem of the package: {error}"),
        _ => panic!("the same files were taken and refused"),
    }
}

pub(crate) fn words(report: &CheckReport) -> Vec<String> {
    assert!(report.errors.len() <= MAX_PROBLEMS && report.warnings.len() <= MAX_PROBLEMS);
    report.errors.iter().chain(&report.warnings).map(problem).collect()
}

pub(crate) fn problem(problem: &Problem) -> String {
    assert!(!problem.message.is_empty() && !problem.code.is_empty());
    shown(problem)
}
