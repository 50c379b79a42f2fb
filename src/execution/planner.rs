//! From a request to everything that its run needs: each failure here is known before a word is said.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::failure::{PlanError, RunFailure, code};
use super::ports::{
    ChatModel, ChatModelFactory, ProjectRepository, RequestValidator, ScenarioRepository, TargetAdapter,
    TargetAdapters, TargetSpec,
};
use crate::definitions::{Project, Scenario};
use crate::events::RunRequest;

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
    /// The model of a project that has no default, as `provider/model`.
    pub model: Option<String>,
}

/// The bounds of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Turns after which the judge must decide.
    pub max_turns: u32,
    /// Turns before which the judge is not asked.
    pub min_turns: u32,
    /// Time for the whole run.
    pub timeout: Duration,
    /// A run that finishes no step for this long is given up.
    pub stall_timeout: Duration,
    /// Whether a run that took too long is judged on what it has.
    pub judge_on_timeout: bool,
}

/// Everything that a run needs, resolved.
pub struct RunPlan {
    /// The scenario.
    pub scenario: Scenario,
    /// The project.
    pub project: Project,
    /// The bounds.
    pub limits: Limits,
    /// Plays the customer.
    pub user_simulator: Arc<dyn ChatModel>,
    /// Decides the criteria.
    pub judge: Arc<dyn ChatModel>,
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
    /// What applies where nobody says.
    pub defaults: PlanDefaults,
}

impl Planner {
    /// Resolves scenario, project, models and target, in this order.
    ///
    /// # Errors
    /// The first thing that cannot be resolved, or that the store does not answer.
    pub async fn plan(&self, request: &RunRequest) -> Result<RunPlan, PlanError> {
        let scenario = self.scenario(request).await?;
        let project = self.project(request).await?;
        let limits = self.limits(request, &scenario)?;
        let roles = [
            request.models.user_simulator.as_ref().or(scenario.models.user_simulator.as_ref()),
            request.models.judge.as_ref().or(scenario.models.judge.as_ref()),
        ];
        let user_simulator = self.model(&project, roles[0]).await?;
        let judge = self.model(&project, roles[1]).await?;
        let target = self.targets.adapter(self.target_spec(request, &project)).await?;
        Ok(RunPlan { scenario, project, limits, user_simulator, judge, target })
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

    fn limits(&self, request: &RunRequest, scenario: &Scenario) -> Result<Limits, RunFailure> {
        let max_turns = request.max_turns.or(scenario.max_turns).unwrap_or(self.defaults.max_turns);
        let min_turns = request.min_turns.or(scenario.min_turns).unwrap_or(0);
        if min_turns > max_turns {
            let message = format!("minTurns is {min_turns}, more than maxTurns ({max_turns})");
            return Err(RunFailure::definition(code::INVALID_TURNS, message)
                .with_hint("Set both in the request, or both in the scenario."));
        }
        let PlanDefaults { stall_timeout, judge_on_timeout, .. } = self.defaults;
        let timeout = request.timeout.unwrap_or(self.defaults.timeout);
        Ok(Limits { max_turns, min_turns, timeout, stall_timeout, judge_on_timeout })
    }

    async fn model(
        &self,
        project: &Project,
        chosen: Option<&String>,
    ) -> Result<Arc<dyn ChatModel>, PlanError> {
        let missing = || {
            RunFailure::definition(
                code::DEFAULT_MODEL_NOT_CONFIGURED,
                "Project default model is not configured",
            )
            .with_hint("Set `defaultModel` in the project's definition, or name a model in the request.")
        };
        let name = chosen.cloned().or_else(|| self.default_model(project)).ok_or_else(missing)?;
        self.models.model(&project.id, &name).await
    }

    fn default_model(&self, project: &Project) -> Option<String> {
        project.default_model.clone().or_else(|| self.defaults.model.clone())
    }

    fn target_spec(&self, request: &RunRequest, project: &Project) -> TargetSpec {
        TargetSpec {
            project: project.clone(),
            target: request.target.clone(),
            parameters: request.parameters.clone(),
            default_model: self.default_model(project),
        }
    }
}

#[async_trait]
impl RequestValidator for Planner {
    async fn validate(&self, request: &RunRequest) -> Result<(), PlanError> {
        self.plan(request).await.map(drop)
    }
}
