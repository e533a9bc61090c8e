//! Times as PHP's `microtime` writes them: a fraction, a space, seconds; other storages write seconds alone.

use jiff::Timestamp;

/// Reads `"0.28817500 1767168000"`, `"1767168000.25"` or `"1767168000"`.
pub fn time_of(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = match text.trim().split_once(' ') {
        Some((fraction, seconds)) => (seconds, fraction.strip_prefix("0.").or(Some(fraction).filter(|f| *f == "0"))?),
        None => text.trim().split_once('.').unwrap_or((text.trim(), "")),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !are_digits(seconds) || !are_digits(fraction) {
        return None;
    }
    let nanoseconds: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Timestamp::new(seconds.parse().ok()?, nanoseconds.parse().ok()?).ok()
}

/// Writes the first of these forms, with eight digits as PHP does.
pub fn epoch_text(time: Timestamp) -> String {
    let micros = time.as_microsecond();
    format!("0.{:06}00 {}", micros.rem_euclid(1_000_000), micros.div_euclid(1_000_000))
}

/// Writes the second form, as PHP writes such a number: without zeros at the end.
pub fn seconds_text(time: Timestamp) -> String {
    let micros = time.as_microsecond();
    let text = format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let time = |text| time_of(text).map(|t| t.to_string());
        assert_eq!(time("0.28817500 1767168000").unwrap(), "2025-12-31T08:00:00.288175Z");
        assert_eq!(time("1767168000").unwrap(), "2025-12-31T08:00:00Z");
        assert_eq!(time("1767168000.5"), time("0.5 1767168000"));
        assert_eq!(time("0 1767168000"), time("1767168000"));
        for wrong in ["", " ", "x", "1.5 1767168000", "-1", "99999999999999999999", "1e9"] {
            assert!(time(wrong).is_none(), "{wrong:?}");
        }
        assert_eq!(epoch_text(time_of("0.28817500 1767168000").unwrap()), "0.28817500 1767168000");
        for text in ["1767168000.2541", "1767168000.023", "1767168000", "1767168010"] {
            assert_eq!(seconds_text(time_of(text).unwrap()), text);
        }
    }
}
