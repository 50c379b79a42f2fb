//! Targets whose turns go through the gate of their agent and project.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scenario_worker::adapters::{HttpAdapterFactory, Registry};
use scenario_worker::definitions::{AgentDefinition, CallLimits};
use scenario_worker::execution::limits::Throttled;
use scenario_worker::execution::ports::TargetAdapters as _;
use scenario_worker::execution::types::SpanNote;
use serde_json::{Value, json};

use super::stage::{LINE, Shelf, dialogue, http_agent, spec, take_turn};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::limits::Doorkeeper;
use crate::support::spans::Recorded;

const ONE: Option<CallLimits> = Some(CallLimits { requests_per_minute: None, max_in_flight: Some(1) });

/// The registry of one HTTP agent with these limits, behind a doorkeeper.
fn registry(agent: &HttpAgent, limits: Option<CallLimits>, doorkeeper: &Doorkeeper) -> Registry {
    registry_of(json!({ "url": agent.url(), "timeoutSeconds": 1 }), limits, doorkeeper)
}

/// The same for an agent that is asked again when it is busy.
fn again(agent: &HttpAgent, doorkeeper: &Doorkeeper) -> Registry {
    let definition = json!({ "url": agent.url(), "timeoutSeconds": 1, "retries": { "on": [429] } });
    registry_of(definition, ONE, doorkeeper)
}

fn registry_of(definition: Value, limits: Option<CallLimits>, doorkeeper: &Doorkeeper) -> Registry {
    let agents = vec![AgentDefinition { limits, ..http_agent(definition) }];
    let shelf = Arc::new(Shelf { agents, ..Shelf::default() });
    let client = crate::support::egress::open();
    let registry = Registry::new().with(HttpAdapterFactory::new(shelf.clone(), shelf.clone(), client));
    registry.limited_by(Arc::new(doorkeeper.clone()), shelf)
}

#[tokio::test]
async fn a_turn_waits_outside_of_its_own_time_and_says_so_on_its_span() {
    let agent = HttpAgent::start(|_| Answer::typed("text/plain", "hello")).await;
    let doorkeeper = Doorkeeper::slow(Duration::from_millis(1_200));
    let mut spec = spec("http", "shop", json!({}));
    spec.project.limits = ONE;
    let target = registry(&agent, ONE, &doorkeeper).adapter(spec).await.unwrap();
    let recorded = Recorded::default();
    let reply = take_turn(target.as_ref(), &dialogue(LINE), &recorded).await.unwrap();
    assert_eq!(reply.content, "hello");
    assert_eq!(doorkeeper.seen().admitted, [["target", "project"]]);
    assert!(matches!(recorded.notes()[..], [SpanNote::Waited { .. }]), "{:?}", recorded.notes());
    assert_eq!(doorkeeper.seen().inside, 0);
}

#[tokio::test]
async fn an_agent_that_says_too_many_is_told_on() {
    let headers = vec![("retry-after", "7".to_owned())];
    let busy = move |_: &_| Answer::Reply { status: 429, headers: headers.clone(), body: Vec::new() };
    let (agent, doorkeeper) = (HttpAgent::start(busy).await, Doorkeeper::default());
    let target = registry(&agent, ONE, &doorkeeper).adapter(spec("http", "shop", json!({}))).await.unwrap();
    take_turn(target.as_ref(), &dialogue(LINE), &Recorded::default()).await.unwrap_err();
    assert_eq!(doorkeeper.seen().refused, [Throttled { retry_after: Some(Duration::from_secs(7)) }]);
}

#[tokio::test]
async fn an_agent_that_is_asked_again_is_asked_when_there_may_be_one_more_call_outside_of_the_turns_time() {
    let busy = AtomicBool::new(true);
    let agent = HttpAgent::start(move |_| {
        if busy.swap(false, Ordering::SeqCst) {
            return Answer::status(429, "too many");
        }
        Answer::typed("text/plain", "hello")
    })
    .await;
    let doorkeeper = Doorkeeper::slow(Duration::from_millis(1_200));
    let target = again(&agent, &doorkeeper).adapter(spec("http", "shop", json!({}))).await.unwrap();
    let reply = take_turn(target.as_ref(), &dialogue(LINE), &Recorded::default()).await.unwrap();
    assert_eq!((reply.content.as_str(), agent.requests().len()), ("hello", 2));
    let seen = doorkeeper.seen();
    assert_eq!(
        (seen.admitted.len(), seen.again, seen.refused),
        (1, 1, vec![Throttled { retry_after: None }])
    );
}

#[tokio::test]
async fn behind_limits_an_agent_reports_its_tools_as_before() {
    let agent = HttpAgent::start(|_| Answer::typed("text/plain", "hello")).await;
    let target = registry(&agent, ONE, &Doorkeeper::default()).adapter(spec("http", "shop", json!({}))).await;
    assert!(!target.unwrap().reports_tool_calls());
}

#[tokio::test]
async fn an_agent_without_limits_asks_nobody() {
    let agent = HttpAgent::start(|_| Answer::typed("text/plain", "hello")).await;
    let doorkeeper = Doorkeeper::default();
    let target = registry(&agent, None, &doorkeeper).adapter(spec("http", "shop", json!({}))).await.unwrap();
    take_turn(target.as_ref(), &dialogue(LINE), &Recorded::default()).await.unwrap();
    assert!(doorkeeper.seen().admitted.is_empty());
}
