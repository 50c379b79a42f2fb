//! A session of an agent outlives the worker that began it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::{Client, HeaderMap, Subscriber};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};

use super::strangers::{offline, outcome, publish, request};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::worker::{Place, within};

/// What the agent calls a conversation.
pub(super) const CAPTURED: &str = "conversation-1234567";
const COOKIE: &str = "cookie-1234567";

/// An agent that opens and closes conversations, and answers while its doors are open.
pub(super) async fn agent(doors: Arc<AtomicBool>) -> HttpAgent {
    HttpAgent::start(move |request| match request.target.as_str() {
        "/start" => {
            let headers = vec![("set-cookie", format!("sid={COOKIE}"))];
            Answer::Reply { status: 200, headers, body: json!({ "id": CAPTURED }).to_string().into_bytes() }
        }
        "/end" => Answer::status(204, ""),
        _ if doors.load(Ordering::SeqCst) => {
            Answer::json(&json!({ "reply": format!("I am sorry, {CAPTURED}.") }))
        }
        _ => Answer::Hang,
    })
    .await
}

/// The agent with its sessions, beside models that need no network.
pub(super) fn definitions(url: &str) -> String {
    let session = format!(
        r#"outputPath: "$.reply", bodyTemplate: '{{"id": "{{{{ captured.id }}}}"}}', session: {{
            start: {{ url: "{url}/start", capture: {{ id: "$.id" }} }}, end: {{ url: "{url}/end" }} }}"#
    );
    offline(&format!("{url}/chat")).replace(r#"outputPath: "$.reply""#, &session)
}

/// A run whose worker dies while the agent is asked in its session.
async fn lost(place: &Place, agent: &HttpAgent) -> (Client, Subscriber, Subscriber) {
    place.import(&definitions(agent.url())).await;
    let (first, client) = (place.serve().await, place.nats.client().await);
    let events = client.subscribe("scenario.events.>").await.unwrap();
    let outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let mine = request(&json!({ "scenarioRunId": "mine" }));
    publish(&client, "scenario.run.requested", HeaderMap::new(), mine).await;
    within(async || targets(agent).contains(&"/chat".to_owned())).await;
    first.kill().await;
    (client, events, outcomes)
}

/// What the agent was asked for.
pub(super) fn targets(agent: &HttpAgent) -> Vec<String> {
    agent.requests().into_iter().map(|request| request.target).collect()
}

async fn state(client: &Client) -> Value {
    let jetstream = async_nats::jetstream::new(client.clone());
    let states = jetstream.get_key_value("SCENARIO_RUNS").await.unwrap();
    serde_json::from_slice(&states.get("run.acme.mine").await.unwrap().unwrap()).unwrap()
}

/// The session is in the run's state while the run lasts, and nowhere else.
async fn is_kept_nowhere_else(client: &Client, mut events: Subscriber) {
    while let Some(Some(event)) = events.next().now_or_never() {
        let text = String::from_utf8_lossy(&event.payload).into_owned();
        assert!(!text.contains(CAPTURED) && !text.contains(COOKIE), "{text}");
    }
    within(async || state(client).await["phase"] == "finished").await;
    let state = state(client).await.to_string();
    assert!(!state.contains(CAPTURED) && !state.contains(COOKIE), "{state}");
}

#[tokio::test]
async fn another_worker_goes_on_with_the_session_and_ends_it() {
    let doors = Arc::new(AtomicBool::new(false));
    let (place, agent) = (Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2"), agent(doors.clone()).await);
    let (client, events, mut outcomes) = lost(&place, &agent).await;
    assert!(state(&client).await.to_string().contains(CAPTURED), "a resumed run needs it");
    doors.store(true, Ordering::SeqCst);
    let _second = place.serve().await;
    let outcome = outcome(&mut outcomes).await;
    assert_eq!(outcome["status"], "SUCCESS", "{outcome}");
    assert_eq!(targets(&agent), ["/start", "/chat", "/chat", "/end"]);
    for request in &agent.requests()[1..] {
        assert_eq!(request.header("cookie"), Some(format!("sid={COOKIE}").as_str()));
    }
    assert_eq!(agent.requests()[2].json(), json!({ "id": CAPTURED }));
    is_kept_nowhere_else(&client, events).await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_nobody_has_it_ends_its_session() {
    let doors = Arc::new(AtomicBool::new(false));
    let (place, agent) = (Place::new().with("CONSUMER__ACK_WAIT_SECONDS", "2"), agent(doors).await);
    let (client, events, mut outcomes) = lost(&place, &agent).await;
    place.run(&["cancel", "--project", "acme", "mine"]).await;
    let _second = place.serve().await;
    assert_eq!(outcome(&mut outcomes).await["status"], "CANCELLED");
    assert_eq!(targets(&agent), ["/start", "/chat", "/end"]);
    is_kept_nowhere_else(&client, events).await;
}
