//! docs/ERRORS.md names every code a person or program can meet, and none that does not exist. The codes are read from
//! the sources by a simple scan: calls that take a code, and functions that give one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Codes = BTreeSet<String>;

/// A section of docs/ERRORS.md, and how its codes are found in the sources.
struct Section {
    /// Its heading.
    heading: &'static str,
    /// Codes the scan must find: a scan that finds nothing would agree with anything.
    surely: &'static [&'static str],
    /// Finds the codes of one source file.
    scan: fn(&Source) -> Codes,
}

const SECTIONS: &[Section] = &[
    Section { heading: "Codes of the program", surely: &["TS-001", "TS-203", "TS-307", "TS-900"], scan: of_program },
    Section {
        heading: "Problems of the HTTP interface",
        surely: &["cursor_too_old", "token_expired", "not_found", "too_many", "broken_stream", "busy"],
        scan: of_http,
    },
    Section { heading: "Answers to a test runner", surely: &["not_eligible", "wrong_login"], scan: of_runner },
    Section { heading: "Errors of the token endpoint", surely: &["invalid_client", "node_revoked"], scan: of_tokens },
    Section { heading: "Refused items", surely: &["wrong_org", "too_large", "damaged"], scan: of_items },
    Section {
        heading: "Problems of a package",
        surely: &["no-manifest", "missing-item", "zip-bomb"],
        scan: of_packages,
    },
];

