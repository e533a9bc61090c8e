//! The removal guard's measure, the same on both sides: at central it decides when a change asks a person, at local
//! when removals that nobody approved are held (DESIGN §4).

use taosync_model::EntityType;

/// Above this share (in percent) and this number of a type, a removal from an org asks a person.
const LARGE_PERCENT: u64 = 20;
/// See [`LARGE_PERCENT`].
const LARGE_COUNT: u64 = 5;
/// In a small school nothing ever reaches [`LARGE_COUNT`]: there, half of a type is much, if it is more than one.
const HALF_COUNT: u64 = 2;

/// How many entities of a type came to an org and left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turnover {
    /// New in the org.
    pub entered: u64,
    /// No longer in the org.
    pub left: u64,
    /// In the org before.
    pub before: u64,
}

impl Turnover {
    /// Whether this much asks a person: more than 20 % and at least 5; half or more, and more than one; or all there
    /// was, with nothing in its place. One proctor of two, or one test center exchanged for another, is ordinary.
    ///
    /// Classes come and go with their members: only many at once are worth a question.
    pub const fn is_large_removal(self, entity_type: EntityType) -> bool {
        let Self { entered, left, before } = self;
        let is_share = left >= LARGE_COUNT && left.saturating_mul(100) > before.saturating_mul(LARGE_PERCENT);
        if is_share || matches!(entity_type, EntityType::Class) {
            return is_share;
        }
        let is_half = left >= HALF_COUNT && left.saturating_mul(2) >= before;
        let is_last = left > 0 && left >= before && entered == 0;
        is_half || is_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_and_what_does_not() {
        // (entered, left, before, asks)
        let table = [
            (0, 0, 0, false),
            (0, 0, 1, false),
            (5, 0, 1, false),
            // The last of a type, unless another takes its place.
            (0, 1, 1, true),
            (1, 1, 1, false),
            (0, 1, 0, true),
            // Small schools: one is ordinary, half is not.
            (0, 1, 2, false),
            (0, 2, 2, true),
            (2, 2, 2, true),
            (0, 1, 3, false),
            (0, 2, 3, true),
            (0, 1, 4, false),
            (0, 2, 4, true),
            (0, 4, 4, true),
            (9, 4, 4, true),
            (0, 2, 5, false),
            (0, 3, 6, true),
            (0, 4, 9, false),
            (0, 4, 8, true),
            (0, 4, 20, false),
            (0, 5, 20, true),
            // Larger ones: a fifth, and at least five.
            (0, 5, 24, true),
            (0, 5, 25, false),
            (0, 6, 29, true),
            (0, 20, 100, false),
            (0, 21, 100, true),
            (100, 21, 100, true),
            (0, 2_000, 10_000, false),
            (0, 2_001, 10_000, true),
            (u64::MAX, u64::MAX, u64::MAX, true),
        ];
        for (entered, left, before, asks) in table {
            let turnover = Turnover { entered, left, before };
            for entity_type in EntityType::SYNCED {
                assert_eq!(turnover.is_large_removal(entity_type), asks, "{entity_type}: {turnover:?}");
            }
        }
    }

    #[test]
    fn classes_are_guarded_in_numbers_only() {
        let large = |left, before| Turnover { entered: 0, left, before }.is_large_removal(EntityType::Class);
        assert!(!large(1, 1) && !large(4, 4) && !large(5, 25));
        assert!(large(5, 20));
    }
}
