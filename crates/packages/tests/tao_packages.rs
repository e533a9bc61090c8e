//! TAO's own test packages: the valid ones compile, the others are refused for their true reason.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod zips;

use std::path::Path;
use std::time::{Duration, Instant};

use taosync_packages::{CheckReport, CheckedPackage, Limits, check, compile};
use zips::{checked_at, codes, error_codes, packages};

/// Packages that are refused, with every code of their errors.
const REFUSED: &[(&str, &[&str])] = &[
    // A delivery is one test: these want `--test`, see below.
    ("qti-2.1/basic/BasicMultipleTestsSameItems.zip", &["several-tests"]),
    ("qti-2.1/multiple/BasicMultiple.zip", &["several-tests"]),
    ("qti-2.1/invalid/InvalidArchive.zip", &["not-a-zip"]),
    ("qti-2.1/invalid/MalformedXMLItemInTheMiddle.zip", &["malformed-xml"]),
    ("qti-2.1/invalid/MalformedXMLTest.zip", &["malformed-xml"]),
    ("qti-2.1/invalid/MissingItemDependency.zip", &["missing-item"]),
    // Also holds unknown attributes, see below; two of its items do not exist.
    ("qti-2.1/invalid/NotValidableXMLTest.zip", &["missing-item"]),
    ("qti-2.1/invalid/WrongManifestFileItemAssetHref.zip", &["missing-file"]),
    ("qti-2.1/invalid/WrongManifestFileItemHref.zip", &["missing-file"]),
    ("qti-2.1/invalid/WrongManifestFileTestAssetHref.zip", &["missing-file"]),
];

/// Packages with warnings, with every code of them.
const WARNED: &[(&str, &[&str])] = &[
    // A film, an engine and a picture that are elsewhere: without a network they do not work.
    ("duplicate-metadata.zip", &["remote-media"]),
    ("qti-2.1/cat/Basic.zip", &["remote-media"]),
    // Two choices called 'correct' in each of three items: whoever takes either is right.
    ("qti-2.1/rubrics/RubricBlocksViews.zip", &["duplicate-choice"]),
    ("qti-2.1/rubrics/RubricBlocksStylesheetsRemoteImages.zip", &["remote-media"]),
    ("qti-2.1/assessmentSectionRefs/SubSectionRefs.zip", &["unlisted-file"]),
    // What makes these two invalid, one attribute each, changes nothing a candidate sees.
    ("qti-2.1/invalid/NotValidableXMLTest.zip", &["unknown-attribute"]),
    ("qti-2.1/invalid/NotValidableXmlItem.zip", &["unknown-attribute"]),
    ("qti-2.1/invalid/WrongManifestFileItemAssetHref.zip", &["unlisted-file"]),
    ("qti-2.1/invalid/WrongManifestFileItemHref.zip", &["unlisted-file", "unlisted-item"]),
    ("qti-2.1/invalid/WrongManifestFileTestAssetHref.zip", &["unlisted-file"]),
];

fn expected<'t>(table: &'t [(&str, &[&'static str])], name: &str) -> &'t [&'static str] {
    table.iter().find(|(path, _)| *path == name).map_or(&[], |(_, codes)| codes)
}

/// A line of the table: with `--no-capture` the test prints all of it.
fn row(name: &str, report: &CheckReport, package: Option<&CheckedPackage>, checked: Duration) -> String {
    let milliseconds = |duration: Duration| format!("{:.1}", duration.as_secs_f64() * 1_000.0);
    let verdict = if package.is_some() { "published" } else { "refused" };
    let (errors, warnings) = (error_codes(report).join(" "), codes(&report.warnings).join(" "));
    let (compiled, bytes) = package.map_or((String::new(), String::new()), |package| {
        let start = Instant::now();
        let again = compile(&package.archive, None).unwrap();
        assert_eq!(again, package.compiled, "{name}");
        (milliseconds(start.elapsed()), again.bytes.len().to_string())
    });
    format!("| {name} | {verdict} | {errors} | {warnings} | {} | {compiled} | {bytes} |", milliseconds(checked))
}

#[test]
fn tao_packages_are_judged_as_they_deserve() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/qti");
    if !folder.is_dir() {
        eprintln!("SKIPPED: TAO's packages are not on this machine");
        return;
    }
    let packages = packages(&folder);
    assert!(packages.len() > 60, "only {} packages", packages.len());
    let mut wrong = Vec::new();
    println!(
        "| package | | errors | warnings | check, ms | compile, ms | compiled, bytes |\n|---|---|---|---|---|---|---|"
    );
    for path in packages {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let start = Instant::now();
        let (report, package) = checked_at(&path);
        println!("{}", row(name, &report, package.as_ref(), start.elapsed()));
        let asks = package.is_some_and(|p| !p.compiled.document.test.item_refs().is_empty());
        let refused = expected(REFUSED, name);
        if error_codes(&report) != refused
            || asks != refused.is_empty()
            || codes(&report.warnings) != expected(WARNED, name)
        {
            wrong.push(format!("{name}:\n{report}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_several_tests_each_can_be_chosen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/qti");
    if !folder.is_dir() {
        eprintln!("SKIPPED: TAO's packages are not on this machine");
        return;
    }
    for (name, tests) in [
        ("qti-2.1/basic/BasicMultipleTestsSameItems.zip", ["T01", "T02"]),
        ("qti-2.1/multiple/BasicMultiple.zip", ["T01", "T02"]),
    ] {
        for test in tests {
            let (report, package) = check(&folder.join(name), &Limits::default(), Some(test));
            assert!(
                package.is_some_and(|p| p.compiled.document.test.item_refs().len() == 3),
                "{name} {test}:\n{report}"
            );
        }
    }
}
