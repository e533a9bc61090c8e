use clap::{CommandFactory as _, Parser as _};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(crate::argv::with_our_spellings(line.split(' ').map(OsString::from)))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_every_verb() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut pages = String::new();
    collect(&mut command, "taosync", &mut pages);
    assert!(!pages.contains("TAOSYNC_DIR=/"), "values of the environment are not shown");
    insta::assert_snapshot!(pages);
}

fn collect(command: &mut clap::Command, path: &str, pages: &mut String) {
    output::add(pages, format_args!("===== {path}\n{}\n", command.render_long_help()));
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        let path = format!("{path} {}", verb.get_name());
        collect(verb, &path, pages);
    }
}

#[test]
fn every_documented_line_is_understood() {
    for line in [
        "taosync --dir D init central --listen 127.0.0.1:8443 --plain-http --public-url https://c/ --host a --host b",
        "taosync --dir D init local --listen 127.0.0.1:0",
        "taosync --dir D serve --json",
        "taosync --dir D status --nagios",
        "taosync verify --dir D",
        "taosync --dir D history --limit 3",
        "taosync --dir D doctor",
        "taosync --dir D node show",
        "taosync --dir D import test-centers F.csv --dry-run --yes",
        "taosync --dir D import administrators F.csv",
        "taosync --dir D import proctors F.csv",
        "taosync --dir D import test-takers F.csv",
        "taosync --dir D import sync-managers F.csv",
        "taosync --dir D import eligibilities F.csv",
        "taosync --dir D delivery check F.zip",
        "taosync --dir D delivery publish F.zip --label Maths --uri urn:x",
        "taosync --dir D delivery list",
        "taosync --dir D delivery show urn:x",
        "taosync --dir D delivery withdraw urn:x",
        "taosync --dir D entity list --type test-taker --org A",
        "taosync --dir D entity list --type=test-taker --organisation_id=A",
        "taosync --dir D entity show urn:x",
        "taosync --dir D entity set urn:x label Anna --yes --dry-run",
        "taosync --dir D entity remove urn:x --yes",
        "taosync --dir D entity load F.jsonl --dry-run",
        "taosync --dir D oauth generate --org A --org * --cmd",
        "taosync --dir D oauth generate --org A -cmd",
        "taosync --dir D oauth list",
        "taosync --dir D oauth revoke K",
        "taosync --dir D oauth import -k K -s - -tu https://c/t -u https://c/ --ca-fingerprint F",
        "taosync --dir D scope register",
        "taosync --dir D scope register *",
        "taosync --dir D scope list",
        "taosync --dir D scope show A",
        "taosync --dir D scope rename A B",
        "taosync --dir D sync data --type=test-taker --dry-run",
        "taosync --dir D sync data --accept-removals --organisation_id=A",
        "taosync --dir D sync data --organisation_id A",
        "taosync --dir D sync results",
        "taosync --dir D sync all --json",
        "taosync --dir D execution submit a.xml b.xml --delivery urn:x --test-taker anna",
        "taosync --dir D execution list",
        "taosync --dir D execution terminate 0190b5a0-0000-7000-8000-000000000000",
        "taosync --dir D execution reactivate 0190b5a0-0000-7000-8000-000000000000",
        "taosync --dir D results list --org A --delivery urn:x --test-taker anna",
        "taosync --dir D results show 0190b5a0-0000-7000-8000-000000000000",
        "taosync --dir D results export --format jsonl --out F",
        "taosync --dir D results export --format csv",
        "taosync --dir D results export --format qti --out D",
        "taosync completions bash",
        "taosync man",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn a_secret_is_in_no_complaint_and_no_debug_text() {
    let cli = parse("taosync oauth import -k K -s hidden -tu https://c/t -u https://c/").unwrap();
    assert!(!format!("{cli:?}").contains("hidden"));
    let error = parse("taosync oauth import -k K -s hidden -tu nonsense -u https://c/").unwrap_err();
    assert!(!error.to_string().contains("hidden"), "{error}");
    assert!(!complaint(&error).to_string().contains("hidden"));
}

#[test]
fn complaints_are_one_document_too() {
    let error = parse("taosync sync everything").unwrap_err();
    let document = complaint(&error);
    assert_eq!(document["error"]["code"], "TS-001");
    assert!(document["error"]["message"].as_str().unwrap().contains("everything"), "{document}");
}
