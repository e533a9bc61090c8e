//! What comes from central is kept from the moment it is here, sealed and not yet visible: after a cut, the next sync takes
//! it up and asks for the rest only. It counts as long as central lists it with the same checksum.

use taosync_model::tao::TaoChecksum;
use taosync_model::{Entity, EntityType};
use taosync_wire::tao::entities::Details;

use super::Work;
use super::details::{self, AT_ONCE, Arrivals, Arrived};
use super::walk::Checksums;
use crate::link::LinkError;
use crate::session::SyncError;

/// Bytes of all entities of a sync at most: they are in memory until the switch.
const MAX_STAGED: usize = 512 * 1024 * 1024;

/// Everything of a sync that has come.
pub struct Intake<'a> {
    work: Work<'a>,
    bytes: usize,
}

impl<'a> Intake<'a> {
    /// Nothing has come yet.
    pub const fn new(work: Work<'a>) -> Self {
        Self { work, bytes: 0 }
    }

    /// What the sync has at hand.
    pub const fn work(&self) -> Work<'a> {
        self.work
    }

    /// What an earlier sync left of a type, as far as central lists it so.
    pub async fn take_up(&mut self, entity_type: EntityType, listed: &Checksums) -> Result<Arrivals, SyncError> {
        let Work { store, replica, .. } = self.work;
        let kept = store.arrivals_kept(replica.id, entity_type).await?;
        let (current, stale): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|(uri, (_, checksum))| listed.get(uri) == Some(checksum));
        let stale: Vec<&str> = stale.iter().map(|(uri, _)| uri.as_str()).collect();
        store.arrivals_drop(replica.id, entity_type, &stale).await?;
        let arrived = |(uri, (entity, checksum))| (uri, Arrived { entity, checksum: Some(checksum) });
        let arrivals: Arrivals = current.into_iter().map(arrived).collect();
        self.count(&arrivals)?;
        Ok(arrivals)
    }

    /// Asks for these entities, and keeps what comes of each request.
    pub async fn ask(&mut self, entity_type: EntityType, uris: &[String]) -> Result<Arrivals, SyncError> {
        let mut arrivals = Arrivals::new();
        for part in uris.chunks(AT_ONCE) {
            let answer: Details = self.work.link.ask(&details::request(self.work.link, entity_type, part)).await?;
            let came = details::take(entity_type, answer, part);
            self.count(&came)?;
            self.keep(entity_type, came.values()).await?;
            arrivals.extend(came);
        }
        Ok(arrivals)
    }

    /// Keeps these as they are now. What came with the checksum of something else is asked for again in any case.
    pub async fn keep(
        &self,
        entity_type: EntityType,
        arrived: impl Iterator<Item = &Arrived>,
    ) -> Result<(), SyncError> {
        let proven: Vec<(&Entity, TaoChecksum)> = arrived.filter_map(|a| Some((&a.entity, a.checksum?))).collect();
        Ok(self.work.store.arrivals_keep(self.work.replica.id, entity_type, &proven).await?)
    }

    fn count(&mut self, arrivals: &Arrivals) -> Result<(), LinkError> {
        self.bytes += arrivals.values().map(|arrived| details::bytes_of(&arrived.entity)).sum::<usize>();
        if self.bytes > MAX_STAGED {
            return Err(LinkError::Protocol("central sends more than can be kept for one switch".into()));
        }
        Ok(())
    }
}
