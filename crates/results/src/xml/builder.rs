//! The result as it grows, element by element.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taosync_model::assessment::{
    AssessmentResult, ItemResult, SessionIdentifier, TestResult, Variable, VariableKind, VariableValue,
};

use super::attributes::Attributes;
use super::{CARDINALITIES, MAX_KEPT, MAX_VALUES, MAX_VARIABLES};

/// Where in the result an element stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Result,
    Context,
    Session,
    Test,
    Item,
    Variable(VariableKind),
    /// `candidateResponse`
    Response,
    /// `correctResponse`
    Correct,
    Value,
    Comment,
    /// Of another namespace; skipped with all it holds.
    Foreign,
}

impl Node {
    /// Whether text belongs into it.
    pub(super) fn takes_text(self) -> bool {
        matches!(self, Self::Value | Self::Comment)
    }

    /// What a QTI element is inside this one; `None` when it has no place here.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        Some(match (self, name) {
            (Self::Result, "context") => Self::Context,
            (Self::Context, "sessionIdentifier") => Self::Session,
            (Self::Result, "testResult") => Self::Test,
            (Self::Result, "itemResult") => Self::Item,
            (Self::Test | Self::Item, "responseVariable") => Self::Variable(VariableKind::Response),
            (Self::Test | Self::Item, "outcomeVariable") => Self::Variable(VariableKind::Outcome),
            (Self::Test | Self::Item, "templateVariable") => Self::Variable(VariableKind::Template),
            (Self::Item, "candidateComment") => Self::Comment,
            (Self::Variable(VariableKind::Response), "candidateResponse") => Self::Response,
            (Self::Variable(_), "correctResponse") => Self::Correct,
            (Self::Variable(kind), "value") if kind != VariableKind::Response => Self::Value,
            (Self::Response | Self::Correct, "value") => Self::Value,
            _ => return None,
        })
    }
}

/// The parts that are open.
#[derive(Default)]
pub(super) struct Builder {
    result: AssessmentResult,
    has_context: bool,
    item: Option<ItemResult>,
    /// Variables of the open test or item result go here until it closes.
    variables: Vec<Variable>,
    variable: Option<Variable>,
    /// Whether the open variable has had its `candidateResponse`; one without values leaves no other trace.
    has_response: bool,
    value: VariableValue,
    text: String,
    is_base64: bool,
    variable_count: usize,
    value_count: usize,
    kept_bytes: usize,
}

impl Builder {
    /// An element begins; the error is the message.
    pub(super) fn open(&mut self, node: Node, mut attributes: Attributes) -> Result<(), String> {
        match node {
            Node::Result | Node::Foreign => {}
            Node::Context => self.open_context(&mut attributes)?,
            Node::Session => {
                let source_id = attributes.require("sourceID")?;
                let identifier = attributes.require("identifier")?;
                self.result.context.sessions.push(SessionIdentifier { source_id, identifier });
            }
            Node::Test => self.open_test(&mut attributes)?,
            Node::Item => self.open_item(&mut attributes)?,
            Node::Variable(kind) => self.open_variable(kind, attributes)?,
            Node::Response => {
                let is_empty = attributes.take_extension("empty").is_some();
                if std::mem::replace(&mut self.has_response, true) {
                    return Err("a variable has one candidateResponse".to_owned());
                }
                self.variable(|v| {
                    v.values = is_empty.then(Vec::new);
                    Ok(())
                })?;
            }
            Node::Correct => self.variable(|v| match v.correct.replace(Vec::new()) {
                Some(_) => Err("a variable has one correctResponse".to_owned()),
                None => Ok(()),
            })?,
            Node::Value | Node::Comment => self.open_text(&mut attributes)?,
        }
        Ok(())
    }

