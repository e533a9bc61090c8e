//! Who may see and do what at the pages of a server: accounts of our own, and at central the sync managers among its
//! people.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use taosync_model::{EntityType, OrgId, vocabulary as v};
use taosync_store::accounts::sessions::{Holder, Session};
use taosync_store::accounts::{AccountRole, MAX_LOGIN};
use taosync_store::entities::Key;
use taosync_store::{Store, StoreError};
use taosync_vault::tokens::TokenHash;
use taosync_vault::{account_passwords, random};
use tokio::sync::Semaphore;

use crate::tao::login;

/// Passwords checked at once; each takes 64 MiB.
const CHECKED_AT_ONCE: usize = 2;
/// How long a sign-in waits for those before it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Bytes of a password at most.
pub const MAX_PASSWORD: usize = 1_024;

/// The door to the pages. Cheap to clone; clones share how many passwords are checked at once.
#[derive(Clone)]
pub struct Accounts {
    store: Store,
    places: Arc<Semaphore>,
    longest_wait: Duration,
}

/// Somebody who is signed in, as of now.
#[derive(Clone, PartialEq, Eq)]
pub struct Visitor {
    /// What the audit log and the history call them.
    pub name: String,
    /// The login, for their own eyes.
    pub login: String,
    /// What they may do.
    pub role: AccountRole,
    /// The organisations of a sync manager.
    pub orgs: BTreeSet<OrgId>,
}

impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visitor").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Unknown login or wrong password: which of them is not told.
    #[error("login or password is wrong")]
    Wrong,
    /// Too many sign in at once.
    #[error("too many are signing in just now; try again in some seconds")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Visitor {
    /// Whether what belongs to an organisation is shown.
    pub fn sees(&self, org: &OrgId) -> bool {
        self.role != AccountRole::SyncManager || self.orgs.contains(org)
    }

    /// Whether everything of every organisation is shown: to those whose task it is.
    pub fn sees_all(&self) -> bool {
        self.role != AccountRole::SyncManager
    }

    /// Whether acts that concern the whole server are allowed.
    pub fn may_administer(&self) -> bool {
        self.role == AccountRole::Administrator
    }

    /// Whether syncs of the organisations that are seen may be started.
    pub fn may_sync(&self) -> bool {
        self.role != AccountRole::Auditor
    }
}

impl Accounts {
    /// The door of a node.
    pub fn new(store: Store) -> Self {
        Self { store, places: Arc::new(Semaphore::new(CHECKED_AT_ONCE)), longest_wait: LONGEST_WAIT }
    }

    /// Checks login and password and opens a session; gives its token, which is kept nowhere. Whoever does not exist
    /// costs as much as a wrong password.
    pub async fn sign_in(&self, login: &str, password: &SecretString) -> Result<SecretString, SignInError> {
        use secrecy::ExposeSecret as _;
        if login.len() > MAX_LOGIN || password.expose_secret().len() > MAX_PASSWORD {
            return Err(SignInError::Wrong);
        }
        let found = self.store.account_find(login).await?;
        let (account, kept) = found.map_or((None, None), |(account, kept)| (Some(account), Some(kept)));
        let fits = self.check(password.clone(), kept.clone()).await?;
        let (holder, kept) = match (account, kept) {
            (Some(account), Some(kept)) if fits => (Holder::Account(account.id), kept),
            (Some(_), _) => return Err(SignInError::Wrong),
            _ => self.manager(login, password).await?.ok_or(SignInError::Wrong)?,
        };
        let token = random::token();
        self.store.session_open(&TokenHash::of(&token), &holder, &kept).await?;
        Ok(token)
    }

    /// Who shows a token; none when the session is over, the password was changed, or the account is gone.
    pub async fn visitor(&self, token: &SecretString) -> Result<Option<Visitor>, StoreError> {
        let Some(session) = self.store.session_find(&TokenHash::of(token)).await? else { return Ok(None) };
        match &session.holder {
            Holder::Account(id) => self.account(*id, &session).await,
            Holder::Manager(uri) => self.manager_of(uri, &session).await,
        }
    }

    /// Ends a session.
    pub async fn sign_out(&self, token: &SecretString) -> Result<(), StoreError> {
        self.store.session_close(&TokenHash::of(token)).await
    }

    /// Compares on a thread where nothing else waits, a few at once.
    async fn check(&self, password: SecretString, kept: Option<SecretString>) -> Result<bool, SignInError> {
        let place = tokio::time::timeout(self.longest_wait, Arc::clone(&self.places).acquire_owned()).await;
        // The semaphore is never closed.
        let Ok(Ok(place)) = place else { return Err(SignInError::Busy) };
        let checked = tokio::task::spawn_blocking(move || {
            let _held = place;
            account_passwords::verify(&password, kept.as_ref())
        });
        checked.await.map_err(|_| SignInError::Busy)
    }

    /// A sync manager among the people of central, and the kept form of the password.
    async fn manager(
        &self,
        login: &str,
        password: &SecretString,
    ) -> Result<Option<(Holder, SecretString)>, StoreError> {
        let Ok(manager) = login::manager(&self.store, login, password).await? else { return Ok(None) };
        let kept = SecretString::from(manager.entity().first(v::USER_PASSWORD).unwrap_or_default());
        Ok(Some((Holder::Manager(manager.entity().uri.clone()), kept)))
    }

    async fn account(&self, id: uuid::Uuid, session: &Session) -> Result<Option<Visitor>, StoreError> {
        let Some((account, kept)) = self.store.account_get(id).await? else { return Ok(None) };
        let name = self.store.holder_name(&session.holder);
        let visitor = Visitor { name, login: account.login, role: account.role, orgs: account.orgs };
        Ok(self.store.session_fits(session, &kept).then_some(visitor))
    }

    async fn manager_of(&self, uri: &str, session: &Session) -> Result<Option<Visitor>, StoreError> {
        let key = Key::Uri(uri.to_owned());
        let found = self.store.entities_find(std::slice::from_ref(&key)).await?.remove(&key).unwrap_or_default();
        let Some(stored) = found.into_iter().find(|stored| stored.types.contains(&EntityType::SyncManager)) else {
            return Ok(None);
        };
        let kept = SecretString::from(stored.entity.first(v::USER_PASSWORD).unwrap_or_default());
        let visitor = Visitor {
            name: self.store.holder_name(&session.holder),
            login: stored.entity.first(v::USER_LOGIN).unwrap_or_default().to_owned(),
            role: AccountRole::SyncManager,
            orgs: login::orgs_of(&self.store, &stored.entity).await?.into_iter().collect(),
        };
        Ok(self.store.session_fits(session, &kept).then_some(visitor))
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::clock::SystemClock;
    use taosync_vault::Keyring;

    #[tokio::test]
    async fn who_finds_no_room_to_sign_in_is_told_to_come_again() {
        let home = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&home.path().join("keys")).unwrap());
        let store = Store::open(home.path(), keyring, Arc::new(SystemClock)).await.unwrap();
        let accounts = Accounts { longest_wait: Duration::from_millis(20), ..Accounts::new(store) };
        let try_it = async || accounts.sign_in("nobody", &SecretString::from("x")).await.unwrap_err();
        assert!(matches!(try_it().await, SignInError::Wrong));
        let held = accounts.places.acquire_many(CHECKED_AT_ONCE as u32).await.unwrap();
        assert!(matches!(try_it().await, SignInError::Busy));
        drop(held);
        assert!(matches!(try_it().await, SignInError::Wrong), "and then as before");
    }
}
