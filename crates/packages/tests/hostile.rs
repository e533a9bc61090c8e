//! Zips and XML made to harm, and limits met exactly and by one more.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod zips;

use proptest::prelude::*;
use taosync_packages::Limits;
use taosync_packages::archive::Archive;
use zips::{Raw, checked, codes, error_codes, on_disk, packed, small_package, small_with, zip_of};

fn opened(bytes: &[u8], limits: &Limits) -> Vec<&'static str> {
    Archive::open(on_disk(bytes).path(), limits).map_or_else(|problems| codes(&problems), |_| Vec::new())
}

fn opened_entries(entries: &[Raw]) -> Vec<&'static str> {
    opened(&zip_of(entries), &Limits::default())
}

fn named(name: &str) -> Raw {
    Raw::stored(name, b"x")
}

#[test]
fn a_plain_zip_opens_and_reads() {
    let zip = on_disk(&zip_of(&[Raw::stored("a/b.txt", b"hello"), Raw { mode: 0o040_755, ..Raw::stored("c/", b"") }]));
    let archive = Archive::open(zip.path(), &Limits::default()).unwrap();
    assert_eq!(
        archive.entries().map(|e| (e.path.to_owned(), e.bytes)).collect::<Vec<_>>(),
        [("a/b.txt".to_owned(), 5)]
    );
    assert_eq!(archive.read("a/b.txt", 5).unwrap(), b"hello");
    assert_eq!(archive.read("a/b.txt", 4).unwrap_err().code, "file-too-large");
    assert_eq!(archive.read("nothing", 5).unwrap_err().code, "missing-file");
}

#[test]
fn paths_that_leave_the_package_are_refused() {
    for name in
        ["../a", "a/../../b", "a/..", "/etc/passwd", "C:/a", "C:\\a", "a\\b", "a\0b", "a\u{7}b", "./a", "a//b", ""]
    {
        assert_eq!(opened_entries(&[named(name)]), ["unsafe-path"], "{name:?}");
    }
}

#[test]
fn links_and_devices_are_refused() {
    for mode in [0o120_777, 0o010_644, 0o020_644, 0o060_644, 0o140_644, 0o040_755] {
        assert_eq!(opened_entries(&[Raw { mode, ..named("a") }]), ["special-file"], "{mode:o}");
    }
    assert_eq!(opened_entries(&[Raw { mode: 0o100_644, ..Raw::stored("a/", b"") }]), ["special-file"]);
    assert!(opened_entries(&[Raw { mode: 0, ..named("a") }]).is_empty());
}

#[test]
fn names_that_clash_are_refused() {
    assert_eq!(opened_entries(&[named("a"), named("a")]), ["duplicate-path"]);
    assert_eq!(opened_entries(&[named("Q1/a"), named("q1/A")]), ["case-clash"]);
    assert_eq!(opened_entries(&[named("É"), named("é")]), ["case-clash"]);
    assert_eq!(opened_entries(&[named("a"), named("a/b")]), ["file-and-folder"]);
    assert_eq!(opened_entries(&[named("A"), named("a/b/c")]), ["file-and-folder"]);
    assert_eq!(opened_entries(&[Raw { mode: 0, ..Raw::stored("a/b/", b"") }, named("a")]), ["file-and-folder"]);
}

#[test]
fn encryption_and_unknown_compression_are_refused() {
    assert_eq!(opened_entries(&[Raw { flags: 1, ..named("a") }]), ["encrypted-entry"]);
    assert_eq!(opened_entries(&[Raw { method: 12, ..named("a") }]), ["unknown-compression"]);
    assert_eq!(opened_entries(&[Raw { method: 99, ..named("a") }]), ["unknown-compression"]);
}

#[test]
fn every_problem_is_named_at_once() {
    let problems = opened_entries(&[named("../a"), Raw { mode: 0o120_777, ..named("b") }, named("c"), named("C")]);
    assert_eq!(problems, ["case-clash", "special-file", "unsafe-path"]);
}

#[test]
fn bombs_are_refused_before_they_unpack() {
    assert_eq!(opened_entries(&[Raw::zeros("a", 8 << 20)]), ["zip-bomb"]);
    // Small repetitive files may compress that well.
    assert!(opened_entries(&[Raw::zeros("a", 1 << 20)]).is_empty());
}

