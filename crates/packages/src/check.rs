//! Checking a package as it came from outside: everything that is wrong with it in one report.

use std::path::Path;

use crate::PackageError;
use crate::archive::Archive;
use crate::compile::{self, Compiled};
use crate::limits::Limits;
use crate::problem::{CheckReport, Problem};

/// A package that can be published: its zip is safe, every file can be read, and it compiles.
#[derive(Debug)]
pub struct CheckedPackage {
    /// The files.
    pub archive: Archive,
    /// The compiled form, made while checking: nothing is parsed twice.
    pub compiled: Compiled,
}

/// Checks a zip; `test` chooses one where the manifest names several. The package is given only when no error was found; warnings do not stop it.
///
/// Reads every byte once, so a damaged picture is found here and not on the day of the exam. Blocking.
pub fn check(path: &Path, limits: &Limits, test: Option<&str>) -> (CheckReport, Option<CheckedPackage>) {
    let mut report = CheckReport::default();
    let archive = match Archive::open(path, limits) {
        Ok(archive) => archive,
        Err(problems) => {
            report.extend(problems);
            return (report, None);
        }
    };
    report.extend(archive.entries().filter_map(|entry| archive.verify(entry.path).err().map(|p| *p)));
    match compile::compile_noting(&archive, test, &mut report) {
        Ok(Some(compiled)) => (report, Some(CheckedPackage { archive, compiled })),
        Ok(None) => (report, None),
        Err(error) => {
            report.push(internal(&error));
            (report, None)
        }
    }
}

fn internal(error: &PackageError) -> Problem {
    Problem::error("not-compiled", error.to_string()).advice("this is a fault of taosync: please report it")
}
