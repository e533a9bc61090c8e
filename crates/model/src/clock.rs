//! Time and random identifiers are passed in, so that tests can jump them. The only place that asks the machine.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use uuid::Uuid;

/// Where time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, as this machine believes.
    fn now(&self) -> Timestamp;

    /// A fresh time-ordered identifier (UUIDv7).
    fn new_id(&self) -> Uuid {
        #[expect(clippy::disallowed_methods, reason = "the one place where identifiers are made")]
        Uuid::now_v7()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place where the machine is asked for the time")]
        Timestamp::now()
    }
}

/// The machine's clock, shifted by hand: for tests of expiry and of wrong clocks.
#[derive(Debug, Default)]
pub struct ShiftedClock {
    shift_seconds: AtomicI64,
}

impl ShiftedClock {
    /// Moves the clock forwards (or, with a negative number, back).
    pub fn shift(&self, seconds: i64) {
        self.shift_seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let shift = jiff::SignedDuration::from_secs(self.shift_seconds.load(Ordering::SeqCst));
        SystemClock.now().checked_add(shift).unwrap_or(Timestamp::MAX)
    }
}
