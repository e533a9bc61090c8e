//! Running the program as processes and measuring them from outside, through /proc.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// How often a running process is asked for its peak memory.
const POLL: Duration = Duration::from_millis(10);
/// How long a server may take until it says that it listens.
const READY: Duration = Duration::from_secs(30);

/// What a process used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time of all its threads, in steps of a clock tick (10 ms).
    pub cpu: Duration,
    /// Peak of resident memory, bytes.
    pub peak: u64,
}

/// A process that ended well.
#[derive(Debug)]
pub struct Finished {
    pub stdout: String,
    pub wall: Duration,
    pub usage: Usage,
}

/// Runs a command to its end with `input` on its standard input. One at a time: CPU time is read as the growth of
/// what the kernel books for children that were waited for.
pub fn run(command: &mut Command, input: &str) -> anyhow::Result<Finished> {
    let booked = cpu_of_ended_children()?;
    let start = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let pid = child.id();
    let mut stdin = child.stdin.take().context("a piped standard input is there")?;
    // A program that reads nothing may have closed it already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (ended, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let (output, wall) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                peak.fetch_max(peak_memory(pid).unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(POLL);
            }
        });
        let output = child.wait_with_output();
        let wall = start.elapsed();
        ended.store(true, Ordering::Relaxed);
        (output, wall)
    });
    let output = output.context("cannot wait for the program")?;
    let shown: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    ensure!(
        output.status.success(),
        "`{}` ended with {}:\n{}",
        shown.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let cpu = cpu_of_ended_children()?.saturating_sub(booked);
    let stdout = String::from_utf8(output.stdout).context("the program's output is not text")?;
    Ok(Finished { stdout, wall, usage: Usage { cpu, peak: peak.into_inner() } })
}

/// A server running beside; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts a server and waits for the line `{"listening":…}` on its standard output; its log goes to a file.
    pub fn start(command: &mut Command, log: &PathBuf) -> anyhow::Result<Self> {
        let log_file = std::fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().context("cannot start the server")?;
        let stdout = child.stdout.take().context("a piped standard output is there")?;
        let (tell, told) = std::sync::mpsc::channel();
        // Reads on until the server ends, so that the server never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.contains("\"listening\"") {
                    let _ = tell.send(());
                }
            }
        });
        let server = Self { child };
        if told.recv_timeout(READY).is_err() {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            bail!("the server did not say that it listens within {} s:\n{said}", READY.as_secs());
        }
        Ok(server)
    }

    /// CPU time used so far. Fails when the server is gone.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat_fields(&stat)?;
        Ok(ticks(fields.user + fields.system))
    }

    /// Lets the peak begin anew at what is resident now.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(&file, "5").with_context(|| format!("cannot write {file}"))
    }

    /// Peak of resident memory since [`Self::forget_peak`], bytes.
    pub fn peak(&self) -> anyhow::Result<u64> {
        peak_memory(self.child.id()).context("the server's memory cannot be read: has it ended?")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Clock ticks of one process in `/proc/PID/stat` (proc(5), fields 14 to 17).
#[derive(Debug, PartialEq, Eq)]
struct Ticks {
    user: u64,
    system: u64,
    children: u64,
}

fn stat_fields(stat: &str) -> anyhow::Result<Ticks> {
    // The name of the program stands in brackets and may hold anything, brackets and spaces too.
    let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat has no program name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| -> anyhow::Result<u64> {
        // Field 3 is the first after the name.
        Ok(fields.get(number - 3).context("/proc/PID/stat is too short")?.parse()?)
    };
    Ok(Ticks { user: field(14)?, system: field(15)?, children: field(16)? + field(17)? })
}

fn cpu_of_ended_children() -> anyhow::Result<Duration> {
    Ok(ticks(stat_fields(&std::fs::read_to_string("/proc/self/stat")?)?.children))
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// `VmHWM`; `None` once the process has ended.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_hostile_name() {
        let stat = "7 (a) 1 (b)) S 1 2 3 4 5 6 7 8 9 10 110 120 13 14 20 0 1";
        assert_eq!(stat_fields(stat).expect("well formed"), Ticks { user: 110, system: 120, children: 27 });
        assert!(stat_fields("7 (a) S 1 2").is_err());
    }

    #[test]
    fn a_process_is_measured() {
        let script = "x=$(head -c 60000000 /dev/zero | tr '\\0' 'x'); read line; echo \"$line ${#x}\"";
        let finished = run(Command::new("bash").args(["-c", script]), "said\n").expect("runs");
        assert_eq!(finished.stdout, "said 60000000\n");
        assert!(finished.usage.cpu > Duration::ZERO && finished.wall >= finished.usage.cpu / 8, "{finished:?}");
        assert!(finished.usage.peak > 50_000_000, "{finished:?}");
    }

    #[test]
    fn a_failing_program_is_an_error_with_its_words() {
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]), "").expect_err("failed");
        assert!(error.to_string().contains("broken"), "{error}");
    }

    #[test]
    fn a_server_is_ready_when_it_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "echo '{\"listening\":\"here\"}'; read -r -t 60 < <(sleep 60)";
        let server = Server::start(Command::new("bash").args(["-c", script]), &folder.path().join("log")).expect("up");
        server.forget_peak().expect("own child");
        assert!(server.peak().expect("alive") > 0);
        server.cpu().expect("alive");
    }
}
