//! Items: declarations, body, rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Feedback, Markup, Stylesheet};

/// `assessmentItem`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Path of the item file.
    pub href: String,
    /// `identifier`.
    pub identifier: String,
    /// `title`.
    pub title: String,
    /// `label`.
    pub label: Option<String>,
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
    /// Template variables.
    pub templates: Vec<Declaration>,
    /// Context variables (QTI 3).
    pub contexts: Vec<Declaration>,
    /// Rules of `templateProcessing`, in order; they run before the item is first shown.
    pub template_processing: Option<Markup>,
    /// Shared texts of the item, see [`super::CompiledTest::texts`].
    pub stimuli: Vec<StimulusRef>,
    /// Styles.
    pub stylesheets: Vec<Stylesheet>,
    /// What `itemBody` holds.
    pub body: Markup,
    /// How responses are scored; absent when they are not.
    pub response_processing: Option<ResponseProcessing>,
    /// Texts shown after an attempt.
    pub modal_feedbacks: Vec<Feedback>,
    /// `qti-catalog-info` of QTI 3: alternative content for those who need it.
    pub catalog: Option<Markup>,
    /// `qti-companion-materials-info` of QTI 3: calculators, rulers and the like.
    pub companion_materials: Option<Markup>,
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
    /// The other attributes as written, by their QTI 2 names: `externalScored`, `normalMaximum`, `view`, ….
    pub attributes: BTreeMap<String, String>,
    /// `defaultValue`.
    pub default: Option<Vec<Value>>,
    /// `correctResponse`.
    pub correct: Option<Vec<Value>>,
    /// `mapping`, `areaMapping`, `matchTable` or `interpolationTable`, whole.
    pub tables: Option<Markup>,
}

/// A value, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Its text; of a string with the space around it.
    pub value: String,
    /// `fieldIdentifier`: which field of a record it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// `baseType` of the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_type: Option<String>,
}

/// `responseProcessing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseProcessing {
    /// `template`: the URI of rules that a runner knows, such as the standard's `match_correct`.
    pub template: Option<String>,
    /// `templateLocation`, as a path of the package when it is one.
    pub template_location: Option<String>,
    /// The rules in order; absent when a template stands for them.
    pub rules: Option<Markup>,
}

/// `assessmentStimulusRef`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StimulusRef {
    /// `identifier`.
    pub identifier: String,
    /// `title`.
    pub title: Option<String>,
    /// Path of the text; absent when it is not in the package.
    pub href: Option<String>,
}

/// An interaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// Name of the element in QTI 2, such as `choiceInteraction`.
    pub element: String,
    /// `responseIdentifier`.
    pub response: String,
}

/// A page that others show: an `assessmentStimulus`, or a piece that is included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Path of the file.
    pub href: String,
    /// `identifier` of a stimulus.
    pub identifier: Option<String>,
    /// `title` of a stimulus.
    pub title: Option<String>,
    /// Styles of this text alone.
    pub stylesheets: Vec<Stylesheet>,
    /// For a stimulus what `stimulusBody` holds, else the whole element.
    pub content: Markup,
}
