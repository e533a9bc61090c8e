//! Centers, their people, and who may sit what.

use crate::school::{School, texts};
use taosync_model::vocabulary as v;
use taosync_model::{Entity, EntityType, Value};
use taosync_roster::{LookupBy, RosterKind};

/// Two proctors, an administrator, four test takers and a delivery.
fn school() -> School {
    let delivery = Entity::new("https://c.example/#d1", v::CLASS_DELIVERY).with(v::RDFS_LABEL, "Maths");
    let mut school = School::default().with(EntityType::Delivery, delivery);
    let people = |prefix: &str, count: u32| {
        let rows: Vec<String> = (1..=count).map(|n| format!("{prefix} {n},fr-FR,{prefix}{n},x\n")).collect();
        format!("label,interface language,login,password\n{}", rows.concat())
    };
    school.import(RosterKind::Proctors, &people("p", 2));
    school.import(RosterKind::Administrators, &people("a", 1));
    school.import(RosterKind::TestTakers, &people("t", 4));
    school
}

const CENTERS: &str = "label,organisation id,administrators,proctors,sub centers\n\
    North,007,a1,p1|p2,South | East\n\
    South,008,,p2,\n\
    East,009,,,\n";

#[test]
fn people_get_their_centers_and_centers_their_sub_centers() {
    let mut school = school();
    let plan = school.import(RosterKind::TestCenters, CENTERS);
    assert_eq!((plan.created, plan.related), (3, 3));
    let (north, south, east) = (school.org("007"), school.org("008"), school.org("009"));
    assert_eq!(north.class, v::CLASS_TEST_CENTER);
    assert_eq!(texts(north, v::CENTER_CHILDREN), [south.uri.as_str(), &east.uri]);
    assert_eq!(texts(school.login("a1"), v::ADMINISTRATOR_OF), [&north.uri]);
    assert_eq!(texts(school.login("p1"), v::ASSIGNED_PROCTOR), [&north.uri]);
    assert_eq!(texts(school.login("p2"), v::ASSIGNED_PROCTOR), [north.uri.as_str(), &south.uri]);
    assert_eq!(north.values("http://none"), []);
}

#[test]
fn lists_add_and_a_center_is_known_by_organisation_and_label() {
    let mut school = school();
    school.import(RosterKind::TestCenters, CENTERS);
    let uri = school.org("008").uri.clone();
    let plan = school.import(RosterKind::TestCenters, "label,organization_id,proctors\nSouth,008,p1\n");
    assert_eq!((plan.created, plan.unchanged, plan.related), (0, 1, 1));
    assert_eq!(school.org("008").uri, uri);
    assert!(texts(school.login("p2"), v::ASSIGNED_PROCTOR).contains(&uri.as_str()), "absence removes nothing");
    assert!(texts(school.login("p1"), v::ASSIGNED_PROCTOR).contains(&uri.as_str()));
}

#[test]
fn a_center_without_organisation_is_known_by_its_label() {
    let old = Entity::new("https://c.example/#old", v::CLASS_TEST_CENTER).with(v::RDFS_LABEL, "West");
    let mut school = School::default().with(EntityType::TestCenter, old);
    let csv = "label,organisation id\nWest,010\n";
    assert_eq!(school.import(RosterKind::TestCenters, csv).updated, 1);
    assert_eq!(school.org("010").uri, "https://c.example/#old");
    let plan = school.import(RosterKind::TestCenters, "label,organisation id\nWest,011\n");
    assert_eq!(plan.created, 1, "another organisation's center of the same name is another center");
}

