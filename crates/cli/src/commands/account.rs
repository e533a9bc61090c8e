//! `taosync account`: who may sign in at the pages of this server.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use taosync_model::OrgId;
use taosync_store::accounts::{Account, AccountRole, MAX_LOGIN, NewAccount};
use taosync_sync::accounts::MAX_PASSWORD;
use taosync_vault::account_passwords;

use crate::bounded;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::{ACTOR, Node};
use crate::output;
use crate::question;

/// Characters of a password at least.
const SHORTEST: usize = 12;

/// Who may sign in at the pages of this server
#[derive(Debug, Args)]
#[command(after_help = "Roles: an administrator sees and does everything, an auditor sees everything and does
nothing, a sync manager sees the organisations named with --org, and starts syncs at a local server.

The password is asked for, or is the first line of standard input; it has at least 12 characters.

Examples:
  taosync --dir /srv/central account add office --role administrator
  taosync --dir /srv/local account add head --role sync-manager --org School-7 < password.txt
  taosync --dir /srv/central account list
  taosync --dir /srv/central account password office
  taosync --dir /srv/central account remove office")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make an account
    Add {
        /// What its owner types
        login: String,
        /// administrator, auditor or sync-manager
        #[arg(long)]
        role: AccountRole,
        /// Organisation of a sync manager; may be repeated
        #[arg(long = "org", visible_alias = "organisation-id", value_name = "ORG")]
        orgs: Vec<OrgId>,
    },
    /// List accounts
    List,
    /// Set another password; whoever is signed in with the account is so no longer
    Password {
        /// The account's login
        login: String,
    },
    /// End every session of an account
    SignOut {
        /// The account's login
        login: String,
    },
    /// Remove an account
    Remove {
        /// The account's login
        login: String,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open(context).await?;
        match self.act {
            Act::Add { login, role, orgs } => add(context, &node, &login, role, orgs.into_iter().collect()).await?,
            Act::List => list(context, &node).await?,
            Act::Password { login } => password(context, &node, &login).await?,
            Act::SignOut { login } => sign_out(context, &node, &login).await?,
            Act::Remove { login } => remove(context, &node, &login).await?,
        }
        Ok(Exit::Done)
    }
}

async fn add(
    context: &Context,
    node: &Node,
    login: &str,
    role: AccountRole,
    orgs: BTreeSet<OrgId>,
) -> Result<(), Failure> {
    let login = login.trim();
    if login.is_empty() || login.len() > MAX_LOGIN || login.contains(char::is_control) {
        return Err(Failure::wrong_text("this is no login", format!("choose one of 1 to {MAX_LOGIN} bytes")));
    }
    match (role, orgs.is_empty()) {
        (AccountRole::SyncManager, true) => {
            return Err(Failure::wrong_text("a sync manager has organisations", "name them with --org"));
        }
        (AccountRole::Administrator | AccountRole::Auditor, false) => {
            let message = format!("an {role} sees all organisations");
            return Err(Failure::wrong_text(message, "leave --org out, or choose --role sync-manager"));
        }
        _ => {}
    }
    if node.store.account_find(login).await?.is_some() {
        let advice = "choose another login, or see 'taosync account password'";
        return Err(Failure::new("TS-108", format!("there is an account '{login}' already"), advice));
    }
    let password = hashed(asked(login)?).await?;
    let id = node.store.account_add(&NewAccount { login, role, orgs: &orgs, password: &password }, ACTOR).await?;
    context.output.answer(&json!({"account": id, "login": login, "role": role.as_str(), "orgs": orgs}), || {
        format!("Account {login} ({role}) is made; it signs in at /login of this server.")
    })
}

async fn list(context: &Context, node: &Node) -> Result<(), Failure> {
    let accounts = node.store.accounts_list().await?;
    let document: Vec<Value> = accounts.iter().map(to_json).collect();
    context.output.answer(&json!({"accounts": document}), || {
        output::table(&["login", "role", "organisations", "made", "password set"], accounts.iter().map(row))
    })
}

fn to_json(account: &Account) -> Value {
    json!({
        "account": account.id, "login": account.login, "role": account.role.as_str(), "orgs": account.orgs,
        "created_at": account.created_at, "password_at": account.password_at,
    })
}

fn row(account: &Account) -> Vec<String> {
    let orgs = account.orgs.iter().map(OrgId::as_str).collect::<Vec<_>>().join(", ");
    let orgs = if account.role == AccountRole::SyncManager { orgs } else { "all".to_owned() };
    let [made, set] = [account.created_at, account.password_at].map(output::time);
    vec![account.login.clone(), account.role.to_string(), orgs, made, set]
}

async fn password(context: &Context, node: &Node, login: &str) -> Result<(), Failure> {
    let account = known(node, login).await?;
    let password = hashed(asked(&account.login)?).await?;
    node.store.account_password(account.id, &password, ACTOR).await?;
    context.output.answer(&json!({"account": account.id, "password": "set"}), || {
        format!("The password of {} is another one now; its sessions have ended.", account.login)
    })
}

async fn sign_out(context: &Context, node: &Node, login: &str) -> Result<(), Failure> {
    let account = known(node, login).await?;
    node.store.account_sign_out(account.id, ACTOR).await?;
    context.output.answer(&json!({"account": account.id, "signed_out": true}), || {
        format!("The sessions of {} have ended.", account.login)
    })
}

async fn remove(context: &Context, node: &Node, login: &str) -> Result<(), Failure> {
    let account = known(node, login).await?;
    node.store.account_remove(account.id, ACTOR).await?;
    context.output.answer(&json!({"removed": account.id}), || {
        format!("Account {} is removed; its sessions have ended.", account.login)
    })
}

async fn known(node: &Node, login: &str) -> Result<Account, Failure> {
    node.store.account_find(login).await?.map(|(account, _)| account).ok_or_else(|| {
        Failure::new("TS-107", format!("there is no account '{login}' here"), "see 'taosync account list'")
    })
}

/// The new password: asked for twice at a terminal, else the first line of standard input.
fn asked(login: &str) -> Result<SecretString, Failure> {
    let too_short = || {
        Failure::wrong_text(
            format!("a password has {SHORTEST} characters to {MAX_PASSWORD} bytes"),
            "take several words; nobody needs signs in it",
        )
    };
    let password = if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        let first = question::ask(&format!("New password of {login}"))?.ok_or_else(too_short)?;
        let second = question::ask("Again")?.ok_or_else(too_short)?;
        if first.expose_secret() != second.expose_secret() {
            return Err(Failure::wrong_text("the two are not the same", "try again"));
        }
        first
    } else {
        let text = bounded::text(std::io::stdin().lock(), MAX_PASSWORD as u64 + 2).map_err(|_| too_short())?;
        SecretString::from(text.lines().next().unwrap_or_default())
    };
    let text = password.expose_secret();
    if text.chars().count() < SHORTEST || text.len() > MAX_PASSWORD { Err(too_short()) } else { Ok(password) }
}

async fn hashed(password: SecretString) -> Result<SecretString, Failure> {
    Ok(tokio::task::spawn_blocking(move || account_passwords::hash(&password)).await??)
}
