//! Spans without words: what a project asks for whose conversations must not leave the worker.

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use serde_json::Value;

use super::super::attributes as key;
use super::Closing;
use crate::definitions::ContentCapture;

/// Attributes that repeat what was said, asked, answered or found.
const CONTENT: [&str; 10] = [
    key::LANGWATCH_INPUT,
    key::LANGWATCH_OUTPUT,
    key::GEN_AI_INPUT,
    key::GEN_AI_OUTPUT,
    key::GEN_AI_INSTRUCTIONS,
    key::GEN_AI_TOOLS,
    key::GEN_AI_STOP,
    key::GEN_AI_TOOL_ARGUMENTS,
    key::GEN_AI_TOOL_RESULT,
    key::EVALUATION_EXPLANATION,
];
/// What a failed span says instead of an error's text, which may repeat an agent's answer.
const NOT_CAPTURED: &str = "not captured";
/// Words in LangWatch's evaluation.
const DETAILS: &str = "details";

/// The attributes that `capture` leaves.
pub(in super::super) fn captured(attributes: Vec<KeyValue>, capture: ContentCapture) -> Vec<KeyValue> {
    match capture {
        ContentCapture::Full => attributes,
        ContentCapture::Metadata => {
            attributes.into_iter().filter(|attribute| !CONTENT.contains(&attribute.key.as_str())).collect()
        }
    }
}

/// The end that `capture` leaves.
pub(in super::super) fn captured_closing(closing: Closing, capture: ContentCapture) -> Closing {
    if capture == ContentCapture::Full {
        return closing;
    }
    let Closing { attributes, events, status } = closing;
    Closing {
        attributes: captured(attributes, capture),
        events: events.into_iter().map(|(name, attributes)| (name, wordless(attributes))).collect(),
        status: match status {
            Status::Error { .. } => Status::error(NOT_CAPTURED),
            status => status,
        },
    }
}

/// An evaluation goes by the criterion's id and not by its text, into which parameters may have been filled.
fn wordless(attributes: Vec<KeyValue>) -> Vec<KeyValue> {
    let id =
        attributes.iter().find(|a| a.key.as_str() == key::SCENARIO_CRITERION_ID).map(|a| a.value.clone());
    let wordless = |attribute: KeyValue| match (attribute.key.as_str(), &id) {
        (key::EVALUATION_NAME, Some(id)) => KeyValue::new(key::EVALUATION_NAME, id.clone()),
        (key::JSON_ENCODED_EVENT, _) => {
            KeyValue::new(key::JSON_ENCODED_EVENT, without_details(&attribute.value.as_str()))
        }
        _ => attribute,
    };
    captured(attributes, ContentCapture::Metadata).into_iter().map(wordless).collect()
}

fn without_details(event: &str) -> String {
    let mut event: Value = serde_json::from_str(event).unwrap_or_default();
    if let Some(fields) = event.as_object_mut() {
        fields.remove(DETAILS);
    }
    event.to_string()
}
