//! A node: its directory, and its server when that runs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::run::{PATIENCE, Run, Started, arg, program};

/// A node of the real program.
pub struct Node {
    dir: PathBuf,
    temporary: Option<TempDir>,
    environment: Vec<(String, String)>,
    /// What `init` answered.
    pub made: Value,
}

impl Node {
    /// Makes a node in a directory of its own.
    pub fn init(role: &str) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let node = Self::init_in(role, &temporary.path().join("node"));
        Self { temporary: Some(temporary), ..node }
    }

    /// Makes a node in this directory.
    pub fn init_in(role: &str, dir: &Path) -> Self {
        let mut node = Self { dir: dir.to_owned(), temporary: None, environment: Vec::new(), made: Value::Null };
        node.made = node.run(&["init", role, "--listen", "127.0.0.1:0"]).done();
        node
    }

    /// A directory in which nothing was made yet.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), temporary: None, environment: Vec::new(), made: Value::Null }
    }

    /// Makes a central that holds what CSV and JSONL texts say.
    pub fn central_with(files: &[(&str, String)]) -> Self {
        let central = Self::init("central");
        for (kind, text) in files {
            central.bring(kind, text).done();
        }
        central
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file beside the node's directory, or in it.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.temporary.as_ref().map_or(self.dir.as_path(), TempDir::path).join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// From now on in the environment of every run.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_string()));
    }

    /// The command, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&["--dir", arg(&self.dir), "--json"]);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn start(&self, arguments: &[&str]) -> Started {
        Started::new(&mut self.command(arguments))
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.start(arguments).wait()
    }

    /// `import KIND`, or `entity load`, of a text.
    pub fn bring(&self, kind: &str, text: &str) -> Run {
        if kind == "entities" {
            let file = self.file("entities.jsonl", text);
            return self.run(&["entity", "load", arg(&file)]);
        }
        let file = self.file(&format!("{kind}.csv"), text);
        self.run(&["import", kind, arg(&file)])
    }

    pub fn sync(&self) -> Value {
        let summary = self.run(&["sync", "all"]).done();
        assert_eq!(summary["status"], "success", "{summary:#}");
        assert_eq!(summary["digest_equal"], true, "{summary:#}");
        summary
    }

    /// Uses the key that central gives for these orgs.
    pub fn join(&self, central: &Self, orgs: &[&str]) -> Value {
        let mut arguments = vec!["oauth", "generate"];
        arguments.extend(orgs.iter().flat_map(|org| ["--org", org]));
        let generated = central.run(&arguments).done();
        self.import(&generated).done();
        generated
    }

    /// `oauth import` of what `oauth generate` answered.
    pub fn import(&self, generated: &Value) -> Run {
        self.import_with(generated, &[])
    }

    /// The same, with more words.
    pub fn import_with(&self, generated: &Value, more: &[&str]) -> Run {
        let word = |name: &str| generated[name].as_str().unwrap();
        let known = [
            "oauth",
            "import",
            "-k",
            word("key"),
            "-s",
            word("secret"),
            "-tu",
            word("token_url"),
            "-u",
            word("root_url"),
            "--ca-fingerprint",
            word("ca_fingerprint"),
        ];
        self.run(&[&known[..], more].concat())
    }

    /// How many entities of a type are here.
    pub fn count(&self, entity_type: &str) -> u64 {
        self.run(&["entity", "list", "--type", entity_type]).done()["count"].as_u64().unwrap()
    }

    /// `verify` finds nothing wrong.
    pub fn is_whole(&self) {
        let verified = self.run(&["verify"]).done();
        assert_eq!(verified["ok"], true, "{verified:#}");
    }

    /// Everything that `results list` lists.
    pub fn results(&self) -> Vec<Value> {
        self.run(&["results", "list"]).done()["results"].as_array().unwrap().clone()
    }

    /// Lets its server run; once it has an address, always on the same.
    pub fn serve(&mut self) -> Server {
        self.serve_under(&[])
    }

    /// The same, started by another program that watches it.
    pub fn serve_under(&mut self, watcher: &[&str]) -> Server {
        let server = Server::start(self, watcher);
        let address = server.url.split_once("//").unwrap().1.to_owned();
        self.set("TAOSYNC_LISTEN", address);
        server
    }
}

/// The command as an argument of another one, with the environment it would have had.
fn under(command: Command, watcher: &[&str]) -> Command {
    let [program, arguments @ ..] = watcher else { return command };
    let mut watched = Command::new(program);
    watched.args(arguments).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => watched.env(name, value),
            None => watched.env_remove(name),
        };
    }
    watched.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    watched
}

/// A running `taosync serve`. It is killed when it is dropped.
pub struct Server {
    process: Started,
    /// Where it listens, without a slash at the end.
    pub url: String,
}

impl Server {
    fn start(node: &Node, watcher: &[&str]) -> Self {
        let serve = node.command(&["serve"]);
        let mut process = Started::without_readers(under(serve, watcher).stdout(Stdio::piped()));
        let out = process.child().stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                // Nobody listens any more once the address is known.
                let _ = tell.send(line);
            }
        });
        let Ok(line) = told.recv_timeout(PATIENCE) else {
            process.kill();
            panic!("the server did not say where it listens: {:#?}", process.wait());
        };
        let document: Value = serde_json::from_str(&line.unwrap()).unwrap();
        Self { process, url: document["listening"].as_str().unwrap().to_owned() }
    }

    /// Its process.
    pub fn id(&mut self) -> u32 {
        self.process.child().id()
    }

    /// SIGTERM: it ends what it does, then itself.
    pub fn stop(mut self) -> Run {
        let pid = rustix::process::Pid::from_child(self.process.child());
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait()
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Run {
        self.process.kill();
        self.process.wait()
    }
}
