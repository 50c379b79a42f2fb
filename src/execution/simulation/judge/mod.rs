//! A judge: one model that is asked whether to go on, or what every criterion comes to.

mod answer;
mod decision;
mod evidence;
mod excerpt;
mod folding;
pub(super) mod panel;
mod prompt;
mod sampling;
mod verdict;

use std::borrow::Cow;
use std::sync::Arc;

use self::evidence::Source;
use crate::definitions::Sampling;
use crate::events::{Attribution, TokenUsage};
use crate::execution::chat::{chat_in_span, usage_of};
use crate::execution::failure::{RunFailure, code};
use crate::execution::ports::{ChatModel, RunSpan};
use crate::execution::simulation::transcript;
use crate::execution::types::{
    ChatOptions, ChatReply, ChatRequest, Criterion, FormKind, JudgeAnswer, Message, Question, Scene,
    SceneRole, TargetReport, TargetReports, ToolSpec,
};
use crate::text::cut;

/// How often a judge is asked in one form: a model may fail once at what it can do.
const ATTEMPTS_PER_FORM: u32 = 2;
/// How much of an answer that cannot be read is told, in bytes.
const MAX_TOLD_BYTES: usize = 200;

/// What there is to judge: the same for every judge of a panel.
pub(super) struct Case<'a> {
    /// Context, not fact.
    pub(super) situation: &'a str,
    /// What the judge should know beside the transcript.
    pub(super) context: Option<&'a str>,
    /// What is decided.
    pub(super) criteria: &'a Arc<[Criterion]>,
    /// The turn, from 1.
    pub(super) turn: u32,
    /// What was said.
    pub(super) messages: &'a Arc<[Message]>,
    /// What the agent reports of its replies.
    pub(super) reports: &'a TargetReports,
    /// How the model is to think.
    pub(super) sampling: &'a Sampling,
    /// The span of the judging.
    pub(super) span: &'a dyn RunSpan,
}

/// What came of asking a judge.
pub(super) struct Asked {
    /// Its answer, or why there is none.
    pub(super) answer: Result<JudgeAnswer, RunFailure>,
    /// The form in which it answered, if it did.
    pub(super) form: Option<FormKind>,
    /// What all calls used, whatever came of them.
    pub(super) usage: TokenUsage,
}

/// How far an answer can be used.
enum Reading {
    /// It says everything.
    Complete(JudgeAnswer),
    /// It leaves something out, or contradicts itself.
    Partial(JudgeAnswer),
}

/// One model that judges a case.
pub(super) struct Judge<'a> {
    /// The model.
    pub(super) model: &'a dyn ChatModel,
    /// The form in which it is asked first.
    pub(super) form: FormKind,
    /// What there is to judge.
    pub(super) case: &'a Case<'a>,
}

/// A question on its way: what it has cost, and what was heard last.
struct Asking {
    question: Question,
    tool: ToolSpec,
    usage: TokenUsage,
    heard: String,
}

impl Asking {
    fn over(self, answer: Result<JudgeAnswer, RunFailure>, form: Option<FormKind>) -> Asked {
        Asked { answer, form, usage: self.usage }
    }
}

/// Everything that the judge was shown and may repeat.
fn quotable<'a>(messages: &'a [Message], reports: &'a TargetReports) -> Vec<Cow<'a, str>> {
    let said = messages.iter().map(|message| Cow::Borrowed(message.content.as_str()));
    let work = reports.values().flat_map(TargetReport::work);
    said.chain(work.map(|work| Cow::Owned(transcript::work_in_words(work)))).collect()
}

impl Judge<'_> {
    /// Asks, in one form after the other, until there is an answer that can be read. If there is none, the failure in
    /// the plainest form is told: nothing about the form can be to blame for it.
    pub(super) async fn ask(&self, question: Question) -> Asked {
        let (usage, heard) = (TokenUsage::default(), String::new());
        let mut asking = Asking { question, tool: self.tool(question), usage, heard };
        let mut refusal = None;
        for form in FormKind::ALL.into_iter().filter(|form| *form >= self.form) {
            match self.ask_in(form, &mut asking).await {
                Ok(Some(answer)) => return asking.over(Ok(answer), Some(form)),
                Err(failure) if !failure.refused => return asking.over(Err(failure), None),
                Err(failure) => refusal = Some(failure),
                Ok(None) => refusal = None,
            }
        }
        let failure = refusal.unwrap_or_else(|| self.unanswered(&asking));
        asking.over(Err(failure), None)
    }

    /// Asks in one form. Whoever leaves something out, or says two things of it, is asked once more; what is still left
    /// out then is unmet, and what is still contradicted is inconclusive.
    async fn ask_in(&self, form: FormKind, asking: &mut Asking) -> Result<Option<JudgeAnswer>, RunFailure> {
        let mut partial = None;
        for attempt in 0..ATTEMPTS_PER_FORM {
            let request = self.request(form, asking, attempt > 0);
            let reply = chat_in_span(self.model, request, self.case.span).await;
            asking.usage.add(usage_of(&reply));
            let reply = reply?;
            match self.read(&reply, asking) {
                Some(Reading::Complete(answer)) => return Ok(Some(answer)),
                Some(Reading::Partial(answer)) => partial = Some(answer),
                None => asking.heard = reply.content,
            }
        }
        Ok(partial)
    }

    /// What can be read of a reply, of all its answers together: none of them counts more than the others.
    fn read(&self, reply: &ChatReply, asking: &Asking) -> Option<Reading> {
        let Case { criteria, messages, reports, .. } = self.case;
        let answers = answer::candidates(reply, &asking.tool.name, &quotable(messages, reports));
        match asking.question {
            Question::NextStep => decision::read(&answers),
            Question::Verdict => verdict::read(&answers, criteria, &Source::new(messages).with(reports)),
        }
    }

    fn tool(&self, question: Question) -> ToolSpec {
        match question {
            Question::NextStep => decision::tool(),
            Question::Verdict => verdict::tool(self.case.criteria),
        }
    }

    fn request(&self, form: FormKind, asking: &Asking, again: bool) -> ChatRequest {
        let Case { criteria, turn, messages: transcript, sampling: asked, .. } = self.case;
        let (transcript, criteria) = (Arc::clone(transcript), Arc::clone(criteria));
        ChatRequest {
            messages: prompt::messages(self.case, asking.question, &asking.tool, form, again),
            form: form.of(asking.tool.clone()),
            sampling: sampling::sampling(asked, self.model.name()),
            options: ChatOptions::default(),
            scene: Scene { role: SceneRole::Judge, turn: *turn, transcript, criteria },
        }
    }

    fn unanswered(&self, asking: &Asking) -> RunFailure {
        let (model, turn, tool, calls) =
            (self.model.name(), self.case.turn, &asking.tool.name, asking.usage.calls);
        let heard = match asking.heard.trim() {
            "" => "with nothing".to_owned(),
            words => format!("with “{}”", cut(words, MAX_TOLD_BYTES)),
        };
        let message = format!(
            "The judge ({model}) gave no answer that can be read as `{tool}` in turn {turn}: it was asked {calls} times, \
             last answered {heard}"
        );
        RunFailure::new(code::JUDGE_NO_VERDICT, Attribution::Judge, message)
            .with_hint("Choose a model for the judge that can call tools or answer with JSON.")
    }
}
