//! Sealed columns: personal data, hashes, answers and keys in the database (DESIGN §7).
//!
//! A value is `key id (4 bytes, big endian) ‖ nonce (24) ‖ ciphertext ‖ tag (16)`. Table, row and column are
//! associated data: a value that was copied elsewhere does not open.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use zeroize::Zeroizing;

use crate::column_keys::{self, ColumnKey, Stamp};
use crate::keyring::fresh_key;
use crate::seal::{self, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::{VaultError, random};

const ID_BYTES: usize = 4;

/// Bytes a sealed value has more than the plain one.
pub const OVERHEAD: usize = ID_BYTES + NONCE_BYTES + TAG_BYTES;

/// Nonces drawn at once: asking the system for each would cost as much as sealing a small value.
const NONCES_PER_DRAW: usize = 128;

/// The keys of sealed columns: the first seals, all open. They follow their file: another process may have put a new key
/// in front. Wiped from memory when dropped.
pub struct Columns {
    keys: RwLock<Keys>,
    file: Option<PathBuf>,
}

/// The keys as they were read, the one that seals first, and from which file.
struct Keys {
    list: Vec<ColumnKey>,
    stamp: Option<Stamp>,
}

impl Columns {
    #[cfg(test)]
    fn new(list: Vec<ColumnKey>) -> Self {
        Self { keys: RwLock::new(Keys { list, stamp: None }), file: None }
    }

    pub(crate) fn open_file(file: &Path) -> Result<Self, VaultError> {
        Ok(Self { keys: RwLock::new(Keys::read(file)?), file: Some(file.to_owned()) })
    }

    /// Seals a value for its place.
    pub fn seal(&self, table: &str, row: &[u8], column: &str, plain: &[u8]) -> Vec<u8> {
        let keys = self.keys();
        let (primary, nonce) = (keys.primary(), next_nonce());
        let mut sealed = Vec::with_capacity(OVERHEAD + plain.len());
        sealed.extend_from_slice(&primary.id.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        seal::seal_onto(&mut sealed, &primary.key, nonce, &place(table, row, column), plain);
        sealed
    }

    /// Opens a value in its place.
    pub fn open(&self, table: &str, row: &[u8], column: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let bad = || VaultError::BadColumn { table: table.to_owned(), column: column.to_owned() };
        let (id, rest) = sealed.split_first_chunk::<ID_BYTES>().ok_or_else(bad)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(bad)?;
        let id = u32::from_be_bytes(*id);
        let known = self.keys().key(id);
        let key = match known {
            Some(key) => Some(key),
            // It may have come since the file was read.
            None => {
                self.refresh();
                self.keys().key(id)
            }
        };
        let key = key.ok_or_else(|| VaultError::UnknownColumnKey {
            table: table.to_owned(),
            column: column.to_owned(),
            key_id: id,
        })?;
        seal::open(&key, *nonce, &place(table, row, column), rest).ok_or_else(bad)
    }

    /// The ids of all keys, the one that seals first.
    pub fn key_ids(&self) -> Vec<u32> {
        self.keys().list.iter().map(|key| key.id).collect()
    }

    /// The id of the key a value was sealed with; `None` when the bytes are too short to be a sealed value.
    pub fn key_id_of(sealed: &[u8]) -> Option<u32> {
        let id = sealed.first_chunk::<ID_BYTES>()?;
        (sealed.len() >= OVERHEAD).then(|| u32::from_be_bytes(*id))
    }

    /// Reads the file again if it is another one by now. What was read last stays when it cannot be read.
    pub fn refresh(&self) {
        let Some(file) = &self.file else { return };
        let now = column_keys::stamp(file);
        if now.is_none() || now == self.keys().stamp {
            return;
        }
        if let Ok(fresh) = Keys::read(file) {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    /// Puts a fresh key in front of the others in the file; values sealed before still open. Sealing them anew is the
    /// store's work. Gives the id of the fresh key.
    pub fn rotate(&self) -> Result<u32, VaultError> {
        self.rewrite(|keys| {
            let id = keys.iter().map(|key| key.id).max().unwrap_or(0).saturating_add(1);
            keys.insert(0, ColumnKey { id, key: fresh_key() });
        })?;
        Ok(self.keys().primary().id)
    }

    /// Forgets all keys but the one that seals: no value may be sealed with them any more.
    pub fn forget_older(&self) -> Result<(), VaultError> {
        self.rewrite(|keys| keys.truncate(1))
    }

    fn rewrite(&self, change: impl FnOnce(&mut Vec<ColumnKey>)) -> Result<(), VaultError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut keys = column_keys::read(file)?;
        change(&mut keys);
        column_keys::write(file, &keys)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys::read(file)?;
        Ok(())
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        // Keys are replaced whole: a thread that panicked left either the old or the new ones.
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn read(file: &Path) -> Result<Self, VaultError> {
        // Before the content: a change in between is noticed the next time.
        let stamp = column_keys::stamp(file);
        Ok(Self { list: column_keys::read(file)?, stamp })
    }

    fn primary(&self) -> &ColumnKey {
        // Unwrap safety: a file without a key is refused, and nothing takes the last one away.
        self.list.first().expect("there is at least one key")
    }

    fn key(&self, id: u32) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
        self.list.iter().find(|key| key.id == id).map(|key| key.key.clone())
    }
}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns").field("key_ids", &self.key_ids()).finish_non_exhaustive()
    }
}

fn place(table: &str, row: &[u8], column: &str) -> Vec<u8> {
    seal::context(&[table.as_bytes(), row, column.as_bytes()])
}

/// Random nonces, drawn for a thread in blocks; one that was given out is gone from the block before it is used.
/// taosync never forks into a second copy of itself, which would give the same block to both.
fn next_nonce() -> [u8; NONCE_BYTES] {
    thread_local! {
        static DRAWN: RefCell<Vec<[u8; NONCE_BYTES]>> = const { RefCell::new(Vec::new()) };
    }
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.is_empty() {
            let block = random::bytes::<{ NONCES_PER_DRAW * NONCE_BYTES }>();
            drawn.extend(block.as_chunks::<NONCE_BYTES>().0);
        }
        // Unwrap safety: the block was filled just above when it was empty.
        drawn.pop().expect("a block of nonces holds at least one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn key(id: u32) -> ColumnKey {
        ColumnKey { id, key: Zeroizing::new([id as u8; 32]) }
    }

    fn columns() -> Columns {
        Columns::new(vec![key(1)])
    }

    #[test]
    fn a_value_opens_in_its_own_place_only() {
        let sealed = columns().seal("taker", b"row", "login", b"anna");
        assert_eq!(columns().open("taker", b"row", "login", &sealed).unwrap(), b"anna");
        for (table, row, column) in [
            ("proctor", b"row".as_slice(), "login"),
            ("taker", b"row2", "login"),
            ("taker", b"row", "mail"),
            ("takerr", b"ow", "login"),
        ] {
            let error = columns().open(table, row, column, &sealed).unwrap_err();
            assert!(matches!(error, VaultError::BadColumn { .. }), "{error}");
        }
    }

    #[test]
    fn older_keys_open_and_the_first_seals() {
        let old = columns().seal("t", b"r", "c", b"x");
        let rotated = Columns::new(vec![key(2), key(1)]);
        assert_eq!(rotated.open("t", b"r", "c", &old).unwrap(), b"x");
        let new = rotated.seal("t", b"r", "c", b"x");
        assert_eq!((Columns::key_id_of(&old), Columns::key_id_of(&new)), (Some(1), Some(2)));
        assert_eq!(rotated.key_ids(), [2, 1]);
        let error = columns().open("t", b"r", "c", &new).unwrap_err();
        assert!(matches!(error, VaultError::UnknownColumnKey { key_id: 2, .. }), "{error}");
    }

    #[test]
    fn short_values_are_refused() {
        let sealed = columns().seal("t", b"r", "c", b"");
        assert_eq!(sealed.len(), OVERHEAD);
        assert_eq!(Columns::key_id_of(&sealed), Some(1));
        assert_eq!(Columns::key_id_of(&sealed[..OVERHEAD - 1]), None);
        for cut in 0..sealed.len() {
            assert!(columns().open("t", b"r", "c", &sealed[..cut]).is_err());
        }
    }

    #[test]
    fn nonces_never_repeat_over_blocks_and_threads() {
        let draw = || (0..1000).map(|_| next_nonce()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let all: HashSet<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(all.len(), 4000);
    }

    proptest! {
        #[test]
        fn values_open_again_and_a_flipped_bit_is_refused(plain: Vec<u8>, row: [u8; 16], bit: prop::sample::Index) {
            let mut sealed = columns().seal("t", &row, "c", &plain);
            prop_assert_eq!(columns().open("t", &row, "c", &sealed).unwrap(), plain);
            let bit = bit.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(columns().open("t", &row, "c", &sealed).is_err());
        }
    }
}
