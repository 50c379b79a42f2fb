//! A target whose calls are on tape.

use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Tape;
use crate::execution::failure::RunFailure;
use crate::execution::limits::{Admission, Both, TotalWait};
use crate::execution::ports::{SessionCall, TargetAdapter, TargetQuestions, TargetReply, TargetTurn};
use crate::execution::types::Session;

/// The lane of the agent under test.
const LANE: &str = "the target";
/// The lane of the beginning of its session.
const SESSION_LANE: &str = "the target's session";

/// What the target is asked in its own terms: the call of a model, a request.
const CALL_FIELD: &str = "call";

/// A target that is recorded, or only the recording of one.
pub(super) struct TapedTarget {
    tape: Tape,
    behind: Option<Box<dyn TargetAdapter>>,
    /// Where nobody is behind: what would be asked.
    questions: Option<Box<dyn TargetQuestions>>,
}

impl TapedTarget {
    pub(super) fn recorded(tape: Tape, behind: Box<dyn TargetAdapter>) -> Self {
        Self { tape, behind: Some(behind), questions: None }
    }

    pub(super) fn replayed(tape: Tape, questions: Option<Box<dyn TargetQuestions>>) -> Self {
        Self { tape, behind: None, questions }
    }

    fn call(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        match &self.behind {
            Some(target) => target.asked(turn),
            None => self.questions.as_ref()?.asked(turn),
        }
    }
}

#[async_trait]
impl TargetAdapter for TapedTarget {
    /// Whoever replays a run has nobody behind; what each reply does not tell of its tools is on the tape with it.
    fn behind(&self) -> Option<&dyn TargetAdapter> {
        self.behind.as_deref()
    }

    /// Whoever replays a run finds on the tape what was heard of the agent's own spans, if anything was.
    fn continues_trace(&self) -> bool {
        self.behind.as_ref().is_none_or(|target| target.continues_trace())
    }

    fn asked(&self, turn: &TargetTurn<'_>) -> Option<Value> {
        self.call(turn)
    }

    /// Whoever replays a run has nobody to begin a session with; only that it could not begin is on the tape.
    async fn begin(&self, call: SessionCall<'_>) -> Result<Option<Session>, RunFailure> {
        let asked = json!({ "session": "begin" });
        let ask = self.behind.as_ref().map(|target| target.begin(call));
        self.tape.attempt(SESSION_LANE, asked, ask).await.map(Option::flatten)
    }

    async fn reply(&self, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
        let asked = asked(&turn, self.call(&turn));
        let ask = self.behind.as_ref().map(|target| timed(target.as_ref(), turn));
        self.tape.exchange(LANE, asked, ask).await
    }
}

/// The time that the agent took is on the tape, too, and whether it tells of its tools: checks may look at both. Waiting for
/// the turn is no part of it.
async fn timed(target: &dyn TargetAdapter, turn: TargetTurn<'_>) -> Result<TargetReply, RunFailure> {
    let (began, waited) = (Instant::now(), TotalWait::default());
    let told = Both(turn.admission.waiting(), &waited);
    let mut reply = target.reply(TargetTurn { admission: Admission::watched_by(&told), ..turn }).await?;
    reply.latency.get_or_insert_with(|| began.elapsed().saturating_sub(waited.get()));
    reply.tool_calls_unknown |= !target.reports_tool_calls();
    Ok(reply)
}

/// What the agent hears, and how it is asked. When it was said and by which run is another matter in every run.
fn asked(turn: &TargetTurn<'_>, call: Option<Value>) -> Value {
    let said = turn.transcript.iter().map(|message| {
        json!({ "role": message.role, "content": message.content, "toolCalls": message.tool_calls })
    });
    let mut asked = json!({ "turn": turn.turn, "transcript": said.collect::<Vec<_>>() });
    if let Some(call) = call {
        asked[CALL_FIELD] = call;
    }
    asked
}

/// What was `recorded` and what is `asked` as far as both can be known. Where nobody can say how the target is asked, or
/// could when it was recorded, what it hears decides.
pub(super) fn comparable(recorded: &Value, asked: &Value) -> (Value, Value) {
    let (mut recorded, mut asked) = (recorded.clone(), asked.clone());
    if recorded.get(CALL_FIELD).is_none() || asked.get(CALL_FIELD).is_none() {
        for side in [&mut recorded, &mut asked] {
            side.as_object_mut().map(|side| side.shift_remove(CALL_FIELD));
        }
    }
    (recorded, asked)
}
