//! The question whether the conversation goes on.

use serde_json::{Value, json};

use super::Reading;
use crate::execution::types::judging::{
    DECIDE_TOOL, DECISION_CONTINUE, DECISION_FIELD, DECISION_VERDICT, REASONING_FIELD,
};
use crate::execution::types::{JudgeAnswer, ToolSpec};

const CONTRADICTION: &str = "The judge decided both ways.";

/// The tool that says whether to go on.
pub(super) fn tool() -> ToolSpec {
    ToolSpec {
        name: DECIDE_TOOL.to_owned(),
        description: "Say whether the conversation goes on or is judged now.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                REASONING_FIELD: { "type": "string", "description": "Why, in a sentence." },
                DECISION_FIELD: { "type": "string", "enum": [DECISION_CONTINUE, DECISION_VERDICT] },
            },
            "required": [REASONING_FIELD, DECISION_FIELD],
            "additionalProperties": false,
        }),
    }
}

/// Reads the tool's arguments, if they decide anything. Who decides both ways has not heard enough.
pub(super) fn read(answers: &[Value]) -> Option<Reading> {
    let mut decisions = answers.iter().filter_map(decision);
    let first = decisions.next()?;
    let enough = first == JudgeAnswer::Enough;
    if decisions.all(|other| enough == (other == JudgeAnswer::Enough)) {
        return Some(Reading::Complete(first));
    }
    Some(Reading::Partial(JudgeAnswer::GoOn(CONTRADICTION.to_owned())))
}

fn decision(answer: &Value) -> Option<JudgeAnswer> {
    let decision = answer.get(DECISION_FIELD)?.as_str()?.trim().to_lowercase();
    let reasoning = answer.get(REASONING_FIELD).and_then(Value::as_str).unwrap_or_default();
    match decision.as_str() {
        DECISION_CONTINUE => Some(JudgeAnswer::GoOn(reasoning.to_owned())),
        DECISION_VERDICT => Some(JudgeAnswer::Enough),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(answers: &[Value]) -> Option<(JudgeAnswer, bool)> {
        read(answers).map(|reading| match reading {
            Reading::Complete(answer) => (answer, true),
            Reading::Partial(answer) => (answer, false),
        })
    }

    #[test]
    fn only_a_decision_decides() {
        let one = |answer: Value| decided(&[answer]);
        let (enough, on) = (JudgeAnswer::Enough, JudgeAnswer::GoOn("r".into()));
        assert_eq!(one(json!({ "reasoning": "r", "decision": "verdict" })), Some((enough, true)));
        assert_eq!(one(json!({ "reasoning": "r", "decision": " Continue" })), Some((on, true)));
        for nothing in [json!({}), json!({ "decision": "maybe" }), json!({ "decision": true })] {
            assert_eq!(one(nothing), None);
        }
    }

    #[test]
    fn two_decisions_that_differ_are_none_to_rely_on() {
        let (on, enough) = (json!({ "decision": "continue" }), json!({ "decision": "verdict" }));
        assert_eq!(decided(&[enough.clone(), json!({}), enough.clone()]), Some((JudgeAnswer::Enough, true)));
        let neither = Some((JudgeAnswer::GoOn(CONTRADICTION.into()), false));
        assert_eq!(decided(&[on.clone(), enough.clone()]), neither);
        assert_eq!(decided(&[enough, on]), neither);
    }
}
