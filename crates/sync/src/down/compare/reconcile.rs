//! Set reconciliation (negentropy, version 1), wrapped: messages have a largest size, ids are counted, and whatever a
//! hostile peer sends ends in a [`Broken`] or in one more message.
//!
//! What a message costs is bounded by the crate itself: ranges are disjoint, so all of them together walk the set once; a
//! list of ids is held against the bytes that are there before room is made for it.

use std::collections::HashSet;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use taosync_model::SetItem;
use taosync_wire::v1::compare::{MAX_ITEMS, MAX_MESSAGE, MESSAGE_BYTES};

/// A message that cannot be read, or one too many ids.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Broken {
    /// Not what the reconciliation says.
    #[error("a message of the comparison cannot be read")]
    Message,
    /// Too long.
    #[error("a message of the comparison has more than {MAX_MESSAGE} bytes")]
    TooLong,
    /// More ids than there may be entries.
    #[error("the comparison names more than {MAX_ITEMS} entries")]
    TooMany,
}

/// Central's side of one round; nothing is kept between rounds.
pub fn reply(items: Vec<SetItem>, message: &[u8]) -> Result<Vec<u8>, Broken> {
    check(message)?;
    engine(items)?.reconcile(message).map_err(|_| Broken::Message)
}

/// Local's side: what only local has, and what only central has, as far as the rounds have shown.
pub struct Reconciliation {
    engine: Negentropy<'static, NegentropyStorageVector>,
    /// Ids of what only local has.
    pub here: HashSet<[u8; 32]>,
    /// Ids of what only central has.
    pub there: HashSet<[u8; 32]>,
}

impl Reconciliation {
    /// Begins, with the first message.
    pub fn begin(items: Vec<SetItem>) -> Result<(Self, Vec<u8>), Broken> {
        let mut engine = engine(items)?;
        let message = engine.initiate().map_err(|_| Broken::Message)?;
        Ok((Self { engine, here: HashSet::new(), there: HashSet::new() }, message))
    }

    /// Takes central's reply; gives the next message, or nothing when everything is known.
    pub fn step(&mut self, reply: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
        check(reply)?;
        let (mut here, mut there) = (Vec::new(), Vec::new());
        let next = self.engine.reconcile_with_ids(reply, &mut here, &mut there).map_err(|_| Broken::Message)?;
        self.here.extend(here.into_iter().map(Id::to_bytes));
        self.there.extend(there.into_iter().map(Id::to_bytes));
        if self.there.len() > MAX_ITEMS { Err(Broken::TooMany) } else { Ok(next) }
    }
}

fn check(message: &[u8]) -> Result<(), Broken> {
    if message.len() > MAX_MESSAGE { Err(Broken::TooLong) } else { Ok(()) }
}

fn engine(items: Vec<SetItem>) -> Result<Negentropy<'static, NegentropyStorageVector>, Broken> {
    let mut set = NegentropyStorageVector::with_capacity(items.len());
    for item in items {
        set.insert(item.place, Id::from_byte_array(item.id)).map_err(|_| Broken::Message)?;
    }
    set.seal().map_err(|_| Broken::Message)?;
    Negentropy::owned(set, MESSAGE_BYTES as u64).map_err(|_| Broken::Message)
}

#[cfg(test)]
mod tests;
