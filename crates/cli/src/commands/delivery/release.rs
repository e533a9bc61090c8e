//! When a test opens: `delivery publish --release-at`, and `delivery unlock` with the codes that open it before.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use taosync_store::releases::{Codes, Release};
use taosync_store::settings::Role;
use taosync_sync::packages::locked::{UnlockError, unlock};
use taosync_sync::packages::publish::Opens;
use taosync_vault::unlock_code::{Locked, UnlockCode};
use zeroize::Zeroizing;

use crate::bounded;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output;

/// Bytes of a code that is read from standard input.
const MAX_TYPED: u64 = 256;

/// When a version opens.
#[derive(Clone, Debug, Args)]
pub struct Choice {
    /// When the test opens, with its UTC offset, such as 2027-05-12T08:00:00+02:00; 'now' opens it. Without it, a new
    /// version opens as the one before
    #[arg(long, value_name = "TIME", value_parser = When::read)]
    release_at: Option<When>,
    /// Make no unlock codes: without network at that time the test stays locked
    #[arg(long, requires = "release_at")]
    no_code: bool,
}

/// A time on the command line.
#[derive(Clone, Copy, Debug)]
enum When {
    Now,
    At(Timestamp),
}

impl When {
    fn read(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        // A time without an offset would be another one in another place.
        text.parse()
            .map(Self::At)
            .map_err(|_| "give a time with its UTC offset, such as 2027-05-12T08:00:00+02:00".into())
    }
}

impl Choice {
    pub(super) fn opens(&self) -> Opens {
        let codes = if self.no_code { Codes::None } else { Codes::Given };
        match self.release_at {
            None => Opens::AsBefore,
            Some(When::Now) => Opens::Now,
            Some(When::At(at)) => Opens::At(Release { at, codes }),
        }
    }

    pub(super) const fn is_said(&self) -> bool {
        self.release_at.is_some()
    }
}

/// When a published version opens.
pub(super) async fn of(node: &Node, uri: &str, version: u32) -> Result<Option<Release>, Failure> {
    let Some(package) = node.store.package_get(uri, version).await? else { return Ok(None) };
    Ok(node.store.release_of(package.id).await?)
}

pub(super) fn has_codes(release: &Release) -> bool {
    release.codes == Codes::Given
}

/// What a person should know of a release without codes.
pub(super) fn warning(release: &Release, now: Timestamp) -> Option<String> {
    let needs_network = release.codes == Codes::None && release.at > now;
    needs_network.then(|| {
        format!("no unlock codes: a local server without network at {} or later cannot open the test", release.at)
    })
}

pub(super) fn to_text(release: &Release, now: Timestamp) -> String {
    let warning = warning(release, now).map(|warning| format!("  warning: {warning}\n")).unwrap_or_default();
    format!("  locked until {}\n{warning}", output::time(release.at))
}

/// `delivery unlock`.
#[derive(Debug, Args)]
pub struct Unlock {
    /// URI of the delivery
    uri: String,
    /// At local: the code; without it, or with '-', it is read from standard input, which other users of
    /// this machine cannot see
    #[arg(long, value_name = "CODE")]
    code: Option<Typed>,
}

/// A code as it was typed; never shown.
#[derive(Clone)]
struct Typed(Zeroizing<String>);

impl std::str::FromStr for Typed {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed")
    }
}

impl Unlock {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open(context).await?;
        match node.identity.role {
            Role::Central => show_codes(context, &node, &self.uri).await,
            Role::Local => open(context, &node, self).await,
        }
    }
}

async fn show_codes(context: &Context, node: &Node, uri: &str) -> Result<(), Failure> {
    let package = node.store.package_current(uri).await?.ok_or_else(|| unknown(uri))?;
    let release = node.store.release_of(package.id).await?;
    let given = node.store.codes_given(package.id).await?;
    let key = node.store.package_open(package.id).await?.key;
    let detail = json!({"version": package.version, "nodes": given.len()});
    node.audit("delivery.codes_shown", uri, detail).await?;
    let mut codes: Vec<(Value, String)> = Vec::new();
    for coded in given {
        let locked = Locked { delivery: uri, version: package.version, node: coded.node };
        let Some(code) = key.as_ref().map(|key| key.code_for(&locked).to_text()) else { continue };
        let line = format!("{}  {}\n", coded.node, code.as_str());
        codes.push((json!({"node": coded.node, "code": code.as_str(), "since": coded.at}), line));
    }
    let (list, lines): (Vec<Value>, Vec<String>) = codes.into_iter().unzip();
    let document = json!({
        "uri": uri, "version": package.version, "release_at": release.map(|release| release.at), "codes": list,
    });
    context.output.answer(&document, || {
        if lines.is_empty() {
            return "No local server holds this test under a code.\n".to_owned();
        }
        lines.concat()
    })
}

async fn open(context: &Context, node: &Node, options: Unlock) -> Result<(), Failure> {
    let typed = match options.code {
        Some(Typed(code)) if code.as_str() != "-" => code,
        _ => bounded::text(std::io::stdin().lock(), MAX_TYPED)
            .map_err(|source| Failure::wrong_text("the code cannot be read from standard input", "").because(source))?,
    };
    let uri = options.uri;
    let package = node.store.package_current(&uri).await?.ok_or_else(|| unknown(&uri))?;
    if !package.unlocked {
        let code: UnlockCode = typed.trim().parse().map_err(|error: taosync_vault::unlock_code::CodeError| {
            Failure::wrong_text(error.to_string(), "have it read out again, one group after the other")
        })?;
        unlock(&node.store, &package, &code).await.map_err(not_opened)?;
        node.audit("delivery.unlock", &uri, json!({"version": package.version})).await?;
    }
    let document = json!({"uri": uri, "version": package.version, "unlocked": true});
    context.output.answer(&document, || format!("Open: {uri}, version {}", package.version))
}

fn unknown(uri: &str) -> Failure {
    Failure::new("TS-107", format!("there is no test {uri} here"), "see 'taosync delivery list' for those there are")
}

fn not_opened(error: UnlockError) -> Failure {
    match error {
        UnlockError::Package(error) => error.into(),
        UnlockError::NoKey | UnlockError::WrongCode => Failure::new(
            "TS-412",
            error.to_string(),
            "ask the office for the code of this machine ('taosync node show'); with a network, 'taosync sync data' opens the test after its release",
        ),
    }
}
