//! From a request to everything that its run needs: each failure here is known before a word is said.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::cassette::{CassetteLibrary, Tape};
use super::casting::Cast;
use super::failure::{PlanError, RunFailure, code};
use super::parameters::{self, given_secrets, secrets};
use super::ports::{
    ChatModel, ChatModelFactory, ProjectRepository, RequestValidator, ScenarioRepository, TargetAdapter,
    TargetAdapters, TargetSpec, TextTemplates,
};
use super::types::{Brief, Conversation};
use crate::definitions::{Project, Scenario, Secrets};
use crate::events::{Budget, JudgeModels, RunRequest};

/// What applies where neither request nor definitions say.
#[derive(Debug, Clone)]
pub struct PlanDefaults {
    /// Turns after which the judge must decide.
    pub max_turns: u32,
    /// Time for the whole run.
    pub timeout: Duration,
    /// A run that finishes no step for this long is given up.
    pub stall_timeout: Duration,
    /// Whether a run that took too long is judged on what it has.
    pub judge_on_timeout: bool,
    /// Time for ending a session of the target.
    pub session_end: Duration,
    /// The model of a project that has no default, as `provider/model`.
    pub model: Option<String>,
}

/// The times that one run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time for the whole run.
    pub timeout: Duration,
    /// A run that finishes no step for this long is given up.
    pub stall_timeout: Duration,
    /// Whether a run that took too long is judged on what it has.
    pub judge_on_timeout: bool,
    /// Time for ending a session of the target. The outcome waits for it.
    pub session_end: Duration,
}

/// Everything that a run needs, resolved.
pub struct RunPlan {
    /// What is rehearsed.
    pub brief: Brief,
    /// The project.
    pub project: Project,
    /// The times that the run may take.
    pub limits: Limits,
    /// What the run may cost.
    pub budget: Budget,
    /// Where everything that is said and heard is kept, or comes from.
    pub tape: Option<Tape>,
    /// Plays the customer.
    pub user_simulator: Arc<dyn ChatModel>,
    /// Decide the criteria; at least one.
    pub judges: Vec<Arc<dyn ChatModel>>,
    /// The agent under test.
    pub target: Box<dyn TargetAdapter>,
}

/// Resolves requests.
#[derive(Clone)]
pub struct Planner {
    /// Finds scenarios.
    pub scenarios: Arc<dyn ScenarioRepository>,
    /// Finds projects.
    pub projects: Arc<dyn ProjectRepository>,
    /// Makes models.
    pub models: Arc<dyn ChatModelFactory>,
    /// Makes targets.
    pub targets: Arc<dyn TargetAdapters>,
    /// Keeps cassettes.
    pub cassettes: Arc<dyn CassetteLibrary>,
    /// Fills parameters into texts.
    pub texts: Arc<dyn TextTemplates>,
    /// What applies where nobody says.
    pub defaults: PlanDefaults,
}

impl Planner {
    /// Resolves scenario, project, parameters, models and target, in this order. A run that began `earlier` keeps its
    /// brief.
    ///
    /// # Errors
    /// The first thing that cannot be resolved, or that the store does not answer.
    pub async fn plan(
        &self,
        request: &RunRequest,
        earlier: Option<&Conversation>,
    ) -> Result<RunPlan, PlanError> {
        let (mut brief, project) = match earlier.and_then(|earlier| earlier.brief.as_deref()) {
            Some(brief) => (brief.clone(), self.project(request).await?),
            None => self.brief(request).await?,
        };
        let taped = earlier.map(|earlier| earlier.taped.clone()).unwrap_or_default();
        let tape = Tape::load(&self.cassettes, request, taped).await?;
        let needed = if tape.as_ref().is_some_and(Tape::replays) { given_secrets } else { secrets };
        let secrets = needed(&brief.scenario, &request.parameters)?;
        let spec = self.target_spec(request, &project, &brief, secrets);
        let cast = self.cast(&project.id, &brief, spec, tape.as_ref()).await?;
        brief.target = cast.target.kept();
        let plan = self.assembled(request, brief, project, cast, tape);
        plan.has_prices_for_its_budget()?;
        Ok(plan)
    }

    pub(super) fn assembled(
        &self,
        request: &RunRequest,
        brief: Brief,
        project: Project,
        cast: Cast,
        tape: Option<Tape>,
    ) -> RunPlan {
        let (limits, budget) = (self.limits(request), request.budget.within(project.budget));
        let Cast { user_simulator, judges, target } = cast;
        RunPlan { brief, project, limits, budget, tape, user_simulator, judges, target }
    }

