//! What can go wrong with keys and sealed things. No message holds a key, a password, a token or a plain value.

use std::path::PathBuf;

/// An error of the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Keys would be overwritten.
    #[error("{} exists already; keys are never overwritten: choose another directory, or move this \
         one away first", path.display())]
    Exists {
        /// What exists.
        path: PathBuf,
    },
    /// Others on the machine could read or change a key.
    #[error(
        "{} can be read or changed by other users (mode {mode:04o}); if nobody has copied it, run: chmod {wanted:04o} '{}'",
        path.display(),
        path.display()
    )]
    TooOpen {
        /// File or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they must be.
        wanted: u32,
    },
    /// A file or directory of keys cannot be read or written.
    #[error("cannot {doing} {}; check that it exists and belongs to the user taosync runs as", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A key file does not hold what it must.
    #[error("{} is damaged: {problem}; restore the directory of keys from a backup", path.display())]
    BadKeyFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A sealed value names a key that is not in the keyring.
    #[error(
        "{table}.{column} is sealed with column key {key_id}, which is not in columns.json; \
         restore the keys that belong to this database"
    )]
    UnknownColumnKey {
        /// Table of the value.
        table: String,
        /// Column of the value.
        column: String,
        /// The key named in the value.
        key_id: u32,
    },
    /// A sealed value does not open: it was changed, or moved here from another row or column.
    #[error(
        "{table}.{column} does not open: the value was changed, or belongs to another \
         row; run 'taosync verify'"
    )]
    BadColumn {
        /// Table of the value.
        table: String,
        /// Column of the value.
        column: String,
    },
    /// Bytes are not the ones their name promises, or do not open with their key.
    #[error(
        "{what} does not open: it was changed or cut, or sealed for somebody else; \
         fetch or restore it again"
    )]
    BadSeal {
        /// Which sealed thing.
        what: &'static str,
    },
    /// Something from outside is larger than it may be.
    #[error("{what} is larger than {limit} bytes and was not read")]
    TooLarge {
        /// Which thing.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// A signature is not that of the given key over the given bytes.
    #[error("the signature of {what} is not valid: it was changed, or signed by another node")]
    BadSignature {
        /// What was signed.
        what: &'static str,
    },
    /// A text is not an age recipient.
    #[error("'{shown}' is not an age recipient; expected one that begins with 'age1'")]
    BadRecipient {
        /// The beginning of the text.
        shown: String,
    },
    /// A text holds no age identities.
    #[error(
        "this is no file of age identities: expected lines that begin with AGE-SECRET-KEY-1, and comments after '#'"
    )]
    BadIdentity,
    /// Sealing for a list of recipients failed.
    #[error("cannot seal a file for {recipients} recipient(s)")]
    Seal {
        /// How many recipients there were.
        recipients: usize,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A password cannot be hashed.
    #[error("a password cannot be hashed; there must be 64 MiB of free memory")]
    PasswordHash,
    /// A certificate cannot be made.
    #[error("cannot make {what}; check the host names given for the server")]
    Certificate {
        /// Which certificate.
        what: &'static str,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {doing} failed")]
    Tls {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// The machine has no list of trusted certificate authorities.
    #[error(
        "this machine has no list of trusted certificate authorities; install the package \
         'ca-certificates', or import with central's fingerprint"
    )]
    NoTrustStore,
    /// A text is not a fingerprint.
    #[error("not a fingerprint: expected 64 hexadecimal characters (SHA-256), colons allowed")]
    BadFingerprint,
}
