//! The keyring: the directory `keys/` with every secret of a node.
//!
//! | file | holds |
//! |---|---|
//! | `node.key` | Ed25519 seed: who the node is |
//! | `node.former` | keys it had before, newest first, and what each next one was for |
//! | `node.age` | age identity: what is sealed for the node; the age tool reads it |
//! | `columns.json` | keys of sealed columns, `[{"id", "key"}]`, the one that seals first |
//! | `index.key` | key of blind indexes |
//! | `chunks.key` | secret behind chunk keys (used by central) |
//! | `results.age` | identities that open results, while they are kept here (central); the age tool reads it |

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::chunk::ChunkSecret;
use crate::column_keys::ColumnKey;
use crate::columns::Columns;
use crate::index::BlindIndex;
use crate::node_identity::NodeIdentity;
use crate::node_key::NodeKey;
use crate::nonces::Nonces;
use crate::results_keys::ResultsIdentities;
use crate::succession::{Follows, FormerKey, MAX_FORMER};
use crate::{VaultError, column_keys, key_files, random};

const NODE_KEY: &str = "node.key";
const FORMER: &str = "node.former";
const NODE_IDENTITY: &str = "node.age";
const COLUMNS: &str = "columns.json";
const INDEX_KEY: &str = "index.key";
const CHUNK_SECRET: &str = "chunks.key";
const RESULTS: &str = "results.age";

/// Every secret of a node, wiped from memory when dropped.
#[derive(Debug)]
pub struct Keyring {
    node_key: NodeKey,
    identity: NodeIdentity,
    columns: Columns,
    index: BlindIndex,
    chunks: ChunkSecret,
    results: ResultsIdentities,
    nonces: Nonces,
    former: Vec<FormerKey>,
}

