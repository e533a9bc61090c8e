//! How often something is tried again over a bad line, and how long is waited before.

use std::time::Duration;

use super::LinkError;

/// A pause is never longer, however often was tried.
const LONGEST: Duration = Duration::from_secs(30);

/// What is borne from a bad line.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Tries more after one that failed, as long as none of them brings anything.
    pub tries: u32,
    /// Pause before the first of them; each further one doubles it.
    pub pause: Duration,
    /// A number from 0 to 1: scatters the pauses, so that a hundred schools do not come back in the same moment.
    pub dice: fn() -> f64,
}

impl Patience {
    /// For a person who waits: four tries, after pauses of about 1, 2, 4 and 8 seconds.
    pub const fn usual(dice: fn() -> f64) -> Self {
        Self { tries: 4, pause: Duration::from_secs(1), dice }
    }

    /// None at all.
    pub const fn none() -> Self {
        Self { tries: 0, pause: Duration::ZERO, dice: || 0.0 }
    }

    /// How long to wait after so many tries in a row (from 1) that failed and brought nothing; `None`: give up.
    pub(crate) fn pause_after(&self, failures: u32, error: &LinkError) -> Option<Duration> {
        if failures > self.tries || !error.is_temporary() || matches!(error, LinkError::Renamed) {
            return None;
        }
        let doubled = self.pause.saturating_mul(1 << failures.saturating_sub(1).min(16));
        Some(doubled.min(LONGEST).mul_f64(0.5 + 0.5 * (self.dice)().clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut() -> LinkError {
        LinkError::Cut { host: "h".into(), source: "cut".into() }
    }

    #[test]
    fn pauses_double_are_scattered_and_end() {
        let pauses = |dice| -> Vec<_> {
            (1..=5).map(|n| Patience::usual(dice).pause_after(n, &cut()).map(|p| p.as_millis())).collect()
        };
        assert_eq!(pauses(|| 1.0), [Some(1_000), Some(2_000), Some(4_000), Some(8_000), None]);
        assert_eq!(pauses(|| 0.0), [Some(500), Some(1_000), Some(2_000), Some(4_000), None]);
        let long = Patience { tries: 99, ..Patience::usual(|| 1.0) };
        assert_eq!(long.pause_after(80, &cut()), Some(LONGEST));
        assert_eq!(Patience::none().pause_after(1, &cut()), None);
    }

    #[test]
    fn what_does_not_pass_by_itself_is_not_tried_again() {
        assert_eq!(Patience::usual(|| 1.0).pause_after(1, &LinkError::Protocol("x".into())), None);
        assert_eq!(Patience::usual(|| 1.0).pause_after(1, &LinkError::Renamed), None);
    }
}
