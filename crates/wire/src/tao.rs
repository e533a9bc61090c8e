//! TAO's protocol (facts: WIRE §5, §6, §9, §10): requests and answers, for both sides. A central answers with these types
//! (`sync::tao`, `server::api::tao`), a local server asks with them, and tests play the other side with them.
//!
//! PHP knows one kind of list, so an empty object is written `[]` and both are read ([`PhpMap`]); a number may come as
//! text and the other way round ([`text_of`]).
//!
//! * [`query`]: nested parameters in an address, and the address of the next page.
//! * [`params`]: what every request says about the box and its sync.
//! * [`entities`]: listings, details, classes.
//! * [`results`], [`logs`], [`items`]: what a box hands in, and how it is acknowledged.
//! * [`access`]: tokens and the handshake.
//! * [`failure`]: how something went wrong.

pub mod access;
pub mod entities;
pub mod failure;
pub mod items;
pub mod logs;
pub mod params;
mod php_map;
pub mod query;
pub mod results;
mod times;

pub use failure::Failure;
pub use params::SyncParams;
pub use php_map::{PhpMap, text_of};
pub use times::{epoch_text, seconds_text, time_of};

/// Tokens.
pub const PATH_TOKEN: &str = "taoOauth/TokenApi/requestToken";
/// Listing of a type.
pub const PATH_CHECKSUMS: &str = "taoSync/SynchronisationApi/fetchEntityChecksums";
/// Entities with their properties.
pub const PATH_DETAILS: &str = "taoSync/SynchronisationApi/fetchEntityDetails";
/// Classes with their parents.
pub const PATH_CLASSES: &str = "taoSync/SynchronisationApi/fetchClassDetails";
/// The package of a delivery.
pub const PATH_DELIVERY_TEST: &str = "taoSync/SynchronisationApi/getDeliveryTest";
/// The word that a sync went well.
pub const PATH_CONFIRM_FINISHED: &str = "taoSync/SynchronisationApi/confirmSyncFinished";
/// The word that a sync failed.
pub const PATH_CONFIRM_FAILED: &str = "taoSync/SynchronisationApi/confirmSyncFailed";
/// Results.
pub const PATH_RESULTS: &str = "taoSync/ResultApi/syncResults";
/// Logs.
pub const PATH_LOGS: &str = "taoSync/ResultApi/syncDeliveryLogs";
/// Test sessions.
pub const PATH_SESSIONS: &str = "taoSync/ResultApi/syncTestSessions";
/// LTI users.
pub const PATH_LTI_USERS: &str = "taoSync/ResultApi/syncLtiUsers";
/// Versions of TAO that may sync.
pub const PATH_SUPPORTED_VM: &str = "taoSync/api/supportedVm";
/// First login of a sync manager on a fresh box.
pub const PATH_HANDSHAKE: &str = "taoSync/HandShake";
/// What a box calls itself, as a header; central reads it from the parameters.
pub const BOX_ID_HEADER: &str = "x-tao-box-id";
/// Entities of a page unless configured otherwise.
pub const CHUNK_SIZE: u32 = 100;
