//! Data of one org from a TAO central: lists, differences, details, all of it staged, then one switch. A failure before
//! the switch changes nothing that can be seen; what has come is kept for the next sync.

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::{Entity, EntityType};
use taosync_store::replica::{ChunkEffect, Removal, RemovalRule, ReplicaScope, Staged};
use taosync_store::{Store, StoreError};

use super::details::{self, Arrivals, Arrived};
use super::intake::Intake;
use super::listing::{self, Listing};
use super::plan::{Differences, Held};
use super::{TaoLink, Work, packages};
use crate::down::guard::Removals;
use crate::down::read;
use crate::packages::FetchOutcome;
use crate::session::{Plan, Progress, SyncError};

/// How often a type is read again when something of its list was not to be had: it may have gone meanwhile.
const TRIES: usize = 2;

/// What a pull did.
#[derive(Clone, Debug, Default)]
pub struct Pulled {
    /// Per type.
    pub effect: ChunkEffect,
    /// Whether everything central lists is here with the checksum it names, and nothing else is.
    pub is_proven: bool,
    /// Why not, in words.
    pub doubts: Vec<String>,
    /// Removals that wait for a person.
    pub held: u64,
    /// Packages.
    pub fetched: FetchOutcome,
}

/// One type, ready to be staged.
struct TypePlan {
    entity_type: EntityType,
    held: Held,
    listing: Listing,
    differences: Differences,
    arrivals: Arrivals,
    classes: Vec<Entity>,
    doubts: Vec<String>,
}

/// Pulls the data of an org.
pub async fn pull(work: Work<'_>) -> Result<Pulled, SyncError> {
    let Work { store, link, replica, plan, progress } = work;
    mend(store, replica).await?;
    let waiting = waiting(store, replica).await?;
    let mut known = classes_here(store, replica).await?;
    let mut plans = Vec::new();
    let mut intake = Intake::new(work);
    for entity_type in types_of(plan) {
        progress(Progress::Phase(format!("reading {entity_type}s")));
        let none = BTreeSet::new();
        let mut of_type = plan_of(&mut intake, entity_type, waiting.get(&entity_type).unwrap_or(&none)).await?;
        of_type.classes = details::classes(link, entity_type, &of_type.arrivals, &known).await?;
        known.extend(of_type.classes.iter().map(|class| class.uri.clone()));
        plans.push(of_type);
    }
    let mut fetched = FetchOutcome::default();
    if let Some(deliveries) = plans.iter_mut().find(|plan| plan.entity_type == EntityType::Delivery) {
        let TypePlan { listing, arrivals, .. } = deliveries;
        fetched = packages::bring(&intake, &listing.entities, arrivals).await?;
    }
    let doubts: Vec<String> = plans.iter().flat_map(|plan| plan.doubts.clone()).collect();
    let (staged, rules) = stage(plans, link.caller().sync_no, plan.removals);
    let applied = store.replica_switch(replica.id, staged, &rules).await?;
    let held = store.removals_held_count(replica.id).await?;
    let is_proven = doubts.is_empty() && held == 0 && fetched.failed.is_empty();
    Ok(Pulled { effect: applied.effect, is_proven, doubts, held, fetched })
}

/// What a pull would do, by the lists alone; nothing is asked for and nothing changes.
pub async fn look_ahead(work: Work<'_>) -> Result<BTreeMap<EntityType, (Differences, usize)>, SyncError> {
    let mut ahead = BTreeMap::new();
    for entity_type in types_of(work.plan) {
        let held = work.store.replica_checksums(work.replica.id, entity_type).await?;
        let listing = list(work.link, entity_type, &held).await?;
        let differences = Differences::of(&listing, &held, &BTreeSet::new());
        ahead.insert(entity_type, (differences, held.len()));
    }
    Ok(ahead)
}

fn types_of(plan: &Plan) -> impl Iterator<Item = EntityType> + '_ {
    EntityType::SYNCED.into_iter().filter(|t| plan.types.is_empty() || plan.types.contains(t))
}

/// After damage was found, or under a new identity, everything is counted again; what changed by it is asked for again.
async fn mend(store: &Store, replica: &ReplicaScope) -> Result<(), StoreError> {
    let holds_something = replica.types.values().any(|state| state.count > 0);
    let is_without_position = replica.types.values().all(|state| state.seq == 0);
    if holds_something && (replica.compare_due || is_without_position) {
        store.replica_recount(replica.id).await?;
    }
    Ok(())
}

async fn waiting(store: &Store, replica: &ReplicaScope) -> Result<BTreeMap<EntityType, BTreeSet<String>>, StoreError> {
    let mut waiting: BTreeMap<EntityType, BTreeSet<String>> = BTreeMap::new();
    for removal in store.removals_held().await?.into_iter().filter(|removal| removal.org == replica.org) {
        waiting.entry(removal.entity_type).or_default().insert(removal.uri);
    }
    Ok(waiting)
}

