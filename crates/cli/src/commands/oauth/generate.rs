//! `taosync oauth generate`: a consumer for the local servers of an org, and the command to be run there.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::json;
use taosync_model::{OrgId, vocabulary};
use taosync_store::consumers::NewConsumer;
use taosync_store::settings::Role;
use taosync_sync::tao::Compat;
use taosync_vault::random;
use taosync_vault::tokens::TokenHash;
use taosync_wire::{tao, v1};
use url::Url;

use super::sheets;
use crate::commands::{scope, serve};
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Make a key and secret for the local servers of an organisation (central)
#[derive(Debug, Args)]
#[command(after_help = "The secret is shown once and kept nowhere. Each local server gets its own key:
keep one key for one machine.

With --out, a sheet with an enrolment code for each machine is written instead:
whoever stands before the machine types it there. A code is good once.

Examples:
  taosync --dir /srv/central oauth generate --org School-7
  taosync --dir /srv/central oauth generate --org School-7 --org School-8 --user anna --cmd
  taosync --dir /srv/central oauth generate --org School-7 --cmd tao
  taosync --dir /srv/central oauth generate --orgs centers.csv --out sheets --valid-days 14")]
pub struct Options {
    /// Organisation the key is for; may be repeated; '*' for everything
    #[arg(long = "org", visible_alias = "organisation-id", value_name = "ORG", required_unless_present_any = ["all_orgs", "machines"])]
    orgs: Vec<OrgId>,
    /// One machine for each line of this file (CSV with label and organisation id, as for 'import test-centers')
    #[arg(long = "orgs", value_name = "FILE.csv", conflicts_with_all = ["orgs", "all_orgs", "cmd"], requires = "out")]
    machines: Option<PathBuf>,
    /// Write a sheet with an enrolment code for each machine into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "cmd")]
    out: Option<PathBuf>,
    /// Days until a code that was not used is over
    #[arg(long, value_name = "DAYS", default_value_t = sheets::VALID_DAYS, requires = "out",
        value_parser = clap::value_parser!(u16).range(1..=366))]
    valid_days: u16,
    /// For every organisation there is now
    #[arg(long, conflicts_with = "orgs")]
    all_orgs: bool,
    /// Who it is for, shown in lists and history
    #[arg(long, value_name = "TEXT", default_value = "sync manager")]
    user: String,
    /// Print only the command to be run on the local server, or on a TAO box
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "taosync", value_name = "CLIENT")]
    cmd: Option<Client>,
}

/// Who is to use a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// A local server of ours
    #[default]
    Taosync,
    /// A TAO box
    Tao,
}

/// The answer; its secret is printed once and never kept.
#[derive(Serialize)]
pub struct Generated {
    /// Client key.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// Where tokens are given.
    pub token_url: Url,
    /// Where this central is.
    pub root_url: Url,
    /// SHA-256 of its certificate authority; none with plain HTTP.
    pub ca_fingerprint: Option<String>,
    /// Its organisations.
    pub orgs: Vec<OrgId>,
    user: String,
    role: &'static str,
    command: String,
}

impl Options {
    /// Makes the consumer.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open_as(context, Role::Central).await?;
        let orgs = if self.all_orgs { every_org(&node).await? } else { self.orgs };
        if let Some(out) = &self.out {
            let machines = match &self.machines {
                Some(file) => sheets::machines_of(file)?,
                None => vec![sheets::Machine { label: self.user, orgs }],
            };
            return sheets::write_all(context, &node, machines, out, self.valid_days).await;
        }
        let generated = generate_for(&node, orgs, self.user, self.cmd.unwrap_or_default()).await?;
        let only_command = self.cmd.is_some();
        context.output.answer(&generated, || if only_command { generated.command.clone() } else { to_text(&generated) })
    }
}

/// Makes a consumer for orgs, bound to nobody yet.
pub async fn generate(node: &Node, orgs: Vec<OrgId>, user: String) -> Result<Generated, Failure> {
    generate_for(node, orgs, user, Client::Taosync).await
}

/// Every organisation that is registered or that a center names; not the unscoped scope.
async fn every_org(node: &Node) -> Result<Vec<OrgId>, Failure> {
    let mut orgs = node.store.orgs_registered().await?;
    orgs.extend(node.store.scope_candidates().await?);
    orgs.retain(|org| !org.is_everything());
    orgs.sort();
    orgs.dedup();
    if orgs.is_empty() {
        let advice = "import test centers first, or use --org '*' for everything";
        return Err(Failure::new("TS-403", "there is no organisation yet", advice));
    }
    Ok(orgs)
}

