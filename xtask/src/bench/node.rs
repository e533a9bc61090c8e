//! The two nodes of the bench, driven as an operator would: by the command line, with `--json`.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::data;
use super::process::{self, Finished, Server, Usage};

/// A central server, serving as long as this lives.
pub struct Central {
    node: Node,
    server: Server,
}

/// A local server; it runs only while it is told to do something.
pub struct Local {
    node: Node,
}

struct Node {
    program: PathBuf,
    dir: PathBuf,
}

/// How results are handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// For the holders of the results keys only, as a central is made.
    Sealed,
    /// As they are (`keep_readable`).
    Readable,
}

impl Answers {
    /// The name of the path.
    pub fn path(self) -> String {
        match self {
            Self::Sealed => format!("results up, {} variables each", data::VARIABLES),
            Self::Readable => "results up, kept readable".to_owned(),
        }
    }
}

/// What `oauth generate` answers.
#[derive(Deserialize)]
pub struct Consumer {
    key: String,
    secret: String,
    token_url: String,
    root_url: String,
    ca_fingerprint: String,
}

#[derive(Deserialize)]
struct Published {
    uri: String,
}

/// What `sync all` answers, as far as the bench reads it.
#[derive(Clone, Debug, Deserialize)]
pub struct SyncReport {
    pub status: String,
    pub digest_equal: bool,
    pub types: BTreeMap<String, TypeReport>,
    pub deliveries: DeliveriesReport,
    pub results: ResultsReport,
    pub requests: u64,
    pub bytes_down: u64,
    pub bytes_up: u64,
    /// All bytes on the socket in both directions, TLS included.
    pub bytes_socket: u64,
    /// Wall time of the sync itself, by the program's own clock: its start and its end are not in it.
    pub seconds: f64,
}

/// Changes of one type.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct TypeReport {
    pub created: usize,
    pub updated: usize,
    pub removed: usize,
}

/// Packages fetched.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct DeliveriesReport {
    pub fetched: usize,
    pub failed: usize,
    pub files: usize,
    pub chunks: u64,
    pub bytes: u64,
    /// Wall time of fetching alone.
    pub seconds: f64,
}

/// Items handed in.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct ResultsReport {
    pub sent: usize,
    pub refused: usize,
    pub pending: usize,
}

/// One measured sync, both sides.
#[derive(Clone, Debug)]
pub struct Synced {
    pub report: SyncReport,
    pub wall: Duration,
    pub local: Usage,
    pub central: Usage,
}

impl Synced {
    /// What happened to test takers.
    pub fn takers(&self) -> TypeReport {
        self.report.types.get("test-taker").copied().unwrap_or_default()
    }
}

impl Node {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--dir").arg(&self.dir).args(arguments);
        command
    }

    /// Changes a line of the configuration.
    fn configure(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let file = self.dir.join("taosync.toml");
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.contains(from), "the configuration has no line {from}");
        Ok(std::fs::write(&file, text.replace(from, to))?)
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Finished> {
        process::run(&mut self.command(arguments), "")
    }

    /// Adopts the TAO of a database.
    fn adopt(&self, database: &str) -> anyhow::Result<()> {
        self.run(&["tao", "connect", "--database", database])?;
        self.run(&["tao", "adopt"])?;
        Ok(())
    }
}

impl Central {
    /// Makes a central server on a free port of loopback and starts it.
    pub fn start(program: &Path, dir: &Path, answers: Answers) -> anyhow::Result<Self> {
        let node = Node { program: program.to_owned(), dir: dir.to_owned() };
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
        node.run(&["init", "central", "--listen", &address])?;
        if answers == Answers::Readable {
            node.configure("keep_readable = false", "keep_readable = true")?;
        }
        let server = Server::start(&mut node.command(&["serve", "--json"]), &dir.with_extension("log"))?;
        Ok(Self { node, server })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.node.dir
    }

    /// Loads entities from lines of JSON.
    pub fn load(&self, lines: &str) -> anyhow::Result<()> {
        let file = self.node.dir.with_extension("jsonl");
        std::fs::write(&file, lines)?;
        self.node.run(&["entity", "load", text(&file)?, "--yes", "--json"])?;
        Ok(())
    }

    /// Publishes a package; gives the URI of the delivery.
    pub fn publish(&self, zip: &Path) -> anyhow::Result<String> {
        let finished = self.node.run(&["delivery", "publish", text(zip)?, "--label", "Bench", "--json"])?;
        Ok(answer::<Published>(&finished)?.uri)
    }

    /// Publishes a package as the next version of a delivery.
    pub fn publish_version(&self, zip: &Path, uri: &str) -> anyhow::Result<()> {
        self.node.run(&["delivery", "publish", text(zip)?, "--label", "Bench", "--uri", uri, "--json"])?;
        Ok(())
    }

    /// Makes a consumer of the bench's org.
    pub fn consumer(&self) -> anyhow::Result<Consumer> {
        self.consumer_of(data::ORG)
    }

    /// Makes a consumer of an org.
    pub fn consumer_of(&self, org: &str) -> anyhow::Result<Consumer> {
        answer(&self.node.run(&["oauth", "generate", "--org", org, "--json"])?)
    }
}

/// A central that serves nobody, for what central does alone.
pub struct Importer {
    node: Node,
}

impl Importer {
    /// Makes it.
    pub fn new(program: &Path, dir: &Path) -> anyhow::Result<Self> {
        let node = Node { program: program.to_owned(), dir: dir.to_owned() };
        node.run(&["init", "central", "--listen", "127.0.0.1:0"])?;
        Ok(Self { node })
    }

    /// Imports test takers, measured.
    pub fn import_takers(&self, csv: &Path) -> anyhow::Result<Finished> {
        self.node.run(&["import", "test-takers", text(csv)?, "--yes", "--json"])
    }
}

