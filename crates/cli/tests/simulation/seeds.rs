//! Runs of schedules, and the seeds that once ended badly.

use crate::run::{self, Wanted};

#[test]
fn schedules_hold() {
    run::run(&Wanted::from_environment());
}
