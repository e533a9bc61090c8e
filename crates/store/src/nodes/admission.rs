//! Which machine may use a consumer: the first whose key comes with its secret, and those that follow it by its own word.

use serde_json::json;
use taosync_vault::succession::Follows;
use uuid::Uuid;

use super::NodeHello;
use crate::audit::AuditEntry;
use crate::{Durability, Store, StoreError, Tx};

/// A key the node had before, and what it says the new one is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerThumbprint {
    /// Thumbprint of the former key.
    pub thumbprint: String,
    /// What the new key is for.
    pub follows: Follows,
}

/// What became of a local server that asks for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum NodeSeen {
    /// It is noted.
    Noted,
    /// The id is known with another key.
    OtherKey,
    /// The consumer belongs to another machine; the office is told.
    Stranger,
    /// Its consumer has as many nodes as it may have, and this one would be one more.
    TooMany,
}

/// What a machine is to a consumer.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Its key is one of the consumer's.
    Known,
    /// The consumer is nobody's yet.
    First,
    /// A copy that became a machine of its own, by the word of a key of the consumer's.
    Follower,
    /// A known node with a new key, by the word of the one before.
    Rekeyed(String),
    /// A known node id with a key that nobody vouches for.
    OtherKey,
    /// Somebody else.
    Stranger,
}

/// `known` is the key of the node with this id, `bound` those of the consumer.
fn stand(node: &NodeHello, known: Option<&str>, bound: &[String]) -> Standing {
    let is_bound = |thumbprint: &String| bound.contains(thumbprint);
    let is_vouched = node.former.iter().any(|former| is_bound(&former.thumbprint));
    if let Some(known) = known.filter(|known| *known != node.thumbprint) {
        let says_so = |former: &FormerThumbprint| former.thumbprint == known && former.follows == Follows::SameNode;
        let may_use = bound.is_empty() || is_bound(&node.thumbprint) || is_vouched;
        let is_successor = node.former.iter().any(says_so);
        return if is_successor && may_use { Standing::Rekeyed(known.to_owned()) } else { Standing::OtherKey };
    }
    match bound {
        [] => Standing::First,
        _ if is_bound(&node.thumbprint) => Standing::Known,
        _ if is_vouched => Standing::Follower,
        _ => Standing::Stranger,
    }
}

async fn is_shared_by_boxes(tx: &mut Tx, consumer: Uuid) -> Result<bool, StoreError> {
    let sql = tx.sql();
    let query = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM consumer WHERE id = $1 AND handshake_of IS NOT NULL AND handshake_key IS NULL)",
    );
    query.bind(consumer).fetch_one(tx.conn()).await.map_err(sql)
}

impl Store {
    /// Notes a local server that asks for a token, if its consumer is its own or nobody's, and has less than `most`
    /// other nodes.
    pub async fn node_seen(&self, node: &NodeHello, most: u32) -> Result<NodeSeen, StoreError> {
        let mut tx = self.write("node_seen", Durability::Flushed).await?;
        let sql = tx.sql();
        let known: Option<String> = sqlx::query_scalar("SELECT thumbprint FROM node WHERE id = $1")
            .bind(node.id)
            .fetch_optional(tx.conn())
            .await
            .map_err(&sql)?;
        let bound: Vec<String> = sqlx::query_scalar("SELECT thumbprint FROM consumer_key WHERE consumer = $1")
            .bind(node.consumer)
            .fetch_all(tx.conn())
            .await
            .map_err(&sql)?;
        let standing = match stand(node, known.as_deref(), &bound) {
            // What all TAO boxes of a sync manager share is no machine's own: one would shut the others out.
            Standing::First if is_shared_by_boxes(&mut tx, node.consumer).await? => Standing::Stranger,
            standing => standing,
        };
        if matches!(standing, Standing::OtherKey | Standing::Stranger) {
            self.stranger_note(&mut tx, node).await?;
            tx.commit().await?;
            return Ok(if standing == Standing::Stranger { NodeSeen::Stranger } else { NodeSeen::OtherKey });
        }
        let others: i64 = sqlx::query_scalar("SELECT count(*) FROM node WHERE consumer = $1 AND id <> $2")
            .bind(node.consumer)
            .bind(node.id)
            .fetch_one(tx.conn())
            .await
            .map_err(&sql)?;
        if others >= i64::from(most) {
            return Ok(NodeSeen::TooMany);
        }
        match &standing {
            Standing::First | Standing::Follower => self.key_bind(&mut tx, node).await?,
            Standing::Rekeyed(old) => self.key_replace(&mut tx, node, old).await?,
            Standing::Known | Standing::OtherKey | Standing::Stranger => {}
        }
        self.node_put(&mut tx, node).await?;
        tx.commit().await?;
        Ok(NodeSeen::Noted)
    }

