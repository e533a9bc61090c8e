//! Believing central: an item counts as handed in only on a receipt that verifies and speaks of exactly what was sent.

use std::collections::HashMap;

use taosync_model::audit::AuditHead;
use taosync_model::item::{Envelope, ItemKind, Receipt, ReceiptStatus, Refusal};
use taosync_model::{Digest, OrgId};
use taosync_vault::receipts;
use taosync_wire::Problem;
use taosync_wire::frame::{FrameError, FrameReader};
use taosync_wire::v1::outbox::{ReceiptFrame, Standing};
use uuid::Uuid;

use crate::link::Central;

/// Receipts without a signature that are held at most: more than central puts under one, and a bound for a hostile one.
const MAX_UNSIGNED: usize = 16 * receipts::BATCH;
/// Bytes of an answer unpacked before its frames are taken: bounds what a hostile answer can make us hold.
const STEP: usize = 4 * 1024;

/// Reads the answer to one request and keeps what can be believed.
pub struct Acknowledge {
    central: Central,
    org: OrgId,
    unanswered: HashMap<(Uuid, u32), (ItemKind, Digest)>,
    reader: FrameReader<ReceiptFrame>,
    broken: Option<FrameError>,
    unsigned: Vec<Receipt>,
    heard: Heard,
}

/// What an answer said, as far as it can be believed.
#[derive(Debug, Default)]
pub struct Heard {
    /// Receipts that verify, each for an item of the request.
    pub receipts: Vec<Receipt>,
    /// Items that central cannot read.
    pub refusals: Vec<Refusal>,
    /// Receipts and refusals that are forged or speak of something else: nothing is done on their word.
    pub unproven: u64,
    /// Where central's receipts stand.
    pub standing: Option<Standing>,
    /// Why central stopped.
    pub problem: Option<Problem>,
}

impl Heard {
    /// Receipts with a status.
    pub fn count(&self, status: ReceiptStatus) -> u64 {
        self.receipts.iter().filter(|receipt| receipt.status == status).count() as u64
    }
}

impl Acknowledge {
    /// Awaits the answer to a request with these items.
    pub fn new<'a>(
        central: Central,
        org: &OrgId,
        sent: impl IntoIterator<Item = &'a Envelope>,
    ) -> Result<Self, std::io::Error> {
        let unanswered = sent.into_iter().map(|e| ((e.item, e.version), (e.kind, e.digest))).collect();
        let reader = FrameReader::new()?;
        let (org, heard) = (org.clone(), Heard::default());
        Ok(Self { central, org, unanswered, reader, broken: None, unsigned: Vec::new(), heard })
    }

    /// Takes the next bytes of the answer. Once they cannot be read, the rest is ignored.
    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(STEP) {
            if self.broken.is_some() {
                return;
            }
            self.broken = self.reader.feed(piece).err();
            while let Some((frame, _)) = self.reader.next_frame() {
                self.hear(frame);
            }
        }
    }

    /// What was said, and whether the answer was whole. Receipts whose signature did not come prove nothing.
    pub fn finish(mut self) -> (Heard, Result<(), FrameError>) {
        let end = match self.broken {
            Some(error) => Err(error),
            None => self.reader.finish(),
        };
        if end.is_ok() {
            self.heard.unproven += self.unsigned.len() as u64;
        }
        (self.heard, end)
    }

    fn hear(&mut self, frame: ReceiptFrame) {
        match frame {
            ReceiptFrame::Receipt(receipt) if self.unsigned.len() < MAX_UNSIGNED => self.unsigned.push(*receipt),
            ReceiptFrame::Signed { signature, audit } => self.believe(&signature, audit),
            ReceiptFrame::Refused(refusal) if self.unanswered.remove(&(refusal.item, refusal.version)).is_some() => {
                self.heard.refusals.push(refusal);
            }
            ReceiptFrame::Receipt(_) | ReceiptFrame::Refused(_) => self.heard.unproven += 1,
            ReceiptFrame::End(standing) => self.heard.standing = Some(standing),
            ReceiptFrame::Failed(problem) => self.heard.problem = Some(problem),
        }
    }

    /// Takes the receipts of a batch, if its signature holds, that speak of what was sent.
    fn believe(&mut self, signature: &str, audit: AuditHead) {
        let mut batch = std::mem::take(&mut self.unsigned);
        if receipts::prove_batch(&self.central.key, signature, audit, &mut batch).is_err() {
            self.heard.unproven += batch.len().max(1) as u64;
            return;
        }
        for receipt in batch {
            if self.is_about_sent(&receipt) {
                self.unanswered.remove(&(receipt.item, receipt.version));
                self.heard.receipts.push(receipt);
            } else {
                self.heard.unproven += 1;
            }
        }
    }

    fn is_about_sent(&self, receipt: &Receipt) -> bool {
        let sent = self.unanswered.get(&(receipt.item, receipt.version));
        receipt.v == 1
            && receipt.central == self.central.id
            && receipt.org == self.org
            && sent == Some(&(receipt.kind, receipt.digest))
    }
}
