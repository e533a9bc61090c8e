//! Receiving (central): items are checked as they come in, stored batch by batch in one flushed transaction each, and
//! answered only then.

use std::collections::HashSet;

use taosync_model::item::{Envelope, Receipt, Refusal};
use taosync_model::{EntityType, OrgId};
use taosync_store::received::{Answer, Handover, IncomingItem};
use taosync_store::settings::RECEIPT_NO;
use taosync_store::{Store, StoreError};
use taosync_vault::VaultError;
use taosync_wire::Problem;
use taosync_wire::frame::{FrameError, FrameReader};
use taosync_wire::v1::outbox::{OutboxFrame, ReceiptFrame, Standing};
use uuid::Uuid;

use super::check::check;
use super::sealing::at_rest;

/// Items in a transaction at most.
const BATCH_ITEMS: usize = 500;
/// Payload bytes after which a batch is stored.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a request unpacked before its frames are taken: bounds what a hostile stream can make us hold.
const STEP: usize = 4 * 1024;

/// Setting: number of the newest receipt inside a verified backup or replica.
pub const SAFE_RECEIPT_NO: &str = "safe_receipt_no";

/// Who receives, and from whom: facts of this central and of the token.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Node id of this central.
    pub central: Uuid,
    /// Epoch of its history.
    pub epoch: Uuid,
    /// Organisation of the token.
    pub org: OrgId,
    /// Node of the token.
    pub node: Uuid,
    /// The key that is bound to it: Ed25519, signs what it hands in.
    pub node_key: [u8; 32],
}

/// Takes one request in pieces and gives the frames of the answer.
pub struct Receiver {
    store: Store,
    authority: Authority,
    reader: FrameReader<OutboxFrame>,
    batch: Vec<(Envelope, Vec<u8>)>,
    batch_bytes: u64,
    is_over: bool,
}

/// Where central's receipts stand.
pub async fn standing(store: &Store) -> Result<Standing, StoreError> {
    let number = async |name| {
        let text = store.setting_get(name).await?;
        Ok::<i64, StoreError>(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    };
    Ok(Standing { safe_receipt_no: number(SAFE_RECEIPT_NO).await?, top_receipt_no: number(RECEIPT_NO).await? })
}

impl Receiver {
    /// A receiver at the start of a request.
    pub fn new(store: Store, authority: Authority) -> Result<Self, std::io::Error> {
        let reader = FrameReader::new()?;
        Ok(Self { store, authority, reader, batch: Vec::new(), batch_bytes: 0, is_over: false })
    }

    /// Whether the last frame of the answer was given: nothing more is read.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes the next bytes of the request and gives what can be answered by now. What is answered is held durably.
    pub async fn feed(&mut self, bytes: &[u8]) -> Vec<ReceiptFrame> {
        let mut answer = Vec::new();
        for piece in bytes.chunks(STEP) {
            if self.is_over {
                break;
            }
            let read = self.reader.feed(piece);
            if let Err(problem) = self.take_frames(&mut answer).await {
                self.fail(&mut answer, problem);
            } else if let Err(error) = read {
                self.break_off(&mut answer, &error).await;
            }
        }
        answer
    }

    /// The request has no more bytes: the rest of the answer, which ends with `End` or `Failed`.
    pub async fn finish(mut self) -> Vec<ReceiptFrame> {
        let mut answer = Vec::new();
        if self.is_over {
            return answer;
        }
        if let Err(error) = self.reader.finish() {
            self.break_off(&mut answer, &error).await;
            return answer;
        }
        let end = match self.store_batch(&mut answer).await {
            Ok(()) => standing(&self.store).await.map_err(|error| problem_of(&error)),
            Err(problem) => Err(problem),
        };
        match end {
            Ok(standing) => answer.push(ReceiptFrame::End(standing)),
            Err(problem) => self.fail(&mut answer, problem),
        }
        answer
    }

    async fn take_frames(&mut self, answer: &mut Vec<ReceiptFrame>) -> Result<(), Problem> {
        while let Some((frame, payload)) = self.reader.next_frame() {
            if let OutboxFrame::Item(envelope) = frame {
                self.batch_bytes += envelope.size;
                self.batch.push((*envelope, payload));
            }
            if self.batch.len() >= BATCH_ITEMS || self.batch_bytes >= BATCH_BYTES {
                self.store_batch(answer).await?;
            }
        }
        Ok(())
    }

    /// The stream is broken: whole items before the break are held all the same.
    async fn break_off(&mut self, answer: &mut Vec<ReceiptFrame>, error: &FrameError) {
        let problem = match self.store_batch(answer).await {
            Ok(()) => {
                Problem::new(400, "broken_stream", error.to_string(), "what has a receipt is held; send the rest again")
            }
            Err(problem) => problem,
        };
        self.fail(answer, problem);
    }

    fn fail(&mut self, answer: &mut Vec<ReceiptFrame>, problem: Problem) {
        self.is_over = true;
        answer.push(ReceiptFrame::Failed(problem));
    }

    async fn store_batch(&mut self, answer: &mut Vec<ReceiptFrame>) -> Result<(), Problem> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let recipients = self.store.results_recipients().await.map_err(|error| problem_of(&error))?;
        let authority = self.authority.clone();
        // Unpacking is work for the processor: it must not hold up the connections of others.
        let (good, refusals) = tokio::task::spawn_blocking(move || sift(batch, &authority, &recipients))
            .await
            .map_err(|_| failed("the check of a batch of results stopped"))?;
        answer.extend(refusals.into_iter().map(ReceiptFrame::Refused));
        let good = good.map_err(|error| {
            tracing::error!(error = %error, "results could not be sealed");
            failed("central could not seal the results")
        })?;
        let answers = self.store_good(good).await.map_err(|error| problem_of(&error))?;
        let mut receipts = Vec::with_capacity(answers.len());
        for one in answers {
            match one {
                Answer::Receipt(receipt) => receipts.push(receipt),
                Answer::Refusal(refusal) => answer.push(ReceiptFrame::Refused(refusal)),
            }
        }
        push_receipts(answer, receipts);
        Ok(())
    }

    async fn store_good(&self, mut items: Vec<IncomingItem>) -> Result<Vec<Answer>, StoreError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let inside = self.in_scope(items.iter().map(|item| &item.envelope)).await?;
        for item in &mut items {
            let envelope = &item.envelope;
            let named = [(&envelope.test_taker, EntityType::TestTaker), (&envelope.delivery, EntityType::Delivery)];
            let is_inside = |(uri, entity_type): (&Option<String>, EntityType)| {
                uri.as_ref().is_none_or(|uri| inside.contains(&(uri.clone(), entity_type)))
            };
            item.out_of_scope = !named.into_iter().all(is_inside);
        }
        let Authority { central, epoch, org, node, .. } = &self.authority;
        let handover = Handover { central: *central, epoch: *epoch, org, node: Some(*node) };
        self.store.received_store(&items, &handover).await
    }

    /// The takers and deliveries among those named that the org sees now.
    async fn in_scope(
        &self,
        envelopes: impl Iterator<Item = &Envelope>,
    ) -> Result<HashSet<(String, EntityType)>, StoreError> {
        let uris: HashSet<&str> =
            envelopes.flat_map(|e| e.test_taker.iter().chain(&e.delivery)).map(String::as_str).collect();
        let uris: Vec<&str> = uris.into_iter().collect();
        self.store.scope_sees(&self.authority.org, &uris).await
    }
}

