//! Made-up entities and results: about 1 kB and 10 triples a test taker, the same on every machine and in every run.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The one org of the bench.
pub const ORG: &str = "bench";
/// The one center.
pub const CENTER: &str = "http://central.example/bench.rdf#center";
/// Variables in one result.
pub const VARIABLES: usize = 2 + ITEMS * 3;

const ITEMS: usize = 6;

const LABEL: &str = "http://www.w3.org/2000/01/rdf-schema#label";
const GENERIS: &str = "http://www.tao.lu/Ontologies/generis.rdf#";
const PROCTOR: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#";
const ORGANISATION_ID: &str = "http://www.taotesting.com/ontologies/synchro.rdf#organisationId";
const USER_ASSIGNMENT: &str = "http://www.tao.lu/Ontologies/TAOTestCenter#UserAssignment";
const CLASS_TEST_CENTER: &str = "http://www.tao.lu/Ontologies/TAOTestCenter.rdf#TestCenter";
const CLASS_SUBJECT: &str = "http://www.tao.lu/Ontologies/TAOSubject.rdf#Subject";
const ROLE_TEST_TAKER: &str = "http://www.tao.lu/Ontologies/TAO.rdf#DeliveryRole";

/// Hex that does not repeat and does not compress, the same for the same words.
fn noise(words: &str, length: usize) -> String {
    let mut hex = blake3::hash(words.as_bytes()).to_hex().to_string();
    hex.truncate(length);
    hex
}

/// URI of a test taker. As in TAO, it says nothing about when it was made.
pub fn taker_uri(number: usize) -> String {
    format!("http://central.example/bench.rdf#i{}", noise(&format!("taker {number}"), 18))
}

/// Login of a test taker.
pub fn taker_login(number: usize) -> String {
    format!("taker{number:06}")
}

/// URI of an eligibility.
pub fn eligibility_uri(number: usize) -> String {
    format!("http://central.example/bench.rdf#e{}", noise(&format!("eligibility {number}"), 18))
}

/// The center as a line of JSON.
pub fn center() -> String {
    let properties = json!({ LABEL: ["Bench center"], ORGANISATION_ID: [ORG] });
    line("test-center", CENTER, CLASS_TEST_CENTER, &properties)
}

/// A test taker as a line of JSON. Another `generation` has another first name, and differs in nothing else.
pub fn taker(number: usize, generation: usize, eligibility: usize) -> String {
    let generis = |name: &str| format!("{GENERIS}{name}");
    let login = taker_login(number);
    let salted = format!("{}{}", noise(&format!("salt {number}"), 10), noise(&format!("password {number}"), 64));
    let language = "http://www.tao.lu/Ontologies/TAO.rdf#Langen-US";
    let properties = json!({
        LABEL: [format!("Test taker {number}")],
        generis("login"): [login],
        generis("password"): [salted],
        generis("userRoles"): [ROLE_TEST_TAKER],
        generis("userFirstName"): [format!("First {generation} {}", noise(&format!("first {number}"), 12))],
        generis("userLastName"): [format!("Last {}", noise(&format!("last {number}"), 12))],
        generis("userMail"): [format!("{login}@school.example")],
        generis("userUILg"): [language],
        generis("userDefLg"): [language],
        USER_ASSIGNMENT: [eligibility_uri(eligibility)],
    });
    line("test-taker", &taker_uri(number), CLASS_SUBJECT, &properties)
}

/// An eligibility of the center as a line of JSON.
pub fn eligibility(number: usize, delivery: &str, takers: impl Iterator<Item = usize>) -> String {
    let proctor = |name: &str| format!("{PROCTOR}{name}");
    let properties = json!({
        LABEL: [format!("Eligibility {number}")],
        proctor("EligibileTestCenter"): [CENTER],
        proctor("EligibileDelivery"): [delivery],
        proctor("EligibileTestTaker"): takers.map(taker_uri).collect::<Vec<_>>(),
        proctor("ByPassProctor"): ["http://www.tao.lu/Ontologies/generis.rdf#True"],
    });
    line("eligibility", &eligibility_uri(number), &proctor("DeliveryEligibility"), &properties)
}

