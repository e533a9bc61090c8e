//! Wrong tries of a secret are slowed down, for whoever makes them and for nobody else: per name and network, and, much
//! later, per network. Memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::listen::network_of;

/// The longest wait after a wrong try.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Wrong tries are forgotten after this time without another one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Remembered networks, and remembered names in networks.
const REMEMBERED: usize = 10_000;

/// Remembers wrong tries.
pub(crate) struct SlowDown {
    of_name: Mutex<Tries<(IpAddr, [u8; 16])>>,
    of_network: Mutex<Tries<IpAddr>>,
}

struct Tries<K> {
    free: u32,
    records: HashMap<K, Record>,
}

#[derive(Clone, Copy)]
struct Record {
    wrong: u32,
    last: Instant,
    blocked_until: Instant,
}

impl SlowDown {
    /// `free_of_name` and `free_of_network` wrong tries cost nothing.
    pub fn new(free_of_name: u32, free_of_network: u32) -> Self {
        Self { of_name: Mutex::new(Tries::new(free_of_name)), of_network: Mutex::new(Tries::new(free_of_network)) }
    }

    /// Whether a try may be made now; otherwise how many seconds to wait.
    pub fn check(&self, peer: IpAddr, name: &str, now: Instant) -> Result<(), u64> {
        let network = network_of(peer);
        let wait = lock(&self.of_name).wait(&key(network, name), now).max(lock(&self.of_network).wait(&network, now));
        over(wait)
    }

    /// As [`SlowDown::check`], and notes the try as wrong before it is known, so that many at once are no way around the
    /// wait. One that turns out right is taken back.
    pub fn begin(&self, peer: IpAddr, name: &str, now: Instant) -> Result<(), u64> {
        let network = network_of(peer);
        let name = key(network, name);
        let (mut of_name, mut of_network) = (lock(&self.of_name), lock(&self.of_network));
        over(of_name.wait(&name, now).max(of_network.wait(&network, now)))?;
        of_name.note(name, now);
        of_network.note(network, now);
        Ok(())
    }

    /// Notes a wrong try.
    pub fn wrong(&self, peer: IpAddr, name: &str, now: Instant) {
        let network = network_of(peer);
        lock(&self.of_name).note(key(network, name), now);
        lock(&self.of_network).note(network, now);
    }

    /// Takes back a try that was noted as wrong before it was known, and turned out right.
    pub fn take_back(&self, peer: IpAddr, name: &str) {
        self.right(peer, name);
        if let Some(record) = lock(&self.of_network).records.get_mut(&network_of(peer)) {
            record.wrong = record.wrong.saturating_sub(1);
        }
    }

    /// Forgets the wrong tries of a name after a right one.
    pub fn right(&self, peer: IpAddr, name: &str) {
        lock(&self.of_name).records.remove(&key(network_of(peer), name));
    }
}

impl<K: Eq + Hash + Copy> Tries<K> {
    fn new(free: u32) -> Self {
        Self { free, records: HashMap::new() }
    }

    fn wait(&self, key: &K, now: Instant) -> Duration {
        self.records.get(key).map_or(Duration::ZERO, |record| record.blocked_until.saturating_duration_since(now))
    }

    fn note(&mut self, key: K, now: Instant) {
        self.make_room(&key, now);
        let fresh = Record { wrong: 0, last: now, blocked_until: now };
        let record = self.records.entry(key).or_insert(fresh);
        if now.saturating_duration_since(record.last) >= FORGOTTEN_AFTER {
            *record = fresh;
        }
        record.wrong = record.wrong.saturating_add(1);
        record.last = now;
        if let Some(beyond) = record.wrong.checked_sub(self.free) {
            record.blocked_until = now + Duration::from_secs(1 << beyond.min(6)).min(LONGEST_WAIT);
        }
    }

    fn make_room(&mut self, key: &K, now: Instant) {
        if self.records.len() < REMEMBERED || self.records.contains_key(key) {
            return;
        }
        self.records.retain(|_, record| now.saturating_duration_since(record.last) < FORGOTTEN_AFTER);
        if self.records.len() >= REMEMBERED {
            let oldest = self.records.iter().min_by_key(|(_, record)| record.last).map(|(key, _)| *key);
            oldest.map(|key| self.records.remove(&key));
        }
    }
}

/// Whole seconds that are left of a wait.
fn over(wait: Duration) -> Result<(), u64> {
    if wait.is_zero() { Ok(()) } else { Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)) }
}

/// Names come from outside and may be long: a part of their hash is kept.
fn key(network: IpAddr, name: &str) -> (IpAddr, [u8; 16]) {
    let mut short = [0; 16];
    short.copy_from_slice(&taosync_model::Digest::of(name.as_bytes()).0[..16]);
    (network, short)
}

fn lock<K>(tries: &Mutex<Tries<K>>) -> std::sync::MutexGuard<'_, Tries<K>> {
    tries.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn waits_double_up_to_a_minute_and_hurt_nobody_else() {
        let slow = SlowDown::new(5, 50);
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..13 {
            slow.wrong(ip(1), "a", now);
            let wait = slow.check(ip(1), "a", now).err().unwrap_or(0);
            waits.push(wait);
            assert_eq!(slow.check(ip(2), "a", now), Ok(()), "the same name from elsewhere");
            assert_eq!(slow.check(ip(1), "b", now), Ok(()), "another name in the same network");
            now += Duration::from_secs(wait);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(slow.check(ip(1), "a", now), Ok(()));
        slow.right(ip(1), "a");
        slow.wrong(ip(1), "a", now);
        assert_eq!(slow.check(ip(1), "a", now), Ok(()), "a right try forgives");
    }

    #[test]
    fn guessing_names_is_slowed_down_too() {
        let slow = SlowDown::new(5, 50);
        let now = Instant::now();
        for number in 0..50 {
            assert_eq!(slow.check(ip(1), "x", now), Ok(()));
            slow.wrong(ip(1), &number.to_string(), now);
        }
        assert_eq!(slow.check(ip(1), "x", now), Err(1));
        assert_eq!(slow.check(ip(2), "x", now), Ok(()));
        assert_eq!(slow.check(ip(1), "x", now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn right_tries_that_were_noted_first_cost_nothing() {
        let slow = SlowDown::new(5, 50);
        let now = Instant::now();
        for number in 0..200 {
            assert_eq!(slow.begin(ip(1), "a", now), Ok(()), "{number}");
            slow.take_back(ip(1), "a");
        }
    }

    #[test]
    fn memory_is_bounded_and_old_tries_are_forgotten() {
        let slow = SlowDown::new(5, 1_000_000);
        let now = Instant::now();
        for number in 0..REMEMBERED + 10 {
            slow.wrong(ip(1), &number.to_string(), now + Duration::from_nanos(number as u64));
        }
        assert_eq!(lock(&slow.of_name).records.len(), REMEMBERED);
        for _ in 0..5 {
            slow.wrong(ip(3), "a", now);
        }
        assert!(slow.check(ip(3), "a", now).is_err());
        slow.wrong(ip(3), "a", now + FORGOTTEN_AFTER);
        assert_eq!(slow.check(ip(3), "a", now + FORGOTTEN_AFTER), Ok(()));
    }
}
