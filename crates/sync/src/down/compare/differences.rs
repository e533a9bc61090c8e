//! Local finds out what differs: in rounds of reconciliation, or, when they do not come to an end, by showing the ids of
//! everything it holds.

use std::collections::HashSet;

use taosync_model::SetItem;
use taosync_store::Store;
use taosync_store::replica::ReplicaScope;
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1;
use taosync_wire::v1::compare::{
    ListedFrame, ListingFrame, MAX_ITEMS, MAX_MESSAGE, Message, PART_BYTES, Part, RoundFrame, Stand, decode_ids,
};

use super::reconcile::{Broken, Reconciliation};
use crate::link::{Link, LinkError, Request};
use crate::session::SyncError;

/// Rounds after which the listing decides. Differences in a twentieth of a million entries need about ten.
pub const MAX_ROUNDS: u32 = 32;

/// What differs between a replica and central.
pub(super) struct Differences {
    /// Where central stood before it was read first.
    pub stand: Stand,
    /// Ids of what only local has.
    pub here: HashSet<[u8; 32]>,
    /// Ids of what only central has.
    pub there: HashSet<[u8; 32]>,
    /// Rounds of reconciliation.
    pub rounds: u32,
    /// Whether everything held was shown.
    pub listed: bool,
}

impl From<Broken> for SyncError {
    fn from(broken: Broken) -> Self {
        LinkError::Protocol(broken.to_string()).into()
    }
}

/// Finds what differs, by reconciliation if that comes to an end.
pub(super) async fn find(store: &Store, link: &Link, replica: &ReplicaScope) -> Result<Differences, SyncError> {
    let items = items(store, replica).await?;
    let (mut reconciliation, mut message) = blocking(move || Reconciliation::begin(items)).await?;
    let mut first: Option<Stand> = None;
    for rounds in 1..=MAX_ROUNDS {
        let (stand, answer) = round(link, message).await?;
        let first = first.get_or_insert(stand);
        let (back, next) = blocking(move || {
            let next = reconciliation.step(&answer)?;
            Ok((reconciliation, next))
        })
        .await?;
        reconciliation = back;
        match next {
            Some(next) => message = next,
            None => {
                let Reconciliation { here, there, .. } = reconciliation;
                return Ok(Differences { stand: first.clone(), here, there, rounds, listed: false });
            }
        }
    }
    let differences = list(store, link, replica).await?;
    Ok(Differences { rounds: MAX_ROUNDS, ..differences })
}

/// Finds what differs by showing everything.
pub(super) async fn list(store: &Store, link: &Link, replica: &ReplicaScope) -> Result<Differences, SyncError> {
    let ours: HashSet<[u8; 32]> = items(store, replica).await?.into_iter().map(|item| item.id).collect();
    let mut writer = FrameWriter::new().map_err(SyncError::Compress)?;
    let mut part = Vec::with_capacity(PART_BYTES);
    for id in &ours {
        part.extend_from_slice(id);
        if part.len() >= PART_BYTES {
            push_part(&mut writer, &mut part)?;
        }
    }
    push_part(&mut writer, &mut part)?;
    writer.push(&ListingFrame::End, b"").map_err(SyncError::Compress)?;
    let body = writer.finish().map_err(SyncError::Compress)?;
    let mut frames = link.send(Request::post(v1::PATH_COMPARE_LISTING, body)).await?.frames::<ListedFrame>()?;
    let (mut here, mut there) = (HashSet::new(), HashSet::new());
    let malformed = || LinkError::Protocol("a list of ids cannot be read".into());
    let mut told = 0;
    loop {
        let Some((frame, body)) = frames.next().await? else {
            return Err(LinkError::Protocol("the list has no end".into()).into());
        };
        if let ListedFrame::End(stand) = frame {
            return Ok(Differences { stand, here, there, rounds: 0, listed: true });
        }
        let ids = decode_ids(&body).ok_or_else(malformed)?;
        // Everything told counts, also what is empty or told twice: otherwise a list could go on for ever.
        told += ids.len().max(1);
        if told > 2 * MAX_ITEMS {
            return Err(Broken::TooMany.into());
        }
        match frame {
            ListedFrame::Surplus(_) => here.extend(ids.into_iter().filter(|id| ours.contains(id))),
            _ => there.extend(ids),
        }
        if there.len() > MAX_ITEMS {
            return Err(Broken::TooMany.into());
        }
    }
}

fn push_part(writer: &mut FrameWriter, part: &mut Vec<u8>) -> Result<(), SyncError> {
    if !part.is_empty() {
        let header = ListingFrame::Items(Part { len: part.len() as u64 });
        writer.push(&header, part).map_err(SyncError::Compress)?;
        part.clear();
    }
    Ok(())
}

async fn items(store: &Store, replica: &ReplicaScope) -> Result<Vec<SetItem>, SyncError> {
    let items = store.replica_items(replica.id, MAX_ITEMS).await?;
    items.ok_or_else(|| LinkError::Protocol(format!("more than {MAX_ITEMS} entries cannot be compared")).into())
}

async fn round(link: &Link, message: Vec<u8>) -> Result<(Stand, Vec<u8>), SyncError> {
    let mut writer = FrameWriter::new().map_err(SyncError::Compress)?;
    let header = RoundFrame::Message(Message { stand: None, len: message.len() as u64 });
    writer.push(&header, &message).map_err(SyncError::Compress)?;
    let body = writer.finish().map_err(SyncError::Compress)?;
    let mut frames = link.send(Request::post(v1::PATH_COMPARE_ROUND, body)).await?.frames::<RoundFrame>()?;
    let answer = frames.next().await?;
    let Some((RoundFrame::Message(Message { stand: Some(stand), .. }), answer)) = answer else {
        return Err(LinkError::Protocol("a round of the comparison has no answer".into()).into());
    };
    if answer.len() > MAX_MESSAGE {
        return Err(Broken::TooLong.into());
    }
    // Asking once more makes sure that the stream is whole.
    if frames.next().await?.is_some() {
        return Err(LinkError::Protocol("a round of the comparison has two answers".into()).into());
    }
    Ok((stand, answer))
}

/// Runs what walks a whole set aside from the network.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Broken> + Send + 'static,
) -> Result<T, SyncError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| LinkError::Protocol("the comparison broke off here".into()))??)
}
