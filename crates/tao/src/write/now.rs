//! The moment of writing, in the forms TAO writes.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schema::Holds;
use crate::{Schema, Value};

/// A moment in the forms TAO writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Seconds since 1970, with a fraction.
    pub seconds: String,
    /// `YYYY-MM-DD hh:mm:ss`, UTC.
    pub moment: String,
}

impl Now {
    /// This moment.
    pub fn of(time: Timestamp) -> Self {
        let micros = time.as_microsecond();
        let seconds = format!("{}.{:04}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000) / 100);
        Self { seconds, moment: moment(time) }
    }

    /// The epoch of a statement, as its column wants it.
    pub(super) fn epoch(&self, schema: &Schema) -> Value {
        match schema.holds("statements", "epoch") {
            Some(Holds::Moment) => Value::Moment(self.moment.clone()),
            _ => Value::from(&self.moment),
        }
    }
}

/// A time as `YYYY-MM-DD hh:mm:ss`, UTC.
pub fn moment(time: Timestamp) -> String {
    TimeZone::UTC.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_tao_does() {
        let now = Now::of("2026-05-12T08:00:00.0254Z".parse().unwrap());
        assert_eq!((now.seconds.as_str(), now.moment.as_str()), ("1778572800.0254", "2026-05-12 08:00:00"));
    }
}