/// What `tao pull` answers at central, as far as the bench reads it.
#[derive(Debug, Deserialize)]
pub struct Pulled {
    pub as_before: bool,
    pub types: BTreeMap<String, TypeReport>,
}

/// What `tao pull` answers at a local server, as far as the bench reads it.
#[derive(Debug, Deserialize)]
pub struct Projected {
    pub types: BTreeMap<String, TypeReport>,
}

/// A central with an adopted TAO that serves nobody.
pub struct TaoCentral {
    node: Node,
}

impl TaoCentral {
    /// Makes it, and adopts the TAO of a database.
    pub fn new(program: &Path, dir: &Path, database: &str) -> anyhow::Result<Self> {
        let node = Node { program: program.to_owned(), dir: dir.to_owned() };
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
        node.run(&["init", "central", "--listen", &address])?;
        node.adopt(database)?;
        Ok(Self { node })
    }

    /// Lets go of its TAO, and serves what came from it.
    pub fn serve(self) -> anyhow::Result<Central> {
        self.node.run(&["tao", "release"])?;
        let log = self.node.dir.with_extension("log");
        let server = Server::start(&mut self.node.command(&["serve", "--json"]), &log)?;
        Ok(Central { node: self.node, server })
    }

    /// Pulls, measured.
    pub fn pull(&self) -> anyhow::Result<(Finished, Pulled)> {
        let finished = self.node.run(&["tao", "pull", "--json"])?;
        let pulled = answer(&finished)?;
        Ok((finished, pulled))
    }
}

impl Consumer {
    /// Where central's server is.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let authority = self.root_url.split('/').nth(2).context("a root URL has a host")?;
        Ok(authority.parse()?)
    }

    /// The same consumer, over another way to central.
    #[must_use]
    pub fn through(mut self, from: SocketAddr, to: SocketAddr) -> Self {
        for url in [&mut self.root_url, &mut self.token_url] {
            *url = url.replace(&from.to_string(), &to.to_string());
        }
        self
    }
}

impl Local {
    /// Makes a local server connected to central.
    pub fn connect(program: &Path, dir: &Path, consumer: &Consumer) -> anyhow::Result<Self> {
        let node = Node { program: program.to_owned(), dir: dir.to_owned() };
        node.run(&["init", "local"])?;
        let Consumer { key, secret, token_url, root_url, ca_fingerprint } = consumer;
        let arguments = [
            "oauth",
            "import",
            "-k",
            key,
            "-s",
            "-",
            "-tu",
            token_url,
            "-u",
            root_url,
            "--ca-fingerprint",
            ca_fingerprint,
        ];
        process::run(&mut node.command(&arguments), secret)?;
        Ok(Self { node })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.node.dir
    }

    /// Syncs all, measured on both sides. Anything but a proven equal end is an error: it is not worth a number.
    pub fn sync(&self, central: &Central) -> anyhow::Result<Synced> {
        central.server.forget_peak()?;
        let cpu = central.server.cpu()?;
        let finished = self.node.run(&["sync", "all", "--json"])?;
        let used = Usage { cpu: central.server.cpu()?.saturating_sub(cpu), peak: central.server.peak()? };
        let report: SyncReport = answer(&finished)?;
        ensure!(report.digest_equal, "the sync ended {} without equal digests:\n{}", report.status, finished.stdout);
        Ok(Synced { report, wall: finished.wall, local: finished.usage, central: used })
    }

    /// Adopts the TAO of a database, and writes what came from central into it; the writing is measured.
    pub fn project(&self, database: &str) -> anyhow::Result<(Finished, Projected)> {
        self.node.adopt(database)?;
        let finished = self.node.run(&["tao", "pull", "--json"])?;
        let projected = answer(&finished)?;
        Ok((finished, projected))
    }

    /// Seconds of fetching the chunks that are here once more, thrown away as they come, over as many connections as a
    /// sync has.
    pub fn line(&self) -> anyhow::Result<f64> {
        self.line_as(&["doctor", "--line", "--json"])
    }

    /// The same over one connection.
    pub fn download(&self) -> anyhow::Result<f64> {
        self.line_as(&["doctor", "--line", "--connections", "1", "--json"])
    }

    fn line_as(&self, arguments: &[&str]) -> anyhow::Result<f64> {
        let examined: Examined = answer(&self.node.run(arguments)?)?;
        let [line] = &examined.line[..] else { bail!("one line was to be measured, it was {examined:?}") };
        Ok(line.seconds)
    }

    /// Begins a sync and kills it after a while. Says whether it was still running.
    pub fn sync_killed(&self, after: Duration) -> anyhow::Result<bool> {
        let mut command = self.node.command(&["sync", "data", "--json"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(after);
        let ran = child.try_wait()?.is_none();
        child.kill()?;
        child.wait()?;
        Ok(ran)
    }

    /// Takes finished attempts of one test taker.
    pub fn submit(&self, files: &[PathBuf], delivery: &str, login: &str) -> anyhow::Result<()> {
        let mut arguments = vec!["execution", "submit"];
        for file in files {
            arguments.push(text(file)?);
        }
        arguments.extend(["--delivery", delivery, "--test-taker", login, "--json"]);
        self.node.run(&arguments)?;
        Ok(())
    }
}

/// What `doctor --line` says.
#[derive(Debug, Deserialize)]
struct Examined {
    line: Vec<LineSeconds>,
}

#[derive(Debug, Deserialize)]
struct LineSeconds {
    seconds: f64,
}

fn answer<T: DeserializeOwned>(finished: &Finished) -> anyhow::Result<T> {
    serde_json::from_str(&finished.stdout).with_context(|| format!("unexpected answer: {}", finished.stdout))
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
