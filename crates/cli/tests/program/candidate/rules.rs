//! The few expressions of QTI that this runner can compute; what it does not know is NULL, as is what has no value.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{AT, list};

/// Values of the test so far.
#[derive(Default)]
pub struct Scores {
    /// By `item.SCORE`, with the weights of the item's reference.
    items: BTreeMap<String, (f64, Value)>,
    /// Outcome variables of the test.
    outcomes: BTreeMap<String, Term>,
}

#[derive(Clone, PartialEq)]
enum Term {
    Number(f64),
    Text(String),
    Truth(bool),
}

impl Scores {
    /// The score of an item.
    pub fn item(&mut self, reference: &Value, score: f64) {
        let name = format!("{}.SCORE", reference["identifier"].as_str().unwrap());
        self.items.insert(name, (score, reference["weights"].clone()));
    }

    /// The variables of the test, by name.
    pub fn outcomes(&self) -> Vec<Value> {
        let outcome = |(identifier, term): (&String, &Term)| {
            let (base_type, text) = match term {
                Term::Number(number) => ("float", number.to_string()),
                Term::Text(text) => ("identifier", text.clone()),
                Term::Truth(truth) => ("boolean", truth.to_string()),
            };
            json!({"kind": "outcome", "identifier": identifier, "cardinality": "single", "base_type": base_type,
                "values": [{"text": text}], "at": AT})
        };
        self.outcomes.iter().map(outcome).collect()
    }

    /// Whether all of these hold; each is a piece of markup with one expression.
    pub fn hold(&self, conditions: &Value) -> bool {
        list(conditions).all(|markup| self.term(&markup[0]) == Some(Term::Truth(true)))
    }

    /// Runs the rules of outcome processing.
    pub fn process(&mut self, rules: &Value) {
        for rule in list(rules) {
            match name(rule) {
                "setOutcomeValue" => {
                    if let Some(term) = self.term(&rule["children"][0]) {
                        self.outcomes.insert(attribute(rule, "identifier").to_owned(), term);
                    }
                }
                "outcomeCondition" => {
                    let mut branches = list(&rule["children"]);
                    let holds = |branch: &&Value| {
                        name(branch) == "outcomeElse" || self.term(&branch["children"][0]) == Some(Term::Truth(true))
                    };
                    if let Some(branch) = branches.find(holds) {
                        let inner: Vec<Value> =
                            list(&branch["children"]).filter(|child| name(child).starts_with("set")).cloned().collect();
                        self.process(&Value::from(inner));
                    }
                }
                _ => {}
            }
        }
    }

    fn term(&self, expression: &Value) -> Option<Term> {
        let mut operands = list(&expression["children"]);
        match name(expression) {
            "baseValue" => {
                let text = expression["children"][0].as_str()?;
                let number = ["float", "integer"].contains(&attribute(expression, "baseType"));
                if number { text.parse().ok().map(Term::Number) } else { Some(Term::Text(text.to_owned())) }
            }
            "variable" => {
                let identifier = attribute(expression, "identifier");
                let of_item = self.items.get(identifier).map(|(score, _)| Term::Number(*score));
                of_item.or_else(|| self.outcomes.get(identifier).cloned())
            }
            "sum" => operands.map(|operand| self.number(operand)).sum::<Option<f64>>().map(Term::Number),
            "and" => Some(Term::Truth(operands.all(|operand| self.term(operand) == Some(Term::Truth(true))))),
            "or" => Some(Term::Truth(operands.any(|operand| self.term(operand) == Some(Term::Truth(true))))),
            "not" => self.term(operands.next()?).map(|term| Term::Truth(term == Term::Truth(false))),
            "match" | "equal" => {
                let (left, right) = (self.term(operands.next()?)?, self.term(operands.next()?)?);
                Some(Term::Truth(left == right))
            }
            comparison @ ("lt" | "lte" | "gt" | "gte") => {
                let (left, right) = (self.number(operands.next()?)?, self.number(operands.next()?)?);
                Some(Term::Truth(match comparison {
                    "lt" => left < right,
                    "lte" => left <= right,
                    "gt" => left > right,
                    _ => left >= right,
                }))
            }
            _ => None,
        }
    }

    fn number(&self, expression: &Value) -> Option<f64> {
        if name(expression) == "testVariables" {
            let ending = format!(".{}", attribute(expression, "variableIdentifier"));
            let weight = attribute(expression, "weightIdentifier");
            let scores = self.items.iter().filter(|(name, _)| name.ends_with(&ending));
            return Some(scores.map(|(_, (score, weights))| score * weights[weight].as_f64().unwrap_or(1.0)).sum());
        }
        match self.term(expression)? {
            Term::Number(number) => Some(number),
            _ => None,
        }
    }
}

fn name(element: &Value) -> &str {
    element["name"].as_str().unwrap_or_default()
}

fn attribute<'v>(element: &'v Value, name: &str) -> &'v str {
    element["attributes"][name].as_str().unwrap_or_default()
}