async fn classes_here(store: &Store, replica: &ReplicaScope) -> Result<BTreeSet<String>, StoreError> {
    let listing = store.replica_listing(replica.id, EntityType::Class).await?;
    Ok(listing.into_iter().map(|(uri, _)| uri).collect())
}

async fn list(link: &TaoLink, entity_type: EntityType, held: &Held) -> Result<Listing, SyncError> {
    let lacks = |entities: &super::walk::Checksums| held.keys().any(|uri| !entities.contains_key(uri));
    Ok(listing::read(link, entity_type, lacks).await?)
}

async fn plan_of(
    intake: &mut Intake<'_>,
    entity_type: EntityType,
    waiting: &BTreeSet<String>,
) -> Result<TypePlan, SyncError> {
    let Work { store, link, replica, .. } = intake.work();
    let held = store.replica_checksums(replica.id, entity_type).await?;
    let mut arrivals: Option<Arrivals> = None;
    let mut tries = 0;
    loop {
        tries += 1;
        let listing = list(link, entity_type, &held).await?;
        let differences = Differences::of(&listing, &held, waiting);
        let mut came = match arrivals {
            Some(came) => came,
            None => intake.take_up(entity_type, &listing.entities).await?,
        };
        came.retain(|uri, _| listing.entities.contains_key(uri));
        let is_to_come = |uri: &&String| came.get(*uri).is_none_or(|a| !is_as_listed(a, uri, &listing));
        let to_come: Vec<String> = differences.ask.iter().filter(is_to_come).cloned().collect();
        came.extend(intake.ask(entity_type, &to_come).await?);
        let vanished = differences.ask.iter().filter(|uri| !came.contains_key(*uri)).count();
        if vanished == 0 || tries == TRIES {
            let doubts = doubts_of(entity_type, &listing, &came, vanished);
            let (arrivals, classes) = (came, Vec::new());
            return Ok(TypePlan { entity_type, held, listing, differences, arrivals, classes, doubts });
        }
        arrivals = Some(came);
    }
}

fn is_as_listed(arrived: &Arrived, uri: &str, listing: &Listing) -> bool {
    arrived.checksum.is_some() && arrived.checksum.as_ref() == listing.entities.get(uri)
}

/// What keeps the list from being a proof.
fn doubts_of(entity_type: EntityType, listing: &Listing, arrivals: &Arrivals, vanished: usize) -> Vec<String> {
    let mut doubts = Vec::new();
    if !listing.is_whole {
        doubts
            .push(format!("central's list of {entity_type}s could not be read to its end: nothing of it was removed"));
    }
    if vanished > 0 {
        doubts.push(format!("central lists {vanished} of type {entity_type} that it does not give"));
    }
    let unproven = arrivals.values().filter(|arrived| arrived.checksum.is_none()).count();
    if unproven > 0 {
        doubts.push(format!("{unproven} of type {entity_type} came with a checksum that is not theirs"));
    }
    let moved = arrivals.iter().filter(|(uri, a)| a.checksum.is_some() && !is_as_listed(a, uri, listing)).count();
    if moved > 0 {
        doubts.push(format!("{moved} of type {entity_type} changed at central during the sync"));
    }
    doubts
}

/// Everything that came and went, as one chunk; positions are numbers of syncs.
fn stage(plans: Vec<TypePlan>, sync_no: i64, word: Removals) -> (Staged, BTreeMap<EntityType, RemovalRule>) {
    let mut staged = Staged::default();
    let mut rules = BTreeMap::new();
    staged.chunk.positions.insert(EntityType::Class, sync_no);
    for plan in plans {
        let TypePlan { entity_type, held, listing, differences, .. } = &plan;
        let entity_type = *entity_type;
        staged.chunk.positions.insert(entity_type, sync_no);
        rules.extend(differences.rule(entity_type, held, listing, word).map(|rule| (entity_type, rule)));
        let removal = |uri: &String| Removal { entity_type, seq: sync_no, uri: uri.clone() };
        staged.chunk.removes.extend(differences.gone.iter().map(removal));
        for class in plan.classes {
            upsert(&mut staged, EntityType::Class, sync_no, class);
        }
        for (uri, arrived) in plan.arrivals {
            upsert(&mut staged, entity_type, sync_no, arrived.entity);
            staged.checksums.push((entity_type, uri, arrived.checksum));
        }
    }
    (staged, rules)
}

fn upsert(staged: &mut Staged, entity_type: EntityType, sync_no: i64, entity: Entity) {
    // Unwrap safety: an entity has text keys only, so JSON cannot fail.
    let body = serde_json::to_vec(&entity).unwrap_or_default();
    staged.chunk.upserts.push(read::upsert_of(entity_type, sync_no, entity, body));
}
