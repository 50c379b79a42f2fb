//! Judging a finished run again, by other criteria or another judge. Nobody but the judge is asked, nothing is published.

mod nobody;

use std::sync::Arc;

use super::casting::Cast;
use super::failure::{PlanError, RunFailure};
use super::planner::{Planner, RunPlan};
use super::ports::{Clock, RunTrace, TraceNote};
use super::signals::Progress;
use super::simulation::{Simulation, SimulationStop};
use super::types::{Brief, Conversation, Criterion, Judgement};
use crate::definitions::Scenario;
use crate::events::{RunRequest, TokenUsage};
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
    /// are some. The judge is the one whom a run of `request` would have.
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
        let plan = self.assembled(request, with_criteria(brief, criteria), project, cast, None);
        judged(request, &plan, said, clock).await.map_err(unjudged)
    }
}

/// A script asks for its own criteria at its own time, which is over.
fn with_criteria(brief: Brief, criteria: Vec<String>) -> Brief {
    let own = brief.scenario.criteria;
    let criteria = if criteria.is_empty() { own } else { criteria };
    let scenario = Scenario { criteria, script: Vec::new(), ..brief.scenario };
    Brief { scenario, ..brief }
}

async fn judged(
    request: &RunRequest,
    plan: &RunPlan,
    mut said: Conversation,
    clock: &dyn Clock,
) -> Result<Rejudgement, SimulationStop> {
    let (nobody, progress) = (Nobody::default(), Progress::default());
    let note = TraceNote { trace_id: nobody.trace_id(), context: None };
    let simulation = Simulation {
        request,
        plan,
        criteria: Criterion::number(&plan.brief.scenario.criteria).into(),
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
        // Nobody's journal records nothing, so it cannot fail.
        SimulationStop::Journal(error) => RunFailure::new(
            super::failure::code::WORKER_PANIC,
            crate::events::Attribution::Worker,
            error.to_string(),
        )
        .into(),
    }
}
