//! When the judge is asked, and what comes of its answer.

use std::sync::Arc;

use super::judge::Case;
use super::unreached::asks_for_more;
use super::{Played, Simulation, SimulationStop};
use crate::definitions::Scenario;
use crate::events::Verdict;
use crate::execution::ports::RunSpan;
use crate::execution::types::{Conversation, Criterion, Judgement, Question, SpanEnd, SpanStart, Step};

impl Simulation<'_> {
    /// The judge's move in a turn: it may let the conversation go on, unless the turn is the last.
    pub(super) async fn judge_decides(&self, conversation: &mut Conversation, turn: &dyn RunSpan) -> Played {
        let brief = &self.plan.brief;
        if self.looks_at_target(conversation) {
            self.hear_target(conversation, turn).await?;
        }
        if let Some(reason) = self.broken_requirement(conversation) {
            let judgement = self.unjudged(conversation, &reason);
            return self.conclude(conversation, judgement).await.map(Some);
        }
        if conversation.turn >= brief.max_turns {
            let judgement = self.final_judgement(conversation, turn, None).await?;
            return Ok(Some(judgement));
        }
        if conversation.turn < brief.min_turns || self.criteria.is_empty() {
            return Ok(None);
        }
        self.unforced(conversation, turn).await
    }

    /// The judge says first whether there is enough, and is asked for the verdict only then. Whoever is content early ends
    /// this part of the script: what the script still asks for comes first.
    async fn unforced(&self, conversation: &mut Conversation, turn: &dyn RunSpan) -> Played {
        let criteria = Arc::clone(&self.criteria);
        match self.ask_judge(conversation, turn, &criteria, None, false).await? {
            Ruling::Final(judgement) => {
                if judgement.verdict == Verdict::Success && self.script_asks_for_more(conversation) {
                    conversation.script.turns_left = Some(0);
                    return Ok(None);
                }
                let judgement = self.with_findings(conversation, judgement);
                self.conclude(conversation, judgement).await.map(Some)
            }
            Ruling::Continue(_) => Ok(None),
        }
    }

    fn script_asks_for_more(&self, conversation: &Conversation) -> bool {
        asks_for_more(&self.plan.brief.scenario.script, conversation.script.step)
    }

    /// Has `criteria` judged on what was said so far, wherever the conversation stands.
    pub(super) async fn hear_now(
        &self,
        conversation: &mut Conversation,
        span: &dyn RunSpan,
        criteria: &Arc<[Criterion]>,
        context: Option<&str>,
    ) -> Result<Judgement, SimulationStop> {
        self.hear_target(conversation, span).await?;
        match self.ask_judge(conversation, span, criteria, context, true).await? {
            Ruling::Final(judgement) => Ok(self.concluded(conversation, judgement)),
            Ruling::Continue(reasoning) => Ok(Judgement::derive(Vec::new(), reasoning)),
        }
    }

    /// Judges what was said so far, wherever the conversation was broken off.
    pub(crate) async fn judge_now(
        &self,
        conversation: &mut Conversation,
    ) -> Result<Judgement, SimulationStop> {
        self.judged_on_all(conversation, self.trace.root(), None).await
    }

    /// Only the last turn ends without conclusion; a judge that may wait goes on instead.
    pub(super) fn concluded(&self, conversation: &Conversation, mut judgement: Judgement) -> Judgement {
        let max_turns = self.plan.brief.max_turns;
        if judgement.verdict == Verdict::Inconclusive && conversation.turn >= max_turns {
            let reasoning = &judgement.reasoning;
            judgement.reasoning =
                format!("Reached maximum turns ({max_turns}) without conclusion. {reasoning}");
        }
        judgement
    }

    async fn ask_judge(
        &self,
        conversation: &mut Conversation,
        turn: &dyn RunSpan,
        criteria: &Arc<[Criterion]>,
        context: Option<&str>,
        must_rule: bool,
    ) -> Result<Ruling, SimulationStop> {
        let messages = &Arc::from(conversation.messages.as_slice());
        let span =
            turn.child(SpanStart::Judge { transcript: Arc::clone(messages), criteria: Arc::clone(criteria) });
        let Scenario { situation, judge: sampling, .. } = &self.plan.brief.scenario;
        let (turn, span_ref) = (conversation.turn, span.as_ref());
        let reports = &conversation.reports.clone();
        let case = Case { situation, context, criteria, turn, messages, reports, sampling, span: span_ref };
        let ruling = self.hear(conversation, &case, must_rule).await;
        span.end(end_of(&ruling));
        ruling
    }

    /// Whether there is enough is asked first, and its answer is kept before the verdict is asked for. Inconclusive with
    /// nothing unmet goes on where it may: it may still come.
    async fn hear(
        &self,
        conversation: &mut Conversation,
        case: &Case<'_>,
        must_rule: bool,
    ) -> Result<Ruling, SimulationStop> {
        if conversation.next == Step::Judge && !must_rule {
            let round = self.ask_all(conversation, case, Question::NextStep).await?;
            if let Some(reasoning) = round.more_wanted() {
                return Ok(Ruling::Continue(reasoning));
            }
            conversation.next = Step::Verdict;
            self.record(conversation).await?;
        }
        let judgement = self.ask_all(conversation, case, Question::Verdict).await?.judgement(case.criteria);
        if judgement.verdict == Verdict::Inconclusive && !must_rule {
            return Ok(Ruling::Continue(judgement.reasoning));
        }
        Ok(Ruling::Final(judgement))
    }
}

/// What judging came to in one turn.
enum Ruling {
    /// The conversation goes on.
    Continue(String),
    /// There is a judgement.
    Final(Judgement),
}

fn end_of(ruling: &Result<Ruling, SimulationStop>) -> SpanEnd {
    match ruling {
        Ok(Ruling::Final(judgement)) => SpanEnd::Judged(judgement.clone()),
        Ok(Ruling::Continue(reasoning)) => SpanEnd::Continued { reasoning: reasoning.clone() },
        Err(SimulationStop::Failure(failure)) => failure.into(),
        Err(SimulationStop::Journal(_)) => SpanEnd::Done,
    }
}
