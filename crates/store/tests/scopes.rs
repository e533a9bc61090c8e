//! Entities and scopes: every change is held against a rebuild from nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::sync::Arc;

use jiff::SignedDuration;
use taosync_model::clock::ShiftedClock;
use taosync_model::scope::Positions;
use taosync_model::{Entity, EntityType, OrgId, Value, vocabulary as v};
use taosync_store::entities::{Applied, Change};
use taosync_store::feed::Row;
use taosync_store::settings::{Identity, Role};
use taosync_store::{Durability, Store};
use taosync_vault::keyring::Keyring;
use taosync_vault::random;

struct Central {
    store: Store,
    clock: Arc<ShiftedClock>,
    dir: tempfile::TempDir,
}

async fn central() -> Central {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::create(&dir.path().join("keys")).unwrap());
    let clock = Arc::new(ShiftedClock::default());
    let store = Store::open(dir.path(), keyring, clock.clone()).await.unwrap();
    let identity = Identity { node: random::uuid(), role: Role::Central, epoch: random::uuid() };
    store.identity_set(&identity).await.unwrap();
    Central { store, clock, dir }
}

impl Central {
    async fn change(&self, changes: Vec<Change>) -> Applied {
        let mut tx = self.store.write("test", Durability::Flushed).await.unwrap();
        let applied = self.store.entities_change(&mut tx, changes).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(self.store.scopes_check().await.unwrap(), []);
        applied
    }

    async fn uris(&self, org: &str, entity_type: EntityType) -> HashSet<String> {
        let org = OrgId::new(org).unwrap();
        let state = self.store.feed_state(&org).await.unwrap().unwrap();
        let page = self.store.feed_page(&state, &org, entity_type, 0, i64::MAX).await.unwrap();
        page.rows
            .into_iter()
            .filter_map(|row| match row {
                Row::Upsert { body, .. } => Some(serde_json::from_slice::<Entity>(&body).unwrap().uri),
                _ => None,
            })
            .collect()
    }

    async fn seen(&self, org: &str, entity_type: EntityType, uri: &str) -> Entity {
        let org = OrgId::new(org).unwrap();
        let state = self.store.feed_state(&org).await.unwrap().unwrap();
        let page = self.store.feed_page(&state, &org, entity_type, 0, i64::MAX).await.unwrap();
        let bodies = page.rows.into_iter().filter_map(|row| match row {
            Row::Upsert { body, .. } => Some(serde_json::from_slice::<Entity>(&body).unwrap()),
            _ => None,
        });
        bodies.into_iter().find(|e| e.uri == uri).unwrap()
    }

    /// Forgets removals older than a day.
    async fn forget(&self) -> u64 {
        let before = self.store.clock().now() - SignedDuration::from_hours(24);
        let forgotten = self.store.removals_forget(before).await.unwrap();
        assert_eq!(self.store.scopes_check().await.unwrap(), []);
        forgotten
    }

    /// A change like [`Central::change`], while somebody else looks at everything.
    async fn change_beside(&self, changes: Vec<Change>) {
        let mut tx = self.store.write("test", Durability::Flushed).await.unwrap();
        self.store.entities_change(&mut tx, changes).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn run(&self, sql: &'static str) -> u64 {
        let path = self.dir.path().join("taosync.sqlite");
        let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path));
        sqlx::query(sql).execute(&pool.await.unwrap()).await.unwrap().rows_affected()
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let path = self.dir.path().join("taosync.sqlite");
        let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path));
        sqlx::query_scalar(sql).fetch_one(&pool.await.unwrap()).await.unwrap()
    }

    async fn floor(&self, org: &str, entity_type: EntityType) -> i64 {
        self.store.feed_state(&OrgId::new(org).unwrap()).await.unwrap().unwrap().types[&entity_type].floor
    }

    async fn seqs(&self, org: &str) -> Positions {
        let state = self.store.feed_state(&OrgId::new(org).unwrap()).await.unwrap().unwrap();
        Positions(state.types.iter().map(|(t, s)| (*t, s.last_seq)).collect())
    }
}

fn up(entity_type: EntityType, entity: &Entity) -> Change {
    Change::Upsert(entity_type, entity.clone())
}

fn center(n: &str, orgs: &[&str]) -> Entity {
    let mut e =
        Entity::new(format!("http://x/center{n}"), v::CLASS_TEST_CENTER).with(v::RDFS_LABEL, format!("Center {n}"));
    for org in orgs {
        e.push(v::ORGANISATION_ID, Value::plain(*org));
    }
    e
}

