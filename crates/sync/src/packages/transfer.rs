//! Bringing chunks here: first a plan, then requests side by side, while what has arrived reaches the disk. Small
//! chunks come many in one request, large ones each by itself, so that a cut inside one costs nothing that came. While
//! what came is written, the next requests travel.

mod batch;
mod fresh;
mod plan;
mod ranged;

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use taosync_model::Digest;
use taosync_store::blobs::{Blobs, Packed};
use taosync_store::packages::ChunkRef;
use taosync_store::{Durability, Store};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

use super::meter::Meter;
use crate::link::patience::Patience;
use crate::link::{Link, LinkError};
use crate::session::SyncError;
pub(super) use batch::in_memory;
pub(super) use fresh::Fresh;
pub(super) use plan::{Piece, TransferPlan};

/// Requests at once: enough to fill a line while one of them waits for its answer.
pub(super) const AT_ONCE: usize = 4;
/// Pieces of a plan that are in work at once: those beyond [`AT_ONCE`] are being written, or wait for their turn.
const IN_WORK: usize = 3 * AT_ONCE;
/// Bytes of one chunk at most: it is held in memory when it is read. The longest list of pages fits.
const LARGEST_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that are flushed together, and how long the first of them waits for the others.
const LAND_BYTES: u64 = 64 * 1024 * 1024;
const LAND_AFTER: Duration = Duration::from_secs(5);
/// Groups of chunks that may wait for the disk before requests wait too.
const GROUPS: usize = 64;
/// Room that must stay free on the disk.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// A way from central's object store to ours.
pub(super) struct Transfer<'a> {
    pub store: &'a Store,
    pub link: &'a Link,
    pub blobs: &'a Blobs,
    pub patience: Patience,
    pub meter: &'a Meter<'a>,
    pub fresh: Fresh,
}

/// Takes what arrived.
pub(super) type Arrived = mpsc::Sender<Group>;

/// What the pieces of a plan share.
struct Way<'a> {
    /// Requests that may travel.
    turns: Semaphore,
    arrived: &'a Arrived,
}

/// Chunks that arrived whole, and that the disk may still lose.
#[derive(Default)]
pub(super) struct Group {
    chunks: Vec<ChunkRef>,
    /// Those that lie under temporary names of their own.
    parts: Vec<Digest>,
    /// The packs that the others lie in.
    packs: Vec<Digest>,
}

