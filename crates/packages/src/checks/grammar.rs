//! What the standard demands of the elements that carry structure: facts of QTI 2.1, 2.2 and 3.0, by their QTI 2 names.
//!
//! Attributes whose absence the compiler reports itself (identifiers of parts, hrefs of items, modes) are not repeated.

/// What may be inside an element.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// Text and HTML: not looked at.
    Any,
    /// Nothing.
    Nothing,
    /// These elements.
    Only(&'static [&'static str]),
    /// Expressions, at least and at most so many.
    Expressions(usize, usize),
    /// One expression, then these elements.
    Branch(&'static [&'static str]),
}

/// An element and what is demanded of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Attributes without which it means nothing.
    pub(super) required: &'static [&'static str],
    pub(super) content: Content,
}

/// More expressions than any page has room for.
const MANY: usize = usize::MAX;

const RESPONSE_RULES: &[&str] =
    &["responseCondition", "responseProcessingFragment", "setOutcomeValue", "lookupOutcomeValue", "exitResponse"];
const OUTCOME_RULES: &[&str] =
    &["outcomeCondition", "outcomeProcessingFragment", "setOutcomeValue", "lookupOutcomeValue", "exitTest"];
const TEMPLATE_RULES: &[&str] = &[
    "templateCondition",
    "templateConstraint",
    "setTemplateValue",
    "setCorrectResponse",
    "setDefaultValue",
    "exitTemplate",
];
const SECTION_PARTS: &[&str] = &[
    "preCondition",
    "branchRule",
    "itemSessionControl",
    "timeLimits",
    "selection",
    "ordering",
    "adaptiveSelection",
    "rubricBlock",
    "assessmentSection",
    "assessmentSectionRef",
    "assessmentItemRef",
];

