//! Packs: small chunks that came together lie one after the other in one file, `chunks/packs/<hex>`, because a file each
//! costs a disk more than what is in it. A pack begins with the list of what it holds, and is named by the BLAKE3 hash of
//! that list; zeros fill its last block. Nothing else says which chunk is where, so packs come and go without a word to the database; what is read
//! from one is checked by the name of the chunk.

mod index;
mod shrink;

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use taosync_model::Digest;

use super::disk::flush;
use super::parts::wrong;
use super::places::Place;
use super::{Blobs, LEFTOVER_PREFIX, failed};
use crate::StoreError;
use crate::packages::ChunkRef;
pub(super) use index::Index;
pub use shrink::Pack;

/// Chunks of one pack at most.
pub const PACK_CHUNKS: usize = 1_024;

/// Folder of packs, beside those of single chunks.
pub(super) const FOLDER: &str = "packs";
/// Begins every pack; the last letter is the form.
const MAGIC: &[u8] = b"tsypack1";
/// Bytes before the list: the magic and how many chunks there are, little-endian.
const BEFORE: usize = MAGIC.len() + 4;
/// Bytes of the list for one chunk: its name, and its bytes, little-endian.
const ENTRY: usize = 36;

/// Chunks that lie whole where they were fetched to.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    /// Which.
    pub chunks: Vec<ChunkRef>,
    /// Names of the packs they are in; others lie by themselves, and have landed.
    pub packs: Vec<Digest>,
}

impl Blobs {
    /// Writes chunks into one pack, and gives its name. All must have their names' hash; there are [`PACK_CHUNKS`] at
    /// most. The pack has not reached the disk before [`Self::packs_land`].
    pub async fn pack_put(&self, chunks: Vec<(Digest, Vec<u8>)>) -> Result<Digest, StoreError> {
        self.run(move |blobs| blobs.pack_write(&chunks)).await
    }

    /// Waits until packs have reached the disk, all together.
    pub async fn packs_land(&self, packs: Vec<Digest>) -> Result<(), StoreError> {
        self.run(move |blobs| blobs.packs_flush(&packs)).await
    }

    /// Those of the chunks that lie whole in packs, or by themselves: a process died before they were noted. Their hashes
    /// are checked: before a pack has landed, the disk may have lost any of it.
    pub async fn packed(&self, names: Vec<Digest>) -> Result<Packed, StoreError> {
        self.run(move |blobs| {
            blobs.packs_look()?;
            let (mut found, mut packs, mut singles) = (Packed::default(), BTreeSet::new(), 0);
            for name in names {
                if let Some((pack, bytes)) = blobs.whole_in_pack(name)? {
                    found.chunks.push(ChunkRef { name, bytes });
                    packs.insert(pack);
                } else if let Some(bytes) = blobs.whole_by_itself(name)? {
                    found.chunks.push(ChunkRef { name, bytes });
                    singles += 1;
                }
            }
            if singles > 0 {
                blobs.flush_fetched()?;
            }
            found.packs = packs.into_iter().collect();
            Ok(found)
        })
        .await
    }

    /// The files that chunks are in, as paths in the node's directory; and those of the chunks that are in none.
    pub async fn files_of(&self, names: Vec<Digest>) -> Result<(Vec<PathBuf>, Vec<Digest>), StoreError> {
        self.run(move |blobs| {
            blobs.packs_look()?;
            let (mut files, mut absent) = (BTreeSet::new(), Vec::new());
            for name in names {
                let packs = blobs.packed_places(name).into_iter().map(|place| place.path);
                let here: Vec<_> = packs.chain(blobs.paths(name)).filter(|path| path.is_file()).collect();
                if here.is_empty() {
                    absent.push(name);
                }
                files.extend(here);
            }
            let dir = blobs.folder.parent().unwrap_or(&blobs.folder);
            let relative = |path: PathBuf| path.strip_prefix(dir).map(Path::to_owned).unwrap_or(path);
            Ok((files.into_iter().map(relative).collect(), absent))
        })
        .await
    }

    pub(super) fn packed_places(&self, name: Digest) -> Vec<Place> {
        let slots = self.index().slots(name);
        let place =
            |slot: index::Slot| Place { path: self.pack_path(slot.pack), span: Some((slot.offset, slot.bytes)) };
        slots.into_iter().map(place).collect()
    }

