//! Requests that only ask: counted in memory, and noted as one entry now and then. A count that is lost with a process
//! hides no act: what changes something is an entry of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::AuditEntry;
use crate::{Store, StoreError};

/// Requests that were counted since the last entry about them.
#[derive(Default)]
pub(crate) struct Polls(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    since: Option<Timestamp>,
    numbers: BTreeMap<&'static str, u64>,
}

impl Store {
    /// Counts a request that only asked.
    pub fn poll_count(&self, act: &'static str) {
        let mut counted = self.polls.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.since.get_or_insert(self.clock.now());
        *counted.numbers.entry(act).or_default() += 1;
    }

    /// Notes what was counted, once the oldest of it is `age` old. Says how much that was.
    pub async fn polls_note(&self, age: SignedDuration) -> Result<u64, StoreError> {
        let Some((since, numbers)) = self.polls_take(age) else { return Ok(0) };
        let total = numbers.values().sum();
        let detail = json!({"since": since, "requests": numbers});
        self.audit_write(&AuditEntry { actor: "server", act: "polls", object: "requests", detail }).await?;
        Ok(total)
    }

    fn polls_take(&self, age: SignedDuration) -> Option<(Timestamp, BTreeMap<&'static str, u64>)> {
        let mut counted = self.polls.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not keep them for ever.
        let since = counted.since.filter(|since| self.clock.now().duration_since(*since).abs() >= age)?;
        Some((since, std::mem::take(&mut *counted).numbers))
    }
}
