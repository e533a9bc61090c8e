//! The paths over a thin line, and what travels again after a kill.

use std::time::Duration;

use anyhow::ensure;

use super::limits::Limits;
use super::line::{Line as Wire, Quality};
use super::node::{Local, TypeReport};
use super::paths::{Bench, School, TAKERS_PER_ELIGIBILITY, expect};
use super::report::{Line, Sample};

/// A bad line of a school.
pub const QUALITY: Quality = Quality { round_trip: Duration::from_millis(100), rate: 250_000.0 };
/// Kills in one first sync.
const KILLS: u64 = 5;

/// Names of the lines, for the targets.
pub const FIRST: &str = "initial, thin line";
pub const UNCHANGED: &str = "no change, thin line";
pub const KILLED: &str = "sent again, a kill";

impl Bench {
    /// First sync and no change over a thin line. As limit stands, under TLS, what the line itself takes for the bytes.
    pub fn slow(&self, size: usize) -> anyhow::Result<Vec<Line>> {
        let school = self.school(size, TAKERS_PER_ELIGIBILITY)?;
        let mut last = None;
        let first = self.repeat(|run| {
            let (local, _) = self.over_line(&school, &format!("local-{run}"))?;
            let created = TypeReport { created: school.takers, ..TypeReport::default() };
            let synced = expect(local.sync(&school.central)?, created)?;
            last = Some(local);
            Ok(synced)
        })?;
        let Some(local) = last else { return Ok(Vec::new()) };
        let unchanged = self.repeat(|_| expect(local.sync(&school.central)?, TypeReport::default()))?;
        Ok(vec![
            Line::new(FIRST, size, &first, line_limits(&first)),
            Line::new(UNCHANGED, size, &unchanged, line_limits(&unchanged)),
        ])
    }

    /// First syncs over a thin line: one that is left alone, then ones that are killed at random moments. The bytes of
    /// the line are those that arrived more than once, for one kill.
    pub fn kills(&self, size: usize) -> anyhow::Result<Line> {
        let school = self.school(size, TAKERS_PER_ELIGIBILITY)?;
        let created = TypeReport { created: school.takers, ..TypeReport::default() };
        let (local, wire) = self.over_line(&school, "alone")?;
        let alone = expect(local.sync(&school.central)?, created)?;
        let bytes_alone = wire.arrived();
        let mut samples = Vec::new();
        for run in 0..self.runs as u64 {
            let (local, wire) = self.over_line(&school, &format!("killed-{run}"))?;
            for kill in 0..KILLS {
                // The pieces together stay below the whole, so that every kill meets a sync that is running.
                let part = alone.report.seconds / (KILLS + 1) as f64;
                let after = part * (0.1 + 0.9 * random(run * KILLS + kill));
                ensure!(local.sync_killed(Duration::from_secs_f64(after))?, "the sync was over before the kill");
            }
            let finished = local.sync(&school.central)?;
            let again = wire.arrived().saturating_sub(bytes_alone) / KILLS;
            samples.push(Sample { bytes_down: again, ..Sample::from(&finished) });
        }
        Ok(Line::new(KILLED, size, &samples, Limits::default()))
    }

    fn over_line(&self, school: &School, name: &str) -> anyhow::Result<(Local, Wire)> {
        let consumer = school.central.consumer()?;
        let central = consumer.address()?;
        let wire = Wire::open(central, QUALITY)?;
        let consumer = consumer.through(central, wire.address);
        Ok((Local::connect(&self.program, &school.folder.path().join(name), &consumer)?, wire))
    }
}

fn line_limits(samples: &[Sample]) -> Limits {
    let socket = samples.last().map_or(0, |sample| sample.bytes_socket);
    Limits { tls: socket as f64 / QUALITY.rate, ..Limits::default() }
}

/// From 0 to 1, the same in every run of the bench.
fn random(number: u64) -> f64 {
    let hash = blake3::hash(&number.to_le_bytes());
    f64::from(hash.as_bytes()[0]) / 255.0
}
