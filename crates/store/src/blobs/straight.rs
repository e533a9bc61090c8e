//! Writing what nobody reads again soon. Where the system can, the bytes go straight to the disk and not through the
//! system's memory: there they would be copied into pages, and all of these would have to be flushed at the end.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// What a disk takes at least in one piece, and where in a file and in memory a piece must begin: 4 KiB fit every common one.
const BLOCK: usize = 4096;
/// Buffers that are kept for what comes next, and bytes of one of them at most.
const KEPT: usize = 8;
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// Buffers have a whole number of these, so that one fits the next time too, when there is a little more.
const GRAIN: usize = 512 * 1024;

/// Memory in which pieces are put together. It is used again: the first use of fresh memory costs more than filling it.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// Pieces one after the other, in memory that a disk can take them from.
#[derive(Debug)]
pub(super) struct Joined {
    buffers: Buffers,
    buffer: Vec<u8>,
    start: usize,
}

impl Buffers {
    /// Puts pieces together.
    pub fn join<'a>(&self, pieces: impl Iterator<Item = &'a [u8]> + Clone) -> Joined {
        let mut joined = self.for_bytes(pieces.clone().map(<[u8]>::len).sum());
        pieces.for_each(|piece| joined.push(piece));
        joined
    }

    /// Memory for pieces of so many bytes together.
    pub fn for_bytes(&self, bytes: usize) -> Joined {
        let mut buffer = self.take(bytes.next_multiple_of(BLOCK) + BLOCK);
        let start = buffer.as_ptr().addr().next_multiple_of(BLOCK) - buffer.as_ptr().addr();
        buffer.resize(start, 0);
        Joined { buffers: self.clone(), buffer, start }
    }

    /// An empty one for so many bytes.
    fn take(&self, bytes: usize) -> Vec<u8> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let fits = kept.filter(|buffer| buffer.capacity() >= bytes);
        let mut buffer = fits.unwrap_or_else(|| Vec::with_capacity(bytes.next_multiple_of(GRAIN)));
        buffer.clear();
        buffer
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && buffer.capacity() <= KEPT_BYTES {
            kept.push(buffer);
        }
    }
}

impl Joined {
    /// Adds a piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Adds zeros up to a whole block.
    pub fn fill_up(&mut self) {
        let whole = self.bytes().len().next_multiple_of(BLOCK);
        self.buffer.resize(self.start + whole, 0);
    }

    /// Writes them to a file that ends, and is to be written on, `at` bytes from its start.
    pub fn write(&self, file: &mut File, at: u64) -> io::Result<()> {
        let bytes = self.bytes();
        let whole = if at.is_multiple_of(BLOCK as u64) { bytes.len() / BLOCK * BLOCK } else { 0 };
        let written = write_straight(file, &bytes[..whole])?;
        file.write_all(&bytes[written..])
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.buffers.give_back(std::mem::take(&mut self.buffer));
    }
}

/// Writes whole blocks as far as the file system takes them straight to the disk, and says how many bytes it took: not
/// every one takes any.
fn write_straight(file: &mut File, blocks: &[u8]) -> io::Result<usize> {
    if blocks.is_empty() || go(file, Way::ToTheDisk).is_err() {
        return Ok(0);
    }
    let written = write_some(file, blocks);
    go(file, Way::ThroughMemory)?;
    written
}

fn write_some(file: &mut File, blocks: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < blocks.len() {
        match file.write(&blocks[written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Also after a write that ended within a block.
            Err(error) if error.kind() == ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Which way what is written goes.
#[derive(Clone, Copy)]
enum Way {
    ToTheDisk,
    ThroughMemory,
}

#[cfg(target_os = "linux")]
fn go(file: &File, way: Way) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, matches!(way, Way::ToTheDisk));
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn go(_: &File, way: Way) -> io::Result<()> {
    match way {
        Way::ToTheDisk => Err(ErrorKind::Unsupported.into()),
        Way::ThroughMemory => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn some_bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8 + 1).collect()
    }

    #[test]
    fn what_is_written_is_what_was_given_and_zeros_up_to_a_block() {
        let buffers = Buffers::default();
        let dir = tempfile::tempdir().unwrap();
        for (number, length) in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 1_000_000, 7].into_iter().enumerate() {
            let bytes = some_bytes(length);
            let path = dir.path().join(number.to_string());
            let mut joined = buffers.join(bytes.chunks(333));
            joined.fill_up();
            joined.write(&mut File::create(&path).unwrap(), 0).unwrap();
            let read = std::fs::read(&path).unwrap();
            assert_eq!(read.len(), length.next_multiple_of(BLOCK));
            assert_eq!(read[..length], bytes);
            assert!(read[length..].iter().all(|byte| *byte == 0), "nothing of what the memory held before");
        }
    }

    #[test]
    fn a_file_is_written_on_wherever_it_ends() {
        let buffers = Buffers::default();
        let dir = tempfile::tempdir().unwrap();
        for (number, cut) in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 5 * BLOCK + 9].into_iter().enumerate() {
            let bytes = some_bytes(9 * BLOCK + 17);
            let path = dir.path().join(number.to_string());
            let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
            let pieces = [&bytes[..cut], &bytes[cut..8 * BLOCK], &bytes[8 * BLOCK..]];
            pieces.iter().fold(0, |at, piece| {
                buffers.join([*piece].into_iter()).write(&mut file, at).unwrap();
                at + piece.len() as u64
            });
            assert!(std::fs::read(&path).unwrap() == bytes, "cut at {cut}");
        }
    }

    #[test]
    fn a_disk_that_takes_nothing_straight_gets_it_as_any_other_file() {
        // The system's memory as a file system: older kernels refuse it there.
        let Ok(mut file) = tempfile::tempfile_in("/dev/shm") else {
            println!("SKIPPED: there is no file system in memory here");
            return;
        };
        let bytes = vec![7; 3 * BLOCK];
        Buffers::default().join([&bytes[..]].into_iter()).write(&mut file, 0).unwrap();
        assert_eq!(file.metadata().unwrap().len(), bytes.len() as u64);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_disk_does_not_take_straight_any_more_goes_through_memory() {
        // Memory that does not begin at a block is refused, as is a place in the file that does not.
        let dir = tempfile::tempdir().unwrap();
        let bytes = some_bytes(3 * BLOCK);
        let buffers = Buffers::default();
        let mut joined = buffers.join([&[0][..], &bytes].into_iter());
        joined.start += 1;
        let path = dir.path().join("file");
        let mut file = File::create(&path).unwrap();
        let taken = write_straight(&mut file, joined.bytes()).unwrap();
        assert!(taken == 0 || taken == bytes.len(), "{taken}: a disk that takes such memory takes all");
        file.write_all(&joined.bytes()[taken..]).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
    }

    #[test]
    fn no_more_memory_is_kept_than_for_some_packs() {
        let buffers = Buffers::default();
        (0..KEPT + 3).for_each(|_| buffers.give_back(vec![0; 10]));
        assert_eq!(buffers.0.lock().unwrap().len(), KEPT);
        let buffers = Buffers::default();
        buffers.give_back(Vec::with_capacity(KEPT_BYTES + 1));
        assert!(buffers.0.lock().unwrap().is_empty());
    }
}