fn taker(n: usize, eligibilities: &[&str]) -> Entity {
    let mut e = Entity::new(format!("http://x/taker{n}"), "http://x/class1").with(v::USER_LOGIN, format!("taker{n}"));
    for eligibility in eligibilities {
        e.push(v::USER_ASSIGNMENT, Value::plain(*eligibility));
    }
    e
}

fn eligibility(n: &str, center: &str, takers: impl IntoIterator<Item = usize>) -> Entity {
    let mut e = Entity::new(format!("http://x/elig{n}"), v::CLASS_ELIGIBILITY)
        .with(v::ELIGIBLE_TEST_CENTER, format!("http://x/center{center}"))
        .with(v::ELIGIBLE_DELIVERY, "http://x/delivery1");
    for taker in takers {
        e.push(v::ELIGIBLE_TEST_TAKER, Value::plain(format!("http://x/taker{taker}")));
    }
    e
}

fn class(n: &str, parent: &str) -> Entity {
    Entity::new(format!("http://x/class{n}"), v::RDFS_CLASS)
        .with(v::RDFS_LABEL, format!("Class {n}"))
        .with(v::RDFS_SUB_CLASS_OF, parent)
}

fn delivery() -> Entity {
    Entity::new("http://x/delivery1", v::CLASS_DELIVERY).with(v::RDFS_LABEL, "Maths")
}

async fn two_orgs() -> Central {
    let c = central().await;
    c.change(vec![
        up(EntityType::Class, &class("1", "http://x/class0")),
        up(EntityType::Class, &class("0", v::CLASS_SUBJECT)),
        up(EntityType::TestCenter, &center("A", &["A"])),
        up(EntityType::TestCenter, &center("B", &["B"])),
        up(EntityType::Delivery, &delivery()),
        up(EntityType::TestTaker, &taker(1, &["http://x/eligA"])),
        up(EntityType::TestTaker, &taker(2, &["http://x/eligA", "http://x/eligB"])),
        up(EntityType::TestTaker, &taker(3, &["http://x/eligB"])),
        up(EntityType::Eligibility, &eligibility("A", "A", [1, 2])),
        up(EntityType::Eligibility, &eligibility("B", "B", [2, 3])),
    ])
    .await;
    c
}

fn set(uris: &[&str]) -> HashSet<String> {
    uris.iter().map(|u| (*u).to_owned()).collect()
}

#[tokio::test]
async fn each_org_sees_its_own_and_nothing_of_the_other() {
    let c = two_orgs().await;
    assert_eq!(c.uris("A", EntityType::TestCenter).await, set(&["http://x/centerA"]));
    assert_eq!(c.uris("A", EntityType::TestTaker).await, set(&["http://x/taker1", "http://x/taker2"]));
    assert_eq!(c.uris("B", EntityType::TestTaker).await, set(&["http://x/taker2", "http://x/taker3"]));
    assert_eq!(c.uris("A", EntityType::Delivery).await, set(&["http://x/delivery1"]));
    assert_eq!(c.uris("A", EntityType::Class).await, set(&["http://x/class1", "http://x/class0"]));
    let shared = c.seen("A", EntityType::TestTaker, "http://x/taker2").await;
    assert_eq!(shared.values(v::USER_ASSIGNMENT), [Value::plain("http://x/eligA")]);
    let eligibility = c.seen("A", EntityType::Eligibility, "http://x/eligA").await;
    assert!(eligibility.values(v::ELIGIBLE_TEST_TAKER).is_empty(), "takers travel as links");
}

#[tokio::test]
async fn the_same_again_changes_nothing() {
    let c = two_orgs().await;
    let before = (c.seqs("A").await, c.seqs("B").await);
    let applied = c
        .change(vec![
            up(EntityType::TestTaker, &taker(1, &["http://x/eligA"])),
            up(EntityType::Eligibility, &eligibility("A", "A", [2, 1])),
        ])
        .await;
    assert_eq!(applied.types[&EntityType::TestTaker].unchanged, 1);
    assert_eq!(applied.types[&EntityType::Eligibility].unchanged, 1);
    assert_eq!(applied.orgs, []);
    assert_eq!((c.seqs("A").await, c.seqs("B").await), before);
}

#[tokio::test]
async fn a_taker_moves_from_one_org_to_the_other() {
    let c = two_orgs().await;
    let applied = c
        .change(vec![
            up(EntityType::Eligibility, &eligibility("A", "A", [2])),
            up(EntityType::Eligibility, &eligibility("B", "B", [1, 2, 3])),
            up(EntityType::TestTaker, &taker(1, &["http://x/eligB"])),
        ])
        .await;
    assert_eq!(applied.orgs.iter().filter(|o| o.left == 1 && o.org.as_str() == "A").count(), 1);
    assert_eq!(c.uris("A", EntityType::TestTaker).await, set(&["http://x/taker2"]));
    assert_eq!(
        c.uris("B", EntityType::TestTaker).await,
        set(&["http://x/taker1", "http://x/taker2", "http://x/taker3"])
    );
}

