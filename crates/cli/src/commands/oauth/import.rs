//! `taosync oauth import`: takes the key and secret that central made, and proves at once that they work.

pub mod code;
pub mod tao;

use std::str::FromStr;

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use serde_json::json;
use taosync_model::OrgId;
use taosync_store::remotes::{NewRemote, Remote, RemoteKind};
use taosync_store::settings::Role;
use taosync_sync::link::{Access, Address, Link};
use taosync_vault::tls::{Fingerprint, Pin};
use url::Url;
use uuid::Uuid;

use crate::bounded;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Longest secret that is read from standard input, in bytes.
const MAX_SECRET: u64 = 4_096;

/// Take a key and secret that central made (local)
#[derive(Debug, Args)]
#[command(after_help = "Nothing is kept unless central accepts the key: a token is asked for at once.

Examples:
  taosync --dir /srv/local oauth import --code -
  taosync --dir /srv/local oauth import -k KEY -s - -tu https://central.example:8443/api/v1/oauth/token \\
      -u https://central.example:8443/ --ca-fingerprint F < secret.txt

A TAO central is known by its token URL, or else by what it answers:
  taosync --dir /srv/local oauth import -k KEY -s - -tu https://tao.example/taoOauth/TokenApi/requestToken \\
      -u https://tao.example/ --organisation-id School-7 < secret.txt")]
pub struct Options {
    /// The enrolment code from a sheet of the office, instead of everything below; '-' reads it from standard
    /// input, which other users of this machine cannot see
    #[arg(long, value_name = "CODE", num_args = 1.., conflicts_with_all = ["key", "secret", "token_url", "root_url",
        "ca_fingerprint", "remote", "organisation_id", "tao_version"])]
    code: Vec<code::Typed>,
    /// The key
    #[arg(short, long, value_name = "KEY", required_unless_present = "code")]
    key: Option<String>,
    /// The secret; '-' reads it from standard input, which other users of this machine cannot see
    #[arg(short, long, value_name = "SECRET", allow_hyphen_values = true, required_unless_present = "code")]
    secret: Option<Secret>,
    /// Where central gives tokens (also: -tu)
    #[arg(long, value_name = "TOKEN_URL", required_unless_present = "code")]
    token_url: Option<Url>,
    /// Where central is
    #[arg(short = 'u', long, value_name = "ROOT_URL", required_unless_present = "code")]
    root_url: Option<Url>,
    /// Fingerprint of central's certificate authority (SHA-256); without it, the authorities this machine trusts
    #[arg(long, value_name = "FINGERPRINT")]
    ca_fingerprint: Option<String>,
    /// What central speaks; without it, its token URL or its answers tell
    #[arg(long, value_name = "KIND")]
    remote: Option<Speaks>,
    /// At a TAO central: the organisation to ask for; without it, everything the key may see
    #[arg(long, visible_alias = "org", value_name = "ORG")]
    organisation_id: Option<OrgId>,
    /// At a TAO central: the version of TAO to be known as; without it, the newest that it lets in
    #[arg(long, value_name = "VERSION")]
    tao_version: Option<String>,
}

/// What a central speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Speaks {
    /// The protocol of taosync
    Taosync,
    /// That of TAO
    Tao,
}

/// A secret on the command line; never shown.
#[derive(Clone)]
struct Secret(SecretString);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(SecretString::from(text)))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Options {
    /// Imports the key.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open_as(context, Role::Local).await?;
        if !self.code.is_empty() {
            return code::import(context, &node, &self.code).await;
        }
        let (told, at_tao) = (self.told(), tao::Choice::of(&self));
        let new = self.new_remote()?;
        let speaks = match told {
            Some(speaks) => speaks,
            None => tao::probe(&node, &new).await?,
        };
        if speaks == Speaks::Tao {
            return tao::import(context, &node, new, at_tao).await;
        }
        if at_tao != tao::Choice::default() {
            return Err(not_for_us());
        }
        connect(&node, &new).await?.tell(context, &node)
    }

    /// What was said, or else what the address of tokens tells.
    fn told(&self) -> Option<Speaks> {
        let is_at = |path: &str| self.token_url.iter().any(|url| url.path().ends_with(&format!("/{path}")));
        let by_address = if is_at(taosync_wire::tao::PATH_TOKEN) {
            Some(Speaks::Tao)
        } else {
            is_at(taosync_wire::v1::PATH_TOKEN).then_some(Speaks::Taosync)
        };
        self.remote.or(by_address)
    }

    fn new_remote(self) -> Result<NewRemote, Failure> {
        let fingerprint = self.ca_fingerprint.as_deref().map(str::parse::<Fingerprint>).transpose()?;
        // Unwrap safety: clap wants all four where no code is given.
        let (Some(key), Some(secret)) = (self.key, self.secret) else { return Err(incomplete()) };
        let (Some(root_url), Some(token_url)) = (self.root_url, self.token_url) else { return Err(incomplete()) };
        Ok(NewRemote {
            root_url: with_slash(root_url).to_string(),
            token_url: token_url.to_string(),
            client_key: key,
            secret: secret.read()?,
            ca_fingerprint: fingerprint.map(|f| f.to_string()),
            kind: RemoteKind::Taosync,
        })
    }
}

/// A root URL ends with a slash: paths are joined to it.
pub fn with_slash(mut root: Url) -> Url {
    if !root.path().ends_with('/') {
        root.set_path(&format!("{}/", root.path()));
    }
    root
}

fn incomplete() -> Failure {
    Failure::wrong_text("key, secret, token URL and root URL belong together", "copy the whole command again")
}

/// Options for a TAO central, and the central is ours.
pub fn not_for_us() -> Failure {
    Failure::wrong_text(
        "--organisation-id and --tao-version are for a TAO central; a key of taosync knows its organisations",
        "leave them out, or say --remote tao",
    )
}

