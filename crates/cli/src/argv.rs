//! TAO's own spellings of options, turned into those clap knows: `-tu URL`, `-cmd`, `--organisation_id=ORG`.

use std::ffi::{OsStr, OsString};

/// Options of TAO's command line with one dash and several letters, and the names they have here.
const ONE_DASH: &[(&str, &str)] = &[("-tu", "--token-url"), ("-cmd", "--cmd")];
/// TAO writes an underscore where our options have a dash.
const UNDERSCORE: &[(&str, &str)] = &[("--organisation_id", "--organisation-id"), ("--token_url", "--token-url")];

/// Replaces TAO's spellings, also with `=VALUE`; everything after `--` stays as it is.
pub fn with_our_spellings(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut is_option = true;
    let replace = |argument: OsString| {
        is_option &= argument != "--";
        if is_option { respelled(&argument).unwrap_or(argument) } else { argument }
    };
    arguments.into_iter().map(replace).collect()
}

fn respelled(argument: &OsStr) -> Option<OsString> {
    let text = argument.to_str()?;
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let (_, ours) = ONE_DASH.iter().chain(UNDERSCORE).find(|(theirs, _)| *theirs == name)?;
    Some(OsString::from(value.map_or_else(|| (*ours).to_owned(), |value| format!("{ours}={value}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respell(line: &str) -> String {
        let arguments = line.split(' ').map(OsString::from);
        with_our_spellings(arguments).iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_spellings_of_tao_are_taken() {
        assert_eq!(
            respell("taosync oauth import -k K -s S -tu https://c/t -u https://c/"),
            "taosync oauth import -k K -s S --token-url https://c/t -u https://c/"
        );
        assert_eq!(respell("taosync oauth generate -cmd --org A"), "taosync oauth generate --cmd --org A");
        assert_eq!(
            respell("taosync sync data --type=test-taker --organisation_id=A=B"),
            "taosync sync data --type=test-taker --organisation-id=A=B"
        );
        assert_eq!(respell("taosync oauth import -tu=https://c/t"), "taosync oauth import --token-url=https://c/t");
    }

    #[test]
    fn everything_else_stays() {
        for line in ["taosync -t x -u y", "taosync entity show -- -tu", "taosync --cmd -s -"] {
            assert_eq!(respell(line), line);
        }
    }
}
