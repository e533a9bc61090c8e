//! Administrators, proctors, test takers and sync managers.

use crate::school::{School, texts};
use secrecy::SecretString;
use taosync_model::vocabulary as v;
use taosync_model::{Entity, EntityType};
use taosync_roster::{LookupBy, RosterKind};
use taosync_vault::passwords::tao_verify;

const TAKERS: &str = "label;interface language;login;password;default language;first name;last name;mail\n\
    Ann Plain;fr-FR;007;secret 1;en-US;Ann;Plain;ann@example.org\n\
    \"Bö; \"\"the\"\" best\nof all\";en-US;bo; secret 2 ;;;;\n";

#[test]
fn test_takers_become_what_tao_writes() {
    let mut school = School::default();
    let plan = school.import(RosterKind::TestTakers, TAKERS);
    assert_eq!((plan.created, plan.updated, plan.unchanged, plan.related), (2, 0, 0, 0));
    let ann = school.login("007");
    assert!(ann.uri.starts_with("https://central.example/taosync.rdf#i"), "{}", ann.uri);
    assert_eq!(ann.class, v::CLASS_SUBJECT);
    let expected = [
        (v::RDF_TYPE, v::CLASS_SUBJECT),
        (v::RDFS_LABEL, "Ann Plain"),
        (v::USER_ROLES, v::ROLE_TEST_TAKER),
        (v::USER_INTERFACE_LANGUAGE, "http://www.tao.lu/Ontologies/TAO.rdf#Langfr-FR"),
        (v::USER_DEFAULT_LANGUAGE, "http://www.tao.lu/Ontologies/TAO.rdf#Langen-US"),
        (v::USER_FIRST_NAME, "Ann"),
        (v::USER_LAST_NAME, "Plain"),
        (v::USER_MAIL, "ann@example.org"),
    ];
    for (predicate, text) in expected {
        assert_eq!(texts(ann, predicate), [text]);
    }
    assert_eq!(ann.properties.len(), expected.len() + 2, "these, login and password, and nothing else");
    let bo = school.login("bo");
    assert_eq!(bo.label(), "Bö; \"the\" best\nof all");
    let stored = bo.first(v::USER_PASSWORD).expect("a password");
    assert!(tao_verify(&SecretString::from(" secret 2 "), stored), "spaces belong to a password");
    assert!(!stored.contains("secret"));
}

#[test]
fn commas_tabs_marks_and_other_spellings_are_the_same_file() {
    let mut school = School::default();
    school.import(RosterKind::TestTakers, TAKERS);
    let same = [
        "\u{FEFF}LABEL,Interface_Language,Login,password,FirstName,Last-Name,E-Mail\r\nAnn Plain,fr-FR,007,secret 1,Ann,Plain,ann@example.org\r\n",
        "login\tlabel\tui language\tpassword\temail\r007\tAnn Plain\tFR_fr\tsecret 1\tann@example.org\r",
        "username;password;label;interfacelanguage;\n007;secret 1;Ann Plain;http://www.tao.lu/Ontologies/TAO.rdf#Langfr-FR;\n;;;;\n",
    ];
    for csv in same {
        let plan = school.import(RosterKind::TestTakers, csv);
        assert_eq!((plan.unchanged, plan.upserts.len()), (1, 0), "{csv}");
    }
}

#[test]
fn a_change_keeps_what_the_file_does_not_speak_of() {
    let mut school = School::default();
    school.import(RosterKind::TestTakers, TAKERS);
    let before = school.login("007").clone();
    let grown = before.clone().with("http://p", "kept").with(v::USER_ASSIGNMENT, "https://c.example/#e1");
    school = school.with(EntityType::TestTaker, grown);
    let csv = "label,interface language,login,password\nAnn New,fr-FR,007,secret 9\n";
    let plan = school.import(RosterKind::TestTakers, csv);
    assert_eq!((plan.updated, plan.upserts.len()), (1, 1));
    let after = school.login("007");
    assert_eq!((after.uri.as_str(), after.label()), (before.uri.as_str(), "Ann New"));
    assert_eq!(texts(after, "http://p"), ["kept"]);
    assert_eq!(texts(after, v::USER_MAIL), ["ann@example.org"]);
    assert_eq!(texts(after, v::USER_ASSIGNMENT), ["https://c.example/#e1"]);
    let stored = after.first(v::USER_PASSWORD).expect("a password");
    assert!(tao_verify(&SecretString::from("secret 9"), stored));
}

