//! Running schedules: many at once, each judged by itself.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use crate::play::play;
use crate::schedule::Schedule;
use crate::tally::Tally;
use crate::{chance, logs, shrink};

/// Seeds of an ordinary test run.
const SEEDS: Range<u64> = 0..40;
/// In so many schedules every fault must have fired.
const ENOUGH: u64 = 200;
/// After so many schedules a long run says how far it is.
const SHOWN_EVERY: u64 = 500;

/// What was asked for.
pub struct Wanted {
    seeds: Range<u64>,
    jobs: usize,
    minutes: Option<u64>,
}

impl Wanted {
    pub fn from_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
        let seeds = std::env::var("TAOSYNC_SIMULATE_SEEDS").ok().map(|text| {
            let (from, to) = text.split_once("..").expect("TAOSYNC_SIMULATE_SEEDS is written from..to");
            from.parse().expect("a number")..to.parse().expect("a number")
        });
        let one = number("TAOSYNC_SIMULATE_SEED").map(|seed| seed..seed + 1);
        let seeds = one.or(seeds).unwrap_or(SEEDS);
        let jobs = number("TAOSYNC_SIMULATE_JOBS").unwrap_or(2) as usize;
        Self { seeds, jobs, minutes: number("TAOSYNC_SIMULATE_MINUTES") }
    }
}

/// A schedule that ended badly.
struct Failed {
    schedule: Schedule,
    violation: String,
}

/// Runs all that is wanted, prints a summary, and panics when anything did not hold.
pub fn run(wanted: &Wanted) {
    logs::keep();
    expect_deaths();
    let since = Instant::now();
    let next = AtomicU64::new(wanted.seeds.start);
    let (total, failures) = (Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let until = wanted.minutes.map(|minutes| since + Duration::from_secs(60 * minutes));
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs {
            scope.spawn(|| {
                while until.is_none_or(|until| Instant::now() < until) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= wanted.seeds.end {
                        return;
                    }
                    let begun = seed - wanted.seeds.start;
                    if begun > 0 && begun.is_multiple_of(SHOWN_EVERY) {
                        eprintln!("{begun} schedules begun, {:.0} s", since.elapsed().as_secs_f64());
                    }
                    let schedule = chance::schedule(seed);
                    match attempt(&schedule) {
                        Ok(tally) => total.lock().unwrap().add(&tally),
                        Err(violation) => {
                            eprintln!("VIOLATION with seed {seed}: {violation}");
                            failures.lock().unwrap().push(Failed { schedule, violation });
                        }
                    }
                }
            });
        }
    });
    let (total, failures) = (total.into_inner().unwrap(), failures.into_inner().unwrap());
    let seconds = since.elapsed().as_secs_f64();
    eprintln!("{total}\nviolations: {}, {seconds:.1} s", failures.len());
    if let Some(first) = failures.first() {
        tell(first);
        panic!("{} schedules ended badly", failures.len());
    }
    let silent = total.silent();
    assert!(total.schedules < ENOUGH || silent.is_empty(), "faults that never fired: {}", silent.join(", "));
}

/// What runs on when its machine is killed may complain that there is no machine any more; nobody needs to read that.
fn expect_deaths() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload_as_str().is_some_and(|text| text.contains("is being shutdown")) {
                usual(info);
            }
        }));
    });
}

/// Runs one schedule on a runtime of its own; a panic is a violation too.
pub fn attempt(schedule: &Schedule) -> Result<Tally, String> {
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let played = runtime.block_on(play(schedule));
        runtime.shutdown_background();
        played
    }));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

fn tell(failed: &Failed) {
    let seed = failed.schedule.seed;
    eprintln!("\n{}\nVIOLATION: {}", failed.schedule, failed.violation);
    eprintln!(
        "run it again: TAOSYNC_SIMULATE_SEED={seed} TAOSYNC_SIMULATE_TRACE=1 cargo test -p taosync-cli --test simulation schedules"
    );
    match shrink::shortest(&failed.schedule) {
        Some((shortest, violation)) => eprintln!("\nthe shortest that fails: {shortest}\nVIOLATION: {violation}"),
        None => eprintln!("\nit did not fail again: it needs a certain timing"),
    }
}
