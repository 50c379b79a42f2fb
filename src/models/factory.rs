//! From `provider/model` to a client, by the providers of a project.

use std::sync::Arc;

use async_trait::async_trait;

use super::gated::GatedModel;
use super::metered::MeteredModel;
use super::priced::PricedModel;
use super::remote::RemoteModel;
use super::scripted::OfflineModel;
use super::upstream::Upstream;
use super::wire;
use crate::definitions::Provider;
use crate::egress::Client;
use crate::events::ProjectId;
use crate::execution::failure::{PlanError, RunFailure, Unavailable, code};
use crate::execution::limits::{Gate, Limiter, Scope};
use crate::execution::metering::CallMeter;
use crate::execution::ports::{ChatModel, ChatModelFactory, ProjectRepository, ProviderRepository};
use crate::execution::types::{ModelName, ModelServer};

/// Makes chat models. All remote ones share one client.
pub struct Factory {
    providers: Arc<dyn ProviderRepository>,
    client: Client,
    limits: Option<(Arc<dyn Limiter>, Arc<dyn ProjectRepository>)>,
    meter: Option<Arc<dyn CallMeter>>,
}

impl Factory {
    /// A factory over the providers of a store, whose models are called through `client`.
    #[must_use]
    pub fn new(providers: Arc<dyn ProviderRepository>, client: Client) -> Self {
        Self { providers, client, limits: None, meter: None }
    }

    /// The same factory, whose models keep to the limits of their providers and of `projects` by way of `limiter`.
    #[must_use]
    pub fn limited_by(self, limiter: Arc<dyn Limiter>, projects: Arc<dyn ProjectRepository>) -> Self {
        Self { limits: Some((limiter, projects)), ..self }
    }

    /// Calls of the models are counted by `meter`, if there is any.
    #[must_use]
    pub fn counted_by(self, meter: Option<Arc<dyn CallMeter>>) -> Self {
        Self { meter, ..self }
    }

    fn counted(&self, model: Arc<dyn ChatModel>) -> Arc<dyn ChatModel> {
        match self.meter.clone() {
            Some(meter) => Arc::new(MeteredModel { meter, model }),
            None => model,
        }
    }

    async fn gate(&self, project: &ProjectId, provider: &Provider) -> Result<Gate, PlanError> {
        let Some((limiter, projects)) = &self.limits else { return Ok(Gate::open()) };
        let of_project = projects.project(project).await?.and_then(|project| project.limits);
        let scopes = [Scope::provider(project, provider), Scope::project(project, of_project)];
        Ok(Gate::new(limiter, scopes.into_iter().flatten()))
    }

    /// An address that may not be called is known before a word is said; where a name leads is seen with each call.
    fn remote(
        &self,
        name: ModelName,
        server: ModelServer,
        upstream: Upstream,
        gate: Gate,
    ) -> Result<Arc<dyn ChatModel>, RunFailure> {
        self.client.policy().check_url(&upstream.url).map_err(|refused| {
            let message = format!("Provider '{}' cannot be called: {refused}", name.provider);
            RunFailure::definition(code::EGRESS_REFUSED, message)
        })?;
        Ok(Arc::new(RemoteModel::new(name, server, upstream, self.client.clone(), gate)))
    }
}

#[async_trait]
impl ChatModelFactory for Factory {
    async fn model(&self, project: &ProjectId, name: &str) -> Result<Arc<dyn ChatModel>, PlanError> {
        let name = ModelName::parse(name)
            .map_err(|error| RunFailure::definition(code::INVALID_MODEL_FORMAT, error.to_string()))?;
        let providers = self.providers.providers(project).await?;
        let provider = find(&providers, &name.provider)?;
        let price = provider.prices.get(&name.model).copied();
        let gate = self.gate(project, provider).await?;
        let model = match wire::of(provider.kind) {
            Some(wire) => {
                let upstream =
                    Upstream::new(provider, &name, wire).map_err(|missing| lacking(provider, missing))?;
                self.remote(name, Upstream::server(provider, wire), upstream, gate)?
            }
            None => GatedModel::behind(gate, offline(provider, name)?),
        };
        let model = self.counted(model);
        Ok(match price {
            Some(price) => Arc::new(PricedModel::new(model, price)),
            None => model,
        })
    }

    async fn server(
        &self,
        project: &ProjectId,
        name: &ModelName,
    ) -> Result<Option<ModelServer>, Unavailable> {
        let providers = self.providers.providers(project).await?;
        let provider = providers.iter().find(|provider| provider.id == name.provider);
        Ok(provider.map(|provider| match wire::of(provider.kind) {
            Some(wire) => Upstream::server(provider, wire),
            None => OfflineModel::SERVER,
        }))
    }
}

fn find<'a>(providers: &'a [Provider], id: &str) -> Result<&'a Provider, RunFailure> {
    let Some(provider) = providers.iter().find(|provider| provider.id == id) else {
        let available = list(providers.iter().map(|provider| provider.id.as_str()));
        let message = format!("Provider '{id}' not found for this project. Available providers: {available}");
        return Err(RunFailure::definition(code::PROVIDER_NOT_FOUND, message)
            .with_hint(format!("Define provider '{id}' in the project, or name a model of another one.")));
    };
    if !provider.enabled {
        let message = format!("Provider '{id}' is not enabled for this project.");
        return Err(RunFailure::definition(code::PROVIDER_NOT_ENABLED, message)
            .with_hint(format!("Set `enabled: true` in the definition of provider '{id}'.")));
    }
    Ok(provider)
}

fn offline(provider: &Provider, name: ModelName) -> Result<Arc<dyn ChatModel>, RunFailure> {
    if let Some(script) = provider.models.get(&name.model) {
        return Ok(Arc::new(OfflineModel::new(name, script.clone())));
    }
    let declared = list(provider.models.keys().map(String::as_str));
    Err(lacking(provider, format!("model '{}' (declared models: {declared})", name.model)))
}

fn lacking(provider: &Provider, what: impl std::fmt::Display) -> RunFailure {
    let id = &provider.id;
    let message = format!("Provider '{id}' is missing required configuration: {what}.");
    RunFailure::definition(code::MISSING_PARAMS, message)
        .with_hint(format!("Complete the definition of provider '{id}'."))
}

/// Names in alphabetical order; `none` if there are none.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
