//! Signing in with login and password, in TAO's password form. The time of an answer does not tell which logins exist,
//! and guessing is slowed down for the login that is guessed at, never for others.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::json;
use taosync_model::{Entity, EntityType, OrgId, vocabulary};
use taosync_store::audit::AuditEntry;
use taosync_store::executions::Execution;
use taosync_vault::passwords;
use uuid::Uuid;

use super::eligible::{Eligibilities, Sitting};
use super::{Runner, RunnerError};

/// Wrong passwords that cost nothing.
const FREE_TRIES: u32 = 3;
/// Longest wait, in seconds.
const LONGEST_WAIT: i64 = 60;
/// Logins that are remembered.
const REMEMBERED: usize = 10_000;

/// A test taker who signed in.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// URI.
    pub test_taker: String,
    /// Name to show.
    pub label: String,
    /// What may be started or continued now.
    pub deliveries: Vec<StartableDelivery>,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn")
            .field("test_taker", &self.test_taker)
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}

/// A delivery that may be started or continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartableDelivery {
    /// URI.
    pub uri: String,
    /// Name to show.
    pub label: String,
    /// Organisation.
    pub org: OrgId,
    /// Version of the package that is run.
    pub package_version: u32,
    /// The attempt that is running already.
    pub running: Option<Uuid>,
}

/// Wrong passwords of late, by blind index of the login, at a device if one was named.
#[derive(Default)]
pub(super) struct WrongTries(Mutex<HashMap<[u8; 16], Tries>>);

#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    last: Timestamp,
}

impl Runner {
    /// Checks login and password, and says what the test taker may start. Wrong passwords make wait whoever tries this
    /// login at this device: a neighbour cannot keep its owner out.
    pub async fn authenticate(
        &self,
        login: &str,
        password: &SecretString,
        device: Option<&str>,
    ) -> Result<SignedIn, RunnerError> {
        let index = self.store.keyring().index();
        let key = match device {
            Some(device) => index.of(&format!("login at {device}"), login),
            None => index.of("login", login),
        };
        let now = self.store.clock().now();
        if let Some(seconds) = self.wrong_tries.wait(&key, now) {
            return Err(RunnerError::SlowDown { seconds });
        }
        let users = self.store.replica_users(login).await?;
        let takers = users
            .into_iter()
            .filter(|(org, entity_type, _)| *entity_type == EntityType::TestTaker && self.scope.has(org));
        let takers = takers.map(|(_, _, entity)| entity);
        // Who was removed during an attempt may go on with it.
        let parted = self.store.parted_takers(login).await?.into_iter().filter(|(org, _)| self.scope.has(org));
        let parted = parted.map(|(_, entity)| entity);
        let Some(taker) = whose_password(takers.chain(parted), password) else {
            self.wrong_tries.wrong(key, now);
            return Err(RunnerError::WrongLogin);
        };
        self.wrong_tries.right(&key);
        let object = self.store.audit_name(&[EntityType::TestTaker], &taker.uri);
        let entry = AuditEntry { actor: "test runner", act: "taker.login", object: &object, detail: json!({}) };
        self.store.audit_write(&entry).await?;
        let deliveries = self.deliveries_for(&taker.uri).await?;
        Ok(SignedIn { label: taker.label().to_owned(), test_taker: taker.uri, deliveries })
    }

    /// What a test taker may start or continue now, each delivery once. What runs may go on, whatever central has said
    /// meanwhile.
    pub async fn deliveries_for(&self, test_taker: &str) -> Result<Vec<StartableDelivery>, RunnerError> {
        let mut list: Vec<StartableDelivery> = Vec::new();
        for running in self.running(test_taker).await? {
            let Execution { id, org, delivery, package_version, .. } = running;
            let entity = match self.delivery(&org, &delivery).await? {
                None => self.store.parted_get(&delivery).await?,
                here => here,
            };
            let label = entity.map(|entity| entity.label().to_owned()).unwrap_or_default();
            list.push(StartableDelivery { uri: delivery, label, org, package_version, running: Some(id) });
        }
        for Sitting { delivery, org } in Eligibilities::new(&self.store).of(test_taker).await? {
            if !self.scope.has(&org) || list.iter().any(|known| known.uri == delivery) {
                continue;
            }
            let package_version = match self.startable(&org, &delivery, test_taker).await {
                Ok(package) => package.version,
                Err(RunnerError::Store(error)) => return Err(error.into()),
                Err(_) => continue,
            };
            let label = self.delivery(&org, &delivery).await?.map(|d| d.label().to_owned()).unwrap_or_default();
            list.push(StartableDelivery { uri: delivery, label, org, package_version, running: None });
        }
        Ok(list)
    }
}

