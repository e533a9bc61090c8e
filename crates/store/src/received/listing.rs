//! Reading what came in: lists, single items, pages for exports, counts.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};
use taosync_model::item::{Envelope, FORM_AGE_ZSTD, ItemKind};
use taosync_model::{Digest, OrgId};
use uuid::Uuid;

use crate::rows;
use crate::values::Record;
use crate::{Store, StoreError};

/// A held item without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedItem {
    /// Row.
    pub id: Uuid,
    /// Plain part.
    pub envelope: Envelope,
    /// Organisation it was handed in for.
    pub org: OrgId,
    /// Node that handed it in.
    pub handed_in_by: Option<Uuid>,
    /// `stored`, `superseded` or `conflict`.
    pub status: String,
    /// The newest version of its item.
    pub head: bool,
    /// Its payload was sealed for the results keys here, on arrival; the digest is of what arrived.
    pub sealed: bool,
    /// Its payload was erased.
    pub erased: bool,
    /// There is the word of a node for it ([`Store::received_proof`]).
    pub signed: bool,
    /// Taker or delivery had left the organisation.
    pub out_of_scope: bool,
    /// Number of its receipt; pages go on after the last one's.
    pub receipt_no: i64,
    /// When it was stored.
    pub received_at: Timestamp,
}

impl ReceivedItem {
    /// How to read the payload that is held.
    pub const fn form(&self) -> u8 {
        if self.sealed { FORM_AGE_ZSTD } else { self.envelope.form }
    }
}

/// A held item with its payload.
#[derive(Clone)]
pub struct ReceivedPayload {
    /// The item.
    pub item: ReceivedItem,
    /// Payload bytes, in the item's [`ReceivedItem::form`]; none when they were erased.
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for ReceivedPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceivedPayload").field("item", &self.item).finish_non_exhaustive()
    }
}

/// Which items to read; empty fields mean all.
#[derive(Clone, Debug, Default)]
pub struct ReceivedFilter {
    /// Organisation.
    pub org: Option<OrgId>,
    /// Kind.
    pub kind: Option<ItemKind>,
    /// The item itself, all its versions.
    pub item: Option<Uuid>,
    /// Delivery URI.
    pub delivery: Option<String>,
    /// Test taker URI.
    pub test_taker: Option<String>,
    /// `stored`, `superseded` or `conflict`.
    pub status: Option<String>,
    /// Stored at this time or later.
    pub since: Option<Timestamp>,
    /// Only receipt numbers above this one: the last of the page before.
    pub after: i64,
}

/// How much came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedCounts {
    /// Versions held.
    pub held: u64,
    /// Of them: newest versions of their items.
    pub heads: u64,
    /// Of them: in conflict with what was there.
    pub conflicts: u64,
    /// Of them: of takers or deliveries that had left the organisation.
    pub out_of_scope: u64,
}

const COLUMNS: &str = "id, envelope, org, handed_in_by, status, head, sealed, out_of_scope, receipt_no, received_at,
     payload IS NULL AS erased, word IS NOT NULL AS signed";

