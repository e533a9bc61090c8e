//! What a TAO central holds: a school of our own, or, where they are at hand, the recordings of a real one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use serde_json::Value;
use taosync_model::tao::{Merged, Properties};
use taosync_model::{EntityType, vocabulary as v};
use taosync_wire::tao::entities::{ChecksumPage, Details};

use crate::support::{DELIVERY, eligibility_uri, taker_uri};

/// An entity, as TAO shows it.
#[derive(Clone, Debug)]
pub struct Row {
    pub entity_type: &'static str,
    pub uri: String,
    pub properties: Properties,
    /// Labels it has: TAO's lists count each.
    pub labels: usize,
}

/// Entities in the order of TAO's lists.
#[derive(Clone, Default)]
pub struct School {
    pub rows: Vec<Row>,
    pub classes: BTreeMap<String, Properties>,
    pub packages: BTreeMap<String, Bytes>,
}

/// Properties in a row.
pub fn properties(list: &[(&str, &[&str])]) -> Properties {
    let merged = |texts: &[&str]| match texts {
        [one] => Merged::One((*one).to_owned()),
        many => Merged::Many(many.iter().map(|&text| text.to_owned()).collect()),
    };
    Properties::from_merged(list.iter().map(|(p, texts)| ((*p).to_owned(), merged(texts))).collect())
}

pub const CENTER: &str = "http://central.example/t.rdf#center-A";
pub const CLASS: &str = "http://central.example/t.rdf#year-6";

impl School {
    /// A center with a proctor, an administrator, an eligibility for this many takers, and a test.
    pub fn with_takers(number: usize) -> Self {
        let mut school = Self::default();
        school.add(
            "test-center",
            CENTER,
            &[(v::RDF_TYPE, &[v::CLASS_TEST_CENTER]), (v::RDFS_LABEL, &["Center A"]), (v::ORGANISATION_ID, &["A"])],
        );
        school.add(
            "administrator",
            "http://central.example/t.rdf#admin",
            &[
                (v::RDF_TYPE, &[v::CLASS_TAO_USER]),
                (v::RDFS_LABEL, &["Ada"]),
                (v::USER_LOGIN, &["ada"]),
                (v::USER_ROLES, &[v::ROLE_ADMINISTRATOR]),
                (v::ADMINISTRATOR_OF, &[CENTER]),
            ],
        );
        school.add(
            "proctor",
            "http://central.example/t.rdf#proctor",
            &[
                (v::RDF_TYPE, &[v::CLASS_TAO_USER]),
                (v::USER_ROLES, &[v::ROLE_PROCTOR, v::ROLE_TEST_TAKER]),
                (v::ASSIGNED_PROCTOR, &[CENTER]),
            ],
        );
        for n in 0..number {
            school.taker(n);
        }
        let takers: Vec<String> = (0..number).map(taker_uri).collect();
        let takers: Vec<&str> = takers.iter().map(String::as_str).collect();
        school.add(
            "eligibility",
            &eligibility_uri("A"),
            &[
                (v::RDF_TYPE, &[v::CLASS_ELIGIBILITY]),
                (v::ELIGIBLE_TEST_CENTER, &[CENTER]),
                (v::ELIGIBLE_DELIVERY, &[DELIVERY]),
                (v::ELIGIBLE_TEST_TAKER, &takers),
            ],
        );
        school.add(
            "delivery",
            DELIVERY,
            &[
                (v::RDF_TYPE, &[v::CLASS_DELIVERY]),
                (v::RDFS_LABEL, &["Maths ✓"]),
                (v::ORIGIN_TEST_PACKAGE, &["file://synchronisation/delivery1%2Fexport.zip"]),
            ],
        );
        school.classes.insert(
            CLASS.to_owned(),
            properties(&[(v::RDFS_LABEL, &["Year 6"]), (v::RDFS_SUB_CLASS_OF, &[v::CLASS_SUBJECT])]),
        );
        school.packages.insert(DELIVERY.to_owned(), Bytes::from(taosync_packages::demo_package()));
        school
    }