/// A central that accepted a key.
pub struct Connected {
    remote: Uuid,
    access: Access,
    orgs: Vec<OrgId>,
}

impl Connected {
    /// Says so.
    pub fn tell(&self, context: &Context, node: &Node) -> Result<(), Failure> {
        let Self { remote, access, orgs } = self;
        let central = access.central.id;
        let document = json!({"remote": remote, "org": access.org, "orgs": orgs, "central": central});
        context.output.answer(&document, || {
            let names = orgs.iter().map(OrgId::as_str).collect::<Vec<_>>().join(", ");
            format!(
                "Connected with central {central} for {names}.\nNext: taosync --dir {} sync all",
                node.place.dir().display()
            )
        })
    }
}

/// Asks central for a token, and keeps the key when it gives one.
pub async fn connect(node: &Node, new: &NewRemote) -> Result<Connected, Failure> {
    let access = prove(node, new).await?;
    let orgs = orgs_of(&access);
    let remote = keep(node, new, &access, &orgs).await?;
    for org in &orgs {
        node.store.replica_open(remote, org).await?;
    }
    let detail = json!({"central": access.central.id, "orgs": orgs});
    node.audit("remote.import", &new.client_key, detail).await?;
    Ok(Connected { remote, access, orgs })
}

impl Secret {
    fn read(self) -> Result<SecretString, Failure> {
        use secrecy::ExposeSecret as _;
        if self.0.expose_secret() != "-" {
            return Ok(self.0);
        }
        let text = bounded::text(std::io::stdin().lock(), MAX_SECRET).map_err(|source| {
            Failure::wrong_text("the secret cannot be read from standard input", "").because(source)
        })?;
        let secret = text.trim();
        if secret.is_empty() {
            return Err(Failure::wrong_text(
                "standard input holds no secret",
                "write the secret there, or give it with -s",
            ));
        }
        Ok(SecretString::from(secret))
    }
}

/// Asks for a token: only who holds the secret gets one.
async fn prove(node: &Node, new: &NewRemote) -> Result<Access, Failure> {
    Ok(Link::new(address_of(node, new)?, node.caller())?.access().await?)
}

/// Where a central is that is not kept yet.
pub fn address_of(node: &Node, new: &NewRemote) -> Result<Address, Failure> {
    let url = |text: &str| {
        Url::parse(text).map_err(|error| {
            Failure::wrong_text(format!("'{text}' is not a URL"), "copy the command again").because(error)
        })
    };
    Ok(Address {
        root: url(&new.root_url)?,
        token: url(&new.token_url)?,
        client_key: new.client_key.clone(),
        secret: new.secret.clone(),
        pins: new.ca_fingerprint.as_deref().map(str::parse).transpose()?.map(Pin::Whole).into_iter().collect(),
        central: None,
        org: None,
        proxy: node.proxy(),
    })
}

/// Keeps the login: in place of the one this server had for the same orgs of the same central, or as a new one.
async fn keep(node: &Node, new: &NewRemote, access: &Access, orgs: &[OrgId]) -> Result<Uuid, Failure> {
    let central = access.central;
    let known = node.store.remotes_list().await?;
    refuse_other_central(&known, new, access)?;
    let replicas = node.store.replicas_list().await?;
    let served = |remote: &Remote| -> Vec<OrgId> {
        replicas.iter().filter(|replica| replica.remote == remote.id).map(|replica| replica.org.clone()).collect()
    };
    let overlapping: Vec<(&Remote, Vec<OrgId>)> = known
        .iter()
        .filter(|remote| remote.central == Some(central.id) && remote.client_key != new.client_key)
        .map(|remote| (remote, served(remote)))
        .filter(|(_, served)| served.iter().any(|org| orgs.contains(org)))
        .collect();
    let remote = match &overlapping[..] {
        [] => {
            let remote = node.store.remote_put(new).await?;
            node.store.remote_introduce(remote, central.id, &central.key).await?;
            remote
        }
        [(remote, served)] if served.iter().all(|org| orgs.contains(org)) => {
            node.store.remote_renew(remote.id, new, central.id, &central.key).await?;
            remote.id
        }
        [(remote, served), ..] => return Err(other_key(remote, served)),
    };
    if let Some(recipients) = &access.results {
        node.store.remote_results(remote, recipients).await?;
    }
    if let Some(authorities) = &access.authorities {
        node.store.remote_authorities(remote, authorities).await?;
    }
    Ok(remote)
}

/// A key that is known here belongs to the central it was imported from.
fn refuse_other_central(known: &[Remote], new: &NewRemote, access: &Access) -> Result<(), Failure> {
    let same_place = known.iter().find(|r| r.client_key == new.client_key && r.root_url == new.root_url);
    match same_place.and_then(|remote| remote.central) {
        Some(central) if central != access.central.id => {
            let message = format!("central at {} is not the one that was met first", new.root_url);
            let advice = "ask who runs it; with its agreement, make a new key there and import that one";
            Err(Failure::new("TS-204", message, advice))
        }
        _ => Ok(()),
    }
}

/// The new key covers a part only of what another key of this server is for.
fn other_key(remote: &Remote, served: &[OrgId]) -> Failure {
    let names = served.iter().map(OrgId::as_str).collect::<Vec<_>>().join(", ");
    let message = format!("this server serves {names} of the same central with key {} already", remote.client_key);
    Failure::new("TS-108", message, "make a key there for exactly these organisations, and import that one")
}

fn orgs_of(access: &Access) -> Vec<OrgId> {
    let mut orgs = access.orgs.clone();
    if !orgs.contains(&access.org) {
        orgs.insert(0, access.org.clone());
    }
    orgs
}