#[test]
fn several_centers_of_one_organisation_are_told_apart_or_named() {
    let center = |n: u32, label: &str| {
        Entity::new(format!("https://c.example/#c{n}"), v::CLASS_TEST_CENTER)
            .with(v::RDFS_LABEL, label)
            .with(v::ORGANISATION_ID, "7")
    };
    let mut school = School::default()
        .with(EntityType::TestCenter, center(1, "Hall A"))
        .with(EntityType::TestCenter, center(2, "Hall B"));
    assert_eq!(school.import(RosterKind::TestCenters, "label,org id\nHall B,7\n").unchanged, 1);
    let third = school.import(RosterKind::TestCenters, "label,org id\nHall C,7\n");
    assert_eq!((third.created, third.updated), (1, 0), "another label is another center, nothing is renamed");
    let by_uri = "uri,label,org id\nhttps://c.example/#c2,Hall D,7\nhttps://c.example/#c1,Hall A,7\n";
    assert_eq!(school.import(RosterKind::TestCenters, by_uri).updated, 1, "a URI renames");
    let two = "label,org id\nX,8\nY,8\n";
    assert_eq!(school.import(RosterKind::TestCenters, two).created, 2);
    assert_eq!(school.import(RosterKind::TestCenters, two).unchanged, 2);
    let twice = "label,org id\nX,9\nX,9\n";
    let said = &school.complaints(RosterKind::TestCenters, twice)[0];
    assert!(said.contains("the same organisation id and label as on line 2"), "{said}");
}

#[test]
fn wrong_references_are_named_without_logins() {
    let mut school = school();
    let csv = "label,organisation id,administrators,proctors,sub centers\nNorth,007,p1,p1|nobody,North|Nowhere\n";
    let said = school.complaints(RosterKind::TestCenters, csv);
    let expected = [
        "file.csv:2, column \"sub centers\": entry 1: a test center cannot be its own sub center",
        "file.csv:2, column \"sub centers\": entry 2: no test center has \"Nowhere\" as organisation id, label or URI",
        "file.csv:2, column \"administrators\": entry 1: no administrator has this as login or URI",
        "file.csv:2, column \"proctors\": entry 2: no proctor has this as login or URI",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{expected}\nnot {said}");
    }
}

fn assigned(school: &School, login: &str) -> Vec<String> {
    texts(school.login(login), v::USER_ASSIGNMENT).into_iter().map(str::to_owned).collect()
}

#[test]
fn eligibilities_are_written_on_both_sides_and_replace() {
    let mut school = school();
    school.import(RosterKind::TestCenters, CENTERS);
    let plan = school.import(
        RosterKind::Eligibilities,
        "Test Center,delivery,test takers,is proctored\nNorth,Maths,t1|t2|t1,1\n008,https://c.example/#d1,t2 | t3,0\n",
    );
    assert_eq!((plan.created, plan.related), (2, 3));
    let first = school.find(LookupBy::TestCenter, &school.org("007").uri).entity.clone();
    let (t1, t2, t3) = (&school.login("t1").uri, &school.login("t2").uri, &school.login("t3").uri);
    assert_eq!(first.class, v::CLASS_ELIGIBILITY);
    assert_eq!(first.label(), "Maths – North");
    assert_eq!(texts(&first, v::ELIGIBLE_DELIVERY), ["https://c.example/#d1"]);
    assert_eq!(texts(&first, v::ELIGIBLE_TEST_TAKER), [t1, t2]);
    assert_eq!(texts(&first, v::BY_PASS_PROCTOR), [v::GENERIS_FALSE]);
    let second = school.find(LookupBy::TestCenter, &school.org("008").uri).entity.clone();
    assert_eq!(texts(&second, v::BY_PASS_PROCTOR), [v::GENERIS_TRUE]);
    assert_eq!(assigned(&school, "t2"), [first.uri.clone(), second.uri.clone()]);

    // Another list for the same pair: t1 goes, t3 comes, t2 stays; the other center is not touched.
    let csv = format!("centre,delivery,test_takers\n007,Maths,t3|{t2}\n");
    let (t2, t3) = (t2.clone(), t3.clone());
    let plan = school.import(RosterKind::Eligibilities, &csv);
    assert_eq!((plan.updated, plan.related, plan.upserts.len()), (1, 2, 3));
    let after = school.find(LookupBy::TestCenter, &school.org("007").uri).entity.clone();
    assert_eq!(after.uri, first.uri);
    assert_eq!(texts(&after, v::ELIGIBLE_TEST_TAKER), [t2, t3]);
    assert_eq!(texts(&after, v::BY_PASS_PROCTOR), [v::GENERIS_FALSE], "not spoken of, kept");
    assert_eq!(assigned(&school, "t1"), Vec::<String>::new());
    assert_eq!(assigned(&school, "t2"), [first.uri.clone(), second.uri.clone()]);
    assert_eq!(assigned(&school, "t3"), [second.uri, first.uri]);
}

