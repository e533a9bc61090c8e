//! One target: its limits, its inputs, and what its last words say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Memory in MiB and seconds one input may take.
const MEMORY: u32 = 512;
const PATIENCE: u32 = 10;
/// Bytes an input may have.
const LONGEST: u32 = 16 * 1024;

/// How a target did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub target: String,
    /// Inputs tried.
    pub runs: u64,
    /// Places in the code that were reached.
    pub coverage: u64,
    /// Inputs that reached something new since the last run.
    pub fresh: usize,
    pub time: Duration,
    /// Files with inputs that break what must hold.
    pub found: Vec<PathBuf>,
    /// Whether the target ended as it should.
    pub ended_well: bool,
}

/// Runs a target for a while, from the inputs that are kept and those of earlier runs.
pub fn target(binaries: &Path, target: &str, time: Duration) -> anyhow::Result<Outcome> {
    let (grown, artifacts) = (place("fuzz/target/corpus", target)?, place("fuzz/artifacts", target)?);
    let (before, known) = (files(&grown), files(&artifacts));
    let mut command = Command::new(binaries.join(target));
    command
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1");
    let dictionary = Path::new("fuzz/dictionaries").join(format!("{target}.dict"));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    command.arg(&grown);
    let kept = ["fuzz/corpus", "fuzz/regressions"].map(|folder| Path::new(folder).join(target));
    command.args(kept.iter().filter(|folder| folder.is_dir()));
    eprintln!("── {target}: {} s", time.as_secs());
    let since = Instant::now();
    let log = artifacts.with_extension("log");
    let words = fs::File::create(&log)?;
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(words).status();
    let ended = ended.with_context(|| format!("the target {target} cannot be started"))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let (runs, coverage) = last_words(&text);
    let found = files(&artifacts).into_iter().filter(|file| !known.contains(file)).collect();
    let fresh = files(&grown).len().saturating_sub(before.len());
    let target = target.to_owned();
    Ok(Outcome { target, runs, coverage, fresh, time: since.elapsed(), found, ended_well: ended.success() })
}

fn place(folder: &str, target: &str) -> anyhow::Result<PathBuf> {
    let place = Path::new(folder).join(target);
    fs::create_dir_all(&place).with_context(|| format!("the folder {} cannot be made", place.display()))?;
    Ok(place)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|file| Some(file.ok()?.path())).collect()
}

/// Inputs tried and places reached, as libFuzzer tells them.
fn last_words(log: &str) -> (u64, u64) {
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok());
    let after = |mark: &str| log.rsplit_once(mark).and_then(|(_, rest)| number(rest)).unwrap_or_default();
    (after("stat::number_of_executed_units:"), after(" cov: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_understood() {
        let log = "#2\tINITED cov: 17 ft: 18 corp: 1/1b\n#9\tDONE   cov: 412 ft: 900 corp: 7/1Kb\n\
                   stat::number_of_executed_units: 123456\nstat::peak_rss_mb: 44\n";
        assert_eq!(last_words(log), (123_456, 412));
        assert_eq!(last_words("thread panicked"), (0, 0));
    }
}
