//! One file a verb: its options, what it does, what it prints.

mod account;
mod audit;
pub mod backup;
mod compat;
mod completions;
mod delivery;
mod demo;
mod doctor;
mod entity;
mod execution;
mod handshake;
mod history;
pub mod import;
pub mod init;
mod keys;
mod man;
mod node;
pub mod oauth;
pub mod restore;
mod results;
mod retention;
mod runner_key;
pub mod scope;
pub mod serve;
pub mod status;
mod subject;
pub mod sync;
pub mod tao;
pub mod verify;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::{Exit, Failure};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new node: a central or a local server
    Init(init::Options),
    /// Run the server of this node
    Serve(serve::Options),
    /// Say whether this node is ready, and what is not
    Status(status::Options),
    /// Recompute every digest from what is stored
    Verify(verify::Options),
    /// Look for what could go wrong, and say what to do
    Doctor(doctor::Options),
    /// Write everything this node is into one sealed file
    Backup(backup::Options),
    /// Make a node again from its backup
    Restore(restore::Options),
    /// Show past syncs
    History(history::Options),
    /// Who this node is, and which machines central lets in
    Node(node::Options),
    /// Bring people, centers and eligibilities in from CSV (central)
    Import(import::Options),
    /// Check, publish and withdraw tests
    Delivery(delivery::Options),
    /// Look at single entities, and change them (central)
    Entity(entity::Options),
    /// Connect a local server with central
    Oauth(oauth::Options),
    /// Connect a fresh local server with a sync manager's login (local)
    Handshake(handshake::Options),
    /// Whether and how central speaks TAO's protocol (central)
    Compat(compat::Options),
    /// Work on a TAO installation's own database
    Tao(tao::Options),
    /// Organisations and what they see (central)
    Scope(scope::Options),
    /// Exchange data and results with central (local)
    Sync(sync::Options),
    /// Attempts of test takers (local)
    Execution(execution::Options),
    /// Let test runners in, and shut them out again (local)
    RunnerKey(runner_key::Options),
    /// Who may sign in at the pages of this server
    Account(account::Options),
    /// Results: list, show, export, unseal
    Results(results::Options),
    /// The keys of this node, and those that open results
    Keys(keys::Options),
    /// Everything that is held of one person (central)
    Subject(subject::Options),
    /// How long what is kept, and erasing what is over its time
    Retention(retention::Options),
    /// Who did what: list, verify, export
    Audit(audit::Options),
    /// See two servers exchange an exam's data and results, on this machine alone
    Demo(demo::Options),
    /// Print completions for a shell
    Completions(completions::Options),
    /// Print the manual page
    Man(man::Options),
}

impl Command {
    /// Runs the command.
    pub async fn run(self, context: Context) -> Result<Exit, Failure> {
        match self {
            Self::Init(options) => options.run(&context).await,
            Self::Serve(options) => options.run(&context).await,
            Self::Status(options) => options.run(&context).await,
            Self::Verify(options) => options.run(&context).await,
            Self::Doctor(options) => options.run(&context).await,
            Self::Backup(options) => options.run(&context).await,
            Self::Restore(options) => options.run(&context).await,
            Self::History(options) => options.run(&context).await,
            Self::Node(options) => options.run(&context).await,
            Self::Import(options) => options.run(&context).await,
            Self::Delivery(options) => options.run(&context).await,
            Self::Entity(options) => options.run(&context).await,
            Self::Oauth(options) => options.run(&context).await,
            Self::Handshake(options) => options.run(&context).await,
            Self::Compat(options) => options.run(&context).await,
            Self::Tao(options) => options.run(&context).await,
            Self::Scope(options) => options.run(&context).await,
            Self::Sync(options) => options.run(&context).await,
            Self::Execution(options) => options.run(&context).await,
            Self::RunnerKey(options) => options.run(&context).await,
            Self::Account(options) => options.run(&context).await,
            Self::Results(options) => options.run(&context).await,
            Self::Keys(options) => options.run(&context).await,
            Self::Subject(options) => options.run(&context).await,
            Self::Retention(options) => options.run(&context).await,
            Self::Audit(options) => options.run(&context).await,
            Self::Demo(options) => Box::pin(options.run(&context)).await,
            Self::Completions(options) => options.run(&context),
            Self::Man(man::Options {}) => man::Options::run(&context),
        }
    }
}
