//! Handing in (local): the outbox goes up in requests of bounded size; each answer is marked before the next request.

use taosync_model::OrgId;
use taosync_model::execution::ExecutionState;
use taosync_model::item::{Envelope, ReceiptStatus, Refusal};
use taosync_store::Store;
use taosync_store::outbox::{AfterReceipt, OutboxItem, Pick};
use taosync_wire::frame::{FrameError, FrameWriter, MAX_BODY, MAX_HEADER};
use taosync_wire::v1;
use taosync_wire::v1::outbox::{OutboxFrame, Standing};
use uuid::Uuid;

use super::acknowledge::{Acknowledge, Heard};
use super::{PushFailed, UpError};
use crate::link::{Central, Link, Request};
use crate::session::summary::Progress;

/// How much goes up at once, and what goes up at all.
#[derive(Clone, Debug)]
pub struct UpLimits {
    /// Items in a request (`[result_service] chunk_size`).
    pub items: u32,
    /// Payload bytes in a request, unless a single item has more.
    pub bytes: u64,
    /// States of attempts that are handed in (`status_executions_to_sync`).
    pub states: Vec<ExecutionState>,
    /// What happens here to results that are confirmed (`delete_after_send`).
    pub after_receipt: AfterReceipt,
}

impl Default for UpLimits {
    fn default() -> Self {
        Self {
            items: 100,
            bytes: 4 * 1024 * 1024,
            states: vec![ExecutionState::Finished],
            after_receipt: AfterReceipt::Keep,
        }
    }
}

/// What a hand-in did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpOutcome {
    /// Items confirmed by a receipt that verifies.
    pub sent: u64,
    /// Of these, ones central held already.
    pub duplicate: u64,
    /// Of these, ones that follow an earlier version.
    pub superseded: u64,
    /// Of these, ones central holds beside another version: a person has to look there.
    pub conflict: u64,
    /// Of these, ones whose taker or delivery has left the org meanwhile.
    pub out_of_scope: u64,
    /// Items central cannot read; they stay here and are shown.
    pub refused: u64,
    /// Answers that did not verify: nothing was marked on their word.
    pub unproven: u64,
    /// Items still waiting to be handed in.
    pub pending: u64,
    /// Items that stay here because attempts in their state are not handed in.
    pub kept_back: u64,
    /// Payload bytes confirmed.
    pub bytes: u64,
    /// Highest receipt number seen.
    pub top_receipt_no: i64,
    /// Items up to this receipt are in a verified backup of central's.
    pub safe_receipt_no: i64,
    /// Central showed an older state than its own receipts prove; what may be lost there was offered again.
    pub went_back: bool,
}

/// One hand-in, without the network: makes requests, takes the bytes of answers.
pub struct Push<'a> {
    store: &'a Store,
    central: Central,
    org: &'a OrgId,
    limits: &'a UpLimits,
    after: Option<(u32, Uuid)>,
    sizes: Vec<((Uuid, u32), u64)>,
    answer: Option<Acknowledge>,
    epoch: Option<Uuid>,
    outcome: UpOutcome,
}