#[test]
fn a_bomb_of_many_names_for_one_body_is_refused() {
    let body = Raw::zeros("0", 1 << 20);
    let copies = (0..300).map(|n| {
        let shared_offset = (n > 0).then_some(0);
        Raw { name: n.to_string().into_bytes(), shared_offset, ..body.clone() }
    });
    assert_eq!(opened_entries(&copies.collect::<Vec<_>>()), ["zip-bomb"]);
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let (one, other) = (Raw::stored("a", b"hello"), Raw::stored("b", b"hello"));
    assert_eq!(
        opened_entries(&[one.clone(), Raw { shared_offset: Some(0), ..other.clone() }]),
        ["overlapping-entries"]
    );
    // A zip in a zip: the file that is seen inside the other is one of the package too.
    let mut inner = b"PK\x03\x04".to_vec();
    inner.extend([0; 26]);
    inner.extend(b"b");
    let outer = Raw::stored("a", &inner);
    let inside = Raw { shared_offset: Some(31), compressed: Some(1), plain: 1, ..Raw::stored("b", b"") };
    assert_eq!(opened_entries(&[outer, inside]), ["overlapping-entries"]);
    let into_directory = Raw { compressed: Some(200), plain: 200, ..one.clone() };
    assert_eq!(opened_entries(&[into_directory]), ["overlapping-entries"]);
    assert_eq!(opened_entries(&[one, Raw { shared_offset: Some(3), ..other }]), ["damaged-entry"]);
}

/// A ZIP64 extra field with these numbers.
fn zip64(numbers: &[u64]) -> Vec<u8> {
    let mut extra = vec![1, 0];
    extra.extend((8 * numbers.len() as u16).to_le_bytes());
    extra.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    extra
}

#[test]
fn large_numbers_of_zip64_that_lie_are_refused() {
    const MANY: u64 = 1 << 40;
    let large = |numbers: &[u64]| Raw {
        plain: u32::MAX,
        compressed: Some(u32::MAX),
        extra: zip64(numbers),
        ..Raw::stored("a", b"hello")
    };
    assert!(opened_entries(&[large(&[5, 5])]).is_empty(), "true numbers in the long form");
    assert_eq!(opened_entries(&[large(&[MANY, MANY])]), ["file-too-large", "package-too-large"]);
    assert_eq!(opened_entries(&[large(&[1 << 30, 5])]), ["zip-bomb"]);
    assert_eq!(opened_entries(&[large(&[5, MANY])]), ["overlapping-entries"]);
    assert_eq!(opened_entries(&[large(&[5, u64::MAX])]), ["damaged-entry"]);
    let far = Raw { shared_offset: Some(u32::MAX), extra: zip64(&[MANY]), ..Raw::stored("a", b"hello") };
    assert_eq!(opened_entries(&[Raw::stored("b", b"x"), far]), ["damaged-entry"]);
    // No numbers where they are announced.
    assert_eq!(opened_entries(&[large(&[])]), ["not-a-zip"]);
}

#[test]
fn sizes_that_lie_are_found_while_reading() {
    let honest = Raw::zeros("a", 100_000);
    for plain in [10, 99_999, 100_001, 150_000] {
        let zip = on_disk(&zip_of(&[Raw { plain, ..honest.clone() }]));
        let archive = Archive::open(zip.path(), &Limits::default()).unwrap();
        let problem = archive.read("a", 1 << 20).unwrap_err();
        assert!(["lying-size", "damaged-entry"].contains(&problem.code), "{plain}: {problem}");
    }
}

#[test]
fn a_wrong_checksum_is_found_while_checking() {
    let mut entries: Vec<_> = small_package().iter().map(|(path, bytes)| Raw::stored(path, bytes)).collect();
    assert_eq!(error_codes(&checked(&zip_of(&entries)).0), [""; 0]);
    entries[0].crc ^= 1;
    let (report, package) = checked(&zip_of(&entries));
    assert!(package.is_none());
    assert_eq!((error_codes(&report), report.errors[0].file.as_deref()), (vec!["damaged-entry"], Some("i/a.png")));
}

