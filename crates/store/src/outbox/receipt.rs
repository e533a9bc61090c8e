//! Central's receipts as they are kept: a row of their own, written once an answer, in columns. As JSON with its proof a
//! receipt would have three times the bytes.

use std::collections::HashMap;

use taosync_model::Digest;
use taosync_model::audit::AuditHead;
use taosync_model::item::{ItemKind, Receipt, ReceiptProof, ReceiptStatus};
use uuid::Uuid;

use crate::rows;
use crate::values::Record;
use crate::{Store, StoreError, Tx};

/// Columns that [`kept`] reads, of `outbox o` and `outbox_receipt r`.
pub(crate) const COLUMNS: &str = "o.kind, o.item, o.version, o.digest, o.receipt_no, o.receipt_status, r.v, r.central,
     r.epoch, r.org AS receipt_org, r.received_at, r.out_of_scope, r.signature, r.leaf, r.leaves, r.path,
     r.audit_no, r.audit_digest";

/// Which receipt stands in a row of the outbox: kind, item, version, number.
pub(super) type ReceiptKey = (ItemKind, Uuid, u32, i64);

/// The key of a receipt.
pub(super) fn key(receipt: &Receipt) -> ReceiptKey {
    (receipt.kind, receipt.item, receipt.version, receipt.receipt_no)
}

/// A row to be written.
struct NewRow<'a> {
    id: Uuid,
    receipt: &'a Receipt,
    proof: &'a ReceiptProof,
    signature: Vec<u8>,
}

impl<'a> NewRow<'a> {
    /// `None` for a receipt without a proof, which is never believed.
    fn of(id: Uuid, receipt: &'a Receipt) -> Option<Self> {
        let proof = receipt.proof.as_ref()?;
        let signature = hex::decode(&proof.signature).ok()?;
        Some(Self { id, receipt, proof, signature })
    }
}

impl Tx {
    /// Keeps the receipts of rows that were marked with them; the newest for a row stays.
    pub(super) async fn receipts_keep(
        &mut self,
        marked: &[(Uuid, ReceiptKey)],
        receipts: &[&Receipt],
    ) -> Result<(), StoreError> {
        let by_key: HashMap<ReceiptKey, &Receipt> = receipts.iter().map(|receipt| (key(receipt), *receipt)).collect();
        let new = marked.iter().filter_map(|(id, key)| NewRow::of(*id, by_key.get(key).copied()?));
        let new: Vec<NewRow<'_>> = new.collect();
        let sql = self.sql();
        rows::insert(
            self.conn(),
            "INSERT INTO outbox_receipt (id, v, central, epoch, org, received_at, out_of_scope, signature, leaf, leaves,
                 path, audit_no, audit_digest) ",
            &new,
            "ON CONFLICT (id) DO UPDATE SET v = excluded.v, central = excluded.central, epoch = excluded.epoch,
                 org = excluded.org, received_at = excluded.received_at, out_of_scope = excluded.out_of_scope,
                 signature = excluded.signature, leaf = excluded.leaf, leaves = excluded.leaves, path = excluded.path,
                 audit_no = excluded.audit_no, audit_digest = excluded.audit_digest",
            |mut row, NewRow { id, receipt, proof, signature }| {
                row.push_bind(*id).push_bind(receipt.v).push_bind(receipt.central).push_bind(receipt.epoch);
                row.push_bind(receipt.org.as_str()).push_bind(receipt.received_at.to_string());
                row.push_bind(receipt.out_of_scope).push_bind(signature.as_slice());
                row.push_bind(proof.leaf).push_bind(proof.of);
                row.push_bind(proof.path.iter().flat_map(|digest| digest.0).collect::<Vec<u8>>());
                row.push_bind(proof.audit.no).push_bind(proof.audit.digest.0.to_vec());
            },
        )
        .await
        .map_err(sql)
    }
}

impl Store {
    /// For every central the receipt that shows the most of its audit log.
    pub async fn receipts_with_heads(&self) -> Result<Vec<Receipt>, StoreError> {
        let query = format!(
            "SELECT {COLUMNS} FROM (SELECT id, row_number() OVER (PARTITION BY central ORDER BY audit_no DESC, id) AS place
                 FROM outbox_receipt) AS newest
             CROSS JOIN outbox_receipt r ON r.id = newest.id CROSS JOIN outbox o ON o.id = r.id
             WHERE newest.place = 1 ORDER BY r.central"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&self.pools.readers).await;
        let rows = rows.map_err(StoreError::sql("receipts_with_heads"))?;
        rows.iter().filter_map(|row| kept(&Record::new("outbox", row)).transpose()).collect()
    }
}

/// The receipt of a row read with [`COLUMNS`], exactly as it came; `None` when there is none.
pub(crate) fn kept(row: &Record<'_>) -> Result<Option<Receipt>, StoreError> {
    if row.get::<Option<i64>>("v")?.is_none() {
        return Ok(None);
    }
    let damaged = |column: &str| StoreError::damaged(format!("outbox_receipt.{column}"));
    let status = row.get::<&str>("receipt_status")?;
    let status = ReceiptStatus::ALL.into_iter().find(|known| known.as_str() == status);
    let path = row.get::<&[u8]>("path")?.chunks(32).map(Digest::from_slice).collect::<Result<_, _>>();
    let proof = ReceiptProof {
        signature: hex::encode(row.get::<&[u8]>("signature")?),
        leaf: row.number("leaf")?,
        of: row.number("leaves")?,
        path: path.map_err(|_| damaged("path"))?,
        audit: AuditHead { no: row.get("audit_no")?, digest: row.digest("audit_digest")? },
    };
    Ok(Some(Receipt {
        v: row.number("v")?,
        central: row.get("central")?,
        epoch: row.get("epoch")?,
        receipt_no: row.get("receipt_no")?,
        org: row.word("receipt_org")?,
        kind: row.word("kind")?,
        item: row.get("item")?,
        version: row.number("version")?,
        digest: row.digest("digest")?,
        received_at: row.word("received_at")?,
        status: status.ok_or_else(|| damaged("receipt_status"))?,
        out_of_scope: row.flag("out_of_scope")?,
        proof: Some(proof),
    }))
}
