//! What the two versions of the protocol call things.

use serde_json::{Value, json};

/// The kinds of answer that a conversation can use.
const OUTPUT_MODES: [&str; 2] = ["text/plain", "application/json"];

/// A version of the protocol, as far as its wire differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    /// 1.0 and its successors.
    #[default]
    V1,
    /// 0.3 and before.
    V03,
}

/// A message to the agent.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) message_id: String,
    pub(super) context: Option<String>,
    pub(super) task: Option<String>,
    pub(super) texts: Vec<String>,
}

impl Dialect {
    /// The dialect of `version`, such as `1.0` or `0.3.0`.
    pub(super) fn of_version(version: &str) -> Result<Self, String> {
        match version.trim().split('.').next() {
            Some("0") => Ok(Self::V03),
            Some("1") => Ok(Self::V1),
            _ => Err(format!("protocolVersion: '{version}' is not spoken; 1.0 and 0.3 are")),
        }
    }

    /// What the header `A2A-Version` says; before 1.0 there was none.
    pub(super) fn version_header(self) -> Option<&'static str> {
        match self {
            Self::V1 => Some("1.0"),
            Self::V03 => None,
        }
    }

    pub(super) fn send_method(self) -> &'static str {
        match self {
            Self::V1 => "SendMessage",
            Self::V03 => "message/send",
        }
    }

    pub(super) fn stream_method(self) -> &'static str {
        match self {
            Self::V1 => "SendStreamingMessage",
            Self::V03 => "message/stream",
        }
    }

    pub(super) fn get_method(self) -> &'static str {
        match self {
            Self::V1 => "GetTask",
            Self::V03 => "tasks/get",
        }
    }

    /// 1.0 waits for the task unless it is told not to; 0.3 is asked to.
    pub(super) fn send_params(self, outbound: &Outbound) -> Value {
        let mut configuration = json!({ "acceptedOutputModes": OUTPUT_MODES });
        if self == Self::V03 {
            configuration["blocking"] = json!(true);
        }
        json!({ "message": self.message(outbound), "configuration": configuration })
    }

    fn message(self, outbound: &Outbound) -> Value {
        let mut message = match self {
            Self::V1 => {
                let parts: Vec<Value> = outbound.texts.iter().map(|text| json!({ "text": text })).collect();
                json!({ "role": "ROLE_USER", "parts": parts })
            }
            Self::V03 => {
                let part = |text| json!({ "kind": "text", "text": text });
                let parts: Vec<Value> = outbound.texts.iter().map(part).collect();
                json!({ "kind": "message", "role": "user", "parts": parts })
            }
        };
        message["messageId"] = json!(outbound.message_id);
        if let Some(context) = &outbound.context {
            message["contextId"] = json!(context);
        }
        if let Some(task) = &outbound.task {
            message["taskId"] = json!(task);
        }
        message
    }
}
