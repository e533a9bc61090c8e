//! The part of a text that is needed now: what copies may reach back to, and what searches look ahead at.

use super::LONGEST;

/// How far back a copy reaches.
const WINDOW: usize = 32 * 1024;
/// Bytes behind the window that are kept until it is worth moving the rest.
const SLACK: usize = 256 * 1024;
/// What a search may look at beyond the place it is asked about: the next place too.
pub(super) const AHEAD: u32 = LONGEST + 8;

/// Bytes of a text from some place on. Places count from the start of the whole text.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    start: u32,
}

impl Text {
    /// The place after the last known byte.
    pub(super) fn end(&self) -> u32 {
        self.start + self.bytes.len() as u32
    }

    /// Adds what comes next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn push_byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Adds a copy of what was `distance` bytes before; false when there is nothing.
    pub(super) fn push_copy(&mut self, distance: u32, length: u32) -> bool {
        let Some(from) = self.bytes.len().checked_sub(distance as usize) else { return false };
        for at in from..from + length as usize {
            self.bytes.push(self.bytes[at]);
        }
        true
    }

    /// The bytes from a place up to another, both known.
    pub(super) fn slice(&self, from: u32, to: u32) -> &[u8] {
        &self.bytes[(from - self.start) as usize..(to - self.start) as usize]
    }

    pub(super) fn byte(&self, at: u32) -> u8 {
        self.bytes[(at - self.start) as usize]
    }

    /// How many bytes at two places are equal, at most `most`; `most` bytes are known after the later one.
    pub(super) fn equal(&self, earlier: u32, later: u32, most: u32) -> u32 {
        let earlier = self.slice(earlier, earlier + most);
        let later = self.slice(later, later + most);
        earlier.iter().zip(later).take_while(|(one, other)| one == other).count() as u32
    }

    /// Forgets what nothing before `at` is needed for any more.
    pub(super) fn forget_before(&mut self, at: u32) {
        let unneeded = ((at - self.start) as usize).saturating_sub(WINDOW);
        if unneeded > SLACK {
            self.bytes.drain(..unneeded);
            self.start += unneeded as u32;
        }
    }
}
