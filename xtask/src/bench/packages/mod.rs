//! Packages down: a generated one of 200 MB, whole and in its two halves, then with little changed, then over a line.

mod contents;
mod rsync;

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::limits::{Limits, codec, disk, median_of, middle, tls};
use super::line::{Line as Wire, Quality};
use super::node::{Local, Synced};
use super::paths::{Bench, School};
use super::report::{Line, Sample};
use super::targets::Target;
use contents::Contents;

pub use contents::FILES;

/// The line of a better school.
const QUALITY: Quality = Quality { round_trip: Duration::from_millis(100), rate: 1_250_000.0 };
/// Test takers beside the package: as few as make a school.
const TAKERS: usize = 10;
const MIB: f64 = (1 << 20) as f64;

const ALL: &str = "package, first fetch";
const BIG: &str = "package, videos only";
const SMALL: &str = "package, small files only";
const UNCHANGED: &str = "package, no change";
const ITEM: &str = "package, 1 item changed";
const VIDEO: &str = "package, 1 video changed";
const THIN: &str = "package, line of 10 Mbit/s";

impl Bench {
    /// First fetch of videos, of small files, and of all; no change, one item and one video changed; first fetch over a
    /// line; rsync of the same files beside it.
    pub fn packages(&self) -> anyhow::Result<Vec<Line>> {
        let school = self.school(TAKERS, TAKERS)?;
        let (big, _) = self.first(&school, BIG, &Contents { items: 1, small: 0, ..Contents::default() })?;
        let (small, _) = self.first(&school, SMALL, &Contents { videos: 0, ..Contents::default() })?;
        let (all, local) = self.first(&school, ALL, &Contents::default())?;
        let samples = self.repeat(|_| {
            let synced = local.sync(&school.central)?;
            ensure!(synced.report.deliveries.chunks == 0, "chunks travelled, and nothing was changed");
            Ok(synced)
        })?;
        let unchanged = Line::new(UNCHANGED, FILES, &samples, Limits::default());
        let item = self.changed(&school, &local, ITEM, |run| Contents { item: run, ..Contents::default() })?;
        let video = self.changed(&school, &local, VIDEO, |run| Contents { video: run, ..Contents::default() })?;
        let thin = self.over_thin_line(&school)?;
        let mut lines = vec![big, small, all, unchanged, item, video, thin];
        lines.extend(rsync::lines(school.folder.path(), self.runs)?);
        Ok(lines)
    }

    /// A fresh local server in every run, and right after each fetch the raw downloads of the same, so that all meet the
    /// same moods of the machine; gives the last one.
    fn first(&self, school: &School, path: &str, contents: &Contents) -> anyhow::Result<(Line, Local)> {
        school.publish(contents)?;
        // None is deleted before the end: what a file system does with names just freed would be measured too.
        let (mut samples, mut lines, mut downloads, mut last) = (Vec::new(), Vec::new(), Vec::new(), None::<Local>);
        for run in 0..self.runs {
            let local = self.connect(school, &format!("{}-{run}", path.replace([' ', ','], "-")))?;
            samples.push(Sample::from(&fetched(local.sync(&school.central)?, contents.files())?));
            lines.push(local.line()?);
            downloads.push(local.download()?);
            last = Some(local);
        }
        let local = last.ok_or_else(|| anyhow::anyhow!("at least one run"))?;
        let limits = Limits { server: middle(lines), download: middle(downloads), ..self.package_limits(&samples)? };
        Ok((Line::new(path, contents.files(), &samples, limits), local))
    }

    fn changed(
        &self,
        school: &School,
        local: &Local,
        path: &str,
        contents: impl Fn(usize) -> Contents,
    ) -> anyhow::Result<Line> {
        let samples = self.repeat(|run| {
            school.publish(&contents(run + 1))?;
            fetched(local.sync(&school.central)?, FILES)
        })?;
        Ok(Line::new(path, FILES, &samples, self.package_limits(&samples)?))
    }

    /// One run: it takes minutes. As limit stands, under TLS, what the line itself takes for the bytes.
    fn over_thin_line(&self, school: &School) -> anyhow::Result<Line> {
        let contents = Contents::default();
        school.publish(&contents)?;
        let consumer = school.central.consumer()?;
        let central = consumer.address()?;
        let wire = Wire::open(central, QUALITY)?;
        let consumer = consumer.through(central, wire.address);
        let local = Local::connect(&self.program, &school.folder.path().join("thin"), &consumer)?;
        let sample = Sample::from(&fetched(local.sync(&school.central)?, contents.files())?);
        let limits = Limits { tls: sample.bytes_socket as f64 / QUALITY.rate, ..Limits::default() };
        Ok(Line::new(THIN, FILES, &[sample], limits))
    }
}

