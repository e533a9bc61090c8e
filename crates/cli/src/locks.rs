//! File locks between processes on one node. The system gives up a dead process's lock by itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use taosync_model::Clock;

use crate::failure::{Exit, Failure};

/// Room for "pid 12345, since 2026-05-12T08:00:00Z".
const MAX_WORDS: u64 = 200;

/// A lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Which of the two ways a sync goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Data from central.
    Down,
    /// Results to central.
    Up,
}

/// Takes the lock of a way, or says who has it.
pub fn sync_lock(dir: &Path, way: Way, clock: &dyn Clock) -> Result<Lock, Failure> {
    let path = dir.join(match way {
        Way::Down => "down.lock",
        Way::Up => "up.lock",
    });
    let mut file = open(&path)?;
    match file.try_lock() {
        Ok(()) => {
            sign(&mut file, clock).map_err(|source| Failure::file("write", &path, source))?;
            Ok(Lock { _file: file })
        }
        Err(TryLockError::WouldBlock) => Err(running(&mut file)),
        Err(TryLockError::Error(source)) => Err(Failure::file("lock", &path, source)),
    }
}

/// Waits for the lock of those who change entities: what one looks up must still be so when it writes.
pub async fn change_lock(dir: &Path) -> Result<Lock, Failure> {
    waiting(dir.join("change.lock")).await
}

/// Waits for the lock of backups: what another one left behind can be told from what it works on.
pub async fn backup_lock(dir: &Path) -> Result<Lock, Failure> {
    waiting(dir.join("backup.lock")).await
}

async fn waiting(path: PathBuf) -> Result<Lock, Failure> {
    tokio::task::spawn_blocking(move || {
        let file = open(&path)?;
        file.lock().map_err(|source| Failure::file("lock", &path, source))?;
        Ok(Lock { _file: file })
    })
    .await?
}

fn open(path: &PathBuf) -> Result<File, Failure> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    options.map_err(|source| Failure::file("open", path, source))
}

/// Says in the file who holds it, for the next who comes.
fn sign(file: &mut File, clock: &dyn Clock) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    write!(file, "pid {}, since {}", std::process::id(), clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
}

fn running(file: &mut File) -> Failure {
    let mut words = String::new();
    // Without the words the message is only less helpful.
    let _ = file.take(MAX_WORDS).read_to_string(&mut words);
    let who = if words.is_empty() { String::new() } else { format!(" ({words})") };
    let message = format!("another sync is already running{who}");
    Failure::new("TS-009", message, "wait until it has ended, then try again").exit(Exit::Later)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::clock::SystemClock;

    #[test]
    fn a_second_sync_is_told_who_runs_and_a_dropped_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let first = sync_lock(dir.path(), Way::Down, &SystemClock).unwrap();
        let other_way = sync_lock(dir.path(), Way::Up, &SystemClock);
        assert!(other_way.is_ok());
        let failure = sync_lock(dir.path(), Way::Down, &SystemClock).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("TS-009", Exit::Later));
        let expected = format!("another sync is already running (pid {}, since 20", std::process::id());
        assert!(failure.message.starts_with(&expected), "{}", failure.message);
        drop(first);
        assert!(sync_lock(dir.path(), Way::Down, &SystemClock).is_ok());
    }
}
