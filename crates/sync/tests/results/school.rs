//! A central and a local server in one process, with two test takers and one delivery that is ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use secrecy::SecretString;
use taosync_model::assessment::{Variable, VariableKind, VariableValue};
use taosync_model::canonical::entity_digest;
use taosync_model::clock::ShiftedClock;
use taosync_model::delivery::PackageRef;
use taosync_model::{Clock, Digest, Entity, EntityType, OrgId, Value, vocabulary};
use taosync_store::entities::Change;
use taosync_store::packages::{NewPackage, PackageContents};
use taosync_store::received::{Handover, IncomingItem, ReceivedFilter, ReceivedPayload};
use taosync_store::replica::{Chunk, Link, Upsert};
use taosync_store::settings::{Identity, Role};
use taosync_store::{Durability, Store};
use taosync_sync::link::Central;
use taosync_sync::runner::{ItemRef, Runner, SavedVariables};
use taosync_sync::up::{Authority, Push, Receiver, UpError, UpLimits, UpOutcome};
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::{Keyring, passwords, random};
use taosync_wire::frame::{FrameReader, FrameWriter};
use taosync_wire::v1::outbox::{OutboxFrame, ReceiptFrame};
use tempfile::TempDir;
use uuid::Uuid;

pub const ANNA: &str = "http://example.org/tao.rdf#anna";
pub const BELA: &str = "http://example.org/tao.rdf#bela";
pub const MATHS: &str = "http://example.org/tao.rdf#maths";
pub const PASSWORD: &str = "correct horse";
const ELIGIBILITY: &str = "http://example.org/tao.rdf#eligibility";

pub struct School {
    pub central: Store,
    pub local: Store,
    pub clock: Arc<ShiftedClock>,
    pub runner: Runner,
    pub org: OrgId,
    pub limits: UpLimits,
    pub authority: Authority,
    /// Gone with the school.
    _dirs: (TempDir, TempDir),
}

pub async fn school() -> School {
    let org = OrgId::new("school-1").unwrap();
    let dirs = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Arc::new(ShiftedClock::default());
    let central = node(&dirs.0, Role::Central, Arc::new(ShiftedClock::default())).await;
    let local = node(&dirs.1, Role::Local, clock.clone()).await;
    fill_central(&central, &org).await;
    fill_local(&local, &org, &takers()).await;
    let identity = central.identity().await.unwrap();
    let authority = Authority {
        central: identity.node,
        epoch: identity.epoch,
        org: org.clone(),
        node: local.identity().await.unwrap().node,
        node_key: local.keyring().node_key().public(),
    };
    let runner = Runner::open(local.clone(), SignedDuration::from_hours(24)).await.unwrap();
    School { central, local, clock, runner, org, limits: UpLimits::default(), authority, _dirs: dirs }
}

async fn node(dir: &TempDir, role: Role, clock: Arc<dyn Clock>) -> Store {
    let keyring = Arc::new(Keyring::create(&dir.path().join("keys")).unwrap());
    let store = Store::open(dir.path(), keyring, clock).await.unwrap();
    store.identity_set(&Identity { node: random::uuid(), role, epoch: random::uuid() }).await.unwrap();
    store
}

fn taker(uri: &str, login: &str) -> Entity {
    Entity::new(uri, vocabulary::CLASS_SUBJECT)
        .with(vocabulary::RDFS_LABEL, login)
        .with(vocabulary::USER_LOGIN, login)
        .with(vocabulary::USER_PASSWORD, passwords::tao_hash(&SecretString::from(PASSWORD)))
        .with(vocabulary::USER_ASSIGNMENT, ELIGIBILITY)
}

pub fn takers() -> Vec<Entity> {
    vec![taker(ANNA, "anna"), taker(BELA, "bela")]
}

/// `number` further takers of the eligibility.
pub fn many_takers(number: usize) -> Vec<Entity> {
    (0..number).map(|n| taker(&format!("http://example.org/tao.rdf#t{n}"), &format!("t{n}"))).collect()
}

pub fn package() -> PackageRef {
    PackageRef {
        version: 3,
        tree_digest: Digest::of(b"tree"),
        compiled_digest: Digest::of(b"compiled"),
        compiler: 1,
        sealed_tree: Digest::of(b"sealed"),
        sealed_tree_bytes: 6,
        files: 1,
        bytes: 1,
    }
}