/// A source file without the tests at its end.
struct Source {
    /// Relative to the workspace, with `/`.
    path: String,
    text: String,
}

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let sources = sources();
    let documented = documented(&std::fs::read_to_string(workspace().join("docs/ERRORS.md")).expect("docs/ERRORS.md"));
    let mut wrong = Vec::new();
    for Section { heading, surely, scan } in SECTIONS {
        let found: Codes = sources.iter().flat_map(scan).collect();
        for code in surely.iter().filter(|code| !found.contains(**code)) {
            wrong.push(format!("the scan for '{heading}' does not find {code} any more: mend the scan"));
        }
        let Some(written) = documented.get(*heading) else {
            wrong.push(format!("docs/ERRORS.md has no section '{heading}'"));
            continue;
        };
        wrong.extend(found.difference(written).map(|code| format!("docs/ERRORS.md, '{heading}' lacks {code}")));
        wrong.extend(
            written.difference(&found).map(|code| format!("docs/ERRORS.md, '{heading}': no source gives {code}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_scan_reads_calls_as_they_are_written() {
    let text = r#"
        Problem::new(409, "epoch_unknown", format!("a ({b}) \"c\""), later("inner"));
        Problem::new(
            404,
            "scope_unknown", // a comment
            detail,
        );
        Problem::new(status, code, "these are words", advice);
        return refuse("wrong_org", "words");
    "#;
    assert_eq!(in_calls(text, &["Problem::new("]), codes(&["epoch_unknown", "scope_unknown"]));
    assert_eq!(in_calls(text, &["refuse("]), codes(&["wrong_org"]));
    let text = "fn code(&self) -> &'static str { match self { A { .. } => \"one\", B(_) => \"two words\" } } fn other() { \"three\" }";
    assert_eq!(in_function(text, "fn code("), codes(&["one"]));
    assert_eq!(after(text, "=> \""), codes(&["one"]));
}

#[test]
fn the_document_is_read_by_sections() {
    let text = "## One\nwords `not_this`\n\n| code | means |\n|---|---|\n| `a_b` | `c` |\n| `TS-001` | x |\n## Two\n| `d` | y |\n";
    let read = documented(text);
    assert_eq!(read["One"], codes(&["a_b", "TS-001"]));
    assert_eq!(read["Two"], codes(&["d"]));
}

fn of_program(source: &Source) -> Codes {
    let mut found = Codes::new();
    for (place, _) in source.text.match_indices("TS-") {
        let code: String = source.text[place..].chars().take(6).collect();
        if code.len() == 6 && code[3..].bytes().all(|b| b.is_ascii_digit()) {
            found.insert(code);
        }
    }
    found
}

fn of_http(source: &Source) -> Codes {
    if !is_in(source, &["crates/server/src/", "crates/sync/src/"]) {
        return Codes::new();
    }
    let mut found = in_calls(&source.text, &["Problem::new(", "ApiError::new(", "unauthorized("]);
    if source.path == "crates/server/src/problem.rs" {
        found.extend(in_calls(&source.text, &["Self::new("]));
    }
    if source.path == "crates/server/src/oauth/caller.rs" {
        found.extend(in_calls(&source.text, &["invalid("]));
        found.extend(in_function(&source.text, "fn problem("));
    }
    if source.path == "crates/sync/src/down/offer.rs" {
        found.extend(in_function(&source.text, "fn internal("));
    }
    found
}

fn of_runner(source: &Source) -> Codes {
    if source.path != "crates/sync/src/runner/error.rs" {
        return Codes::new();
    }
    in_function(&source.text, "fn code(")
}

fn of_tokens(source: &Source) -> Codes {
    if !is_in(source, &["crates/server/src/oauth/"]) {
        return Codes::new();
    }
    let mut found = in_calls(&source.text, &["Refusal::Node("]);
    if source.path.ends_with("/refusal.rs") {
        found.extend(in_function(&source.text, "fn parts("));
    }
    found
}

fn of_items(source: &Source) -> Codes {
    if is_in(source, &["crates/sync/src/tao_remote/"]) {
        return in_calls(&source.text, &["Unfit(", "refusal("]);
    }
    if !is_in(source, &["crates/sync/src/up/", "crates/store/src/received", "crates/store/src/outbox"]) {
        return Codes::new();
    }
    let mut found = in_calls(&source.text, &["refuse("]);
    found.extend(after(&source.text, "code: \""));
    found.extend(after(&source.text, "last_code = '"));
    found
}

fn of_packages(source: &Source) -> Codes {
    if !is_in(source, &["crates/packages/src/"]) {
        return Codes::new();
    }
    in_calls(&source.text, &["Problem::error(", "Problem::warning(", "self.target("])
}

fn is_in(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| source.path.starts_with(place))
}

/// For each call, the first argument that is nothing but a string and could be a code.
fn in_calls(text: &str, calls: &[&str]) -> Codes {
    let starts = calls.iter().flat_map(|call| text.match_indices(call).map(|(place, found)| place + found.len()));
    starts.filter_map(|start| arguments(&text[start..]).iter().find_map(|argument| literal_code(argument))).collect()
}

/// The strings inside a function that could be codes.
fn in_function(text: &str, head: &str) -> Codes {
    let Some(start) = text.find(head) else { return Codes::new() };
    let Some(open) = text[start..].find('{') else { return Codes::new() };
    let body = enclosed(&text[start + open + 1..]);
    body.split('"').skip(1).step_by(2).filter(|literal| is_code(literal)).map(str::to_owned).collect()
}

/// What stands behind a mark, up to the next quote.
fn after(text: &str, mark: &str) -> Codes {
    let found = text.match_indices(mark).filter_map(|(place, _)| text[place + mark.len()..].split(['"', '\'']).next());
    found.filter(|code| is_code(code)).map(str::to_owned).collect()
}

fn literal_code(argument: &str) -> Option<String> {
    let inner = argument.trim().strip_prefix('"')?.strip_suffix('"')?;
    is_code(inner).then(|| inner.to_owned())
}

/// Lower-case words joined by underscores or hyphens.
fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// The arguments of a call whose parenthesis has just been opened.
fn arguments(text: &str) -> Vec<String> {
    let text: String = enclosed(text).lines().map(|line| line.split(" //").next().unwrap_or(line)).collect();
    let (mut list, mut last) = (Vec::new(), String::new());
    for (piece, depth) in pieces(&text) {
        if piece == ',' && depth == 0 {
            list.push(std::mem::take(&mut last));
        } else {
            last.push(piece);
        }
    }
    list.push(last);
    list
}

/// The text up to where what was opened before it is closed.
fn enclosed(text: &str) -> &str {
    let mut bytes = 0;
    for (piece, depth) in pieces(text) {
        if depth < 0 {
            return &text[..bytes];
        }
        bytes += piece.len_utf8();
    }
    text
}

/// Every character with the number of brackets open at it; brackets inside strings do not count.
fn pieces(text: &str) -> Vec<(char, i32)> {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let place = |c: char| {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else {
            match c {
                '"' => in_string = true,
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
        }
        (c, depth)
    };
    text.chars().map(place).collect()
}

/// Per section, the codes in the first column of its tables.
fn documented(text: &str) -> BTreeMap<String, Codes> {
    let mut sections: BTreeMap<String, Codes> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            heading = name.trim().to_owned();
        } else if let Some(code) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            sections.entry(heading.clone()).or_default().insert(code.to_owned());
        }
    }
    sections
}

fn codes(list: &[&str]) -> Codes {
    list.iter().map(|code| (*code).to_owned()).collect()
}

fn sources() -> Vec<Source> {
    let root = workspace();
    let mut sources = Vec::new();
    let crates = std::fs::read_dir(root.join("crates")).expect("the folder of crates");
    for folder in crates {
        collect(&folder.expect("a crate").path().join("src"), &root, &mut sources);
    }
    assert!(sources.len() > 100, "the sources were not found: {} files", sources.len());
    sources
}

fn collect(folder: &Path, root: &Path, into: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let is_tests = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_tests {
            collect(&path, root, into);
        } else if path.extension().is_some_and(|end| end == "rs") && !is_tests {
            let whole = std::fs::read_to_string(&path).expect("a source file");
            let text = whole.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            let path = path.strip_prefix(root).expect("inside the workspace").to_string_lossy().replace('\\', "/");
            into.push(Source { path, text });
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}
