//! What the agent tells of its own work by spans of its own: it is heard before anything is decided by it.

use std::time::Duration;

use tokio::time::Instant;

use super::Simulation;
use crate::definitions::{Check, CheckRule};
use crate::execution::cassette::Tape;
use crate::execution::failure::RunFailure;
use crate::execution::limits::Wait;
use crate::execution::ports::RunSpan;
use crate::execution::types::{Conversation, Heard, SpanNote, TargetReport};

impl Simulation<'_> {
    /// What is to be heard of a reply whose call has `span`; `None` if nobody listens or the agent knows nothing of the
    /// trace. A replay listens to its tape.
    pub(super) fn report_of(&self, span: &dyn RunSpan, unknown: bool) -> Option<TargetReport> {
        let listens =
            self.trace.target_spans().is_some() || self.plan.tape.as_ref().is_some_and(Tape::replays);
        let is_told = listens && self.plan.target.continues_trace();
        is_told.then(|| TargetReport { span: hex::encode(span.context().span_id), unknown, heard: None })
    }

    /// Whether anybody looks at the agent's work at the end of this turn.
    pub(super) fn looks_at_target(&self, conversation: &Conversation) -> bool {
        let brief = &self.plan.brief;
        let is_judged = conversation.turn >= brief.min_turns && !self.criteria.is_empty();
        let is_required = |check: &Check| check.required && is_about_tools(check);
        is_judged || conversation.turn >= brief.max_turns || brief.scenario.checks.iter().any(is_required)
    }

    /// Listens where `check` looks at tools.
    pub(super) async fn hear_target_for(
        &self,
        check: &Check,
        conversation: &mut Conversation,
    ) -> Result<(), RunFailure> {
        if is_about_tools(check) { self.hear_target(conversation, self.trace.root()).await } else { Ok(()) }
    }

    /// Listens to what the agent tells of the replies that nobody has listened for yet. What comes later is too late, or
    /// the same conversation would be judged in different ways.
    pub(super) async fn hear_target(
        &self,
        conversation: &mut Conversation,
        span: &dyn RunSpan,
    ) -> Result<(), RunFailure> {
        for (index, report) in &mut conversation.reports {
            if report.heard.is_none() {
                let hear = self.listen(&report.span, span);
                report.heard = Some(match &self.plan.tape {
                    Some(tape) => tape.heard(*index, hear).await?,
                    None => hear.await,
                });
            }
        }
        Ok(())
    }

    /// The wait is no stall: nobody is to blame for it.
    async fn listen(&self, call: &str, span: &dyn RunSpan) -> Heard {
        let Some(spans) = self.trace.target_spans() else { return Heard::default() };
        let (heard, waited) = {
            let (_wait, began) = (Wait::begin(self.progress), Instant::now());
            (spans.below(call).await, began.elapsed())
        };
        span.note(note(&heard, waited));
        self.scrubbed(&heard)
    }

    /// An agent that tells its credentials must not put them before the judge.
    fn scrubbed(&self, heard: &Heard) -> Heard {
        let Ok(mut told) = serde_json::to_value(heard) else { return Heard::default() };
        self.plan.target.scrub(&mut told);
        serde_json::from_value(told).unwrap_or_default()
    }
}

fn note(heard: &Heard, waited: Duration) -> SpanNote {
    let spans = heard.work.len() as u64 + heard.left_out;
    SpanNote::TargetSpans { waited, spans, settled: heard.settled }
}

fn is_about_tools(check: &Check) -> bool {
    matches!(check.rule, CheckRule::Tool(_))
}