#[test]
fn a_proctor_becomes_administrator_too_and_keeps_the_uri() {
    let center = Entity::new("https://c.example/#a", v::CLASS_TEST_CENTER)
        .with(v::RDFS_LABEL, "Centre A")
        .with(v::ORGANISATION_ID, "007");
    let mut school = School::default().with(EntityType::TestCenter, center);
    let csv = "label,interface language,login,password,test centers\nP,fr-FR,p1,x,Centre A\n";
    school.import(RosterKind::Proctors, csv);
    let uri = school.login("p1").uri.clone();
    let plan = school.import(RosterKind::Administrators, &csv.replace("Centre A", "007"));
    let types: Vec<_> = plan.upserts.iter().map(|(t, _)| *t).collect();
    assert_eq!((plan.updated, types), (1, vec![EntityType::Administrator, EntityType::Proctor]));
    let both = school.find(LookupBy::Login, "p1");
    assert_eq!(both.entity.uri, uri);
    assert_eq!(texts(&both.entity, v::USER_ROLES), [v::ROLE_PROCTOR, v::ROLE_ADMINISTRATOR]);
    assert_eq!(texts(&both.entity, v::ASSIGNED_PROCTOR), ["https://c.example/#a"]);
    assert_eq!(texts(&both.entity, v::ADMINISTRATOR_OF), ["https://c.example/#a"]);
    assert_eq!(both.entity.class, v::CLASS_TAO_USER);

    let taker = "label,interface language,login,password\nP,fr-FR,p1,x\n";
    let complaint = school.complaints(RosterKind::TestTakers, taker).concat();
    assert!(complaint.contains("file.csv:2, column \"login\": this is a"), "{complaint}");
}

#[test]
fn sync_managers_need_an_organisation() {
    let mut school = School::default();
    school.import(
        RosterKind::SyncManagers,
        "label,interface language,login,password,organisation id\nM,en-US,m1,x,007\n",
    );
    assert_eq!(texts(school.login("m1"), v::ORGANISATION_ID), ["007"]);
    assert_eq!(texts(school.login("m1"), v::USER_ROLES), [v::ROLE_SYNC_MANAGER]);
    let without =
        school.complaints(RosterKind::SyncManagers, "label,interface language,login,password\nM,en-US,m1,x\n");
    assert!(without[0].starts_with("file.csv:1, column \"organisation id\": the column is missing"), "{without:?}");
    let everything = "label,interface language,login,password,org id\nM,en-US,m1,x,*\n";
    assert!(school.complaints(RosterKind::SyncManagers, everything)[0].contains("organisation id"));
}

#[test]
fn rows_with_a_uri_are_found_by_it() {
    let mut school = School::default();
    let csv = "uri,label,interface language,login,password\nhttps://c.example/#t1,T,fr-FR,t1,x\n";
    school.import(RosterKind::TestTakers, csv);
    assert_eq!(school.login("t1").uri, "https://c.example/#t1");
    school.import(RosterKind::TestTakers, &csv.replace(",t1,", ",t2,"));
    assert_eq!(school.login("t2").uri, "https://c.example/#t1", "a new login of the same person");

    let taken = csv.replace("#t1", "#other").replace(",t1,", ",t2,");
    let complaint = school.complaints(RosterKind::TestTakers, &taken).concat();
    assert!(complaint.contains("the login belongs to https://c.example/#t1"), "{complaint}");

    let both = format!("{}\n,T,fr-FR,t2,x\n", csv.trim_end());
    let complaint = school.complaints(RosterKind::TestTakers, &both).concat();
    assert!(complaint.contains("this is the same test-taker as on line 2"), "{complaint}");

    school = school.with(EntityType::Delivery, Entity::new("https://c.example/#d", v::CLASS_DELIVERY));
    let delivery = csv.replace("#t1", "#d").replace(",t1,", ",t5,");
    assert!(school.complaints(RosterKind::TestTakers, &delivery)[0].contains("a delivery already"));
}

#[test]
fn two_people_with_one_login_in_the_store_are_ambiguous() {
    let person = |n: u32| Entity::new(format!("https://c.example/#t{n}"), v::CLASS_SUBJECT).with(v::USER_LOGIN, "same");
    let mut school = School::default().with(EntityType::TestTaker, person(1)).with(EntityType::TestTaker, person(2));
    let csv = "label,interface language,login,password\nT,fr-FR,same,x\n";
    let complaint = school.complaints(RosterKind::TestTakers, csv).concat();
    assert!(complaint.contains("https://c.example/#t1, https://c.example/#t2"), "{complaint}");
    assert!(!complaint.contains("same"), "logins are not shown: {complaint}");
}
