//! Where the worker finds the definitions of a run, and which of them the run's process gets to see.

use std::sync::Arc;

use crate::adapters::secrets_named_in;
use crate::definitions::{AgentDefinition, Project, Prompt, Provider, Secrets};
use crate::events::{CassetteMode, RunRequest};
use crate::execution::failure::Unavailable;
use crate::execution::ports::{
    AgentRepository, ProjectRepository, PromptRepository, ProviderRepository, ScenarioRepository,
    SecretRepository,
};
use crate::execution::types::Conversation;
use crate::isolation::Snapshot;

/// The definitions of all projects.
#[derive(Clone)]
pub struct Shelf {
    /// Finds scenarios.
    pub scenarios: Arc<dyn ScenarioRepository>,
    /// Finds projects.
    pub projects: Arc<dyn ProjectRepository>,
    /// Finds model providers.
    pub providers: Arc<dyn ProviderRepository>,
    /// Finds prompts.
    pub prompts: Arc<dyn PromptRepository>,
    /// Finds agents.
    pub agents: Arc<dyn AgentRepository>,
    /// Finds secrets.
    pub secrets: Arc<dyn SecretRepository>,
    /// The model of a project that has no default, as `provider/model`.
    pub default_model: Option<String>,
}

impl Shelf {
    /// What a run of `request` that was `resumed` needs, and no credential beyond that, but for the project's other secrets:
    /// an agent may say them, and only who knows a secret can take it out of what is said.
    pub(super) async fn snapshot(
        &self,
        request: &RunRequest,
        resumed: Option<&Conversation>,
    ) -> Result<Snapshot, Unavailable> {
        let project = &request.key.project;
        let scenario = self.scenarios.scenario(project, &request.scenario_id).await?;
        let definition = self.projects.project(project).await?.map(untold);
        let mut found = Snapshot { project: definition, scenario, ..Snapshot::default() };
        if found.project.is_none() {
            return Ok(found);
        }
        let target = &request.target.reference_id;
        found.prompt = self.prompts.prompt(project, target).await?;
        found.agent = self.agents.agent(project, target).await?;
        found.hidden = self.secrets.secrets(project).await?;
        let mut models = Vec::new();
        if !replays(request) {
            found.secrets = take_named(&mut found.hidden, found.agent.as_ref());
            models = self.models(request, resumed, &found);
        }
        found.providers = known_providers(self.providers.providers(project).await?, &models);
        Ok(found)
    }

    /// Everything that may name a model of the run, as `provider/model`, or hold such a name.
    fn models(&self, request: &RunRequest, resumed: Option<&Conversation>, found: &Snapshot) -> Vec<String> {
        let brief = resumed.and_then(|said| said.brief.as_deref());
        let mut names: Vec<String> = self.default_model.iter().cloned().collect();
        names.extend(found.project.iter().filter_map(|project| project.default_model.clone()));
        names.extend(found.prompt.iter().filter_map(|Prompt { model, .. }| model.clone()));
        names.extend(request.models.user_simulator.clone());
        names.extend(request.models.judge.iter().flat_map(|judges| judges.names().to_vec()));
        for models in found.scenario.iter().map(|scenario| &scenario.models) {
            names.extend(models.user_simulator.clone());
            names.extend(models.judge.iter().flat_map(|judges| judges.names().to_vec()));
        }
        if let Some(brief) = brief {
            names.push(brief.user_simulator.clone());
            names.extend(brief.judges.names().to_vec());
            names.extend(brief.target.iter().map(ToString::to_string));
        }
        names.extend(found.agent.as_ref().map(written));
        names
    }
}

/// Who replays a run compares what would be asked with what was, and asks nobody: spans name the providers, and no key is
/// needed.
fn replays(request: &RunRequest) -> bool {
    request.cassette.as_ref().is_some_and(|asked| asked.mode == CassetteMode::Replay)
}

/// The project without who is told of its runs: the worker tells, and has the key for that.
fn untold(mut project: Project) -> Project {
    if let Some(telemetry) = &mut project.telemetry {
        telemetry.events = None;
    }
    project
}

/// Takes out of `secrets` those that a template of the agent's definition names.
fn take_named(secrets: &mut Secrets, agent: Option<&AgentDefinition>) -> Secrets {
    let referred = agent.map(|agent| secrets_named_in(&agent.config.clone().into())).unwrap_or_default();
    let (named, others) = std::mem::take(secrets).into_iter().partition(|(name, _)| referred.contains(name));
    *secrets = others;
    named
}

/// All providers, because an error names them; those of which no model is named go without their key.
fn known_providers(mut providers: Vec<Provider>, models: &[String]) -> Vec<Provider> {
    for provider in &mut providers {
        let (first, inside) = (format!("{}/", provider.id), format!("\"{}/", provider.id));
        if !models.iter().any(|name| name.starts_with(&first) || name.contains(&inside)) {
            provider.api_key = None;
        }
    }
    providers
}

fn written(agent: &AgentDefinition) -> String {
    serde_json::Value::from(agent.config.clone()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definitions::Secret;

    #[test]
    fn only_secrets_that_a_template_names_can_be_named_in_the_process() {
        let agent: AgentDefinition = serde_json::from_value(json!({
            "id": "shop", "type": "http", "url": "http://h/KEY?x={{secrets.QUERY}}",
            "headers": [{ "key": "X", "value": "{{ secrets.SHOP_EU }}" }],
            "arguments": { "{{ secrets.FIELD }}": [["{{ secrets.DEEP }}"]] },
        }))
        .unwrap();
        let all = || {
            let all = ["SHOP", "SHOP_EU", "url", "type", "KEY", "QUERY", "FIELD", "DEEP"];
            Secrets::from_iter(all.map(|name| (name.to_owned(), Secret::new("value"))))
        };
        let mut others = all();
        let taken = take_named(&mut others, Some(&agent));
        assert_eq!(taken.keys().collect::<Vec<_>>(), ["DEEP", "FIELD", "QUERY", "SHOP_EU"]);
        // Words of the definition that happen to be names.
        assert_eq!(others.keys().collect::<Vec<_>>(), ["KEY", "SHOP", "type", "url"]);
        let mut others = all();
        assert!(take_named(&mut others, None).is_empty() && others == all());
    }

    #[test]
    fn who_is_told_of_runs_is_not_passed_on() {
        let events = json!({ "endpoint": "https://l", "apiKey": "hunter2" });
        let project = json!({ "id": "acme", "telemetry": { "endpoint": "https://c", "apiKey": "k", "events": events } });
        let passed_on = untold(serde_json::from_value(project).unwrap()).telemetry.unwrap();
        assert_eq!((passed_on.endpoint.as_str(), passed_on.events), ("https://c", None));
    }

    #[test]
    fn only_providers_whose_models_are_named_keep_their_keys() {
        let provider =
            |id| serde_json::from_value(json!({ "id": id, "kind": "openai", "apiKey": "key" })).unwrap();
        let models = ["openai/gpt".to_owned(), r#"{"model":"router/gpt"}"#.to_owned()];
        let known = known_providers(["openai", "router", "other", "open"].map(provider).into(), &models);
        let with_key: Vec<&str> = known.iter().filter(|p| p.api_key.is_some()).map(|p| &*p.id).collect();
        assert_eq!((known.len(), with_key), (4, vec!["openai", "router"]));
    }
}
