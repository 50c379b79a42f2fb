//! Names that lead to no model.

use std::sync::Arc;

use async_trait::async_trait;
use scenario_worker::definitions::Provider;
use scenario_worker::events::{Attribution, ProjectId};
use scenario_worker::execution::failure::{PlanError, RunFailure, Unavailable};
use scenario_worker::execution::ports::{ChatModelFactory, ProviderRepository};
use scenario_worker::models::Factory;
use serde_json::{Value, json};

use super::plan;

async fn refused(providers: Vec<Value>, name: &str) -> RunFailure {
    match plan(providers, name).await {
        Err(PlanError::Failure(failure)) => {
            assert_eq!(failure.attributed_to, Attribution::Definition);
            failure
        }
        Err(PlanError::Unavailable(error)) => panic!("the store is there: {error}"),
        Ok(model) => panic!("there is a model {}", model.name()),
    }
}

#[tokio::test]
async fn a_name_without_a_provider_is_refused() {
    let failure = refused(vec![], "gpt-5").await;
    assert_eq!(failure.code, "invalid_model_format");
    assert_eq!(
        failure.message,
        "Invalid model format 'gpt-5' - expected 'provider/model' format (e.g., 'openai/gpt-5-mini')"
    );
}

#[tokio::test]
async fn an_unknown_provider_is_refused_with_those_there_are() {
    let failure = refused(vec![], "openai/gpt-5").await;
    assert_eq!(failure.code, "provider_not_found");
    assert_eq!(failure.message, "Provider 'openai' not found for this project. Available providers: none");

    let others =
        vec![json!({ "id": "zeta", "kind": "scripted" }), json!({ "id": "alpha", "kind": "scripted" })];
    let failure = refused(others, "openai/gpt-5").await;
    assert_eq!(
        failure.message,
        "Provider 'openai' not found for this project. Available providers: alpha, zeta"
    );
}

#[tokio::test]
async fn a_provider_that_is_switched_off_is_refused() {
    let off = json!({ "id": "openai", "kind": "openai", "apiKey": "k", "enabled": false });
    let failure = refused(vec![off], "openai/gpt-5").await;
    assert_eq!(failure.code, "provider_not_enabled");
    assert_eq!(failure.message, "Provider 'openai' is not enabled for this project.");
}

#[tokio::test]
async fn a_provider_without_what_it_needs_is_refused() {
    let remote = |kind: &str, extra: Value| {
        let mut definition = json!({ "id": "p", "kind": kind });
        definition.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        definition
    };
    let base_url = "a baseUrl that is an http or https URL";
    let key = "an API key that can be sent (it has a line break or another control character in it)";
    let cases = [
        (remote("openai", json!({})), "API key"),
        (remote("openai", json!({ "apiKey": "  " })), "API key"),
        (remote("anthropic", json!({ "baseUrl": "http://127.0.0.1" })), "API key"),
        (remote("gemini", json!({})), "API key"),
        (remote("openai", json!({ "apiKey": "a\nb" })), key),
        (remote("openai", json!({ "baseUrl": "localhost:11434/v1" })), base_url),
        (remote("openai", json!({ "baseUrl": "no url" })), base_url),
        (remote("scripted", json!({})), "model 'm' (declared models: none)"),
        (
            remote("scripted", json!({ "models": { "judge": {}, "customer": {} } })),
            "model 'm' (declared models: customer, judge)",
        ),
    ];
    for (definition, lacking) in cases {
        let failure = refused(vec![definition], "p/m").await;
        assert_eq!(failure.code, "missing_params");
        assert_eq!(failure.message, format!("Provider 'p' is missing required configuration: {lacking}."));
    }
}

#[tokio::test]
async fn a_local_server_and_the_vendor_need_no_more_than_this() {
    let local = json!({ "id": "p", "kind": "openai", "baseUrl": "http://127.0.0.1:11434/v1" });
    let vendor = json!({ "id": "v", "kind": "anthropic", "apiKey": "k" });
    let model = plan(vec![local.clone(), vendor.clone()], "p/m").await.unwrap();
    assert_eq!(model.name().to_string(), "p/m");
    assert_eq!(plan(vec![local, vendor], "v/claude").await.unwrap().name().to_string(), "v/claude");
}

struct NoStore;

#[async_trait]
impl ProviderRepository for NoStore {
    async fn providers(&self, _project: &ProjectId) -> Result<Vec<Provider>, Unavailable> {
        Err(Unavailable::new("reading the providers", "connection refused"))
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_no_outcome() {
    let factory = Factory::new(Arc::new(NoStore), crate::support::egress::open());
    let result = factory.model(&ProjectId::parse("acme").unwrap(), "openai/gpt-5").await;
    assert!(matches!(result, Err(PlanError::Unavailable(_))));
}