/// Hands in everything that waits for an org. Items that were refused in an earlier run are tried again, once a run.
pub async fn push(
    store: &Store,
    link: &Link,
    org: &OrgId,
    limits: &UpLimits,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<UpOutcome, PushFailed> {
    let failed = |outcome: UpOutcome, cause| PushFailed { outcome: Box::new(outcome), cause };
    let central = link.central().await.map_err(|e| failed(UpOutcome::default(), e.into()))?;
    let push = Push::begin(store, central, org, limits).await;
    let mut push = push.map_err(|e| failed(UpOutcome::default(), e))?;
    let end = exchange_all(&mut push, link, progress).await;
    let outcome = push.finish().await;
    match (end, outcome) {
        (Ok(()), Ok(outcome)) => Ok(outcome),
        (Err(cause), Ok(outcome)) => Err(failed(outcome, cause)),
        (_, Err(cause)) => Err(failed(UpOutcome::default(), cause)),
    }
}

async fn exchange_all(
    push: &mut Push<'_>,
    link: &Link,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), UpError> {
    while let Some(body) = push.next_request().await? {
        let answered = exchange(push, link, body).await;
        // What was confirmed before the line broke is marked first.
        let settled = push.settle().await;
        answered?;
        settled?;
        let (done, of) = push.progress();
        progress(Progress::Results { done, of });
    }
    Ok(())
}

async fn exchange(push: &mut Push<'_>, link: &Link, body: Vec<u8>) -> Result<(), UpError> {
    let mut request = Request::post(v1::PATH_OUTBOX, body);
    if let Some(mark) = push.store.receipt_newest(push.org).await? {
        request = request.header(v1::RECEIPT, mark.to_string());
    }
    let mut response = link.send(request).await?;
    if response.headers.contains_key(v1::WENT_BACK) {
        // Before anything of this answer is believed: a newer receipt would hide what the older one shows.
        push.central_went_back().await?;
    }
    while let Some(bytes) = response.chunk().await? {
        push.feed(&bytes);
    }
    Ok(())
}

impl<'a> Push<'a> {
    /// Begins at the start of the outbox.
    pub async fn begin(
        store: &'a Store,
        central: Central,
        org: &'a OrgId,
        limits: &'a UpLimits,
    ) -> Result<Self, UpError> {
        store.outbox_retry_all().await?;
        let outcome = UpOutcome { pending: store.outbox_waiting(org, &limits.states).await?.due, ..Default::default() };
        let (after, sizes, answer, epoch) = (None, Vec::new(), None, None);
        Ok(Self { store, central, org, limits, after, sizes, answer, epoch, outcome })
    }

    /// The body of the next request; `None` when every item was offered once.
    pub async fn next_request(&mut self) -> Result<Option<Vec<u8>>, UpError> {
        let items = loop {
            match self.next_items().await? {
                None => return Ok(None),
                // Nothing of this page can travel; what comes after it must not wait for it.
                Some(items) if items.is_empty() => {}
                Some(items) => break items,
            }
        };
        self.sizes = items.iter().map(|i| ((i.envelope.item, i.envelope.version), i.envelope.size)).collect();
        let sent = items.iter().map(|item| &item.envelope);
        self.answer = Some(Acknowledge::new(self.central, self.org, sent).map_err(UpError::Pack)?);
        pack(&items).map(Some).map_err(UpError::Pack)
    }

    async fn next_items(&mut self) -> Result<Option<Vec<OutboxItem>>, UpError> {
        let pick = Pick {
            org: self.org,
            states: &self.limits.states,
            after: self.after,
            max_items: self.limits.items.max(1),
            max_bytes: self.limits.bytes,
        };
        let items = self.store.outbox_pick(&pick).await?;
        let Some(last) = items.last() else { return Ok(None) };
        self.after = Some((last.envelope.version, last.id));
        self.sendable(items).await.map(Some)
    }

    /// Items that fit the protocol; one that does not would break the whole stream, and is marked as refused instead.
    async fn sendable(&mut self, mut items: Vec<OutboxItem>) -> Result<Vec<OutboxItem>, UpError> {
        for item in &mut items {
            // The org may have got another name since; the token's is the one that counts.
            item.envelope.org = self.org.clone();
        }
        let (items, oversized): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| fits(&item.envelope));
        if !oversized.is_empty() {
            let refusals: Vec<_> = oversized.iter().map(|item| too_large(&item.envelope)).collect();
            self.outcome.refused += self.store.outbox_mark_refused(&refusals).await?;
        }
        Ok(items)
    }

    /// Takes bytes of the answer.
    pub fn feed(&mut self, bytes: &[u8]) {
        if let Some(answer) = &mut self.answer {
            answer.feed(bytes);
        }
    }

    /// Marks what the answer proved, in one flushed transaction, and says whether the answer was whole. To be called
    /// also when the line broke.
    pub async fn settle(&mut self) -> Result<(), UpError> {
        let Some(answer) = self.answer.take() else { return Ok(()) };
        let (heard, end) = answer.finish();
        self.look_back(&heard).await?;
        let marked = self.store.outbox_mark_sent(&self.central.key, &heard.receipts, self.limits.after_receipt).await?;
        if !heard.refusals.is_empty() {
            self.outcome.refused += self.store.outbox_mark_refused(&heard.refusals).await?;
        }
        self.count(&heard, marked.forged + marked.unknown);
        outcome_of(heard, end)
    }

    /// Items confirmed so far, and how many there were to be.
    pub fn progress(&self) -> (u64, u64) {
        (self.outcome.sent, self.outcome.sent.max(self.outcome.pending))
    }

    /// What was done, with what waits now.
    pub async fn finish(mut self) -> Result<UpOutcome, UpError> {
        let waiting = self.store.outbox_waiting(self.org, &self.limits.states).await?;
        (self.outcome.pending, self.outcome.kept_back) = (waiting.due, waiting.kept_back);
        Ok(self.outcome)
    }

    /// Notices a central that went back: another history than our receipts name, or a lower number than we hold. What
    /// it may have lost waits again before anything new is marked, so a crash in between cannot hide it.
    async fn look_back(&mut self, heard: &Heard) -> Result<(), UpError> {
        if self.outcome.went_back {
            // Once a run is enough, and a central that says so in every answer must not keep us busy for ever.
            return Ok(());
        }
        let mut offered = false;
        if let Some(epoch) = heard.receipts.first().map(|receipt| receipt.epoch) {
            if self.epoch != Some(epoch) {
                offered |= self.store.outbox_offer_older_epochs(self.org, self.central.id, epoch).await? > 0;
                self.epoch = Some(epoch);
            }
            if let Some(standing) = heard.standing {
                offered |= self.look_at_number(epoch, standing).await?;
            }
        }
        if offered {
            self.outcome.went_back = true;
            self.after = None;
        }
        Ok(())
    }

    async fn look_at_number(&mut self, epoch: Uuid, standing: Standing) -> Result<bool, UpError> {
        let newest = self.store.receipt_newest(self.org).await?.filter(|mark| mark.is_of(epoch));
        if newest.is_none_or(|mark| mark.receipt_no <= standing.top_receipt_no) {
            return Ok(false);
        }
        self.central_went_back().await
    }

    /// What central may have lost waits again, and is walked once more. Says whether anything does.
    async fn central_went_back(&mut self) -> Result<bool, UpError> {
        if self.outcome.went_back {
            return Ok(false);
        }
        self.outcome.went_back = true;
        self.after = None;
        Ok(self.store.central_went_back(self.org).await? > 0)
    }

    fn count(&mut self, heard: &Heard, disbelieved: u64) {
        let outcome = &mut self.outcome;
        outcome.sent += (heard.receipts.len() as u64).saturating_sub(disbelieved);
        outcome.duplicate += heard.count(ReceiptStatus::Duplicate);
        outcome.superseded += heard.count(ReceiptStatus::Superseded);
        outcome.conflict += heard.count(ReceiptStatus::Conflict);
        outcome.out_of_scope += heard.receipts.iter().filter(|receipt| receipt.out_of_scope).count() as u64;
        outcome.unproven += heard.unproven + disbelieved;
        for receipt in &heard.receipts {
            let size = self.sizes.iter().find(|(key, _)| *key == (receipt.item, receipt.version));
            outcome.bytes += size.map_or(0, |(_, size)| *size);
            outcome.top_receipt_no = outcome.top_receipt_no.max(receipt.receipt_no);
        }
        if let Some(standing) = heard.standing {
            outcome.top_receipt_no = outcome.top_receipt_no.max(standing.top_receipt_no);
            outcome.safe_receipt_no = outcome.safe_receipt_no.max(standing.safe_receipt_no);
        }
    }
}

fn fits(envelope: &Envelope) -> bool {
    // 64 bytes are more than the frame's own name and braces take.
    let header = serde_json::to_vec(envelope).map_or(usize::MAX, |json| json.len().saturating_add(64));
    envelope.size <= MAX_BODY && header <= MAX_HEADER
}

fn too_large(envelope: &Envelope) -> Refusal {
    Refusal {
        item: envelope.item,
        version: envelope.version,
        code: "too_large".into(),
        reason: format!(
            "it has {} bytes, more than the protocol carries; export it and hand it in as a file",
            envelope.size
        ),
    }
}

fn outcome_of(heard: Heard, end: Result<(), FrameError>) -> Result<(), UpError> {
    match heard.problem {
        Some(problem) => Err(UpError::Central(problem)),
        None => end.map_err(UpError::Answer),
    }
}

fn pack(items: &[OutboxItem]) -> Result<Vec<u8>, std::io::Error> {
    let mut writer = FrameWriter::new()?;
    for item in items {
        writer.push(&OutboxFrame::Item(Box::new(item.envelope.clone())), &item.payload)?;
    }
    writer.push(&OutboxFrame::End, &[])?;
    writer.finish()
}
