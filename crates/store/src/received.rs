//! What came in at central: items, each held once, and the receipts that say so (DESIGN §5).

mod judge;
mod listing;
pub(crate) mod word;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;
use taosync_model::audit::AuditHead;
use taosync_model::item::{Envelope, Receipt, ReceiptStatus, Refusal};
use taosync_model::{Digest, OrgId};
use taosync_vault::receipts;
use uuid::Uuid;

pub use judge::{Editions, ItemKey};
pub use listing::{ReceivedCounts, ReceivedFilter, ReceivedItem, ReceivedPayload};
pub use word::{Vouched, Word};

use crate::audit::AuditEntry;
use crate::rows;
use crate::settings::RECEIPT_NO;
use crate::subjects::Subject;
use crate::values::json_text;
use crate::{Durability, Store, StoreError, Tx};
use judge::{Held, Judge, Verdict};

/// An item as it came in.
#[derive(Clone)]
pub struct IncomingItem {
    /// Plain part.
    pub envelope: Envelope,
    /// Payload bytes.
    pub payload: Vec<u8>,
    /// The payload sealed for the results keys on arrival; held in the payload's place.
    pub at_rest: Option<Vec<u8>>,
    /// Taker or delivery has left the organisation meanwhile.
    pub out_of_scope: bool,
    /// The node's word for it; none of a TAO box.
    pub vouched: Option<Vouched>,
}

impl IncomingItem {
    fn held(&self) -> &[u8] {
        self.at_rest.as_ref().unwrap_or(&self.payload)
    }
}

impl std::fmt::Debug for IncomingItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingItem").field("envelope", &self.envelope).finish_non_exhaustive()
    }
}

/// Who receives, and from whom.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    /// Node id of this central.
    pub central: Uuid,
    /// Epoch of its history.
    pub epoch: Uuid,
    /// Organisation of the token.
    pub org: &'a OrgId,
    /// Node of the token; of a TAO box, an id made from what it calls itself.
    pub node: Option<Uuid>,
}

/// Central's answer about one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is held.
    Receipt(Receipt),
    /// Its bytes are not those the envelope names; nothing was stored.
    Refusal(Refusal),
}

/// A row to be written.
struct NewRow<'a> {
    id: Uuid,
    item: &'a IncomingItem,
    held: Held,
    head: bool,
}

impl Store {
    /// Stores a batch in one flushed transaction and answers each item in the order given. An item that is held already
    /// gets the number and time of the row that holds it. Receipts are signed in their order, [`receipts::BATCH`] at a
    /// time.
    pub async fn received_store(
        &self,
        items: &[IncomingItem],
        handover: &Handover<'_>,
    ) -> Result<Vec<Answer>, StoreError> {
        let readable: Vec<bool> = items.iter().map(is_readable).collect();
        let mut tx = self.write("received_store", Durability::Flushed).await?;
        let good = || items.iter().zip(&readable).filter(|(_, readable)| **readable).map(|(item, _)| item);
        let mut judge = tx.judge_for(handover.org, good()).await?;
        let erased = self.erased_takers(&mut tx, good()).await?;
        let now = self.now_ms();
        let verdicts: Vec<Verdict> = good().map(|item| judge.verdict(item, now)).collect();
        self.received_insert(&mut tx, judge, good().zip(&verdicts), (handover, &erased)).await?;
        let audit = self.received_audit(&mut tx, &verdicts, handover).await?;
        tx.commit().await?;
        let receipts = good().zip(&verdicts).map(|(item, verdict)| receipt(item, verdict, handover));
        let mut receipts: Vec<Receipt> = receipts.collect::<Result<_, _>>()?;
        for batch in receipts.chunks_mut(receipts::BATCH) {
            receipts::sign_batch(self.keyring.node_key(), audit, batch);
        }
        let mut receipts = receipts.into_iter();
        let answer = |(item, readable): (&IncomingItem, bool)| match readable.then(|| receipts.next()).flatten() {
            Some(receipt) => Answer::Receipt(receipt),
            None => Answer::Refusal(refusal(item)),
        };
        Ok(items.iter().zip(readable).map(answer).collect())
    }

