//! Seeded schedules of whole nodes: one central and three local servers in this process, over real TLS, with everything
//! that people do and everything that goes wrong, and after each schedule what must always hold:
//!
//! 1. What a local server ever showed as handed in is at central exactly once, byte for byte; nothing finished is lost.
//! 2. A sync that says success ended with both sides equal: entity by entity what the rules give to the org.
//! 3. Whatever happened, the next sync completes without help.
//! 4. No login, name, answer or secret stands in a log, an error, or plain in a file.
//! 5. A local server never holds, nor is told of, anything outside its orgs.
//! 6. Every sync ends in bounded time, and says why when it fails.
//!
//! Threads and the network are real, so a seed fixes what happens, not every interleaving. A schedule that fails prints
//! how to run it again, and the shortest one found that still fails; its seed then belongs into `seeds.rs`.
//!
//! | variable | meaning |
//! |---|---|
//! | `TAOSYNC_SIMULATE_SEEDS=0..10000` | the seeds to run |
//! | `TAOSYNC_SIMULATE_SEED=17` | one seed |
//! | `TAOSYNC_SIMULATE_TRACE=1` | prints each step and how it went |
//! | `TAOSYNC_SIMULATE_JOBS=2` | schedules at once |
//! | `TAOSYNC_SIMULATE_MINUTES=10` | no new schedule is begun after this time |

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attempts;
mod bite;
mod chance;
mod checks;
#[path = "../nodes/dice.rs"]
mod dice;
mod line;
mod logs;
mod nodes;
mod package;
mod picture;
mod play;
mod run;
mod schedule;
mod seeds;
mod shrink;
mod tally;
mod trouble;
mod world;

/// In everything that nobody else may read.
pub const CANARY: &str = "Kanarie";

/// Gives up with words when something that must hold does not.
macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(format!($($words)+));
        }
    };
}
pub(crate) use ensure;
