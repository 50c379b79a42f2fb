//! The vocabulary of a run in progress.

mod brief;
mod chat;
mod conversation;
mod ending;
mod judgement;
pub mod judging;
mod model_name;
mod session;
mod span;
mod target_work;

pub use brief::Brief;
pub use chat::{
    AnswerForm, AnsweredCall, ChatMessage, ChatOptions, ChatReply, ChatRequest, ChatRole, Scene, SceneRole,
    SpecialTokens, ToolSpec,
};
pub use conversation::{Conversation, Message, OpenTurn, ScriptPosition, Step};
pub use ending::{Ending, Report};
pub use judgement::{Criterion, Judgement, MAX_QUOTE_BYTES, MAX_QUOTES};
pub use judging::{Ballot, Ballots, DECIDE_TOOL, FormKind, JudgeAnswer, Question, VERDICT_TOOL};
pub use model_name::{InvalidModelName, ModelName, ModelServer};
pub use session::Session;
pub use span::{SpanCounts, SpanEnd, SpanNote, SpanStart, TraceSpec};
pub use target_work::{Heard, TargetReport, TargetReports, TargetWork, WorkKind};
