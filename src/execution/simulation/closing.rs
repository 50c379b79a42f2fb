//! The end of a run: what the judge, the checks and the script found, as one judgement.

use super::{Simulation, SimulationStop, observed};
use crate::events::{CriterionResult, CriterionStatus, Verdict};
use crate::execution::checks::{self, Finding, Standing};
use crate::execution::ports::RunSpan;
use crate::execution::types::{Conversation, Criterion, Judgement};

impl Simulation<'_> {
    /// Everything that was found, under a verdict that something other than the judge has come to. What does not hold
    /// fails the run all the same.
    pub(super) fn closing(&self, conversation: &Conversation, verdict: Verdict, reason: &str) -> Judgement {
        let mut criteria = conversation.passed.clone();
        criteria.extend(self.check_results(conversation));
        let found = Judgement::derive(criteria, reason.to_owned());
        if found.verdict == Verdict::Failure { found } else { Judgement { verdict, ..found } }
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
        let asked = !conversation.passed.is_empty() || !self.plan.brief.scenario.checks.is_empty();
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

    /// What the judge found, among what the checks and the script did.
    pub(super) fn with_findings(&self, conversation: &Conversation, judgement: Judgement) -> Judgement {
        let mut criteria = conversation.passed.clone();
        criteria.extend(judgement.criteria);
        criteria.extend(self.check_results(conversation));
        Judgement::derive(criteria, judgement.reasoning)
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
        let observed = observed(conversation);
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
        self.with_findings(conversation, Judgement::derive(criteria, reason.to_owned()))
    }

    fn check_results(&self, conversation: &Conversation) -> Vec<CriterionResult> {
        let checks = self.plan.brief.scenario.checks.iter();
        let observed = observed(conversation);
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