    async fn node_put(&self, tx: &mut Tx, node: &NodeHello) -> Result<(), StoreError> {
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO node (id, thumbprint, public_key, recipient, consumer, version, first_seen, last_seen)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
             ON CONFLICT (id) DO UPDATE SET thumbprint = excluded.thumbprint, public_key = excluded.public_key,
                 recipient = excluded.recipient, consumer = excluded.consumer, version = excluded.version,
                 last_seen = excluded.last_seen",
        )
        .bind(node.id)
        .bind(&node.thumbprint)
        .bind(node.public_key.as_slice())
        .bind(&node.recipient)
        .bind(node.consumer)
        .bind(&node.version)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        Ok(())
    }

    /// Plain tokens of TAO's protocol end: from now on the consumer is a machine's, by its key.
    async fn key_bind(&self, tx: &mut Tx, node: &NodeHello) -> Result<(), StoreError> {
        let sql = tx.sql();
        sqlx::query("DELETE FROM token WHERE consumer = $1 AND node IS NULL")
            .bind(node.consumer)
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        sqlx::query("INSERT INTO consumer_key (consumer, thumbprint, bound_at) VALUES ($1, $2, $3)")
            .bind(node.consumer)
            .bind(&node.thumbprint)
            .bind(self.now_ms())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        self.admission_audit(tx, node, "consumer.bind", node.consumer).await
    }

    /// The old key is good for nothing any more, its tokens neither.
    async fn key_replace(&self, tx: &mut Tx, node: &NodeHello, old: &str) -> Result<(), StoreError> {
        let sql = tx.sql();
        for statement in [
            "INSERT INTO consumer_key (consumer, thumbprint, bound_at)
             SELECT $1, $2, $3 WHERE true ON CONFLICT DO NOTHING",
            "INSERT INTO consumer_key (consumer, thumbprint, bound_at)
             SELECT consumer, $2, $3 FROM consumer_key WHERE thumbprint = $4 ON CONFLICT DO NOTHING",
            "DELETE FROM consumer_key WHERE thumbprint = $4",
            "UPDATE consumer SET handshake_key = $2 WHERE handshake_key = $4",
            "DELETE FROM token WHERE node = $5",
        ] {
            let query = sqlx::query(statement).bind(node.consumer).bind(&node.thumbprint).bind(self.now_ms());
            query.bind(old).bind(node.id).execute(tx.conn()).await.map_err(&sql)?;
        }
        self.admission_audit(tx, node, "node.rotate-key", node.id).await
    }

    /// Notes a machine that came with the secret of a consumer that is not its own. Each is told to the log once, so
    /// that one that keeps trying does not fill it.
    async fn stranger_note(&self, tx: &mut Tx, node: &NodeHello) -> Result<(), StoreError> {
        let sql = tx.sql();
        let last: Option<String> = sqlx::query_scalar("SELECT stranger FROM consumer WHERE id = $1")
            .bind(node.consumer)
            .fetch_one(tx.conn())
            .await
            .map_err(&sql)?;
        sqlx::query("UPDATE consumer SET stranger = $2, stranger_node = $3, stranger_at = $4 WHERE id = $1")
            .bind(node.consumer)
            .bind(&node.thumbprint)
            .bind(node.id)
            .bind(self.now_ms())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        if last.as_ref() == Some(&node.thumbprint) {
            return Ok(());
        }
        self.admission_audit(tx, node, "consumer.second-machine", node.consumer).await
    }

    async fn admission_audit(&self, tx: &mut Tx, node: &NodeHello, act: &str, object: Uuid) -> Result<(), StoreError> {
        let (actor, object) = (format!("node {}", node.id), object.to_string());
        let detail = json!({"node": node.id, "consumer": node.consumer, "thumbprint": node.thumbprint});
        self.audit_add(tx, &AuditEntry { actor: &actor, act, object: &object, detail }).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(key: &str, former: &[(&str, Follows)]) -> NodeHello {
        let former = former
            .iter()
            .map(|(thumbprint, follows)| FormerThumbprint { thumbprint: (*thumbprint).to_owned(), follows: *follows });
        NodeHello {
            id: Uuid::from_u128(5),
            thumbprint: key.to_owned(),
            public_key: [0; 32],
            recipient: String::new(),
            version: String::new(),
            consumer: Uuid::from_u128(6),
            former: former.collect(),
        }
    }

    #[test]
    fn the_first_key_has_the_consumer_and_others_need_its_word() {
        use Follows::{AnotherNode, SameNode};
        let bound = ["a".to_owned()];
        let stand = |key: &str, former: &[(&str, Follows)], known| stand(&hello(key, former), known, &bound);
        assert_eq!(super::stand(&hello("a", &[]), None, &[]), Standing::First);
        assert_eq!(stand("a", &[], None), Standing::Known);
        assert_eq!(stand("b", &[], None), Standing::Stranger);
        assert_eq!(stand("b", &[("x", AnotherNode)], None), Standing::Stranger);
        assert_eq!(stand("b", &[("x", AnotherNode), ("a", AnotherNode)], None), Standing::Follower);
        assert_eq!(stand("b", &[("a", SameNode)], Some("a")), Standing::Rekeyed("a".to_owned()));
        assert_eq!(stand("b", &[("a", AnotherNode)], Some("a")), Standing::OtherKey, "a renewal that was cut");
        assert_eq!(stand("b", &[], Some("a")), Standing::OtherKey);
        assert_eq!(stand("b", &[("x", SameNode)], Some("x")), Standing::OtherKey, "the consumer is another's");
        assert_eq!(stand("a", &[], Some("b")), Standing::OtherKey, "the old key after a rotation that was undone");
    }
}