impl Keyring {
    /// Makes fresh keys in a new directory (0700). Refuses when `dir` exists; a crash leaves no half of it.
    pub fn create(dir: &Path) -> Result<Self, VaultError> {
        key_files::create_dir(dir, |fresh| {
            for file in [NODE_KEY, INDEX_KEY, CHUNK_SECRET] {
                key_files::write(&fresh.join(file), key_files::key_to_text(&fresh_key()).as_bytes())?;
            }
            write_identity(&fresh.join(NODE_IDENTITY))?;
            column_keys::write(&fresh.join(COLUMNS), &[ColumnKey { id: 1, key: fresh_key() }])
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
        let index = BlindIndex::new(key(INDEX_KEY)?);
        Ok(Self {
            former: read_former(&dir.join(FORMER))?,
            nonces: Nonces::new(index.key_for("nonces of proofs")),
            node_key: NodeKey::from_seed(&*key(NODE_KEY)?),
            identity: read_identity(&dir.join(NODE_IDENTITY))?,
            columns: Columns::open_file(&dir.join(COLUMNS))?,
            index,
            chunks: ChunkSecret::new(key(CHUNK_SECRET)?),
            results: read_results(&dir.join(RESULTS))?,
        })
    }

    /// Makes the node in `dir`, a copy, a node of its own: with a fresh key and a fresh identity. What was sealed for the old
    /// identity does not open any more; sealed columns do. The key it had is kept: it says to central what the new one is for.
    pub fn renew_node(dir: &Path) -> Result<(), VaultError> {
        keep_former(dir, Follows::AnotherNode)?;
        write_identity(&dir.join(NODE_IDENTITY))?;
        key_files::write(&dir.join(NODE_KEY), key_files::key_to_text(&fresh_key()).as_bytes())
    }

    /// Gives the node in `dir` a fresh key, for which the one it had vouches. Its identity stays: what was sealed for it, such as
    /// a test before its release, still opens.
    pub fn rekey_node(dir: &Path) -> Result<(), VaultError> {
        keep_former(dir, Follows::SameNode)?;
        key_files::write(&dir.join(NODE_KEY), key_files::key_to_text(&fresh_key()).as_bytes())
    }

    /// Makes a results key that is kept in `dir`, beside those that are there, and gives its recipient.
    pub fn add_results_key(&mut self, dir: &Path) -> Result<String, VaultError> {
        let path = dir.join(RESULTS);
        let before = if path.exists() { key_files::read(&path)? } else { Zeroizing::default() };
        let identity = NodeIdentity::generate();
        let text = Zeroizing::new(format!(
            "# taosync results, recipient {}\n{}\n{}",
            identity.recipient(),
            identity.to_text().expose_secret(),
            *before
        ));
        key_files::write(&path, text.as_bytes())?;
        self.results = read_results(&path)?;
        Ok(identity.recipient())
    }

    /// Who the node is.
    pub fn node_key(&self) -> &NodeKey {
        &self.node_key
    }

    /// Keys the node had before this one.
    pub fn former(&self) -> &[FormerKey] {
        &self.former
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

    /// A secret of a consumer, by its client key and how often the secret was changed: it can be told again, as after a lost
    /// answer, and is kept nowhere.
    pub fn consumer_secret(&self, client_key: &str, number: i64) -> SecretString {
        self.index.secret("taosync consumer secret 1", &format!("{client_key} {number}"))
    }

    /// Identities that open results, as far as they are kept here.
    pub fn results(&self) -> &ResultsIdentities {
        &self.results
    }

    /// Nonces for proofs of requests to this node.
    pub fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    /// Secret behind chunk keys.
    pub fn chunks(&self) -> &ChunkSecret {
        &self.chunks
    }
}

/// Keeps the key of a node before it gets another one. First, so that a change that is cut leaves the word of a key that
/// central knows.
fn keep_former(dir: &Path, follows: Follows) -> Result<(), VaultError> {
    key_files::check_dir(dir)?;
    let had = key_files::read(&dir.join(NODE_KEY))?;
    let before = read_or_nothing(&dir.join(FORMER))?;
    let had = Zeroizing::new(format!("{} {}", follows.as_str(), had.trim_ascii()));
    let former: Vec<&str> = std::iter::once(had.as_str()).chain(before.lines()).take(MAX_FORMER).collect();
    key_files::write(&dir.join(FORMER), Zeroizing::new(former.join("\n")).as_bytes())
}

fn read_results(path: &Path) -> Result<ResultsIdentities, VaultError> {
    if !path.exists() {
        return Ok(ResultsIdentities::default());
    }
    ResultsIdentities::from_text(&key_files::read(path)?).map_err(|_| VaultError::BadKeyFile {
        path: path.to_owned(),
        problem: "expected lines that begin with AGE-SECRET-KEY-1",
    })
}

pub(crate) fn fresh_key() -> Zeroizing<[u8; 32]> {
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

fn read_or_nothing(path: &Path) -> Result<Zeroizing<String>, VaultError> {
    match key_files::read(path) {
        Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(Zeroizing::default()),
        other => other,
    }
}

fn read_former(path: &Path) -> Result<Vec<FormerKey>, VaultError> {
    let bad = || VaultError::BadKeyFile { path: path.to_owned(), problem: "expected 'same' or 'another', and a key" };
    let text = read_or_nothing(path)?;
    text.lines()
        .take(MAX_FORMER)
        .map(|line| {
            let (follows, key) = line.split_once(' ').ok_or_else(bad)?;
            let follows = Follows::from_text(follows).ok_or_else(bad)?;
            Ok(FormerKey { key: NodeKey::from_seed(&*key_files::key_from_text(path, key)?), follows })
        })
        .collect()
}

fn read_identity(path: &Path) -> Result<NodeIdentity, VaultError> {
    let text = key_files::read(path)?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.and_then(|line| NodeIdentity::from_text(&SecretString::from(line))).ok_or_else(|| VaultError::BadKeyFile {
        path: path.to_owned(),
        problem: "expected a line that begins with AGE-SECRET-KEY-1",
    })
}
