//! Which paths a package may hold. The same rules guard zips and trees.

use crate::limits::Limits;

/// Why a path is refused, in words that complete "the path …".
pub(crate) fn fault(path: &str, limits: &Limits) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > limits.path_bytes {
        return Some("is too long");
    }
    if path.chars().any(char::is_control) {
        return Some("has control characters");
    }
    if path.contains('\\') {
        return Some("has backslashes; use '/'");
    }
    if path.starts_with('/') || has_drive(path) {
        return Some("is absolute");
    }
    if path.split('/').count() > limits.path_depth {
        return Some("is too deep");
    }
    path.split('/').find_map(name_fault)
}

fn name_fault(name: &str) -> Option<&'static str> {
    match name {
        ".." => Some("leaves the package with '..'"),
        "." | "" => Some("has an empty or '.' part"),
        _ => None,
    }
}

fn has_drive(path: &str) -> bool {
    let mut chars = path.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':')
}

/// The form in which two paths that some disks take for one are equal.
pub(crate) fn folded(path: &str) -> String {
    path.to_lowercase()
}

/// The folders above a path, outermost last.
pub(crate) fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').rev().map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_paths_pass_and_others_do_not() {
        let limits = Limits::default();
        for path in ["a", "a/b.xml", "été/ü.png", "a b/c(1).xml", "..a/b..", "ab:c"] {
            assert_eq!(fault(path, &limits), None, "{path}");
        }
        for path in ["", "/a", "a//b", "./a", "a/..", "../a", "a/../b", "a\\b", "C:/a", "c:a", "a\0b", "a\nb", "a/"] {
            assert!(fault(path, &limits).is_some(), "{path:?}");
        }
    }

    #[test]
    fn depth_and_length_at_and_beyond_the_limit() {
        let limits = Limits { path_depth: 3, path_bytes: 8, ..Limits::default() };
        assert_eq!(fault("a/b/c", &limits), None);
        assert!(fault("a/b/c/d", &limits).is_some());
        assert_eq!(fault("12345678", &limits), None);
        assert!(fault("123456789", &limits).is_some());
    }

    proptest! {
        #[test]
        fn a_path_that_passes_stays_inside(path in ".{0,40}") {
            if fault(&path, &Limits::default()).is_none() {
                for part in std::path::Path::new(&path).components() {
                    prop_assert!(matches!(part, std::path::Component::Normal(_)), "{path:?}");
                }
            }
        }
    }
}
