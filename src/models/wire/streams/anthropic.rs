//! Events of Anthropic messages.
//!
//! Specification: <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Hearing, StreamFault, append, json_of, keep};
use crate::stream::SseEvent;

/// A message so far.
#[derive(Debug, Default)]
pub(in crate::models::wire) struct MessageEvents {
    message: Value,
    blocks: BTreeMap<u64, Block>,
    done: bool,
}

/// A part of the message.
#[derive(Debug, Default)]
struct Block {
    block: Value,
    /// The input of a tool's call: a text of JSON.
    input: String,
}

impl Hearing for MessageEvents {
    fn take(&mut self, event: &SseEvent) -> Result<(), StreamFault> {
        let mut said = json_of(event)?;
        let index = said["index"].as_u64().unwrap_or_default();
        match said["type"].as_str().unwrap_or_default() {
            "message_start" => self.message = said["message"].take(),
            "content_block_start" => {
                let block = Block { block: said["content_block"].take(), input: String::new() };
                self.blocks.insert(index, block);
            }
            "content_block_delta" => self.blocks.entry(index).or_default().take(&said["delta"]),
            "message_delta" => self.amend(&said),
            "message_stop" => self.done = true,
            // A sign of life, or what later versions say beside.
            _ => {}
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.blocks.values().any(Block::has_begun)
    }

    fn is_complete(&self) -> bool {
        self.done
    }

    fn finish(self: Box<Self>) -> Option<Value> {
        let mut message = self.message;
        if !(self.done && message.is_object()) {
            return None;
        }
        message["content"] = self.blocks.into_values().map(Block::whole).collect();
        Some(message)
    }
}

impl MessageEvents {
    /// The tokens are told once more in the end, counted from the beginning.
    fn amend(&mut self, said: &Value) {
        if !self.message.is_object() {
            return;
        }
        keep(&mut self.message["stop_reason"], &said["delta"]["stop_reason"]);
        let Some(usage) = said["usage"].as_object() else { return };
        if !self.message["usage"].is_object() {
            self.message["usage"] = json!({});
        }
        for (name, count) in usage {
            keep(&mut self.message["usage"][name], count);
        }
    }
}

impl Block {
    fn take(&mut self, delta: &Value) {
        for field in ["text", "thinking", "signature"] {
            append(&mut self.block, field, &delta[field]);
        }
        self.input.push_str(delta["partial_json"].as_str().unwrap_or_default());
    }

    fn has_begun(&self) -> bool {
        let said =
            self.block["type"] == "text" && self.block["text"].as_str().is_some_and(|text| !text.is_empty());
        said || self.block["type"] == "tool_use"
    }

    fn whole(self) -> Value {
        let mut block = self.block;
        if !self.input.is_empty() && block.is_object() {
            block["input"] = self.input.into();
        }
        block
    }
}
