//! What attributes and values may say.

use crate::problem::shown;

/// What an attribute of QTI may say, by its QTI 2 name. The same name means the same everywhere in QTI.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Truth,
    /// A whole number from 0.
    Count,
    /// A number.
    Number,
    OneOf(&'static [&'static str]),
    /// Words of a list, separated by spaces.
    AllOf(&'static [&'static str]),
}

const BASE_TYPES: &[&str] = &[
    "identifier",
    "boolean",
    "integer",
    "float",
    "string",
    "point",
    "pair",
    "directedPair",
    "duration",
    "file",
    "uri",
    // Of QTI 2.0 and 2.1.
    "intOrIdentifier",
];
const VIEWS: &[&str] = &["author", "candidate", "proctor", "scorer", "testConstructor", "tutor"];

fn kind(attribute: &str) -> Option<Kind> {
    Some(match attribute {
        "adaptive"
        | "timeDependent"
        | "visible"
        | "keepTogether"
        | "shuffle"
        | "withReplacement"
        | "allowLateSubmission"
        | "showFeedback"
        | "allowReview"
        | "showSolution"
        | "allowComment"
        | "allowSkipping"
        | "validateResponses"
        | "required"
        | "fixed"
        | "stepLabel"
        | "reverse"
        | "autostart"
        | "loop"
        | "paramVariable"
        | "mathVariable"
        | "caseSensitive" => Kind::Truth,
        "maxChoices" | "minChoices" | "maxAssociations" | "minAssociations" | "matchMax" | "matchMin" | "maxPlays"
        | "minPlays" | "maxAttempts" | "expectedLength" | "expectedLines" | "maxStrings" | "minStrings" => Kind::Count,
        "mappedValue" | "lowerBound" | "upperBound" | "normalMaximum" | "normalMinimum" | "masteryValue" => {
            Kind::Number
        }
        "cardinality" => Kind::OneOf(&["single", "multiple", "ordered", "record"]),
        "baseType" => Kind::OneOf(BASE_TYPES),
        "showHide" => Kind::OneOf(&["show", "hide"]),
        "access" => Kind::OneOf(&["during", "atEnd"]),
        "shape" => Kind::OneOf(&["default", "rect", "circle", "poly", "ellipse"]),
        "orientation" => Kind::OneOf(&["horizontal", "vertical"]),
        "roundingMode" => Kind::OneOf(&["significantFigures", "decimalPlaces"]),
        "toleranceMode" => Kind::OneOf(&["exact", "absolute", "relative"]),
        "view" => Kind::AllOf(VIEWS),
        _ => return None,
    })
}

/// What an attribute should say, when it says something else.
pub(super) fn fault(attribute: &str, written: &str) -> Option<String> {
    let value = written.trim();
    match kind(attribute)? {
        Kind::Truth => (!matches!(value, "true" | "false" | "1" | "0")).then(|| "'true' or 'false'".to_owned()),
        Kind::Count => value.parse::<u64>().is_err().then(|| "a whole number from 0".to_owned()),
        Kind::Number => (!is_number(value)).then(|| "a number".to_owned()),
        Kind::OneOf(words) => (!words.contains(&value)).then(|| one_of(words)),
        Kind::AllOf(words) => {
            let all = !value.is_empty() && value.split_whitespace().all(|word| words.contains(&word));
            (!all).then(|| one_of(words))
        }
    }
}

fn one_of(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    format!("one of {}", words.join(", "))
}

/// Why a value is not of its base type, in words that complete "the value …".
pub(super) fn base_type_fault(base_type: &str, value: &str) -> Option<String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let (good, expected) = match base_type {
        "boolean" => (matches!(value, "true" | "false" | "1" | "0"), "'true' or 'false'"),
        "integer" => (value.parse::<i64>().is_ok(), "a whole number"),
        "float" | "duration" => (is_number(value), "a number"),
        "point" => (words.len() == 2 && words.iter().all(|word| is_number(word)), "two numbers"),
        "pair" | "directedPair" => (words.len() == 2, "two identifiers"),
        "identifier" => (words.len() == 1, "one identifier"),
        _ => return None,
    };
    (!good)
        .then(|| format!("'{}' is not {expected}, which the base type '{}' asks for", shown(value), shown(base_type)))
}

fn is_number(text: &str) -> bool {
    // Rust also reads "nan" and "inf…", XML writes "INF" and "NaN".
    text.parse::<f64>().is_ok_and(|_| !text.contains(['n', 'i'])) || matches!(text, "INF" | "-INF" | "NaN")
}

/// Whether a text can be an identifier of QTI: a letter or `_`, then letters, digits, `_`, `-`, `.`.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_say_what_they_may() {
        for (attribute, value) in [
            ("shuffle", "true"),
            ("maxChoices", " 0 "),
            ("mappedValue", "-1.5"),
            ("cardinality", "record"),
            ("view", "candidate scorer"),
            ("baseType", "directedPair"),
            ("somethingElse", "anything"),
        ] {
            assert_eq!(fault(attribute, value), None, "{attribute}={value}");
        }
        for (attribute, value) in [
            ("shuffle", "yes"),
            ("maxChoices", "-1"),
            ("maxChoices", "1.5"),
            ("mappedValue", "one"),
            ("cardinality", "many"),
            ("view", "candidate teacher"),
            ("view", ""),
            ("mappedValue", "infinity"),
        ] {
            assert!(fault(attribute, value).is_some(), "{attribute}={value}");
        }
    }

    #[test]
    fn values_are_of_their_base_type() {
        for (base_type, good, bad) in [
            ("integer", "-3", "3.5"),
            ("float", "1e3", "three"),
            ("boolean", "true", "yes"),
            ("point", "3 4", "3"),
            ("directedPair", "A B", "A"),
            ("identifier", "A", "A B"),
        ] {
            assert_eq!(base_type_fault(base_type, good), None);
            assert!(base_type_fault(base_type, bad).is_some(), "{base_type} {bad}");
        }
        assert_eq!(base_type_fault("string", "anything at all"), None);
    }

    #[test]
    fn identifiers() {
        for good in ["A", "_1", "réponse-1.a", "Q01"] {
            assert!(is_identifier(good), "{good}");
        }
        for bad in ["", "1", "a b", "-a", "a/b", "a$"] {
            assert!(!is_identifier(bad), "{bad}");
        }
    }
}
