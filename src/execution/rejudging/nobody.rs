//! Who stands where nobody is needed: says nothing, records nothing, traces nothing.

use async_trait::async_trait;

use crate::events::{Attribution, RunStarted, TelemetryReceipt, TraceContext};
use crate::execution::failure::{RunFailure, code};
use crate::execution::limits::Waiting;
use crate::execution::ports::{
    ChatModel, JournalError, RunJournal, RunSpan, RunTrace, TargetAdapter, TargetReply, TargetTurn, TraceNote,
};
use crate::execution::types::{
    ChatReply, ChatRequest, Conversation, ModelName, SpanCounts, SpanEnd, SpanStart,
};

/// Nobody.
pub(in crate::execution) struct Nobody(ModelName);

impl Default for Nobody {
    fn default() -> Self {
        Self(ModelName { provider: "nobody".to_owned(), model: "nobody".to_owned() })
    }
}

fn not_there() -> RunFailure {
    RunFailure::new(code::WORKER_PANIC, Attribution::Worker, "Somebody was asked who is not there")
}

#[async_trait]
impl ChatModel for Nobody {
    fn name(&self) -> &ModelName {
        &self.0
    }

    async fn chat_watched(&self, _: &ChatRequest, _: &dyn Waiting) -> Result<ChatReply, RunFailure> {
        Err(not_there())
    }
}

#[async_trait]
impl TargetAdapter for Nobody {
    async fn reply(&self, _: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        Err(not_there())
    }
}

#[async_trait]
impl RunJournal for Nobody {
    async fn started(&self, _: &Conversation, _: RunStarted, _: &TraceNote) -> Result<(), JournalError> {
        Ok(())
    }

    async fn advanced(&self, _: &Conversation, _: &TraceNote) -> Result<(), JournalError> {
        Ok(())
    }
}

impl RunSpan for Nobody {
    fn child(&self, _: SpanStart) -> Box<dyn RunSpan> {
        Box::new(Self::default())
    }

    fn context(&self) -> TraceContext {
        TraceContext { trace_id: [0; 16], span_id: [0; 8], flags: 0, state: String::new() }
    }

    fn end(self: Box<Self>, _: SpanEnd) {}
}

#[async_trait]
impl RunTrace for Nobody {
    fn trace_id(&self) -> String {
        String::new()
    }

    fn root(&self) -> &dyn RunSpan {
        self
    }

    async fn flush(&self) {}

    fn counts(&self) -> SpanCounts {
        SpanCounts::default()
    }

    async fn suspend(self: Box<Self>) -> SpanCounts {
        SpanCounts::default()
    }

    async fn finish(self: Box<Self>, _: SpanEnd) -> TelemetryReceipt {
        TelemetryReceipt::default()
    }
}
