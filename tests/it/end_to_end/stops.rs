//! A stop takes no longer than it is said to, whoever does not answer.

use std::time::Duration;

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::strangers::{definitions, offline, outcome, publish, request};
use crate::support::nats::NatsServer;
use crate::support::openai::ModelServer;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::{Place, within};

/// Longer than any test is waited for: a stop that waits for this much does not end in time.
const FOR_EVER: &str = "600";
/// Many times what a pull takes to notice that its connection is lost.
const NOTICED: Duration = Duration::from_secs(1);
/// A worker that asked a broker which is away would need twice as long.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A worker whose trace endpoint never answers.
struct Stage {
    place: Place,
    shop: Shop,
    otlp: OtlpReceiver,
    _models: ModelServer,
}

impl Stage {
    async fn set(shop: Shop, drain_seconds: &str) -> Self {
        let (models, otlp) = (ModelServer::playing().await, OtlpReceiver::start(Mode::Hang).await);
        let place = Place::new()
            .with("WORKER__DRAIN_SECONDS", drain_seconds)
            .with("CONSUMER__ACK_WAIT_SECONDS", FOR_EVER)
            .with("TELEMETRY__RUN__DEADLINE_SECONDS", FOR_EVER);
        place.import(&definitions(&models.base_url(), shop.url(), &otlp.endpoint())).await;
        Self { place, shop, otlp, _models: models }
    }

    /// Starts a worker, and stops it while the agent is asked; the agent answers now if it `answers_in_time`, else only
    /// when the worker is gone and a second one has come. Returns the outcome of the run.
    async fn play(&self, answers_in_time: bool) -> Value {
        let (worker, client) = (self.place.serve().await, self.place.nats.client().await);
        let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
        publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
        within(async || !self.shop.questions().is_empty()).await;
        worker.terminate();
        if answers_in_time {
            self.shop.open_doors();
        }
        let (status, log) = worker.ended().await;
        assert_eq!(status.code(), Some(0), "{}", log.join("\n"));
        assert!(!log.iter().any(|line| line.contains("did not stop in time")), "{}", log.join("\n"));
        self.otlp.become_mode(Mode::Ok);
        let _second = self.place.serve().await;
        self.shop.open_doors();
        // Without a settlement the run would come back only after `ack_wait`, for which nobody waits here.
        outcome(&mut outcomes).await
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_hold_up_a_hand_back() {
    let stage = Stage::set(Shop::closed().await, "0").await;
    let outcome = stage.play(false).await;
    assert_eq!((&outcome["status"], &outcome["attempts"]), (&json!("SUCCESS"), &json!(2)));
    let count = |name: &str| outcome["telemetry"][name].as_u64().unwrap();
    assert_eq!(count("exported") + count("spooled"), count("spans"), "what the first worker made is counted");
    assert!(count("spooled") > 0);
    // The second worker has what the first one kept, or will have.
    within(async || stage.otlp.spans().len() as u64 == count("spans")).await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_hold_up_an_outcome_beyond_the_stop() {
    // Long enough for the judge, so that the run is over but for its spans when the time is up.
    let stage = Stage::set(Shop::closed().await, "10").await;
    let outcome = stage.play(true).await;
    assert_eq!((&outcome["status"], &outcome["attempts"]), (&json!("SUCCESS"), &json!(1)));
    let telemetry = &outcome["telemetry"];
    assert_eq!(
        (&telemetry["exported"], &telemetry["spooled"]),
        (&json!(0), &telemetry["spans"]),
        "{telemetry}"
    );
    assert_eq!(stage.shop.questions().len(), 1, "nobody is asked again");
}

/// Waits until the worker asks for requests and for cancel requests.
async fn pulls_are_open(place: &Place) {
    let jetstream = async_nats::jetstream::new(place.nats.client().await);
    for (stream, consumer) in
        [("SCENARIO_REQUESTS", "scenario-workers"), ("SCENARIO_COMMANDS", "scenario-commands")]
    {
        let stream = jetstream.get_stream(stream).await.unwrap();
        within(async || stream.consumer_info(consumer).await.unwrap().num_waiting > 0).await;
    }
}

#[tokio::test]
async fn an_idle_worker_whose_broker_is_gone_stops_at_once() {
    let mut server = NatsServer::start();
    let place = Place::on(server.account(0));
    place.import(&offline("http://127.0.0.1:9/")).await;
    let worker = place.serve().await;
    pulls_are_open(&place).await;
    server.down();
    worker.until_ready(503, "the broker is not connected").await;
    // Nothing shows from outside that the pulls have noticed. A worker that is told to stop before they have stops, too.
    tokio::time::sleep(NOTICED).await;
    worker.terminate();
    let (status, log) = tokio::time::timeout(AT_ONCE, worker.ended()).await.expect("it stops at once");
    assert_eq!(status.code(), Some(0), "{}", log.join("\n"));
}
