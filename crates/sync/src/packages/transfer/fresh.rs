//! What came just now: it can be read before it has landed, and the small chunks of it without the disk. Whoever reads
//! what is still on its way waits for it: so compiling, which reads small files only, goes on while large ones come.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use taosync_model::Digest;
use taosync_store::blobs::Blobs;
use taosync_store::packages::ChunkRef;

/// Bytes of a chunk that is kept in memory, at most.
const SMALL_BYTES: usize = 16 * 1024;
/// Bytes of all of them together, at most; what comes after is read from the disk.
const TOGETHER_BYTES: usize = 8 * 1024 * 1024;

/// Chunks that are here, landed or not.
#[derive(Clone)]
pub(in crate::packages) struct Fresh {
    blobs: Blobs,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    small: HashMap<Digest, Vec<u8>>,
    small_bytes: usize,
    /// Chunks that were asked for and have not come.
    awaited: HashSet<Digest>,
    /// Whether some of them will not come.
    is_cut: bool,
}

/// While this lives, chunks are on their way.
pub(in crate::packages) struct Awaited(Fresh);

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_cut = !state.awaited.is_empty();
        state.awaited.clear();
        drop(state);
        self.0.state.1.notify_all();
    }
}

impl Fresh {
    pub fn new(blobs: &Blobs) -> Self {
        Self { blobs: blobs.clone(), state: Arc::default() }
    }

    /// Chunks will be asked for: whoever reads them waits until they came, or until what this gives is dropped.
    pub fn await_those(&self, names: &[Digest]) -> Awaited {
        self.state().awaited.extend(names);
        Awaited(self.clone())
    }

    /// These came.
    pub fn came(&self, chunks: &[ChunkRef]) {
        let mut state = self.state();
        for chunk in chunks {
            state.awaited.remove(&chunk.name);
        }
        drop(state);
        self.state.1.notify_all();
    }

    /// A chunk that is the one its name says. Waits for the line and the disk. When not all came that were to come,
    /// nothing is read any more: whoever compiles ends soon.
    pub fn read(&self, name: &Digest) -> io::Result<Vec<u8>> {
        let waited = self.state.1.wait_while(self.state(), |state| state.awaited.contains(name));
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_cut {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if let Some(bytes) = state.small.get(name) {
            return Ok(bytes.clone());
        }
        drop(state);
        self.blobs.get_arrived_waiting(*name).map_err(io::Error::other)
    }

    /// Those that may be kept in memory, once they have been checked.
    pub fn small_of(came: &[(Digest, Vec<u8>)]) -> Vec<(Digest, Vec<u8>)> {
        came.iter().filter(|(_, bytes)| bytes.len() <= SMALL_BYTES).cloned().collect()
    }

    /// Keeps chunks that have their names' hash.
    pub fn keep(&self, chunks: Vec<(Digest, Vec<u8>)>) {
        let mut state = self.state();
        for (name, bytes) in chunks {
            if state.small_bytes + bytes.len() <= TOGETHER_BYTES {
                state.small_bytes += bytes.len();
                state.small.insert(name, bytes);
            }
        }
    }

    /// Empties the memory.
    pub fn forget(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(number: usize, bytes: usize) -> (Digest, Vec<u8>) {
        let bytes = number.to_le_bytes().into_iter().cycle().take(bytes).collect::<Vec<_>>();
        (Digest::of(&bytes), bytes)
    }

    #[tokio::test]
    async fn so_much_is_kept_in_memory_and_not_more() {
        let dir = tempfile::tempdir().unwrap();
        let fresh = Fresh::new(&Blobs::open(dir.path()).await.unwrap());
        let most = TOGETHER_BYTES / SMALL_BYTES;
        let many: Vec<_> = (0..=most).map(|number| chunk(number, SMALL_BYTES)).collect();
        fresh.keep(Fresh::small_of(&many));
        let held = many.iter().filter(|(name, bytes)| fresh.read(name).is_ok_and(|read| read == *bytes));
        assert_eq!(held.count(), most);
        fresh.forget();
        assert!(fresh.read(&many[0].0).is_err(), "it is not on the disk");
        assert!(Fresh::small_of(&[chunk(1, SMALL_BYTES + 1)]).is_empty());
    }

    #[tokio::test]
    async fn what_has_not_landed_is_read_and_what_is_half_here_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).await.unwrap();
        let fresh = Fresh::new(&blobs);
        let (name, bytes) = chunk(1, 40_000);
        let mut part = blobs.part_take_up(name, 40_000).await.unwrap();
        assert!(part.take(&bytes[..30_000]).is_empty());
        part.write_all().await.unwrap();
        assert!(fresh.read(&name).is_err());
        assert!(part.take(&bytes[30_000..]).is_empty());
        part.check().await.unwrap();
        assert_eq!(fresh.read(&name).unwrap(), bytes);
        assert!(blobs.get(name).await.is_err(), "nobody else sees it");
        blobs.parts_land(vec![name]).await.unwrap();
        assert_eq!(fresh.read(&name).unwrap(), bytes);
    }

    #[tokio::test]
    async fn whoever_reads_what_is_on_its_way_waits_for_it_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let fresh = Fresh::new(&Blobs::open(dir.path()).await.unwrap());
        let [(one, bytes), (other, _)] = [chunk(1, 100), chunk(2, 100)];
        let awaited = fresh.await_those(&[one, other]);
        let read = |name| {
            let fresh = fresh.clone();
            tokio::task::spawn_blocking(move || fresh.read(&name))
        };
        let (comes, never) = (read(one), read(other));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(!comes.is_finished() && !never.is_finished());
        fresh.keep(vec![(one, bytes.clone())]);
        fresh.came(&[ChunkRef { name: one, bytes: 100 }]);
        assert_eq!(comes.await.unwrap().unwrap(), bytes);
        assert!(!never.is_finished());
        drop(awaited);
        assert!(never.await.unwrap().is_err(), "it did not come");
        assert!(fresh.read(&one).is_err(), "nothing is read for what will not be whole");
        fresh.forget();
        drop(fresh.await_those(&[]));
        fresh.keep(vec![(one, bytes.clone())]);
        assert_eq!(fresh.read(&one).unwrap(), bytes);
    }
}
