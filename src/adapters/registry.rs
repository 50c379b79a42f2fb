//! Which types of target there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::definitions::AgentDefinition;
use crate::execution::failure::{PlanError, RunFailure, code};
use crate::execution::limits::{Gate, Limiter, Scope};
use crate::execution::metering::CallMeter;
use crate::execution::ports::{AgentRepository, TargetAdapter, TargetAdapters, TargetQuestions, TargetSpec};

use super::limited::LimitedTarget;
use super::metered::MeteredTarget;
use super::prompt;

/// Makes adapters for one type of target.
#[async_trait]
pub trait TargetAdapterFactory: Send + Sync {
    /// The type, as requests and definitions name it.
    fn kind(&self) -> &'static str;

    /// An adapter for one run of `spec`'s target.
    ///
    /// # Errors
    /// A failure if the target does not exist or its definition cannot work, or
    /// [`Unavailable`](crate::execution::failure::Unavailable) if the store does not answer.
    async fn create(&self, spec: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError>;

    /// What `spec`'s target would be asked; see [`TargetAdapters::questions`]. A type says nothing of it unless it says
    /// otherwise.
    ///
    /// # Errors
    /// As [`TargetAdapterFactory::create`], but for what only an answer needs.
    async fn questions(&self, _spec: TargetSpec) -> Result<Option<Box<dyn TargetQuestions>>, PlanError> {
        Ok(None)
    }

    /// Checks an agent's definition as far as that goes without a run.
    ///
    /// # Errors
    /// What is wrong, naming the place. A type refuses all unless it says otherwise: not every type has agents.
    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        Err(format!("agent '{}': targets of type '{}' are not defined as agents", agent.id, self.kind()))
    }
}

/// All types of target.
#[derive(Default)]
pub struct Registry {
    factories: BTreeMap<&'static str, Box<dyn TargetAdapterFactory>>,
    limits: Option<(Arc<dyn Limiter>, Arc<dyn AgentRepository>)>,
    meter: Option<Arc<dyn CallMeter>>,
}

impl Registry {
    /// No types.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a type. A type that is added twice is what it was added as last.
    #[must_use]
    pub fn with(mut self, factory: impl TargetAdapterFactory + 'static) -> Self {
        self.factories.insert(factory.kind(), Box::new(factory));
        self
    }

    /// The targets of all types keep to the limits of their `agents` and projects by way of `limiter`.
    #[must_use]
    pub fn limited_by(self, limiter: Arc<dyn Limiter>, agents: Arc<dyn AgentRepository>) -> Self {
        Self { limits: Some((limiter, agents)), ..self }
    }

    /// Turns of the targets of all types are counted by `meter`, if there is any.
    #[must_use]
    pub fn counted_by(self, meter: Option<Arc<dyn CallMeter>>) -> Self {
        Self { meter, ..self }
    }

    /// A prompt makes no call of its own: its model does, and is limited as a model.
    async fn gate(&self, spec: &TargetSpec) -> Result<Gate, PlanError> {
        let (TargetSpec { project, target, .. }, kind) = (spec, spec.target.kind.as_str());
        let Some((limiter, agents)) = self.limits.as_ref().filter(|_| kind != prompt::KIND) else {
            return Ok(Gate::open());
        };
        let agent = agents.agent(&project.id, &target.reference_id).await?;
        let limits = agent.filter(|agent| agent.kind == target.kind).and_then(|agent| agent.limits);
        let of_target = Scope::target(&project.id, &target.reference_id, limits);
        let scopes = [of_target, Scope::project(&project.id, project.limits)];
        Ok(Gate::new(limiter, scopes.into_iter().flatten()))
    }

    /// Checks an agent's definition before it is stored.
    ///
    /// # Errors
    /// What is wrong, naming the agent and the place.
    pub fn check_agent(&self, agent: &AgentDefinition) -> Result<(), String> {
        match self.factories.get(agent.kind.as_str()) {
            Some(factory) => factory.check(agent),
            None => {
                Err(format!("agent '{}': Unknown target type: {}. {}", agent.id, agent.kind, self.known()))
            }
        }
    }

    fn known(&self) -> String {
        let names: Vec<&str> = self.factories.keys().copied().collect();
        format!("Known types: {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
    }
}

#[async_trait]
impl TargetAdapters for Registry {
    async fn adapter(&self, spec: TargetSpec) -> Result<Box<dyn TargetAdapter>, PlanError> {
        let kind = &spec.target.kind;
        if let Some(factory) = self.factories.get(kind.as_str()) {
            let gate = self.gate(&spec).await?;
            let target = LimitedTarget::behind(gate, factory.create(spec).await?);
            return Ok(match self.meter.clone() {
                Some(meter) => Box::new(MeteredTarget { meter, target }),
                None => target,
            });
        }
        let failure =
            RunFailure::definition(code::UNKNOWN_TARGET_TYPE, format!("Unknown target type: {kind}"));
        Err(failure.with_hint(self.known()).into())
    }

    async fn questions(&self, spec: TargetSpec) -> Result<Option<Box<dyn TargetQuestions>>, PlanError> {
        match self.factories.get(spec.target.kind.as_str()) {
            Some(factory) => factory.questions(spec).await,
            None => Ok(None),
        }
    }
}
