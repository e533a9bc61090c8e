//! Medians, the table, and the JSON document.

use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::limits::Limits;
use super::node::Synced;
use super::process::Finished;

/// One run of one path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub wall: f64,
    pub sync: f64,
    pub fetch: f64,
    pub fetched_bytes: u64,
    pub cpu_local: f64,
    pub cpu_central: f64,
    pub peak_local: u64,
    pub peak_central: u64,
    pub requests: u64,
    pub bytes_down: u64,
    pub bytes_up: u64,
    pub bytes_socket: u64,
}

impl From<&Synced> for Sample {
    fn from(synced: &Synced) -> Self {
        Self {
            wall: seconds(synced.wall),
            sync: synced.report.seconds,
            fetch: synced.report.deliveries.seconds,
            fetched_bytes: synced.report.deliveries.bytes,
            cpu_local: seconds(synced.local.cpu),
            cpu_central: seconds(synced.central.cpu),
            peak_local: synced.local.peak,
            peak_central: synced.central.peak,
            requests: synced.report.requests,
            bytes_down: synced.report.bytes_down,
            bytes_up: synced.report.bytes_up,
            bytes_socket: synced.report.bytes_socket,
        }
    }
}

impl From<&Finished> for Sample {
    /// A command on central alone.
    fn from(finished: &Finished) -> Self {
        let usage = finished.usage;
        Self {
            wall: seconds(finished.wall),
            cpu_central: seconds(usage.cpu),
            peak_central: usage.peak,
            ..Self::default()
        }
    }
}

impl Sample {
    /// A command on local alone.
    pub fn of_local(finished: &Finished) -> Self {
        let usage = finished.usage;
        Self { wall: seconds(finished.wall), cpu_local: seconds(usage.cpu), peak_local: usage.peak, ..Self::default() }
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// One path with the medians of its runs and its limits. Times in seconds, sizes in bytes.
#[derive(Debug, Serialize)]
pub struct Line {
    pub path: String,
    pub size: usize,
    pub runs: usize,
    pub wall: f64,
    /// Without start and end of the process, by the program's own clock; 0 for commands that are no sync.
    pub sync: f64,
    /// Ciphertext bytes of packages.
    pub fetched_bytes: u64,
    /// Of this, fetching packages.
    pub fetch: f64,
    pub cpu_local: f64,
    pub cpu_central: f64,
    pub peak_local: u64,
    pub peak_central: u64,
    pub requests: u64,
    pub bytes_down: u64,
    pub bytes_up: u64,
    pub bytes_socket: u64,
    pub limits: Limits,
    /// Wall time over the sum of the limits.
    pub ratio: f64,
}

impl Line {
    /// Each figure's own median over the runs.
    pub fn new(path: &str, size: usize, samples: &[Sample], limits: Limits) -> Self {
        let time = |of: fn(&Sample) -> f64| median(samples.iter().map(of).collect(), f64::total_cmp);
        let count = |of: fn(&Sample) -> u64| median(samples.iter().map(of).collect(), u64::cmp);
        let wall = time(|s| s.wall);
        Self {
            path: path.to_owned(),
            size,
            runs: samples.len(),
            wall,
            sync: time(|s| s.sync),
            fetch: time(|s| s.fetch),
            fetched_bytes: count(|s| s.fetched_bytes),
            cpu_local: time(|s| s.cpu_local),
            cpu_central: time(|s| s.cpu_central),
            peak_local: count(|s| s.peak_local),
            peak_central: count(|s| s.peak_central),
            requests: count(|s| s.requests),
            bytes_down: count(|s| s.bytes_down),
            bytes_up: count(|s| s.bytes_up),
            bytes_socket: count(|s| s.bytes_socket),
            limits,
            ratio: if limits.total() > 0.0 { wall / limits.total() } else { 0.0 },
        }
    }
}

/// The middle one; of an even number the lower middle, so that it is a value that was measured.
fn median<T: Copy + Default>(mut values: Vec<T>, order: fn(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_by(order);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// The table for people.
pub fn table(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "path",
        "size",
        "wall s",
        "sync s",
        "fetch s",
        "CPU s local / central",
        "peak MB local / central",
        "requests",
        "bytes down / up",
        "insert s",
        "TLS s",
        "server s, many / one connection",
        "hash s",
        "zstd s",
        "disk s",
        "proofs s",
        "read s",
        "wall : limits",
    ]);
    for line in lines {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let limits = &line.limits;
        table.add_row([
            line.path.clone(),
            line.size.to_string(),
            format!("{:.3}", line.wall),
            format!("{:.3}", line.sync),
            format!("{:.3}", line.fetch),
            format!("{:.2} / {:.2}", line.cpu_local, line.cpu_central),
            format!("{:.0} / {:.0}", megabytes(line.peak_local), megabytes(line.peak_central)),
            line.requests.to_string(),
            format!("{} / {}", line.bytes_down, line.bytes_up),
            format!("{:.4}", limits.insert),
            format!("{:.4}", limits.tls),
            format!("{:.4} / {:.4}", limits.server, limits.download),
            format!("{:.4}", limits.hash),
            format!("{:.4}", limits.zstd),
            format!("{:.4}", limits.disk),
            format!("{:.4}", limits.proofs),
            format!("{:.4}", limits.read),
            format!("{:.1}", line.ratio),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_values_that_were_measured() {
        let sample = |wall: f64, requests: u64| Sample { wall, requests, ..Sample::default() };
        let limits = Limits {
            insert: 0.5,
            tls: 0.25,
            hash: 0.125,
            zstd: 0.125,
            server: 9.0,
            download: 9.0,
            disk: 0.0,
            proofs: 9.0,
            read: 0.0,
        };
        let line = Line::new("path", 1, &[sample(9.0, 1), sample(2.0, 3), sample(4.0, 2)], limits);
        assert_eq!((line.wall, line.requests, line.ratio), (4.0, 2, 4.0));
        let even = Line::new("path", 1, &[sample(1.0, 1), sample(2.0, 3)], Limits::default());
        assert_eq!((even.wall, even.ratio), (1.0, 0.0));
        assert!(table(&[line]).contains("4.000"));
    }
}
