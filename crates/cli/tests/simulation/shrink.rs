//! Cutting a schedule that fails down to what it needs to fail.

use std::time::{Duration, Instant};

use crate::run::attempt;
use crate::schedule::{Beside, Schedule, Step, Trouble};

/// How long it is tried.
const TIME: Duration = Duration::from_secs(60);
/// How often a schedule is run before it is believed to hold: timing is real.
const TRIES: usize = 2;

/// The shortest schedule found that still fails, with what it violates; none when it does not fail again.
pub fn shortest(schedule: &Schedule) -> Option<(Schedule, String)> {
    let until = Instant::now() + TIME;
    let mut violation = fails(schedule)?;
    let mut shortest = schedule.clone();
    let mut again = true;
    while again {
        again = false;
        let mut index = shortest.steps.len();
        while index > 0 {
            index -= 1;
            for simpler in simpler(&shortest, index) {
                if Instant::now() > until {
                    return Some((shortest, violation));
                }
                if let Some(found) = fails(&simpler) {
                    (shortest, violation, again) = (simpler, found, true);
                    break;
                }
            }
            index = index.min(shortest.steps.len());
        }
    }
    Some((shortest, violation))
}

fn fails(schedule: &Schedule) -> Option<String> {
    (0..TRIES).find_map(|_| attempt(schedule).err())
}

/// The schedule without a step, or with a step in which less happens.
fn simpler(schedule: &Schedule, index: usize) -> Vec<Schedule> {
    let with = |change: &dyn Fn(&mut Schedule)| {
        let mut copy = schedule.clone();
        change(&mut copy);
        copy
    };
    let mut list = vec![with(&|copy| {
        copy.steps.remove(index);
    })];
    match &schedule.steps[index] {
        Step::Sync { beside, trouble, .. } => {
            if !matches!(beside, Beside::Nothing) {
                list.push(with(&|copy| {
                    if let Step::Sync { beside, .. } = &mut copy.steps[index] {
                        *beside = Beside::Nothing;
                    }
                }));
            }
            if !matches!(trouble, Trouble::Nothing) {
                list.push(with(&|copy| {
                    if let Step::Sync { trouble, .. } = &mut copy.steps[index] {
                        *trouble = Trouble::Nothing;
                    }
                }));
            }
        }
        Step::Import(edits, ..) if edits.len() > 1 => {
            for edit in 0..edits.len() {
                list.push(with(&|copy| {
                    if let Step::Import(edits, ..) = &mut copy.steps[index] {
                        edits.remove(edit);
                    }
                }));
            }
        }
        _ => {}
    }
    list
}
