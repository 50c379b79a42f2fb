//! Requests, duplicates and cancels, at times that the seed says.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::history::{Accepted, Recorder, now};
use super::script;

/// Requests come in this many bursts, so that the limits are met.
const BURSTS: usize = 8;
/// One run in this many has its request sent twice with the same id, with another id, and is cancelled.
const SAME_ID_EVERY: usize = 9;
const OTHER_ID_EVERY: usize = 10;
const CANCEL_EVERY: usize = 8;
/// A cancel comes this long before its run's request at most, and this long after it, in milliseconds.
const CANCEL_EARLY: u64 = 500;
const CANCEL_LATE: u64 = 6_000;
/// A duplicate comes this long after its original at most, in milliseconds.
const DUPLICATE_LATE: u64 = 8_000;
/// The pause before a publish is tried again that was not confirmed.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a publish is tried.
const PATIENCE: Duration = Duration::from_secs(90);
const REQUESTED: &str = "scenario.run.requested";
const CANCEL_REQUESTED: &str = "scenario.run.cancel_requested";

/// The id of run number `number`.
pub(crate) fn run_id(number: usize) -> String {
    format!("run-{number}")
}

/// What is published when.
struct Shot {
    at: Duration,
    run: String,
    /// The message id of a request; a cancel has none.
    id: Option<String>,
}

/// Publishes the requests of `runs` runs within `spread`, their duplicates and cancels, and waits until the broker
/// confirmed every one.
pub(crate) async fn publish(
    client: async_nats::Client,
    recorder: &Recorder,
    seed: u64,
    runs: usize,
    spread: Duration,
) {
    let jetstream = jetstream::new(client);
    let mut tasks = JoinSet::new();
    for shot in plan(seed, runs, spread) {
        let (jetstream, recorder) = (jetstream.clone(), recorder.clone());
        tasks.spawn(async move {
            tokio::time::sleep(shot.at).await;
            fire(&jetstream, &recorder, shot).await;
        });
    }
    while let Some(fired) = tasks.join_next().await {
        fired.unwrap();
    }
}

/// Publishes the request of one run.
pub(crate) async fn request_once(client: async_nats::Client, recorder: &Recorder, number: usize) {
    let run = run_id(number);
    let id = Some(format!("{}:first-{number}", script::project_of(&run)));
    fire(&jetstream::new(client), recorder, Shot { at: Duration::ZERO, run, id }).await;
}

fn plan(seed: u64, runs: usize, spread: Duration) -> Vec<Shot> {
    let mut chance = StdRng::seed_from_u64(seed);
    let spread = u64::try_from(spread.as_millis()).unwrap();
    let bursts: Vec<u64> = (0..BURSTS).map(|_| chance.random_range(0..spread)).collect();
    let mut shots = Vec::new();
    for number in 0..runs {
        // Half of the runs come in a burst, the others at any time.
        let any = chance.random_range(0..spread);
        let at = if chance.random() { bursts[number % BURSTS] } else { any } + CANCEL_EARLY;
        let mut shot = |at, id: Option<&str>| {
            let run = run_id(number);
            let id = id.map(|id| format!("{}:{id}-{number}", script::project_of(&run)));
            shots.push(Shot { at: Duration::from_millis(at), run, id });
        };
        shot(at, Some("first"));
        let late = chance.random_range(0..DUPLICATE_LATE);
        if number.is_multiple_of(SAME_ID_EVERY) {
            shot(at + late, Some("first"));
        }
        if number.is_multiple_of(OTHER_ID_EVERY) {
            shot(at + late, Some("other"));
        }
        if number % CANCEL_EVERY == 1 {
            shot(at - CANCEL_EARLY + chance.random_range(0..CANCEL_EARLY + CANCEL_LATE), None);
        }
    }
    shots
}

async fn fire(jetstream: &Context, recorder: &Recorder, shot: Shot) {
    let run = shot.run;
    let Some(id) = shot.id else {
        let payload = json!({ "projectId": script::project_of(&run), "scenarioRunId": run });
        confirmed(jetstream, CANCEL_REQUESTED, HeaderMap::new(), &payload).await;
        recorder.history().cancels.push(Accepted { run, at: now() });
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    let before = now();
    confirmed(jetstream, REQUESTED, headers, &request(&run)).await;
    let mut history = recorder.history();
    if history.accepted.iter().any(|request| request.run == run) {
        history.duplicates += 1;
    } else {
        // The confirmation may come long after the run began, so the time before it counts.
        history.accepted.push(Accepted { run, at: before });
    }
}

fn request(run: &str) -> Value {
    let target = json!({ "type": "http", "referenceId": script::agent_of(run) });
    json!({ "projectId": script::project_of(run), "scenarioId": run, "scenarioRunId": run, "target": target })
}

/// Publishes until the broker says that it has the message.
async fn confirmed(jetstream: &Context, subject: &'static str, headers: HeaderMap, payload: &Value) {
    let publishing = async {
        loop {
            let bytes = payload.to_string().into();
            if let Ok(ack) = jetstream.publish_with_headers(subject, headers.clone(), bytes).await
                && ack.await.is_ok()
            {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, publishing).await.expect("the broker takes requests in time");
}
