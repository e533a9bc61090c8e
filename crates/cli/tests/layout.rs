//! The arrows between the crates of the workspace, as docs/ARCHITECTURE.md draws them.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Each crate and the crates it may use. The names stand from the bottom up: every arrow points to an earlier line.
const ALLOWED: &[(&str, &[&str])] = &[
    // Throw-away servers with a TAO in them: for tests and chores, no part of the program.
    ("testbed", &[]),
    ("model", &[]),
    ("wire", &["model"]),
    ("vault", &["model"]),
    ("store", &["model", "vault"]),
    ("packages", &["model", "vault"]),
    ("roster", &["model", "vault"]),
    ("results", &["model"]),
    ("tao", &["model"]),
    ("sync", &["model", "wire", "vault", "store", "packages", "roster", "results", "tao"]),
    ("server", &["model", "wire", "vault", "store", "packages", "results", "sync"]),
    ("cli", &["model", "wire", "vault", "store", "packages", "roster", "results", "tao", "sync", "server"]),
    // What the fuzzer checks; no part of the program, so nothing may point to it.
    ("properties", &["model", "wire", "vault", "store", "packages", "roster", "results", "sync", "server"]),
    ("xtask", &["testbed"]),
];

/// One crate of the workspace using another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    for_tests_only: bool,
}

#[test]
fn crates_depend_downwards_only() {
    let complaints = complaints(&arrows(&workspace()));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_crate_has_its_place() {
    let members: BTreeSet<_> = workspace().workspace_packages().iter().map(|p| short_name(&p.name)).collect();
    let drawn: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members, drawn, "crates of the workspace (left) and of docs/ARCHITECTURE.md and this test (right)");
}

#[test]
fn the_allowed_arrows_point_to_earlier_lines() {
    for (place, (name, targets)) in ALLOWED.iter().enumerate() {
        let earlier: Vec<_> = ALLOWED[..place].iter().map(|(name, _)| *name).collect();
        assert!(targets.iter().all(|target| earlier.contains(target)), "{name} points to its own line or a later one");
    }
}

#[test]
fn a_wrong_arrow_is_named() {
    let arrow = |from: &str, to: &str, for_tests_only| Arrow { from: from.into(), to: to.into(), for_tests_only };
    let wrong = [arrow("wire", "store", false), arrow("model", "vault", true), arrow("xtask", "model", true)];
    let named = complaints(&wrong);
    assert_eq!(named.len(), 3, "{named:?}");
    assert!(named[0].contains("wire → store") && named[0].contains("docs/ARCHITECTURE.md"), "{}", named[0]);
    assert_eq!(complaints(&[arrow("server", "roster", false)]).len(), 1);
    let right = [arrow("server", "sync", false), arrow("server", "roster", true), arrow("store", "model", true)];
    assert_eq!(complaints(&right), Vec::<String>::new());
}

#[test]
fn databases_are_spoken_to_in_their_crates_alone() {
    let workspace = workspace();
    let packages = workspace.workspace_packages();
    let users = packages.iter().filter(|p| p.dependencies.iter().any(|d| d.name.starts_with("sqlx")));
    let users: BTreeSet<_> = users.map(|p| short_name(&p.name)).collect();
    // The bench measures the raw insert of the same rows beside the program; the testbed loads what is read.
    let allowed = ["store", "tao", "testbed", "xtask"].map(str::to_owned);
    assert!(users.is_subset(&allowed.into()), "sqlx is used by {users:?}");
}

#[test]
fn faults_are_for_tests_only() {
    let workspace = workspace();
    let mut for_tests = 0;
    for package in workspace.workspace_packages() {
        let by_default = package.features.get("default").into_iter().flatten();
        assert!(
            !by_default.into_iter().any(|feature| feature.contains("faults")),
            "{} has faults built in",
            package.name
        );
        for dependency in package.dependencies.iter().filter(|d| d.features.iter().any(|feature| feature == "faults")) {
            let kind = dependency.kind;
            assert!(kind == DependencyKind::Development, "{} is built with faults", package.name);
            for_tests += 1;
        }
    }
    assert!(for_tests > 0, "the simulation no longer breaks anything");
}

fn workspace() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().other_options(["--offline".into()]).exec();
    metadata.expect("cargo metadata describes the workspace")
}

fn arrows(workspace: &Metadata) -> Vec<Arrow> {
    let packages = workspace.workspace_packages();
    let members: BTreeSet<_> = packages.iter().map(|p| p.name.to_string()).collect();
    let mut arrows = BTreeSet::new();
    for package in packages {
        for dependency in package.dependencies.iter().filter(|d| members.contains(&d.name)) {
            arrows.insert(Arrow {
                from: short_name(&package.name),
                to: short_name(&dependency.name),
                for_tests_only: dependency.kind == DependencyKind::Development,
            });
        }
    }
    arrows.into_iter().collect()
}

/// One line for each arrow that is not drawn.
fn complaints(arrows: &[Arrow]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut lines = Vec::new();
    for Arrow { from, to, for_tests_only } in arrows {
        let direct = allowed.get(from.as_str()).is_some_and(|targets| targets.contains(&to.as_str()));
        if direct || (*for_tests_only && is_below(to, from)) {
            continue;
        }
        let kind = if *for_tests_only { "dev-dependency" } else { "dependency" };
        lines.push(format!(
            "{kind} {from} → {to} is not among the arrows of docs/ARCHITECTURE.md: turn it round, or move what both \
             need into a crate below"
        ));
    }
    lines
}

/// Whether a crate stands on an earlier line: tests may use anything below. The chores use none of the crates.
fn is_below(lower: &str, upper: &str) -> bool {
    let place = |name: &str| ALLOWED.iter().position(|(n, _)| *n == name);
    upper != "xtask" && place(lower) < place(upper) && place(lower).is_some()
}

fn short_name(package: &str) -> String {
    package.strip_prefix("taosync-").unwrap_or(package).to_owned()
}