#[test]
fn limits_met_exactly_and_by_one_more() {
    let bytes = zip_of(&[Raw::stored("a", &[7; 100]), Raw::stored("b/c", &[7; 50])]);
    let exact =
        Limits { entries: 2, total_bytes: 150, file_bytes: 100, path_depth: 2, path_bytes: 3, ..Limits::default() };
    assert!(opened(&bytes, &exact).is_empty());
    for (limits, code) in [
        (Limits { entries: 1, ..exact.clone() }, "too-many-entries"),
        (Limits { total_bytes: 149, ..exact.clone() }, "package-too-large"),
        (Limits { file_bytes: 99, ..exact.clone() }, "file-too-large"),
        (Limits { path_depth: 1, ..exact.clone() }, "unsafe-path"),
        (Limits { path_bytes: 2, ..exact.clone() }, "unsafe-path"),
        (Limits { directory_bytes: 46, ..exact.clone() }, "not-a-zip"),
    ] {
        assert_eq!(opened(&bytes, &limits), [code]);
    }
}

#[test]
fn a_zip_with_much_around_its_files_is_refused() {
    let zip = zip_of(&[Raw::stored("a", &[7; 100])]);
    let limits = Limits { total_bytes: 100, directory_bytes: 60, ..Limits::default() };
    let around = limits.zip_bytes() as usize - zip.len();
    let with = |more: usize| opened(&[vec![0; around + more], zip.clone()].concat(), &limits);
    assert!(with(0).is_empty());
    assert_eq!(with(1), ["package-too-large"]);
}

#[test]
fn the_ratio_met_exactly_and_by_one_more() {
    let entry = Raw::zeros("a", 100_000);
    let over_whole = 100_000u64.div_ceil(entry.body.len() as u64);
    let with = |ratio| {
        opened(&zip_of(std::slice::from_ref(&entry)), &Limits { ratio, ratio_free_bytes: 99_999, ..Limits::default() })
    };
    assert!(with(over_whole).is_empty());
    assert_eq!(with(over_whole - 1), ["zip-bomb"]);
    let free = Limits { ratio: 1, ratio_free_bytes: 100_000, ..Limits::default() };
    assert!(opened(&zip_of(std::slice::from_ref(&entry)), &free).is_empty());
}

#[test]
fn what_is_no_zip_is_said_to_be_none() {
    let whole = packed(&small_package());
    for bytes in
        [&b""[..], b"PK", b"hello world, this is no zip at all", &whole[..whole.len() - 30], &whole[..whole.len() / 2]]
    {
        assert_eq!(error_codes(&checked(bytes).0), ["not-a-zip"]);
    }
    let missing = Archive::open(std::path::Path::new("/nonexistent/package.zip"), &Limits::default());
    assert_eq!(codes(&missing.unwrap_err()), ["unreadable"]);
}

#[test]
fn hostile_xml_is_refused_with_its_line() {
    let deep = format!("<itemBody>{}{}", "<div>".repeat(200), "</div>".repeat(200));
    let entities = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>\n<assessmentItem";
    for (from, to, code) in [
        ("<itemBody>", deep.as_str(), "xml-too-large"),
        ("<assessmentItem", entities, "dtd"),
        ("<assessmentItem", "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><assessmentItem", "dtd"),
        ("<itemBody>", "<itemBody>&undeclared;", "malformed-xml"),
        ("<itemBody>", "<itemBody><p>", "malformed-xml"),
    ] {
        let (report, package) = checked(&small_with("i/item.xml", from, to));
        assert!(package.is_none());
        assert_eq!(
            (error_codes(&report), report.errors[0].file.as_deref()),
            (vec![code], Some("i/item.xml")),
            "{report}"
        );
    }
    let (report, _) = checked(&small_with("test.xml", "identifier=\"p\"", "identifier=\"p\" identifier=\"q\""));
    assert_eq!((report.errors[0].code, report.errors[0].line), ("malformed-xml", Some(2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_give_a_report(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(checked(&bytes).1.is_none());
    }

    #[test]
    fn a_package_with_changed_bytes_gives_a_report(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = packed(&small_package());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (report, package) = checked(&bytes);
        prop_assert_eq!(report.is_ok(), package.is_some());
    }
}
