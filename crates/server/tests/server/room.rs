//! A local server in a classroom, and the runner's key to it.

use std::collections::BTreeMap;

use axum::body::Body;
use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use taosync_model::canonical::entity_digest;
use taosync_model::delivery::PackageRef;
use taosync_model::{Digest, Entity, EntityType, vocabulary};
use taosync_packages::recipe::make;
use taosync_packages::tree::{Pages, build};
use taosync_packages::{Limits, TreeFile, check, demo_package};
use taosync_server::{ListenLimits, Local, local_router};
use taosync_store::packages::{ChunkRef, Kept, NewPackage, PackageContents};
use taosync_store::replica::{Chunk, Link, Upsert};
use taosync_store::runner_keys::RunnerScope;
use taosync_store::settings::Role;
use taosync_sync::runner::Runner;
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::tokens::TokenHash;
use taosync_vault::{passwords, random};
use uuid::Uuid;

use crate::client::{Answer, bearer};
use crate::desk::{Acts, desk};
use crate::place::{Place, org};

pub const ANNA: &str = "http://example/anna";
pub const MATHS: &str = "http://example/maths";
pub const MATHS_IN_QUERY: &str = "http%3A%2F%2Fexample%2Fmaths";
pub const PASSWORD: &str = "correct horse";
const ELIGIBILITY: &str = "http://example/eligibility";

pub struct Room {
    pub place: Place,
    key: String,
}

/// A package that is ready on the local server.
pub struct Ready {
    pub row: Uuid,
    pub reference: PackageRef,
    /// Where runners read it.
    pub address: String,
    pub files: Vec<TreeFile>,
}

impl Room {
    pub async fn open() -> Self {
        let place = Place::open(Role::Local, ListenLimits::default(), async |store, blobs, _| {
            let runner = Runner::open(store.clone(), SignedDuration::from_hours(24)).await.unwrap();
            local_router(Local::new(store, blobs, runner).with_desk(desk(Acts::default())))
        })
        .await;
        let key = random::token();
        place.store.runner_key_add(&TokenHash::of(&key), "room 1", &RunnerScope::All).await.unwrap();
        Self { key: bearer(key.expose_secret()).1, place }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("authorization", self.key.as_str())];
        all.extend(headers);
        self.place.get(&absolute(path), &all).await
    }

    /// An error when the answer is cut.
    pub async fn try_get(&self, path: &str) -> Result<Answer, hyper::Error> {
        let request = self.place.request("GET", &absolute(path)).header("authorization", &self.key);
        self.place.try_send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: impl ToString) -> Answer {
        self.place.put(&absolute(path), &[("authorization", &self.key)], body.to_string()).await
    }

    pub async fn post_text(&self, path: &str, body: String) -> Answer {
        self.place.post(&absolute(path), &[("authorization", &self.key)], body).await
    }

    /// Anna, who may sit the demonstration test.
    pub async fn fill(&self) {
        let demo = self.ready(1, &demo_package()).await;
        self.delivery_is(&demo.reference).await;
        let anna = Entity::new(ANNA, vocabulary::CLASS_SUBJECT)
            .with(vocabulary::RDFS_LABEL, "Anna")
            .with(vocabulary::USER_LOGIN, "anna")
            .with(vocabulary::USER_PASSWORD, passwords::tao_hash(&SecretString::from(PASSWORD)))
            .with(vocabulary::USER_ASSIGNMENT, ELIGIBILITY);
        let eligibility =
            Entity::new(ELIGIBILITY, vocabulary::CLASS_ELIGIBILITY).with(vocabulary::ELIGIBLE_DELIVERY, MATHS);
        let link = Link {
            entity_type: EntityType::Eligibility,
            owner: ELIGIBILITY.to_owned(),
            predicate: vocabulary::ELIGIBLE_TEST_TAKER.to_owned(),
            value: taosync_model::Value::plain(ANNA),
            present: true,
        };
        let upserts = vec![upsert(EntityType::TestTaker, &anna), upsert(EntityType::Eligibility, &eligibility)];
        self.apply(Chunk { upserts, links: vec![link], ..Chunk::default() }).await;
    }

    /// Central names this package as that of the delivery.
    pub async fn delivery_is(&self, package: &PackageRef) {
        let maths = Entity { package: Some(package.clone()), ..Entity::new(MATHS, vocabulary::CLASS_DELIVERY) };
        let upserts = vec![upsert(EntityType::Delivery, &maths.with(vocabulary::RDFS_LABEL, "Maths"))];
        self.apply(Chunk { upserts, ..Chunk::default() }).await;
    }

    async fn apply(&self, chunk: Chunk) {
        let store = &self.place.store;
        let scope = store.replica_open(Uuid::from_u128(1), &org("a")).await.unwrap().id;
        store.replica_apply(scope, chunk, &BTreeMap::new()).await.unwrap();
    }

    /// A version of the delivery's package, fetched and ready.
    pub async fn ready(&self, version: u32, zip: &[u8]) -> Ready {
        let Place { store, blobs, .. } = &self.place;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package.zip");
        std::fs::write(&path, zip).unwrap();
        let (report, package) = check(&path, &Limits::default(), None);
        let package = package.unwrap_or_else(|| panic!("{report}"));
        let mut chunks = Vec::new();
        let mut sink = |name: &Digest, bytes: &[u8]| {
            chunks.push((*name, bytes.to_vec()));
            Ok(())
        };
        let secret = store.keyring().chunks();
        let tree = build(&package.archive, secret, &mut sink).unwrap();
        let recipe = make(&package.archive, &tree, secret, &mut sink).unwrap().recipe;
        let pages = Pages::of(&tree, recipe, secret, &mut sink).unwrap();
        let key = DeliveryKey::generate();
        let sealed = pages.seal(&key).unwrap();
        let reference = PackageRef {
            version,
            tree_digest: tree.tree_digest(),
            compiled_digest: package.compiled.digest,
            compiler: 1,
            sealed_tree: Digest::of(&sealed),
            sealed_tree_bytes: sealed.len() as u64,
            files: tree.files.len() as u64,
            bytes: tree.bytes(),
        };
        let refs: Vec<_> =
            chunks.iter().map(|(name, bytes)| ChunkRef { name: *name, bytes: bytes.len() as u64 }).collect();
        chunks.push((reference.sealed_tree, sealed));
        blobs.put_batch(chunks).await.unwrap();
        let new = NewPackage { delivery: MATHS, reference: &reference, chunks: &refs };
        let row = store.package_fetching(&new).await.unwrap();
        let (listed, compiled) = (Kept::of(&serde_json::to_vec(&tree).unwrap()), Kept::of(&package.compiled.bytes));
        let contents =
            PackageContents { reference: None, key: Some(&key), tree: Some(&listed), compiled: Some(&compiled) };
        store.package_ready(row, &contents).await.unwrap();
        let address = format!("/api/v1/runner/packages/{}", reference.tree_digest);
        Ready { row, reference, address, files: tree.files }
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/runner/{path}") }
}

fn upsert(entity_type: EntityType, entity: &Entity) -> Upsert {
    Upsert {
        entity_type,
        seq: 1,
        uri: entity.uri.clone(),
        digest: entity_digest(entity),
        body: serde_json::to_vec(entity).unwrap(),
        login: entity.first(vocabulary::USER_LOGIN).map(str::to_owned),
    }
}
