//! Finding and checking targets.

use std::sync::Arc;

use async_trait::async_trait;
use scenario_worker::adapters::{HttpAdapterFactory, PromptAdapterFactory, Registry};
use scenario_worker::events::{Attribution, ProjectId};
use scenario_worker::execution::failure::PlanError;
use scenario_worker::execution::ports::{ChatModel, ChatModelFactory, TargetAdapters as _};
use serde_json::{Value, json};

use super::stage::{Shelf, agent, failure, http_agent, spec, with};

struct NoModels;

#[async_trait]
impl ChatModelFactory for NoModels {
    async fn model(&self, _: &ProjectId, name: &str) -> Result<Arc<dyn ChatModel>, PlanError> {
        panic!("nobody asked for {name}")
    }
}

fn registry(shelf: Shelf) -> Registry {
    let shelf = Arc::new(shelf);
    Registry::new()
        .with(PromptAdapterFactory::new(shelf.clone(), Arc::new(NoModels)))
        .with(HttpAdapterFactory::new(shelf.clone(), shelf, crate::support::egress::open()))
}

fn problem(config: Value) -> String {
    let config = with(json!({ "url": "http://a.example" }), config);
    registry(Shelf::default()).check_agent(&http_agent(config)).unwrap_err()
}

#[tokio::test]
async fn a_target_that_is_not_there_is_a_failure_in_the_agreed_words() {
    let other = agent("grpc", json!({ "url": "http://a.example" }));
    let registry = registry(Shelf { agents: vec![other], ..Shelf::default() });
    for (kind, id, code, message) in [
        ("prompt", "p", "target_not_found", "Prompt p not found"),
        ("http", "h", "target_not_found", "HTTP agent h not found"),
        ("http", "shop", "target_not_found", "HTTP agent shop not found"),
        ("grpc", "shop", "unknown_target_type", "Unknown target type: grpc"),
    ] {
        let failure = failure(registry.adapter(spec(kind, id, json!({}))).await.err().unwrap());
        assert_eq!((failure.code.as_ref(), failure.message.as_str()), (code, message));
        assert_eq!(failure.attributed_to, Attribution::Definition);
        if kind == "grpc" {
            assert_eq!(failure.hint.as_deref(), Some("Known types: http, prompt"));
        }
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_no_outcome() {
    let registry = registry(Shelf { down: true, ..Shelf::default() });
    for kind in ["prompt", "http"] {
        let error = registry.adapter(spec(kind, "x", json!({}))).await.err().unwrap();
        assert!(matches!(error, PlanError::Unavailable(_)), "{error}");
    }
}

#[tokio::test]
async fn a_definition_that_cannot_work_is_refused_for_a_run_too() {
    let broken = http_agent(json!({ "url": "http://a.example", "outputPath": "reply" }));
    let registry = registry(Shelf { agents: vec![broken], ..Shelf::default() });
    let failure = failure(registry.adapter(spec("http", "shop", json!({}))).await.err().unwrap());
    assert_eq!((failure.code.as_ref(), failure.attributed_to), ("invalid_target", Attribution::Definition));
    assert!(failure.message.starts_with("HTTP agent shop: outputPath: 'reply'"), "{failure}");
}

#[tokio::test]
async fn an_agent_s_definition_is_checked_before_it_is_stored() {
    let good = json!({
        "url": "https://a.example/{{ secrets.PATH }}?q={{ input }}",
        "method": "PUT",
        "headers": [{ "key": "X-Tenant", "value": "{{ params.tenant }}" }],
        "auth": { "type": "bearer", "token": "{{ secrets.TOKEN }}" },
        "bodyTemplate": "{\"message\": \"{{ input }}\", \"history\": {{ messages }}}",
        "outputPath": "$.reply",
        "timeoutSeconds": 5,
    });
    registry(Shelf::default()).check_agent(&http_agent(good)).unwrap();
    for (config, parts) in [
        (json!({ "url": 5 }), ["url: ", "must be a text"]),
        (json!({ "url": "ftp://a.example" }), ["url: ", "'ftp'"]),
        (json!({ "url": "/chat" }), ["url: ", "not valid"]),
        (json!({ "bodyTemplat": "" }), ["bodyTemplat", "unknown field"]),
        (
            json!({ "fieldMappings": { "a": { "type": "source", "path": ["mood"] } } }),
            ["fieldMappings.a", "unknown variant `mood`"],
        ),
        (json!({ "method": "FETCH" }), ["method: 'FETCH'", "POST"]),
        (json!({ "bodyTemplate": "{\n{{ input }" }), ["bodyTemplate, line 2,", "syntax error"]),
        (json!({ "headers": [{ "key": "X A", "value": "" }] }), ["headers \"X A\"", "no header name"]),
        (
            json!({ "headers": [{ "key": "X", "value": "{% if %}" }] }),
            ["headers \"X\", line 1,", "syntax error"],
        ),
        (
            json!({ "headers": [{ "key": "Content-Length", "value": "5" }] }),
            ["content-length", "HTTP client"],
        ),
        (json!({ "auth": { "type": "digest" } }), ["auth", "digest"]),
        (
            json!({ "auth": { "type": "api_key", "header": "a b", "value": "" } }),
            ["auth.header", "no header name"],
        ),
        (json!({ "outputPath": "$.a[" }), ["outputPath: '$.a['", "JSONPath"]),
        (json!({ "outputPath": "$..*..*" }), ["outputPath", "too costly"]),
        (json!({ "timeoutSeconds": 0 }), ["timeoutSeconds: 0", "1 to 86400"]),
    ] {
        let problem = problem(config);
        assert!(problem.starts_with("HTTP agent shop: "), "{problem}");
        assert!(parts.iter().all(|part| problem.contains(part)), "{parts:?} in {problem}");
    }
}

#[tokio::test]
async fn a_credential_of_the_wrong_type_is_not_repeated() {
    for config in [
        json!({ "auth": { "type": "bearer", "token": 424_242 } }),
        json!({ "headers": [{ "key": "X-Key", "value": 424_242 }] }),
    ] {
        let problem = problem(config);
        assert!(problem.contains("must be a text") && !problem.contains("424242"), "{problem}");
    }
}

#[tokio::test]
async fn only_types_with_agents_take_agent_definitions() {
    let registry = registry(Shelf::default());
    let problem = registry.check_agent(&agent("prompt", json!({}))).unwrap_err();
    assert!(problem.contains("'prompt' are not defined as agents"), "{problem}");
    let problem = registry.check_agent(&agent("grpc", json!({}))).unwrap_err();
    assert_eq!(problem, "agent 'shop': Unknown target type: grpc. Known types: http, prompt");
}
