//! A small test runner with a candidate in front of it, written from docs/RUNNER.md alone: it knows JSON, not our types.

mod rules;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use taosync_model::Digest;

use super::runner_client::RunnerClient;
use rules::Scores;

/// When everything happens, for this candidate.
const AT: &str = "2026-05-12T08:00:00Z";

/// How the candidate answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    Everything,
    Nothing,
}

/// What was done in an attempt, to be found again at central.
pub struct Sat {
    pub id: String,
    /// Items as results tell them, in the order they were asked.
    pub items: Vec<Value>,
    /// Variables of the test.
    pub outcomes: Vec<Value>,
    pub log: Vec<Value>,
    pub files: usize,
}

/// An attempt at one delivery.
struct Sitting<'r> {
    runner: &'r RunnerClient,
    knowledge: Knowledge,
    package: String,
    path: String,
    scores: Scores,
    /// Where a branch rule leads; everything before it is passed over.
    target: Option<String>,
    items: Vec<Value>,
    log: Vec<Value>,
    files: usize,
}

/// Takes a delivery to its end.
pub fn sit(runner: &RunnerClient, delivery: &str, taker: &str, knowledge: Knowledge) -> Sat {
    let attempt = runner.post("executions", &json!({"delivery": delivery, "test_taker": taker}));
    let id = attempt["id"].as_str().unwrap().to_owned();
    let mut sitting = Sitting {
        runner,
        knowledge,
        package: attempt["package_address"].as_str().unwrap().to_owned(),
        path: format!("executions/{id}"),
        scores: Scores::default(),
        target: None,
        items: Vec::new(),
        log: Vec::new(),
        files: 0,
    };
    let document = runner.get(&format!("{}/test", sitting.package));
    sitting.test(&document);
    let outcomes = sitting.scores.outcomes();
    runner.save(&format!("{}/variables", sitting.path), &json!([{"variables": outcomes}]));
    let ended = runner.post(&format!("{}/finish", sitting.path), &json!({}));
    assert_eq!(ended["state"], "finished");
    let Sitting { items, log, files, .. } = sitting;
    Sat { id, items, outcomes, log, files }
}