    /// A test taker; every third is of a class of its own.
    pub fn taker(&mut self, n: usize) {
        let class = if n.is_multiple_of(3) { CLASS } else { v::CLASS_SUBJECT };
        self.add(
            "test-taker",
            &taker_uri(n),
            &[
                (v::RDF_TYPE, &[class]),
                (v::RDFS_LABEL, &[&format!("Élève {n}")]),
                (v::USER_LOGIN, &[&format!("taker{n}")]),
                (v::USER_ROLES, &[v::ROLE_TEST_TAKER]),
                (v::USER_ASSIGNMENT, &[&eligibility_uri("A")]),
            ],
        );
    }

    pub fn add(&mut self, entity_type: &'static str, uri: &str, list: &[(&str, &[&str])]) {
        self.rows.push(Row { entity_type, uri: uri.to_owned(), properties: properties(list), labels: 1 });
    }

    pub fn remove(&mut self, uri: &str) {
        let before = self.rows.len();
        self.rows.retain(|row| row.uri != uri);
        assert!(self.rows.len() < before, "{uri}");
    }

    pub fn row(&mut self, uri: &str) -> &mut Row {
        self.rows.iter_mut().find(|row| row.uri == uri).unwrap()
    }

    pub fn uris(&self, entity_type: &str) -> Vec<String> {
        self.rows.iter().filter(|row| row.entity_type == entity_type).map(|row| row.uri.clone()).collect()
    }

    /// What a recorded first sync brought to a real TAO box.
    pub fn recorded(flow: &[Recording]) -> Self {
        let mut school = Self::default();
        for recording in flow.iter().filter(|r| r.path().contains("fetchEntityDetails")) {
            let request: Value = serde_json::from_str(recording.request_body()).unwrap();
            let entity_type = request["type"].as_str().unwrap().parse::<EntityType>().unwrap().as_str();
            let details: Details = serde_json::from_str(recording.body()).unwrap();
            for (uri, entity) in details.0 {
                school.rows.push(Row { entity_type, uri, properties: entity.properties, labels: 1 });
            }
        }
        // Details come in the order they were asked for, lists in their own.
        let mut order = Vec::new();
        for recording in flow.iter().filter(|r| r.path().contains("fetchEntityChecksums")) {
            let page: ChecksumPage = serde_json::from_str(recording.body()).unwrap();
            order.extend(page.entities.0.into_iter().map(|(uri, _)| uri));
        }
        school.rows.sort_by_key(|row| order.iter().position(|uri| *uri == row.uri));
        for recording in flow.iter().filter(|r| r.path().contains("fetchClassDetails")) {
            let classes: Details = serde_json::from_str(recording.body()).unwrap();
            school.classes.extend(classes.0.into_iter().map(|(uri, class)| (uri, class.properties)));
        }
        for recording in flow.iter().filter(|r| r.path().contains("getDeliveryTest")) {
            let uri = taosync_wire::tao::query::Query::parse(recording.path().split_once('?').unwrap().1);
            school.packages.insert(uri.get("delivery-uri").unwrap().to_owned(), recording.bytes());
        }
        school
    }
}

/// A recorded request with its answer.
pub struct Recording(Value);

impl Recording {
    /// The recordings of a flow in order; none in a clone that has only ours.
    pub fn flow(name: &str) -> Vec<Self> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/tao/captures"));
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let is_of = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(name);
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(is_of).collect();
        files.sort();
        files.iter().map(|file| Self(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())).collect()
    }

    pub fn method(&self) -> &str {
        self.0["request"]["method"].as_str().unwrap()
    }

    pub fn path(&self) -> &str {
        self.0["request"]["path"].as_str().unwrap().trim_start_matches('/')
    }

    pub fn request_body(&self) -> &str {
        self.0["request"]["body"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0["request"]["headers"].as_array().unwrap();
        let is_it = |pair: &&Value| pair[0].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name));
        headers.iter().find(is_it).and_then(|pair| pair[1].as_str())
    }

    pub fn body(&self) -> &str {
        self.0["response"]["body"].as_str().unwrap()
    }

    pub fn bytes(&self) -> Bytes {
        use base64::Engine as _;
        Bytes::from(base64::engine::general_purpose::STANDARD.decode(self.body()).unwrap())
    }
}
