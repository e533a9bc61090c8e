//! One run of the program: started, watched, never waited for without an end.

use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest time any run may take; far more than the slowest needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// How often a running process is looked at.
const STEP: Duration = Duration::from_millis(5);

/// The program with a clean environment: nothing of the person who runs the tests reaches it.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taosync"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        if text.starts_with("TAOSYNC_") || text.ends_with("_PROXY") {
            command.env_remove(&name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A started process. It is killed when it is dropped.
pub struct Started {
    child: Child,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Option<JoinHandle<Vec<u8>>>,
    told: String,
}

/// A run that ended.
#[derive(Debug)]
pub struct Run {
    /// What was run.
    pub told: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Started {
    /// Starts a command whose stdout and stderr are collected.
    pub fn new(command: &mut Command) -> Self {
        let mut started = Self::without_readers(command);
        let out = started.child.stdout.take().unwrap();
        started.out = Some(thread::spawn(move || read(out)));
        started
    }

    /// Starts a command whose stdout is read by somebody else.
    pub fn without_readers(command: &mut Command) -> Self {
        let told = format!("{command:?}");
        let mut child = command.spawn().unwrap();
        let err = child.stderr.take().unwrap();
        let err = thread::spawn(move || read(err));
        Self { child, out: None, err: Some(err), told }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Writes to its standard input, and closes it.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut input = self.child.stdin.take().unwrap();
        // A process that refused its input has closed it: what it says is what counts.
        let _ = input.write_all(bytes);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL: the process ends between two instructions.
    pub fn kill(&mut self) {
        // It may have ended a moment ago; then its exit code tells.
        let _ = self.child.kill();
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Run {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                self.kill();
                panic!("{} did not end within {PATIENCE:?}", self.told);
            }
            thread::sleep(STEP);
        };
        let text = |reader: &mut Option<JoinHandle<Vec<u8>>>| {
            let bytes = reader.take().map(|reader| reader.join().unwrap()).unwrap_or_default();
            String::from_utf8(bytes).expect("the program writes UTF-8")
        };
        Run { told: self.told.clone(), status, out: text(&mut self.out), err: text(&mut self.err) }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

impl Run {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        Started::new(command).wait()
    }

    /// The exit code; none when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// It must have ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        self
    }

    /// The one document on stdout: one line, nothing before it, nothing after it.
    #[track_caller]
    pub fn json(&self) -> Value {
        let one: Value = serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        assert!(one.is_object(), "{self:#?}");
        assert!(self.out.ends_with("}\n"), "{self:#?}");
        one
    }

    /// The document of a run that did what it was asked.
    #[track_caller]
    pub fn done(self) -> Value {
        self.exits(0).json()
    }

    /// The code, the message and the advice of a run that failed.
    #[track_caller]
    pub fn failed(self, code: i32, error: &str) -> String {
        let document = self.exits(code).json();
        assert_eq!(document["error"]["code"], error, "{document:#}");
        let word = |name: &str| document["error"][name].as_str().unwrap_or_default().to_owned();
        let more: Vec<String> = document["errors"].as_array().into_iter().flatten().map(ToString::to_string).collect();
        format!("{} {} {}", word("message"), word("advice"), more.join("\n"))
    }
}

/// The text contains all of these.
#[track_caller]
pub fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "'{word}' is missing in: {text}");
    }
}

/// The path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
