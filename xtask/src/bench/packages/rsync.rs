//! rsync of the same files over loopback, where it is installed: its daemon, without TLS and without checking twice.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{FILES, unpacked};
use crate::bench::limits::Limits;
use crate::bench::report::{Line, Sample};

/// How long the daemon may take until it listens.
const READY: Duration = Duration::from_secs(5);

/// First copy and no change.
pub fn lines(scratch: &Path, runs: usize) -> anyhow::Result<Vec<Line>> {
    if !Command::new("rsync").arg("--version").output().is_ok_and(|run| run.status.success()) {
        eprintln!("bench: rsync is not installed, so nothing stands beside the packages");
        return Ok(Vec::new());
    }
    let from = scratch.join("rsync-from");
    unpacked(&from)?;
    let daemon = Daemon::start(scratch, &from)?;
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let to = scratch.join(format!("rsync-to-{run}"));
        first.push(daemon.copy(&to)?);
        again.push(daemon.copy(&to)?);
        std::fs::remove_dir_all(to)?;
    }
    Ok(vec![
        Line::new("rsync, first copy", FILES, &first, Limits::default()),
        Line::new("rsync, no change", FILES, &again, Limits::default()),
    ])
}

/// A daemon that serves one folder; stopped when dropped.
struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    fn start(scratch: &Path, from: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let config = scratch.join("rsyncd.conf");
        std::fs::write(&config, format!("use chroot = no\n[package]\npath = {}\nread only = yes\n", from.display()))?;
        let child = Command::new("rsync")
            .args(["--daemon", "--no-detach", "--address=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--config={}", config.display()))
            .stdin(Stdio::null())
            .spawn()?;
        let daemon = Self { child, port };
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(since.elapsed() < READY, "rsync's daemon does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    fn copy(&self, to: &Path) -> anyhow::Result<Sample> {
        let since = Instant::now();
        let url = format!("rsync://127.0.0.1:{}/package/", self.port);
        let done = Command::new("rsync").args(["-a", &url]).arg(to).status()?;
        ensure!(done.success(), "rsync ended with {done}");
        Ok(Sample { wall: since.elapsed().as_secs_f64(), ..Sample::default() })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
