//! `taosync tao`: a TAO installation's own database at this end.

mod check;
mod connect;
pub mod pull;
pub mod push;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use taosync_store::settings::Role;
use taosync_sync::session::Mode;

use crate::changes::ChangeOptions;
use crate::commands::results::Given;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;

/// Work on a TAO installation's own database
#[derive(Debug, Args)]
#[command(after_help = "At central, 'pull' makes TAO's data the feed, and 'push' writes results where
TAO reports them. At a local server, 'pull' writes what came from central into
TAO, and 'push' hands TAO's finished executions in. Once adopted, 'serve' and
'sync all' do both by themselves. Nothing is written into TAO before 'adopt'.

Examples:
  taosync --dir /srv/central tao connect --database - --files /var/www/tao/data < address
  taosync --dir /srv/central tao check
  taosync --dir /srv/central tao adopt
  taosync --dir /srv/central tao pull --dry-run")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Connect with the database of a TAO, to read only
    Connect {
        /// postgres://USER:PASSWORD@HOST/DATABASE or mysql://…; '-' reads it from standard input
        #[arg(long, value_name = "URL")]
        database: String,
        /// TAO's directory of files, with synchronisation/ in it
        #[arg(long, value_name = "DIR")]
        files: Option<PathBuf>,
        /// What imports and compiles a delivery in TAO (local)
        #[arg(long, value_name = "COMMAND")]
        command: Option<String>,
    },
    /// Say what is there and what stands in the way; changes nothing
    Check,
    /// Do the syncing from here on, in place of taoSync
    Adopt,
    /// Hand the syncing back to taoSync
    Release,
    /// Central: TAO's data into the feed; local: what came from central into TAO
    Pull(Flow),
    /// Central: results into TAO; local: TAO's finished executions into the outbox
    Push {
        #[command(flatten)]
        flow: Flow,
        #[command(flatten)]
        identity: Given,
    },
}

#[derive(Clone, Copy, Debug, Args)]
struct Flow {
    /// Say what it would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Approve large removals without being asked
    #[arg(long, visible_alias = "accept-removals")]
    yes: bool,
}

impl Flow {
    const fn mode(self) -> Mode {
        if self.dry_run { Mode::DryRun } else { Mode::Apply }
    }

    const fn change(self) -> ChangeOptions {
        ChangeOptions { dry_run: self.dry_run, yes: self.yes }
    }
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::Connect { database, files, command } => {
                connect::run(context, database, files.as_deref(), command.as_deref()).await?;
            }
            Act::Check => return check::run(context).await,
            Act::Adopt => check::adopt(context).await?,
            Act::Release => release(context).await?,
            Act::Pull(flow) => pull::run(context, flow).await?,
            Act::Push { flow, identity } => push::run(context, flow, identity).await?,
        }
        Ok(Exit::Done)
    }
}

async fn release(context: &Context) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let known = node.store.tao_installation().await?;
    let known = known.ok_or(taosync_sync::tao_database::TaoDatabaseError::NotConnected)?;
    let mut left = 0;
    if known.adopted_at.is_some() {
        left = match node.identity.role {
            Role::Local => {
                push::hand_back(&node).await?;
                pull::hand_back(&node).await?;
                node.store.outbox_counts().await?.pending
            }
            Role::Central => node.store.tao_due_count(node.store.tao_written_through().await?).await?,
        };
        node.store.tao_release().await?;
        node.audit("tao.release", "tao", json!({})).await?;
    }
    context.output.answer(&json!({"adopted": false, "left": left}), || {
        let released = "Released: taosync reads and writes nothing there any more, and taoSync can go on.\n";
        format!("{released}{}", left_over(node.identity.role, left))
    })
}

/// What would have been done before by whoever reads it now.
fn left_over(role: Role, left: u64) -> String {
    match (role, left) {
        (_, 0) => String::new(),
        (Role::Local, _) => format!(
            "Central has not confirmed everything ({left} in the outbox), so taoSync would hand the same in once more.\n  \
             → 'taosync sync results', then 'taosync tao adopt' and 'taosync tao release' again\n"
        ),
        (Role::Central, _) => format!(
            "Not everything that was received is in TAO ({left} left).\n  \
             → 'taosync tao adopt', 'taosync tao push', then 'taosync tao release' again\n"
        ),
    }
}
