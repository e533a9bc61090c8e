//! `--install`: gets what the checks need and the machine does not have.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::step;
use super::summary::{Outcome, Report};

/// Programs the tests use, each with the Debian package it comes in.
const DEBIAN: &[(&str, &str)] =
    &[("strace", "strace"), ("age", "age"), ("psql", "postgresql"), ("mariadbd", "mariadb-server")];

/// Cargo subcommands the checks use, each with its crate.
const CARGO: &[(&str, &str)] = &[("nextest", "cargo-nextest"), ("deny", "cargo-deny")];

/// Installs what is missing. Failing to is no failure of the checks: the steps concerned are listed as skipped.
pub fn missing_tools() -> Vec<Report> {
    debian_packages().into_iter().chain(cargo_tools()).collect()
}

fn debian_packages() -> Option<Report> {
    let start = Instant::now();
    let missing: Vec<_> = DEBIAN.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return None;
    }
    let name = "install packages";
    if !rustix::process::geteuid().is_root() || !on_path("apt-get") {
        let reason = format!("needs root and apt-get; install by hand: {}", missing.join(" "));
        return Some(Report::skipped(name, &reason));
    }
    let done = apt_get(&["update", "--quiet"])
        && apt_get(&[&["install", "--yes", "--no-install-recommends"], missing.as_slice()].concat());
    Some(if done {
        Report::of(name, Outcome::Passed, start.elapsed())
    } else {
        Report::skipped(name, &format!("apt-get could not install: {}", missing.join(" ")))
    })
}

fn cargo_tools() -> Option<Report> {
    let start = Instant::now();
    let missing: Vec<_> =
        CARGO.iter().filter(|(subcommand, _)| !step::has_subcommand(subcommand)).map(|(_, tool)| *tool).collect();
    if missing.is_empty() {
        return None;
    }
    let name = "install cargo tools";
    eprintln!("\n── {name}: cargo install --locked {}", missing.join(" "));
    let done =
        crate::workspace::cargo().args(["install", "--locked"]).args(&missing).status().is_ok_and(|s| s.success());
    Some(if done {
        Report::of(name, Outcome::Passed, start.elapsed())
    } else {
        Report::skipped(name, &format!("cargo could not install: {}", missing.join(" ")))
    })
}

fn apt_get(arguments: &[&str]) -> bool {
    eprintln!("\n── apt-get {}", arguments.join(" "));
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers stand where only root looks.
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
}
