//! `taosync init`: keys, certificate, database and configuration of a new node.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use taosync_store::Store;
use taosync_store::audit::AuditEntry;
use taosync_store::runner_keys::RunnerScope;
use taosync_store::settings::{Identity, Role};
use taosync_vault::tls::Tls;
use taosync_vault::tokens::TokenHash;
use taosync_vault::{Keyring, random};
use url::Url;
use uuid::Uuid;

use crate::certificate;
use crate::config::{Listen, NewNode, Place, config_text};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::ACTOR;
use crate::output;

/// Address of a central nobody chose another for.
const CENTRAL_LISTEN: &str = "127.0.0.1:8443";
/// Address of a local server nobody chose another for.
const LOCAL_LISTEN: &str = "127.0.0.1:8080";
/// File with the key of the test runner, in the directory of keys.
const RUNNER_KEY: &str = "runner.key";
/// Name of the results key that a new central keeps itself.
const FIRST_RESULTS_KEY: &str = "central";

/// Make a new node: a central or a local server
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central init central --listen 0.0.0.0:8443 --host central.example
  taosync --dir /srv/local init local")]
pub struct Options {
    #[command(subcommand)]
    role: RoleOptions,
}

#[derive(Debug, Subcommand)]
enum RoleOptions {
    /// Make the server that holds the truth
    Central(NodeOptions),
    /// Make a server for a school
    Local(NodeOptions),
}

#[derive(Debug, Args)]
struct NodeOptions {
    /// Address to listen on; port 0 means any free one [default: 127.0.0.1:8443 for central, 127.0.0.1:8080 for local]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<Listen>,
    /// Speak HTTP without TLS; only on this machine's own address
    #[arg(long)]
    plain_http: bool,
    /// How others reach this server, when that is not the address it listens on
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// Further name or address for the certificate; may be repeated
    #[arg(long = "host", value_name = "NAME", num_args = 1..)]
    hosts: Vec<String>,
}

/// What was made: the answer.
#[derive(Serialize)]
pub struct Made {
    role: &'static str,
    dir: String,
    node: Uuid,
    thumbprint: String,
    listen: String,
    /// SHA-256 of its certificate authority; none with plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_fingerprint: Option<String>,
    /// Central: identity of its history.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<Uuid>,
    /// Local: what a test runner shows; printed this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_key: Option<String>,
}

impl Options {
    /// Makes the node.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (role, options) = match self.role {
            RoleOptions::Central(options) => (Role::Central, options),
            RoleOptions::Local(options) => (Role::Local, options),
        };
        let new = options.checked(role)?;
        let made = make(context, &new).await?;
        context.output.answer(&made, || to_text(&made, &context.place))?;
        Ok(Exit::Done)
    }
}

impl NodeOptions {
    fn checked(self, role: Role) -> Result<NewNode, Failure> {
        let default = if role == Role::Central { CENTRAL_LISTEN } else { LOCAL_LISTEN };
        let listen = match self.listen {
            Some(listen) => listen,
            None => default.parse().map_err(|error| Failure::new("TS-900", format!("{error}"), ""))?,
        };
        if self.plain_http {
            listen.check_plain_http()?;
        }
        if let Some(host) = self.hosts.iter().find(|host| !certificate::is_host(host)) {
            let message = format!("'{}' is not a host name or address", host.escape_debug());
            return Err(Failure::wrong_text(message, "use one like central.example or 10.0.0.5"));
        }
        Ok(NewNode { role, listen, plain_http: self.plain_http, public_url: self.public_url, hosts: self.hosts })
    }
}

fn refuse_existing(place: &Place) -> Result<(), Failure> {
    let found = [place.config_file().to_owned(), place.keys(), place.database()];
    let Some(found) = found.iter().find(|path| path.symlink_metadata().is_ok()) else { return Ok(()) };
    let message = format!("{} exists already: nothing was changed", found.display());
    let advice = "choose another --dir; or, if an earlier 'init' was interrupted, move this directory away first";
    Err(Failure::new("TS-004", message, advice))
}

