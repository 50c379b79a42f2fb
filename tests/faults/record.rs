//! What the broker has of runs: when it is ready for them, when it is done with them, and what it keeps.

use std::time::Duration;

use async_nats::jetstream::{self, Context, stream::Stream};
use scenario_worker::events::subjects::{RUNS_BUCKET, TRANSCRIPTS_BUCKET};
use serde_json::Value;

use super::history::{Event, Kind, Recorder};
use super::script;

/// Time for everything to be over after the last fault, and how often that is looked at.
const QUIET_PATIENCE: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(200);
/// The streams whose messages are work.
const WORK: [&str; 2] = ["SCENARIO_REQUESTS", "SCENARIO_COMMANDS"];
/// What runs report.
pub(crate) const EVENTS: &str = "SCENARIO_EVENTS";

/// Waits until a worker made the streams.
pub(crate) async fn ready(client: &async_nats::Client) {
    let jetstream = jetstream::new(client.clone());
    let made = async {
        for stream in WORK.iter().chain(&[EVENTS]) {
            while jetstream.get_stream(stream).await.is_err() {
                tokio::time::sleep(POLL).await;
            }
        }
    };
    tokio::time::timeout(QUIET_PATIENCE, made).await.expect("a worker starts in time");
}

/// Waits until every request is settled; false if that takes too long.
pub(crate) async fn quiet(client: &async_nats::Client) -> bool {
    let jetstream = jetstream::new(client.clone());
    let empty = async {
        loop {
            let mut left = 0;
            for stream in WORK {
                left += match jetstream.get_stream(stream).await {
                    Ok(stream) => stream.cached_info().state.messages,
                    Err(_) => 1,
                };
            }
            if left == 0 {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(QUIET_PATIENCE, empty).await.is_ok()
}

/// Takes every event that the broker keeps, in its order, and the state of every run, into the history.
pub(crate) async fn keep(client: &async_nats::Client, recorder: &Recorder) {
    let jetstream = jetstream::new(client.clone());
    let events = events(&jetstream).await;
    let pieces = jetstream.get_stream(format!("OBJ_{TRANSCRIPTS_BUCKET}")).await.unwrap();
    let pieces = pieces.cached_info().state.last_sequence;
    let runs: Vec<_> = recorder.history().accepted.iter().map(|request| request.run.clone()).collect();
    let bucket = jetstream.get_key_value(RUNS_BUCKET).await.unwrap();
    let mut states = std::collections::BTreeMap::new();
    for run in runs {
        let stored = bucket.get(format!("run.{}.{run}", script::project_of(&run))).await.unwrap();
        states.extend(stored.map(|state| (run, serde_json::from_slice(&state).unwrap())));
    }
    let mut history = recorder.history();
    (history.events, history.states, history.pieces) = (events, states, pieces);
}

async fn events(jetstream: &Context) -> Vec<Event> {
    let stream = jetstream.get_stream(EVENTS).await.unwrap();
    let state = &stream.cached_info().state;
    let mut events = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        events.extend(event(&stream, sequence).await);
    }
    events
}

/// An event of a run's life; what is told of its spans later is none.
async fn event(stream: &Stream, sequence: u64) -> Option<Event> {
    let message = stream.get_raw_message(sequence).await.unwrap();
    let mut tokens = message.subject.as_str().split('.').skip(3);
    let (run, kind) = (tokens.next().unwrap().to_owned(), tokens.next().unwrap());
    let kind = match kind {
        "started" => Kind::Started,
        "message" => Kind::Message,
        "completed" => Kind::Completed,
        "telemetry_delivered" => return None,
        other => panic!("an event of kind {other}"),
    };
    let at = Duration::from_nanos(u64::try_from(message.time.unix_timestamp_nanos()).unwrap());
    let payload: Value = serde_json::from_slice(&message.payload).unwrap();
    Some(Event { run, kind, at, payload })
}
