//! Receiving (central): items are checked as they come in, stored batch by batch in one flushed transaction each, and
//! answered only then.

use std::collections::HashSet;
use std::sync::Arc;

use taosync_model::item::{Envelope, Receipt, Refusal};
use taosync_model::{Digest, EntityType, OrgId};
use taosync_store::received::{Answer, Handover, IncomingItem, Vouched, Word};
use taosync_store::settings::RECEIPT_NO;
use taosync_store::{Store, StoreError};
use taosync_vault::{VaultError, item_proof};
use taosync_wire::Problem;
use taosync_wire::frame::{FrameError, FrameReader};
use taosync_wire::v1::outbox::{MAX_UNSIGNED, MAX_UNSIGNED_BYTES, OutboxFrame, ReceiptFrame, Standing};
use uuid::Uuid;

use super::check::{Signed, check};
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

/// Items that come together under one signature.
#[derive(Default)]
struct Batch {
    items: Vec<(Envelope, Vec<u8>)>,
    bytes: u64,
    /// The node's word for them; none when the request ended without it.
    signature: Option<String>,
}

/// Takes one request in pieces and gives the frames of the answer.
pub struct Receiver {
    store: Store,
    authority: Authority,
    reader: FrameReader<OutboxFrame>,
    /// Items that no signature covers yet.
    open: Batch,
    /// Items to be stored, as they were signed together.
    signed: Vec<Batch>,
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
        Ok(Self { store, authority, reader, open: Batch::default(), signed: Vec::new(), is_over: false })
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
        // What nobody has signed is refused by name.
        self.signed.push(std::mem::take(&mut self.open));
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
            match frame {
                OutboxFrame::Item(_) if self.open.is_full() => return Err(unsigned()),
                OutboxFrame::Item(envelope) => {
                    self.open.bytes = self.open.bytes.saturating_add(envelope.size);
                    self.open.items.push((*envelope, payload));
                }
                OutboxFrame::Signed { signature } => {
                    self.open.signature = Some(signature);
                    self.signed.push(std::mem::take(&mut self.open));
                }
                OutboxFrame::End => {}
            }
            let items: usize = self.signed.iter().map(|batch| batch.items.len()).sum();
            let bytes: u64 = self.signed.iter().map(|batch| batch.bytes).sum();
            if items >= BATCH_ITEMS || bytes >= BATCH_BYTES {
                self.store_batch(answer).await?;
            }
        }
        Ok(())
    }

    /// The stream is broken: whole items before the break that were signed are held all the same.
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
        let batches = std::mem::take(&mut self.signed);
        if batches.iter().all(|batch| batch.items.is_empty()) {
            return Ok(());
        }
        let recipients = self.store.results_recipients().await.map_err(|error| problem_of(&error))?;
        let authority = self.authority.clone();
        // Unpacking is work for the processor: it must not hold up the connections of others.
        let (good, refusals) = tokio::task::spawn_blocking(move || sift(batches, &authority, &recipients))
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

/// Checks items, and seals what came readable for the results keys. Whether an item is in scope is not known yet.
fn sift(batches: Vec<Batch>, authority: &Authority, recipients: &[String]) -> Sifted {
    let (mut good, mut refusals) = (Vec::new(), Vec::new());
    for Batch { items, signature, .. } in batches {
        let word = word(&items, signature.as_deref(), &authority.node_key);
        let signed = if word.is_some() { Signed::ByNode } else { Signed::ByNobody };
        for (leaf, (envelope, payload)) in (0..).zip(items) {
            match check(&envelope, &payload, &authority.org, signed) {
                Ok(()) => {
                    let vouched = word.clone().map(|word| Vouched { word, leaf });
                    good.push(IncomingItem { envelope, payload, at_rest: None, out_of_scope: false, vouched });
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
    }
    let held = |item: IncomingItem| {
        let at_rest = at_rest(recipients, item.envelope.form, &item.payload)?;
        Ok(IncomingItem { at_rest, ..item })
    };
    (good.into_iter().map(held).collect(), refusals)
}

/// The node's word for items that came together, if it is one.
fn word(items: &[(Envelope, Vec<u8>)], signature: Option<&str>, signer: &[u8; 32]) -> Option<Arc<Word>> {
    let leaves: Vec<Digest> = items.iter().map(|(envelope, _)| item_proof::leaf_of(envelope)).collect();
    let signature = item_proof::verify_batch(signer, signature?, &leaves).ok()?;
    Some(Arc::new(Word { signer: *signer, signature, leaves }))
}

impl Batch {
    /// Whether a signature has to come before another item.
    fn is_full(&self) -> bool {
        self.items.len() >= MAX_UNSIGNED || self.bytes >= MAX_UNSIGNED_BYTES
    }
}

/// The answer to more items than may wait for a signature.
fn unsigned() -> Problem {
    Problem::new(
        400,
        "unsigned_items",
        format!("more than {MAX_UNSIGNED} items, or {MAX_UNSIGNED_BYTES} bytes, came without a signature after them"),
        "update the program on the local server",
    )
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
