//! Where the replica of an org stands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use taosync_model::continuation::Shown;
use taosync_model::scope::Positions;
use taosync_model::{Digest, EntityType, OrgId, SetDigest};
use uuid::Uuid;

use crate::tx::Snapshot;
use crate::values::Record;
use crate::{Durability, Store, StoreError};

/// The replica of one org.
#[derive(Clone, Debug)]
pub struct ReplicaScope {
    /// Row number.
    pub id: i64,
    /// The remote it comes from.
    pub remote: Uuid,
    /// The org.
    pub org: OrgId,
    /// Central's epoch at the last successful sync.
    pub epoch: Option<Uuid>,
    /// What is shown to central (DESIGN §4, "Which node"); [`Store::continuation_prepare`] makes it ready.
    pub continuation: Shown,
    /// Whether positions are not to be trusted: the next sync compares.
    pub compare_due: bool,
    /// When the digests were last equal.
    pub verified_at: Option<Timestamp>,
    /// When data was last received, equal or not.
    pub synced_at: Option<Timestamp>,
    /// Central's items up to this receipt are in a verified backup.
    pub safe_receipt_no: i64,
    /// Highest receipt number ever seen from this central.
    pub top_receipt_no: i64,
    /// Per type.
    pub types: BTreeMap<EntityType, ReplicaType>,
}

/// One type of a replica.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaType {
    /// Everything up to this number is applied.
    pub seq: i64,
    /// Sum of the members' hashes.
    pub digest: SetDigest,
    /// Entities held.
    pub count: i64,
    /// Links held.
    pub links: i64,
}

/// What a finished sync learned.
#[derive(Clone, Copy, Debug)]
pub struct Learned<'a> {
    /// Whose history the positions belong to; a TAO central does not say.
    pub epoch: Option<Uuid>,
    /// What was shown to central, and how many steps it has counted with that; none when the step is not taken yet.
    pub step: Option<(&'a Shown, u64)>,
    /// Whether everything was compared.
    pub compared: bool,
    /// Central's items up to this receipt are in a verified backup.
    pub safe_receipt_no: i64,
    /// Highest receipt number central has given; a lower one next time means that it went back.
    pub top_receipt_no: i64,
    /// What comparing the digests gave.
    pub verdict: Verdict,
}

/// Where central's receipts stood when it was last asked; 0 before that. In one history neither number ever falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StandingHeard {
    /// Items up to this receipt are in a verified backup.
    pub safe_receipt_no: i64,
    /// Highest receipt number it had given.
    pub top_receipt_no: i64,
}

/// What comparing the digests of all types gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Equal, at this moment.
    Equal(Timestamp),
    /// Not equal.
    Unequal,
    /// Not all types were asked for.
    Open,
}

impl ReplicaScope {
    /// The position per type.
    pub fn positions(&self) -> Positions {
        Positions(self.types.iter().map(|(t, state)| (*t, state.seq)).collect())
    }
}

impl Store {
    /// The replica of an org, made empty when there is none.
    pub async fn replica_open(&self, remote: Uuid, org: &OrgId) -> Result<ReplicaScope, StoreError> {
        let mut tx = self.write("replica_open", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO replica_scope (id, remote, org, safe_receipt_no, top_receipt_no)
             SELECT coalesce(max(id), 0) + 1, $1, $2, 0, 0 FROM replica_scope WHERE true ON CONFLICT (remote, org) DO NOTHING",
        )
        .bind(remote)
        .bind(org.as_str())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        for entity_type in EntityType::FEED {
            sqlx::query(
                "INSERT INTO replica_type (scope, type, seq, set_digest, count, links)
                 SELECT id, $1, 0, $2, 0, 0 FROM replica_scope WHERE remote = $3 AND org = $4
                 ON CONFLICT (scope, type) DO NOTHING",
            )
            .bind(entity_type.code())
            .bind(SetDigest::EMPTY.to_digest().0.to_vec())
            .bind(remote)
            .bind(org.as_str())
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        }
        tx.commit().await?;
        let found = self.replicas_list().await?.into_iter().find(|r| r.remote == remote && &r.org == org);
        found.ok_or_else(|| StoreError::damaged(format!("the replica of org {org}")))
    }

    /// A replica by its number, as it stands now.
    pub async fn replica_again(&self, id: i64) -> Result<ReplicaScope, StoreError> {
        let found = self.replicas_list().await?.into_iter().find(|r| r.id == id);
        found.ok_or_else(|| StoreError::NotFound { what: "the replica".into(), advice: "import the central again" })
    }

    /// All replicas.
    pub async fn replicas_list(&self) -> Result<Vec<ReplicaScope>, StoreError> {
        let mut snapshot = self.read("replicas_list").await?;
        replicas(&mut snapshot).await
    }