#[tokio::test]
async fn one_taker_out_of_a_long_list_is_one_link() {
    let c = two_orgs().await;
    let many: Vec<Change> = (10..500).map(|n| up(EntityType::TestTaker, &taker(n, &["http://x/eligA"]))).collect();
    c.change(many).await;
    c.change(vec![up(EntityType::Eligibility, &eligibility("A", "A", 10..500))]).await;
    let before = c.seqs("A").await;
    c.change(vec![up(EntityType::Eligibility, &eligibility("A", "A", 11..500))]).await;
    let after = c.seqs("A").await;
    assert_eq!(after.get(EntityType::Eligibility) - before.get(EntityType::Eligibility), 1, "one link row");
    assert_eq!(after.get(EntityType::TestTaker) - before.get(EntityType::TestTaker), 1, "one taker leaves");
}

#[tokio::test]
async fn centers_change_their_org_and_go() {
    let c = two_orgs().await;
    c.change(vec![up(EntityType::TestCenter, &center("A", &["A", "B"]))]).await;
    assert_eq!(c.uris("B", EntityType::TestTaker).await.len(), 3);
    c.change(vec![up(EntityType::TestCenter, &center("A", &["C"]))]).await;
    assert_eq!(c.uris("A", EntityType::TestTaker).await.len(), 0);
    assert_eq!(c.uris("C", EntityType::TestTaker).await.len(), 2);
    assert_eq!(c.uris("A", EntityType::Class).await.len(), 0);
    c.change(vec![Change::Remove("http://x/centerA".into())]).await;
    assert_eq!(c.uris("C", EntityType::Eligibility).await.len(), 0);
    c.change(vec![up(EntityType::TestCenter, &center("A", &["A"]))]).await;
    assert_eq!(c.uris("A", EntityType::TestTaker).await.len(), 2, "what was there comes back");
}

