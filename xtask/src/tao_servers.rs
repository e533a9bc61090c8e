//! Databases for the tests that need a TAO: `cargo xtask test` starts one of each kind for the whole run, and
//! `cargo xtask tao-servers` keeps them for runs of single tests.

use std::process::ExitCode;

use taosync_testbed::Kind;
use taosync_testbed::server::{Care, Server};

/// Servers that run; they end when this is dropped.
pub struct TaoServers {
    servers: Vec<(Kind, Server)>,
    /// Why a kind is not there.
    pub missing: Vec<String>,
}

impl TaoServers {
    /// Starts one of each kind that is installed.
    pub fn start() -> Self {
        let mut started = Self { servers: Vec::new(), missing: Vec::new() };
        for kind in Kind::BOTH {
            match Server::start(kind, Care::Careless) {
                Ok(server) => started.servers.push((kind, server)),
                Err(reason) => started.missing.push(reason),
            }
        }
        started
    }

    /// The variables that tell tests where they are.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.servers.iter().map(|(kind, server)| (kind.variable(), server.url()))
    }
}

/// Starts them, says where they are, and keeps them until it is interrupted.
pub fn run() -> ExitCode {
    let servers = TaoServers::start();
    for reason in &servers.missing {
        eprintln!("{reason}");
    }
    for (name, url) in servers.variables() {
        println!("export {name}={url}");
    }
    eprintln!("They run until this is interrupted (Ctrl-C).");
    loop {
        std::thread::park();
    }
}
