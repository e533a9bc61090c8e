//! `taosync oauth generate`: a consumer for the local servers of an org, and the command to be run there.

use clap::Args;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::json;
use taosync_model::{OrgId, vocabulary};
use taosync_store::consumers::NewConsumer;
use taosync_store::settings::Role;
use taosync_vault::random;
use taosync_vault::tokens::TokenHash;
use taosync_wire::v1;
use url::Url;

use crate::commands::{scope, serve};
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Make a key and secret for the local servers of an organisation (central)
#[derive(Debug, Args)]
#[command(after_help = "The secret is shown once and kept nowhere. Each local server gets its own key:
keep one key for one machine.

Examples:
  taosync --dir /srv/central oauth generate --org School-7
  taosync --dir /srv/central oauth generate --org School-7 --org School-8 --user anna --cmd")]
pub struct Options {
    /// Organisation the key is for; may be repeated; '*' for everything
    #[arg(long = "org", visible_alias = "organisation-id", value_name = "ORG", required = true)]
    orgs: Vec<OrgId>,
    /// Who it is for, shown in lists and history
    #[arg(long, value_name = "TEXT", default_value = "sync manager")]
    user: String,
    /// Print only the command to be run on the local server
    #[arg(long)]
    cmd: bool,
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
    orgs: Vec<OrgId>,
    user: String,
    role: &'static str,
    command: String,
}

impl Options {
    /// Makes the consumer.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open_as(context, Role::Central).await?;
        let generated = generate(&node, self.orgs, self.user).await?;
        context.output.answer(&generated, || if self.cmd { generated.command.clone() } else { to_text(&generated) })
    }
}

/// Makes a consumer for orgs, bound to nobody yet.
pub async fn generate(node: &Node, orgs: Vec<OrgId>, user: String) -> Result<Generated, Failure> {
    let root_url = root_url(node)?;
    let token_url = root_url.join(v1::PATH_TOKEN).map_err(|error| no_address().because(error))?;
    let ca_fingerprint = node.tls()?.map(|tls| tls.fingerprint());
    for org in &orgs {
        ensure_scope(node, org).await?;
    }
    let key = hex::encode(random::bytes::<12>());
    let secret = random::token();
    let new = NewConsumer {
        client_key: key.clone(),
        secret_hash: TokenHash::of(&secret),
        user: user.clone(),
        role: vocabulary::ROLE_SYNC_MANAGER.to_owned(),
        orgs: orgs.clone(),
    };
    node.store.consumer_create(&new).await?;
    node.audit("consumer.create", &key, json!({"orgs": orgs, "user": user})).await?;
    let secret = secret.expose_secret().to_owned();
    let command = command(&key, &secret, &token_url, &root_url, ca_fingerprint.as_deref());
    let role = vocabulary::ROLE_SYNC_MANAGER;
    Ok(Generated { key, secret, token_url, root_url, ca_fingerprint, orgs, user, role, command })
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

fn command(key: &str, secret: &str, token_url: &Url, root_url: &Url, fingerprint: Option<&str>) -> String {
    let pin = fingerprint.map(|pin| format!(" --ca-fingerprint {pin}")).unwrap_or_default();
    format!("taosync oauth import -k {key} -s {secret} -tu {token_url} -u {root_url}{pin}")
}

fn to_text(generated: &Generated) -> String {
    let orgs = generated.orgs.iter().map(OrgId::as_str).collect::<Vec<_>>().join(", ");
    let fingerprint = generated.ca_fingerprint.as_deref().unwrap_or("none: plain HTTP");
    format!(
        "Key:          {}\nSecret:       {}   (shown once)\nOrganisation: {orgs}\nToken URL:    {}\nRoot URL:     {}\n\
         Fingerprint:  {fingerprint}\n\nOn the local server run:\n  {}\n",
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