impl Transfer<'_> {
    /// Brings those of the chunks that are not here, and waits until all have landed. What arrives is kept also when
    /// others fail.
    pub async fn bring(&self, wanted: &[ChunkRef]) -> Result<(), SyncError> {
        let (arrived, landing) = self.landing();
        let fetch = async move { self.fetch(wanted, self.missing(wanted).await?, &arrived).await };
        let (fetched, landed) = tokio::join!(fetch, landing);
        landed.and(fetched)
    }

    /// What takes chunks that arrived, and what makes them be here for good: it ends when nobody can bring more, and
    /// whoever wants them to stay waits for it.
    pub fn landing(&self) -> (Arrived, impl Future<Output = Result<(), SyncError>>) {
        let (sender, receiver) = mpsc::channel(GROUPS);
        (sender, self.land(receiver))
    }

    /// Fetches chunks of which these are missing. They can be read then, and may not have landed yet.
    pub async fn fetch(&self, wanted: &[ChunkRef], missing: Vec<Digest>, arrived: &Arrived) -> Result<(), SyncError> {
        possible(wanted)?;
        if missing.is_empty() {
            return Ok(());
        }
        let (plan, packed) = self.plan(wanted, missing).await?;
        self.meter.expect(plan.bytes);
        self.arrived(Group { chunks: packed.chunks, parts: Vec::new(), packs: packed.packs }, arrived).await;
        self.ask(plan, arrived).await
    }

    /// Brings small chunks that will be fetched later, so that they need not travel then; in one try. They lie where
    /// what an earlier fetch left does.
    pub async fn early(&self, wanted: &[ChunkRef]) -> Result<(), SyncError> {
        possible(wanted)?;
        let (plan, _) = self.plan(wanted, self.missing(wanted).await?).await?;
        for piece in plan.pieces {
            if let Piece::Batch(asked) = piece {
                self.meter.expect(asked.0.values().sum());
                self.once(asked).await?;
            }
        }
        Ok(())
    }

    /// What is to travel of the missing chunks, and what an earlier try left whole.
    async fn plan(&self, wanted: &[ChunkRef], missing: Vec<Digest>) -> Result<(TransferPlan, Packed), SyncError> {
        let packed = self.blobs.packed(missing.clone()).await?;
        let missing = without(missing, &packed);
        let held = self.blobs.parts_held(missing.clone()).await?;
        let plan = TransferPlan::of(wanted, &missing, &held);
        self.room_for(plan.bytes).await?;
        Ok((plan, packed))
    }

    /// Those of the chunks that are not here.
    pub async fn missing(&self, wanted: &[ChunkRef]) -> Result<Vec<Digest>, SyncError> {
        let names: Vec<Digest> = wanted.iter().map(|chunk| chunk.name).collect();
        Ok(self.store.chunks_missing(&names).await?)
    }

    /// Asks for the pieces of a plan, several at once. After a failure nothing more is asked for, but what is on its
    /// way comes to its end: it may be here already.
    async fn ask(&self, plan: TransferPlan, arrived: &Arrived) -> Result<(), SyncError> {
        let way = Way { turns: Semaphore::new(AT_ONCE), arrived };
        let mut pieces = plan.pieces.into_iter();
        let mut asked: FuturesUnordered<_> =
            pieces.by_ref().take(IN_WORK).map(|piece| self.piece(piece, &way)).collect();
        let mut result = Ok(());
        while let Some(done) = asked.next().await {
            result = result.and(done);
            if result.is_err() {
                way.turns.close();
            } else if let Some(piece) = pieces.next() {
                asked.push(self.piece(piece, &way));
            }
        }
        result
    }

    async fn piece(&self, piece: Piece, way: &Way<'_>) -> Result<(), SyncError> {
        match piece {
            Piece::Batch(asked) => self.batch(asked, way).await,
            Piece::Large(chunk) => Box::pin(self.ranged(chunk, way)).await,
        }
    }

    /// Makes chunks of what arrived, in groups: a flush costs much more than a file. What has not landed survives the
    /// process where it lies.
    async fn land(&self, mut arrived: mpsc::Receiver<Group>) -> Result<(), SyncError> {
        while let Some(mut group) = arrived.recv().await {
            let is_last = group.grow(&mut arrived).await;
            if !group.parts.is_empty() {
                self.blobs.parts_land(group.parts).await?;
            }
            if !group.packs.is_empty() {
                self.blobs.packs_land(group.packs).await?;
            }
            // How a fetch ended is noted after it, and that reaches the disk.
            let durability = if is_last { Durability::Relaxed } else { Durability::Flushed };
            self.store.chunks_add(&group.chunks, durability).await?;
            self.meter.landed(&group.chunks);
        }
        Ok(())
    }

    /// Hands over what arrived; when nobody takes it any more, the disk has failed, and that is told there.
    async fn arrived(&self, group: Group, arrived: &Arrived) {
        self.fresh.came(&group.chunks);
        if !group.chunks.is_empty() {
            let _ = arrived.send(group).await;
        }
    }

    async fn room_for(&self, bytes: u64) -> Result<(), SyncError> {
        room(self.blobs.free_bytes().await?, bytes)
    }

    /// Waits before another try, or gives the error back when it is enough.
    async fn wait(&self, failures: u32, error: LinkError) -> Result<(), LinkError> {
        let Some(pause) = self.patience.pause_after(failures, &error) else { return Err(error) };
        tracing::info!(%error, ?pause, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

impl Way<'_> {
    /// Waits until one more request may travel, as long as what is given back lives; `None` when another one failed.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Whether another one failed.
    fn is_closed(&self) -> bool {
        self.turns.is_closed()
    }
}

impl Group {
    /// Takes what arrives soon. Says whether nothing more comes.
    async fn grow(&mut self, arrived: &mut mpsc::Receiver<Self>) -> bool {
        let latest = Instant::now() + LAND_AFTER;
        while self.bytes() < LAND_BYTES {
            match timeout_at(latest, arrived.recv()).await {
                Ok(Some(more)) => self.add(more),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    fn add(&mut self, more: Self) {
        self.chunks.extend(more.chunks);
        self.parts.extend(more.parts);
        self.packs.extend(more.packs);
    }
}

/// What an earlier try left in packs need not come.
fn without(mut missing: Vec<Digest>, packed: &Packed) -> Vec<Digest> {
    let here: HashSet<_> = packed.chunks.iter().map(|chunk| chunk.name).collect();
    missing.retain(|name| !here.contains(name));
    missing
}

/// Sizes are what central says: one that no chunk can have is not even asked for.
fn possible(wanted: &[ChunkRef]) -> Result<(), SyncError> {
    let is_possible = wanted.iter().all(|chunk| chunk.bytes <= LARGEST_BYTES);
    is_possible.then_some(()).ok_or_else(|| SyncError::Package("a part of it has an impossible size".into()))
}

/// Whether so many bytes fit on a disk with so many free ones, in words for whoever stands before the machine.
fn room(free: u64, bytes: u64) -> Result<(), SyncError> {
    if free >= bytes.saturating_add(SPARE_BYTES) {
        return Ok(());
    }
    Err(SyncError::Package(format!(
        "the disk of this machine is too full for it: it needs {} MB more and {} MB to spare, and {} MB are free. Delete \
         what is not needed from the disk, then synchronise again",
        bytes.div_ceil(1_000_000),
        SPARE_BYTES / 1_000_000,
        free / 1_000_000
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_a_size() {
        let wanted = |bytes| [ChunkRef { name: Digest::of(b"x"), bytes }];
        assert!(possible(&wanted(LARGEST_BYTES)).is_ok() && possible(&wanted(LARGEST_BYTES + 1)).is_err());
    }

    #[test]
    fn a_disk_without_room_is_told_before_anything_travels() {
        assert!(room(SPARE_BYTES + 5, 5).is_ok());
        let error = room(SPARE_BYTES + 4, 5).unwrap_err().to_string();
        assert!(error.contains("needs 1 MB more and 67 MB to spare, and 67 MB are free"), "{error}");
        assert!(room(u64::MAX - 1, u64::MAX).is_err(), "sizes are what central says");
    }
}
