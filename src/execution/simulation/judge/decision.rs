//! The question whether the conversation goes on.

use serde_json::{Value, json};

use crate::execution::types::judging::{
    DECIDE_TOOL, DECISION_CONTINUE, DECISION_FIELD, DECISION_VERDICT, REASONING_FIELD,
};
use crate::execution::types::{JudgeAnswer, ToolSpec};

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

/// Reads the tool's arguments, if they decide anything.
pub(super) fn read(answer: &Value) -> Option<JudgeAnswer> {
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

    #[test]
    fn only_a_decision_decides() {
        let read = |answer: Value| read(&answer);
        assert_eq!(read(json!({ "reasoning": "r", "decision": "verdict" })), Some(JudgeAnswer::Enough));
        assert_eq!(
            read(json!({ "reasoning": "r", "decision": " Continue" })),
            Some(JudgeAnswer::GoOn("r".into()))
        );
        for nothing in [json!({}), json!({ "decision": "maybe" }), json!({ "decision": true })] {
            assert_eq!(read(nothing), None);
        }
    }
}
