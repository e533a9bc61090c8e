//! Checksums that a real TAO gave: those of WIRE §4, own ones of every shape, and, where the recordings are at hand, all
//! of them.

use std::path::Path;

use serde::Deserialize;

use super::{Properties, TaoChecksum};
use crate::scope::FieldChoice;
use crate::{Entity, EntityType, Value};

/// One recorded checksum.
#[derive(Deserialize)]
struct Vector {
    name: String,
    triples_in_order: Vec<Triple>,
    options: serde_json::Value,
    properties_on_wire: serde_json::Value,
    #[serde(default)]
    hashed_bytes: Option<String>,
    checksum: String,
}

#[derive(Deserialize)]
struct Triple {
    predicate: String,
    object: Option<String>,
    lang: String,
}

/// Where a newcomer's clone has nothing, and ours the recordings.
fn recorded() -> Option<Vec<Vector>> {
    #[derive(Deserialize)]
    struct File {
        vectors: Vec<Vector>,
    }
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/tao/checksum_vectors.json"));
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str::<File>(&text).expect("the recordings are readable").vectors)
}

impl Vector {
    fn properties(&self) -> Properties {
        let mut entity = Entity::new("urn:e", "");
        for triple in &self.triples_in_order {
            let Some(object) = &triple.object else { continue };
            let lang = Some(triple.lang.clone()).filter(|lang| !lang.is_empty());
            entity.push(&triple.predicate, Value { text: object.clone(), lang });
        }
        let list = |key: &str| -> Vec<String> {
            self.options.get(key).map_or_else(Vec::new, |list| serde_json::from_value(list.clone()).unwrap())
        };
        let choice = FieldChoice {
            fields: list("only-fields").into_iter().collect(),
            excluded_properties: list("excluded-fields").into_iter().collect(),
        };
        Properties::of(&entity, &[], EntityType::TestTaker, &choice)
    }

    fn check(&self) {
        let properties = self.properties();
        if let Some(bytes) = &self.hashed_bytes {
            assert_eq!(&String::from_utf8_lossy(&properties.serialised()), bytes, "{}", self.name);
        }
        let wire = serde_json::to_value(&properties).unwrap();
        let expected = if self.properties_on_wire == serde_json::json!({}) {
            serde_json::json!([])
        } else {
            self.properties_on_wire.clone()
        };
        assert_eq!(wire, expected, "{}", self.name);
        assert_eq!(TaoChecksum::of(&properties).to_string(), self.checksum, "{}", self.name);
    }
}

#[test]
fn every_recorded_checksum_is_ours_too() {
    let Some(vectors) = recorded() else { return };
    assert!(vectors.len() >= 57, "{}", vectors.len());
    vectors.iter().for_each(Vector::check);
}

/// Values that PHP 8.2 gave for properties of our own (WIRE §4).
#[test]
fn known_checksums() {
    const TYPE: &str = crate::vocabulary::RDF_TYPE;
    const LABEL: &str = crate::vocabulary::RDFS_LABEL;
    let check = |expected: &str, list: &[(&str, &[&str])]| {
        let mut entity = Entity::new("urn:e", "");
        for (predicate, values) in list {
            values.iter().for_each(|&text| entity.push(predicate, Value::plain(text)));
        }
        let properties = Properties::of(&entity, &[], EntityType::TestTaker, &FieldChoice::default());
        let serialised = String::from_utf8(properties.serialised()).unwrap();
        assert_eq!(TaoChecksum::of(&properties).to_string(), expected, "{serialised}");
    };
    check("40cd750bba9870f18aada2478b24840a", &[]);
    check(
        "ca4c3a82c9c9707dad04f45160d5c292",
        &[
            (TYPE, &[crate::vocabulary::CLASS_TEST_CENTER]),
            (LABEL, &["Centre A"]),
            (crate::vocabulary::ORGANISATION_ID, &["ORG7"]),
        ],
    );
    check(
        "bfc770219935f5a2fcf55f9f4f4d56a6",
        &[
            (TYPE, &[crate::vocabulary::CLASS_ELIGIBILITY]),
            (crate::vocabulary::ELIGIBLE_TEST_TAKER, &["http://c.example/t.rdf#i2", "http://c.example/t.rdf#i1"]),
            (LABEL, &["Élig é"]),
        ],
    );
    check("ec8651361e3c0f60b19e07862bf31f47", &[(LABEL, &["x"]), ("http://ex.org/p", &["10", "9", "a", "B"])]);
    check(
        "2c2b8a8cf2664f77469dabb5a174e1d2",
        &[
            (crate::vocabulary::USER_LOGIN, &["jdoe"]),
            (TYPE, &[crate::vocabulary::CLASS_TAO_USER]),
            (LABEL, &[""]),
            (
                crate::vocabulary::USER_ROLES,
                &[crate::vocabulary::ROLE_PROCTOR, "http://www.tao.lu/Ontologies/TAO.rdf#BackOfficeRole"],
            ),
        ],
    );
    check("86836407029d8d3647b572821334c1c5", &[("http://ex.org/p", &["b", "A", "a", "Z", "é", "1", "01", "1.0"])]);
}

/// Hashed by hand: what stands in the brackets is what PHP writes.
#[test]
fn the_serialisation_is_the_one_of_php() {
    let entity =
        Entity::new("urn:e", "").with("b", "é").with("a", "2").with("a", "\"1\"").with("7", "x").with("07", "");
    let properties = Properties::of(&entity, &[], EntityType::TestTaker, &FieldChoice::default());
    let text = String::from_utf8(properties.serialised()).unwrap();
    let expected = r#"a:4:{s:2:"07";s:0:"";i:7;s:1:"x";s:1:"a";a:2:{i:0;s:3:""1"";i:1;s:1:"2";}s:1:"b";s:2:"é";}"#;
    assert_eq!(text, expected);
}
