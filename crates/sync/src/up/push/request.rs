//! What one request with items carries: how much is picked for it, what cannot travel at all, and which items are signed
//! together.

use std::collections::HashSet;

use taosync_model::Digest;
use taosync_model::item::{Envelope, Refusal};
use taosync_store::outbox::OutboxItem;
use taosync_vault::item_proof;
use taosync_vault::node_key::NodeKey;
use taosync_wire::frame::{FrameWriter, MAX_BODY, MAX_HEADER};
use taosync_wire::v1::outbox::{MAX_UNSIGNED, MAX_UNSIGNED_BYTES, OutboxFrame};
use uuid::Uuid;

/// How many payload bytes are picked for the next request, so that it has `wanted` bytes as it travels: the last one says
/// how much smaller it gets. At most twice as many, as the next may be packed less well.
pub(super) fn budget(wanted: u64, stored: u64, travelled: u64) -> u64 {
    let next = u128::from(wanted) * u128::from(stored) / u128::from(travelled.max(1));
    u64::try_from(next).unwrap_or(u64::MAX).clamp(wanted, wanted.saturating_mul(2))
}

/// Whether the protocol carries an item.
pub(super) fn fits(envelope: &Envelope) -> bool {
    // A character becomes six bytes of JSON at most; all other fields together stay far below 1,024 bytes.
    let texts = [Some(envelope.org.as_str()), envelope.delivery.as_deref(), envelope.test_taker.as_deref()];
    let longest = 1024 + 6 * texts.into_iter().flatten().map(str::len).sum::<usize>();
    // 64 bytes are more than the frame's own name and braces take.
    let header = || serde_json::to_vec(envelope).map_or(usize::MAX, |json| json.len().saturating_add(64));
    envelope.size <= MAX_BODY && (longest <= MAX_HEADER || header() <= MAX_HEADER)
}

/// What is said of an item that does not [fit](fits).
pub(super) fn too_large(envelope: &Envelope) -> Refusal {
    let bytes = envelope.size;
    Refusal {
        item: envelope.item,
        version: envelope.version,
        code: "too_large".into(),
        reason: format!("it has {bytes} bytes, more than the protocol carries; export it and hand it in as a file"),
    }
}

/// The bytes of a request. Items are signed now, by the key this node has now: it vouches for what it hands in, also for
/// what it made before its key was renewed. Those in `alone` have a signature each.
pub(super) fn pack(
    items: Vec<OutboxItem>,
    alone: &HashSet<(Uuid, u32)>,
    key: &NodeKey,
) -> Result<Vec<u8>, std::io::Error> {
    let mut writer = FrameWriter::of_heads()?;
    for batch in batches(items, alone) {
        let leaves: Vec<Digest> = batch.iter().map(|item| item_proof::leaf_of(&item.envelope)).collect();
        for OutboxItem { envelope, payload, .. } in batch {
            writer.push(&OutboxFrame::Item(Box::new(envelope)), &payload)?;
        }
        writer.push(&OutboxFrame::Signed { signature: item_proof::sign_batch(key, &leaves) }, &[])?;
    }
    writer.push(&OutboxFrame::End, &[])?;
    writer.finish()
}

/// The items as they are signed: as many together as may be.
fn batches(items: Vec<OutboxItem>, alone: &HashSet<(Uuid, u32)>) -> Vec<Vec<OutboxItem>> {
    let is_alone = |item: &OutboxItem| alone.contains(&(item.envelope.item, item.envelope.version));
    let (mut batches, mut bytes): (Vec<Vec<OutboxItem>>, u64) = (Vec::new(), 0);
    for item in items {
        let size = item.envelope.size;
        let has_room = |batch: &&mut Vec<OutboxItem>| {
            batch.len() < MAX_UNSIGNED && bytes < MAX_UNSIGNED_BYTES && !is_alone(&item) && !batch.iter().any(is_alone)
        };
        match batches.last_mut().filter(has_room) {
            Some(batch) => {
                bytes = bytes.saturating_add(size);
                batch.push(item);
            }
            None => {
                bytes = size;
                batches.push(vec![item]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_large_as_wanted_when_it_travels() {
        assert_eq!(budget(100, 1000, 1000), 100);
        assert_eq!(budget(100, 1000, 800), 125);
        assert_eq!(budget(100, 1000, 10), 200, "never more than twice as much");
        assert_eq!(budget(100, 1000, 2000), 100, "never less");
        assert_eq!(budget(u64::MAX, u64::MAX, 0), u64::MAX);
    }
}