#[test]
fn the_order_of_test_takers_does_not_matter_and_lost_assignments_are_mended() {
    let mut school = school();
    school.import(RosterKind::TestCenters, CENTERS);
    school.import(RosterKind::Eligibilities, "test center,delivery,test takers\nNorth,Maths,t1|t2|t3\n");
    assert!(
        school
            .import(RosterKind::Eligibilities, "test center,delivery,test takers\nNorth,Maths,t3|t1|t2\n")
            .upserts
            .is_empty()
    );
    let mut broken = school.login("t1").clone();
    broken.set(v::USER_ASSIGNMENT, vec![]);
    school = school.with(EntityType::TestTaker, broken);
    let plan = school.import(RosterKind::Eligibilities, "test center,delivery,test takers\nNorth,Maths,t3|t1|t2\n");
    assert_eq!((plan.unchanged, plan.related, plan.upserts.len()), (1, 1, 1));
}

#[test]
fn a_dangling_test_taker_can_be_dropped() {
    let mut school = school();
    school.import(RosterKind::TestCenters, CENTERS);
    school.import(RosterKind::Eligibilities, "test center,delivery,test takers\nNorth,Maths,t1\n");
    let mut eligibility = school.find(LookupBy::TestCenter, &school.org("007").uri).entity.clone();
    eligibility.push(v::ELIGIBLE_TEST_TAKER, Value::plain("https://c.example/#gone"));
    school = school.with(EntityType::Eligibility, eligibility);
    let plan = school.import(RosterKind::Eligibilities, "test center,delivery,test takers\nNorth,Maths,t1\n");
    assert_eq!((plan.updated, plan.related), (1, 0));
}

#[test]
fn eligibilities_that_cannot_be() {
    let mut school = school();
    school.import(RosterKind::TestCenters, CENTERS);
    let twin = Entity::new("https://c.example/#d2", v::CLASS_DELIVERY).with(v::RDFS_LABEL, "Maths");
    school = school.with(EntityType::Delivery, twin);
    let csv = "test center,delivery,test takers,proctored\n\
        North,Maths,t1,\n\
        North,https://c.example/#d1,t1|p1,\n\
        007,https://c.example/#d1,t2,\n\
        Nowhere,https://c.example/#d1,t1,\n";
    let said = school.complaints(RosterKind::Eligibilities, csv);
    let expected = [
        "file.csv:2, column \"delivery\": \"Maths\" means several: https://c.example/#d1, https://c.example/#d2",
        "file.csv:3, column \"test takers\": entry 2: no test taker has this as login or URI",
        "file.csv:4: line 3 is about the same test center and delivery",
        "file.csv:5, column \"test center\": no test center has \"Nowhere\"",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{expected}\nnot {said}");
    }
    let maybe = "test center,delivery,test takers,proctored\nNorth,https://c.example/#d1,,maybe\n";
    let said = school.complaints(RosterKind::Eligibilities, maybe).concat();
    assert!(said.contains("the list is empty") && said.contains("\"maybe\" is neither yes nor no"), "{said}");
}

#[test]
fn an_organisation_id_that_looks_like_a_uri_is_found_again() {
    let mut school = school();
    // `import` asserts that the same file twice changes nothing.
    let plan = school.import(RosterKind::TestCenters, "label,organisation id\nurn:label,http://org.example/7\n");
    assert_eq!(plan.created, 1);
}