fn line(entity_type: &str, uri: &str, class: &str, properties: &Value) -> String {
    let values = |(predicate, values): (&String, &Value)| {
        let objects = values.as_array().cloned().unwrap_or_default();
        let predicate = predicate.clone();
        objects.into_iter().map(move |object| json!({ "predicate": predicate, "object": object })).collect::<Vec<_>>()
    };
    let triples: Vec<Value> = properties.as_object().into_iter().flatten().flat_map(values).collect();
    let entity = json!({ "type": entity_type, "uri": uri, "class": class, "triples": triples });
    format!("{entity}\n")
}

/// Test takers as the CSV file a school office would send, with passwords in clear.
pub fn takers_csv(count: usize) -> String {
    let mut csv = String::from("label,interface language,login,password,default language,first name,last name,mail\n");
    for number in 0..count {
        let login = taker_login(number);
        let password = noise(&format!("clear {number}"), 12);
        let _ = writeln!(
            csv,
            "Test taker {number},en-US,{login},{password},en-US,First{number},Last{number},{login}@school.example"
        );
    }
    csv
}

/// One attempt as a QTI 2.1 `assessmentResult` with [`VARIABLES`] variables.
pub fn result(number: usize, taker: usize) -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <assessmentResult xmlns=\"http://www.imsglobal.org/xsd/imsqti_result_v2p1\">\n\
         <context sourcedId=\"{}\"><sessionIdentifier sourceID=\"bench\" identifier=\"attempt-{number}\"/></context>\n\
         <testResult identifier=\"bench-test\" datestamp=\"2026-05-12T09:00:00.000\">{}{}</testResult>\n",
        taker_login(taker),
        outcome("SCORE_TOTAL", "float", &(number % 7).to_string()),
        outcome("PASSED", "boolean", "true"),
    );
    for item in 1..=ITEMS {
        let response = noise(&format!("response {number} {item}"), 16);
        let _ = writeln!(
            xml,
            "<itemResult identifier=\"item-{item}\" sequenceIndex=\"{item}\" datestamp=\"2026-05-12T08:{item:02}:00.000\" \
             sessionStatus=\"final\"><responseVariable identifier=\"RESPONSE\" cardinality=\"single\" \
             baseType=\"string\"><candidateResponse><value>{response}</value></candidateResponse></responseVariable>\
             <responseVariable identifier=\"duration\" cardinality=\"single\" baseType=\"duration\"><candidateResponse>\
             <value>PT{item}S</value></candidateResponse></responseVariable>{}</itemResult>",
            outcome("SCORE", "float", &(item % 2).to_string()),
        );
    }
    xml + "</assessmentResult>\n"
}

fn outcome(identifier: &str, base_type: &str, value: &str) -> String {
    format!(
        "<outcomeVariable identifier=\"{identifier}\" cardinality=\"single\" baseType=\"{base_type}\"><value>{value}\
         </value></outcomeVariable>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taker_is_about_a_kilobyte_of_ten_triples() {
        let line = taker(7, 1, 0);
        assert!((900..1600).contains(&line.len()), "{} bytes", line.len());
        let entity: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(entity["triples"].as_array().map(Vec::len), Some(10));
        assert_ne!(line, taker(7, 2, 0));
        assert_eq!(line, taker(7, 1, 0));
    }

    #[test]
    fn a_result_has_the_variables_it_claims() {
        let xml = result(1, 1);
        let variables = xml.matches("<responseVariable").count() + xml.matches("<outcomeVariable").count();
        assert_eq!((variables, VARIABLES), (20, 20));
    }

    #[test]
    fn takers_are_told_apart() {
        let uris: std::collections::BTreeSet<_> = (0..10_000).map(taker_uri).collect();
        assert_eq!(uris.len(), 10_000);
        assert_eq!(takers_csv(3).lines().count(), 4);
    }
}
