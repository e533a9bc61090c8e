//! `POST outbox`: items up, receipts back (DESIGN §5).

use serde::{Deserialize, Serialize};
use taosync_model::audit::AuditHead;
use taosync_model::item::{Envelope, Receipt, Refusal};

use crate::Problem;
use crate::frame::Header;

/// Items that one signature may be waited for.
pub const MAX_UNSIGNED: usize = 64;
/// Payload bytes after which a signature must come: what waits for one is held in memory. The last item may go beyond.
pub const MAX_UNSIGNED_BYTES: u64 = 4 * 1024 * 1024;

/// The header line of a frame local sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutboxFrame {
    /// An item; the body is its payload, `envelope.size` bytes.
    Item(Box<Envelope>),
    /// The node's word for the items since the last such frame, as one batch: items without it are not taken.
    Signed {
        /// Ed25519, hex.
        signature: String,
    },
    /// Last frame.
    End,
}

/// The header line of a frame central answers. No bodies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptFrame {
    /// Central holds the item; without its proof, which comes with the next [`ReceiptFrame::Signed`].
    Receipt(Box<Receipt>),
    /// Central's signature over the receipts since the last such frame, as one batch.
    Signed {
        /// Ed25519, hex.
        signature: String,
        /// Where central's audit log ended; under the same signature.
        audit: AuditHead,
    },
    /// The item cannot be read; it is not held.
    Refused(Refusal),
    /// Last frame.
    End(Standing),
    /// Last frame: central could not go on.
    Failed(Problem),
}

/// Where central's receipts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Items up to this receipt are in a verified backup or replica.
    pub safe_receipt_no: i64,
    /// Highest receipt number given so far.
    pub top_receipt_no: i64,
}

impl Header for OutboxFrame {
    fn body_len(&self) -> u64 {
        match self {
            Self::Item(envelope) => envelope.size,
            Self::Signed { .. } | Self::End => 0,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::End)
    }
}

impl Header for ReceiptFrame {
    fn body_len(&self) -> u64 {
        0
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::End(_) | Self::Failed(_))
    }
}
