//! A whole region in one go.

use std::fmt::Write as _;
use std::time::Instant;

use taosync_model::vocabulary as v;
use taosync_model::{Entity, EntityType};
use taosync_roster::{LookupBy, RosterKind, parse};

use crate::school::School;

/// A hundred thousand; without optimisation a tenth of it, to keep the tests quick.
const PEOPLE: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

fn people() -> String {
    let mut csv = "label,interface language,login,password,first name,last name,mail\n".to_owned();
    for n in 0..PEOPLE {
        let _ = writeln!(csv, "Taker {n},fr-FR,taker{n:06},Pass-{n:06},First{n},\"Last, {n}\",t{n}@example.org");
    }
    csv
}

/// One file, one plan. Speed is printed, not asserted: it depends on the machine and the build.
#[test]
fn a_region_of_test_takers_and_a_center_full_of_them() {
    let csv = people();
    let start = Instant::now();
    let roster = parse(RosterKind::TestTakers, "people.csv", csv.as_bytes()).expect("reads");
    let parsed = start.elapsed();
    assert_eq!(roster.row_count(), PEOPLE);

    let center = Entity::new("https://c.example/#c", v::CLASS_TEST_CENTER).with(v::ORGANISATION_ID, "007");
    let delivery = Entity::new("https://c.example/#d", v::CLASS_DELIVERY).with(v::RDFS_LABEL, "Maths");
    let mut school = School::default().with(EntityType::TestCenter, center).with(EntityType::Delivery, delivery);
    let start = Instant::now();
    let plan = school.import(RosterKind::TestTakers, &csv);
    assert_eq!(plan.created, PEOPLE);
    let imported = start.elapsed();

    let logins: Vec<String> = (0..PEOPLE).map(|n| format!("taker{n:06}")).collect();
    let start = Instant::now();
    let csv = format!("test center,delivery,test takers\n007,Maths,{}\n", logins.join("|"));
    let plan = school.import(RosterKind::Eligibilities, &csv);
    assert_eq!((plan.created, plan.related), (1, PEOPLE));
    let eligibility = &school.find(LookupBy::TestCenter, "https://c.example/#c").entity;
    assert_eq!(eligibility.values(v::ELIGIBLE_TEST_TAKER).len(), PEOPLE);
    let rate = PEOPLE as f64 / parsed.as_secs_f64();
    eprintln!(
        "{PEOPLE} rows: parse {parsed:?} ({rate:.0} rows/s), import twice {imported:?}, eligibility twice {:?}",
        start.elapsed()
    );
}