/// Receipts travel without their proofs: the signature after each batch is enough to make them again.
fn push_receipts(answer: &mut Vec<ReceiptFrame>, receipts: Vec<Receipt>) {
    let mut left = 0;
    for mut receipt in receipts {
        let Some(proof) = receipt.proof.take() else { continue };
        left = if left == 0 { proof.of } else { left } - 1;
        answer.push(ReceiptFrame::Receipt(Box::new(receipt)));
        if left == 0 {
            answer.push(ReceiptFrame::Signed { signature: proof.signature, audit: proof.audit });
        }
    }
}

type Sifted = (Result<Vec<IncomingItem>, VaultError>, Vec<Refusal>);

/// Checks a batch, and seals what came readable for the results keys. Whether an item is in scope is not known yet.
fn sift(batch: Vec<(Envelope, Vec<u8>)>, authority: &Authority, recipients: &[String]) -> Sifted {
    let (mut good, mut refusals) = (Vec::with_capacity(batch.len()), Vec::new());
    for (envelope, payload) in batch {
        match check(&envelope, &payload, &authority.org, &authority.node_key) {
            Ok(()) => good.push((envelope, payload)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let held = |(envelope, payload): (Envelope, Vec<u8>)| {
        let at_rest = at_rest(recipients, envelope.form, &payload)?;
        Ok(IncomingItem { envelope, payload, at_rest, out_of_scope: false })
    };
    (good.into_iter().map(held).collect(), refusals)
}

/// In words for the other side; the cause stands in our own log.
fn problem_of(error: &StoreError) -> Problem {
    tracing::error!(error = %error, "results could not be stored");
    if error.is_temporary() {
        return Problem::new(
            503,
            "try_later",
            "central cannot store results right now",
            "they stay where they are; sync again later",
        );
    }
    failed("central could not store the results")
}

fn failed(what: &str) -> Problem {
    Problem::new(500, "not_stored", what, "they stay where they are; tell the people who run central")
}