#[tokio::test]
async fn the_unscoped_scope_holds_everything_from_its_registration() {
    let c = two_orgs().await;
    let everything = OrgId::everything();
    let mut tx = c.store.write("test", Durability::Flushed).await.unwrap();
    assert!(c.store.scope_register(&mut tx, &everything).await.unwrap());
    assert!(!c.store.scope_register(&mut tx, &everything).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(c.store.scopes_check().await.unwrap(), []);
    assert_eq!(c.uris("*", EntityType::TestTaker).await.len(), 3);
    c.change(vec![up(EntityType::TestTaker, &taker(9, &[])), Change::Remove("http://x/taker3".into())]).await;
    assert_eq!(
        c.uris("*", EntityType::TestTaker).await,
        set(&["http://x/taker1", "http://x/taker2", "http://x/taker9"])
    );
}

#[tokio::test]
async fn long_literal_lists_are_links_too() {
    let c = two_orgs().await;
    let long = |range: std::ops::Range<usize>| {
        let mut e = taker(1, &["http://x/eligA"]);
        for n in range {
            e.push("http://x/note", Value { text: format!("note {n}"), lang: Some("fr".into()) });
        }
        e
    };
    c.change(vec![up(EntityType::TestTaker, &long(0..300))]).await;
    let before = c.seqs("A").await;
    c.change(vec![up(EntityType::TestTaker, &long(1..300))]).await;
    let after = c.seqs("A").await;
    assert_eq!(after.get(EntityType::TestTaker) - before.get(EntityType::TestTaker), 1);
    let stored = c.store.entity_get("http://x/taker1").await.unwrap().unwrap();
    assert_eq!(stored.entity.values("http://x/note").len(), 299);
    c.change(vec![up(EntityType::TestTaker, &long(0..0))]).await;
    assert!(c.store.entity_get("http://x/taker1").await.unwrap().unwrap().entity.values("http://x/note").is_empty());
}

#[tokio::test]
async fn a_person_can_be_two_types_and_each_has_its_fields() {
    let c = two_orgs().await;
    let person = Entity::new("http://x/person", v::CLASS_TAO_USER)
        .with(v::ADMINISTRATOR_OF, "http://x/centerA")
        .with(v::ASSIGNED_PROCTOR, "http://x/centerA")
        .with(v::AUTHORIZED_PROCTOR, "http://x/centerA");
    c.change(vec![up(EntityType::Administrator, &person), up(EntityType::Proctor, &person)]).await;
    let administrator = c.seen("A", EntityType::Administrator, "http://x/person").await;
    let proctor = c.seen("A", EntityType::Proctor, "http://x/person").await;
    assert_eq!(administrator.values(v::AUTHORIZED_PROCTOR).len(), 1);
    assert_eq!(proctor.values(v::AUTHORIZED_PROCTOR).len(), 0);
}

#[tokio::test]
async fn an_org_gets_another_name_without_a_new_history() {
    let c = two_orgs().await;
    let before = c.seqs("A").await;
    c.store.org_rename(&OrgId::new("A").unwrap(), &OrgId::new("Z").unwrap()).await.unwrap();
    assert_eq!(c.store.scopes_check().await.unwrap(), []);
    let after = c.seqs("Z").await;
    assert_eq!(after.get(EntityType::TestTaker), before.get(EntityType::TestTaker));
    assert_eq!(after.get(EntityType::TestCenter), before.get(EntityType::TestCenter) + 1);
    assert!(c.store.feed_state(&OrgId::new("A").unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_removed_long_ago_is_forgotten_and_the_floor_says_how_far() {
    let c = two_orgs().await;
    c.change(vec![up(EntityType::Eligibility, &eligibility("A", "A", [2])), Change::Remove("http://x/taker1".into())])
        .await;
    let gone = c.seqs("A").await;
    assert_eq!(c.forget().await, 0, "still young");
    c.clock.shift(25 * 3600);
    c.change(vec![up(EntityType::Eligibility, &eligibility("B", "B", [2])), Change::Remove("http://x/taker3".into())])
        .await;
    let rows = c.forget().await;
    assert_eq!(rows, 2, "one taker, one link");
    assert_eq!(c.forget().await, 0);
    for t in [EntityType::TestTaker, EntityType::Eligibility] {
        assert_eq!((c.floor("A", t).await, c.floor("B", t).await), (gone.get(t), 0), "{t}");
    }
    assert_eq!(c.floor("A", EntityType::Delivery).await, 0, "where nothing was forgotten, nobody has to compare");
    c.change(vec![
        up(EntityType::Eligibility, &eligibility("A", "A", [1, 2])),
        up(EntityType::TestTaker, &taker(1, &["http://x/eligA"])),
    ])
    .await;
    assert_eq!(
        c.uris("A", EntityType::TestTaker).await,
        set(&["http://x/taker1", "http://x/taker2"]),
        "it can come back"
    );
    assert!(c.seqs("A").await.get(EntityType::TestTaker) > gone.get(EntityType::TestTaker));
}

#[tokio::test]
async fn a_forgotten_value_of_a_long_list_leaves_no_text_behind() {
    let c = two_orgs().await;
    let long = |range: std::ops::Range<usize>| {
        let mut e = taker(2, &["http://x/eligA", "http://x/eligB"]);
        for n in range {
            e.push("http://x/note", Value::plain(format!("note {n}")));
        }
        e
    };
    c.change(vec![up(EntityType::TestTaker, &long(0..300))]).await;
    c.change(vec![up(EntityType::TestTaker, &long(7..300))]).await;
    c.clock.shift(25 * 3600);
    assert_eq!(c.forget().await, 14, "seven links of two orgs");
    let left = c.number("SELECT count(*) FROM literal_link").await;
    assert_eq!(left, 293);
    c.change(vec![up(EntityType::TestTaker, &long(0..300))]).await;
    let stored = c.store.entity_get("http://x/taker2").await.unwrap().unwrap();
    assert_eq!(stored.entity.values("http://x/note").len(), 300);
}

#[tokio::test]
async fn many_are_forgotten_in_many_transactions() {
    let c = two_orgs().await;
    let takers = |n: usize| (100..n).map(|n| up(EntityType::TestTaker, &taker(n, &["http://x/eligA"]))).collect();
    c.change(takers(6_300)).await;
    c.change(vec![up(EntityType::Eligibility, &eligibility("A", "A", (1..3).chain(100..6_300)))]).await;
    c.change(vec![up(EntityType::Eligibility, &eligibility("A", "A", 1..3))]).await;
    c.clock.shift(25 * 3600);
    assert_eq!(c.forget().await, 2 * 6_200, "more than a batch of each kind");
    let last = c.seqs("A").await;
    for t in [EntityType::TestTaker, EntityType::Eligibility] {
        assert_eq!(c.floor("A", t).await, last.get(t));
    }
}

#[tokio::test]
async fn the_items_of_a_scope_are_what_its_digests_are_made_of_up_to_a_limit() {
    let c = two_orgs().await;
    let state = c.store.feed_state(&OrgId::new("A").unwrap()).await.unwrap().unwrap();
    let members = state.types.values().map(|t| (t.count + t.links) as usize).sum();
    let items = c.store.scope_items(state.scope, members).await.unwrap().unwrap();
    assert_eq!(items.len(), members);
    assert!(c.store.scope_items(state.scope, members - 1).await.unwrap().is_none(), "one too many");
    let mut wanted: Vec<[u8; 32]> = items.iter().map(|i| i.id).collect();
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(wanted.len(), members);
    let found = c.store.scope_find(state.scope, &wanted).await.unwrap();
    assert_eq!(found.entities.len() + found.links.len(), members);
    c.change(vec![Change::Remove("http://x/taker1".into())]).await;
    let left = c.store.scope_items(state.scope, members).await.unwrap().unwrap();
    assert_eq!(left.len(), members - 2, "the taker and its link");
}

/// Everything that can change, one after the other.
fn change_of(turn: usize) -> Vec<Change> {
    let n = 1 + turn % 5;
    match turn % 8 {
        0 => vec![up(EntityType::TestTaker, &taker(n, &["http://x/eligB"]))],
        1 => vec![up(EntityType::Eligibility, &eligibility("A", "A", [n, n + 1]))],
        2 => vec![up(EntityType::TestCenter, &center("B", &["A", "B"]))],
        3 => vec![Change::Remove(format!("http://x/taker{n}"))],
        4 => vec![up(EntityType::Class, &class("1", &format!("http://x/class{n}")))],
        5 => vec![up(EntityType::TestCenter, &center("B", &["C"]))],
        6 => vec![Change::Remove("http://x/eligA".to_owned())],
        _ => vec![
            up(EntityType::TestTaker, &taker(n, &["http://x/eligA"])),
            up(EntityType::Eligibility, &eligibility("A", "A", 1..6)),
        ],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_between_the_slices_of_a_check_are_not_taken_for_damage() {
    let c = two_orgs().await;
    // More entities and links than a slice has rows.
    let many: Vec<Change> = (100..720).map(|n| up(EntityType::TestTaker, &taker(n, &["http://x/eligC"]))).collect();
    c.change_beside(many).await;
    c.change_beside(vec![up(EntityType::Eligibility, &eligibility("C", "A", 100..720))]).await;
    let mut turn = 0;
    // Each round begins at another change, so that each meets other slices.
    for round in 0..3 {
        let mut check = c.store.scopes_check_begin().await.unwrap();
        let mut slices = 0;
        while let Some(slice) = check.next().await.unwrap() {
            assert_eq!(slice.problems, [], "round {round}, slice {slices}, after change {turn}");
            c.change_beside(change_of(turn)).await;
            (slices, turn) = (slices + 1, turn + 1);
        }
        assert!(slices > 20, "only {slices} slices");
        turn += 1;
    }
    assert_eq!(c.store.scopes_check().await.unwrap(), []);
    // What is damaged between two slices is named by a later one.
    let mut check = c.store.scopes_check_begin().await.unwrap();
    check.next().await.unwrap();
    assert!(c.run("UPDATE scope_type SET count = count + 1 WHERE type = 4").await > 0);
    let mut named = 0;
    while let Some(slice) = check.next().await.unwrap() {
        named += slice.problems.len();
    }
    assert!(named > 0);
}

#[tokio::test]
async fn a_wrong_class_is_named_and_mended() {
    let c = two_orgs().await;
    let wrong = "UPDATE entity SET class = (SELECT id FROM entity WHERE uri = 'http://x/class0')
                 WHERE uri IN ('http://x/taker1', 'http://x/taker2')";
    let none = "UPDATE entity SET class = NULL WHERE uri = 'http://x/taker3'";
    assert_eq!(c.run(wrong).await + c.run(none).await, 3);
    let named = c.store.scopes_check().await.unwrap();
    let of_takers = named.iter().filter(|problem| problem.problem.contains("another class")).count();
    assert_eq!(of_takers, 3, "{named:?}");
    let before = (c.seqs("A").await, c.seqs("B").await);
    assert!(c.store.scopes_mend().await.unwrap() >= 3);
    assert_eq!(c.store.scopes_check().await.unwrap(), []);
    assert_eq!((c.seqs("A").await, c.seqs("B").await), before, "nobody was told anything wrong, so nothing travels");
    assert_eq!(c.store.scopes_mend().await.unwrap(), 0, "nothing is left");
}
