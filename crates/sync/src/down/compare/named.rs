//! Central's plan of an answer: what was asked for by name, looked up before the first byte so that `hello` can announce
//! it, and read page by page while the network takes it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use taosync_model::{Digest, EntityType, OrgId, SetItem};
use taosync_store::feed::{FeedState, LinkId, PAGE_ROWS, Row};
use taosync_store::{Store, StoreError};
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1::feed::{Ahead, FeedFrame, Unlink};

use super::super::offer::write_row;

/// What a local server asks for.
#[derive(Debug, Default)]
pub(super) struct Ask {
    /// Entities it has that may not be central's.
    pub uris: BTreeMap<EntityType, BTreeSet<String>>,
    /// Links that only it has.
    pub links: BTreeMap<EntityType, BTreeSet<Digest>>,
    /// What it lacks.
    pub items: Vec<[u8; 32]>,
}

/// One part of the answer.
enum Words {
    Entities(EntityType, VecDeque<uuid::Uuid>),
    Links(EntityType, VecDeque<LinkId>),
    Unlinks(EntityType, VecDeque<Digest>),
    Removals(EntityType, VecDeque<(i64, String)>),
}

/// The words that were asked for and are still to be said.
#[derive(Default)]
pub(in crate::down) struct Named {
    words: VecDeque<Words>,
    counts: BTreeMap<EntityType, Ahead>,
}

impl Named {
    /// Looks up what was asked for.
    pub(super) async fn find(store: &Store, state: &FeedState, mut ask: Ask) -> Result<Self, StoreError> {
        let mut named = Self::default();
        let (mut present, mut removals) = (BTreeMap::<_, BTreeSet<uuid::Uuid>>::new(), BTreeMap::new());
        for (entity_type, uris) in ask.uris {
            let now = state.types.get(&entity_type).map_or(0, |t| t.last_seq);
            let (ids, gone) = standing(store, state.scope, entity_type, uris, now).await?;
            present.insert(entity_type, ids);
            removals.insert(entity_type, gone);
        }
        // Links are asked for by their hash; those that are there after all are not only local's.
        let asked_links: Vec<(EntityType, Digest, [u8; 32])> = ask
            .links
            .iter()
            .flat_map(|(t, members)| members.iter().map(|m| (*t, *m, SetItem::link(*t, *m).id)))
            .collect();
        ask.items.extend(asked_links.iter().map(|link| link.2));
        ask.items.sort_unstable();
        ask.items.dedup();
        let found = store.scope_find(state.scope, &ask.items).await?;
        for (entity_type, id) in found.entities {
            present.entry(entity_type).or_default().insert(id);
        }
        let mut links: BTreeMap<EntityType, VecDeque<LinkId>> = BTreeMap::new();
        let mut there = HashSet::new();
        for (entity_type, id, place) in found.links {
            links.entry(entity_type).or_default().push_back(id);
            there.insert(ask.items[place]);
        }
        let mut unlinks: BTreeMap<EntityType, VecDeque<Digest>> = BTreeMap::new();
        for (entity_type, member, _) in asked_links.into_iter().filter(|link| !there.contains(&link.2)) {
            unlinks.entry(entity_type).or_default().push_back(member);
        }
        for entity_type in EntityType::FEED {
            named.add(Words::Entities(
                entity_type,
                present.remove(&entity_type).unwrap_or_default().into_iter().collect(),
            ));
            named.add(Words::Unlinks(entity_type, unlinks.remove(&entity_type).unwrap_or_default()));
            named.add(Words::Links(entity_type, links.remove(&entity_type).unwrap_or_default()));
            named.add(Words::Removals(entity_type, removals.remove(&entity_type).unwrap_or_default()));
        }
        Ok(named)
    }

    fn add(&mut self, words: Words) {
        let (entity_type, upserts, removals) = match &words {
            Words::Entities(entity_type, ids) => (*entity_type, ids.len(), 0),
            Words::Links(entity_type, links) => (*entity_type, links.len(), 0),
            Words::Unlinks(entity_type, members) => (*entity_type, members.len(), 0),
            Words::Removals(entity_type, gone) => (*entity_type, 0, gone.len()),
        };
        if upserts + removals > 0 {
            let count = self.counts.entry(entity_type).or_default();
            count.upserts += upserts as i64;
            count.removals += removals as i64;
            self.words.push_back(words);
        }
    }

    /// How much there is to say, per type.
    pub(super) const fn counts(&self) -> &BTreeMap<EntityType, Ahead> {
        &self.counts
    }

    /// Whether everything was said.
    pub(in crate::down) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Says one page.
    pub(in crate::down) async fn page(
        &mut self,
        store: &Store,
        scope: i64,
        org: &OrgId,
        writer: &mut FrameWriter,
    ) -> Result<std::io::Result<()>, StoreError> {
        let Some(words) = self.words.front_mut() else { return Ok(Ok(())) };
        let mut written = Ok(());
        let left = match words {
            Words::Entities(entity_type, ids) => {
                let (rows, asked) = store.scope_rows(scope, org, *entity_type, ids.make_contiguous()).await?;
                written = rows.into_iter().try_for_each(|row| write_row(writer, *entity_type, row));
                ids.drain(..asked);
                ids.len()
            }
            Words::Links(entity_type, links) => {
                let part: Vec<LinkId> = page_of(links);
                let rows = store.scope_link_rows(scope, &part).await?;
                written = rows.into_iter().try_for_each(|row| write_row(writer, *entity_type, row));
                links.len()
            }
            Words::Unlinks(entity_type, members) => {
                for member in page_of(members) {
                    let unlink = FeedFrame::Unlink(Unlink { entity_type: *entity_type, member });
                    written = written.and_then(|()| writer.push(&unlink, b""));
                }
                members.len()
            }
            Words::Removals(entity_type, gone) => {
                for (seq, uri) in page_of(gone) {
                    written = written.and_then(|()| write_row(writer, *entity_type, Row::Remove { seq, uri }));
                }
                gone.len()
            }
        };
        if left == 0 {
            self.words.pop_front();
        }
        Ok(written)
    }
}

fn page_of<T>(list: &mut VecDeque<T>) -> Vec<T> {
    list.drain(..list.len().min(PAGE_ROWS as usize)).collect()
}

/// Which of these are there, and the removals of those that are not. What went has its own number, under which it may be
/// approved. What the org never had is gone as of now: the same word for what central does not know and for what another
/// org has.
async fn standing(
    store: &Store,
    scope: i64,
    entity_type: EntityType,
    uris: BTreeSet<String>,
    now: i64,
) -> Result<(BTreeSet<uuid::Uuid>, VecDeque<(i64, String)>), StoreError> {
    let uris: Vec<String> = uris.into_iter().collect();
    let (mut present, mut removals, mut known) = (BTreeSet::new(), VecDeque::new(), HashSet::new());
    for standing in store.scope_standing(scope, entity_type, &uris).await? {
        if standing.present {
            present.insert(standing.id);
        } else {
            removals.push_back((standing.seq, standing.uri.clone()));
        }
        known.insert(standing.uri);
    }
    removals.extend(uris.into_iter().filter(|uri| !known.contains(uri)).map(|uri| (now, uri)));
    Ok((present, removals))
}
