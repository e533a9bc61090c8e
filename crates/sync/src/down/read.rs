//! Turning frames of a feed into chunks that can be applied: the only place that reads what central says about
//! entities.

use taosync_model::canonical::entity_digest;
use taosync_model::{Entity, EntityType, vocabulary};
use taosync_store::replica::{Chunk, Link, Removal, Upsert};
use taosync_wire::v1::feed::{self, FeedFrame};

use crate::link::LinkError;

/// Adds the word of a frame to a chunk. Bodies are checked to be entities, and hashed from what was read, not from what
/// was said.
pub(super) fn add(chunk: &mut Chunk, frame: FeedFrame, body: Vec<u8>) -> Result<(), LinkError> {
    match frame {
        FeedFrame::Upsert(head) => chunk.upserts.push(upsert(head, body)?),
        FeedFrame::Link(link) => chunk.links.push(Link {
            entity_type: link.entity_type,
            owner: link.owner,
            predicate: link.predicate,
            value: link.value,
            present: !link.gone,
        }),
        FeedFrame::Remove(remove) => {
            chunk.removes.push(Removal { entity_type: remove.entity_type, seq: remove.seq, uri: remove.uri });
        }
        _ => return Err(LinkError::Protocol("a frame that does not belong here".into())),
    }
    Ok(())
}

/// The entity that a frame brings.
pub(super) fn entity(head: &feed::Upsert, body: &[u8]) -> Result<Entity, LinkError> {
    serde_json::from_slice(body).map_err(|error| {
        let (seq, column) = (head.seq, error.column());
        LinkError::Protocol(format!("{} number {seq} is not an entity (column {column})", head.entity_type))
    })
}

fn upsert(head: feed::Upsert, body: Vec<u8>) -> Result<Upsert, LinkError> {
    Ok(upsert_of(head.entity_type, head.seq, entity(&head, &body)?, body))
}

/// An entity, and its JSON as it came or was made, as a row of the replica.
pub(crate) fn upsert_of(entity_type: EntityType, seq: i64, entity: Entity, body: Vec<u8>) -> Upsert {
    let is_person = matches!(entity_type, EntityType::Administrator | EntityType::Proctor | EntityType::TestTaker);
    Upsert {
        entity_type,
        seq,
        digest: entity_digest(&entity),
        login: is_person.then(|| entity.first(vocabulary::USER_LOGIN).map(ToOwned::to_owned)).flatten(),
        uri: entity.uri,
        body,
    }
}
