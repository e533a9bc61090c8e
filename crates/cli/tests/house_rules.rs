//! Rules of the house that no lint knows: short files, no drawers, nothing unfinished, SQL in one place.

use std::path::{Path, PathBuf};

/// Lines of a source file, and of a file of tests.
const MAX_LINES: usize = 500;
const MAX_TEST_LINES: usize = 800;

/// Names that say nothing about what is inside.
const DRAWERS: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

/// Marks of unfinished work, written in two parts so that this file does not hold them.
const UNFINISHED: &[&str] =
    &[concat!("to", "do!("), concat!("unimple", "mented!("), concat!("TO", "DO"), concat!("FIX", "ME")];

/// The crates of the two databases, what fills one for tests, and the bench, which measures the raw insert beside them.
const SQL_PLACES: &[&str] = &["crates/store/", "crates/tao/", "crates/testbed/", "xtask/src/bench/"];

struct Source {
    /// Relative to the workspace, with `/`.
    path: String,
    text: String,
}

#[test]
fn files_are_short() {
    let long: Vec<_> = sources().iter().filter_map(too_long).collect();
    assert!(long.is_empty(), "cut these along a noun or a verb:\n{}", long.join("\n"));
}

#[test]
fn nothing_is_a_drawer() {
    let drawers: Vec<_> = sources().into_iter().map(|s| s.path).filter(|path| is_drawer(path)).collect();
    assert!(drawers.is_empty(), "name these after what is inside:\n{}", drawers.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    let marks: Vec<_> = sources().iter().flat_map(|s| lines_with(s, UNFINISHED)).collect();
    assert!(marks.is_empty(), "finish these, or write an issue:\n{}", marks.join("\n"));
}

#[test]
fn sql_stays_in_its_crates() {
    let outside = sources().into_iter().filter(|s| !SQL_PLACES.iter().any(|place| s.path.starts_with(place)));
    let uses: Vec<_> = outside.flat_map(|s| lines_with(&s, &[concat!("sqlx", "::")])).collect();
    assert!(uses.is_empty(), "move these queries to crates/store, or crates/tao:\n{}", uses.join("\n"));
}

/// What derives `Debug` ends in logs and in messages of tests some day.
#[test]
fn no_derived_debug_shows_a_secret() {
    let shown: Vec<_> = sources().iter().filter(|s| is_program(&s.path)).flat_map(secrets_in_debug).collect();
    assert!(shown.is_empty(), "make these SecretString, or write their Debug by hand:\n{}", shown.join("\n"));
}

#[test]
fn the_rules_bite() {
    let source = |path: &str, lines: usize| Source { path: path.into(), text: "x\n".repeat(lines) };
    assert!(too_long(&source("crates/a/src/b.rs", 500)).is_none());
    assert!(too_long(&source("crates/a/src/b.rs", 501)).is_some());
    assert!(too_long(&source("crates/a/tests/b.rs", 800)).is_none());
    assert!(too_long(&source("crates/a/src/b/tests.rs", 801)).is_some());
    for path in ["crates/a/src/utils.rs", "crates/common/src/lib.rs", "crates/a/src/zip_util.rs"] {
        assert!(is_drawer(path), "{path}");
    }
    assert!(!is_drawer("crates/a/src/commonplace.rs"));
    let unfinished = Source { path: "a.rs".into(), text: format!("fine\n// {} later\n", UNFINISHED[2]) };
    assert_eq!(lines_with(&unfinished, UNFINISHED).len(), 1);
    let named = |path: &str, field: &str| {
        let text = format!("#[derive(Debug)]\npub struct A {{\n    pub {field},\n}}\n");
        secrets_in_debug(&Source { path: path.into(), text }).len()
    };
    assert_eq!(named("crates/a/src/b.rs", "login: Option<String>"), 1);
    assert_eq!(named("crates/a/src/b.rs", "user: &'a str"), 1);
    assert_eq!(named("crates/a/src/b.rs", "user: Uuid"), 0);
    assert_eq!(named("crates/cli/src/commands/b.rs", "login: String"), 0);
    let variant = |field: &str| {
        let text = format!("#[derive(Debug)]\nenum A {{\n    {field},\n}}\n");
        secrets_in_debug(&Source { path: "crates/a/src/b.rs".into(), text }).len()
    };
    assert_eq!(
        (variant("Passphrase(String)"), variant("Passphrase(SecretString)"), variant("File(String)")),
        (1, 0, 0)
    );
    let fields = "    pub client_secret: Option<String>,\n    secret_hash: [u8; 32],\n    token: SecretString,\n}\n";
    for (head, number) in [
        ("#[derive(Clone, Debug)]\npub struct A {\n", 1),
        ("#[derive(Debug)]\n#[serde(default)]\nenum A {\n", 1),
        ("#[derive(Clone)]\nstruct A {\n", 0),
        ("#[derive(Debug)]\nstruct A;\n\nstruct B {\n", 0),
    ] {
        let source = Source { path: "crates/a/src/b.rs".into(), text: format!("{head}{fields}") };
        assert_eq!(secrets_in_debug(&source).len(), number, "{head}");
    }
}

/// The program itself; the people of the demonstration, and their passwords, are made up and shown.
fn is_program(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/") && !path.starts_with("crates/cli/src/demo")
}

/// Fields of structs and enums with a derived `Debug` that hold a secret as plain text or bytes, or say who somebody is.
/// Options of the command line are what a person has just typed.
fn secrets_in_debug(source: &Source) -> Vec<String> {
    let (mut derives, mut inside, mut found) = (false, false, Vec::new());
    for (number, line) in source.text.lines().enumerate() {
        let code = line.trim();
        if let Some(derived) = code.strip_prefix("#[derive(") {
            derives = derived.contains("Debug");
        } else if code.contains("struct ") || code.contains("enum ") {
            (inside, derives) = (derives && code.ends_with('{'), false);
        } else if line == "}" {
            inside = false;
        } else if inside && (holds_secret(code) || !is_command(&source.path) && names_somebody(code)) {
            found.push(format!("{}:{}: {code}", source.path, number + 1));
        }
    }
    found
}

fn holds_secret(field: &str) -> bool {
    // A field with a name, or a variant that stands for one.
    let Some((name, kind)) = field.split_once(": ").or_else(|| field.split_once('(')) else { return false };
    let name = name.rsplit(' ').next().unwrap_or(name).to_lowercase();
    let is_secret =
        ["token", "secret", "password", "passphrase", "seed", "identity"].iter().any(|word| name.contains(word));
    let is_open = ["_hash", "_url", "_lifetime_seconds"].iter().any(|end| name.ends_with(end));
    let is_plain =
        ["String", "Vec<u8>", "[u8"].iter().any(|plain| kind.contains(plain)) && !kind.contains("SecretString");
    is_secret && !is_open && is_plain
}

fn is_command(path: &str) -> bool {
    path.starts_with("crates/cli/src/commands/")
}

fn names_somebody(field: &str) -> bool {
    let Some((name, kind)) = field.split_once(": ") else { return false };
    let name = name.rsplit(' ').next().unwrap_or(name);
    ["login", "user"].contains(&name) && (kind.contains("String") || kind.contains("str,"))
}

fn too_long(source: &Source) -> Option<String> {
    let is_test = source.path.contains("/tests/") || source.path.ends_with("/tests.rs");
    let limit = if is_test { MAX_TEST_LINES } else { MAX_LINES };
    let lines = source.text.lines().count();
    (lines > limit).then(|| format!("{}: {lines} lines, at most {limit}", source.path))
}

fn is_drawer(path: &str) -> bool {
    path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part)).any(|name| {
        let last_word = name.rsplit(['_', '-']).next().unwrap_or(name);
        DRAWERS.contains(&name) || ["util", "utils"].contains(&last_word)
    })
}

fn lines_with(source: &Source, marks: &[&str]) -> Vec<String> {
    let numbered = source.text.lines().enumerate();
    let found = numbered.filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
    found.map(|(number, line)| format!("{}:{}: {}", source.path, number + 1, line.trim())).collect()
}

/// Every `.rs` file of the crates and the chores.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = Vec::new();
    for folder in ["crates", "xtask"] {
        collect(&root.join(folder), &mut paths);
    }
    assert!(paths.len() > 10, "the sources were not found under {}", root.display());
    paths.into_iter().map(|path| read(&root, &path)).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder of sources can be listed");
    for entry in entries {
        let path = entry.expect("an entry of a folder can be read").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(root: &Path, path: &Path) -> Source {
    let relative = path.strip_prefix(root).expect("a source lies in the workspace");
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    Source { path: parts.join("/"), text: std::fs::read_to_string(path).expect("a source is text") }
}
