//! Writing a pack. Where the system can, the bytes go straight to the disk and not through the system's memory: there they
//! would be copied into pages that nobody reads again, and all of them would have to be flushed at the end.

use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// What a disk takes at least in one piece, and where in memory a piece must begin: 4 KiB fit every common one. A pack is
/// filled up with zeros to a whole number of these.
const BLOCK: usize = 4096;
/// Buffers that are kept for the next packs, and bytes of one of them at most.
const KEPT: usize = 4;
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Memory in which packs are put together. It is used again: the first use of fresh memory costs more than filling it.
#[derive(Clone, Debug, Default)]
pub(in crate::blobs) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// Writes the pieces one after the other, and zeros up to a whole block.
    pub(super) fn write<'a>(&self, file: &mut File, pieces: impl Iterator<Item = &'a [u8]> + Clone) -> io::Result<()> {
        let mut buffer = self.take();
        let whole = pieces.clone().map(<[u8]>::len).sum::<usize>().next_multiple_of(BLOCK);
        buffer.clear();
        buffer.reserve(BLOCK + whole);
        let start = buffer.as_ptr().addr().next_multiple_of(BLOCK) - buffer.as_ptr().addr();
        buffer.resize(start, 0);
        pieces.for_each(|piece| buffer.extend_from_slice(piece));
        buffer.resize(start + whole, 0);
        let written = write_blocks(file, &buffer[start..]);
        self.give_back(buffer);
        written
    }

    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && buffer.capacity() <= KEPT_BYTES {
            kept.push(buffer);
        }
    }
}

/// Whole blocks, at the start of an empty file. Not every file system takes them straight to the disk.
fn write_blocks(file: &mut File, blocks: &[u8]) -> io::Result<()> {
    if straight(file, Way::ToTheDisk).is_err() {
        return file.write_all(blocks);
    }
    match file.write_all(blocks) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            straight(file, Way::ThroughMemory)?;
            file.rewind()?;
            file.write_all(blocks)
        }
        written => written,
    }
}

/// Which way what is written goes.
#[derive(Clone, Copy)]
enum Way {
    ToTheDisk,
    ThroughMemory,
}

#[cfg(target_os = "linux")]
fn straight(file: &File, way: Way) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_setfl};
    let flags = match way {
        Way::ToTheDisk => OFlags::DIRECT,
        Way::ThroughMemory => OFlags::empty(),
    };
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn straight(_: &File, way: Way) -> io::Result<()> {
    match way {
        Way::ToTheDisk => Err(ErrorKind::Unsupported.into()),
        Way::ThroughMemory => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_given_and_zeros_up_to_a_block() {
        let buffers = Buffers::default();
        let dir = tempfile::tempdir().unwrap();
        for (number, length) in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 1_000_000, 7].into_iter().enumerate() {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8 + 1).collect();
            let path = dir.path().join(number.to_string());
            let mut file = File::create(&path).unwrap();
            buffers.write(&mut file, bytes.chunks(333)).unwrap();
            let read = std::fs::read(&path).unwrap();
            assert_eq!(read.len(), length.next_multiple_of(BLOCK));
            assert_eq!(read[..length], bytes);
            assert!(read[length..].iter().all(|byte| *byte == 0), "nothing of a pack before it");
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
        Buffers::default().write(&mut file, [&bytes[..]].into_iter()).unwrap();
        assert_eq!(file.metadata().unwrap().len(), bytes.len() as u64);
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
