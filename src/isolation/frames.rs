//! What worker and process say to each other: JSON, each behind its length in four bytes, big endian.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::plan::Plan;
use crate::events::TraceContext;
use crate::execution::cassette::{CallCounts, Exchange, Place, Recording};
use crate::execution::failure::Unavailable;
use crate::execution::limits::{Scope, Throttled};
use crate::execution::metering::{CallEnd, CallKind};
use crate::execution::ports::{JournalError, TraceNote};
use crate::execution::signals::StopReason;
use crate::execution::types::{Conversation, SpanCounts};
use crate::telemetry::ingress::Reception;
use crate::telemetry::metrics::SpanTally;

/// Which form the messages have. Both sides are the same program, so another version is a mistake of whoever started one.
pub(super) const VERSION: u32 = 1;
/// The largest message, in bytes (64 MiB): the largest that a broker takes as one is its own limit for what a run may store.
pub const MOST_FRAME_BYTES: usize = 64 * 1024 * 1024;

/// What the worker says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToChild {
    /// The run. It is the first message, and comes once.
    Plan(Box<Plan>),
    /// What a call came to.
    Answer {
        /// Which one.
        call: u64,
        /// What it came to.
        answer: Answer,
    },
    /// The run is to stop.
    Stop(StopReason),
    /// The worker stops soon: the last delivery of spans must be short.
    Hurry,
    /// Spans that the run's target sent.
    Received {
        /// Which ones; what becomes of them is said with it.
        number: u64,
        /// The spans as an export request, as base64: JSON would write each byte as a number.
        spans: String,
    },
}

/// What the process says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromChild {
    /// It asks for something and waits for the answer.
    Call {
        /// Its number; the answer has it too.
        id: u64,
        /// What is asked for.
        call: Call,
    },
    /// Whoever was called says that there are too many calls: see [`crate::execution::limits::Permit::refused`].
    Throttled {
        /// The number with which the call asked for its turn.
        call: u64,
        /// What they say.
        throttled: Throttled,
    },
    /// A call that asked for its turn is over, or waits for it no more.
    Over {
        /// Its number.
        call: u64,
    },
    /// A call to a model or a target is over: see [`crate::execution::metering::CallMeter::called`].
    Called {
        /// Who was called.
        kind: CallKind,
        /// How it ended.
        end: CallEnd,
        /// How long it took.
        took: Duration,
    },
    /// What became of spans that the run's target sent.
    Took {
        /// The number with which the worker sent them.
        number: u64,
        /// What became of them; `None` if the run takes none.
        reception: Option<Reception>,
    },
    /// The run got on.
    Moved,
    /// Something for the log.
    Log {
        /// How bad it is.
        level: LogLevel,
        /// What is said.
        text: String,
    },
    /// The plan cannot be read.
    Refused {
        /// Why.
        reason: String,
    },
    /// The run is over here. It is the last message.
    End {
        /// How.
        end: ChildEnd,
        /// What became of its spans.
        tally: SpanTally,
    },
}

/// What a process asks for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Call {
    /// The run begins: see [`crate::execution::ports::RunJournal::started`].
    Started(Box<Entry>),
    /// A step is finished: see [`crate::execution::ports::RunJournal::advanced`].
    Advanced(Box<Entry>),
    /// What the run's cassette holds.
    Recording,
    /// The run's recording is the cassette from now on.
    Publish(CallCounts),
    /// One call of the run's recording is kept.
    Keep(Place, Box<Exchange>),
    /// One call of the recording that is replayed.
    Recall(Place),
    /// The turn of a call that is limited.
    Permit(PermitCall),
    /// Spans that their endpoint has not taken are to be sent later: see [`crate::telemetry::spool::SpanSpool::keep`].
    Spool(Box<LateSpans>),
}

/// Spans that are to be sent later. Whose they are is for the worker to say.
#[derive(Serialize, Deserialize)]
pub(super) struct LateSpans {
    /// Their trace, as 32 hexadecimal digits.
    pub(super) trace_id: String,
    /// The root's context, for a run whose request brought one.
    #[serde(default)]
    pub(super) context: Option<TraceContext>,
    /// How many they are.
    pub(super) spans: u64,
    /// When they were put away.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    /// When their endpoint wants to hear more.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(super) not_before: Option<OffsetDateTime>,
    /// Whether the body is compressed.
    pub(super) gzip: bool,
    /// The body of the request that sends them, as base64: JSON would write each byte as a number.
    pub(super) body: String,
}

