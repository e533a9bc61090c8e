//! Every key and every cryptographic act of taosync (DESIGN §3, §7). No primitive is our own: this crate only says
//! which one is used where, over which bytes, and keeps the keys.
//!
//! Keys and where they live
//! * [`keyring`]: the directory `keys/` with all secrets of a node, refused when others could read it.
//! * [`node_key`]: who this node is: Ed25519 signatures.
//! * [`node_identity`]: what is sealed for this node alone: an age identity.
//!
//! What is sealed
//! * [`columns`]: values in the database, bound to table, row and column; [`index`] finds them again by equality.
//! * [`chunk`]: pieces of packages, named by the hash of their ciphertext.
//! * [`delivery_key`]: the key of one delivery's package, wrapped for each node; [`unlock_code`]: before its release, under
//!   a code too.
//! * [`sealed_file`]: age files, which the ordinary `age` tool opens in an emergency.
//! * [`results_keys`]: who opens results; [`item_proof`]: a node's word for what it hands in.
//!
//! Who may come in
//! * [`account_passwords`]: Argon2id for accounts of our own; [`passwords`]: TAO's form of a password; [`tokens`]: hashes of access tokens and client secrets.
//! * [`proof`]: signed requests (DPoP, RFC 9449), and [`nonces`] for them; [`receipts`]: central's signed word that it holds an item.
//! * [`enrolment_code`]: what connects a fresh machine from a sheet of paper.
//! * [`announcement`]: central's word about its authorities.
//! * [`succession`]: a new key of a node follows the one before.
//! * [`audit_chain`]: the chain of an audit log.
//! * [`backup_seal`]: backups as one sealed stream.
//! * [`tls`]: certificates, the private authority, and the pin in the client.
//!
//! [`random`] is the only place that asks the operating system for randomness.

pub mod account_passwords;
pub mod announcement;
pub mod audit_chain;
pub mod backup_seal;
pub mod chunk;
mod code_text;
mod column_keys;
pub mod columns;
pub mod delivery_key;
pub mod enrolment_code;
pub mod error;
pub mod index;
pub mod item_proof;
mod key_files;
pub mod keyring;
mod merkle;
pub mod node_identity;
pub mod node_key;
pub mod nonces;
pub mod passwords;
pub mod proof;
pub mod random;
pub mod receipts;
pub mod results_keys;
mod seal;
pub mod sealed_file;
pub mod succession;
pub mod tls;
pub mod tokens;
pub mod unlock_code;

pub use error::VaultError;
pub use keyring::Keyring;
