//! What a command says when it cannot do what it was asked: one stable code per kind, what happened, what to do next.
//!
//! `docs/ERRORS.md` says what to do about each of [`CODES`]. Codes are never given another meaning.

use std::error::Error;

use serde_json::{Value, json};
use taosync_store::StoreError;
use taosync_vault::VaultError;

use crate::output;

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or everything is well.
    Done = 0,
    /// Failed, or something is not well.
    Failed = 1,
    /// The command line was wrong; for `status --nagios`: critical.
    Usage = 2,
    /// Trying the same again later can help.
    Later = 75,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Every code this program gives, and what it means. TS-201 to TS-212 come from the link to central
/// (`taosync_sync::link`), TS-301 to TS-312 from a sync (`taosync_sync::session`).
pub const CODES: &[(&str, &str)] = &[
    ("TS-001", "the command line is wrong"),
    ("TS-002", "the configuration is wrong"),
    ("TS-003", "there is no node in this directory"),
    ("TS-004", "there is a node in this directory already"),
    ("TS-005", "the command belongs to the other role"),
    ("TS-006", "the address to listen on is refused"),
    ("TS-007", "the server cannot listen or run"),
    ("TS-008", "a file cannot be read or written"),
    ("TS-009", "another sync is running"),
    ("TS-010", "a text on the command line is not what it has to be"),
    ("TS-011", "a server works on this directory"),
    ("TS-012", "the backup cannot be opened"),
    ("TS-013", "the backup is damaged"),
    ("TS-014", "there is something in the directory already"),
    ("TS-101", "the disk is full"),
    ("TS-102", "the database is busy"),
    ("TS-103", "the database was made by a newer program"),
    ("TS-104", "the database cannot be opened"),
    ("TS-105", "the database refused a statement"),
    ("TS-106", "something stored is damaged"),
    ("TS-107", "something named does not exist"),
    ("TS-108", "the request contradicts what is stored"),
    ("TS-109", "a chunk of a package cannot be read or written"),
    ("TS-121", "others on this machine can read the keys"),
    ("TS-122", "a key file is damaged or cannot be read"),
    ("TS-123", "keys, certificates or sealed data cannot be used"),
    ("TS-124", "a file holds no identity that opens results"),
    ("TS-125", "a key that stored values are sealed with is missing"),
    ("TS-201", "central's address is not encrypted"),
    ("TS-202", "central's address cannot be used"),
    ("TS-203", "central cannot be reached"),
    ("TS-204", "somebody else answers in central's place"),
    ("TS-205", "central's certificate is not accepted"),
    ("TS-206", "central stopped talking"),
    ("TS-207", "the connection broke"),
    ("TS-208", "the answer is not from taosync"),
    ("TS-209", "central refused the request"),
    ("TS-210", "central gave no token"),
    ("TS-211", "central's answer is cut or damaged"),
    ("TS-212", "central's answer breaks the protocol"),
    ("TS-301", "the disk filled up during the sync"),
    ("TS-302", "the database was busy during the sync"),
    ("TS-303", "the database failed during the sync"),
    ("TS-304", "the results could not all be handed in"),
    ("TS-305", "a stream could not be compressed"),
    ("TS-306", "the programs on both sides do not fit"),
    ("TS-307", "central went back in time"),
    ("TS-308", "no central is known here"),
    ("TS-309", "this server does not serve the organisation"),
    ("TS-310", "a package could not be made ready"),
    ("TS-311", "this machine is a copy, or was restored"),
    ("TS-312", "a TAO central does not let in the version this server says it is"),
    ("TS-401", "a file to be brought in has wrong lines"),
    ("TS-402", "a large removal needs a person's word"),
    ("TS-403", "an organisation is not known"),
    ("TS-404", "a package has errors"),
    ("TS-405", "a result file cannot be taken"),
    ("TS-406", "results cannot be exported"),
    ("TS-407", "the attempt cannot be changed like this"),
    ("TS-408", "the address of central is not known yet"),
    ("TS-409", "the demonstration went wrong"),
    ("TS-410", "this central was put back to an older state"),
    ("TS-411", "the zip of a package cannot be written"),
    ("TS-412", "an unlock code does not open the test"),
    ("TS-413", "an enrolment code was mistyped"),
    ("TS-414", "central does not take the login"),
    ("TS-415", "central does not take the code or the machine"),
    ("TS-416", "local servers have not heard of the new authority yet"),
    ("TS-420", "the audit log is not whole"),
    ("TS-421", "heads of the audit log cannot be read"),
    ("TS-422", "a log server does not take the audit log"),
    ("TS-431", "a list of erased people cannot be read"),
    ("TS-501", "this node is connected with no TAO"),
    ("TS-502", "this node has not adopted its TAO"),
    ("TS-503", "the address of TAO's database cannot be used"),
    ("TS-504", "TAO's database cannot be reached"),
    ("TS-505", "TAO's database is not as expected"),
    ("TS-506", "TAO's database is busy"),
    ("TS-507", "TAO's database refused a statement"),
    ("TS-508", "TAO's database holds what cannot be read"),
    ("TS-509", "TAO cannot be adopted as it is"),
    ("TS-510", "what came from central could not be written into TAO"),
    ("TS-511", "an execution of TAO could not be made what is handed in"),
    ("TS-900", "a fault of taosync"),
];

