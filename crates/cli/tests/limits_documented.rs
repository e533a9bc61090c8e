//! docs/LIMITS.md names for every limit the tests that show it: each of them must exist.

use std::collections::BTreeSet;
use std::path::Path;

/// Fewer rows than there were: the page, or the reading of it, is broken.
const AT_LEAST: usize = 50;

#[test]
fn every_limit_has_tests_that_exist() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tests = tests_below(&workspace.join("crates"));
    let page = std::fs::read_to_string(workspace.join("docs/LIMITS.md")).expect("docs/LIMITS.md");
    let rows = rows(&page);
    assert!(rows.len() >= AT_LEAST, "docs/LIMITS.md has {} rows", rows.len());
    let mut wrong = Vec::new();
    for Row { what, shown_by } in &rows {
        if shown_by.is_empty() {
            wrong.push(format!("'{what}' names no test"));
        }
        wrong.extend(shown_by.difference(&tests).map(|name| format!("'{what}': there is no test {name}")));
    }
    // What the operating system does with connections that nobody accepts is not ours to show.
    wrong.retain(|text| text != "'open connections' names no test");
    assert!(wrong.is_empty(), "docs/LIMITS.md:\n{}", wrong.join("\n"));
}

#[test]
fn tests_are_told_from_other_functions() {
    let text = "#[test]\nfn one() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn two() {}\nfn three() {}\n\
                #[test]\n#[ignore = \"slow\"]\nfn four() {}\n// #[test]\n";
    assert_eq!(Vec::from_iter(tests_in(text)), ["four", "one", "two"]);
}

struct Row {
    what: String,
    shown_by: BTreeSet<String>,
}

/// Rows of tables whose last column is *shown by*.
fn rows(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut is_ours = false;
    for line in page.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        match cells.as_slice() {
            [.., "shown by"] => is_ours = true,
            [_, _, _, last] if is_ours && line.starts_with('|') && !last.starts_with("---") => {
                let shown_by = last.split('`').skip(1).step_by(2).map(str::to_owned).collect();
                rows.push(Row { what: cells[0].to_owned(), shown_by });
            }
            _ if line.starts_with('|') => {}
            _ => is_ours = false,
        }
    }
    rows
}

fn tests_below(folder: &Path) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests.extend(tests_below(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            tests.extend(tests_in(&std::fs::read_to_string(&path).expect("a source file")));
        }
    }
    tests
}

/// Functions with `#[test]` or `#[tokio::test]` before them, other attributes between allowed.
fn tests_in(text: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && let Some(name) = line.trim_start_matches("async ").strip_prefix("fn ") {
            tests.extend(name.split(['(', '<']).next().map(str::to_owned));
            is_test = false;
        } else if !line.starts_with('#') {
            is_test = false;
        }
    }
    tests
}
