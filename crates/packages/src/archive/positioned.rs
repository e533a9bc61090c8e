//! Reading one file from many places without a shared cursor.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// A reader over a shared file with a position of its own.
pub(super) struct Positioned<'a> {
    file: &'a File,
    bytes: u64,
    position: u64,
}

impl<'a> Positioned<'a> {
    pub(super) fn new(file: &'a File, bytes: u64) -> Self {
        Self::at(file, bytes, 0)
    }

    pub(super) fn at(file: &'a File, bytes: u64, position: u64) -> Self {
        Self { file, bytes, position }
    }
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Positioned<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.position)
    }
}
