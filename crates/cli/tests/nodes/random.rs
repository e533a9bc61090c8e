//! Random histories: anything may happen at central, lines break, and both sides still end equal, each org with its own
//! members and nothing of the others. A sequence that fails names its seed; run it alone with
//! `TAOSYNC_RANDOM_SEED=… cargo test -p taosync-cli --test nodes random`, more of them with
//! `TAOSYNC_RANDOM_SEQUENCES=…`.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::{EntityType, OrgId, vocabulary as v};
use taosync_store::Durability;
use taosync_sync::down::guard::Removals;
use taosync_sync::session::{Plan, What};
use world::World;

use crate::dice::Dice;
use crate::support::proxy::Proxy;
use crate::support::{Central, Local, plan};

const SEQUENCES: u64 = 6;
const ROUNDS: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_end_equal() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("TAOSYNC_RANDOM_SEED") {
        return sequence(seed).await;
    }
    for seed in 0..number("TAOSYNC_RANDOM_SEQUENCES").unwrap_or(SEQUENCES) {
        if let Err(failed) = tokio::spawn(sequence(seed)).await {
            eprintln!("FAILED: run it again with TAOSYNC_RANDOM_SEED={seed}");
            std::panic::resume_unwind(failed.into_panic());
        }
    }
}

/// A local server, and which of the world's orgs its replicas are for, in the order of the replicas.
struct Site {
    local: Local,
    slots: Vec<Option<usize>>,
}

async fn sequence(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut world = World::default();
    let central = Central::start().await;
    central.change(world.beginning()).await;
    let proxy = Proxy::before(central.address).await;
    let mut sites = vec![
        Site { local: Local::joined(&central, &world.orgs[0]).await, slots: vec![Some(0)] },
        Site {
            local: Local::joined_at(&central, &proxy.url(), &[&world.orgs[1], &world.orgs[2]]).await,
            slots: vec![Some(1), Some(2)],
        },
    ];
    for round in 0..ROUNDS {
        if round == ROUNDS / 3 {
            let mut tx = central.store().write("test", Durability::Flushed).await.unwrap();
            central.store().scope_register(&mut tx, &OrgId::everything()).await.unwrap();
            tx.commit().await.unwrap();
            sites.push(Site { local: Local::joined_at(&central, &proxy.url(), &["*"]).await, slots: vec![None] });
        }
        if dice.one_in(8) {
            let (old, new) = world.rename(&mut dice);
            central.store().org_rename(&OrgId::new(old).unwrap(), &OrgId::new(new).unwrap()).await.unwrap();
            for site in &sites {
                settle(&central, site, &world).await;
            }
        }
        for _ in 0..=dice.below(3) {
            central.change(world.step(&mut dice)).await;
        }
        assert_eq!(central.store().scopes_check().await.unwrap(), [], "round {round}");
        disturb(&sites, &proxy, &mut dice).await;
        if round % 3 == 2 {
            for site in &sites {
                settle(&central, site, &world).await;
            }
        }
    }
}

/// A sync that may be cut, limited to a type, or held up by the removal guard.
async fn disturb(sites: &[Site], proxy: &Proxy, dice: &mut Dice) {
    let site = &sites[dice.below(sites.len())];
    let mut plan = plan(What::All);
    plan.chunk_size = 1 + dice.below(20);
    if dice.one_in(3) {
        plan.types = vec![EntityType::SYNCED[dice.below(6)]];
    }
    if dice.one_in(2) {
        plan.removals = Removals::Accepted;
    }
    if dice.one_in(2) {
        proxy.cut_down_after(3_000 + dice.below(20_000) as i64);
    }
    site.local.sync_with(plan).await.unwrap();
    proxy.mend();
    assert_eq!(site.local.store().replica_check().await.unwrap(), []);
}

/// A clean sync, after which everything must agree.
async fn settle(central: &Central, site: &Site, world: &World) {
    let accepting = Plan { removals: Removals::Accepted, ..plan(What::All) };
    let summary = site.local.sync_with(accepting).await.unwrap();
    assert_eq!(summary.status, "success", "{summary:#?}");
    assert!(summary.digest_equal, "{summary:#?}");
    assert_eq!(site.local.store().replica_check().await.unwrap(), []);
    assert_eq!(site.local.store().removals_held().await.unwrap().len(), 0, "nothing is held any more");
    for slot in &site.slots {
        let org = slot.map_or("*", |slot| &world.orgs[slot]);
        let held = site.local.members(org).await;
        assert_eq!(held, central.members(org).await, "org {org}");
        for (entity_type, expected) in world.members(*slot) {
            assert_eq!(held[&entity_type], expected, "{entity_type} of org {org}");
        }
        if slot.is_some() {
            no_stranger_is_named(&site.local, org, &held).await;
        }
    }
}

/// Invariant 5: no relation of an entity of an org names something that is not in the org.
async fn no_stranger_is_named(local: &Local, org: &str, held: &BTreeMap<EntityType, BTreeSet<String>>) {
    let members: BTreeSet<&String> = held.values().flatten().collect();
    for uri in &members {
        for (of, _, entity) in local.store().replica_get(uri).await.unwrap() {
            if of.as_str() != org {
                continue;
            }
            for property in entity.properties.iter().filter(|p| v::is_relation(&p.predicate)) {
                for value in &property.values {
                    assert!(members.contains(&value.text), "{uri} in org {org} names {}", value.text);
                }
            }
        }
    }
}
