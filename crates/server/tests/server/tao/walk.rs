//! A scripted TAO client: it lists, compares, fetches, deletes what was not listed, hands in and confirms, step by step as
//! TAO's does (WIRE §7 to §11), with its faults. Our central must come out of it right.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use taosync_model::{Entity, EntityType, vocabulary as v};
use taosync_store::entities::Change;
use taosync_store::history::SyncOutcome;
use taosync_store::{Durability, Store};
use taosync_sync::tao::Compat;
use taosync_wire::tao::access::TokenAnswer;
use taosync_wire::tao::entities::{ChecksumPage, Details, TaoEntity};
use taosync_wire::tao::items::SupportedVersions;
use taosync_wire::tao::{PATH_CHECKSUMS, PATH_CLASSES, PATH_DETAILS, PATH_SUPPORTED_VM, PATH_TOKEN, PhpMap};

use super::{VERSION, bearer, central, compat, load};
use crate::client::Answer;
use crate::place::Place;

/// A box: what it holds, and what it remembers.
pub struct TaoBox<'a> {
    place: &'a Place,
    token: String,
    org: Option<&'static str>,
    sync_id: u32,
    /// What it holds, by type and URI.
    pub held: BTreeMap<String, BTreeMap<String, TaoEntity>>,
    /// Classes it made.
    pub classes: BTreeSet<String>,
    /// Details it asked for in the last sync.
    pub fetched: usize,
    /// Entities it deleted in the last sync.
    pub deleted: usize,
    /// Pages of the last sync.
    pub pages: usize,
}