pub fn delivery() -> Entity {
    let mut delivery = Entity::new(MATHS, vocabulary::CLASS_DELIVERY).with(vocabulary::RDFS_LABEL, "Maths");
    delivery.package = Some(package());
    delivery
}

async fn fill_central(store: &Store, org: &OrgId) {
    let center = "http://example.org/tao.rdf#center";
    let eligibility = Entity::new(ELIGIBILITY, vocabulary::CLASS_ELIGIBILITY)
        .with(vocabulary::ELIGIBLE_TEST_CENTER, center)
        .with(vocabulary::ELIGIBLE_DELIVERY, MATHS)
        .with(vocabulary::ELIGIBLE_TEST_TAKER, ANNA)
        .with(vocabulary::ELIGIBLE_TEST_TAKER, BELA);
    let center = Entity::new(center, vocabulary::CLASS_TEST_CENTER).with(vocabulary::ORGANISATION_ID, org.as_str());
    let mut changes = vec![
        Change::Upsert(EntityType::TestCenter, center),
        Change::Upsert(EntityType::Eligibility, eligibility),
        Change::Upsert(EntityType::Delivery, delivery()),
    ];
    changes.extend(takers().into_iter().map(|entity| Change::Upsert(EntityType::TestTaker, entity)));
    let mut tx = store.write("fill", Durability::Flushed).await.unwrap();
    store.entities_change(&mut tx, changes).await.unwrap();
    store.scope_register(&mut tx, org).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn fill_local(store: &Store, org: &OrgId, takers: &[Entity]) {
    let scope = store.replica_open(Uuid::from_u128(1), org).await.unwrap().id;
    let eligibility =
        Entity::new(ELIGIBILITY, vocabulary::CLASS_ELIGIBILITY).with(vocabulary::ELIGIBLE_DELIVERY, MATHS);
    let mut upserts = vec![upsert(EntityType::Eligibility, &eligibility), upsert(EntityType::Delivery, &delivery())];
    upserts.extend(takers.iter().map(|entity| upsert(EntityType::TestTaker, entity)));
    let links = takers.iter().map(|entity| Link {
        entity_type: EntityType::Eligibility,
        owner: ELIGIBILITY.to_owned(),
        predicate: vocabulary::ELIGIBLE_TEST_TAKER.to_owned(),
        value: Value::plain(&entity.uri),
        present: true,
    });
    let chunk = Chunk { upserts, links: links.collect(), ..Chunk::default() };
    store.replica_apply(scope, chunk, &BTreeMap::new()).await.unwrap();
    let (key, reference) = (DeliveryKey::generate(), package());
    let new = NewPackage { delivery: MATHS, reference: &reference, chunks: &[] };
    let id = store.package_fetching(&new).await.unwrap();
    store
        .package_ready(id, &PackageContents { reference: None, key: Some(&key), tree: None, compiled: None })
        .await
        .unwrap();
}

pub async fn replace_delivery(store: &Store, org: &OrgId, entity: &Entity) {
    let scope = store.replica_open(Uuid::from_u128(1), org).await.unwrap().id;
    let chunk = Chunk { upserts: vec![upsert(EntityType::Delivery, entity)], ..Chunk::default() };
    store.replica_apply(scope, chunk, &BTreeMap::new()).await.unwrap();
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

pub fn variable(kind: VariableKind, identifier: &str, text: &str) -> Variable {
    Variable {
        kind,
        identifier: identifier.to_owned(),
        cardinality: "single".to_owned(),
        base_type: Some("string".to_owned()),
        values: Some(vec![VariableValue { text: text.to_owned(), ..VariableValue::default() }]),
        correct: None,
        attributes: vec![],
        at: None,
    }
}

pub fn answers(item: &str, text: &str) -> SavedVariables {
    SavedVariables {
        item: Some(ItemRef { identifier: item.to_owned(), sequence_index: None, session_status: None }),
        variables: vec![
            variable(VariableKind::Response, "RESPONSE", text),
            variable(VariableKind::Outcome, "SCORE", "1"),
        ],
    }
}

/// What happens to one exchange.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    None,
    DropRequest,
    /// Of the request, so many bytes arrive.
    CutRequest(usize),
    /// Of the answer, so many bytes arrive.
    CutAnswer(usize),
    /// The envelope of this item arrives as another than was signed.
    Change(Uuid),
    /// One bit of a receipt's text is not what central wrote.
    Tamper(fn(&mut ReceiptFrame)),
}

impl School {
    pub fn trust(&self) -> Central {
        Central { id: self.authority.central, key: self.central.keyring().node_key().public() }
    }

    /// An attempt from start to end; gives its id.
    pub async fn attempt(&self, taker: &str, answer: &str) -> Uuid {
        let execution = self.runner.start(MATHS, taker).await.unwrap();
        self.runner.save_variables(execution.id, random::uuid(), &[answers("item-1", answer)]).await.unwrap();
        let finished = taosync_model::execution::ExecutionState::Finished;
        self.runner.finish(execution.id, finished, None).await.unwrap();
        execution.id
    }

    /// Central's answer to a request, as bytes.
    pub async fn answer(&self, request: &[u8], tamper: Option<fn(&mut ReceiptFrame)>) -> Vec<u8> {
        let mut receiver = Receiver::new(self.central.clone(), self.authority.clone()).unwrap();
        let mut frames = Vec::new();
        for piece in request.chunks(777) {
            frames.extend(receiver.feed(piece).await);
        }
        frames.extend(receiver.finish().await);
        let mut writer = FrameWriter::new().unwrap();
        let mut bytes = Vec::new();
        for mut frame in frames {
            if let Some(tamper) = tamper {
                tamper(&mut frame);
            }
            writer.push(&frame, &[]).unwrap();
            bytes.extend(writer.flush().unwrap());
        }
        bytes.extend(writer.finish().unwrap());
        bytes
    }

    /// A hand-in where every exchange has the fault; says what was done and what stopped it.
    pub async fn hand_in(&self, fault: Fault) -> (UpOutcome, Result<(), UpError>) {
        let mut push = Push::begin(&self.local, self.trust(), &self.org, &self.limits).await.unwrap();
        let mut end = Ok(());
        while let Some(mut parcel) = push.next_parcel().await.unwrap() {
            let request = parcel.body.clone();
            let answer = match fault {
                Fault::DropRequest => Vec::new(),
                Fault::CutRequest(length) => self.answer(&request[..length.min(request.len())], None).await,
                Fault::CutAnswer(length) => {
                    let mut answer = self.answer(&request, None).await;
                    answer.truncate(length);
                    answer
                }
                Fault::Tamper(tamper) => self.answer(&request, Some(tamper)).await,
                Fault::Change(item) => self.answer(&changed(&request, item), None).await,
                Fault::None => self.answer(&request, None).await,
            };
            for piece in answer.chunks(5) {
                parcel.feed(piece);
            }
            end = push.settle(parcel).await;
            if end.is_err() {
                break;
            }
        }
        (push.finish().await.unwrap(), end)
    }

    /// Hands what central holds over to another central, as it came.
    pub async fn hand_over_to(&self, other: &Store) {
        let held = self.central.received_page(&ReceivedFilter::default(), 1_000, u64::MAX).await.unwrap();
        let incoming = |held: ReceivedPayload| IncomingItem {
            envelope: held.item.envelope,
            payload: held.payload,
            at_rest: None,
            out_of_scope: false,
            vouched: None,
        };
        let items: Vec<IncomingItem> = held.into_iter().map(incoming).collect();
        let Authority { central, epoch, org, node, .. } = &self.authority;
        let handover = Handover { central: *central, epoch: *epoch, org, node: Some(*node) };
        other.received_store(&items, &handover).await.unwrap();
    }

    /// A hand-in without faults.
    pub async fn hand_in_well(&self) -> UpOutcome {
        let (outcome, end) = self.hand_in(Fault::None).await;
        end.unwrap();
        outcome
    }
}

/// A request in which one item's envelope says something else.
fn changed(request: &[u8], item: Uuid) -> Vec<u8> {
    let mut reader = FrameReader::<OutboxFrame>::new().unwrap();
    reader.feed(request).unwrap();
    let mut writer = FrameWriter::new().unwrap();
    while let Some((mut frame, body)) = reader.next_frame() {
        if let OutboxFrame::Item(envelope) = &mut frame
            && envelope.item == item
        {
            envelope.counts.log += 1;
        }
        writer.push(&frame, &body).unwrap();
    }
    writer.finish().unwrap()
}