impl Store {
    /// Held items in the order of their receipts, at most `limit`.
    pub async fn received_list(&self, filter: &ReceivedFilter, limit: u32) -> Result<Vec<ReceivedItem>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(COLUMNS);
        push_filter(&mut query, filter, limit);
        let rows = query.build().fetch_all(&self.pools.readers).await.map_err(StoreError::sql("received_list"))?;
        rows.iter().map(item).collect()
    }

    /// One held item with its payload; [`StoreError::NotFound`] when there is none.
    pub async fn received_get(&self, id: Uuid) -> Result<ReceivedPayload, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT payload, ");
        query.push(COLUMNS).push(" FROM received WHERE id = ").push_bind(id);
        let row = query.build().fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("received_get"))?;
        let row = row.ok_or_else(|| StoreError::NotFound {
            what: format!("received item {id}"),
            advice: "see 'taosync results list'",
        })?;
        self.received_payload(&row)
    }

    /// A page for an export: items with payloads in the order of their receipts, at most `max_items`, and at most
    /// `max_bytes` of payload unless the first alone has more. Go on with `after` = the last `receipt_no`; an empty page
    /// is the end.
    pub async fn received_page(
        &self,
        filter: &ReceivedFilter,
        max_items: u32,
        max_bytes: u64,
    ) -> Result<Vec<ReceivedPayload>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT id, coalesce(length(payload), 0)");
        push_filter(&mut query, filter, max_items);
        self.received_fitting(query, max_bytes).await
    }

    /// The items of a query for ids and sizes, as many as fit.
    pub(crate) async fn received_fitting(
        &self,
        mut query: QueryBuilder<Sqlite>,
        max_bytes: u64,
    ) -> Result<Vec<ReceivedPayload>, StoreError> {
        let mut snapshot = self.read("received_page").await?;
        let sql = snapshot.sql();
        let sizes: Vec<(Uuid, i64)> = query.build_query_as().fetch_all(snapshot.conn()).await.map_err(&sql)?;
        let mut total = 0;
        let fitting = sizes.iter().enumerate().take_while(|(index, (_, bytes))| {
            total += bytes.unsigned_abs();
            *index == 0 || total <= max_bytes
        });
        let ids = rows::id_array(fitting.map(|(_, (id, _))| id));
        let mut query = QueryBuilder::<Sqlite>::new("SELECT payload, ");
        query.push(COLUMNS).push(" FROM received WHERE id IN (SELECT unhex(value) FROM json_each(").push_bind(ids);
        query.push(")) ORDER BY receipt_no");
        let rows = query.build().fetch_all(snapshot.conn()).await.map_err(&sql)?;
        drop(snapshot);
        rows.iter().map(|row| self.received_payload(row)).collect()
    }

    /// How much came in, for one organisation or all.
    pub async fn received_counts(&self, org: Option<&OrgId>) -> Result<ReceivedCounts, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT count(*) AS held, count(*) FILTER (WHERE head = 1) AS heads,
                 count(*) FILTER (WHERE status = 'conflict') AS conflicts,
                 count(*) FILTER (WHERE out_of_scope = 1) AS out_of_scope FROM received",
        );
        if let Some(org) = org {
            query.push(" WHERE org = ").push_bind(org.as_str());
        }
        let row = query.build().fetch_one(&self.pools.readers).await.map_err(StoreError::sql("received_counts"))?;
        let row = Record::new("received", &row);
        Ok(ReceivedCounts {
            held: row.number("held")?,
            heads: row.number("heads")?,
            conflicts: row.number("conflicts")?,
            out_of_scope: row.number("out_of_scope")?,
        })
    }

    /// The last receipt number that was given out; 0 before the first.
    pub async fn received_last_no(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("SELECT coalesce(max(receipt_no), 0) FROM received")
            .fetch_one(&self.pools.readers)
            .await
            .map_err(StoreError::sql("received_last_no"))
    }

    fn received_payload(&self, sealed: &SqliteRow) -> Result<ReceivedPayload, StoreError> {
        let item = item(sealed)?;
        let Some(bytes) = Record::new("received", sealed).get("payload")? else {
            return Ok(ReceivedPayload { item, payload: Vec::new() });
        };
        let payload = self.unseal("received", item.id.as_bytes(), "payload", bytes)?;
        if !item.sealed && Digest::of(&payload) != item.envelope.digest {
            return Err(StoreError::damaged(format!("received item {}", item.id)));
        }
        Ok(ReceivedPayload { item, payload })
    }
}

fn push_filter(query: &mut QueryBuilder<Sqlite>, filter: &ReceivedFilter, limit: u32) {
    query.push(" FROM received WHERE receipt_no > ").push_bind(filter.after);
    if let Some(org) = &filter.org {
        query.push(" AND org = ").push_bind(org.as_str());
    }
    if let Some(kind) = filter.kind {
        query.push(" AND kind = ").push_bind(kind.as_str());
    }
    if let Some(item) = filter.item {
        query.push(" AND item = ").push_bind(item);
    }
    if let Some(delivery) = &filter.delivery {
        query.push(" AND delivery = ").push_bind(delivery);
    }
    if let Some(test_taker) = &filter.test_taker {
        query.push(" AND test_taker = ").push_bind(test_taker);
    }
    if let Some(status) = &filter.status {
        query.push(" AND status = ").push_bind(status);
    }
    if let Some(since) = filter.since {
        query.push(" AND received_at >= ").push_bind(since.as_millisecond());
    }
    query.push(" ORDER BY receipt_no LIMIT ").push_bind(limit);
}

fn item(row: &SqliteRow) -> Result<ReceivedItem, StoreError> {
    let row = Record::new("received", row);
    Ok(ReceivedItem {
        id: row.get("id")?,
        envelope: row.json("envelope")?,
        org: row.word("org")?,
        handed_in_by: row.get("handed_in_by")?,
        status: row.get("status")?,
        head: row.flag("head")?,
        sealed: row.flag("sealed")?,
        erased: row.flag("erased")?,
        signed: row.flag("signed")?,
        out_of_scope: row.flag("out_of_scope")?,
        receipt_no: row.get("receipt_no")?,
        received_at: row.time("received_at")?,
    })
}