impl<'a> TaoBox<'a> {
    /// Gets a token the way TAO does, with its own options in the form.
    pub async fn connect(place: &'a Place, key: &str, orgs: &[&str], org: Option<&'static str>) -> TaoBox<'a> {
        use secrecy::ExposeSecret as _;
        let secret = place.consumer(key, orgs).await;
        let form = format!(
            "client_id={key}&client_secret={}&grant_type=client_credentials&token_url=x&headers%5BHost%5D%5B0%5D=y",
            secret.expose_secret()
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = place.post(&format!("/{PATH_TOKEN}"), &headers, form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = serde_json::from_slice::<TokenAnswer>(&answer.body).unwrap();
        assert!(token.expires > place.store.clock().now().as_second());
        let (held, classes) = (BTreeMap::new(), BTreeSet::new());
        let token = token.access_token.expose_secret().to_owned();
        TaoBox { place, token, org, sync_id: 0, held, classes, fetched: 0, deleted: 0, pages: 0 }
    }

    pub fn params(&self) -> Value {
        let mut params = json!({"sync_id": self.sync_id, "box_id": "65f0c1a2b3d4e", "tao_version": VERSION});
        if let Some(org) = self.org {
            params["organisation_id"] = org.into();
        }
        params
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.place.get(path, &[("authorization", &bearer(&self.token)), ("accept", "application/json")]).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        let headers = [("authorization", bearer(&self.token)), ("content-type", "application/json".to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.place.post(&format!("/{path}"), &headers, body.to_string()).await
    }

    /// The address of the first page of a type.
    pub fn first_page(&self, entity_type: &str) -> String {
        let org = self.org.map(|org| format!("params%5Borganisation_id%5D={org}&")).unwrap_or_default();
        format!(
            "/{PATH_CHECKSUMS}?type={entity_type}&{org}params%5Bsync_id%5D={}&params%5Bbox_id%5D=65f0c1a2b3d4e&params%5Btao_version%5D={VERSION}",
            self.sync_id
        )
    }

    /// One data sync. `between` is called after every page.
    pub async fn sync(&mut self, mut between: impl AsyncFnMut(&Store)) {
        self.sync_id += 1;
        (self.fetched, self.deleted, self.pages) = (0, 0, 0);
        let versions = self.get(&format!("/{PATH_SUPPORTED_VM}")).await;
        let versions: SupportedVersions = serde_json::from_slice(&versions.body).unwrap();
        assert!(versions.data.contains(&VERSION.to_owned()));
        for entity_type in EntityType::SYNCED {
            self.sync_type(entity_type.as_str(), &mut between).await;
        }
    }

    async fn sync_type(&mut self, entity_type: &str, between: &mut impl AsyncFnMut(&Store)) {
        let mut listed = BTreeSet::new();
        let mut url = self.first_page(entity_type);
        loop {
            let answer = self.get(&url).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let page: ChecksumPage = serde_json::from_slice(&answer.body).unwrap();
            self.pages += 1;
            assert!(self.pages < 1_000, "paging does not end");
            listed.extend(page.entities.0.iter().map(|(uri, _)| uri.clone()));
            self.take(entity_type, page.entities).await;
            between(&self.place.store).await;
            match page.next_call_url {
                Some(next) if next != url => url = next,
                _ => break,
            }
        }
        let held = self.held.entry(entity_type.to_owned()).or_default();
        let before = held.len();
        held.retain(|uri, _| listed.contains(uri));
        self.deleted += before - held.len();
    }

    /// Fetches what is new or has another checksum; classes that are missing first.
    async fn take(&mut self, entity_type: &str, listed: PhpMap<TaoEntity>) {
        let held = self.held.entry(entity_type.to_owned()).or_default();
        let differs = |entity: &TaoEntity| held.get(&entity.id).is_none_or(|known| known.checksum != entity.checksum);
        let wanted: Vec<String> = listed.0.into_iter().filter(|(_, e)| differs(e)).map(|(uri, _)| uri).collect();
        if wanted.is_empty() {
            return;
        }
        let body = json!({"type": entity_type, "entityIds": wanted, "params": self.params()});
        let answer = self.post(PATH_DETAILS, body).await;
        let details: Details = serde_json::from_slice(&answer.body).unwrap();
        self.fetched += wanted.len();
        let missing: BTreeSet<String> = details
            .0
            .iter()
            .flat_map(|(_, entity)| entity.properties.texts(v::RDF_TYPE).to_vec())
            .filter(|class| !class.starts_with("http://www.tao.lu/") && !self.classes.contains(class))
            .collect();
        if !missing.is_empty() {
            let body = json!({"type": entity_type, "requested-classes": missing});
            let classes: Details = serde_json::from_slice(&self.post(PATH_CLASSES, body).await.body).unwrap();
            self.classes.extend(classes.0.into_iter().map(|(uri, _)| uri));
            assert!(missing.iter().all(|class| self.classes.contains(class)), "{missing:?}");
        }
        for (uri, entity) in details.0 {
            // What is sent has the checksum that was listed: otherwise it would be sent again at every sync.
            let own = taosync_model::tao::TaoChecksum::of(&entity.properties);
            assert_eq!(entity.checksum, own.to_string(), "{uri}");
            self.held.entry(entity_type.to_owned()).or_default().insert(uri, entity);
        }
    }

    pub fn count(&self, entity_type: &str) -> usize {
        self.held.get(entity_type).map_or(0, BTreeMap::len)
    }
}

const DATA: &str = "https://central.example/tao.rdf#";

fn taker(number: usize) -> (EntityType, Entity) {
    let entity = Entity::new(format!("{DATA}taker{number}"), format!("{DATA}class{}", number % 3))
        .with(v::RDFS_LABEL, format!("Taker {number} é"))
        .with(v::USER_LOGIN, format!("taker{number}"))
        .with(v::USER_ROLES, v::ROLE_TEST_TAKER)
        .with(v::USER_ASSIGNMENT, format!("{DATA}eligibility"));
    (EntityType::TestTaker, entity)
}

/// A school with its takers in three classes, an eligibility for all, and, unscoped, another school.
pub fn school(takers: usize) -> Vec<(EntityType, Entity)> {
    let center = |name: &str, org: &str| {
        let entity = Entity::new(format!("{DATA}center{name}"), v::CLASS_TEST_CENTER).with(v::ORGANISATION_ID, org);
        (EntityType::TestCenter, entity.with(v::RDFS_LABEL, format!("Center {name}")))
    };
    let mut eligibility = Entity::new(format!("{DATA}eligibility"), v::CLASS_ELIGIBILITY)
        .with(v::ELIGIBLE_TEST_CENTER, format!("{DATA}centerA"))
        .with(v::ELIGIBLE_DELIVERY, format!("{DATA}delivery"));
    let mut list = vec![center("A", "A"), center("B", "B")];
    for number in 0..3 {
        let parent = if number == 0 { v::CLASS_SUBJECT.to_owned() } else { format!("{DATA}class{}", number - 1) };
        let class = Entity::new(format!("{DATA}class{number}"), parent).with(v::RDFS_LABEL, format!("Class {number}"));
        list.push((EntityType::Class, class));
    }
    for number in 0..takers {
        eligibility.push(v::ELIGIBLE_TEST_TAKER, taosync_model::Value::plain(format!("{DATA}taker{number}")));
        list.push(taker(number));
    }
    list.push((EntityType::Eligibility, eligibility));
    list.push((
        EntityType::Delivery,
        Entity::new(format!("{DATA}delivery"), v::CLASS_DELIVERY).with(v::RDFS_LABEL, "D"),
    ));
    list
}

async fn change(store: &Store, changes: Vec<Change>) {
    let mut tx = store.write("test", Durability::Flushed).await.unwrap();
    store.entities_change(&mut tx, changes).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_client_holds_what_its_organisation_sees_and_asks_only_for_what_changed() {
    let place = central(compat(10)).await;
    load(&place.store, school(24), &["A", "B"]).await;
    let mut client = TaoBox::connect(&place, "key", &["A"], Some("A")).await;
    client.sync(async |_| {}).await;
    assert_eq!((client.count("test-center"), client.count("test-taker"), client.count("delivery")), (1, 24, 1));
    assert_eq!(client.classes.len(), 3, "with their parents");
    assert_eq!((client.fetched, client.deleted), (27, 0));

    client.sync(async |_| {}).await;
    assert_eq!((client.fetched, client.deleted), (0, 0), "nothing changed, nothing is asked for");

    let (_, renamed) = taker(3);
    let renamed = {
        let mut renamed = renamed;
        renamed.set(v::RDFS_LABEL, vec![taosync_model::Value::plain("New")]);
        renamed
    };
    let gone = format!("{DATA}taker7");
    change(&place.store, vec![Change::Upsert(EntityType::TestTaker, renamed), Change::Remove(gone.clone())]).await;
    client.sync(async |_| {}).await;
    assert_eq!(client.deleted, 1);
    assert!(!client.held["test-taker"].contains_key(&gone));
    // The taker, and the eligibility that no longer names the other one.
    assert_eq!(client.fetched, 2);
    assert_eq!(client.held["test-taker"][&format!("{DATA}taker3")].properties.texts(v::RDFS_LABEL), ["New"]);
}

#[tokio::test]
async fn a_list_of_exactly_a_page_ends_and_one_more_makes_two() {
    for (takers, pages) in [(9, 1), (10, 1), (11, 2), (20, 2), (21, 3)] {
        let place = central(compat(10)).await;
        load(&place.store, school(takers), &["A"]).await;
        let mut client = TaoBox::connect(&place, "key", &["A"], None).await;
        client.sync(async |_| {}).await;
        assert_eq!(client.count("test-taker"), takers);
        // Every other type has one page.
        assert_eq!(client.pages, pages + 5, "{takers} takers");
    }
}

#[tokio::test]
async fn changes_between_pages_neither_lose_nor_delete_anybody() {
    let place = central(compat(5)).await;
    load(&place.store, school(40), &["A"]).await;
    let mut client = TaoBox::connect(&place, "key", &["A"], None).await;
    client.sync(async |_| {}).await;
    let before: BTreeSet<String> = client.held["test-taker"].keys().cloned().collect();
    assert_eq!(before.len(), 40);
    let mut step = 0;
    client
        .sync(async |store: &Store| {
            step += 1;
            let (_, mut moved) = taker(step % 40);
            moved.set(v::RDFS_LABEL, vec![taosync_model::Value::plain(format!("Step {step}"))]);
            let mut changes = vec![Change::Upsert(EntityType::TestTaker, moved)];
            if step == 4 {
                // Gone, and back again at once.
                change(store, vec![Change::Remove(format!("{DATA}taker39"))]).await;
                changes.push(Change::Upsert(EntityType::TestTaker, taker(39).1));
            }
            change(store, changes).await;
        })
        .await;
    assert!(step > 10, "{step}");
    let after: BTreeSet<String> = client.held["test-taker"].keys().cloned().collect();
    assert_eq!((after, client.deleted), (before, 0));
}

#[tokio::test]
async fn what_an_organisation_does_not_see_does_not_exist() {
    let place = central(compat(10)).await;
    load(&place.store, school(3), &["A", "B"]).await;
    let foreign = TaoBox::connect(&place, "key", &["B"], Some("B")).await;
    let body = json!({"type": "test-taker", "entityIds": [format!("{DATA}taker1"), "https://x/#y"], "params": foreign.params()});
    assert_eq!(foreign.post(PATH_DETAILS, body).await.json(), json!([]));
    let body = json!({"type": "test-taker", "requested-classes": [format!("{DATA}class1"), "https://x/#y"]});
    let classes: Details = serde_json::from_slice(&foreign.post(PATH_CLASSES, body).await.body).unwrap();
    let answers: BTreeSet<_> =
        classes.0.iter().map(|(_, class)| (class.checksum.clone(), class.properties.is_empty())).collect();
    assert_eq!(answers.len(), 1, "a class of others looks like one that is not: {classes:?}");
    let url = format!(
        "/taoSync/SynchronisationApi/getDeliveryTest?delivery-uri={}",
        "https%3A%2F%2Fcentral.example%2Ftao.rdf%23delivery"
    );
    assert_eq!(foreign.get(&url).await.status, 404);
    // The organisation a request names counts only where the consumer has it.
    let named = foreign.first_page("test-taker").replace("organisation_id%5D=B", "organisation_id%5D=A");
    assert_eq!(foreign.get(&named).await.status, 404, "and no empty list, which a client takes for a removal");
    Compat { trust_requested_org: true, ..compat(10) }.save(&place.store).await.unwrap();
    let answer = foreign.get(&named).await;
    let page: ChecksumPage = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(page.entities.0.len(), 3, "as TAO does, where it is switched on");
}

#[tokio::test]
async fn a_sync_is_in_the_history_from_its_first_page_to_its_confirmation() {
    let place = central(compat(10)).await;
    load(&place.store, school(3), &["A"]).await;
    let mut client = TaoBox::connect(&place, "key", &["A"], Some("A")).await;
    client.sync(async |_| {}).await;
    let runs = place.store.sync_list(None, 10).await.unwrap();
    assert_eq!((runs.len(), runs[0].outcome.as_str()), (1, "running"));
    let finished = json!({"params": client.params()});
    for _ in 0..2 {
        let answer = client.post("taoSync/SynchronisationApi/confirmSyncFinished", finished.clone()).await;
        assert_eq!(answer.json(), json!({"message": "Confirmation received."}));
    }
    client.sync(async |_| {}).await;
    let failed = json!({"params": client.params(), "failure-reason": [{"type": "error", "message": "disk full"}]});
    client.post("taoSync/SynchronisationApi/confirmSyncFailed", failed).await;
    let runs = place.store.sync_list(None, 10).await.unwrap();
    let words: Vec<_> = runs.iter().map(|run| (run.outcome.as_str(), run.reason.as_deref())).collect();
    assert_eq!(words, [("failed", Some("disk full")), ("success", None)]);
    assert_eq!(runs[0].summary["tao"]["box_id"], "65f0c1a2b3d4e");
    let boxes = place.store.tao_boxes().await.unwrap();
    assert_eq!(boxes.len(), 1);
    let known = (boxes[0].box_id.as_str(), boxes[0].org.as_str(), boxes[0].version.as_deref(), boxes[0].outcome);
    assert_eq!(known, ("65f0c1a2b3d4e", "A", Some(VERSION), SyncOutcome::Failed));
    assert_eq!((boxes[0].last_success, boxes[0].last_seen), (runs[1].ended_at, runs[0].started_at));
}

#[tokio::test]
async fn a_client_that_counts_its_own_pages_misses_nobody_when_data_change() {
    let place = central(compat(5)).await;
    load(&place.store, school(40), &["A"]).await;
    let client = TaoBox::connect(&place, "key", &["A"], None).await;
    let mut listed = BTreeSet::new();
    let mut offset = 0;
    loop {
        let url = format!("{}&params%5Boffset%5D={offset}", client.first_page("test-taker"));
        let page: ChecksumPage = serde_json::from_slice(&client.get(&url).await.body).unwrap();
        let again: ChecksumPage = serde_json::from_slice(&client.get(&url).await.body).unwrap();
        assert_eq!(page, again, "a page whose answer was lost");
        if page.entities.0.is_empty() {
            break;
        }
        listed.extend(page.entities.0.iter().map(|(uri, _)| uri.clone()));
        // Whoever changes moves to the end, and all behind move up by one: counted anew, one of them would be left out.
        let (_, mut moved) = taker(offset);
        moved.set(v::RDFS_LABEL, vec![taosync_model::Value::plain(format!("From {offset}"))]);
        if offset < 40 {
            change(&place.store, vec![Change::Upsert(EntityType::TestTaker, moved)]).await;
        }
        offset += 5;
        assert!(offset < 100, "paging does not end");
    }
    assert_eq!(listed.len(), 40);
}
