//! Removals that wait, as a person is told of them: by org and type, since when, and which the first ones are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use taosync_model::{EntityType, OrgId};
use taosync_store::{Store, StoreError};

/// URIs that are named of a group: enough to see what it is about.
const NAMED: usize = 3;

/// The held removals of one type of one org.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldGroup {
    /// The org.
    pub org: OrgId,
    /// The type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// How many they are.
    pub count: u64,
    /// Since when the first of them waits.
    pub since: Timestamp,
    /// URIs of the first few.
    pub first: Vec<String>,
}

impl HeldGroup {
    /// What waits, in words: numbers, type and URIs, nothing personal.
    pub fn to_text(&self) -> String {
        let more = if self.count > self.first.len() as u64 { ", …" } else { "" };
        let plural = if self.count == 1 { "" } else { "s" };
        format!("{} {}{plural} of {} ({}{more})", self.count, self.entity_type, self.org, self.first.join(", "))
    }
}

/// Everything that is held on this local server.
pub async fn groups(store: &Store) -> Result<Vec<HeldGroup>, StoreError> {
    let mut groups: Vec<HeldGroup> = Vec::new();
    for held in store.removals_held().await? {
        match groups.last_mut().filter(|group| group.org == held.org && group.entity_type == held.entity_type) {
            Some(group) => {
                group.count += 1;
                group.since = group.since.min(held.since);
                if group.first.len() < NAMED {
                    group.first.push(held.uri);
                }
            }
            None => groups.push(HeldGroup {
                org: held.org,
                entity_type: held.entity_type,
                count: 1,
                since: held.since,
                first: vec![held.uri],
            }),
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_reads_well() {
        let mut group = HeldGroup {
            org: OrgId::new("School-7").unwrap(),
            entity_type: EntityType::TestTaker,
            count: 10,
            since: "2026-05-11T18:00:00Z".parse().unwrap(),
            first: vec!["urn:a".into(), "urn:b".into(), "urn:c".into()],
        };
        assert_eq!(group.to_text(), "10 test-takers of School-7 (urn:a, urn:b, urn:c, …)");
        (group.count, group.first) = (1, vec!["urn:a".into()]);
        assert_eq!(group.to_text(), "1 test-taker of School-7 (urn:a)");
    }
}
