//! Starting an attempt, and everything that can speak against it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use taosync_model::{Entity, EntityType, OrgId, vocabulary};
use taosync_store::executions::{Execution, ExecutionFilter, NewExecution};
use taosync_store::packages::Package;
use uuid::Uuid;

use super::{Runner, RunnerError};

/// On a delivery: when it may first be started (WIRE §1.2).
const PERIOD_START: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#PeriodStart";
/// On a delivery: until when it may be started.
const PERIOD_END: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#PeriodEnd";
/// On a delivery: attempts of a taker at most; 0 or nothing for any number.
const MAX_EXECUTIONS: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#Maxexec";

/// Attempts of one taker that are looked at.
const LISTED: u32 = 10_000;

impl Runner {
    /// Starts an attempt; when one is running already, that one is given, so a start whose answer was lost can be
    /// repeated.
    pub async fn start(&self, delivery: &str, test_taker: &str) -> Result<Execution, RunnerError> {
        let _turn = self.turn(pair_of(delivery, test_taker)).await;
        // What runs goes on, also when central has removed taker or delivery meanwhile.
        let running = self.running(test_taker).await?;
        if let Some(running) = running.into_iter().find(|attempt| attempt.delivery == delivery) {
            return Ok(running);
        }
        let orgs = self.store.replica_eligible(test_taker, delivery).await?;
        let Some(org) = orgs.into_iter().filter(|org| self.scope.has(org)).min() else {
            return Err(RunnerError::NotEligible { delivery: delivery.to_owned() });
        };
        let attempts = self.attempts(&org, delivery, test_taker).await?;
        let package = self.may_start(&org, delivery, test_taker, &attempts).await?;
        let new = NewExecution { org: &org, delivery, test_taker, package_version: package.version };
        let id = self.store.execution_start(&new).await?;
        Ok(self.store.execution_get(id).await?)
    }

    /// Whether a new attempt may begin now; gives the package it would run.
    pub async fn startable(&self, org: &OrgId, delivery: &str, test_taker: &str) -> Result<Package, RunnerError> {
        let attempts = self.attempts(org, delivery, test_taker).await?;
        self.may_start(org, delivery, test_taker, &attempts).await
    }

    /// Attempts of a taker that are not over, the newest first.
    pub(super) async fn running(&self, test_taker: &str) -> Result<Vec<Execution>, RunnerError> {
        let filter = ExecutionFilter { test_taker: Some(test_taker.to_owned()), ..ExecutionFilter::default() };
        let attempts = self.store.executions_list(&filter, LISTED).await?;
        let runs = |attempt: &Execution| !attempt.state.is_over() && self.scope.has(&attempt.org);
        Ok(attempts.into_iter().rev().filter(runs).collect())
    }

    pub(super) async fn attempts(
        &self,
        org: &OrgId,
        delivery: &str,
        test_taker: &str,
    ) -> Result<Vec<Execution>, RunnerError> {
        let filter = ExecutionFilter {
            org: Some(org.clone()),
            delivery: Some(delivery.to_owned()),
            test_taker: Some(test_taker.to_owned()),
            ..ExecutionFilter::default()
        };
        Ok(self.store.executions_list(&filter, LISTED).await?)
    }

    /// A delivery as an org sees it.
    pub(super) async fn delivery(&self, org: &OrgId, uri: &str) -> Result<Option<Entity>, RunnerError> {
        let found = self.store.replica_get(uri).await?;
        let mut seen = found.into_iter().filter(|(o, t, _)| o == org && *t == EntityType::Delivery);
        Ok(seen.next().map(|(_, _, entity)| entity))
    }

    async fn may_start(
        &self,
        org: &OrgId,
        uri: &str,
        test_taker: &str,
        attempts: &[Execution],
    ) -> Result<Package, RunnerError> {
        let delivery = || uri.to_owned();
        let entity = self.delivery(org, uri).await?;
        let published = entity.filter(|entity| entity.package.is_some());
        let entity = published.ok_or_else(|| RunnerError::NotPublished { delivery: delivery() })?;
        if entity.values(vocabulary::EXCLUDED_SUBJECTS).iter().any(|value| value.text == test_taker) {
            return Err(RunnerError::Excluded { delivery: delivery() });
        }
        let now = self.store.clock().now();
        if let Some(from) = time_of(&entity, PERIOD_START).filter(|from| now < *from) {
            return Err(RunnerError::TooEarly { delivery: delivery(), from });
        }
        if let Some(until) = time_of(&entity, PERIOD_END).filter(|until| now > *until) {
            return Err(RunnerError::TooLate { delivery: delivery(), until });
        }
        let allowed = entity.first(MAX_EXECUTIONS).and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        if allowed > 0 && attempts.len() as u64 >= allowed {
            return Err(RunnerError::NoMoreAttempts { delivery: delivery(), allowed });
        }
        let package = self.store.package_to_start(&entity).await?;
        let package = package.ok_or_else(|| RunnerError::NotReady { delivery: delivery() })?;
        if package.unlocked { Ok(package) } else { Err(RunnerError::Locked { delivery: delivery() }) }
    }
}

/// Taker and delivery as a key for [`Runner::turn`].
fn pair_of(delivery: &str, test_taker: &str) -> Uuid {
    let digest = taosync_model::Digest::of(format!("{delivery}\n{test_taker}").as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.0[..16]);
    Uuid::from_bytes(key)
}

/// When a delivery ends, if it says so.
pub fn period_end(delivery: &Entity) -> Option<Timestamp> {
    time_of(delivery, PERIOD_END)
}

/// A time of a delivery: seconds since 1970, as TAO writes them, or a date and time in UTC. What cannot be read stops
/// no exam.
fn time_of(entity: &Entity, predicate: &str) -> Option<Timestamp> {
    let text = entity.first(predicate)?.trim();
    let time = read_time(text);
    if time.is_none() && !text.is_empty() {
        tracing::warn!(delivery = entity.uri, predicate, "a time of the delivery cannot be read and is ignored");
    }
    time
}

pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil: DateTime = text.parse().ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_tao_and_people_write_them() {
        let expected = Some("2026-05-12T08:00:00Z".parse().unwrap());
        for text in ["1778572800", "2026-05-12T08:00:00Z", "2026-05-12 08:00:00", "2026-05-12 08:00"] {
            assert_eq!(read_time(text), expected, "{text}");
        }
        assert_eq!(read_time("tomorrow"), None);
    }
}
