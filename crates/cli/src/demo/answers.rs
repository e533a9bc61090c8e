//! What a pupil writes down: mostly right, sometimes wrong, sometimes nothing. Right answers stand in the item files.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};
use taosync_model::assessment::{Variable, VariableKind, VariableValue};
use taosync_packages::compile::document::{Declaration, Item};

use super::went_wrong;
use crate::failure::Failure;

/// What is written where no answer is right or wrong.
const ESSAY: &str = "The square is larger: 5 × 5 = 25 square metres, but 8 × 2 = 16.";

/// How a pupil does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    /// Knows it.
    Right,
    /// Takes another choice.
    Wrong,
    /// Leaves it.
    Skipped,
}

impl Luck {
    /// The same pupil has the same luck with the same question.
    pub fn of(pupil: usize, question: usize) -> Self {
        match (pupil * 31 + question * 17 + pupil * question) % 10 {
            0 => Self::Skipped,
            1..=3 => Self::Wrong,
            _ => Self::Right,
        }
    }
}

/// A question as a runner knows it.
#[derive(Clone, Debug)]
pub struct Question {
    /// What results name it by.
    pub identifier: String,
    weight: f64,
    responses: Vec<Response>,
    full_score: f64,
}

#[derive(Clone, Debug)]
struct Response {
    declaration: Declaration,
    correct: Vec<String>,
    choices: Vec<String>,
}

impl Question {
    /// Reads an item file of the package.
    pub fn read(reference: &str, weight: f64, item: &Item, file: &[u8]) -> Result<Self, Failure> {
        let unreadable = || went_wrong(format!("the item {} cannot be read", item.href));
        let text = std::str::from_utf8(file).map_err(|error| unreadable().because(error))?;
        let document = Document::parse(text).map_err(|error| unreadable().because(error))?;
        let correct = correct_responses(&document);
        let choices = choices(&document);
        let response = |declaration: &Declaration| Response {
            correct: correct.get(&declaration.identifier).cloned().unwrap_or_default(),
            choices: choices.clone(),
            declaration: declaration.clone(),
        };
        let responses = item.responses.iter().map(response).collect();
        Ok(Self { identifier: reference.to_owned(), weight, responses, full_score: full_score(&document) })
    }

    /// The variables of one answer, and the weighted score; `None` where a person has to score.
    pub fn answer(&self, luck: Luck, seconds: u32) -> (Vec<Variable>, Option<f64>) {
        let mut variables: Vec<_> = self.responses.iter().map(|response| response.variable(luck)).collect();
        let numbers = [("numAttempts", "integer", "1".to_owned()), ("duration", "duration", format!("PT{seconds}S"))];
        variables.extend(numbers.map(|(name, base_type, text)| single(VariableKind::Response, name, base_type, text)));
        let can_be_scored = self.responses.iter().all(|response| !response.correct.is_empty());
        let status = if luck == Luck::Skipped { "unknown" } else { "completed" };
        variables.push(single(VariableKind::Outcome, "completionStatus", "identifier", status.to_owned()));
        if !can_be_scored {
            return (variables, None);
        }
        let score = if luck == Luck::Right { self.full_score } else { 0.0 };
        variables.push(single(VariableKind::Outcome, "SCORE", "float", score.to_string()));
        (variables, Some(score * self.weight))
    }
}

impl Response {
    fn variable(&self, luck: Luck) -> Variable {
        let values = match luck {
            Luck::Skipped => None,
            _ if self.correct.is_empty() => Some(vec![ESSAY.to_owned()]),
            Luck::Right => Some(self.correct.clone()),
            Luck::Wrong => Some(self.wrong()),
        };
        let value = |text: String| VariableValue { text, ..VariableValue::default() };
        Variable {
            kind: VariableKind::Response,
            identifier: self.declaration.identifier.clone(),
            cardinality: self.declaration.cardinality.clone(),
            base_type: self.declaration.base_type.clone(),
            values: values.map(|texts| texts.into_iter().map(value).collect()),
            correct: None,
            attributes: Vec::new(),
            at: None,
        }
    }

    /// Another choice; for an order the reverse; for pairs and typed answers nothing that counts.
    fn wrong(&self) -> Vec<String> {
        match self.declaration.base_type.as_deref() {
            _ if self.declaration.cardinality == "ordered" => self.correct.iter().rev().cloned().collect(),
            Some("identifier") => {
                self.choices.iter().find(|c| !self.correct.contains(c)).cloned().into_iter().collect()
            }
            Some("integer" | "float") => vec!["0".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// A variable with one value.
pub fn single(kind: VariableKind, identifier: &str, base_type: &str, text: String) -> Variable {
    Variable {
        kind,
        identifier: identifier.to_owned(),
        cardinality: "single".to_owned(),
        base_type: Some(base_type.to_owned()),
        values: Some(vec![VariableValue { text, ..VariableValue::default() }]),
        correct: None,
        attributes: Vec::new(),
        at: None,
    }
}

fn elements<'a>(document: &'a Document<'_>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    document.root().descendants().filter(move |node| node.tag_name().name() == name)
}

fn correct_responses(document: &Document<'_>) -> BTreeMap<String, Vec<String>> {
    let of = |declaration: Node<'_, '_>| {
        let identifier = declaration.attribute("identifier")?.to_owned();
        let correct = declaration.children().find(|child| child.tag_name().name() == "correctResponse")?;
        let values = correct.children().filter(|child| child.tag_name().name() == "value");
        Some((identifier, values.filter_map(|value| Some(value.text()?.trim().to_owned())).collect()))
    };
    elements(document, "responseDeclaration").filter_map(of).collect()
}

/// Everything in the item that can be chosen.
fn choices(document: &Document<'_>) -> Vec<String> {
    let bodies = elements(document, "itemBody");
    let chosen = bodies.flat_map(|body| body.descendants()).filter_map(|node| node.attribute("identifier"));
    chosen.map(str::to_owned).collect()
}

fn full_score(document: &Document<'_>) -> f64 {
    let mut outcomes =
        elements(document, "outcomeDeclaration").filter(|node| node.attribute("identifier") == Some("SCORE"));
    outcomes.find_map(|node| node.attribute("normalMaximum")?.parse().ok()).unwrap_or(1.0)
}
