//! `docs/THREATS.md`: every promise names the tests that show it, and every named test exists.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

const ATTACKERS: [&str; 8] = [
    "The network",
    "A stolen school machine",
    "A malicious local administrator",
    "Another organisation",
    "A curious storage provider",
    "A lost USB stick",
    "A dishonest central operator",
    "A forged central",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A promise, with the tests named for it: path and name.
#[derive(Debug)]
struct Promise {
    text: String,
    tests: Vec<(String, String)>,
}

/// The rows of all tables with a column of tests, below a heading or in the whole page.
fn promises(page: &str) -> Vec<Promise> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        if !line.starts_with('|') {
            is_inside = false;
        } else if line.replace(' ', "") == "|promise|tests|" {
            is_inside = true;
        } else if is_inside && !line.starts_with("|---") {
            let (text, tests) = line.trim_matches('|').split_once(" | ").unwrap();
            let words: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
            let tests = words.chunks(2).map(|pair| (pair[0].to_owned(), pair.get(1).unwrap_or(&"").to_string()));
            found.push(Promise { text: text.trim().to_owned(), tests: tests.collect() });
        }
    }
    found
}

/// Why a test that is named does not count.
fn fault(path: &str, name: &str) -> Option<String> {
    let Ok(source) = fs::read_to_string(root().join(path)) else { return Some(format!("there is no file {path}")) };
    let is_test = |at: usize| {
        let above = source[..at].rfind('\n').unwrap_or_default();
        let before: Vec<&str> = source[..above].lines().rev().take(4).collect();
        before.iter().take_while(|line| !line.contains('}')).any(|line| line.contains("test") && line.contains("#["))
    };
    let found = source.match_indices(&format!("fn {name}(")).any(|(at, _)| is_test(at));
    if found { None } else { Some(format!("{path} has no test {name}")) }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/THREATS.md")).unwrap();
    let promises = promises(&page);
    assert!(promises.len() > 25, "{}", promises.len());
    let mut faults = Vec::new();
    for Promise { text, tests } in &promises {
        if tests.is_empty() {
            faults.push(format!("'{text}' names no test"));
        }
        faults.extend(tests.iter().filter_map(|(path, name)| fault(path, name)));
    }
    assert!(faults.is_empty(), "docs/THREATS.md:\n{}", faults.join("\n"));
}

#[test]
fn every_attacker_has_promises_and_what_is_not_promised() {
    let page = fs::read_to_string(root().join("docs/THREATS.md")).unwrap();
    for attacker in ATTACKERS {
        let below =
            page.split_once(&format!("\n## {attacker}\n")).unwrap_or_else(|| panic!("no chapter '{attacker}'")).1;
        let chapter = below.split("\n## ").next().unwrap();
        assert!(!promises(chapter).is_empty(), "nothing is promised against '{attacker}'");
        assert!(chapter.contains("\nNot promised: "), "'{attacker}' says not what is not promised");
    }
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    let page = "| promise | tests |\n|---|---|\n| x | `crates/none.rs` `a` |\n| y | nothing |\n";
    let promises = promises(page);
    assert_eq!((promises.len(), promises[1].tests.len()), (2, 0));
    assert!(fault(&promises[0].tests[0].0, "a").is_some());
    let here = "crates/cli/tests/threats_documented.rs";
    assert!(fault(here, "promises").is_some(), "a function that is no test");
    assert!(fault(here, "every_attacker_has_promises_and_what_is_not_promised").is_none());
}
