//! What the system knows about central: its sockets, and the log of its database.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::Central;

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Socket {
    /// Neither side has said goodbye.
    pub established: bool,
    /// Bytes the other end has not taken.
    pub unsent: u64,
    /// Bytes the program has not taken.
    pub unread: u64,
}

/// The connections at a port of this machine, by the port of the other end.
pub fn sockets_of(port: u16) -> HashMap<u16, Socket> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).filter_map(|line| socket(line, port)).collect()
}

fn socket(line: &str, port: u16) -> Option<(u16, Socket)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let port_of = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    let (unsent, unread) = words.get(4)?.split_once(':')?;
    let count = |text| u64::from_str_radix(text, 16).ok();
    let socket = Socket { established: words[3] == "01", unsent: count(unsent)?, unread: count(unread)? };
    (port_of(words[1])? == port).then_some((port_of(words[2])?, socket))
}

/// Looks at the size of the database's log all the while.
pub struct LogSize {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<u64>,
}

impl LogSize {
    pub fn watch(central: &Central) -> Self {
        let log = log_of(central);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let watching = std::thread::spawn(move || {
            let mut largest = 0;
            while !stopped.load(Ordering::Relaxed) {
                largest = largest.max(std::fs::metadata(&log).map_or(0, |file| file.len()));
                std::thread::sleep(Duration::from_millis(2));
            }
            largest
        });
        Self { stop, watching }
    }

    /// The most bytes it had.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().unwrap()
    }
}

fn log_of(central: &Central) -> PathBuf {
    central.node.dir.path().join("taosync.sqlite-wal")
}

/// Who reads in the database while its log is emptied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Held {
    ByAReader,
    ByNobody,
}

/// Empties the database's log from outside, as far as no reader needs it any more. Returns whether it is empty.
pub fn checkpoint(central: &Central, held: Held) -> bool {
    let python = "import sqlite3, sys
path, held = sys.argv[1:]
reader = sqlite3.connect(path, isolation_level=None)
if held == 'held':
    reader.execute('BEGIN')
    reader.execute('SELECT count(*) FROM sqlite_master').fetchone()
writer = sqlite3.connect(path, timeout=0.2 if held == 'held' else 2)
print(writer.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()[0])
";
    let path = central.node.dir.path().join("taosync.sqlite");
    let word = if held == Held::ByAReader { "held" } else { "free" };
    let done = Command::new("python3").args(["-c", python]).arg(path).arg(word).output().unwrap();
    let busy = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    assert!(["0", "1"].contains(&busy.as_str()), "{}", String::from_utf8_lossy(&done.stderr));
    busy == "0" && std::fs::metadata(log_of(central)).unwrap().len() == 0
}
