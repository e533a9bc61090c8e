//! References between files of a package.

/// Where a reference leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To a file of the package (which may be missing).
    File(String),
    /// To the network.
    Remote,
    /// To something else: embedded data, a place in the same file.
    Elsewhere,
    /// Above the package's root, or not a reference at all.
    Invalid,
}

/// Follows a reference found in the file `from`; query and fragment are dropped, `%20` and the like decoded.
pub(crate) fn resolve(from: &str, href: &str) -> Target {
    let href = href.trim();
    let path = href.split(['#', '?']).next().unwrap_or_default();
    if path.is_empty() {
        return if href.is_empty() { Target::Invalid } else { Target::Elsewhere };
    }
    if path.starts_with("//") {
        return Target::Remote;
    }
    if has_scheme(path) {
        let is_data = path.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        return if is_data { Target::Elsewhere } else { Target::Remote };
    }
    let Some(path) = percent_decoded(path) else { return Target::Invalid };
    // Hrefs from the root of the package are written with and without '/'.
    let (folder, path) = match path.strip_prefix('/') {
        Some(rest) => ("", rest.to_owned()),
        None => (from.rsplit_once('/').map_or("", |(folder, _)| folder), path),
    };
    join(folder, &path).map_or(Target::Invalid, Target::File)
}

/// `name:` before any `/`, as in `https:` or `data:`.
fn has_scheme(path: &str) -> bool {
    let Some((scheme, _)) = path.split_once(':') else { return false };
    scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let mut decoded = [0];
        let digits = tail.get(..2).filter(|_| *first == b'%');
        if digits.is_some_and(|digits| hex::decode_to_slice(digits, &mut decoded).is_ok()) {
            bytes.push(decoded[0]);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn references_as_found_in_packages() {
        let file = |path: &str| Target::File(path.to_owned());
        for (from, href, expected) in [
            ("test.xml", "./Q01/qti.xml", file("Q01/qti.xml")),
            ("path/to/test/test.xml", "../../../Q01/qti.xml", file("Q01/qti.xml")),
            ("items/1/qti.xml", "images/a%20b.png", file("items/1/images/a b.png")),
            ("items/1/qti.xml", "/images/a.png", file("images/a.png")),
            ("a.xml", "b.svg#part", file("b.svg")),
            ("a.xml", "100%.png", file("100%.png")),
            ("a.xml", "https://example.org/a.png", Target::Remote),
            ("a.xml", "//example.org/a.png", Target::Remote),
            ("a.xml", "data:image/png;base64,AAAA", Target::Elsewhere),
            ("a.xml", "#top", Target::Elsewhere),
            ("a.xml", "../b.xml", Target::Invalid),
            ("a.xml", "%2e%2e/b.xml", Target::Invalid),
            ("a.xml", "", Target::Invalid),
            ("a.xml", "%ff", Target::Invalid),
        ] {
            assert_eq!(resolve(from, href), expected, "{from} → {href}");
        }
    }

    proptest! {
        #[test]
        fn a_target_never_leaves_the_package(from in "[a-c]{1,2}(/[a-c]{1,2}){0,3}", href in "[a-c/.%2e:]{0,24}") {
            if let Target::File(path) = resolve(&from, &href) {
                prop_assert!(path.split('/').all(|part| !part.is_empty() && part != ".."), "{path}");
            }
        }
    }
}
