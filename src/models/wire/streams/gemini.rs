//! Answers of `streamGenerateContent`: each has the next parts of the content.
//!
//! Specification: <https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>.

use serde_json::{Value, json};

use super::{Hearing, StreamFault, json_of, keep};
use crate::stream::SseEvent;

/// Where an event has its parts.
const PARTS: &str = "/candidates/0/content/parts";

/// An answer so far. Nothing ends the stream but its end, so the reason for which the model stopped has to be there.
#[derive(Debug, Default)]
pub(in crate::models::wire) struct Responses {
    parts: Vec<Value>,
    finish_reason: Value,
    feedback: Value,
    usage: Value,
    model: Value,
    id: Value,
}

impl Hearing for Responses {
    fn take(&mut self, event: &SseEvent) -> Result<(), StreamFault> {
        let mut said = json_of(event)?;
        keep(&mut self.feedback, &said["promptFeedback"]);
        keep(&mut self.usage, &said["usageMetadata"]);
        keep(&mut self.model, &said["modelVersion"]);
        keep(&mut self.id, &said["responseId"]);
        keep(&mut self.finish_reason, &said["candidates"][0]["finishReason"]);
        if let Some(Value::Array(parts)) = said.pointer_mut(PARTS).map(Value::take) {
            self.parts.extend(parts);
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.parts.iter().any(|part| {
            part["thought"] != true && !(part["text"].is_null() && part["functionCall"].is_null())
        })
    }

    fn is_complete(&self) -> bool {
        false
    }

    fn finish(self: Box<Self>) -> Option<Value> {
        if self.finish_reason.is_null() && self.feedback["blockReason"].is_null() {
            return None;
        }
        let candidate = json!({ "content": { "parts": self.parts }, "finishReason": self.finish_reason });
        let candidates = if self.finish_reason.is_null() { Vec::new() } else { vec![candidate] };
        Some(json!({
            "candidates": candidates, "promptFeedback": self.feedback, "usageMetadata": self.usage,
            "modelVersion": self.model, "responseId": self.id,
        }))
    }
}
