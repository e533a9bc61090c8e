//! People, and what is held of them: what an erasure reaches, and the list that keeps an older backup from bringing back what
//! was erased. The list names nobody: it holds keyed hashes of URIs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;
use taosync_model::{EntityType, OrgId, vocabulary};
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::predicates::relation_code;
use crate::rows;
use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx};

/// The keyed hash of a person's URI.
pub type Subject = [u8; 16];

/// A person who was erased here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasedSubject {
    /// Who, for whoever has the URI and this node's key.
    pub subject: Subject,
    /// When, by this node's clock.
    pub at: Timestamp,
}

impl Store {
    /// The hash under which a person is remembered as erased.
    pub fn subject(&self, uri: &str) -> Subject {
        self.keyring.index().exact("subject", uri)
    }

    /// Erases the answers, logs and sessions of people at central and remembers the people as erased; says how many items
    /// lost their payload. Consumers that they connected as sync managers go on without their names. What they were, for whom they count and their receipts stay. What comes in later from such a
    /// person is received without its payload.
    pub async fn subjects_erase(&self, tx: &mut Tx, uris: &[String]) -> Result<u64, StoreError> {
        let subjects: BTreeSet<Subject> = uris.iter().map(|uri| self.subject(uri)).collect();
        self.subjects_note(tx, &subjects).await?;
        self.managers_erase(tx, uris).await?;
        let sql = tx.sql();
        // Later log rows name the attempt, not the person.
        let erased = sqlx::query(
            "WITH theirs AS MATERIALIZED
                 (SELECT item FROM received WHERE test_taker IN (SELECT value FROM json_each($1)))
             UPDATE received SET payload = NULL WHERE payload IS NOT NULL AND (item IN (SELECT item FROM theirs)
               OR replace(envelope ->> 'execution', '-', '') IN (SELECT lower(hex(item)) FROM theirs))",
        )
        .bind(rows::text_array(uris.iter().map(String::as_str)))
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        Ok(erased.rows_affected())
    }

