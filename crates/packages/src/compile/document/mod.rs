//! The compiled test: what a runner reads, as docs/RUNNER.md says. Hrefs are paths of the package, already resolved.
//!
//! The JSON of this document is hashed on both sides, so its fields, their order and their defaults are a format:
//! any change needs a new [`FORM`] and a new [`super::COMPILER_VERSION`].

mod content;
mod item;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taosync_model::Digest;

pub use super::markup::{Element, Markup, Node};
pub use content::{Feedback, Rubric, Stylesheet};
pub use item::{Declaration, Interaction, Item, ResponseProcessing, StimulusRef, Text, Value};

/// Version of this document's form.
pub const FORM: u32 = 2;

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
    /// Shared texts that tests and items refer to (stimuli, included pages), by path, each once.
    pub texts: Vec<Text>,
    /// Every file a test taker needs, by path: what all `assets` of this document name.
    pub files: BTreeMap<String, FileFacts>,
}

impl CompiledTest {
    /// The item stored at a path.
    pub fn item(&self, href: &str) -> Option<&Item> {
        self.items.binary_search_by(|item| item.href.as_str().cmp(href)).ok().map(|at| &self.items[at])
    }
}

/// What is known of a file of the package. A file with the same digest is the same file, in every version of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Plain bytes.
    pub bytes: u64,
    /// BLAKE3 of the plain bytes.
    pub digest: Digest,
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
    /// Styles of the test's own texts.
    pub stylesheets: Vec<Stylesheet>,
    /// Instructions of the whole test (QTI 3).
    pub rubrics: Vec<Rubric>,
    /// Parts in order.
    pub parts: Vec<Part>,
    /// Rules of `outcomeProcessing`, in order; they give `outcomes` their values.
    pub outcome_processing: Option<Markup>,
    /// Texts shown during or after the test.
    pub feedbacks: Vec<Feedback>,
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

    /// All sections in the order of the test, outer ones before what is in them.
    pub fn sections(&self) -> Vec<&Section> {
        let mut found = Vec::new();
        let mut waiting: Vec<&Section> = self.parts.iter().flat_map(|part| &part.sections).rev().collect();
        while let Some(section) = waiting.pop() {
            found.push(section);
            let inner = section.children.iter().rev().filter_map(|child| match child {
                Child::Section(section) => Some(section),
                Child::Item(_) => None,
            });
            waiting.extend(inner);
        }
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
    /// Conditions that must all hold when the part begins; else it is skipped.
    pub preconditions: Vec<Markup>,
    /// Where the test goes on after the part.
    pub branch_rules: Vec<BranchRule>,
    /// Instructions of the part (QTI 3).
    pub rubrics: Vec<Rubric>,
    /// Sections in order.
    pub sections: Vec<Section>,
    /// Texts shown during or after the part.
    pub feedbacks: Vec<Feedback>,
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
    /// `qti-adaptive-selection` of QTI 3 as written: an engine elsewhere chooses the items.
    pub adaptive_selection: Option<Markup>,
    /// Attributes of `itemSessionControl`.
    pub session_control: BTreeMap<String, String>,
    /// Time limits of the section.
    pub time_limits: Option<TimeLimits>,
    /// Conditions that must all hold when the section begins; else it is skipped.
    pub preconditions: Vec<Markup>,
    /// Where the test goes on after the section.
    pub branch_rules: Vec<BranchRule>,
    /// Instructions shown with the items of the section.
    pub rubrics: Vec<Rubric>,
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

impl Child {
    /// Whether it must be selected.
    pub fn is_required(&self) -> bool {
        match self {
            Self::Section(section) => section.required,
            Self::Item(item) => item.required,
        }
    }
}

/// `selection`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// `select`: how many.
    pub select: u32,
    /// `withReplacement`.
    pub with_replacement: bool,
    /// Elements of other makers inside, as written: a runner that does not know them selects as if they were not there.
    pub extensions: Option<Markup>,
}

/// `branchRule`: after the element that carries it, the first rule whose condition holds decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchRule {
    /// Identifier of what comes next, or `EXIT_SECTION`, `EXIT_TESTPART`, `EXIT_TEST`.
    pub target: String,
    /// The condition, an expression.
    pub condition: Markup,
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
    /// Conditions that must all hold when the item's turn comes; else it is skipped.
    pub preconditions: Vec<Markup>,
    /// Where the test goes on after the item.
    pub branch_rules: Vec<BranchRule>,
    /// `variableMapping`: name in the test's rules → name in the item.
    pub variable_mappings: BTreeMap<String, String>,
    /// `templateDefault`: template variable → expression for its value.
    pub template_defaults: BTreeMap<String, Markup>,
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
