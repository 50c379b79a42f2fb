//! The end of a run: what the judge, the checks and the script found, as one judgement.

use super::unreached::unreached;
use super::{Simulation, SimulationStop, seen};
use crate::events::{CriterionResult, CriterionStatus, Verdict};
use crate::execution::checks::{self, Finding, Standing};
use crate::execution::ports::RunSpan;
use crate::execution::types::{Conversation, Criterion, Judgement};
use crate::text::cut;

/// The most that is repeated of a criterion's text, in bytes.
const SHOWN_TEXT_BYTES: usize = 160;
/// The most that is repeated of why a criterion is not met, in bytes.
const SHOWN_REASON_BYTES: usize = 512;

impl Simulation<'_> {
    /// Everything that was found, under a verdict that something other than the judge has come to. What does not hold
    /// fails the run all the same, and is then the reason.
    pub(super) fn closing(&self, conversation: &Conversation, verdict: Verdict, reason: &str) -> Judgement {
        let found = Judgement::derive(self.results(conversation, Vec::new()), reason.to_owned());
        match shortcomings(&found.criteria) {
            None => Judgement { verdict, ..found },
            Some(reasoning) if verdict == Verdict::Success => Judgement { reasoning, ..found },
            Some(more) => {
                let verdict = if verdict == Verdict::Failure { verdict } else { found.verdict };
                Judgement { verdict, reasoning: format!("{reason} {more}"), ..found }
            }
        }
    }

    /// The scenario is judged for good, and that is kept.
    pub(super) async fn final_judgement(
        &self,
        conversation: &mut Conversation,
        span: &dyn RunSpan,
        context: Option<&str>,
    ) -> Result<Judgement, SimulationStop> {
        let judgement = self.judged_on_all(conversation, span, context).await?;
        self.conclude(conversation, judgement).await
    }

    /// The checks first, and where a required one fails, the checks alone; else what the judge says, too.
    pub(super) async fn judged_on_all(
        &self,
        conversation: &mut Conversation,
        span: &dyn RunSpan,
        context: Option<&str>,
    ) -> Result<Judgement, SimulationStop> {
        self.hear_target(conversation, span).await?;
        if let Some(reason) = self.unmet_requirement(conversation) {
            return Ok(self.unjudged(conversation, &reason));
        }
        if self.criteria.is_empty() {
            return Ok(self.findings_alone(conversation));
        }
        let criteria = self.criteria.clone();
        let judgement = self.hear_now(conversation, span, &criteria, context).await?;
        Ok(self.with_findings(conversation, judgement))
    }

    /// What the checks and the script alone say, where there is no criterion for the judge. Where they ask for nothing,
    /// nothing was shown: such a run must not pass.
    pub(super) fn findings_alone(&self, conversation: &Conversation) -> Judgement {
        let asked = !self.results(conversation, Vec::new()).is_empty();
        let (verdict, reason) =
            if asked { (Verdict::Success, ALL_HELD) } else { (Verdict::Inconclusive, NOTHING_ASKED) };
        let judgement = self.closing(conversation, verdict, reason);
        self.concluded(conversation, judgement)
    }

    /// The last turn is over, so there has to be a judgement on what there is.
    pub(super) async fn last_word(
        &self,
        conversation: &mut Conversation,
    ) -> Result<Option<Judgement>, SimulationStop> {
        let judgement = self.final_judgement(conversation, self.trace.root(), None).await?;
        Ok(Some(judgement))
    }

    /// What the judge found, among what the checks and the script did. The judge's words are about its own criteria, so
    /// what else does not hold is said behind them.
    pub(super) fn with_findings(&self, conversation: &Conversation, judgement: Judgement) -> Judgement {
        let others = shortcomings(&self.results(conversation, Vec::new()));
        let reasoning = match others {
            Some(others) => format!("{} {others}", judgement.reasoning),
            None => judgement.reasoning,
        };
        Judgement::derive(self.results(conversation, judgement.criteria), reasoning)
    }

    /// Everything that decides the run, in the order of the outcome: what the script has had found, the judge's criteria,
    /// the checks, and what the script did not come to.
    fn results(&self, conversation: &Conversation, of_judge: Vec<CriterionResult>) -> Vec<CriterionResult> {
        let mut results = conversation.passed.clone();
        results.extend(of_judge);
        results.extend(self.check_results(conversation));
        results.extend(unreached(&self.plan.brief.scenario.script, conversation.script.step));
        results
    }

    /// A required check that does not hold, in words.
    fn unmet_requirement(&self, conversation: &Conversation) -> Option<String> {
        self.required(conversation, |standing| standing != Standing::Holds)
    }

    /// A required check that cannot hold any more, whatever is still said, in words.
    pub(super) fn broken_requirement(&self, conversation: &Conversation) -> Option<String> {
        self.required(conversation, |standing| standing == Standing::Broken)
    }

    fn required(&self, conversation: &Conversation, is_unmet: impl Fn(Standing) -> bool) -> Option<String> {
        let seen = seen(conversation);
        let observed = seen.observed();
        let mut required = self.plan.brief.scenario.checks.iter().filter(|check| check.required);
        required.find_map(|check| {
            let Finding { standing, reasoning, .. } = checks::examine(check, &observed);
            is_unmet(standing).then(|| format!("The required check “{}” fails: {reasoning}", check.title()))
        })
    }

    /// The judge is not paid for a run that has failed already; its criteria stay undecided.
    pub(super) fn unjudged(&self, conversation: &Conversation, reason: &str) -> Judgement {
        let undecided = |criterion: &Criterion| {
            let reasoning = "Not judged, because a required check fails.";
            CriterionResult::new(&criterion.id, &criterion.text, CriterionStatus::Inconclusive, reasoning)
        };
        let criteria = self.criteria.iter().map(undecided).collect();
        Judgement::derive(self.results(conversation, criteria), reason.to_owned())
    }

    fn check_results(&self, conversation: &Conversation) -> Vec<CriterionResult> {
        let checks = self.plan.brief.scenario.checks.iter();
        let seen = seen(conversation);
        let observed = seen.observed();
        (1..)
            .zip(checks)
            .map(|(n, check): (u32, _)| checks::result(format!("check{n}"), check, &observed))
            .collect()
    }
}

/// Why a run without criteria has passed.
const ALL_HELD: &str = "Everything that the scenario asks for holds.";
/// Why a run comes to no conclusion whose scenario asks for nothing.
const NOTHING_ASKED: &str = "Ended without conclusion, because the scenario has neither criteria nor checks";

/// What is not met, in words: the first whole, of the others how many there are.
fn shortcomings(results: &[CriterionResult]) -> Option<String> {
    let mut short = results.iter().filter(|result| result.status != CriterionStatus::Met);
    let first = short.next()?;
    let (text, status) = (cut(&first.text, SHOWN_TEXT_BYTES), in_words(first.status));
    let reason = cut(&first.reasoning, SHOWN_REASON_BYTES);
    Some(match short.count() {
        0 => format!("“{text}” is {status}: {reason}"),
        more => format!("“{text}” is {status}, and {more} more: {reason}"),
    })
}

fn in_words(status: CriterionStatus) -> &'static str {
    match status {
        CriterionStatus::Met => "met",
        CriterionStatus::Unmet => "unmet",
        CriterionStatus::Inconclusive => "inconclusive",
    }
}
