//! What was done, and which faults really happened.

use std::collections::BTreeMap;

/// Every fault there is; a run in which one of them never fired has tested less than it says.
pub const FAULTS: &[&str] = &[
    "request dropped",
    "response dropped",
    "cut upwards",
    "cut downwards",
    "slow reader",
    "central killed at a commit",
    "central killed at any moment",
    "local killed at a commit",
    "local killed at any moment",
    "started from a copy of the files",
    "full disk at central",
    "full disk at local",
    "full database at central",
    "full database at local",
    "clock of central jumped",
    "clock of local jumped",
    "central put back",
    "local put back",
    "local copied",
    "removals forgotten",
    "removals held",
    "removal without a word",
    "two syncs at once",
    "a sync kept out by another",
    "import during a sync",
    "file brought in during a sync",
    "backup during a sync",
    "backup interrupted",
    "central backed up",
    "local backed up",
    "central restored",
    "local restored",
    "restore interrupted",
    "handed-in result erased",
];

/// Counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub schedules: u64,
    pub steps: BTreeMap<&'static str, u64>,
    pub faults: BTreeMap<&'static str, u64>,
    /// How syncs ended.
    pub syncs: BTreeMap<String, u64>,
    /// Items that central holds at the ends of the schedules.
    pub items: u64,
}

impl Tally {
    pub fn fired(&mut self, fault: &'static str, times: u64) {
        assert!(FAULTS.contains(&fault), "a fault nobody knows: {fault}");
        *self.faults.entry(fault).or_default() += times;
    }

    pub fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.items += other.items;
        for (mine, theirs) in [(&mut self.steps, &other.steps), (&mut self.faults, &other.faults)] {
            for (name, number) in theirs {
                *mine.entry(name).or_default() += number;
            }
        }
        for (name, number) in &other.syncs {
            *self.syncs.entry(name.clone()).or_default() += number;
        }
    }

    /// Faults that never fired.
    pub fn silent(&self) -> Vec<&'static str> {
        FAULTS.iter().copied().filter(|fault| self.faults.get(fault).copied().unwrap_or(0) == 0).collect()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |counts: &mut dyn Iterator<Item = (&str, u64)>| {
            counts.map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "schedules: {}, items handed in: {}", self.schedules, self.items)?;
        writeln!(f, "steps:  {}", list(&mut self.steps.iter().map(|(name, number)| (*name, *number))))?;
        let fired = &mut FAULTS.iter().map(|name| (*name, self.faults.get(name).copied().unwrap_or(0)));
        writeln!(f, "faults: {}", list(fired))?;
        write!(f, "syncs:  {}", list(&mut self.syncs.iter().map(|(name, number)| (name.as_str(), *number))))
    }
}
