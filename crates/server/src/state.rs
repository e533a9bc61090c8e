//! What the handlers of a role share.

use std::time::Duration;

use jiff::SignedDuration;
use taosync_store::Store;
use taosync_store::blobs::Blobs;
use taosync_store::settings::Identity;
use taosync_sync::down::compare::answer::Bounds;
use taosync_sync::runner::Runner;
use taosync_sync::tao::walks::Walks;
use tokio::sync::Semaphore;
use url::Url;

use crate::oauth::SlowDown;
use crate::pages::Desk;
use crate::runner::opened::Packages;
use crate::runner::pieces::Chunks;

/// How long a token lives unless configured otherwise.
pub const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// Entities between two checkpoints of a feed unless configured otherwise.
pub const CHUNK_SIZE: usize = 500;
/// Wrong secrets of one consumer from one network, and of all consumers from there, before tries are slowed down.
const WRONG_SECRETS: u32 = 5;
const WRONG_SECRETS_OF_NETWORK: u32 = 50;
/// Nodes of one consumer: whoever has its secret can make up new ones, and each stays in the database.
const NODES_OF_CONSUMER: u32 = 1_000;
/// Comparisons made at once; each may hold some hundred megabytes.
const COMPARISONS: usize = 2;
/// KiB of lists and questions that wait to be compared, together; the largest list has 122 MiB, the largest question 190.
const QUESTIONS: usize = 256 * 1024;
/// Large requests of TAO clients taken apart at once; each may take some hundred megabytes.
const HAND_INS: usize = 2;
/// How long a comparison waits for those before it.
const COMPARISON_WAIT: Duration = Duration::from_secs(60);

/// What the handlers of a central share.
pub struct Central {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) identity: Identity,
    pub(crate) wrong_secrets: SlowDown,
    pub(crate) comparisons: Semaphore,
    /// KiB that bodies of comparisons, and of TAO clients, may still take.
    pub(crate) questions: Semaphore,
    /// Large requests of TAO clients that are taken apart at once.
    pub(crate) hand_ins: Semaphore,
    /// Where TAO clients that count their own pages have come to.
    pub(crate) tao_walks: Walks,
    /// Addresses under which local servers reach this central, such as `https://central.example/`; proofs must name one
    /// of them. Empty: the address the request itself names.
    pub public_urls: Vec<Url>,
    /// SHA-256 of the private authority of the certificate it serves with, hexadecimal; none with another certificate.
    pub authority: Option<String>,
    /// Path before TAO's own paths; empty, or with a slash at its beginning.
    pub tao_base_path: String,
    /// How long a token lives.
    pub token_lifetime: SignedDuration,
    /// Entities between two checkpoints of a feed.
    pub chunk_size: usize,
    /// Nodes that one consumer may have.
    pub nodes_of_consumer: u32,
    /// How much can be compared.
    pub comparison: Bounds,
    /// How long a comparison waits for those before it.
    pub comparison_wait: Duration,
    /// The program around the pages for people; without it there are none.
    pub(crate) desk: Option<Desk>,
}

impl Central {
    /// Shared state with the usual settings.
    pub fn new(store: Store, blobs: Blobs, identity: Identity) -> Self {
        Self {
            store,
            blobs,
            identity,
            wrong_secrets: SlowDown::new(WRONG_SECRETS, WRONG_SECRETS_OF_NETWORK),
            comparisons: Semaphore::new(COMPARISONS),
            questions: Semaphore::new(QUESTIONS),
            hand_ins: Semaphore::new(HAND_INS),
            tao_walks: Walks::default(),
            authority: None,
            tao_base_path: String::new(),
            public_urls: Vec::new(),
            token_lifetime: TOKEN_LIFETIME,
            chunk_size: CHUNK_SIZE,
            nodes_of_consumer: NODES_OF_CONSUMER,
            comparison: Bounds::default(),
            comparison_wait: COMPARISON_WAIT,
            desk: None,
        }
    }

    /// Changes how many comparisons are made at once, and how many KiB those that wait may have together.
    #[must_use]
    pub fn comparing(self, at_once: usize, waiting_kib: usize) -> Self {
        Self { comparisons: Semaphore::new(at_once), questions: Semaphore::new(waiting_kib), ..self }
    }

    /// With pages for people, and the program around them.
    #[must_use]
    pub fn with_desk(self, desk: Desk) -> Self {
        Self { desk: Some(desk), ..self }
    }

    /// Changes how many large requests of TAO clients are taken apart at once.
    #[must_use]
    pub fn handing_in(self, at_once: usize) -> Self {
        Self { hand_ins: Semaphore::new(at_once), ..self }
    }
}

impl std::fmt::Debug for Central {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Central").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// What the handlers of a local server share.
pub struct Local {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) runner: Runner,
    pub(crate) packages: Packages,
    pub(crate) chunks: Chunks,
    /// The program around the pages for people; without it there are none.
    pub(crate) desk: Option<Desk>,
}

impl Local {
    /// Shared state. There is one [`Runner`] for a node's directory.
    pub fn new(store: Store, blobs: Blobs, runner: Runner) -> Self {
        Self { store, blobs, runner, packages: Packages::default(), chunks: Chunks::default(), desk: None }
    }

    /// With pages for people, and the program around them.
    #[must_use]
    pub fn with_desk(self, desk: Desk) -> Self {
        Self { desk: Some(desk), ..self }
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("runner", &self.runner).finish_non_exhaustive()
    }
}
