//! Judging a finished run again, by other criteria or another judge. Nobody but the judge is asked, nothing is published.

mod nobody;

use std::sync::Arc;

use super::casting::Cast;
use super::failure::{PlanError, Unavailable};
use super::planner::{Planner, RunPlan};
use super::ports::{Clock, RunTrace, TraceNote};
use super::signals::Progress;
use super::simulation::{Simulation, SimulationStop};
use super::types::{Brief, Conversation, Criterion, Judgement};
use crate::definitions::{Scenario, ScriptStep};
use crate::events::{Budget, RunRequest, TokenUsage};
pub(super) use nobody::Nobody;

/// A judgement that replaces none.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejudgement {
    /// What the judge and the checks came to.
    pub judgement: Judgement,
    /// What the judge used this time.
    pub usage: TokenUsage,
}

impl Planner {
    /// Has `said` judged by the scenario of `request` as it is defined now; by `criteria` instead of its own if there
    /// are some. The judge is the one whom a run of `request` would have. What the checks of a script found is looked at
    /// at its own time: it is in what has passed of `said`, and stays.
    ///
    /// # Errors
    /// What cannot be resolved, or why the judge came to nothing.
    pub async fn rejudge(
        &self,
        request: &RunRequest,
        said: Conversation,
        criteria: Vec<String>,
        clock: &dyn Clock,
    ) -> Result<Rejudgement, PlanError> {
        let (brief, project) = self.brief(request).await?;
        let judges = self.judges(&project.id, &brief, None).await?;
        let cast =
            Cast { user_simulator: Arc::new(Nobody::default()), judges, target: Box::new(Nobody::default()) };
        let criteria = asked_again(&brief.scenario, &criteria);
        let plan = self.assembled(request, without_script(brief), project, cast, None);
        // What the run itself has spent is no reason against a second opinion.
        let plan = RunPlan { budget: Budget::default(), ..plan };
        judged(request, &plan, criteria, said, clock).await.map_err(unjudged)
    }
}

/// What the judge is asked this time: `others` if there are some, else everything that the scenario and the steps of
/// its script would have judged, on the whole conversation.
fn asked_again(scenario: &Scenario, others: &[String]) -> Vec<Criterion> {
    if !others.is_empty() {
        return Criterion::number(others);
    }
    let of_step = |(index, step): (usize, &ScriptStep)| match step {
        ScriptStep::Judge(judge) => Criterion::of_step(index, &judge.criteria),
        _ => Vec::new(),
    };
    let mut criteria = Criterion::number(&scenario.criteria);
    criteria.extend(scenario.script.iter().enumerate().flat_map(of_step));
    criteria
}

/// The time of the script's steps is over.
fn without_script(brief: Brief) -> Brief {
    Brief { scenario: Scenario { script: Vec::new(), ..brief.scenario }, ..brief }
}

async fn judged(
    request: &RunRequest,
    plan: &RunPlan,
    criteria: Vec<Criterion>,
    mut said: Conversation,
    clock: &dyn Clock,
) -> Result<Rejudgement, SimulationStop> {
    let (nobody, progress) = (Nobody::default(), Progress::default());
    let note = TraceNote { trace_id: nobody.trace_id(), context: None };
    let simulation = Simulation {
        request,
        plan,
        criteria: criteria.into(),
        journal: &nobody,
        trace: &nobody,
        note: &note,
        progress: &progress,
        clock,
    };
    said.usage.judge = TokenUsage::default();
    let judgement = simulation.judge_now(&mut said).await?;
    Ok(Rejudgement { judgement, usage: said.usage.judge })
}

fn unjudged(stop: SimulationStop) -> PlanError {
    match stop {
        SimulationStop::Failure(failure) => failure.into(),
        // Nobody's journal records nothing, so it is in nobody's way.
        SimulationStop::Journal(error) => Unavailable::new("record the judging", error).into(),
    }
}