async fn generate_for(node: &Node, orgs: Vec<OrgId>, user: String, client: Client) -> Result<Generated, Failure> {
    let (root_url, token_url) = urls(node, client).await?;
    let ca_fingerprint = node.tls()?.map(|tls| tls.fingerprint());
    for org in &orgs {
        ensure_scope(node, org).await?;
    }
    let key = hex::encode(random::bytes::<12>());
    let secret = match client {
        Client::Taosync => node.keyring.consumer_secret(&key, 0),
        // PHP reads arguments its own way: nothing may look like an option.
        Client::Tao => SecretString::from(hex::encode(random::bytes::<48>())),
    };
    let new = NewConsumer {
        client_key: key.clone(),
        secret_hash: TokenHash::of(&secret),
        user: user.clone(),
        role: vocabulary::ROLE_SYNC_MANAGER.to_owned(),
        orgs: orgs.clone(),
    };
    node.store.consumer_create(&new).await?;
    node.audit("consumer.create", &key, json!({"orgs": orgs})).await?;
    let secret = secret.expose_secret().to_owned();
    let command = match client {
        Client::Taosync => command(&key, &secret, &token_url, &root_url, ca_fingerprint.as_deref()),
        Client::Tao => tao_command(&key, &secret, &token_url, &root_url),
    };
    let role = vocabulary::ROLE_SYNC_MANAGER;
    Ok(Generated { key, secret, token_url, root_url, ca_fingerprint, orgs, user, role, command })
}

/// The root address of this central, and where it gives tokens, for one client or the other.
pub(super) async fn urls(node: &Node, client: Client) -> Result<(Url, Url), Failure> {
    let mut root = root_url(node)?;
    let path = match client {
        Client::Taosync => v1::PATH_TOKEN,
        Client::Tao => {
            let base = Compat::load(&node.store).await?.base_path;
            root.set_path(&format!("{}{base}/", root.path().trim_end_matches('/')));
            tao::PATH_TOKEN
        }
    };
    let token = root.join(path).map_err(|error| no_address().because(error))?;
    Ok((root, token))
}

/// An org that some center has gets its scope now; any other must be registered already, or is `*`.
async fn ensure_scope(node: &Node, org: &OrgId) -> Result<(), Failure> {
    if node.store.scope_show(org).await?.is_some() {
        return Ok(());
    }
    if !org.is_everything() && !node.store.scope_candidates().await?.contains(org) {
        return Err(scope::unknown_org(&node.store, org).await?);
    }
    scope::register_one(&node.store, org).await?;
    Ok(())
}

/// How local servers reach this central: as configured, as the running server says, or as it would listen.
fn root_url(node: &Node) -> Result<Url, Failure> {
    if let Some(public) = &node.config.public_url {
        let mut url = public.clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", public.path()));
        }
        return Ok(url);
    }
    if let Some(serving) = serve::read_serving(&node.place) {
        return Ok(serving.listening);
    }
    if node.config.listen.0.port() == 0 {
        return Err(no_address());
    }
    serve::root_url(node, node.config.listen.0)
}

fn no_address() -> Failure {
    let advice = "start the server first ('taosync serve'), or set public_url in the configuration";
    Failure::new("TS-408", "the address of this server is not known: it takes any free port", advice)
}

pub(super) fn command(key: &str, secret: &str, token_url: &Url, root_url: &Url, fingerprint: Option<&str>) -> String {
    let pin = fingerprint.map(|pin| format!(" --ca-fingerprint {pin}")).unwrap_or_default();
    format!("taosync oauth import -k {key} -s {secret} -tu {token_url} -u {root_url}{pin}")
}

/// The command of TAO that takes credentials (WIRE §5.5).
pub(super) fn tao_command(key: &str, secret: &str, token_url: &Url, root_url: &Url) -> String {
    let class = r"oat\taoSync\scripts\tool\oauth\ImportOauthCredentials";
    format!("php index.php '{class}' -k {key} -s {secret} -tu {token_url} -u {root_url}")
}

/// Where other people use the machine too.
const SECRET_HINT: &str = "with '-s -' instead, the secret comes on standard input and stands in no list of processes";

fn to_text(generated: &Generated) -> String {
    let orgs = generated.orgs.iter().map(OrgId::as_str).collect::<Vec<_>>().join(", ");
    let fingerprint = generated.ca_fingerprint.as_deref().unwrap_or("none: plain HTTP");
    format!(
        "Key:          {}\nSecret:       {}   (shown once)\nOrganisation: {orgs}\nToken URL:    {}\nRoot URL:     {}\n\
         Fingerprint:  {fingerprint}\n\nOn the local server run ({SECRET_HINT}):\n  {}\n",
        generated.key, generated.secret, generated.token_url, generated.root_url, generated.command
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_one_that_import_understands() {
        use clap::Parser as _;
        let url = |text: &str| Url::parse(text).unwrap();
        let line =
            command("k", "-s3cret", &url("https://c/api/v1/oauth/token"), &url("https://c/"), Some(&"ab".repeat(32)));
        let arguments = crate::argv::with_our_spellings(line.split(' ').map(Into::into));
        let cli = crate::cli::Cli::try_parse_from(arguments).unwrap();
        assert!(!format!("{cli:?}").contains("s3cret"), "secrets are not in Debug");
    }
}
