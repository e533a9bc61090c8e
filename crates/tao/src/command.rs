//! Handing a package to TAO's own import and compile, through the command that `tao connect --command` named.
//!
//! The contract (docs/TAO.md): `PROGRAM [ARGUMENT…] DELIVERY PACKAGE`. The words of the command are separated by blanks;
//! no shell reads them. DELIVERY is the URI of a delivery that TAO has already, with everything central says of it but
//! its class; PACKAGE the path of its QTI zip. `TAOSYNC_DELIVERY`, `TAOSYNC_PACKAGE` and `TAOSYNC_LABEL` say the same and
//! the delivery's label. Of taosync's own environment only `PATH`, `HOME`, `LANG` and `TZ` are passed on. Exit status 0
//! means that TAO has imported the package and compiled it into this delivery; anything else, or no end in time, that it
//! has not, and the end of what the command printed is shown as the reason.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long an import may take.
pub const TIME: Duration = Duration::from_secs(30 * 60);
/// Bytes at the end of what a command prints that are kept.
pub const OUTPUT: usize = 4 * 1024;
/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Of taosync's own environment: nothing that could hold a secret.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// What is handed over.
#[derive(Clone, Copy, Debug)]
pub struct HandOver<'a> {
    /// The command, as it was configured.
    pub command: &'a str,
    /// Delivery URI.
    pub delivery: &'a str,
    /// The delivery's label.
    pub label: &'a str,
    /// The zip.
    pub package: &'a Path,
    /// How long the command may take ([`TIME`]).
    pub time: Duration,
}

/// Why TAO did not import a package.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command names no program.
    #[error("the import command is empty; run 'taosync tao connect' again with --command")]
    Empty,
    /// The program cannot be started.
    #[error("the import command cannot be started; check --command of 'taosync tao connect'")]
    NotStarted(#[source] std::io::Error),
    /// It did not end in time and was killed.
    #[error("TAO's import did not end within {} seconds and was stopped: {output}", .time.as_secs())]
    TooSlow {
        /// The time it had.
        time: Duration,
        /// The end of what it printed.
        output: String,
    },
    /// It said that the import failed.
    #[error("TAO's import failed ({status}): {output}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        output: String,
    },
}

/// Runs the command to its end. Blocks; to be called where blocking is allowed.
pub fn hand_over(hand_over: &HandOver<'_>) -> Result<(), CommandError> {
    let mut child = spawn(hand_over)?;
    let readers = [child.stdout.take().map(tail), child.stderr.take().map(tail)];
    let status = wait(&mut child, hand_over.time);
    if status.is_none() {
        stop(&mut child);
    }
    let output: Vec<String> = readers.into_iter().flatten().filter_map(|reader| reader.join().ok()).collect();
    let output = printable(&output.join(" "));
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(CommandError::Failed { status, output }),
        None => Err(CommandError::TooSlow { time: hand_over.time, output }),
    }
}

fn spawn(hand_over: &HandOver<'_>) -> Result<Child, CommandError> {
    let mut words = hand_over.command.split_whitespace();
    let mut command = Command::new(words.next().ok_or(CommandError::Empty)?);
    command.args(words).arg(hand_over.delivery).arg(hand_over.package).env_clear();
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("TAOSYNC_DELIVERY", hand_over.delivery).env("TAOSYNC_LABEL", hand_over.label.replace('\0', ""));
    command.env("TAOSYNC_PACKAGE", hand_over.package);
    // A group of its own, so that what it started is stopped with it.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.spawn().map_err(CommandError::NotStarted)
}

/// How the command ended; none when the time is over, or it cannot be asked.
fn wait(child: &mut Child, time: Duration) -> Option<ExitStatus> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().ok()? {
            return Some(status);
        }
        if since.elapsed() >= time {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

fn stop(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads to the end and keeps the last bytes.
fn tail(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..read]);
            let surplus = kept.len().saturating_sub(OUTPUT);
            kept.drain(..surplus);
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}

/// One line that cannot steer a terminal.
fn printable(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "it printed nothing".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn script(dir: &Path, text: &str) -> String {
        let path = dir.join("import");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        format!("{} --flag", path.display())
    }

    fn run(text: &str, time: Duration) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let command = script(dir.path(), text);
        let package = dir.path().join("a package.zip");
        let done = hand_over(&HandOver {
            command: &command,
            delivery: "http://d",
            label: "Maths; `1`",
            package: &package,
            time,
        });
        done.map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_learns_what_to_import() {
        let checks = "[ \"$1 $2\" = '--flag http://d' ] && [ \"${3##*/}\" = 'a package.zip' ] && [ \"$3\" = \"$TAOSYNC_PACKAGE\" ] \
             && [ \"$TAOSYNC_LABEL\" = 'Maths; `1`' ] && [ -z \"$CARGO_MANIFEST_DIR\" ] || { env; exit 1; }";
        run(checks, TIME).unwrap();
    }

    #[test]
    fn a_failure_shows_the_end_of_what_was_printed() {
        let error = run("head -c 100000 /dev/zero | tr '\\0' x; echo; printf 'no\\033[2J items' >&2; exit 3", TIME)
            .unwrap_err();
        assert!(error.contains("exit status: 3") && error.ends_with("no [2J items"), "{error}");
        assert!(error.len() < 2 * OUTPUT + 100, "{}", error.len());
        assert!(run("exit 1", TIME).unwrap_err().ends_with("it printed nothing"));
    }

    #[test]
    fn a_command_has_its_time_and_what_it_started_ends_with_it() {
        let since = Instant::now();
        let error = run("sleep 60 & sleep 60", Duration::from_millis(200)).unwrap_err();
        assert!(error.contains("was stopped"), "{error}");
        assert!(since.elapsed() < Duration::from_secs(10), "the readers would wait for the one in the background");
        run("sleep 0.1", Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let none =
            |command| hand_over(&HandOver { command, delivery: "d", label: "", package: Path::new("p"), time: TIME });
        assert!(matches!(none("/nowhere/import"), Err(CommandError::NotStarted(_))));
        assert!(matches!(none("  "), Err(CommandError::Empty)));
    }
}