    /// Central calls the org by another name now: the replica follows.
    pub async fn replica_rename(&self, scope: i64, org: &OrgId) -> Result<(), StoreError> {
        let mut tx = self.write("replica_rename", Durability::Flushed).await?;
        let sql = tx.sql();
        for statement in [
            "UPDATE outbox SET org = $2 WHERE state <> 'sent' AND org = (SELECT org FROM replica_scope WHERE id = $1)",
            "UPDATE execution SET org = $2 WHERE org = (SELECT org FROM replica_scope WHERE id = $1)",
            "UPDATE runner_key SET orgs =
                 (SELECT json_group_array(CASE WHEN value = s.org THEN $2 ELSE value END) FROM json_each(orgs))
             FROM replica_scope s WHERE s.id = $1 AND orgs IS NOT NULL",
            "UPDATE replica_scope SET org = $2 WHERE id = $1",
        ] {
            sqlx::query(statement).bind(scope).bind(org.as_str()).execute(tx.conn()).await.map_err(&sql)?;
        }
        tx.commit().await
    }

    /// Keeps what a finished sync learned. `synced_at > verified_at` means that the last whole sync did not end equal.
    pub async fn replica_finish(&self, scope: i64, learned: &Learned<'_>) -> Result<(), StoreError> {
        let (verified, synced) = match learned.verdict {
            Verdict::Equal(at) => (Some(at.as_millisecond()), Some(at.as_millisecond())),
            Verdict::Unequal => (None, Some(self.now_ms())),
            Verdict::Open => (None, None),
        };
        let mut tx = self.write("replica_finish", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE replica_scope SET epoch = $2, top_receipt_no = $4,
             safe_receipt_no = CASE WHEN epoch IS $2 THEN max(safe_receipt_no, $3) ELSE $3 END,
             verified_at = coalesce($5, verified_at), synced_at = coalesce($6, synced_at),
             compare_due = CASE WHEN $7 THEN 0 ELSE compare_due END
             WHERE id = $1",
        )
        .bind(scope)
        .bind(learned.epoch)
        .bind(learned.safe_receipt_no)
        .bind(learned.top_receipt_no)
        .bind(verified)
        .bind(synced)
        .bind(learned.compared)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        if let Some((shown, steps)) = learned.step {
            tx.continuation_done(scope, shown, steps).await?;
        }
        tx.commit().await
    }

    /// Notes whose history the positions belong to, before the first of them is stored. Numbers of receipts begin anew
    /// with it: what was safe in another history says nothing.
    pub async fn replica_begin(&self, scope: i64, epoch: Uuid) -> Result<(), StoreError> {
        let mut tx = self.write("replica_begin", Durability::Relaxed).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE replica_scope SET epoch = $2, safe_receipt_no = 0, top_receipt_no = 0
             WHERE id = $1 AND epoch IS NOT $2",
        )
        .bind(scope)
        .bind(epoch)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// What central said about its receipts when data were last received, in the history it shows now; nothing of
    /// another one.
    pub async fn standing_heard(&self, org: &OrgId, central: Uuid, epoch: Uuid) -> Result<StandingHeard, StoreError> {
        let row: Option<(i64, i64)> = sqlx::query_as(
            "SELECT s.safe_receipt_no, s.top_receipt_no FROM replica_scope s JOIN remote r ON r.id = s.remote
             WHERE s.org = $1 AND r.central = $2 AND s.epoch = $3",
        )
        .bind(org.as_str())
        .bind(central)
        .bind(epoch)
        .fetch_optional(&self.pools.readers)
        .await
        .map_err(StoreError::sql("standing_heard"))?;
        let (safe_receipt_no, top_receipt_no) = row.unwrap_or_default();
        Ok(StandingHeard { safe_receipt_no, top_receipt_no })
    }
}

async fn replicas(snapshot: &mut Snapshot) -> Result<Vec<ReplicaScope>, StoreError> {
    let sql = snapshot.sql();
    let scopes =
        sqlx::query("SELECT * FROM replica_scope ORDER BY id").fetch_all(snapshot.conn()).await.map_err(&sql)?;
    let types: Vec<(i64, i64, i64, Vec<u8>, i64, i64)> =
        sqlx::query_as("SELECT scope, type, seq, set_digest, count, links FROM replica_type ORDER BY scope, type")
            .fetch_all(snapshot.conn())
            .await
            .map_err(&sql)?;
    let mut list = Vec::new();
    for row in &scopes {
        let mut scope = replica(row)?;
        for (_, code, seq, digest, count, links) in types.iter().filter(|t| t.0 == scope.id) {
            let digest = Digest::from_slice(digest).map_err(|_| StoreError::damaged("a replica's digest"))?;
            let state = ReplicaType { seq: *seq, digest: SetDigest::from_digest(digest), count: *count, links: *links };
            scope.types.extend(EntityType::from_code(*code).map(|t| (t, state)));
        }
        list.push(scope);
    }
    Ok(list)
}

fn replica(row: &SqliteRow) -> Result<ReplicaScope, StoreError> {
    let row = Record::new("replica_scope", row);
    Ok(ReplicaScope {
        id: row.get("id")?,
        remote: row.get("remote")?,
        org: row.word("org")?,
        epoch: row.get("epoch")?,
        continuation: Shown {
            count: row.number("steps")?,
            have: row.get("continuation")?,
            next: row.get("next_continuation")?,
            claim: row.word("claim")?,
        },
        compare_due: row.flag("compare_due")?,
        verified_at: row.time_or_none("verified_at")?,
        synced_at: row.time_or_none("synced_at")?,
        safe_receipt_no: row.get("safe_receipt_no")?,
        top_receipt_no: row.get("top_receipt_no")?,
        types: BTreeMap::new(),
    })
}
