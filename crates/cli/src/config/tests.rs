use std::path::Path;

use taosync_model::EntityType;
use taosync_model::scope::FieldChoices;
use taosync_model::vocabulary;

use super::*;

/// Reads a configuration with variables of the environment, which figment sets for this test alone.
fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, Failure> {
    let mut result = None;
    figment::Jail::expect_with(|jail| {
        jail.clear_env();
        jail.create_file("taosync.toml", toml)?;
        for (name, value) in variables {
            jail.set_env(name, value);
        }
        result = Some(Config::load(&Place::new(Some(Path::new(".")))));
        Ok(())
    });
    result.unwrap()
}

fn complaint(toml: &str, variables: &[(&str, &str)]) -> String {
    load(toml, variables).unwrap_err().to_text()
}

const LEAST: &str = "role = \"central\"\nlisten = \"127.0.0.1:0\"\n";

fn new_node() -> NewNode {
    NewNode {
        role: Role::Central,
        listen: "127.0.0.1:8443".parse().unwrap(),
        plain_http: false,
        public_url: Some("https://central.example/".parse().unwrap()),
        hosts: vec!["a \"quoted\" name".into()],
    }
}

#[test]
fn what_init_writes_reads_back_as_the_defaults() {
    let text = config_text(&new_node());
    let written = load(&text, &[]).unwrap();
    assert_eq!(written.role, Role::Central);
    assert_eq!(written.listen.to_string(), "127.0.0.1:8443");
    assert_eq!(written.hosts, ["a \"quoted\" name"]);
    assert_eq!(written.public_url.unwrap().as_str(), "https://central.example/");
    let least = load(LEAST, &[]).unwrap();
    assert_eq!(written.sync_service.chunk_size, least.sync_service.chunk_size);
    assert_eq!(format!("{:?}", written.result_service), format!("{:?}", least.result_service));
    assert_eq!(written.oauth.token_lifetime_seconds, 3_600);
    assert_eq!(least.sync_service.field_choices(), FieldChoices::tao_default());
    insta::assert_snapshot!("taosync.toml", text);
}

#[test]
fn every_key_can_come_from_the_environment() {
    let config = load(
        LEAST,
        &[
            ("TAOSYNC_LISTEN", "127.0.0.1:1234"),
            ("TAOSYNC_PLAIN_HTTP", "true"),
            ("TAOSYNC_SYNC_SERVICE__CHUNK_SIZE", "500"),
            ("TAOSYNC_SYNC_SERVICE__TEST_TAKER__FIELDS", "[\"http://x#a\"]"),
            ("TAOSYNC_RESULT_SERVICE__STATUS_EXECUTIONS_TO_SYNC", "[\"finished\", \"terminated\"]"),
            ("TAOSYNC_OAUTH__TOKEN_LIFETIME_SECONDS", "60"),
            ("TAOSYNC_DIR", "/somewhere/else"),
            ("TAOSYNC_LOG", "debug"),
            ("TAOSYNC_BINARY", "not ours to judge"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:1234");
    assert!(config.plain_http);
    assert_eq!(config.sync_service.chunk_size, 500);
    assert_eq!(config.result_service.status_executions_to_sync.len(), 2);
    assert_eq!(config.oauth.token_lifetime_seconds, 60);
    let choices = config.sync_service.field_choices();
    assert!(choices.of(EntityType::TestTaker).carries("http://x#a"));
    assert!(!choices.of(EntityType::TestTaker).carries(vocabulary::RDFS_LABEL));
    assert!(choices.of(EntityType::Proctor).carries(vocabulary::RDFS_LABEL));
}

#[test]
fn excluded_properties_replace_the_default_list() {
    let toml = format!("{LEAST}[sync_service.proctor]\nexcluded_properties = [\"http://x#secret\"]\n");
    let choices = load(&toml, &[]).unwrap().sync_service.field_choices();
    assert!(!choices.of(EntityType::Proctor).carries("http://x#secret"));
    assert!(choices.of(EntityType::Proctor).carries(vocabulary::AUTHORIZED_PROCTOR));
}

#[test]
fn complaints_name_file_and_key_and_what_was_meant() {
    insta::assert_snapshot!("misspelt", complaint(&format!("{LEAST}[sync_service]\nchunksize = 5\n"), &[]));
    insta::assert_snapshot!("unlike", complaint(&format!("{LEAST}colour = 5\n"), &[]));
    insta::assert_snapshot!("kind", complaint(&format!("{LEAST}[sync_service]\nchunk_size = \"many\"\n"), &[]));
    insta::assert_snapshot!("bounds", complaint(&format!("{LEAST}[sync_service]\nchunk_size = 100001\n"), &[]));
    insta::assert_snapshot!("listen", complaint("role = \"central\"\nlisten = \"here\"\n", &[]));
    insta::assert_snapshot!("missing", complaint("listen = \"127.0.0.1:0\"\n", &[]));
    insta::assert_snapshot!("toml", complaint("role = central\n", &[]));
    insta::assert_snapshot!(
        "state",
        complaint(&format!("{LEAST}[result_service]\nstatus_executions_to_sync = [\"active\"]\n"), &[])
    );
    insta::assert_snapshot!("environment", complaint(LEAST, &[("TAOSYNC_SYNC_SERVICE__CHUNKSIZE", "1")]));
}

#[test]
fn bounds_hold_at_their_edges() {
    for (size, good) in [(0, false), (1, true), (100_000, true), (100_001, false)] {
        let toml = format!("{LEAST}[sync_service]\nchunk_size = {size}\n");
        assert_eq!(load(&toml, &[]).is_ok(), good, "{size}");
    }
    for (days, good) in [(0, false), (1, true), (3_660, true), (3_661, false)] {
        let toml = format!("{LEAST}[sync_service]\nkeep_removals_days = {days}\n");
        assert_eq!(load(&toml, &[]).is_ok(), good, "{days}");
    }
}

#[test]
fn plain_http_is_for_loopback_alone() {
    let toml = "role = \"local\"\nlisten = \"0.0.0.0:8080\"\nplain_http = true\n";
    insta::assert_snapshot!("plain_http", complaint(toml, &[]));
    assert!(load("role = \"local\"\nlisten = \"localhost:8080\"\nplain_http = true\n", &[]).is_ok());
    assert!(load("role = \"local\"\nlisten = \"[::1]:8080\"\nplain_http = true\n", &[]).is_ok());
}

#[test]
fn the_proxy_is_never_shown() {
    let toml = format!("proxy = \"http://user:hidden@proxy\"\n{LEAST}");
    assert!(!format!("{:?}", load(&toml, &[]).unwrap()).contains("hidden"));
    let wrong = complaint(&format!("proxy = [\"http://user:hidden@proxy\"]\n{LEAST}"), &[]);
    assert!(!wrong.contains("hidden"), "{wrong}");
    let unquoted = complaint(&format!("proxy = http://user:hidden@proxy\n{LEAST}"), &[]);
    assert!(!unquoted.contains("hidden"), "{unquoted}");
}

#[test]
fn a_directory_without_a_node_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let failure = Config::load(&Place::new(Some(dir.path()))).unwrap_err();
    assert_eq!(failure.code, "TS-003");
    assert!(failure.message.contains(&dir.path().display().to_string()), "{}", failure.message);
}
