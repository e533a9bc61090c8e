//! `taosync audit export`: all entries, to a file or to a log server.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::syslog::{self, Origin, Syslog};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;

/// Entries read at a time.
const PAGE: u32 = 1_000;

/// Write all entries to a file, or send them to a log server
#[derive(Debug, Args)]
pub struct Options {
    /// A file that does not exist yet: one JSON document a line
    #[arg(value_name = "FILE", required_unless_present = "syslog", conflicts_with = "syslog")]
    file: Option<PathBuf>,
    /// A log server (RFC 5424): unix:/dev/log, udp://HOST:514 or tcp://HOST:601; none of them encrypts
    #[arg(long, value_name = "ADDRESS")]
    syslog: Option<Syslog>,
    /// Only entries after this number, such as the last one that was exported
    #[arg(long, value_name = "NO", default_value_t = 0)]
    after: i64,
}

/// Where entries go.
enum Sink {
    File(BufWriter<std::fs::File>),
    Syslog(syslog::Send),
}

impl Options {
    /// Exports.
    pub async fn run(self, context: &Context, node: &Node) -> Result<Exit, Failure> {
        let to = match (&self.file, &self.syslog) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(syslog)) => syslog.to_string(),
            (None, None) => return Err(Failure::wrong_text("it is not said where to", "name a file, or --syslog")),
        };
        let failed = |error: io::Error| match &self.file {
            Some(file) => Failure::file("write", file, error),
            None => Failure::new("TS-422", format!("{to} does not take the log"), "check the address").because(error),
        };
        let mut sink = self.open().map_err(failed)?;
        let origin = Origin { node: node.identity.node, pid: std::process::id() };
        let (mut last, mut entries) = (self.after, 0_u64);
        loop {
            let page = node.store.audit_page(last, PAGE).await?;
            let Some(newest) = page.last() else { break };
            last = newest.no;
            entries += page.len() as u64;
            for entry in &page {
                let written = match &mut sink {
                    Sink::File(file) => writeln!(file, "{}", super::to_json(entry)),
                    Sink::Syslog(send) => send(&origin.message(entry)),
                };
                written.map_err(failed)?;
            }
        }
        if let Sink::File(file) = sink {
            file.into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|file| file.sync_all())
                .map_err(failed)?;
        }
        let document = json!({"to": to, "entries": entries, "after": self.after, "last": last});
        context.output.answer(&document, || format!("{entries} entries up to number {last} → {to}"))?;
        Ok(Exit::Done)
    }

    fn open(&self) -> io::Result<Sink> {
        match (&self.file, &self.syslog) {
            (Some(file), _) => {
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
                Ok(Sink::File(BufWriter::new(file)))
            }
            (None, Some(syslog)) => Ok(Sink::Syslog(syslog.connect()?)),
            (None, None) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