/// Everything of a node; the configuration comes last, so that half a node is never taken for a whole one.
pub async fn make(context: &Context, new: &NewNode) -> Result<Made, Failure> {
    let place = &context.place;
    refuse_existing(place)?;
    make_dir(place.dir())?;
    let mut keyring = Keyring::create(&place.keys())?;
    let results_key = match new.role {
        Role::Central => Some(keyring.add_results_key(&place.keys())?),
        Role::Local => None,
    };
    let keyring = Arc::new(keyring);
    let tls = if new.plain_http {
        None
    } else {
        let names = certificate::names(new.listen, new.public_url.as_ref(), &new.hosts);
        Some(Tls::create(&place.keys(), &names, context.clock.now())?)
    };
    let store = Store::open(place.dir(), keyring.clone(), context.clock.clone()).await?;
    let identity = Identity { node: context.clock.new_id(), role: new.role, epoch: random::uuid() };
    store.identity_set(&identity).await?;
    let (object, detail) = (identity.node.to_string(), json!({"role": new.role.as_str()}));
    store.audit_write(&AuditEntry { actor: ACTOR, act: "node.init", object: &object, detail }).await?;
    if let Some(recipient) = &results_key {
        let (act, detail) = ("results_key.add", Value::Null);
        let entry = AuditEntry { actor: ACTOR, act, object: recipient, detail };
        store.results_key_add(recipient, FIRST_RESULTS_KEY, &entry).await?;
    }
    let runner_key = match new.role {
        Role::Central => None,
        Role::Local => Some(make_runner_key(place, &store).await?),
    };
    store.close().await;
    if let Some(parent) = place.config_file().parent() {
        make_dir(parent)?;
    }
    write_new(place.config_file(), config_text(new).as_bytes(), 0o640)?;
    Ok(Made {
        role: new.role.as_str(),
        dir: place.dir().display().to_string(),
        node: identity.node,
        thumbprint: keyring.node_key().thumbprint(),
        listen: new.listen.to_string(),
        ca_fingerprint: tls.map(|tls| tls.fingerprint()),
        epoch: (new.role == Role::Central).then_some(identity.epoch),
        runner_key: runner_key.map(|key| key.expose_secret().to_owned()),
    })
}

/// A key for the test runner: a file for it, a hash for us.
async fn make_runner_key(place: &Place, store: &Store) -> Result<SecretString, Failure> {
    let key = random::token();
    write_new(&place.keys().join(RUNNER_KEY), format!("{}\n", key.expose_secret()).as_bytes(), 0o600)?;
    store.runner_key_add(&TokenHash::of(&key), "made by taosync init", &RunnerScope::All).await?;
    Ok(key)
}

fn make_dir(dir: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| Failure::file("create", dir, source))
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(|source| Failure::file("write", path, source))
}

fn to_text(made: &Made, place: &Place) -> String {
    let dir = place.dir().display();
    let mut text = format!("Made a {} server in {dir}: node {}\n", made.role, made.node);
    if let Some(fingerprint) = &made.ca_fingerprint {
        output::add(&mut text, format_args!("Fingerprint of its certificate authority: {fingerprint}\n"));
    }
    match &made.runner_key {
        Some(key) => output::add(
            &mut text,
            format_args!(
                "Key for the test runner (also in {}): {key}\n\nNext: import a key that central made with 'taosync oauth generate':\n  \
             taosync --dir {dir} oauth import -k KEY -s SECRET -tu TOKEN_URL -u ROOT_URL --ca-fingerprint F\n",
                place.keys().join(RUNNER_KEY).display()
            ),
        ),
        None => output::add(
            &mut text,
            format_args!(
                "\nNext: bring data in and start the server:\n  \
             taosync --dir {dir} import test-centers FILE.csv\n  taosync --dir {dir} serve\n"
            ),
        ),
    }
    text
}
