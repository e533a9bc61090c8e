//! The one TOML file of a node, and the environment: every key is also `TAOSYNC_SECTION__KEY`.

mod complaint;
mod fields;
mod listen;
mod place;
mod retention;
mod template;

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use jiff::SignedDuration;
use serde::Deserialize;
use taosync_model::execution::ExecutionState;
use taosync_store::Results;
use taosync_store::settings::Role;
use url::Url;

use crate::failure::Failure;

pub use fields::SyncService;
pub use listen::Listen;
pub use place::Place;
pub use retention::Retention;
pub use template::{NewNode, config_text};

/// What all variables of the environment begin with.
const PREFIX: &str = "TAOSYNC_";
/// First parts of keys; other variables with the prefix are not ours to judge.
const SECTIONS: [&str; 11] = [
    "role",
    "listen",
    "plain_http",
    "public_url",
    "hosts",
    "proxy",
    "sync_service",
    "result_service",
    "results",
    "retention",
    "tao",
];
/// As [`SECTIONS`]: the one that is a section of its own.
const OAUTH: &str = "oauth";

/// The configuration of a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Central or local.
    #[serde(deserialize_with = "from_text")]
    pub role: Role,
    /// Address to listen on.
    #[serde(deserialize_with = "from_text")]
    pub listen: Listen,
    /// Whether to speak HTTP without TLS; on loopback only.
    #[serde(default)]
    pub plain_http: bool,
    /// How others reach this server, when it is not the address it listens on.
    #[serde(default)]
    pub public_url: Option<Url>,
    /// Further names and addresses in the certificate.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Proxy towards central.
    #[serde(default)]
    pub proxy: Option<Proxy>,
    /// Data down.
    #[serde(default)]
    pub sync_service: SyncService,
    /// Results up.
    #[serde(default)]
    pub result_service: ResultService,
    /// Who reads results.
    #[serde(default)]
    pub results: ResultsSection,
    /// How long what is kept.
    #[serde(default)]
    pub retention: Retention,
    /// Tokens.
    #[serde(default)]
    pub oauth: Oauth,
    /// An adopted TAO.
    #[serde(default)]
    pub tao: TaoSection,
}

/// URL of a proxy; it can hold a password, so it is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Proxy(pub String);

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxy")
    }
}

/// `[result_service]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResultService {
    /// Items in one request at most, from 1 to 10,000.
    pub chunk_size: u32,
    /// Whether the readable result goes once central has confirmed it.
    pub delete_after_send: bool,
    /// Which executions are handed in.
    #[serde(deserialize_with = "states")]
    pub status_executions_to_sync: Vec<ExecutionState>,
    /// Hours in which an ended execution can be reactivated, at most a year.
    pub reactivation_window_hours: u32,
    /// Days for which a sealed copy stays after central has confirmed it.
    pub keep_days: u32,
}

impl Default for ResultService {
    fn default() -> Self {
        Self {
            chunk_size: 500,
            delete_after_send: false,
            status_executions_to_sync: vec![ExecutionState::Finished],
            reactivation_window_hours: 24,
            keep_days: 14,
        }
    }
}

impl ResultService {
    /// How long an ended execution can be reactivated.
    pub fn reactivation_window(&self) -> SignedDuration {
        SignedDuration::from_hours(self.reactivation_window_hours.into())
    }
}

/// `[results]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResultsSection {
    /// Whether results stay readable for this node: a central does not ask for sealed ones and seals none, a local server
    /// seals none.
    pub keep_readable: bool,
}

impl ResultsSection {
    /// The store's rule.
    pub const fn rule(&self) -> Results {
        if self.keep_readable { Results::Readable } else { Results::Sealed }
    }
}

/// `[oauth]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth {
    /// Seconds a token lives, from 60 to 86,400.
    pub token_lifetime_seconds: u32,
}

impl Default for Oauth {
    fn default() -> Self {
        Self { token_lifetime_seconds: 3_600 }
    }
}

/// `[tao]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaoSection {
    /// Seconds between two looks of a running server at an adopted TAO, from 1 to 86,400.
    pub every_seconds: u32,
}

impl Default for TaoSection {
    fn default() -> Self {
        Self { every_seconds: 60 }
    }
}

impl Config {
    /// Reads the file and the environment, and checks every value.
    pub fn load(place: &Place) -> Result<Self, Failure> {
        let file = place.config_file();
        if !file.is_file() {
            return Err(no_node(place));
        }
        let figment = Figment::from(Toml::file_exact(file)).merge(environment());
        let config: Self = figment.extract().map_err(|error| complaint::of(error, file))?;
        config.check(&|key| complaint::place(figment.find_metadata(key), file))?;
        Ok(config)
    }

    /// `place` says where a key got its value.
    fn check(&self, place: &dyn Fn(&str) -> String) -> Result<(), Failure> {
        let wrong = |key: &str, problem: String, advice: &str| {
            Err(Failure::new("TS-002", format!("{}: '{key}' {problem}", place(key)), advice))
        };
        let bounds = [
            ("sync_service.chunk_size", self.sync_service.chunk_size, 1, 100_000),
            ("sync_service.keep_history_days", self.sync_service.keep_history_days, 1, 3_660),
            ("sync_service.keep_removals_days", self.sync_service.keep_removals_days, 1, 3_660),
            ("result_service.chunk_size", self.result_service.chunk_size, 1, 10_000),
            ("result_service.reactivation_window_hours", self.result_service.reactivation_window_hours, 0, 8_784),
            ("result_service.keep_days", self.result_service.keep_days, 0, 3_660),
            ("retention.answers_days", self.retention.answers_days, 0, 36_600),
            ("retention.closed_exams_days", self.retention.closed_exams_days, 0, 36_600),
            ("retention.people_days", self.retention.people_days, 0, 36_600),
            ("oauth.token_lifetime_seconds", self.oauth.token_lifetime_seconds, 60, 86_400),
            ("tao.every_seconds", self.tao.every_seconds, 1, 86_400),
        ];
        for (key, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return wrong(key, format!("is {value}"), &format!("use a number from {least} to {most}"));
            }
        }
        if let Some(field) = self.sync_service.contradiction() {
            let problem = format!("names '{field}', which stands in a list of fields that travel too");
            return wrong("sync_service.never_travels", problem, "take it out of one of the two");
        }
        if let Some(state) = self.result_service.status_executions_to_sync.iter().find(|state| !state.is_over()) {
            let problem = format!("names '{state}', an execution that is not over");
            return wrong("result_service.status_executions_to_sync", problem, "use finished, terminated, canceled");
        }
        if let Some(url) = self.public_url.as_ref().filter(|url| url.cannot_be_a_base() || !url.username().is_empty()) {
            let problem = format!("is not the URL of a server ({})", url.scheme());
            return wrong("public_url", problem, "use one like https://central.example:8443/");
        }
        if self.plain_http {
            self.listen.check_plain_http()?;
        }
        Ok(())
    }
}

fn no_node(place: &Place) -> Failure {
    Failure::new(
        "TS-003",
        format!("there is no node in {}: {} does not exist", place.dir().display(), place.config_file().display()),
        "make one with 'taosync --dir DIR init central' or 'init local', or name its directory with --dir or TAOSYNC_DIR",
    )
}

fn environment() -> Env {
    Env::prefixed(PREFIX)
        .filter(|key| {
            let first = key.as_str().split("__").next().unwrap_or_default().to_ascii_lowercase();
            SECTIONS.contains(&first.as_str()) || first == OAUTH
        })
        .split("__")
}

fn from_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    D: serde::Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn states<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<ExecutionState>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
mod tests;