/// Which turn it is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PermitCall {
    /// A call in these scopes: see [`crate::execution::limits::Limiter::admit`].
    First(Vec<Scope>),
    /// The call with this number once more: see [`crate::execution::limits::Permit::again`].
    Again(u64),
}

/// What is stored of the run.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    /// How far it is.
    pub(super) conversation: Conversation,
    /// Its trace, as 32 hexadecimal digits.
    pub(super) trace_id: String,
    /// The root's context, for a run whose request brought one.
    #[serde(default)]
    pub(super) context: Option<TraceContext>,
}

/// What a call came to.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// It was not done.
    Refused(Refusal),
    /// There is no room for late spans.
    Full {
        /// Bytes that are kept.
        used: u64,
        /// Bytes that may be.
        most: u64,
    },
    /// What the cassette holds.
    Recording(Option<Recording>),
    /// What the recording says.
    Exchange(Option<Box<Exchange>>),
}

/// Why a call was not done.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    /// The run is another worker's.
    LeaseLost(String),
    /// What was to be stored has so many bytes.
    TooLarge(usize),
    /// Something did not answer.
    Unavailable {
        /// What was attempted.
        attempted: String,
        /// Why it failed.
        cause: String,
    },
}

/// How a run ended in its process.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChildEnd {
    /// What was stored last has everything that the outcome says.
    Outcome,
    /// It goes on elsewhere or later, with so many spans.
    Interrupted(Option<SpanCounts>),
}

/// How bad it is what a process says for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogLevel {
    /// Somebody has to look.
    Error,
    /// Somebody may want to look.
    Warn,
}

/// A message that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// It is too large.
    #[error("a message of {0} bytes is larger than one may be ({MOST_FRAME_BYTES} bytes)")]
    TooLarge(usize),
    /// It cannot be written as JSON.
    #[error("a message cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// The JSON of a message, without its length.
pub(super) fn encode(frame: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let bytes = serde_json::to_vec(frame)?;
    if bytes.len() > MOST_FRAME_BYTES { Err(FrameError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

/// The message of some JSON; the error names no content beyond what is needed to find the place.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

impl Entry {
    pub(super) fn new(conversation: &Conversation, note: &TraceNote) -> Box<Self> {
        let TraceNote { trace_id, context } = note.clone();
        Box::new(Self { conversation: conversation.clone(), trace_id, context })
    }
}

impl Answer {
    /// Why what was `attempted` is not done by this answer, which is none to it.
    pub(super) fn into_error(self, attempted: &str) -> JournalError {
        match self {
            Self::Refused(refusal) => refusal.into(),
            Self::Done | Self::Full { .. } | Self::Recording(_) | Self::Exchange(_) => {
                Unavailable::new(attempted, "it answered something else").into()
            }
        }
    }

    /// As [`Answer::into_error`], for who stores nothing of the run's state.
    pub(super) fn into_unavailable(self, attempted: &str) -> Unavailable {
        match self.into_error(attempted) {
            JournalError::Unavailable(unavailable) => unavailable,
            error => Unavailable::new(attempted, error),
        }
    }
}

impl From<&JournalError> for Refusal {
    fn from(error: &JournalError) -> Self {
        match error {
            JournalError::LeaseLost(why) => Self::LeaseLost(why.clone()),
            JournalError::TooLarge { bytes } => Self::TooLarge(*bytes),
            JournalError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<&Unavailable> for Refusal {
    fn from(error: &Unavailable) -> Self {
        Self::Unavailable {
            attempted: error.attempted.clone(),
            cause: crate::text::chain(error.source.as_ref()),
        }
    }
}

impl From<Refusal> for JournalError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::LeaseLost(why) => Self::LeaseLost(why),
            Refusal::TooLarge(bytes) => Self::TooLarge { bytes },
            Refusal::Unavailable { attempted, cause } => {
                Self::Unavailable(Unavailable::new(attempted, cause))
            }
        }
    }
}
