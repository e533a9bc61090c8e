//! The keyring: the directory `keys/` with every secret of a node.
//!
//! | file | holds |
//! |---|---|
//! | `node.key` | Ed25519 seed: who the node is |
//! | `node.age` | age identity: what is sealed for the node; the age tool reads it |
//! | `columns.json` | keys of sealed columns, `[{"id", "key"}]`, the one that seals first |
//! | `index.key` | key of blind indexes |
//! | `chunks.key` | secret behind chunk keys (used by central) |

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::chunk::ChunkSecret;
use crate::columns::{ColumnKey, Columns};
use crate::index::BlindIndex;
use crate::node_identity::NodeIdentity;
use crate::node_key::NodeKey;
use crate::{VaultError, key_files, random};

const NODE_KEY: &str = "node.key";
const NODE_IDENTITY: &str = "node.age";
const COLUMNS: &str = "columns.json";
const INDEX_KEY: &str = "index.key";
const CHUNK_SECRET: &str = "chunks.key";

/// Every secret of a node, wiped from memory when dropped.
#[derive(Debug)]
pub struct Keyring {
    node_key: NodeKey,
    identity: NodeIdentity,
    columns: Columns,
    index: BlindIndex,
    chunks: ChunkSecret,
}

/// A line of `columns.json`.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
struct StoredColumnKey {
    id: u32,
    key: String,
}

impl Keyring {
    /// Makes fresh keys in a new directory (0700). Refuses when `dir` exists; a crash leaves no half of it.
    pub fn create(dir: &Path) -> Result<Self, VaultError> {
        key_files::create_dir(dir, |fresh| {
            for file in [NODE_KEY, INDEX_KEY, CHUNK_SECRET] {
                key_files::write(&fresh.join(file), key_files::key_to_text(&fresh_key()).as_bytes())?;
            }
            write_identity(&fresh.join(NODE_IDENTITY))?;
            write_columns(&fresh.join(COLUMNS), &Columns::new(ColumnKey { id: 1, key: fresh_key() }, vec![]))
        })?;
        Self::open(dir)
    }

    /// Reads the keys. Refuses when the directory or any file in it can be read or changed by other users, and names
    /// the command that closes it.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        key_files::check_dir(dir)?;
        let key = |file: &str| {
            let path = dir.join(file);
            key_files::key_from_text(&path, &key_files::read(&path)?)
        };
        Ok(Self {
            node_key: NodeKey::from_seed(&*key(NODE_KEY)?),
            identity: read_identity(&dir.join(NODE_IDENTITY))?,
            columns: read_columns(&dir.join(COLUMNS))?,
            index: BlindIndex::new(key(INDEX_KEY)?),
            chunks: ChunkSecret::new(key(CHUNK_SECRET)?),
        })
    }

    /// Gives the node in `dir` a fresh key and a fresh identity, for a copy that becomes a machine of its own. What was
    /// sealed for the old identity does not open any more; sealed columns do.
    pub fn renew_node(dir: &Path) -> Result<(), VaultError> {
        key_files::check_dir(dir)?;
        write_identity(&dir.join(NODE_IDENTITY))?;
        key_files::write(&dir.join(NODE_KEY), key_files::key_to_text(&fresh_key()).as_bytes())
    }

    /// Puts a fresh key in front of the column keys in `dir`; values sealed before still open. Sealing old values
    /// anew is the store's work.
    pub fn rotate_columns(&mut self, dir: &Path) -> Result<u32, VaultError> {
        let id = self.columns.key_ids().into_iter().max().unwrap_or(0).saturating_add(1);
        let older = self.columns.all().cloned().collect();
        let rotated = Columns::new(ColumnKey { id, key: fresh_key() }, older);
        write_columns(&dir.join(COLUMNS), &rotated)?;
        self.columns = rotated;
        Ok(id)
    }

    /// Who the node is.
    pub fn node_key(&self) -> &NodeKey {
        &self.node_key
    }

    /// What is sealed for the node.
    pub fn identity(&self) -> &NodeIdentity {
        &self.identity
    }

    /// Keys of sealed columns.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Key of blind indexes.
    pub fn index(&self) -> &BlindIndex {
        &self.index
    }

    /// The secret of a consumer that handshakes give, by its client key: the same at every handshake, and kept nowhere.
    pub fn handshake_secret(&self, client_key: &str) -> SecretString {
        self.index.secret("taosync handshake secret 1", client_key)
    }

    /// Secret behind chunk keys.
    pub fn chunks(&self) -> &ChunkSecret {
        &self.chunks
    }
}

fn fresh_key() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(random::bytes())
}

fn write_identity(path: &Path) -> Result<(), VaultError> {
    let identity = NodeIdentity::generate();
    let text = Zeroizing::new(format!(
        "# taosync node, recipient {}\n{}\n",
        identity.recipient(),
        identity.to_text().expose_secret()
    ));
    key_files::write(path, text.as_bytes())
}

fn write_columns(path: &Path, columns: &Columns) -> Result<(), VaultError> {
    let stored: Vec<_> = columns
        .all()
        .map(|key| StoredColumnKey { id: key.id, key: key_files::key_to_text(&key.key).trim_ascii().to_owned() })
        .collect();
    // Unwrap safety: numbers and strings only, nothing that serde_json refuses.
    let json = Zeroizing::new(serde_json::to_vec_pretty(&stored).expect("numbers and strings are JSON"));
    key_files::write(path, &json)
}

fn read_columns(path: &Path) -> Result<Columns, VaultError> {
    let bad = |problem| VaultError::BadKeyFile { path: path.to_owned(), problem };
    let stored: Vec<StoredColumnKey> =
        serde_json::from_str(&key_files::read(path)?).map_err(|_| bad("expected a JSON list of {id, key}"))?;
    let mut keys = Vec::with_capacity(stored.len());
    for StoredColumnKey { id, key } in &stored {
        if keys.iter().any(|known: &ColumnKey| known.id == *id) {
            return Err(bad("two keys have the same id"));
        }
        keys.push(ColumnKey { id: *id, key: key_files::key_from_text(path, key)? });
    }
    let mut keys = keys.into_iter();
    let primary = keys.next().ok_or_else(|| bad("it holds no key"))?;
    Ok(Columns::new(primary, keys.collect()))
}

fn read_identity(path: &Path) -> Result<NodeIdentity, VaultError> {
    let text = key_files::read(path)?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.and_then(|line| NodeIdentity::from_text(&SecretString::from(line))).ok_or_else(|| VaultError::BadKeyFile {
        path: path.to_owned(),
        problem: "expected a line that begins with AGE-SECRET-KEY-1",
    })
}