const fn rule(name: &'static str, required: &'static [&'static str], content: Content) -> Rule {
    Rule { name, required, content }
}

/// An expression that takes others.
const fn operator(name: &'static str, least: usize, most: usize) -> Rule {
    rule(name, &[], Content::Expressions(least, most))
}

/// An element of text that must say something by its attributes.
const fn text(name: &'static str, required: &'static [&'static str]) -> Rule {
    rule(name, required, Content::Any)
}

/// An element without anything inside.
const fn empty(name: &'static str, required: &'static [&'static str]) -> Rule {
    rule(name, required, Content::Nothing)
}

const fn interaction(name: &'static str) -> Rule {
    text(name, &["responseIdentifier"])
}

const FEEDBACK: &[&str] = &["identifier", "outcomeIdentifier"];

/// Tests.
const TEST: &[Rule] = &[
    rule(
        "assessmentTest",
        &[],
        Content::Only(&[
            "contextDeclaration",
            "outcomeDeclaration",
            "timeLimits",
            "stylesheet",
            "rubricBlock",
            "testPart",
            "outcomeProcessing",
            "testFeedback",
        ]),
    ),
    rule(
        "testPart",
        &[],
        Content::Only(&[
            "preCondition",
            "branchRule",
            "itemSessionControl",
            "timeLimits",
            "rubricBlock",
            "assessmentSection",
            "assessmentSectionRef",
            // Reported as misplaced, which says more.
            "assessmentItemRef",
            "testFeedback",
        ]),
    ),
    rule("assessmentSection", &[], Content::Only(SECTION_PARTS)),
    rule(
        "assessmentSectionRef",
        &["identifier"],
        Content::Only(&["preCondition", "branchRule", "itemSessionControl", "timeLimits"]),
    ),
    rule(
        "assessmentItemRef",
        &[],
        Content::Only(&[
            "preCondition",
            "branchRule",
            "itemSessionControl",
            "timeLimits",
            "variableMapping",
            "weight",
            "templateDefault",
        ]),
    ),
    operator("preCondition", 1, 1),
    rule("branchRule", &["target"], Content::Expressions(1, 1)),
    empty("selection", &[]),
    empty("ordering", &[]),
    empty("itemSessionControl", &[]),
    empty("timeLimits", &[]),
    empty("variableMapping", &["sourceIdentifier", "targetIdentifier"]),
    empty("weight", &[]),
    rule("templateDefault", &["templateIdentifier"], Content::Expressions(1, 1)),
    rule(
        "adaptiveSelection",
        &[],
        Content::Only(&["adaptiveEngineRef", "adaptiveSettingsRef", "usagedataRef", "metadataRef"]),
    ),
    empty("adaptiveEngineRef", &["identifier", "href"]),
    empty("adaptiveSettingsRef", &["identifier", "href"]),
    text("testFeedback", &["access", "identifier", "outcomeIdentifier"]),
    rule("outcomeProcessing", &[], Content::Only(OUTCOME_RULES)),
    rule("outcomeProcessingFragment", &[], Content::Only(OUTCOME_RULES)),
    rule("outcomeCondition", &[], Content::Only(&["outcomeIf", "outcomeElseIf", "outcomeElse"])),
    rule("outcomeIf", &[], Content::Branch(OUTCOME_RULES)),
    rule("outcomeElseIf", &[], Content::Branch(OUTCOME_RULES)),
    rule("outcomeElse", &[], Content::Only(OUTCOME_RULES)),
    empty("exitTest", &[]),
];

/// Items: declarations, rules.
const ITEM: &[Rule] = &[
    rule(
        "assessmentItem",
        &[],
        Content::Only(&[
            "contextDeclaration",
            "responseDeclaration",
            "outcomeDeclaration",
            "templateDeclaration",
            "templateProcessing",
            "assessmentStimulusRef",
            "companionMaterialsInfo",
            "stylesheet",
            "itemBody",
            "catalogInfo",
            "responseProcessing",
            "modalFeedback",
        ]),
    ),
    rule(
        "responseDeclaration",
        &["cardinality"],
        Content::Only(&["defaultValue", "correctResponse", "mapping", "areaMapping"]),
    ),
    rule("outcomeDeclaration", &["cardinality"], Content::Only(&["defaultValue", "matchTable", "interpolationTable"])),
    rule("templateDeclaration", &["cardinality"], Content::Only(&["defaultValue"])),
    rule("contextDeclaration", &["cardinality"], Content::Only(&["defaultValue"])),
    rule("defaultValue", &[], Content::Only(&["value"])),
    rule("correctResponse", &[], Content::Only(&["value"])),
    rule("mapping", &[], Content::Only(&["mapEntry"])),
    empty("mapEntry", &["mapKey", "mappedValue"]),
    rule("areaMapping", &[], Content::Only(&["areaMapEntry"])),
    empty("areaMapEntry", &["shape", "coords", "mappedValue"]),
    rule("matchTable", &[], Content::Only(&["matchTableEntry"])),
    empty("matchTableEntry", &["sourceValue", "targetValue"]),
    rule("interpolationTable", &[], Content::Only(&["interpolationTableEntry"])),
    empty("interpolationTableEntry", &["sourceValue", "targetValue"]),
    empty("assessmentStimulusRef", &["identifier"]),
    rule("assessmentStimulus", &["identifier"], Content::Only(&["stylesheet", "stimulusBody", "catalogInfo"])),
    text("modalFeedback", FEEDBACK),
    rule("responseProcessing", &[], Content::Only(RESPONSE_RULES)),
    rule("responseProcessingFragment", &[], Content::Only(RESPONSE_RULES)),
    rule("responseCondition", &[], Content::Only(&["responseIf", "responseElseIf", "responseElse"])),
    rule("responseIf", &[], Content::Branch(RESPONSE_RULES)),
    rule("responseElseIf", &[], Content::Branch(RESPONSE_RULES)),
    rule("responseElse", &[], Content::Only(RESPONSE_RULES)),
    empty("exitResponse", &[]),
    rule("setOutcomeValue", &["identifier"], Content::Expressions(1, 1)),
    rule("lookupOutcomeValue", &["identifier"], Content::Expressions(1, 1)),
    rule("templateProcessing", &[], Content::Only(TEMPLATE_RULES)),
    rule("templateCondition", &[], Content::Only(&["templateIf", "templateElseIf", "templateElse"])),
    rule("templateIf", &[], Content::Branch(TEMPLATE_RULES)),
    rule("templateElseIf", &[], Content::Branch(TEMPLATE_RULES)),
    rule("templateElse", &[], Content::Only(TEMPLATE_RULES)),
    operator("templateConstraint", 1, 1),
    rule("setTemplateValue", &["identifier"], Content::Expressions(1, 1)),
    rule("setCorrectResponse", &["identifier"], Content::Expressions(1, 1)),
    rule("setDefaultValue", &["identifier"], Content::Expressions(1, 1)),
    empty("exitTemplate", &[]),
];

/// Bodies: what is asked and shown.
const BODY: &[Rule] = &[
    text("rubricBlock", &["view"]),
    text("feedbackBlock", FEEDBACK),
    text("feedbackInline", FEEDBACK),
    text("templateBlock", &["identifier", "templateIdentifier"]),
    text("templateInline", &["identifier", "templateIdentifier"]),
    empty("printedVariable", &["identifier"]),
    empty("stylesheet", &["href"]),
    interaction("associateInteraction"),
    interaction("choiceInteraction"),
    interaction("customInteraction"),
    interaction("drawingInteraction"),
    text("endAttemptInteraction", &["responseIdentifier", "title"]),
    interaction("extendedTextInteraction"),
    interaction("gapMatchInteraction"),
    interaction("graphicAssociateInteraction"),
    interaction("graphicGapMatchInteraction"),
    interaction("graphicOrderInteraction"),
    interaction("hotspotInteraction"),
    interaction("hottextInteraction"),
    interaction("inlineChoiceInteraction"),
    interaction("matchInteraction"),
    interaction("mediaInteraction"),
    interaction("orderInteraction"),
    interaction("portableCustomInteraction"),
    interaction("positionObjectInteraction"),
    interaction("selectPointInteraction"),
    text("sliderInteraction", &["responseIdentifier", "lowerBound", "upperBound"]),
    interaction("textEntryInteraction"),
    interaction("uploadInteraction"),
    text("simpleChoice", &["identifier"]),
    text("inlineChoice", &["identifier"]),
    text("simpleAssociableChoice", &["identifier", "matchMax"]),
    text("gapText", &["identifier", "matchMax"]),
    text("gapImg", &["identifier", "matchMax"]),
    text("gap", &["identifier"]),
    text("hottext", &["identifier"]),
    text("hotspotChoice", &["identifier", "shape", "coords"]),
    text("associableHotspot", &["identifier", "shape", "coords", "matchMax"]),
];

/// Expressions.
const EXPRESSIONS: &[Rule] = &[
    text("baseValue", &["baseType"]),
    empty("variable", &["identifier"]),
    empty("default", &["identifier"]),
    empty("correct", &["identifier"]),
    empty("mapResponse", &["identifier"]),
    empty("mapResponsePoint", &["identifier"]),
    empty("mathConstant", &["name"]),
    empty("null", &[]),
    empty("randomInteger", &["max"]),
    empty("randomFloat", &["max"]),
    empty("numberCorrect", &[]),
    empty("numberIncorrect", &[]),
    empty("numberPresented", &[]),
    empty("numberResponded", &[]),
    empty("numberSelected", &[]),
    empty("outcomeMinimum", &["outcomeIdentifier"]),
    empty("outcomeMaximum", &["outcomeIdentifier"]),
    empty("testVariables", &["variableIdentifier"]),
    rule("customOperator", &[], Content::Any),
    operator("multiple", 0, MANY),
    operator("ordered", 0, MANY),
    operator("containerSize", 1, 1),
    operator("isNull", 1, 1),
    rule("index", &["n"], Content::Expressions(1, 1)),
    rule("fieldValue", &["fieldIdentifier"], Content::Expressions(1, 1)),
    operator("random", 1, 1),
    operator("member", 2, 2),
    operator("delete", 2, 2),
    operator("contains", 2, 2),
    operator("substring", 2, 2),
    operator("not", 1, 1),
    operator("and", 1, MANY),
    operator("or", 1, MANY),
    rule("anyN", &["min", "max"], Content::Expressions(1, MANY)),
    operator("match", 2, 2),
    operator("stringMatch", 2, 2),
    rule("patternMatch", &["pattern"], Content::Expressions(1, 1)),
    operator("equal", 2, 2),
    rule("equalRounded", &["figures"], Content::Expressions(2, 2)),
    rule("inside", &["shape", "coords"], Content::Expressions(1, 1)),
    operator("lt", 2, 2),
    operator("gt", 2, 2),
    operator("lte", 2, 2),
    operator("gte", 2, 2),
    operator("durationLT", 2, 2),
    operator("durationGTE", 2, 2),
    operator("sum", 1, MANY),
    operator("product", 1, MANY),
    operator("subtract", 2, 2),
    operator("divide", 2, 2),
    operator("power", 2, 2),
    operator("integerDivide", 2, 2),
    operator("integerModulus", 2, 2),
    operator("truncate", 1, 1),
    operator("round", 1, 1),
    rule("roundTo", &["figures"], Content::Expressions(1, 1)),
    operator("integerToFloat", 1, 1),
    rule("mathOperator", &["name"], Content::Expressions(1, 2)),
    rule("statsOperator", &["name"], Content::Expressions(1, 1)),
    rule("repeat", &["numberRepeats"], Content::Expressions(1, MANY)),
    operator("gcd", 1, MANY),
    operator("lcm", 1, MANY),
    operator("min", 1, MANY),
    operator("max", 1, MANY),
];

/// Elements of QTI that carry text or belong to special needs: known, and not looked into.
const OTHERS: &[&str] = &[
    "itemBody",
    "stimulusBody",
    "contentBody",
    "prompt",
    "value",
    "simpleMatchSet",
    "positionObjectStage",
    "infoControl",
    "catalogInfo",
    "catalog",
    "card",
    "cardEntry",
    "htmlContent",
    "fileHref",
    "companionMaterialsInfo",
    "calculator",
    "calculatorType",
    "calculatorInfo",
    "description",
    "rule",
    "ruleSystem",
    "minimumLength",
    "minorIncrement",
    "majorIncrement",
    "protractor",
    "increment",
    "digitalMaterial",
    "physicalMaterial",
    "resourceIcon",
    "interactionMarkup",
    "interactionModules",
    "interactionModule",
    "templateVariable",
    "contextVariable",
    "usagedataRef",
    "metadataRef",
];

/// Whether rules and results name the element by its identifier, so that it must be one word.
pub(super) fn is_named_by_rules(name: &str) -> bool {
    matches!(
        name,
        "testPart"
            | "assessmentSection"
            | "assessmentItemRef"
            | "responseDeclaration"
            | "outcomeDeclaration"
            | "templateDeclaration"
            | "simpleChoice"
            | "inlineChoice"
            | "simpleAssociableChoice"
            | "gapText"
            | "gapImg"
            | "gap"
            | "hottext"
            | "hotspotChoice"
            | "associableHotspot"
    )
}

/// Attributes the standard demands, but whose absence has an obvious meaning.
pub(super) fn expected_of(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "assessmentTest" | "assessmentStimulus" => &[("title", "nothing")],
        "assessmentItem" => &[("title", "nothing"), ("timeDependent", "'false'")],
        "assessmentSection" => &[("title", "nothing"), ("visible", "'true'")],
        _ => &[],
    }
}

/// The rule for an element.
pub(super) fn rule_of(name: &str) -> Option<&'static Rule> {
    [TEST, ITEM, BODY, EXPRESSIONS].into_iter().flatten().find(|rule| rule.name == name)
}

/// Whether an element is an expression.
pub(super) fn is_expression(name: &str) -> bool {
    EXPRESSIONS.iter().any(|rule| rule.name == name)
}

/// Whether QTI has an element of this name.
pub(super) fn is_known(name: &str) -> bool {
    rule_of(name).is_some() || OTHERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_has_one_rule_and_names_elements_that_exist() {
        let all: Vec<_> = [TEST, ITEM, BODY, EXPRESSIONS].into_iter().flatten().collect();
        for rule in &all {
            assert_eq!(all.iter().filter(|other| other.name == rule.name).count(), 1, "{}", rule.name);
            if let Content::Only(names) | Content::Branch(names) = rule.content {
                for name in names {
                    assert!(is_known(name), "{} in {}", name, rule.name);
                }
            }
        }
    }
}