    /// What a run of `request` would rehearse, and for whom.
    pub(super) async fn brief(&self, request: &RunRequest) -> Result<(Brief, Project), PlanError> {
        let scenario = self.scenario(request).await?;
        let project = self.project(request).await?;
        let (min_turns, max_turns) = self.turns(request, &scenario)?;
        let parameters = parameters::plain(&scenario, &request.parameters)?;
        let scenario = parameters::fill_in(scenario, &parameters, self.texts.as_ref())?;
        let (asked, own) = (&request.models, &scenario.models);
        let user_simulator =
            self.model_name(&project, asked.user_simulator.as_ref().or(own.user_simulator.as_ref()))?;
        let judges = match asked.judge.as_ref().or(own.judge.as_ref()) {
            Some(judges) => judges.clone(),
            None => JudgeModels::one(self.model_name(&project, None)?),
        };
        let brief =
            Brief { scenario, max_turns, min_turns, user_simulator, judges, parameters, target: None };
        Ok((brief, project))
    }

    /// A scenario that is missing because its project is missing is reported as the latter.
    async fn scenario(&self, request: &RunRequest) -> Result<Scenario, PlanError> {
        if let Some(scenario) = self.scenarios.scenario(&request.key.project, &request.scenario_id).await? {
            return Ok(scenario);
        }
        self.project(request).await?;
        let message = format!("Scenario {} not found", request.scenario_id);
        Err(RunFailure::definition(code::SCENARIO_NOT_FOUND, message).into())
    }

    async fn project(&self, request: &RunRequest) -> Result<Project, PlanError> {
        let id = &request.key.project;
        let missing = || RunFailure::definition(code::PROJECT_NOT_FOUND, format!("Project {id} not found"));
        Ok(self.projects.project(id).await?.ok_or_else(missing)?)
    }

    fn turns(&self, request: &RunRequest, scenario: &Scenario) -> Result<(u32, u32), RunFailure> {
        let max_turns = request.max_turns.or(scenario.max_turns).unwrap_or(self.defaults.max_turns);
        let min_turns = request.min_turns.or(scenario.min_turns).unwrap_or(0);
        if min_turns > max_turns {
            let message = format!("minTurns is {min_turns}, more than maxTurns ({max_turns})");
            return Err(RunFailure::definition(code::INVALID_TURNS, message)
                .with_hint("Set both in the request, or both in the scenario."));
        }
        Ok((min_turns, max_turns))
    }

    fn limits(&self, request: &RunRequest) -> Limits {
        let PlanDefaults { stall_timeout, judge_on_timeout, session_end, .. } = self.defaults;
        let timeout = request.timeout.unwrap_or(self.defaults.timeout);
        Limits { timeout, stall_timeout, judge_on_timeout, session_end }
    }

    fn model_name(&self, project: &Project, chosen: Option<&String>) -> Result<String, RunFailure> {
        let missing = || {
            RunFailure::definition(
                code::DEFAULT_MODEL_NOT_CONFIGURED,
                "Project default model is not configured",
            )
            .with_hint("Set `defaultModel` in the project's definition, or name a model in the request.")
        };
        chosen.cloned().or_else(|| self.default_model(project)).ok_or_else(missing)
    }

    fn default_model(&self, project: &Project) -> Option<String> {
        project.default_model.clone().or_else(|| self.defaults.model.clone())
    }

    fn target_spec(
        &self,
        request: &RunRequest,
        project: &Project,
        brief: &Brief,
        secrets: Secrets,
    ) -> TargetSpec {
        TargetSpec {
            project: project.clone(),
            target: request.target.clone(),
            parameters: brief.parameters.clone(),
            secrets,
            default_model: self.default_model(project),
            kept: brief.target.clone(),
        }
    }
}

#[async_trait]
impl RequestValidator for Planner {
    async fn validate(&self, request: &RunRequest) -> Result<(), PlanError> {
        self.plan(request, None).await.map(drop)
    }
}

impl RunPlan {
    /// A limit on money that nobody can tell the spending of would be none.
    fn has_prices_for_its_budget(&self) -> Result<(), RunFailure> {
        if self.budget.max_cost_usd.is_none() {
            return Ok(());
        }
        let models = std::iter::once(&self.user_simulator).chain(&self.judges);
        let unpriced =
            models.filter(|model| !model.knows_its_price()).map(|model| format!("model {}", model.name()));
        let target = (!self.target.knows_its_price()).then(|| "the model of the target".to_owned());
        let Some(whose) = unpriced.chain(target).next() else { return Ok(()) };
        let message = format!("The run may cost a limited amount, but {whose} has no price");
        Err(RunFailure::definition(code::BUDGET_UNMEASURED, message)
            .with_hint("Give the model's provider `prices`, or limit `maxTokens` instead of `maxCostUsd`."))
    }
}