    /// Everybody who was erased here, in the order of hashes.
    pub async fn subjects_erased(&self) -> Result<Vec<ErasedSubject>, StoreError> {
        let rows = sqlx::query("SELECT subject, at FROM erased_subject ORDER BY subject")
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("subjects_erased"))?;
        rows.iter()
            .map(|row| {
                let row = Record::new("erased_subject", row);
                let subject = row.get::<&[u8]>("subject")?.try_into();
                Ok(ErasedSubject {
                    subject: subject.map_err(|_| StoreError::damaged("erased_subject.subject"))?,
                    at: row.time("at")?,
                })
            })
            .collect()
    }

    /// The URIs, among people and among those whose results are held, that belong to these hashes.
    pub async fn subjects_found(&self, subjects: &BTreeSet<Subject>) -> Result<Vec<String>, StoreError> {
        let people: i64 = EntityType::PEOPLE.into_iter().map(EntityType::bit).sum();
        let uris: Vec<String> = sqlx::query_scalar(
            "SELECT uri FROM entity WHERE (types & $1) <> 0
             UNION SELECT test_taker FROM received WHERE test_taker IS NOT NULL AND payload IS NOT NULL",
        )
        .bind(people)
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("subjects_found"))?;
        Ok(uris.into_iter().filter(|uri| subjects.contains(&self.subject(uri))).collect())
    }

    async fn subjects_note(&self, tx: &mut Tx, subjects: &BTreeSet<Subject>) -> Result<(), StoreError> {
        let (list, now): (Vec<&Subject>, i64) = (subjects.iter().collect(), self.now_ms());
        let sql = tx.sql();
        rows::insert(
            tx.conn(),
            "INSERT INTO erased_subject (subject, at) ",
            &list,
            "ON CONFLICT DO NOTHING",
            |mut row, subject| {
                row.push_bind(subject.to_vec()).push_bind(now);
            },
        )
        .await
        .map_err(sql)
    }

    /// Remembers people as erased who were erased in another history of this node, such as after the backup it was
    /// restored from.
    pub async fn subjects_remember(&self, subjects: &BTreeSet<Subject>) -> Result<(), StoreError> {
        let mut tx = self.write("subjects_remember", Durability::Flushed).await?;
        self.subjects_note(&mut tx, subjects).await?;
        tx.commit().await
    }

    /// The eligibilities that name a test taker.
    pub async fn eligibilities_naming(&self, taker: &str) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT o.uri FROM entity t JOIN relation r ON r.target = t.id AND r.predicate = $2
             JOIN entity o ON o.id = r.owner WHERE t.uri = $1 ORDER BY o.uri",
        )
        .bind(taker)
        .bind(relation_code(vocabulary::ELIGIBLE_TEST_TAKER))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("eligibilities_naming"))
    }

    /// Held items whose payload is older than it may become.
    pub async fn answers_due(&self, before: Timestamp) -> Result<u64, StoreError> {
        let due: i64 =
            sqlx::query_scalar("SELECT count(*) FROM received WHERE payload IS NOT NULL AND received_at < $1")
                .bind(before.as_millisecond())
                .fetch_one(&self.pools.readers)
                .await
                .map_err(StoreError::sql("answers_due"))?;
        Ok(due.unsigned_abs())
    }

    /// Erases those payloads.
    pub async fn answers_expire(&self, tx: &mut Tx, before: Timestamp) -> Result<u64, StoreError> {
        let sql = tx.sql();
        let query = sqlx::query("UPDATE received SET payload = NULL WHERE payload IS NOT NULL AND received_at < $1");
        let erased = query.bind(before.as_millisecond()).execute(tx.conn()).await.map_err(sql)?;
        Ok(erased.rows_affected())
    }

    /// Test takers whom no eligibility names and who were not changed since.
    pub async fn takers_idle(&self, before: Timestamp) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT uri FROM entity e WHERE (e.types & $1) <> 0 AND e.changed_at < $2
               AND NOT EXISTS (SELECT 1 FROM relation r WHERE r.target = e.id AND r.predicate = $3)
             ORDER BY e.id",
        )
        .bind(EntityType::TestTaker.bit())
        .bind(before.as_millisecond())
        .bind(relation_code(vocabulary::ELIGIBLE_TEST_TAKER))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("takers_idle"))
    }

    /// The eligibilities that name one of these deliveries.
    pub async fn eligibilities_of(&self, deliveries: &[&str]) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT DISTINCT o.uri FROM json_each($1) j CROSS JOIN entity d ON d.uri = j.value
             CROSS JOIN relation r ON r.target = d.id AND r.predicate = $2
             CROSS JOIN entity o ON o.id = r.owner AND (o.types & $3) <> 0 ORDER BY o.uri",
        )
        .bind(rows::text_array(deliveries.iter().copied()))
        .bind(relation_code(vocabulary::ELIGIBLE_DELIVERY))
        .bind(EntityType::Eligibility.bit())
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("eligibilities_of"))
    }

    /// On local: erases what is kept here of the attempts of people whom central has removed, once central holds it
    /// safely (as [`Store::outbox_purge`], but at once). Says how many copies went. Nothing goes because it is absent: a
    /// person leaves the replica by central's word only.
    pub async fn departed_purge(&self, org: &OrgId, epoch: Uuid, safe_receipt_no: i64) -> Result<u64, StoreError> {
        let mut tx = self.write("departed_purge", Durability::Flushed).await?;
        let sql = tx.sql();
        let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "UPDATE outbox SET bytes = NULL, hidden = 1
             WHERE state = 'sent' AND bytes IS NOT NULL AND org = $1 AND receipt_no <= $2
               AND EXISTS (SELECT 1 FROM outbox_receipt r WHERE r.id = outbox.id AND r.epoch = $3)
               AND EXISTS (SELECT 1 FROM execution e WHERE e.id = coalesce(outbox.execution, outbox.item)
                   AND e.digest IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM replica_entry t WHERE t.uri = e.test_taker)
                   AND NOT EXISTS (SELECT 1 FROM parted_entry p WHERE p.uri = e.test_taker))
             RETURNING id, coalesce(execution, item)",
        )
        .bind(org.as_str())
        .bind(safe_receipt_no)
        .bind(epoch)
        .fetch_all(tx.conn())
        .await
        .map_err(&sql)?;
        if rows.is_empty() {
            return Ok(0);
        }
        let (items, attempts) =
            (rows::id_array(rows.iter().map(|(id, _)| id)), rows::id_array(rows.iter().map(|(_, attempt)| attempt)));
        for (statement, ids) in [
            ("UPDATE outbox_content SET payload = NULL WHERE id IN (SELECT unhex(value) FROM json_each($1))", &items),
            ("DELETE FROM outbox_readable WHERE id IN (SELECT unhex(value) FROM json_each($1))", &items),
            ("DELETE FROM execution_part WHERE execution IN (SELECT unhex(value) FROM json_each($1))", &attempts),
            (
                "UPDATE execution SET resume_until = NULL WHERE id IN (SELECT unhex(value) FROM json_each($1))",
                &attempts,
            ),
        ] {
            sqlx::query(statement).bind(ids).execute(tx.conn()).await.map_err(&sql)?;
        }
        let copies = rows.len() as u64;
        let entry = AuditEntry {
            actor: "server",
            act: "retention.purge",
            object: org.as_str(),
            detail: json!({"copies": copies}),
        };
        self.audit_add(&mut tx, &entry).await?;
        tx.setting_add(&purged_setting(org), copies as i64).await?;
        tx.commit().await?;
        Ok(copies)
    }

    /// How many copies ever went so, for an organisation.
    pub async fn departed_purged(&self, org: &OrgId) -> Result<u64, StoreError> {
        let number = self.setting_get(&purged_setting(org)).await?;
        Ok(number.and_then(|text| text.parse().ok()).unwrap_or(0))
    }
}

fn purged_setting(org: &OrgId) -> String {
    format!("purged_copies.{org}")
}

impl Tx {
    /// Whether anybody was ever erased here: mostly not, and then nobody is looked up.
    pub(crate) async fn has_erased(&mut self) -> Result<bool, StoreError> {
        let sql = self.sql();
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM erased_subject)");
        query.fetch_one(self.conn()).await.map_err(sql)
    }

    /// Which of these hashes belong to people who were erased.
    pub(crate) async fn erased_among(&mut self, subjects: &[Subject]) -> Result<BTreeSet<Subject>, StoreError> {
        let sql = self.sql();
        let list: Vec<String> = subjects.iter().map(hex::encode).collect();
        let found: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT e.subject FROM json_each($1) j CROSS JOIN erased_subject e ON e.subject = unhex(j.value)",
        )
        .bind(rows::text_array(list.iter().map(String::as_str)))
        .fetch_all(self.conn())
        .await
        .map_err(sql)?;
        Ok(found.into_iter().filter_map(|subject| subject.try_into().ok()).collect())
    }
}
