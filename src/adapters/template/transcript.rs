//! The conversation as templates see it: a list of `{role, content}`.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use crate::execution::types::Message;

/// What was said. It prints as one `role: content` line per message.
#[derive(Debug)]
pub(super) struct Transcript {
    messages: Arc<[Message]>,
}

impl Transcript {
    pub(super) fn new(messages: &Arc<[Message]>) -> Self {
        Self { messages: Arc::clone(messages) }
    }
}

impl Object for Transcript {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let message = self.messages.get(key.as_usize()?)?;
        let entries = [("role", message.role.as_str()), ("content", message.content.as_str())];
        Some(Value::from_pairs(entries.map(|(key, text)| (key, Value::from(text)))))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.messages.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, message) in self.messages.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}: {}", message.role.as_str(), message.content)?;
        }
        Ok(())
    }
}