/// The taker with this password; the work is the same when nobody has the login.
fn whose_password(takers: impl Iterator<Item = Entity>, password: &SecretString) -> Option<Entity> {
    let mut tried = HashSet::new();
    let mut found = None;
    for taker in takers {
        let stored = taker.first(vocabulary::USER_PASSWORD).unwrap_or_default();
        // The same person in two orgs is checked once.
        if tried.insert((taker.uri.clone(), stored.to_owned())) && passwords::tao_verify(password, stored) {
            found = Some(taker);
        }
    }
    if tried.is_empty() {
        passwords::tao_verify_nobody(password);
    }
    found
}

impl WrongTries {
    /// Seconds until the login may be tried again.
    fn wait(&self, key: &[u8; 16], now: Timestamp) -> Option<i64> {
        let tries = self.0.lock().ok()?.get(key).copied()?;
        let wait = wait_after(tries.count);
        let gone = now.duration_since(tries.last).as_secs();
        // A clock that was set back must not lengthen the wait.
        (0..wait).contains(&gone).then(|| wait - gone)
    }

    fn wrong(&self, key: [u8; 16], now: Timestamp) {
        let Ok(mut known) = self.0.lock() else { return };
        if known.len() >= REMEMBERED && !known.contains_key(&key) {
            forget_old(&mut known, now);
        }
        let tries = known.entry(key).or_insert(Tries { count: 0, last: now });
        tries.count = tries.count.saturating_add(1);
        tries.last = now;
    }

    fn right(&self, key: &[u8; 16]) {
        if let Ok(mut known) = self.0.lock() {
            known.remove(key);
        }
    }
}

/// Makes room: what is over goes; if that is not enough, the half with the fewest wrong tries.
fn forget_old(known: &mut HashMap<[u8; 16], Tries>, now: Timestamp) {
    let longest = SignedDuration::from_secs(LONGEST_WAIT);
    known.retain(|_, tries| now.duration_since(tries.last).abs() <= longest);
    if known.len() >= REMEMBERED {
        let mut counts: Vec<u32> = known.values().map(|tries| tries.count).collect();
        let middle = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable(middle);
        let median = *median;
        let mut spare = middle;
        known.retain(|_, tries| {
            let goes = tries.count <= median && spare > 0;
            spare -= usize::from(goes);
            !goes
        });
    }
}

fn wait_after(count: u32) -> i64 {
    match count.checked_sub(FREE_TRIES) {
        None => 0,
        Some(beyond) => 1_i64.checked_shl(beyond.min(6)).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn waits_grow_to_a_minute_and_no_further() {
        let waits: Vec<i64> = (0..12).map(wait_after).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(wait_after(u32::MAX), 60);
    }

    #[test]
    fn others_never_wait_and_a_jumping_clock_locks_nobody_out() {
        let tries = WrongTries::default();
        for _ in 0..30 {
            tries.wrong([1; 16], at(1000));
        }
        assert_eq!(tries.wait(&[1; 16], at(1000)), Some(60));
        assert_eq!(tries.wait(&[1; 16], at(1059)), Some(1));
        assert_eq!(tries.wait(&[1; 16], at(1060)), None);
        assert_eq!(tries.wait(&[1; 16], at(10)), None);
        assert_eq!(tries.wait(&[2; 16], at(1000)), None);
        tries.right(&[1; 16]);
        assert_eq!(tries.wait(&[1; 16], at(1000)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let tries = WrongTries::default();
        for number in 0..=REMEMBERED as u128 {
            tries.wrong(number.to_le_bytes(), at(1000));
        }
        assert!(tries.0.lock().unwrap().len() <= REMEMBERED);
    }
}