impl Bench {
    fn package_limits(&self, samples: &[Sample]) -> anyhow::Result<Limits> {
        let Some(last) = samples.last() else { return Ok(Limits::default()) };
        let (runs, plain) = (samples.len(), contents::noise("plain", last.fetched_bytes as usize));
        Ok(Limits {
            tls: median_of(runs, || tls::download(last.bytes_socket))?,
            hash: median_of(runs, || Ok(codec::hash(&plain)))?,
            disk: median_of(runs, || disk::write(&self.scratch, &plain))?,
            ..Limits::default()
        })
    }
}

impl School {
    /// Publishes a package as the next version of the school's one test.
    fn publish(&self, contents: &Contents) -> anyhow::Result<()> {
        let zip = self.folder.path().join("package.zip");
        contents.write(&zip)?;
        self.central.publish_version(&zip, &self.delivery)
    }
}

/// A sync that fetched something else than asked for is not worth a number.
fn fetched(synced: Synced, files: usize) -> anyhow::Result<Synced> {
    let deliveries = synced.report.deliveries;
    ensure!(
        deliveries.fetched == 1 && deliveries.files == files && deliveries.failed == 0,
        "one package of {files} files was to be fetched, it was {deliveries:?}"
    );
    Ok(synced)
}

/// What the figures are held against.
pub fn targets(lines: &[Line]) -> Vec<Target> {
    let line = |path: &str| lines.iter().find(|line| line.path == path);
    let mut targets = Vec::new();
    for (path, least) in [(BIG, 0.7), (SMALL, 0.4)] {
        let Some(line) = line(path) else { continue };
        let raw = [("a raw download", line.limits.download), ("one over as many connections", line.limits.server)];
        for (what, seconds) in raw {
            let what = format!("{path}: rate of the fetch, of {what} from the same server");
            targets.push(Target::at_least(&what, "×", least, seconds / line.fetch));
        }
    }
    let share = line(THIN).map(|l| l.limits.tls / l.fetch);
    targets.extend(
        share.map(|share| Target::at_least(&format!("{THIN}: rate of the fetch, of the line's"), "×", 0.9, share)),
    );
    if let Some(unchanged) = line(UNCHANGED) {
        targets.push(Target::at_most("package, no change: requests", "", 2.0, unchanged.requests as f64));
    }
    if let Some(item) = line(ITEM) {
        let most = 3.0 * contents::item_bytes() as f64 + 80.0 * FILES as f64;
        targets.push(Target::at_most("package, 1 item changed: down", "bytes", most, item.bytes_down as f64));
    }
    for l in [BIG, SMALL, ALL, ITEM, VIDEO, THIN].iter().filter_map(|path| line(path)) {
        for (who, peak) in [("local", l.peak_local), ("central", l.peak_central)] {
            targets.push(Target::at_most(&format!("{}: memory of {who}", l.path), "MiB", 150.0, peak as f64 / MIB));
        }
    }
    targets
}

/// For rsync: the same files in a folder.
fn unpacked(folder: &Path) -> anyhow::Result<()> {
    Contents::default().unpack(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contents::{ITEMS, MEDIA_BYTES, SMALL_FILES, VIDEO_BYTES, VIDEOS};

    #[test]
    fn the_package_is_what_it_says() {
        assert_eq!((ITEMS, SMALL_FILES, VIDEOS, FILES), (200, 2_000, 3, 2_003 + 2));
        let bytes = SMALL_FILES as u64 * MEDIA_BYTES as u64 + (VIDEOS * VIDEO_BYTES) as u64;
        assert!((190_000_000..210_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_slow_fetch_does_not_hold() {
        let held = |seconds: f64| {
            let sample = Sample { fetch: seconds, ..Sample::default() };
            let limits = Limits { download: 1.0, server: 0.5, ..Limits::default() };
            let targets = targets(&[Line::new(BIG, 3, &[sample], limits)]);
            [targets[0].holds, targets[1].holds]
        };
        assert_eq!([held(0.7), held(1.4), held(1.5)], [[true, true], [true, false], [false, false]]);
    }
}
