//! What is no longer needed of packages goes, on both sides, in two steps with a long wait between (DESIGN §6): versions
//! that nobody can come back to are forgotten, chunks that no package has are marked; much later, if still nobody needs
//! them, they are deleted. A publication or a fetch that begins before the deletion keeps what it needs.

use jiff::{SignedDuration, Timestamp};
use taosync_store::blobs::Blobs;
use taosync_store::settings::Role;
use taosync_store::{Durability, Store, StoreError};

/// How long everything waits that is to go: longer than any publication or fetch takes, cuts included.
pub const WAIT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Chunks deleted in one transaction: nobody else can write meanwhile.
const AT_ONCE: u32 = 200;

/// What was collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Versions of packages that were forgotten.
    pub packages: u64,
    /// Chunks that were deleted.
    pub chunks: u64,
    /// Temporary files that were deleted.
    pub leftovers: u64,
}

/// One round.
pub async fn collect(store: &Store, role: Role, wait: SignedDuration) -> Result<Collected, StoreError> {
    let Ok(before) = store.clock().now().checked_sub(wait) else { return Ok(Collected::default()) };
    let blobs = Blobs::open(store.dir()).await?;
    let packages = match role {
        Role::Central => store.packages_retire_at_central(before).await?,
        Role::Local => store.packages_retire_at_local(&named(store).await?, before).await?,
    };
    store.chunks_mark_dying().await?;
    let mut chunks = 0;
    if store.chunks_are_dead(before).await? {
        loop {
            let mut tx = store.write("chunks_collect", Durability::Flushed).await?;
            let dead = tx.chunks_take_dead(before, AT_ONCE).await?;
            let count = dead.len() as u64;
            // Before the commit: whoever needs one of them again writes it after that.
            blobs.remove(dead).await?;
            tx.commit().await?;
            chunks += count;
            if count < u64::from(AT_ONCE) {
                break;
            }
        }
    }
    if chunks > 0 {
        shrink_packs(store, &blobs, before).await?;
    }
    let leftovers = blobs.remove_leftovers(before).await?;
    Ok(Collected { packages, chunks, leftovers })
}

/// Names that are looked up in one statement.
const LOOKED_UP: usize = 10_000;

/// Deletes chunks on the disk that the database does not know, once they are older than `wait`: a publication or a fetch
/// that died has left them. Whoever publishes one of them writes it anew, so that it is young again, and looks whether
/// it is there in the transaction that notes it ([`super::publish`]); a fetch names its chunks before it writes them.
pub async fn remove_strays(store: &Store, wait: SignedDuration) -> Result<u64, StoreError> {
    let Ok(before) = store.clock().now().checked_sub(wait) else { return Ok(0) };
    let blobs = Blobs::open(store.dir()).await?;
    let mut removed = 0;
    for names in blobs.names().await?.chunks(LOOKED_UP) {
        for strays in store.chunks_unknown(names).await?.chunks(AT_ONCE as usize) {
            let mut tx = store.write("chunks_strays", Durability::Relaxed).await?;
            let still = tx.chunks_unknown(strays).await?;
            removed += blobs.remove_older(still, before).await?;
            tx.undo().await?;
        }
    }
    Ok(removed + shrink_packs(store, &blobs, before).await?)
}

/// Deletes packs of which little is needed any more; what is, is written together anew before. Says how many. Nobody can
/// come to need a chunk of one meanwhile: a fetch names its chunks before it looks where they are.
async fn shrink_packs(store: &Store, blobs: &Blobs, before: Timestamp) -> Result<u64, StoreError> {
    let mut shrunk = 0;
    for pack in blobs.packs_before(before).await? {
        if !pack.is_wasteful(&store.chunks_unknown(&pack.names()).await?) {
            continue;
        }
        let mut tx = store.write("packs_shrink", Durability::Relaxed).await?;
        let not_needed = tx.chunks_unknown(&pack.names()).await?;
        if pack.is_wasteful(&not_needed) {
            blobs.pack_shrink(pack, not_needed).await?;
            shrunk += 1;
        }
        tx.undo().await?;
    }
    Ok(shrunk)
}

/// Deliveries and versions that central names.
async fn named(store: &Store) -> Result<Vec<(String, u32)>, StoreError> {
    let deliveries = store.replica_deliveries().await?;
    Ok(deliveries.into_iter().filter_map(|(uri, entity)| Some((uri, entity.package?.version))).collect())
}
