//! What is shown beside the questions: instructions, feedback, styles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Markup;

/// `rubricBlock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rubric {
    /// `view`, split at spaces: who sees it (`candidate`, `proctor`, `scorer`, …).
    pub views: Vec<String>,
    /// `use`: what it is for, such as `instructions`.
    #[serde(rename = "use")]
    pub purpose: Option<String>,
    /// The other attributes, by their QTI 2 names.
    pub attributes: BTreeMap<String, String>,
    /// Styles of this text alone.
    pub stylesheets: Vec<Stylesheet>,
    /// What it says.
    pub content: Markup,
}

/// `testFeedback` and `modalFeedback`: shown when an outcome variable has, or has not, a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// `identifier`: the value that decides.
    pub identifier: String,
    /// `outcomeIdentifier`: the variable that decides.
    pub outcome: String,
    /// `showHide`: `show` when the variable has the value, or `hide` then.
    pub show_hide: String,
    /// `access` of feedback of a test: `during` or `atEnd`.
    pub access: Option<String>,
    /// `title`.
    pub title: Option<String>,
    /// Styles of this text alone.
    pub stylesheets: Vec<Stylesheet>,
    /// What it says.
    pub content: Markup,
}

/// `stylesheet`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stylesheet {
    /// Path of the file; absent when the package does not have it.
    pub href: Option<String>,
    /// The attributes as written.
    pub attributes: BTreeMap<String, String>,
}
