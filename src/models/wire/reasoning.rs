//! Models that take tools only without reasoning, and say so.

use reqwest::StatusCode;
use serde_json::{Value, json};

/// The field of chat completions that says how hard a model is to think.
pub(super) const REASONING_EFFORT: &str = "reasoning_effort";

/// The value that turns reasoning off.
pub(super) const NONE: &str = "none";

/// How refusals quote that value where they name the remedy.
const QUOTED_NONE: [&str; 2] = ["'none'", "\"none\""];

/// `body` without reasoning, if it asks for a tool and leaves the reasoning to the model.
pub(super) fn turned_off(body: &Value) -> Option<Value> {
    let has_tools = body.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty());
    if !has_tools || body.get(REASONING_EFFORT).is_some() {
        return None;
    }
    let mut body = body.clone();
    body[REASONING_EFFORT] = json!(NONE);
    Some(body)
}

/// Whether a refusal is about the reasoning and names its remedy: HTTP 400, an error in JSON whose parameter or
/// message is `reasoning_effort`, and `none` in quotes.
pub(in crate::models) fn is_to_be_turned_off(status: StatusCode, answer: &Value) -> bool {
    let error = answer.get("error").unwrap_or(answer);
    let text = |field| error.get(field).and_then(Value::as_str).unwrap_or_default();
    let message = error.as_str().unwrap_or(text("message"));
    let concerns = text("param") == REASONING_EFFORT || message.contains(REASONING_EFFORT);
    status == StatusCode::BAD_REQUEST && concerns && QUOTED_NONE.iter().any(|quoted| message.contains(quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "Function tools with reasoning_effort are not supported for this model. \
        Please set reasoning_effort to 'none'.";

    fn refused(status: u16, answer: &Value) -> bool {
        is_to_be_turned_off(StatusCode::from_u16(status).unwrap(), answer)
    }

    #[test]
    fn a_refusal_that_names_the_remedy_is_understood() {
        for answer in [
            json!({ "error": { "message": MESSAGE } }),
            json!({ "error": { "message": "Set it to \"none\".", "param": "reasoning_effort" } }),
            json!({ "error": MESSAGE }),
            json!({ "message": MESSAGE }),
        ] {
            assert!(refused(400, &answer), "{answer}");
        }
    }

    #[test]
    fn any_other_refusal_is_not() {
        for (status, answer) in [
            (422, json!({ "error": { "message": MESSAGE } })),
            (500, json!({ "error": { "message": MESSAGE } })),
            (400, json!({ "error": { "message": "reasoning_effort is unknown" } })),
            (400, json!({ "error": { "message": "reasoning_effort must not be none" } })),
            (400, json!({ "error": { "message": "Set it to 'none'.", "param": "tool_choice" } })),
            (400, json!({ "error": { "message": "no", "param": "reasoning_effort", "code": "'none'" } })),
            (400, json!({ "error": null })),
            (400, json!(["reasoning_effort 'none'"])),
            (400, Value::Null),
        ] {
            assert!(!refused(status, &answer), "{status} {answer}");
        }
    }

    #[test]
    fn only_a_call_with_tools_whose_reasoning_is_left_to_the_model_can_be_asked_again() {
        let tools = json!([{ "type": "function" }]);
        let asked = turned_off(&json!({ "model": "m", "tools": tools }));
        assert_eq!(asked, Some(json!({ "model": "m", "tools": tools, "reasoning_effort": "none" })));
        for body in [
            json!({ "model": "m" }),
            json!({ "tools": [] }),
            json!({ "tools": tools, "reasoning_effort": "low" }),
            json!({ "tools": tools, "reasoning_effort": "none" }),
        ] {
            assert_eq!(turned_off(&body), None, "{body}");
        }
    }
}
