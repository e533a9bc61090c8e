//! Files that bring people, centers, tests and who may sit what.

use std::fmt::Write as _;
use std::ops::Range;

pub const MATHS: &str = "https://exams.example/tests.rdf#maths";

/// `test-centers`: one an org, whose URI and label say which.
pub fn centers(orgs: &[&str]) -> String {
    let rows = orgs.iter().map(|org| format!("https://exams.example/centers.rdf#{org},Center {org},{org}\n"));
    std::iter::once("uri,label,organisation id\n".to_owned()).chain(rows).collect()
}

pub fn login(number: usize) -> String {
    format!("t{number:05}")
}

pub fn taker_uri(number: usize) -> String {
    format!("https://exams.example/takers.rdf#{}", login(number))
}

pub fn password(number: usize) -> String {
    format!("password-{number}")
}

/// `test-takers`.
pub fn takers(numbers: Range<usize>) -> String {
    let mut text = "label,interface language,login,password,first name,last name,mail,uri\n".to_owned();
    for n in numbers {
        let (login, password, uri) = (login(n), password(n), taker_uri(n));
        writeln!(text, "Taker {n},fr-FR,{login},{password},Zoé {n},Müller {n},{login}@pupils.example,{uri}").unwrap();
    }
    text
}

/// `eligibilities`: these takers for maths in the center of an org.
pub fn eligibility(org: &str, numbers: impl IntoIterator<Item = usize>) -> String {
    let logins: Vec<_> = numbers.into_iter().map(login).collect();
    format!("test center,delivery,test takers\nCenter {org},{MATHS},{}\n", logins.join("|"))
}

/// A test without a package, as one line for `entity load`.
pub fn maths() -> String {
    let label = serde_json::json!({"predicate": taosync_model::vocabulary::RDFS_LABEL, "object": "Maths", "lang": ""});
    let class = taosync_model::vocabulary::CLASS_DELIVERY;
    serde_json::json!({"uri": MATHS, "type": "delivery", "class": class, "triples": [label]}).to_string()
}

/// Everything for one org with so many takers.
pub fn school(org: &str, takers_of_it: Range<usize>) -> Vec<(&'static str, String)> {
    vec![
        ("test-centers", centers(&[org])),
        ("test-takers", takers(takers_of_it.clone())),
        ("entities", maths()),
        ("eligibilities", eligibility(org, takers_of_it)),
    ]
}
