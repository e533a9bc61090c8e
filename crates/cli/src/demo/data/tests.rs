use std::collections::HashSet;

use taosync_roster::{RosterKind, parse};

use super::*;

#[test]
fn the_same_number_gives_the_same_people() {
    assert_eq!(Data::with_takers(50).takers_csv(), Data::with_takers(50).takers_csv());
    assert!(Data::with_takers(60).takers_csv().starts_with(&Data::with_takers(50).takers_csv()));
}

#[test]
fn logins_are_ascii_and_nobody_shares_one() {
    let data = Data::with_takers(5_000);
    let logins: HashSet<_> = data.takers.iter().map(|taker| taker.login.as_str()).collect();
    assert_eq!(logins.len(), 5_000);
    assert!(logins.iter().all(|login| login.is_ascii()));
    let names = FIRST_NAMES.iter().chain(&LAST_NAMES);
    for name in names {
        let letters = name.chars().filter(|c| c.is_alphabetic()).count();
        assert_eq!(in_ascii(name).len(), letters, "a letter of {name} is lost");
    }
}

#[test]
fn every_file_is_one_that_the_import_reads() {
    let data = Data::with_takers(10);
    let files = [
        (RosterKind::TestCenters, Data::centers_csv(), 3),
        (RosterKind::Administrators, Data::administrators_csv(), 1),
        (RosterKind::Proctors, Data::proctors_csv(), 4),
        (RosterKind::TestTakers, data.takers_csv(), 10),
        (RosterKind::TestTakers, renamed_csv(&data.takers_of(OUR_ORG)), 7),
        (RosterKind::Eligibilities, data.eligibilities_csv(), 6),
    ];
    for (kind, text, rows) in files {
        let roster = parse(kind, "demo.csv", text.as_bytes()).unwrap();
        assert_eq!(roster.row_count(), rows, "{kind}");
    }
}

#[test]
fn every_center_has_takers_and_both_orgs_share_people() {
    let data = Data::with_takers(10);
    assert_eq!((data.takers_of(OUR_ORG).len(), data.takers_of(OTHER_ORG).len()), (7, 3));
    let orgs = |centers: &[usize]| centers.iter().map(|&at| CENTERS[at].org).collect::<HashSet<_>>().len();
    assert!(ADMINISTRATORS.iter().any(|(_, _, centers)| orgs(centers) == 2));
    assert!(PROCTORS.iter().any(|(_, _, centers)| orgs(centers) == 2));
}
