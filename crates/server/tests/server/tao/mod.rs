//! TAO's protocol: recordings of a real pair of TAO servers, a scripted client of our own, and wrong requests.

mod captures;
mod hand_in;
mod recorded;
mod requests;
mod walk;

use taosync_model::tao::Properties;
use taosync_model::{Entity, EntityType, Value, vocabulary as v};
use taosync_server::{Central, ListenLimits, central_router};
use taosync_store::entities::Change;
use taosync_store::settings::Role;
use taosync_store::tokens::NewToken;
use taosync_store::{Durability, Store};
use taosync_sync::tao::Compat;
use taosync_vault::tokens::TokenHash;

use crate::place::{Place, org};

/// The one version of TAO that may sync in these tests.
pub const VERSION: &str = "2023.12";

/// A central with these settings.
pub async fn central(compat: Compat) -> Place {
    Place::open(Role::Central, ListenLimits::default(), async |store, blobs, identity| {
        compat.save(&store).await.unwrap();
        central_router(Central::new(store, blobs, identity))
    })
    .await
}

/// The usual settings, with pages of this size.
pub fn compat(chunk_size: u32) -> Compat {
    Compat { chunk_size, supported_versions: vec![VERSION.to_owned()], ..Compat::default() }
}

/// Loads entities, and registers orgs.
pub async fn load(store: &Store, entities: Vec<(EntityType, Entity)>, orgs: &[&str]) {
    let mut tx = store.write("test", Durability::Flushed).await.unwrap();
    let changes = entities.into_iter().map(|(entity_type, entity)| Change::Upsert(entity_type, entity));
    store.entities_change(&mut tx, changes.collect()).await.unwrap();
    for name in orgs {
        store.scope_register(&mut tx, &org(name)).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(store.scopes_check().await.unwrap(), []);
}

/// Makes a text a valid token of a consumer.
pub async fn issue(place: &Place, consumer: &str, token: &str) {
    let login = place.store.consumer_login(consumer).await.unwrap().unwrap();
    let expires_at = place.store.clock().now() + jiff::SignedDuration::from_hours(1);
    let (consumer, hash) = (&login.consumer, TokenHash::of(&token.into()));
    let new = NewToken { hash, consumer: consumer.id, org: &consumer.orgs[0], node: None, expires_at };
    place.store.token_issue(&new).await.unwrap();
}

/// An entity with the properties TAO shows of it.
pub fn entity(entity_type: EntityType, uri: &str, properties: &Properties) -> Entity {
    let class = if entity_type == EntityType::Class { v::RDFS_SUB_CLASS_OF } else { v::RDF_TYPE };
    let mut entity = Entity::new(uri, properties.texts(class).first().cloned().unwrap_or_default());
    for (predicate, merged) in properties.iter() {
        merged.texts().iter().for_each(|text| entity.push(predicate, Value::plain(text)));
    }
    entity
}

/// What stands in a TAO's `Authorization` header.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
