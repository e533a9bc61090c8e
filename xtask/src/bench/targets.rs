//! What the figures are held against.

use comfy_table::{Table, presets};

use super::node::Answers;
use super::report::Line;
use super::{packages, slow, tao};

/// What one figure is to be, and what it is.
pub struct Target {
    what: String,
    target: String,
    measured: String,
    pub holds: bool,
}

impl Target {
    /// Not more than this.
    pub fn at_most(what: &str, unit: &str, most: f64, measured: f64) -> Self {
        let (target, holds) = (format!("at most {most} {unit}"), measured <= most);
        Self { what: what.to_owned(), target, measured: format!("{} {unit}", rounded(measured)), holds }
    }

    /// Not less than this.
    pub fn at_least(what: &str, unit: &str, least: f64, measured: f64) -> Self {
        let (target, holds) = (format!("at least {least} {unit}"), measured >= least);
        Self { what: what.to_owned(), target, measured: format!("{} {unit}", rounded(measured)), holds }
    }
}

/// `target | measured | holds` for all lines that were measured.
pub fn table(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(["what", "target", "measured", "holds"]);
    for Target { what, target, measured, holds } in targets(lines) {
        table.add_row([what, target, measured, (if holds { "yes" } else { "no" }).to_owned()]);
    }
    table.to_string()
}

fn targets(lines: &[Line]) -> Vec<Target> {
    let line = |path: &str, size: usize| lines.iter().find(|line| line.path == path && line.size == size);
    let mut targets = Vec::new();
    let mut at_most = |what: &str, unit: &str, most: f64, measured: Option<f64>| {
        targets.extend(measured.map(|measured| Target::at_most(what, unit, most, measured)));
    };
    for (size, most) in [(100_000, 3.0), (10_000, 6.0)] {
        let ratio = line("initial", size).map(|l| l.sync / l.limits.insert);
        at_most(&format!("initial, {size} takers, sync : raw insert"), "×", most, ratio);
    }
    at_most("initial, 10000 takers", "s", 0.5, line("initial", 10_000).map(|l| l.wall));
    for size in [1_000, 100_000] {
        let unchanged = line("no change", size);
        at_most(&format!("no change, {size} takers, requests"), "", 2.0, unchanged.map(|l| l.requests as f64));
        at_most(&format!("no change, {size} takers, up"), "bytes", 1536.0, unchanged.map(|l| l.bytes_up as f64));
        at_most(&format!("no change, {size} takers, down"), "bytes", 1024.0, unchanged.map(|l| l.bytes_down as f64));
        at_most(&format!("no change, {size} takers"), "ms", 30.0, unchanged.map(|l| l.sync * 1e3));
    }
    let both = line("no change", 100_000).zip(line("no change", 1_000));
    at_most("no change, 100000 : 1000 takers", "×", 1.5, both.map(|(more, less)| more.sync / less.sync));
    for size in [10_000, 100_000] {
        let both = line("1 % changed", size).zip(line("initial", size));
        let share = both.map(|(changed, all)| 100.0 * changed.bytes_down as f64 / all.bytes_down as f64);
        at_most(&format!("1 % of {size} changed, of the initial bytes"), "%", 2.0, share);
    }
    let one = line("1 taker out of 1 eligibility", 10_000).map(|l| l.bytes_down as f64);
    at_most("one taker out of an eligibility of 10000, down", "bytes", 4096.0, one);
    let first = line("initial", 10_000).map(|l| 100.0 * l.limits.proofs / l.sync);
    at_most("initial, 10000 takers: proving every request, of the sync", "%", 10.0, first);
    let results = line(&Answers::Sealed.path(), 10_000);
    at_most("10000 results", "s", 2.0, results.map(|l| l.wall));
    at_most("10000 results, sync : raw insert", "×", 3.0, results.map(|l| l.sync / l.limits.insert));
    let both = results.zip(line(&Answers::Readable.path(), 10_000));
    let more = both.map(|(sealed, readable)| 100.0 * (sealed.sync / readable.sync - 1.0));
    at_most("10000 results sealed: longer than kept readable", "%", 25.0, more);
    let more = both.map(|(sealed, readable)| sealed.bytes_up as f64 / readable.bytes_up as f64);
    at_most("10000 results sealed: bytes up, of those kept readable", "×", 3.0, more);
    for size in [10_000, 100_000] {
        let initial = line("initial", size);
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        at_most(&format!("memory of local, {size} takers"), "MiB", 100.0, initial.map(|l| mebibytes(l.peak_local)));
        at_most(&format!("memory of central, {size} takers"), "MiB", 150.0, initial.map(|l| mebibytes(l.peak_central)));
    }
    let round_trip = slow::QUALITY.round_trip.as_secs_f64();
    let first = line(slow::FIRST, 10_000).map(|l| l.sync / (l.limits.tls + 5.0 * round_trip));
    at_most("thin line, initial, 10000 takers : bytes ÷ rate + 5 round trips", "×", 1.3, first);
    let unchanged = line(slow::UNCHANGED, 10_000).zip(line("no change", 10_000));
    let trips = unchanged.map(|(thin, wide)| (thin.sync - wide.sync) / round_trip);
    at_most("thin line, no change: longer than without the line", "round trips", 3.0, trips);
    let again = line(slow::KILLED, 100_000).map(|l| l.bytes_down as f64 / 1024.0);
    at_most("sent again after a kill", "KiB", 256.0, again);
    targets.extend(packages::targets(lines));
    targets.extend(tao::targets(lines));
    targets
}

/// Three figures that count.
fn rounded(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::limits::Limits;
    use crate::bench::report::Sample;

    #[test]
    fn a_figure_above_its_target_does_not_hold() {
        let lines = |seconds: f64| {
            let sample = Sample { wall: seconds, sync: seconds, ..Sample::default() };
            [Line::new(&Answers::Sealed.path(), 10_000, &[sample], Limits { insert: 1.0, ..Limits::default() })]
        };
        let holds = |seconds| targets(&lines(seconds)).iter().map(|t| t.holds).collect::<Vec<_>>();
        assert_eq!(holds(2.0), [true, true]);
        assert_eq!(holds(2.5), [false, true]);
        assert_eq!(holds(3.5), [false, false]);
        assert!(table(&lines(3.5)).contains("3.50 ×"));
    }
}
