//! Runs of schedules, and the schedules that once ended badly: each played in every run, cut down to what it needed.

use taosync_sync::session::What;

use crate::chance;
use crate::run::{self, Wanted};
use crate::schedule::{Beside, Ending, Schedule, Step, Trouble, Who, Wish};

const YEAR: i64 = 365 * 86_400;
const CALM: Trouble = Trouble::Nothing;

#[test]
fn schedules_hold() {
    run::run(&Wanted::from_environment());
}

/// What once ended badly, and why. Schedules are kept rather than their seeds: a seed means another schedule as soon as
/// more can happen.
fn once_bad() -> Vec<(&'static str, Vec<Step>)> {
    let again = |ending| Step::Again { local: 0, nth: 0, ending, trouble: CALM };
    let sit = |ending| Step::Sit { local: 0, nth: 0, ending, trouble: CALM };
    let wish = Wish { what: What::Results, types: Vec::new(), chunk_size: 100, items: 1, accept: false, hide: false };
    let all = Wish { what: What::All, ..wish.clone() };
    let hand_in = Step::Sync { local: 0, wish, beside: Beside::Nothing, trouble: CALM };
    let sync = |local| Step::Sync { local, wish: all.clone(), beside: Beside::Nothing, trouble: CALM };
    vec![
        (
            "a machine whose clock was wrong was expected to be let in by central's time, which was wrong too",
            vec![
                Step::Settle(0),
                Step::Clock(Who::Central, 72 * YEAR),
                Step::Clock(Who::Local(0), -3 * YEAR),
                sync(0),
                Step::Settle(0),
            ],
        ),
        (
            "a machine that had never met central, and whose clock was years off, was expected to be let in",
            vec![Step::Clock(Who::Local(1), -3 * YEAR), sync(1), Step::Settle(1)],
        ),
        (
            "a version that was kept back never came, so central called the next one a conflict",
            vec![
                sit(Ending::Finished),
                Step::Settle(0),
                again(Ending::Terminated),
                Step::Settle(0),
                again(Ending::Finished),
                Step::Settle(0),
            ],
        ),
        (
            "seed 10523: two requests at once, and the second version of an attempt came before the first",
            vec![
                sit(Ending::Finished),
                again(Ending::Finished),
                again(Ending::Finished),
                hand_in.clone(),
                Step::Settle(0),
            ],
        ),
        (
            "seed 102737: central was put back, heard of the second version first, and called the first one a conflict",
            vec![
                Step::Save(Who::Central),
                sit(Ending::Finished),
                hand_in.clone(),
                again(Ending::Finished),
                Step::PutBack(Who::Central),
                Step::Settle(0),
            ],
        ),
        (
            "a package with the number of one that central lost counted as ready, with the lost one's bytes",
            vec![
                Step::Save(Who::Central),
                Step::Publish(0, 1, CALM),
                Step::Settle(0),
                sit(Ending::Open),
                Step::PutBack(Who::Central),
                Step::Publish(0, 2, CALM),
                Step::Settle(0),
            ],
        ),
    ]
}

#[test]
fn what_once_ended_badly_holds() {
    // Its beginning enrols somebody in the first org for the first test.
    let seed = 1;
    for (why, more) in once_bad() {
        let beginning = chance::schedule(seed).beginning;
        let mut steps = vec![Step::Publish(0, 0, CALM), Step::Settle(0)];
        steps.extend(more);
        let schedule = Schedule { seed, beginning, steps };
        match run::attempt(&schedule) {
            Err(violation) => panic!("again: {why}\n{schedule}\n{violation}"),
            Ok(tally) => assert!(!tally.steps.contains_key("attempt refused"), "nobody may sit: {why}\n{schedule}"),
        }
    }
}
