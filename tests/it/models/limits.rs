//! Calls that go through the gate of their provider and project.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scenario_worker::definitions::Project;
use scenario_worker::events::{ProjectId, TraceContext};
use scenario_worker::execution::chat::chat_in_span;
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::execution::limits::Throttled;
use scenario_worker::execution::ports::{ChatModel, ChatModelFactory, ProjectRepository};
use scenario_worker::execution::types::SpanNote;
use scenario_worker::models::Factory;
use serde_json::{Value, json};

use super::{Providers, provider, question, remote};
use crate::support::limits::Doorkeeper;
use crate::support::openai::{Answer, ModelServer};
use crate::support::spans::Recorded;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Projects(Value);

#[async_trait]
impl ProjectRepository for Projects {
    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, Unavailable> {
        let project = json!({ "id": id, "limits": self.0 });
        Ok(Some(serde_json::from_value(project).unwrap()))
    }
}

async fn model(
    doorkeeper: &Doorkeeper,
    of_project: Value,
    more: Value,
    definition: Value,
) -> Arc<dyn ChatModel> {
    let mut definition = definition;
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let providers = Arc::new(Providers(vec![provider(definition)]));
    let factory = Factory::new(providers, crate::support::egress::open());
    let factory = factory.limited_by(Arc::new(doorkeeper.clone()), Arc::new(Projects(of_project)));
    factory.model(&ProjectId::parse("acme").unwrap(), "p/m").await.unwrap()
}

#[tokio::test]
async fn every_try_takes_a_permit_and_a_refusal_is_told() {
    let server = ModelServer::answering([
        Answer::json(429, &json!({ "error": { "message": "slower" } })).with_header("retry-after", "1"),
        Answer::json(503, &json!({})),
        Answer::says("here you are"),
    ])
    .await;
    let doorkeeper = Doorkeeper::default();
    let limits = json!({ "limits": { "requestsPerMinute": 10 } });
    let definition = remote("openai", &server.base_url());
    let model = model(&doorkeeper, json!({ "maxInFlight": 5 }), limits, definition).await;
    model.chat(&question()).await.unwrap();
    let seen = doorkeeper.seen();
    assert_eq!(seen.admitted, vec![vec!["provider", "project"]; 3]);
    assert_eq!(seen.refused, [Throttled { retry_after: Some(Duration::from_secs(1)) }]);
    assert_eq!(seen.inside, 0, "nothing is kept between the tries and after them");
}

#[tokio::test]
async fn waiting_is_not_the_time_of_the_call_and_shows_on_its_span() {
    let server = ModelServer::answering([Answer::says("here you are")]).await;
    let doorkeeper = Doorkeeper::slow(Duration::from_millis(1_200));
    let more = json!({ "limits": { "maxInFlight": 1 }, "timeoutSeconds": 1 });
    let model = model(&doorkeeper, Value::Null, more, remote("openai", &server.base_url())).await;
    let recorded = Recorded::default();
    let span = recorded.span(TraceContext::from_headers(&[PARENT], &[]).unwrap().unwrap());
    chat_in_span(model.as_ref(), question(), &span).await.unwrap();
    let [SpanNote::Waited { waited }] = recorded.notes()[..] else { panic!("{:?}", recorded.notes()) };
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
}

#[tokio::test]
async fn a_scripted_model_keeps_to_limits_too_and_plays_refusals() {
    let doorkeeper = Doorkeeper::default();
    let script = json!({ "id": "p", "kind": "scripted", "models": { "m": { "fail": { "status": 429, "message": "no" } } } });
    let limits = json!({ "limits": { "maxInFlight": 1 } });
    let model = model(&doorkeeper, Value::Null, limits, script).await;
    model.chat(&question()).await.unwrap_err();
    assert_eq!(doorkeeper.seen().admitted, [["provider"]]);
    assert_eq!(doorkeeper.seen().refused, [Throttled { retry_after: None }]);
}

#[tokio::test]
async fn a_model_without_limits_asks_nobody() {
    let server = ModelServer::answering([Answer::says("here you are")]).await;
    let doorkeeper = Doorkeeper::default();
    let model = model(&doorkeeper, Value::Null, json!({}), remote("openai", &server.base_url())).await;
    model.chat(&question()).await.unwrap();
    assert!(doorkeeper.seen().admitted.is_empty());
}
