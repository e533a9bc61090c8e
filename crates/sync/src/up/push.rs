//! Handing in (local): the outbox goes up in requests of bounded size, a few at a time, so that central stores one while
//! the next is read and sent here. Answers are marked in the order of their requests.

mod request;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use taosync_model::OrgId;
use taosync_model::execution::ExecutionState;
use taosync_model::item::{ReceiptStatus, Refusal};
use taosync_model::receipt_mark::ReceiptMark;
use taosync_store::Store;
use taosync_store::outbox::{AfterReceipt, OutboxItem, Pick};
use taosync_wire::frame::FrameError;
use taosync_wire::v1;
use uuid::Uuid;

use super::acknowledge::{Acknowledge, Heard};
use super::check::BAD_SIGNATURE;
use super::{PushFailed, UpError};
use crate::link::{Central, Link, LinkError, Request};
use crate::session::summary::Progress;
use request::{budget, fits, too_large};

/// Requests on their way at once. Together they hold what may travel again after a kill.
const WINDOW: usize = 2;

/// How much goes up at once, and what goes up at all.
#[derive(Clone, Debug)]
pub struct UpLimits {
    /// Items in a request (`[result_service] chunk_size`).
    pub items: u32,
    /// Bytes of a request as it travels, unless a single item has more: about, as it is packed after it was picked.
    pub bytes: u64,
    /// States of attempts that are handed in (`status_executions_to_sync`).
    pub states: Vec<ExecutionState>,
    /// What happens here to results that are confirmed (`delete_after_send`).
    pub after_receipt: AfterReceipt,
}