    /// An element ends; `parent` is where it stands.
    pub(super) fn close(&mut self, node: Node, parent: Option<Node>) -> Result<(), String> {
        match node {
            Node::Test => {
                let variables = std::mem::take(&mut self.variables);
                if let Some(test) = &mut self.result.test {
                    test.variables.extend(variables);
                }
            }
            Node::Item => {
                let variables = std::mem::take(&mut self.variables);
                self.result.items.extend(self.item.take().map(|item| ItemResult { variables, ..item }));
            }
            Node::Variable(_) => self.variables.extend(self.variable.take()),
            Node::Value => self.close_value(parent)?,
            Node::Comment => self.close_comment()?,
            Node::Result | Node::Context | Node::Session | Node::Response | Node::Correct | Node::Foreign => {}
        }
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The whole; the error is the message.
    pub(super) fn finish(self) -> Result<AssessmentResult, String> {
        if self.has_context { Ok(self.result) } else { Err("the element context is missing".to_owned()) }
    }

    fn open_context(&mut self, attributes: &mut Attributes) -> Result<(), String> {
        if std::mem::replace(&mut self.has_context, true) {
            return Err("there is a second context".to_owned());
        }
        self.result.context.sourced_id = attributes.take("sourcedId");
        Ok(())
    }

    /// TAO writes one test result for each call; those of one test are one.
    fn open_test(&mut self, attributes: &mut Attributes) -> Result<(), String> {
        let (identifier, datestamp) = (attributes.require("identifier")?, attributes.require("datestamp")?);
        match &mut self.result.test {
            Some(test) if test.identifier == identifier => test.datestamp = datestamp,
            Some(_) => return Err("there is a result of a second test".to_owned()),
            none => *none = Some(TestResult { identifier, datestamp, variables: Vec::new() }),
        }
        Ok(())
    }

    fn open_item(&mut self, attributes: &mut Attributes) -> Result<(), String> {
        let number = |text: String| text.trim().parse().map_err(|_| "sequenceIndex is not a number".to_owned());
        self.item = Some(ItemResult {
            identifier: attributes.require("identifier")?,
            sequence_index: attributes.take("sequenceIndex").map(number).transpose()?,
            datestamp: attributes.require("datestamp")?,
            session_status: attributes.require("sessionStatus")?,
            candidate_comment: None,
            variables: Vec::new(),
        });
        Ok(())
    }

    fn open_variable(&mut self, kind: VariableKind, mut attributes: Attributes) -> Result<(), String> {
        self.has_response = false;
        self.variable_count += 1;
        if self.variable_count > MAX_VARIABLES {
            return Err(format!("there are more than {MAX_VARIABLES} variables"));
        }
        let is_trace = attributes.take_extension("kind").as_deref() == Some("trace");
        let is_empty = attributes.take_extension("empty").is_some();
        let at = attributes.take_extension("at").map(|at| at.parse().map_err(|_| "at is not a time".to_owned()));
        let identifier = attributes.require("identifier")?;
        let cardinality = attributes.require("cardinality")?;
        if !CARDINALITIES.contains(&cardinality.as_str()) {
            return Err(format!("cardinality is none of: {}", CARDINALITIES.join(", ")));
        }
        // TAO writes an empty one where it knows none.
        let base_type = attributes.take("baseType").filter(|t| !t.is_empty());
        let further = attributes.rest();
        self.kept_bytes += further.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if self.kept_bytes > MAX_KEPT {
            return Err(format!("the attributes of all variables have more than {MAX_KEPT} bytes"));
        }
        self.variable = Some(Variable {
            kind: if is_trace { VariableKind::Trace } else { kind },
            identifier,
            cardinality,
            base_type,
            values: is_empty.then(Vec::new),
            correct: None,
            at: at.transpose()?,
            attributes: further,
        });
        Ok(())
    }

    fn open_text(&mut self, attributes: &mut Attributes) -> Result<(), String> {
        self.value_count += 1;
        if self.value_count > MAX_VALUES {
            return Err(format!("there are more than {MAX_VALUES} values"));
        }
        self.text.clear();
        self.is_base64 = attributes.take_extension("encoding").as_deref() == Some("base64");
        self.value = VariableValue {
            text: String::new(),
            field: attributes.take("fieldIdentifier"),
            base_type: attributes.take("baseType").filter(|t| !t.is_empty()),
        };
        Ok(())
    }

    fn close_value(&mut self, parent: Option<Node>) -> Result<(), String> {
        let text = self.take_text()?;
        let value = VariableValue { text, ..std::mem::take(&mut self.value) };
        self.variable(|v| {
            let list = if parent == Some(Node::Correct) { &mut v.correct } else { &mut v.values };
            list.get_or_insert_default().push(value);
            Ok(())
        })
    }

    /// TAO may write several comments of one item.
    fn close_comment(&mut self) -> Result<(), String> {
        let text = self.take_text()?;
        if let Some(item) = &mut self.item {
            item.candidate_comment = Some(match item.candidate_comment.take() {
                Some(first) => first + "\n" + &text,
                None => text,
            });
        }
        Ok(())
    }

    fn take_text(&mut self) -> Result<String, String> {
        let text = std::mem::take(&mut self.text);
        if !self.is_base64 {
            return Ok(text);
        }
        let bytes = STANDARD.decode(text.trim()).map_err(|_| "the text is not base64".to_owned())?;
        String::from_utf8(bytes).map_err(|_| "the text is not UTF-8 behind its base64".to_owned())
    }

    fn variable(&mut self, change: impl FnOnce(&mut Variable) -> Result<(), String>) -> Result<(), String> {
        self.variable.as_mut().map_or(Ok(()), change)
    }
}

#[cfg(test)]
mod tests {
    use quick_xml::events::BytesStart;
    use quick_xml::name::NamespaceResolver;

    use super::*;

    #[test]
    fn values_have_a_number() {
        let mut builder = Builder { value_count: MAX_VALUES - 1, ..Builder::default() };
        let mut open = || {
            let none = Attributes::read(&BytesStart::new("value"), &NamespaceResolver::default());
            builder.open_text(&mut none.unwrap_or_else(|_| unreachable!("there are none")))
        };
        assert_eq!(open(), Ok(()));
        assert!(open().is_err_and(|message| message.contains("more than 1000000 values")));
    }
}
