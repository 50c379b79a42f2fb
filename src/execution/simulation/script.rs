//! The script: which part of the conversation comes next. Without one the conversation goes on by itself.

use super::{Played, Simulation, SimulationStop, seen};
use crate::definitions::{Check, JudgeStep, ProceedStep, ScriptMessage, ScriptStep};
use crate::events::{CriterionStatus, MessageRole, Verdict};
use crate::execution::checks;
use crate::execution::ports::{RunSpan, TargetReply};
use crate::execution::types::{Conversation, Criterion, Judgement, Step};

/// Why a run ends that a script ends.
const SUCCEEDED: &str = "The script ends the run as passed.";
const FAILED: &str = "The script ends the run as failed.";

impl Simulation<'_> {
    /// Plays the steps from wherever the script stands.
    pub(super) async fn follow_script(
        &self,
        conversation: &mut Conversation,
    ) -> Result<Judgement, SimulationStop> {
        let script = &self.plan.brief.scenario.script;
        if script.is_empty() {
            let whole = ProceedStep::default();
            if let Some(judgement) = self.proceed(conversation, &whole).await? {
                return Ok(judgement);
            }
        }
        while let Some(step) = script.get(conversation.script.step) {
            if let Some(judgement) = self.step(conversation, step).await? {
                return Ok(judgement);
            }
        }
        self.end_of_script(conversation).await
    }

    async fn step(&self, conversation: &mut Conversation, step: &ScriptStep) -> Played {
        match step {
            ScriptStep::User(None) => self.one_move(conversation, Step::UserSimulator).await,
            ScriptStep::Agent(None) => self.one_move(conversation, Step::Target).await,
            ScriptStep::User(Some(words)) => self.said(conversation, MessageRole::User, words).await,
            ScriptStep::Agent(Some(words)) => self.said(conversation, MessageRole::Assistant, words).await,
            ScriptStep::Message(ScriptMessage { role, content }) => {
                self.said(conversation, *role, content).await
            }
            ScriptStep::Judge(judge) => self.judge_step(conversation, judge).await,
            ScriptStep::Proceed(proceed) => self.proceed(conversation, proceed).await,
            ScriptStep::Check(check) => self.check_step(conversation, check).await,
            ScriptStep::Succeed(reason) => {
                self.end(conversation, Verdict::Success, reason.as_deref().unwrap_or(SUCCEEDED)).await
            }
            ScriptStep::Fail(reason) => {
                self.end(conversation, Verdict::Failure, reason.as_deref().unwrap_or(FAILED)).await
            }
        }
    }

    /// Somebody's own move, once.
    async fn one_move(&self, conversation: &mut Conversation, role: Step) -> Played {
        if !self.give_floor(conversation, role) {
            return self.last_word(conversation).await;
        }
        let span = self.turn_span(conversation);
        let moved = self.moved(conversation, role, span.as_ref()).await;
        self.end_turn(span, moved).await
    }

    async fn moved(&self, conversation: &mut Conversation, role: Step, span: &dyn RunSpan) -> Played {
        self.speaks(conversation, role, span).await?;
        self.next_step(conversation).await
    }

    /// Words that stand in the script. Nobody is asked, and a tool's result is nobody's move.
    async fn said(&self, conversation: &mut Conversation, role: MessageRole, words: &str) -> Played {
        let mover = match role {
            MessageRole::User => Some(Step::UserSimulator),
            MessageRole::Assistant => Some(Step::Target),
            MessageRole::Tool => None,
        };
        if let Some(mover) = mover
            && !self.give_floor(conversation, mover)
        {
            return self.last_word(conversation).await;
        }
        self.append(conversation, role, TargetReply { content: words.to_owned(), ..TargetReply::default() })?;
        if let Some(mover) = mover {
            conversation.next = mover.after();
        }
        self.next_step(conversation).await
    }

    async fn judge_step(&self, conversation: &mut Conversation, step: &JudgeStep) -> Played {
        if step.criteria.is_empty() {
            return self
                .final_judgement(conversation, self.trace.root(), step.context.as_deref())
                .await
                .map(Some);
        }
        let criteria = Criterion::of_step(conversation.script.step, &step.criteria).into();
        let judgement =
            self.hear_now(conversation, self.trace.root(), &criteria, step.context.as_deref()).await?;
        if judgement.verdict != Verdict::Success {
            return self.broken_off(conversation, judgement).await;
        }
        conversation.passed.extend(judgement.criteria);
        self.next_step(conversation).await
    }

    async fn check_step(&self, conversation: &mut Conversation, check: &Check) -> Played {
        let id = Criterion::id_of_step(conversation.script.step);
        self.hear_target_for(check, conversation).await?;
        let result = checks::result(id, check, &seen(conversation).observed());
        if result.status != CriterionStatus::Met {
            let reasoning = result.reasoning.clone();
            return self.broken_off(conversation, Judgement::derive(vec![result], reasoning)).await;
        }
        conversation.passed.push(result);
        self.next_step(conversation).await
    }

    /// A step that does not hold ends the run, with everything that held before it.
    async fn broken_off(&self, conversation: &mut Conversation, judgement: Judgement) -> Played {
        let mut criteria = std::mem::take(&mut conversation.passed);
        criteria.extend(judgement.criteria);
        let judgement = Judgement::derive(criteria, judgement.reasoning);
        self.conclude(conversation, judgement).await.map(Some)
    }

    async fn end(&self, conversation: &mut Conversation, verdict: Verdict, reason: &str) -> Played {
        self.hear_target(conversation, self.trace.root()).await?;
        let judgement = self.closing(conversation, verdict, reason);
        self.conclude(conversation, judgement).await.map(Some)
    }

    /// What the scenario asks for is judged, if nothing else has ended the run.
    async fn end_of_script(&self, conversation: &mut Conversation) -> Result<Judgement, SimulationStop> {
        if !self.criteria.is_empty() {
            return self.final_judgement(conversation, self.trace.root(), None).await;
        }
        self.hear_target(conversation, self.trace.root()).await?;
        let judgement = self.findings_alone(conversation);
        self.conclude(conversation, judgement).await
    }

    async fn next_step(&self, conversation: &mut Conversation) -> Played {
        step_done(conversation);
        self.record(conversation).await?;
        Ok(None)
    }
}

/// The script goes on behind its present step.
pub(super) fn step_done(conversation: &mut Conversation) {
    conversation.script.step += 1;
    conversation.script.turns_left = None;
}
