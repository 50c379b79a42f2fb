//! Parameters from the command line to the agent, and secrets nowhere else.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;

use super::strangers::{definitions, next, offline, publish, request};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::openai::ModelServer;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::{Place, json_lines, text};

const SECRET: &str = "secret-of-one-run";

/// What the scenario leaves open.
const PARAMETERS: &str = "parameters: [{ name: region }, { name: token, secret: true }], maxTurns";

const SCHEDULE: [&str; 8] =
    ["schedule", "--project", "acme", "--scenario", "refund", "--target", "http:shop", "--json"];

#[tokio::test]
async fn a_mistake_in_the_parameters_is_refused_with_its_code_before_anything_is_published() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url()).replace("maxTurns", PARAMETERS)).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    for (given, code) in [
        (&["--param", "token=t", "--param", "regoin=eu"][..], "scenario_parameter_unknown"),
        (&["--param", "region=eu"], "scenario_secret_parameter_missing"),
        (&["--param", "token=t", "--param", "region=[1]"], "scenario_parameter_invalid"),
    ] {
        let output = place.run(&[&SCHEDULE, given].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        let receipt = &json_lines(&output.stdout)[0];
        assert_eq!((&receipt["scheduled"], &receipt["error"]["code"]), (&json!(false), &json!(code)));
        assert!(text(&output.stderr).contains(receipt["error"]["message"].as_str().unwrap()));
    }
    let asked = request(&json!({ "parameters": { "token": "t", "regoin": "eu" } }));
    let answer = client.request("scenario.run.schedule", asked.into()).await.unwrap();
    let receipt: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(receipt["error"]["code"], "scenario_parameter_unknown");
    let stream = async_nats::jetstream::new(client).get_stream("SCENARIO_REQUESTS").await.unwrap();
    assert_eq!(stream.cached_info().state.last_sequence, 0, "nothing was ever published");
}

#[tokio::test]
async fn a_secret_of_a_run_is_in_its_request_and_at_its_agent_and_nowhere_else() {
    let models = ModelServer::playing().await;
    let agent = HttpAgent::start(|request| {
        Answer::json(&json!({ "reply": format!("I am sorry. {}", request.header("authorization").unwrap()) }))
    })
    .await;
    let otlp = OtlpReceiver::start(Mode::Ok).await;
    let place = Place::new();
    let definitions = definitions(&models.base_url(), agent.url(), &otlp.endpoint());
    let open = definitions
        .replace("maxTurns", PARAMETERS)
        .replace("secrets.SHOP_TOKEN", "secrets.token")
        .replace("situation: A mug broke.", r#"situation: "A mug broke in {{ region }}.""#);
    place.import(&open).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut everything = client.subscribe(">").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let asked = request(&json!({ "parameters": { "region": "Utrecht", "token": SECRET } }));
    publish(&client, "scenario.run.requested", async_nats::HeaderMap::new(), asked.clone()).await;
    let outcome = text(&next(&mut outcomes).await.payload);
    assert!(outcome.contains("Bearer [redacted]"), "{outcome}");

    assert!(
        agent
            .requests()
            .iter()
            .all(|asked| asked.header("authorization") == Some(&format!("Bearer {SECRET}")))
    );
    let calls: String = models.received().iter().map(|call| call.body.to_string()).collect();
    assert!(calls.contains("A mug broke in Utrecht.") && !calls.contains(SECRET), "{calls}");
    assert!(!format!("{:?}", otlp.spans()).contains(SECRET));
    worker.terminate();
    let (_, log) = worker.ended().await;
    assert!(!log.join("\n").contains(SECRET), "{log:?}");
    client.flush().await.unwrap();
    everything.unsubscribe().await.unwrap();
    let mut checkpoints = 0;
    while let Some(message) = everything.next().await {
        let checkpoint = message.subject.starts_with("$KV.") && text(&message.payload).contains("Utrecht");
        checkpoints += usize::from(checkpoint);
        let is_request = message.payload == asked;
        assert!(is_request || !text(&message.payload).contains(SECRET), "it is on {}", message.subject);
    }
    assert!(checkpoints > 0, "the run's state was looked at while it ran");
}