    /// Looks which packs are there now.
    pub(super) fn packs_look(&self) -> Result<(), StoreError> {
        let folder = self.packs_folder();
        let files = match fs::read_dir(&folder) {
            Ok(files) => files,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed("read", &folder, e)),
        };
        let names: HashSet<Digest> = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok()).collect();
        let new = self.index().keep(&names);
        for name in new {
            let path = self.pack_path(name);
            match read_head(&path, name) {
                // One that is not what its name says holds nothing.
                Ok(chunks) => self.index().add(name, &chunks.unwrap_or_default()),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(failed("read", &path, e)),
            }
        }
        Ok(())
    }

    fn whole_in_pack(&self, name: Digest) -> Result<Option<(Digest, u64)>, StoreError> {
        for slot in self.index().slots(name) {
            let path = self.pack_path(slot.pack);
            let place = Place { path, span: Some((slot.offset, slot.bytes)) };
            match place.open().and_then(super::places::Opened::read_all) {
                Ok(bytes) if Digest::of(&bytes) == name => return Ok(Some((slot.pack, slot.bytes))),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(failed("read", &place.path, e)),
            }
        }
        Ok(None)
    }

    fn pack_write(&self, chunks: &[(Digest, Vec<u8>)]) -> Result<Digest, StoreError> {
        if let Some((name, _)) = chunks.iter().find(|(name, bytes)| Digest::of(bytes) != *name) {
            return Err(wrong(*name));
        }
        if chunks.len() > PACK_CHUNKS {
            return Err(StoreError::Refused(format!(
                "a pack holds at most {PACK_CHUNKS} chunks, not {}",
                chunks.len()
            )));
        }
        self.may_write()?;
        let folder = self.packs_folder();
        fs::create_dir_all(&folder).map_err(|e| failed("make", &folder, e))?;
        let listed: Vec<_> =
            chunks.iter().map(|(name, bytes)| ChunkRef { name: *name, bytes: bytes.len() as u64 }).collect();
        let head = head(&listed);
        let name = Digest::of(&head);
        let made = tempfile::Builder::new().prefix(LEFTOVER_PREFIX).tempfile_in(&folder);
        let mut file = made.map_err(|e| failed("write in", &folder, e))?;
        let pieces = [&*head].into_iter().chain(chunks.iter().map(|(_, bytes)| &**bytes));
        let mut joined = self.buffers.join(pieces);
        joined.fill_up();
        joined.write(file.as_file_mut(), 0).map_err(|e| failed("write", file.path(), e))?;
        let path = self.pack_path(name);
        file.into_temp_path().persist(&path).map_err(|e| failed("write", &path, e.error))?;
        self.index().add(name, &listed);
        Ok(name)
    }

    /// One by one: their bytes are on the disk most often, and where they lie is written for all of them with the first.
    fn packs_flush(&self, packs: &[Digest]) -> Result<(), StoreError> {
        for path in packs.iter().map(|pack| self.pack_path(*pack)) {
            match flush(&path) {
                // One that is gone was made smaller meanwhile: what is needed of it has landed in another.
                Err(_) if !path.is_file() => {}
                flushed => flushed?,
            }
        }
        flush(&self.packs_folder())?;
        flush(&self.folder)
    }

    fn packs_folder(&self) -> PathBuf {
        self.folder.join(FOLDER)
    }

    fn pack_path(&self, pack: Digest) -> PathBuf {
        self.packs_folder().join(pack.to_hex())
    }
}

fn head(chunks: &[ChunkRef]) -> Vec<u8> {
    let mut head = Vec::with_capacity(BEFORE + ENTRY * chunks.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
    for chunk in chunks {
        head.extend_from_slice(&chunk.name.0);
        head.extend_from_slice(&(chunk.bytes as u32).to_le_bytes());
    }
    head
}

/// What a pack says is in it; `None` when it is not the pack that its name says.
fn read_head(path: &Path, name: Digest) -> io::Result<Option<Vec<ChunkRef>>> {
    let mut file = File::open(path)?.take((BEFORE + ENTRY * PACK_CHUNKS) as u64);
    let mut bytes = Vec::with_capacity(16 * 1024);
    file.by_ref().take(BEFORE as u64).read_to_end(&mut bytes)?;
    let count = bytes.strip_prefix(MAGIC).and_then(|count| Some(u32::from_le_bytes(count.try_into().ok()?)));
    let Some(count) = count else { return Ok(None) };
    file.take(u64::from(count) * ENTRY as u64).read_to_end(&mut bytes)?;
    if Digest::of(&bytes) != name {
        return Ok(None);
    }
    let (entries, _) = bytes[BEFORE..].as_chunks::<ENTRY>();
    let chunk = |entry: &[u8; ENTRY]| {
        let (name, bytes) = entry.split_at(32);
        let bytes = u32::from_le_bytes(bytes.try_into().ok()?);
        Some(ChunkRef { name: Digest::from_slice(name).ok()?, bytes: bytes.into() })
    };
    Ok(entries.iter().map(chunk).collect())
}

/// The offsets of chunks in a pack.
fn offsets(chunks: &[ChunkRef]) -> impl Iterator<Item = (ChunkRef, u64)> {
    let begin = (BEFORE + ENTRY * chunks.len()) as u64;
    chunks.iter().scan(begin, |at, chunk| {
        let here = *at;
        *at += chunk.bytes;
        Some((*chunk, here))
    })
}