    /// The people among those concerned whose payloads are not to be held any more.
    async fn erased_takers<'a>(
        &self,
        tx: &mut Tx,
        items: impl Iterator<Item = &'a IncomingItem>,
    ) -> Result<BTreeSet<Subject>, StoreError> {
        if !tx.has_erased().await? {
            return Ok(BTreeSet::new());
        }
        let takers: Vec<Subject> =
            items.filter_map(|item| item.envelope.test_taker.as_deref()).map(|uri| self.subject(uri)).collect();
        tx.erased_among(&takers).await
    }

    /// Notes a hand-in that brought something; what was held already is only counted. Gives the head of the log, which
    /// every receipt carries.
    async fn received_audit(
        &self,
        tx: &mut Tx,
        verdicts: &[Verdict],
        handover: &Handover<'_>,
    ) -> Result<AuditHead, StoreError> {
        let new = || verdicts.iter().filter(|verdict| verdict.status != ReceiptStatus::Duplicate);
        let numbers = || new().map(|verdict| verdict.held.receipt_no);
        let (Some(from), Some(to)) = (numbers().min(), numbers().max()) else {
            self.poll_count("results.receive");
            return tx.audit_head().await;
        };
        let object = handover.node.map(|node| node.to_string()).unwrap_or_default();
        let detail = json!({"org": handover.org, "items": new().count(), "receipts": [from, to]});
        let actor = format!("node {object}");
        let entry = AuditEntry { actor: &actor, act: "results.receive", object: &object, detail };
        self.audit_add(tx, &entry).await
    }

    async fn received_insert<'a>(
        &self,
        tx: &mut Tx,
        judge: Judge,
        judged: impl Iterator<Item = (&'a IncomingItem, &'a Verdict)>,
        (handover, erased): (&Handover<'_>, &BTreeSet<Subject>),
    ) -> Result<(), StoreError> {
        let new: Vec<NewRow> = judged
            .filter(|(_, verdict)| verdict.status != ReceiptStatus::Duplicate)
            .map(|(item, verdict)| {
                let head = judge.is_head(&item.envelope);
                NewRow { id: self.clock.new_id(), item, held: verdict.held, head }
            })
            .collect();
        let reached = tx.setting_add(RECEIPT_NO, new.len() as i64).await?;
        if reached != judge.last_no() {
            return Err(StoreError::damaged("the counter of receipts"));
        }
        tx.received_unhead(&judge.replaced_heads()).await?;
        let words = tx.words_insert(self, new.iter().map(|row| row.item)).await?;
        let envelopes = new.iter().map(|row| json_text(&row.item.envelope)).collect::<Result<Vec<_>, _>>()?;
        let new: Vec<(NewRow, String)> = new.into_iter().zip(envelopes).collect();
        let sql = tx.sql();
        rows::insert(
            tx.conn(),
            "INSERT INTO received (id, kind, item, version, digest, org, origin, handed_in_by, envelope, payload,
                 sealed, delivery, test_taker, status, head, out_of_scope, receipt_no, received_at, word, leaf) ",
            &new,
            "",
            |mut row, (new, text)| {
                let envelope = &new.item.envelope;
                row.push_bind(new.id).push_bind(envelope.kind.as_str()).push_bind(envelope.item);
                row.push_bind(envelope.version).push_bind(envelope.digest.0.to_vec());
                row.push_bind(handover.org.as_str()).push_bind(envelope.origin).push_bind(handover.node);
                row.push_bind(text.as_str());
                let is_erased = envelope.test_taker.as_deref().is_some_and(|uri| erased.contains(&self.subject(uri)));
                let kept = (!is_erased).then(|| self.seal("received", new.id.as_bytes(), "payload", new.item.held()));
                row.push_bind(kept);
                row.push_bind(new.item.at_rest.is_some());
                row.push_bind(envelope.delivery.as_deref()).push_bind(envelope.test_taker.as_deref());
                row.push_bind(new.held.status.as_str()).push_bind(new.head).push_bind(new.held.out_of_scope);
                row.push_bind(new.held.receipt_no).push_bind(new.held.received_at);
                let vouched = new.item.vouched.as_ref();
                row.push_bind(vouched.and_then(|vouched| words.get(&vouched.word.signature).copied()));
                row.push_bind(vouched.map(|vouched| vouched.leaf));
            },
        )
        .await
        .map_err(sql)
    }
}

fn receipt(item: &IncomingItem, verdict: &Verdict, handover: &Handover<'_>) -> Result<Receipt, StoreError> {
    let envelope = &item.envelope;
    Ok(Receipt {
        v: 1,
        central: handover.central,
        epoch: handover.epoch,
        receipt_no: verdict.held.receipt_no,
        org: handover.org.clone(),
        kind: envelope.kind,
        item: envelope.item,
        version: envelope.version,
        digest: envelope.digest,
        received_at: Timestamp::from_millisecond(verdict.held.received_at)
            .map_err(|_| StoreError::damaged("received.received_at"))?,
        status: verdict.status,
        out_of_scope: verdict.held.out_of_scope,
        proof: None,
    })
}

fn is_readable(item: &IncomingItem) -> bool {
    item.envelope.size == item.payload.len() as u64 && item.envelope.digest == Digest::of(&item.payload)
}

fn refusal(item: &IncomingItem) -> Refusal {
    Refusal {
        item: item.envelope.item,
        version: item.envelope.version,
        code: "digest_mismatch".into(),
        reason: "the payload is not the one the envelope names: it was changed or cut on its way".into(),
    }
}
