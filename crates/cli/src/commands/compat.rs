//! `taosync compat`: whether and how central speaks TAO's protocol.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use taosync_store::settings::Role;
use taosync_sync::tao::Compat;
use taosync_sync::tao::compat::{MAX_CHUNK, MAX_VERSION, MAX_VERSIONS};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;

/// Whether and how central speaks TAO's protocol (central)
#[derive(Debug, Args)]
#[command(after_help = "A TAO box may sync when its version is in the list; 'oauth generate --cmd tao'
prints the command to be run on it. Changes count from the next request on,
base_path when the server is started again. See docs/TAO.md.

Examples:
  taosync --dir /srv/central compat supported-version add 2023.12
  taosync --dir /srv/central compat set chunk_size 100
  taosync --dir /srv/central compat set tao off
  taosync --dir /srv/central compat show")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the settings
    Show,
    /// Change a setting
    Set {
        /// Which
        #[arg(value_enum)]
        name: Name,
        /// on or off; true or false; a number; a path
        value: String,
    },
    /// Versions of TAO that may sync
    #[command(subcommand)]
    SupportedVersion(Versions),
}

/// The settings, spelled as in TAO's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Name {
    /// Whether TAO's addresses are there: on or off
    Tao,
    /// Whether the organisation a request names is believed, and shown unfiltered, as TAO does: true or false
    TrustRequestedOrg,
    /// Entities of a page
    ChunkSize,
    /// Path before TAO's paths, such as /tao; / for none
    BasePath,
}

#[derive(Debug, Subcommand)]
enum Versions {
    /// Let boxes of a version sync
    Add {
        /// As the box spells it, such as 2023.12
        version: String,
    },
    /// Do not let them sync any more
    Remove {
        /// As in the list
        version: String,
    },
    /// List them
    List,
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open_as(context, Role::Central).await?;
        let before = Compat::load(&node.store).await?;
        let after = match self.act {
            Act::Show | Act::SupportedVersion(Versions::List) => before.clone(),
            Act::Set { name, value } => set(&before, name, &value)?,
            Act::SupportedVersion(Versions::Add { version }) => add(&before, version)?,
            Act::SupportedVersion(Versions::Remove { version }) => remove(&before, &version)?,
        };
        if after != before {
            after.save(&node.store).await?;
            node.audit("compat.set", "tao", json!(after)).await?;
        }
        context.output.answer(&after, || to_text(&after))?;
        Ok(Exit::Done)
    }
}

fn set(before: &Compat, name: Name, value: &str) -> Result<Compat, Failure> {
    let mut after = before.clone();
    match name {
        Name::Tao => after.tao = switch(value)?,
        Name::TrustRequestedOrg => after.trust_requested_org = switch(value)?,
        Name::ChunkSize => {
            let size = value.parse().ok().filter(|size| (1..=MAX_CHUNK).contains(size));
            let wrong = || wrong(value, &format!("give a number from 1 to {MAX_CHUNK}"));
            after.chunk_size = size.ok_or_else(wrong)?;
        }
        Name::BasePath => {
            let path = value.trim_matches('/');
            let is_plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.'));
            if !is_plain || path.len() > MAX_VERSION || path.contains("//") {
                return Err(wrong(value, "give a path of letters, digits, '-', '_' and '.', such as /tao"));
            }
            after.base_path = if path.is_empty() { String::new() } else { format!("/{path}") };
        }
    }
    Ok(after)
}

fn switch(value: &str) -> Result<bool, Failure> {
    match value {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(wrong(value, "give on or off")),
    }
}

fn add(before: &Compat, version: String) -> Result<Compat, Failure> {
    if version.is_empty() || version.len() > MAX_VERSION || version.chars().any(char::is_control) {
        return Err(wrong(&version, &format!("a version has 1 to {MAX_VERSION} bytes")));
    }
    let mut after = before.clone();
    if !after.supports(&version) {
        after.supported_versions.push(version);
    }
    if after.supported_versions.len() > MAX_VERSIONS {
        let message = format!("there are {MAX_VERSIONS} versions in the list, and it holds no more");
        return Err(Failure::wrong_text(message, "remove some with 'taosync compat supported-version remove VERSION'"));
    }
    Ok(after)
}

fn remove(before: &Compat, version: &str) -> Result<Compat, Failure> {
    if !before.supports(version) {
        return Err(wrong(version, "see 'taosync compat supported-version list' for those there are"));
    }
    let mut after = before.clone();
    after.supported_versions.retain(|known| known != version);
    Ok(after)
}

fn wrong(value: &str, advice: &str) -> Failure {
    Failure::wrong_text(format!("'{}' cannot be used here", value.escape_debug()), advice)
}

fn to_text(compat: &Compat) -> String {
    let versions = match &compat.supported_versions[..] {
        [] => "none: no TAO box can sync".to_owned(),
        list => list.join(", "),
    };
    let base_path = if compat.base_path.is_empty() { "/" } else { &compat.base_path };
    format!(
        "tao                  {}\ntrust_requested_org  {}\nchunk_size           {}\nbase_path            {base_path}\n\
         supported versions   {versions}\n",
        if compat.tao { "on" } else { "off" },
        compat.trust_requested_org,
        compat.chunk_size,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let compat = Compat::default();
        assert!(!set(&compat, Name::Tao, "off").unwrap().tao);
        assert!(set(&compat, Name::TrustRequestedOrg, "true").unwrap().trust_requested_org);
        assert_eq!(set(&compat, Name::ChunkSize, "10").unwrap().chunk_size, 10);
        assert_eq!(set(&compat, Name::BasePath, "tao/").unwrap().base_path, "/tao");
        assert_eq!(set(&compat, Name::BasePath, "/").unwrap().base_path, "");
        for (name, value) in [
            (Name::Tao, "yes"),
            (Name::ChunkSize, "0"),
            (Name::ChunkSize, "x"),
            (Name::BasePath, "a b"),
            (Name::BasePath, "a//b"),
            (Name::BasePath, "{x}"),
        ] {
            assert_eq!(set(&compat, name, value).unwrap_err().code, "TS-010", "{value}");
        }
    }

    #[test]
    fn versions_are_texts_and_come_once() {
        let one = add(&Compat::default(), "1.10".to_owned()).unwrap();
        assert_eq!(add(&one, "1.10".to_owned()).unwrap(), one);
        assert_eq!(add(&one, "1.1".to_owned()).unwrap().supported_versions, ["1.10", "1.1"]);
        assert!(remove(&one, "1.1").is_err());
        assert_eq!(remove(&one, "1.10").unwrap(), Compat::default());
        assert!(add(&one, "x".repeat(65)).is_err());
    }
}
