//! The manifest and the zip must name the same files.

use std::collections::BTreeSet;

use crate::compile::Source;
use crate::manifest::{MANIFEST, Manifest};
use crate::problem::{CheckReport, Problem, shown};

/// Files the manifest names and the package lacks are errors; the other way round, warnings.
pub(crate) fn check(files: &dyn Source, manifest: &Manifest, report: &mut CheckReport) {
    let named = manifest.named_files();
    for (path, resource) in named.iter().filter(|(path, _)| !files.contains(path)) {
        let message = format!(
            "'{}' is named by resource '{}' but is not in the package",
            shown(path),
            shown(&resource.identifier)
        );
        report.push(
            Problem::error("missing-file", message)
                .in_file(MANIFEST)
                .at_line(resource.line)
                .advice("add the file or correct the manifest"),
        );
    }
    for path in files.paths() {
        if path != MANIFEST && !named.contains_key(path) {
            let problem =
                Problem::warning("unlisted-file", "no resource of the manifest names this file").in_file(path);
            report.push(problem.advice("it is delivered all the same; remove it if it is not needed"));
        }
    }
    let identifiers: BTreeSet<&str> = manifest.resources.iter().map(|r| r.identifier.as_str()).collect();
    for resource in &manifest.resources {
        for wanted in &resource.dependencies {
            if !identifiers.contains(wanted.as_str()) {
                let message = format!(
                    "resource '{}' needs '{}', which is not in the manifest",
                    shown(&resource.identifier),
                    shown(wanted)
                );
                report.push(
                    Problem::warning("missing-dependency", message)
                        .in_file(MANIFEST)
                        .at_line(resource.line)
                        .advice("add the resource or remove the dependency"),
                );
            }
        }
    }
}