impl Sitting<'_> {
    fn test(&mut self, document: &Value) {
        assert_eq!(document["form"], 2, "a runner refuses a form it does not know");
        self.fetch_files(document);
        self.note("STARTED");
        let test = &document["test"];
        for part in list(&test["parts"]) {
            if self.passes(part) || !self.scores.hold(&part["preconditions"]) {
                continue;
            }
            let linear = part["navigation"] == "linear";
            for section in list(&part["sections"]) {
                self.section(section, linear, test);
            }
            self.branch(part, "EXIT_TESTPART");
        }
        self.note("ENDED");
    }

    fn section(&mut self, section: &Value, linear: bool, test: &Value) {
        if self.passes(section) || (linear && !self.scores.hold(&section["preconditions"])) {
            return;
        }
        let mut children = selected(section);
        if !linear {
            // Any order will do: this candidate begins at the end.
            children.reverse();
        }
        for child in children {
            match &child["item"] {
                Value::Null => self.section(&child["section"], linear, test),
                item => self.item(item, linear, test),
            }
        }
        if linear {
            self.branch(section, "EXIT_SECTION");
        }
    }

    fn item(&mut self, reference: &Value, linear: bool, test: &Value) {
        if self.passes(reference) || (linear && !self.scores.hold(&reference["preconditions"])) {
            return;
        }
        let href = reference["href"].as_str().unwrap();
        let document = self.runner.get(&format!("{}/items/{href}", self.package));
        assert_eq!(document["item"]["href"], href);
        self.fetch_files(&document);
        let variables = self.answers(reference, &document["item"]);
        let (identifier, index) = (&reference["identifier"], self.items.len() + 1);
        let item = json!({"identifier": identifier, "sequence_index": index, "session_status": "final"});
        let saved = json!([{"item": item, "variables": variables}]);
        self.runner.save(&format!("{}/variables", self.path), &saved);
        self.runner.put(&format!("{}/position", self.path), &json!({"item": identifier}));
        let mut told = item;
        told["variables"] = Value::from(variables);
        self.items.push(told);
        self.scores.process(&test["outcome_processing"]);
        if linear {
            self.branch(reference, "");
        }
    }

    /// What the candidate answers, and what it is worth.
    fn answers(&mut self, reference: &Value, item: &Value) -> Vec<Value> {
        let mut variables = Vec::new();
        for declared in list(&item["responses"]) {
            let mut variable = variable("response", declared);
            if self.knowledge == Knowledge::Everything {
                let values = list(&declared["correct"]).map(|value| json!({"text": value["value"]}));
                variable["values"] = values.collect::<Vec<_>>().into();
            }
            variables.push(variable);
        }
        let scored = list(&item["outcomes"]).find(|outcome| outcome["identifier"] == "SCORE");
        if let Some(declared) = scored {
            let score = f64::from(u8::from(self.knowledge == Knowledge::Everything));
            let mut variable = variable("outcome", declared);
            variable["values"] = json!([{"text": score.to_string()}]);
            variables.push(variable);
            self.scores.item(reference, score);
        }
        variables
    }

    /// Every file a page shows, each where the page says it is.
    fn fetch_files(&mut self, document: &Value) {
        for (path, file) in document["files"].as_object().unwrap() {
            let (status, bytes) = self.runner.ask("GET", file["address"].as_str().unwrap(), b"");
            assert_eq!(status, 200, "{path}");
            assert_eq!(Digest::of(&bytes).to_hex(), file["digest"], "{path}");
            self.files += 1;
        }
    }

    fn note(&mut self, event: &str) {
        let row = json!({"at": AT, "event": event, "by": "the runner", "data": {"items": self.items.len()}});
        self.runner.save(&format!("{}/log", self.path), &json!([row]));
        self.log.push(row);
    }

    /// Whether an element lies before where a branch leads.
    fn passes(&mut self, element: &Value) -> bool {
        if self.target.as_deref() == element["identifier"].as_str() {
            self.target = None;
        }
        // What is searched may lie inside.
        self.target.is_some() && element["children"].is_null() && element["sections"].is_null()
    }

    /// At the end of an element: whether the way out leads to here, and where its rules lead.
    fn branch(&mut self, element: &Value, way_out: &str) {
        if self.target.as_deref() == Some(way_out) {
            self.target = None;
        }
        if self.target.is_none() {
            let mut rules = list(&element["branch_rules"]);
            let rule = rules.find(|rule| self.scores.hold(&json!([rule["condition"]])));
            self.target = rule.map(|rule| rule["target"].as_str().unwrap().to_owned());
        }
    }
}

/// The children that are asked: as many as wanted, those that must be first.
fn selected(section: &Value) -> Vec<&Value> {
    let children: Vec<&Value> = list(&section["children"]).collect();
    let Some(wanted) = section["selection"]["select"].as_u64() else { return children };
    let required = |child: &Value| child["item"]["required"] == true || child["section"]["required"] == true;
    let mut left = (wanted as usize).saturating_sub(children.iter().filter(|child| required(child)).count());
    let mut taken = |child: &&Value| {
        required(child) || {
            let takes = left > 0;
            left = left.saturating_sub(1);
            takes
        }
    };
    children.into_iter().filter(|child| taken(child)).collect()
}

fn variable(kind: &str, declared: &Value) -> Value {
    let mut variable = json!({"kind": kind, "identifier": declared["identifier"], "cardinality": declared["cardinality"],
        "at": AT});
    if !declared["base_type"].is_null() {
        variable["base_type"] = declared["base_type"].clone();
    }
    variable
}

fn list(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// An attempt at central tells what the candidate did: nothing more, nothing less, nothing else.
pub fn arrived(attempt: &Value, sat: &Sat) {
    let result = &attempt["result"];
    let mut items: Vec<Value> = list(&result["items"]).cloned().collect();
    for item in &mut items {
        item.as_object_mut().unwrap().remove("datestamp");
    }
    assert_eq!(Value::from(items), Value::from(sat.items.clone()));
    let mut outcomes: BTreeMap<String, Value> = BTreeMap::new();
    for outcome in list(&result["test"]["variables"]) {
        outcomes.insert(outcome["identifier"].as_str().unwrap().to_owned(), outcome.clone());
    }
    assert_eq!(outcomes.into_values().collect::<Vec<_>>(), sat.outcomes);
    assert_eq!(attempt["log"], Value::from(sat.log.clone()));
    let last = sat.items.last().unwrap();
    assert_eq!(attempt["session"]["position"]["item"], last["identifier"]);
}
