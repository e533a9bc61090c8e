//! Version 1 of the protocol between two taosync nodes. One file per endpoint family.

pub mod compare;
pub mod enrol;
pub mod feed;
pub mod outbox;
pub mod packages;
pub mod report;
pub mod time;
pub mod token;

/// Version of the protocol, part of every path.
pub const VERSION: u32 = 1;
/// Header that carries the continuation of a node for an org (DESIGN §4, "Which node").
pub const CONTINUATION: &str = "taosync-continuation";
/// Header that carries the newest receipt a node holds of an org (`taosync_model::receipt_mark`).
pub const RECEIPT: &str = "taosync-receipt";
/// Header of an answer to the outbox: central does not know the receipt it was shown, it went back.
pub const WENT_BACK: &str = "taosync-went-back";
/// Header that names the sync a request belongs to.
pub const SYNC_ID: &str = "taosync-sync";
/// Header of every answer: what the request is called in the log.
pub const REQUEST_ID: &str = "taosync-request";

/// Header of an answer with the nonce for the next proof (RFC 9449 §8.2).
pub const DPOP_NONCE: &str = "dpop-nonce";

/// Path of the token endpoint, relative to the root URL.
pub const PATH_TOKEN: &str = "api/v1/oauth/token";
/// Path at which a sync manager's login gives a machine credentials.
pub const PATH_HANDSHAKE: &str = "api/v1/oauth/handshake";
/// Path at which an enrolment code gives a machine credentials.
pub const PATH_ENROL: &str = "api/v1/oauth/enrol";
/// Path of central's signed time.
pub const PATH_TIME: &str = "api/v1/time";
/// Path of the feed.
pub const PATH_FEED: &str = "api/v1/feed";
/// Path of a comparison's last step: what differs is asked for by name.
pub const PATH_COMPARE: &str = "api/v1/compare";
/// Path of a round of reconciliation.
pub const PATH_COMPARE_ROUND: &str = "api/v1/compare/round";
/// Path of the whole list of what local holds.
pub const PATH_COMPARE_LISTING: &str = "api/v1/compare/listing";
/// Path of the outbox.
pub const PATH_OUTBOX: &str = "api/v1/outbox";
/// Path of the report.
pub const PATH_REPORT: &str = "api/v1/report";
/// Path of delivery keys.
pub const PATH_DELIVERY_KEYS: &str = "api/v1/delivery-keys";
/// Path of chunks: POST a list for many small ones, GET `chunks/{name}` (with `Range`) for one.
pub const PATH_CHUNKS: &str = "api/v1/chunks";
