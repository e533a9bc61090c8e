//! Sync managers: whose login counts here, and the handshake that connects a fresh box.

use std::collections::{BTreeSet, HashMap};

use secrecy::SecretString;
use taosync_model::scope::FieldChoice;
use taosync_model::tao::Properties;
use taosync_model::{Entity, EntityType, OrgId, vocabulary as v};
use taosync_store::entities::{Key, Stored};
use taosync_store::tao::{Handshake, NewHandshake};
use taosync_store::{Store, StoreError};
use taosync_vault::{passwords, random};
use taosync_wire::tao::access::{HandshakeAnswer, OauthInfo};

use super::listing;

/// A sync manager who gave the right password.
#[derive(Clone, Debug)]
pub struct Manager {
    entity: Entity,
    /// Organisations of the manager's centers.
    pub orgs: Vec<OrgId>,
}

/// Why nobody is let in. Only the audit log tells one from the other: who asks must not learn that a password is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginRefused {
    /// Unknown login or wrong password.
    Wrong,
    /// Right, but not a sync manager of an organisation: the URI of whose login it is.
    NotAManager(String),
}

impl Manager {
    /// The manager, as central holds them.
    pub const fn entity(&self) -> &Entity {
        &self.entity
    }

    /// The login.
    pub fn login(&self) -> &str {
        self.entity.first(v::USER_LOGIN).unwrap_or_default()
    }

    /// URI of the manager.
    pub fn uri(&self) -> &str {
        &self.entity.uri
    }

    /// What the store is asked for: a consumer for the machine with this key, or for all TAO boxes of the manager.
    fn handshake<'a>(&'a self, client_key: &'a str, machine: Option<&'a str>) -> NewHandshake<'a> {
        NewHandshake {
            manager: &self.entity.uri,
            login: self.login(),
            role: v::ROLE_SYNC_MANAGER,
            orgs: &self.orgs,
            client_key,
            machine,
        }
    }
}

/// Checks login and password; an unknown login costs a comparison too. What else the time tells of the reason for a refusal
/// is for the caller to hide.
pub async fn manager(
    store: &Store,
    login: &str,
    password: &SecretString,
) -> Result<Result<Manager, LoginRefused>, StoreError> {
    let key = Key::Login(login.to_owned());
    let found = store.entities_find(std::slice::from_ref(&key)).await?.remove(&key).unwrap_or_default();
    // The index is blind to nothing, but several users may share a login.
    let mut right = None;
    if found.is_empty() {
        passwords::tao_verify_nobody(password);
    }
    for stored in found {
        let hash = stored.entity.first(v::USER_PASSWORD).unwrap_or_default();
        if passwords::tao_verify(password, hash) {
            right = Some(stored);
        }
    }
    let Some(stored) = right else { return Ok(Err(LoginRefused::Wrong)) };
    let is_manager = stored.types.contains(&EntityType::SyncManager);
    let orgs = if is_manager { orgs_of(store, &stored.entity).await? } else { Vec::new() };
    if orgs.is_empty() {
        return Ok(Err(LoginRefused::NotAManager(stored.entity.uri)));
    }
    Ok(Ok(Manager { entity: stored.entity, orgs }))
}

/// The organisations named on the manager, and those of the manager's centers.
pub(crate) async fn orgs_of(store: &Store, manager: &Entity) -> Result<Vec<OrgId>, StoreError> {
    let centers: Vec<Key> = manager.values(v::ASSIGNED_SYNC_USER).iter().map(|c| Key::Uri(c.text.clone())).collect();
    Ok(orgs_among(manager, &store.entities_find(&centers).await?))
}

/// The same, with the centers at hand; those that are not the manager's do not count.
pub(super) fn orgs_among(manager: &Entity, centers: &HashMap<Key, Vec<Stored>>) -> Vec<OrgId> {
    let theirs = manager.values(v::ASSIGNED_SYNC_USER).iter().map(|center| Key::Uri(center.text.clone()));
    let centers = theirs.filter_map(|key| centers.get(&key)).flatten();
    let named = centers.flat_map(|center| center.entity.values(v::ORGANISATION_ID));
    let named = manager.values(v::ORGANISATION_ID).iter().chain(named);
    let orgs: BTreeSet<OrgId> = named.filter_map(|value| OrgId::new(value.text.clone()).ok()).collect();
    orgs.into_iter().collect()
}

/// The consumer of one machine of ours that a manager connects: the same at every try.
pub async fn connect(store: &Store, manager: &Manager, thumbprint: &str) -> Result<Handshake, StoreError> {
    store.handshake(&manager.handshake(&client_key(), Some(thumbprint))).await
}

fn client_key() -> String {
    hex::encode(random::bytes::<16>())
}

/// What a handshake gave.
pub struct Given {
    /// For the box.
    pub answer: HandshakeAnswer,
    /// Whether a consumer was made for it.
    pub is_new: bool,
}

/// The consumer of a manager's boxes, and who the manager is.
pub async fn handshake(store: &Store, manager: &Manager, token_url: String) -> Result<Given, StoreError> {
    let consumer = store.handshake(&manager.handshake(&client_key(), None)).await?;
    let uri = manager.entity.uri.clone();
    let base = uri.rsplit_once('#').map_or(uri.as_str(), |(base, _)| base);
    let mut entity = manager.entity.clone();
    let consumer_uri = format!("{base}#i{}", consumer.consumer.simple());
    entity.set(v::CONSUMER_USER, vec![taosync_model::Value::plain(consumer_uri)]);
    let mut properties = Properties::of(&entity, &[], EntityType::SyncManager, &FieldChoice::default());
    if properties.texts(v::ORGANISATION_ID).is_empty() {
        // A TAO client takes its organisation from here.
        properties.add_missing(v::ORGANISATION_ID, manager.orgs.first().map_or("", OrgId::as_str));
    }
    let oauth_info = OauthInfo { key: consumer.client_key, secret: consumer.secret, token_url };
    let answer = HandshakeAnswer { sync_user: listing::entity(uri, properties), oauth_info };
    Ok(Given { answer, is_new: consumer.is_new })
}