impl Default for UpLimits {
    fn default() -> Self {
        Self {
            items: 500,
            bytes: 128 * 1024,
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

/// One hand-in, without the network: makes parcels, and settles them.
pub struct Push<'a> {
    store: &'a Store,
    central: Central,
    org: &'a OrgId,
    limits: &'a UpLimits,
    /// Where the walk through the outbox stands; none at its start.
    after: Option<(u32, Uuid)>,
    /// Payload bytes that are picked for a request.
    budget: u64,
    /// Item and version of everything offered in this run.
    offered: HashSet<(Uuid, u32)>,
    /// A version was passed over: the one it follows ended behind the walk, which has to go round again.
    passed_over: bool,
    /// Items that are signed each by itself: central refused the word for those they were signed with.
    alone: HashSet<(Uuid, u32)>,
    /// Requests made and not settled yet.
    unsettled: usize,
    epoch: Option<Uuid>,
    outcome: UpOutcome,
}

/// One request, and what its answer proved so far.
pub struct Parcel {
    /// The request.
    pub body: Bytes,
    answer: Acknowledge,
    sizes: HashMap<(Uuid, u32), u64>,
    /// Versions of the items: the lowest and the highest.
    oldest: u32,
    newest: u32,
    /// The newest receipt held when the request was made: central must know it.
    mark: Option<ReceiptMark>,
    /// Central says that it does not.
    went_back: bool,
}

impl Parcel {
    /// Takes bytes of the answer.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.answer.feed(bytes);
    }
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
    let (mut on_their_way, mut next, mut oldest, mut end) = (FuturesOrdered::new(), None, 0, Ok(()));
    loop {
        while end.is_ok() && on_their_way.len() < WINDOW && (on_their_way.is_empty() || !push.begins_anew()) {
            if next.is_none() {
                match push.next_parcel().await {
                    Ok(parcel) => next = parcel,
                    Err(error) => end = Err(error),
                }
            }
            // Two requests can overtake each other, a version must not overtake the one it follows.
            let Some(parcel) = next.take_if(|next| on_their_way.is_empty() || next.newest == oldest) else { break };
            if on_their_way.is_empty() {
                oldest = parcel.oldest;
            }
            on_their_way.push_back(exchange(link, parcel));
        }
        // While central works on what it was sent, the request after it is made.
        let is_due = next.is_none() && end.is_ok() && !on_their_way.is_empty() && !push.begins_anew();
        let ahead = async { if is_due { push.next_parcel().await } else { Ok(None) } };
        let (answer, ahead) = futures_util::future::join(on_their_way.next(), ahead).await;
        match ahead {
            Ok(ahead) => next = next.or(ahead),
            Err(error) => end = end.and(Err(error)),
        }
        let Some((parcel, answered)) = answer else { return end };
        // What was confirmed before the line broke is marked first.
        let settled = push.settle(parcel).await;
        end = end.and(answered).and(settled);
        let (done, of) = push.progress();
        progress(Progress::Results { done, of });
    }
}

async fn exchange(link: &Link, mut parcel: Parcel) -> (Parcel, Result<(), UpError>) {
    let end = answer(link, &mut parcel).await.map_err(UpError::Link);
    (parcel, end)
}

async fn answer(link: &Link, parcel: &mut Parcel) -> Result<(), LinkError> {
    let mut request = Request::post(v1::PATH_OUTBOX, parcel.body.clone());
    if let Some(mark) = &parcel.mark {
        request = request.header(v1::RECEIPT, mark.to_string());
    }
    let mut response = link.send(request).await?;
    parcel.went_back = response.headers.contains_key(v1::WENT_BACK);
    while let Some(bytes) = response.chunk().await? {
        parcel.feed(&bytes);
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
        Ok(Self {
            store,
            central,
            org,
            limits,
            after: None,
            budget: limits.bytes,
            offered: HashSet::new(),
            passed_over: false,
            alone: HashSet::new(),
            unsettled: 0,
            epoch: None,
            outcome,
        })
    }

    /// Whether the next parcel is the first of a walk through the outbox. It must not meet items that are on their way.
    pub const fn begins_anew(&self) -> bool {
        self.after.is_none()
    }

    /// The next request; `None` when every item was offered once.
    pub async fn next_parcel(&mut self) -> Result<Option<Parcel>, UpError> {
        let items = loop {
            match self.next_items().await? {
                // What is on its way must not be met again.
                None if self.passed_over && self.unsettled == 0 => {
                    (self.passed_over, self.after) = (false, None);
                }
                None => return Ok(None),
                // Nothing of this page can travel; what comes after it must not wait for it.
                Some(items) if items.is_empty() => {}
                Some(items) => break items,
            }
        };
        let sizes = items.iter().map(|i| ((i.envelope.item, i.envelope.version), i.envelope.size)).collect();
        let versions = || items.iter().map(|item| item.envelope.version);
        let (oldest, newest) = (versions().min().unwrap_or_default(), versions().max().unwrap_or_default());
        let sent = items.iter().map(|item| &item.envelope);
        let answer = Acknowledge::new(self.central, self.org, sent).map_err(UpError::Pack)?;
        let stored: u64 = items.iter().map(|item| item.envelope.size).sum();
        let body = request::pack(items, &self.alone, self.store.keyring().node_key());
        let body: Bytes = body.map_err(UpError::Pack)?.into();
        self.budget = budget(self.limits.bytes, stored, body.len() as u64);
        let mark = self.store.receipt_newest(self.org).await?;
        self.unsettled += 1;
        Ok(Some(Parcel { body, answer, sizes, oldest, newest, mark, went_back: false }))
    }

    async fn next_items(&mut self) -> Result<Option<Vec<OutboxItem>>, UpError> {
        let pick = Pick {
            org: self.org,
            states: &self.limits.states,
            kind: None,
            after: self.after,
            max_items: self.limits.items.max(1),
            max_bytes: self.budget,
        };
        let items = self.store.outbox_pick(&pick).await?;
        let Some(last) = items.last() else { return Ok(None) };
        self.after = Some((last.envelope.version, last.id));
        let items = self.in_turn(items).await?;
        self.sendable(items).await.map(Some)
    }

    /// Leaves out versions before which another one waits that was not offered yet: an attempt that ended, went on and
    /// ended again while the walk was elsewhere. Central must never see the second first.
    async fn in_turn(&mut self, mut items: Vec<OutboxItem>) -> Result<Vec<OutboxItem>, UpError> {
        let later: Vec<Uuid> = items.iter().filter(|item| item.envelope.version > 1).map(|item| item.id).collect();
        let mut before: HashMap<Uuid, Vec<u32>> = HashMap::new();
        if !later.is_empty() {
            for (row, version) in self.store.outbox_waits_before(&later).await? {
                before.entry(row).or_default().push(version);
            }
        }
        items.retain(|OutboxItem { id, envelope, .. }| {
            let mut versions = before.get(id).into_iter().flatten();
            let is_in_turn = versions.all(|version| self.offered.contains(&(envelope.item, *version)));
            if is_in_turn {
                self.offered.insert((envelope.item, envelope.version));
            } else {
                self.passed_over = true;
            }
            is_in_turn
        });
        Ok(items)
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

    /// Marks what the answer proved, in one transaction, and says whether the answer was whole. To be called
    /// also when the line broke, and in the order of the requests.
    pub async fn settle(&mut self, parcel: Parcel) -> Result<(), UpError> {
        let Parcel { answer, sizes, mark, went_back, .. } = parcel;
        self.unsettled = self.unsettled.saturating_sub(1);
        if went_back {
            // Before anything of this answer is believed: a newer receipt would hide what the older one shows.
            self.central_went_back().await?;
        }
        let (mut heard, end) = answer.finish();
        self.sign_alone(&mut heard.refusals);
        self.look_back(&heard, mark).await?;
        let marked = self.store.outbox_mark_sent(&self.central.key, &heard.receipts, self.limits.after_receipt).await?;
        if !heard.refusals.is_empty() {
            self.outcome.refused += self.store.outbox_mark_refused(&heard.refusals).await?;
        }
        self.count(&heard, marked.forged + marked.unknown, &sizes);
        outcome_of(heard, end)
    }

    /// A word that central does not take is refused for all items it covers, though one alone may be the cause: these are
    /// offered once more in this run, each signed by itself.
    fn sign_alone(&mut self, refusals: &mut Vec<Refusal>) {
        refusals.retain(|refusal| {
            let is_new = refusal.code == BAD_SIGNATURE && self.alone.insert((refusal.item, refusal.version));
            self.passed_over |= is_new;
            !is_new
        });
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

    /// Notices a central that went back: another history than our receipts name, or lower numbers than were held or heard
    /// when it was asked. What it may have lost waits again before anything new is marked, so a crash in between cannot hide it.
    async fn look_back(&mut self, heard: &Heard, mark: Option<ReceiptMark>) -> Result<(), UpError> {
        let Some(epoch) = heard.receipts.first().map(|receipt| receipt.epoch) else { return Ok(()) };
        if self.outcome.went_back {
            // Once a run is enough, and a central that says so in every answer must not keep us busy for ever.
            return Ok(());
        }
        let mut offered = false;
        if self.epoch != Some(epoch) {
            offered |= self.store.outbox_offer_older_epochs(self.org, self.central.id, epoch).await? > 0;
            self.epoch = Some(epoch);
        }
        let held = mark.filter(|mark| mark.is_of(epoch)).map_or(0, |mark| mark.receipt_no);
        let before = self.store.standing_heard(self.org, self.central.id, epoch).await?;
        let is_older = heard.standing.is_some_and(|now| {
            now.top_receipt_no < held.max(before.top_receipt_no) || now.safe_receipt_no < before.safe_receipt_no
        });
        if is_older {
            offered |= self.central_went_back().await?;
        }
        if offered {
            self.outcome.went_back = true;
            self.after = None;
        }
        Ok(())
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

    fn count(&mut self, heard: &Heard, disbelieved: u64, sizes: &HashMap<(Uuid, u32), u64>) {
        let outcome = &mut self.outcome;
        outcome.sent += (heard.receipts.len() as u64).saturating_sub(disbelieved);
        outcome.duplicate += heard.count(ReceiptStatus::Duplicate);
        outcome.superseded += heard.count(ReceiptStatus::Superseded);
        outcome.conflict += heard.count(ReceiptStatus::Conflict);
        outcome.out_of_scope += heard.receipts.iter().filter(|receipt| receipt.out_of_scope).count() as u64;
        outcome.unproven += heard.unproven + disbelieved;
        for receipt in &heard.receipts {
            outcome.bytes += sizes.get(&(receipt.item, receipt.version)).copied().unwrap_or(0);
            outcome.top_receipt_no = outcome.top_receipt_no.max(receipt.receipt_no);
        }
        if let Some(standing) = heard.standing {
            outcome.top_receipt_no = outcome.top_receipt_no.max(standing.top_receipt_no);
            outcome.safe_receipt_no = outcome.safe_receipt_no.max(standing.safe_receipt_no);
        }
    }
}

fn outcome_of(heard: Heard, end: Result<(), FrameError>) -> Result<(), UpError> {
    match heard.problem {
        Some(problem) => Err(UpError::Central(problem)),
        None => end.map_err(UpError::Answer),
    }
}
