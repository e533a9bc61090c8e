//! Comparison of two texts as PHP 8 does it: as numbers when both are numeric, else byte by byte.

use std::cmp::Ordering;

/// A text that PHP takes for a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// It fits 64 bits.
    Integer(i64),
    /// It has a fraction or an exponent.
    Float(f64),
    /// Digits only, beyond 64 bits; the sign says on which side.
    TooLarge(f64),
}

/// White space that may stand around a number.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Reads a numeric text: white space, a sign, digits with one point, an exponent, white space.
pub(super) fn number(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    // Nearly all texts are URIs and names: they are told apart by their first byte.
    let start = bytes.iter().position(|&byte| !is_space(byte))?;
    if !matches!(bytes[start], b'0'..=b'9' | b'+' | b'-' | b'.') {
        return None;
    }
    let end = bytes.iter().rposition(|&byte| !is_space(byte))? + 1;
    let body = &text[start..end];
    let digits = body.strip_prefix(['+', '-']).unwrap_or(body);
    match shape(digits)? {
        Shape::Integer => Some(body.parse().map_or_else(|_| Number::TooLarge(float(body)), Number::Integer)),
        Shape::Float => Some(Number::Float(float(body))),
    }
}

enum Shape {
    Integer,
    Float,
}

/// Whether this is digits, or digits with a point or an exponent: `5`, `5.`, `.5`, `5e1`.
fn shape(text: &str) -> Option<Shape> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !are_digits(whole) || !are_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    match exponent {
        None if mantissa.contains('.') => Some(Shape::Float),
        None => Some(Shape::Integer),
        Some(exponent) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            (!digits.is_empty() && are_digits(digits)).then_some(Shape::Float)
        }
    }
}

/// The nearest double; infinite beyond its range.
fn float(text: &str) -> f64 {
    // Unwrap safety: its shape was looked at, and every such text parses.
    text.parse().unwrap_or_default()
}

/// PHP's `<=>` of two texts.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    match (number(a), number(b)) {
        (Some(x), Some(y)) => numbers(x, y).unwrap_or_else(|| a.as_bytes().cmp(b.as_bytes())),
        _ => a.as_bytes().cmp(b.as_bytes()),
    }
}

/// PHP's `==` of two texts.
pub fn loosely_equal(a: &str, b: &str) -> bool {
    a == b || compare(a, b).is_eq()
}

/// None where doubles are too coarse to tell, so that the texts decide.
fn numbers(x: Number, y: Number) -> Option<Ordering> {
    use Number::{Float, Integer, TooLarge};
    let floats = |x: f64, y: f64| x.partial_cmp(&y).filter(|order| order.is_ne() || x.is_finite());
    match (x, y) {
        (Integer(x), Integer(y)) => Some(x.cmp(&y)),
        // No integer of 64 bits comes near one that is larger.
        (Integer(_), TooLarge(y)) => Some(if y > 0.0 { Ordering::Less } else { Ordering::Greater }),
        (TooLarge(x), Integer(_)) => Some(if x > 0.0 { Ordering::Greater } else { Ordering::Less }),
        (TooLarge(x), TooLarge(y)) => x.partial_cmp(&y).filter(|order| order.is_ne()),
        (Integer(x), Float(y)) => floats(x as f64, y),
        (Float(x), Integer(y)) => floats(x, y as f64),
        (Float(x) | TooLarge(x), Float(y) | TooLarge(y)) => floats(x, y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_php_takes_for_a_number() {
        for text in ["0", "01", "-1", "+1", " 1", "1 ", "\t1\n", "1.", ".5", "1.5", "1e3", "1.e3", "1E-3", "-.5e+1"] {
            assert!(number(text).is_some(), "{text:?}");
        }
        for text in ["", " ", "a", "1a", "0x1", "1e", "1e+", ".", "-", "+", "1 2", "inf", "nan", "1_0", "--1", "1.2.3"]
        {
            assert!(number(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn equal_are_numbers_of_the_same_value() {
        for (a, b) in [("10", "1e1"), ("1", "01"), ("1", "1.0"), ("0", "-0"), ("1", "1 "), ("0.1", "0.10")] {
            assert!(loosely_equal(a, b), "{a:?} {b:?}");
        }
        for (a, b) in [("", "0"), ("abc", "ABC"), ("1", "1a"), ("9223372036854775807", "9223372036854775808")] {
            assert!(!loosely_equal(a, b), "{a:?} {b:?}");
        }
        assert!(!loosely_equal("1e1000", "2e1000"), "both endless: the texts decide");
        assert!(!loosely_equal("99999999999999999998", "99999999999999999999"), "both too large: the texts decide");
    }

    proptest! {
        #[test]
        fn comparing_never_panics_and_turns_round(a in "[ 0-9.eE+a-]{0,9}", b in "[ 0-9.eE+a-]{0,9}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert!(loosely_equal(&a, &a));
        }
    }
}