/// An error for the person at the keyboard.
#[derive(Debug)]
pub struct Failure {
    /// One of [`CODES`].
    pub code: &'static str,
    /// What happened, and where.
    pub message: String,
    /// What to do next; may be empty when the message says it.
    pub advice: String,
    /// Every single thing that is wrong, for files with many lines.
    pub errors: Vec<Value>,
    /// What else deserves a look.
    pub warnings: Vec<Value>,
    /// The same for people, one line each.
    pub lines: Vec<String>,
    /// How the program ends.
    pub exit: Exit,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// An error with its code, what happened, and what to do.
    pub fn new(code: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            advice: advice.into(),
            errors: Vec::new(),
            warnings: Vec::new(),
            lines: Vec::new(),
            exit: Exit::Failed,
            source: None,
        }
    }

    /// How the program ends instead of [`Exit::Failed`].
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// What caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What caused a library's error that said the rest itself.
    #[must_use]
    pub fn because_of(mut self, error: &(dyn Error + 'static)) -> Self {
        self.source = error.source().map(|source| chain(source).into());
        self
    }

    /// A text on the command line that is not what it has to be.
    pub fn wrong_text(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new("TS-010", message, advice).exit(Exit::Usage)
    }

    /// A file that cannot be read or written; `doing` is the verb.
    pub fn file(doing: &str, path: &std::path::Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::StorageFull {
            return Self::new("TS-101", format!("the disk is full: cannot {doing} {}", path.display()), "make room")
                .exit(Exit::Later);
        }
        let message = format!("cannot {doing} {}", path.display());
        Self::new("TS-008", message, "check the path and who may use it").because(source)
    }

    /// The error as the one JSON document of a command.
    pub fn to_json(&self) -> Value {
        let mut message = self.message.clone();
        for cause in self.causes() {
            message.push_str(": ");
            message.push_str(&cause);
        }
        let mut document = json!({"error": {"code": self.code, "message": message, "advice": self.advice}});
        if !self.errors.is_empty() {
            document["errors"] = Value::Array(self.errors.clone());
        }
        if !self.warnings.is_empty() {
            document["warnings"] = Value::Array(self.warnings.clone());
        }
        document
    }

    /// The error for people: every wrong line, then what happened, why, and what to do next.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        output::add(&mut text, format_args!("error[{}]: {}\n", self.code, self.message));
        for cause in self.causes() {
            output::add(&mut text, format_args!("  because: {cause}\n"));
        }
        if !self.advice.is_empty() {
            output::add(&mut text, format_args!("  → {}\n", self.advice));
        }
        text
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source.as_deref().map(|s| s as &(dyn Error + 'static));
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        causes
    }

    /// A library's error, whose message already says what to do; its sources become the causes.
    fn of(code: &'static str, error: &(dyn Error + 'static)) -> Self {
        let text = error.to_string();
        let (message, advice) = split_advice(&text);
        Self::new(code, message, advice).because_of(error)
    }
}

/// The libraries write "what happened; what to do next".
fn split_advice(text: &str) -> (&str, &str) {
    text.split_once("; ").or_else(|| text.split_once(": run ")).map_or((text, ""), |(a, b)| (a, b))
}

/// Sources of a borrowed error, as texts: the error itself goes away.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts.join(": ")
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::DiskFull => "TS-101",
            StoreError::Busy => "TS-102",
            StoreError::NewerSchema { .. } => "TS-103",
            StoreError::MissingKey { .. } => "TS-125",
            StoreError::Open { .. } | StoreError::Migrate(_) => "TS-104",
            StoreError::Database { .. } => "TS-105",
            StoreError::Damaged { .. } => "TS-106",
            StoreError::NotFound { .. } => "TS-107",
            StoreError::Refused(_) => "TS-108",
            StoreError::Blob { .. } => "TS-109",
        };
        let exit = if error.is_temporary() { Exit::Later } else { Exit::Failed };
        Self::of(code, &error).exit(exit)
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let code = match &error {
            VaultError::TooOpen { .. } => "TS-121",
            VaultError::Io { .. } | VaultError::BadKeyFile { .. } => "TS-122",
            VaultError::Exists { .. } => "TS-004",
            VaultError::BadFingerprint => return Self::of("TS-010", &error).exit(Exit::Usage),
            _ => "TS-123",
        };
        Self::of(code, &error)
    }
}

impl From<taosync_sync::link::LinkError> for Failure {
    fn from(error: taosync_sync::link::LinkError) -> Self {
        let exit = if error.is_temporary() { Exit::Later } else { Exit::Failed };
        Self::of(error.code(), &error).exit(exit)
    }
}

impl From<taosync_sync::session::SyncError> for Failure {
    fn from(error: taosync_sync::session::SyncError) -> Self {
        let exit = if error.is_temporary() { Exit::Later } else { Exit::Failed };
        Self::of(error.code(), &error).exit(exit)
    }
}

impl From<taosync_sync::tao_database::TaoDatabaseError> for Failure {
    fn from(error: taosync_sync::tao_database::TaoDatabaseError) -> Self {
        let exit = if error.is_temporary() { Exit::Later } else { Exit::Failed };
        match (error.code(), error) {
            (_, taosync_sync::tao_database::TaoDatabaseError::Store(error)) => error.into(),
            (code, error) => Self::of(code.unwrap_or("TS-507"), &error).exit(exit),
        }
    }
}

/// A piece of work on another thread that did not come back.
impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::new("TS-900", "a part of the work stopped unexpectedly", "please report this with the log").because(error)
    }
}

#[cfg(test)]
mod tests;
