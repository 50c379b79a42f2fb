//! What a run's trace records, in the run's own terms. How it becomes spans is the telemetry room's business.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{ChatReply, ChatRequest, Criterion, Judgement, Message, ModelName, ModelServer};
use crate::definitions::TelemetryDestination;
use crate::events::{
    DeliveryFailure, MAX_DELIVERY_FAILURES, RunRequest, TargetRef, TelemetryReceipt, TokenUsage, ToolCall,
};

/// Spans of a run so far, over all workers that it was on. The root is not counted before it has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanCounts {
    /// Made, those included that the target sent itself.
    pub made: u64,
    /// How many of them the target sent itself.
    #[serde(default)]
    pub received: u64,
    /// Accepted by the endpoint.
    pub exported: u64,
    /// Refused by the endpoint for good.
    #[serde(default)]
    pub rejected: u64,
    /// Kept, to be sent later.
    #[serde(default)]
    pub spooled: u64,
    /// Given up.
    #[serde(default)]
    pub undelivered: u64,
    /// Why some of them were not accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<DeliveryFailure>,
    /// What the endpoint had to say about those that it accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl SpanCounts {
    /// The receipt of a run with these spans, `unconfirmed` of which nobody has said what became; without the line for
    /// people.
    #[must_use]
    pub fn receipt(self, trace_id: Option<String>, unconfirmed: u64) -> TelemetryReceipt {
        let Self {
            made: spans,
            received,
            exported,
            rejected,
            spooled,
            undelivered,
            failures: errors,
            warnings,
        } = self;
        let receipt =
            TelemetryReceipt { trace_id, spans, received, exported, rejected, spooled, ..Default::default() };
        TelemetryReceipt { undelivered, unconfirmed, errors, warnings, ..receipt }
    }

    /// Those of which nobody has said what became of them.
    #[must_use]
    pub fn unconfirmed(&self) -> u64 {
        self.made.saturating_sub(self.exported + self.rejected + self.spooled + self.undelivered)
    }

    /// Those that were not accepted, for which no reason is known.
    #[must_use]
    pub fn unexplained(&self) -> u64 {
        let explained: u64 = self.failures.iter().map(|failure| failure.spans).sum();
        self.made.saturating_sub(self.exported + explained)
    }

    /// Those of which nobody has said what became of them, nor why: their worker was lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.unconfirmed().min(self.unexplained())
    }

    /// Takes note of what the endpoint had to say, once.
    pub fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_DELIVERY_FAILURES && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for failure in other.failures {
            let spans = failure.spans;
            failure.blame(&mut self.failures, spans);
        }
        for warning in other.warnings {
            self.warn(warning);
        }
        Self {
            made: self.made + other.made,
            received: self.received + other.received,
            exported: self.exported + other.exported,
            rejected: self.rejected + other.rejected,
            spooled: self.spooled + other.spooled,
            undelivered: self.undelivered + other.undelivered,
            ..self
        }
    }
}

/// What a run's trace is about and where it goes.
#[derive(Debug, Clone)]
pub struct TraceSpec {
    /// The request; its parent decides how the root is connected.
    pub request: Arc<RunRequest>,
    /// The scenario's name.
    pub scenario_name: String,
    /// The scenario's labels.
    pub labels: Vec<String>,
    /// Which delivery this is, from 1.
    pub attempt: u32,
    /// Spans of earlier deliveries.
    pub earlier: SpanCounts,
    /// When the run began.
    pub started_at: OffsetDateTime,
    /// Where the spans go; `None` is the worker's default, if it has one.
    pub destination: Option<TelemetryDestination>,
}

/// A piece of work that begins.
#[derive(Debug, Clone)]
pub enum SpanStart {
    /// A turn, from 1.
    Turn {
        /// Its number.
        number: u32,
    },
    /// The customer thinks of something to say.
    UserSimulator {
        /// What was said so far.
        transcript: Arc<[Message]>,
    },
    /// The agent under test is asked.
    Target {
        /// The agent.
        target: TargetRef,
        /// What was said so far, the line to answer last.
        transcript: Arc<[Message]>,
    },
    /// The judge is asked.
    Judge {
        /// What was said so far.
        transcript: Arc<[Message]>,
        /// What it decides.
        criteria: Arc<[Criterion]>,
    },
    /// A model is called, for whatever role the parent has.
    Chat {
        /// The model.
        model: ModelName,
        /// Who serves it, where that is known.
        server: Option<ModelServer>,
        /// What is asked of it.
        request: Arc<ChatRequest>,
    },
    /// A tool that a model called answers.
    Tool {
        /// The call.
        call: ToolCall,
    },
}

/// What happened in the middle of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanNote {
    /// Variables that a prompt declares and nothing was found for.
    UnboundInputs {
        /// Their names.
        names: Vec<String>,
    },
    /// The agent's session could not be ended.
    SessionNotEnded {
        /// Stable code.
        code: String,
        /// What happened.
        message: String,
    },
    /// A call had to wait for its turn.
    Waited {
        /// For how long.
        waited: Duration,
    },
    /// It was waited for spans that the agent sends itself.
    TargetSpans {
        /// For how long.
        waited: Duration,
        /// How many of them tell of the reply.
        spans: u64,
        /// Whether they are all there, as far as one can tell.
        settled: bool,
    },
}

/// How a piece of work ended.
#[derive(Debug, Clone)]
pub enum SpanEnd {
    /// It is over; there is nothing more to say.
    Done,
    /// Somebody said something.
    Said {
        /// What was said.
        content: String,
        /// The tools that were called.
        tool_calls: Vec<ToolCall>,
        /// Tokens that the speaker reports.
        usage: TokenUsage,
        /// How long the first words took, where they came bit by bit.
        first_chunk: Option<Duration>,
    },
    /// A model answered.
    Replied(ChatReply),
    /// A tool answered.
    Executed {
        /// What.
        result: String,
    },
    /// The judge wants to hear more.
    Continued {
        /// Why.
        reasoning: String,
    },
    /// The judge, or the run, came to a judgement.
    Judged(Judgement),
    /// It failed.
    Failed {
        /// Stable code.
        code: String,
        /// What happened.
        message: String,
    },
}
