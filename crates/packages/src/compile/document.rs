//! The compiled test: what a runner reads. Hrefs are paths of the package, already resolved.
//!
//! The JSON of this document is hashed on both sides, so its fields, their order and their defaults are a format:
//! any change needs a new [`FORM`] and a new [`super::COMPILER_VERSION`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of this document's form.
pub const FORM: u32 = 1;

/// A compiled test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompiledTest {
    /// Version of the form, see [`FORM`].
    pub form: u32,
    /// Version of the compiler, see [`super::COMPILER_VERSION`].
    pub compiler: u32,
    /// The test.
    pub test: Test,
    /// Items the test refers to, by path, each once.
    pub items: Vec<Item>,
}

impl CompiledTest {
    /// The item stored at a path.
    pub fn item(&self, href: &str) -> Option<&Item> {
        self.items.binary_search_by(|item| item.href.as_str().cmp(href)).ok().map(|at| &self.items[at])
    }
}

/// `assessmentTest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// `identifier`.
    pub identifier: String,
    /// `title`.
    pub title: String,
    /// Path of the test file.
    pub href: String,
    /// QTI version of the test file, such as `2.1`.
    pub qti_version: String,
    /// Outcome variables of the test.
    pub outcomes: Vec<Declaration>,
    /// Time limits of the whole test.
    pub time_limits: Option<TimeLimits>,
    /// Parts in order.
    pub parts: Vec<Part>,
    /// Files of the package shown by the test itself: pictures and styles of rubrics.
    pub assets: Vec<String>,
}

impl Test {
    /// All item references in the order of the test, before selection and ordering.
    pub fn item_refs(&self) -> Vec<&ItemRef> {
        let mut found = Vec::new();
        self.parts.iter().flat_map(|part| &part.sections).for_each(|section| section.collect(&mut found));
        found
    }
}

/// `testPart`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// `identifier`.
    pub identifier: String,
    /// Whether candidates may go back.
    pub navigation: Navigation,
    /// When responses are submitted.
    pub submission: Submission,
    /// Attributes of `itemSessionControl` as written, by their QTI 2 names.
    pub session_control: BTreeMap<String, String>,
    /// Time limits of the part.
    pub time_limits: Option<TimeLimits>,
    /// Sections in order.
    pub sections: Vec<Section>,
}

/// `navigationMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Navigation {
    /// In order, no way back.
    Linear,
    /// In any order.
    Nonlinear,
}

/// `submissionMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Submission {
    /// Item by item.
    Individual,
    /// All at the end of the part.
    Simultaneous,
}

/// `assessmentSection`; sections in files of their own are put in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// `identifier`.
    pub identifier: String,
    /// `title`.
    pub title: String,
    /// `visible`.
    pub visible: bool,
    /// `required`.
    pub required: bool,
    /// `fixed`: not moved by ordering.
    pub fixed: bool,
    /// `keepTogether`.
    pub keep_together: bool,
    /// How many children are selected.
    pub selection: Option<Selection>,
    /// Whether children are shuffled.
    pub shuffle: bool,
    /// Attributes of `itemSessionControl`.
    pub session_control: BTreeMap<String, String>,
    /// Time limits of the section.
    pub time_limits: Option<TimeLimits>,
    /// Sections and item references in order.
    pub children: Vec<Child>,
}

impl Section {
    fn collect<'a>(&'a self, found: &mut Vec<&'a ItemRef>) {
        for child in &self.children {
            match child {
                Child::Section(section) => section.collect(found),
                Child::Item(item) => found.push(item),
            }
        }
    }
}

/// A part of a section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Child {
    /// A section inside.
    Section(Section),
    /// A reference to an item.
    Item(ItemRef),
}

/// `selection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// `select`: how many.
    pub select: u32,
    /// `withReplacement`.
    pub with_replacement: bool,
}

/// `assessmentItemRef`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemRef {
    /// `identifier`: what results name the item by.
    pub identifier: String,
    /// Path of the item, as in [`Item::href`].
    pub href: String,
    /// `required`.
    pub required: bool,
    /// `fixed`.
    pub fixed: bool,
    /// `category`, split at spaces.
    pub categories: Vec<String>,
    /// `weight` elements by identifier.
    pub weights: BTreeMap<String, f64>,
    /// Whether the reference carries `preCondition` or `branchRule`, to be read from the test file.
    pub conditional: bool,
    /// Attributes of `itemSessionControl`.
    pub session_control: BTreeMap<String, String>,
    /// Time limits of the item in this place.
    pub time_limits: Option<TimeLimits>,
}

/// `timeLimits`, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeLimits {
    /// `minTime`.
    pub min_seconds: Option<f64>,
    /// `maxTime`.
    pub max_seconds: Option<f64>,
    /// `allowLateSubmission`.
    pub late_submission: bool,
}

/// `assessmentItem`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Path of the item file.
    pub href: String,
    /// `identifier`.
    pub identifier: String,
    /// `title`.
    pub title: String,
    /// `xml:lang`.
    pub language: Option<String>,
    /// QTI version of the item file.
    pub qti_version: String,
    /// `adaptive`.
    pub adaptive: bool,
    /// `timeDependent`.
    pub time_dependent: bool,
    /// Response variables.
    pub responses: Vec<Declaration>,
    /// Outcome variables.
    pub outcomes: Vec<Declaration>,
    /// Interactions in the order of the page.
    pub interactions: Vec<Interaction>,
    /// Files of the package the item shows, sorted.
    pub assets: Vec<String>,
}

/// A declared variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// `identifier`.
    pub identifier: String,
    /// `cardinality`: single, multiple, ordered, record.
    pub cardinality: String,
    /// `baseType`; absent for records.
    pub base_type: Option<String>,
}

/// An interaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// Name of the element in QTI 2, such as `choiceInteraction`.
    pub element: String,
    /// `responseIdentifier`.
    pub response: String,
}
