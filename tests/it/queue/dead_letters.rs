//! Dead letters: read, redriven, discarded; and what the server gave up on.

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use bytes::Bytes;
use scenario_worker::events::{DeadLetterCode, ProjectId, RunId, RunKey, SetId};
use scenario_worker::queue::{
    Claim, DeadLetters, EventPublisher, GivenUpRequests, Letter, LetterError, Letters, Room, RunStates,
};
use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::worker::GivenUp;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{Broker, until, within};

const REQUEST: &str = r#"{"projectId":"acme","scenarioId":"s","target":{"type":"http","referenceId":"a"},"scenarioRunId":"r1"}"#;

/// Publishes and buries one message.
async fn bury(broker: &Broker, subject: &'static str, headers: HeaderMap, payload: Bytes) {
    let publish = broker.connection.jetstream.publish_with_headers(subject, headers, payload);
    publish.await.unwrap().await.unwrap();
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let code = DeadLetterCode::InvalidRequest;
    DeadLetters::new(&broker.connection).bury(&delivery, code, "no good").await.unwrap();
    delivery.term("no good").await.unwrap();
    consuming.stop().await;
}

async fn all(broker: &Broker) -> Vec<Letter> {
    let letters = Letters::open(&broker.connection).await.unwrap();
    let mut found: Vec<Letter> = Vec::new();
    while let Some(letter) = letters.next(found.last().map_or(0, |last| last.sequence + 1)).await.unwrap() {
        found.push(letter);
    }
    found
}

async fn requests(broker: &Broker) -> u64 {
    broker.topology.requests_stream.get_info().await.unwrap().state.messages
}

#[tokio::test]
async fn a_redriven_message_is_what_it_was_but_for_a_fresh_id_and_its_origin() {
    let broker = Broker::new().await;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "acme:k");
    headers.append("X-Note", "one");
    headers.append("X-Note", "two");
    let payload = Bytes::from_static(b"\xff\x00 no JSON");
    bury(&broker, "scenario.run.requested.acme", headers, payload.clone()).await;
    let letters = Letters::open(&broker.connection).await.unwrap();
    let letter = letters.get(1).await.unwrap();
    assert_eq!((letter.project(), letter.bytes().unwrap()), (ProjectId::parse("acme").ok(), payload.clone()));

    let redriven = letters.redrive(&letter).await.unwrap();
    assert_eq!((redriven.stream.as_str(), redriven.duplicate), ("SCENARIO_REQUESTS", false));
    assert!(all(&broker).await.is_empty(), "the letter is gone");
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    assert_eq!((delivery.subject(), delivery.payload()), ("scenario.run.requested.acme", &payload));
    assert_eq!(delivery.stream_sequence(), redriven.sequence);
    let notes: Vec<&str> =
        delivery.headers().get_all("X-Note").map(async_nats::HeaderValue::as_str).collect();
    assert_eq!(notes, ["one", "two"]);
    assert_eq!(delivery.headers().get("Scenario-Redriven-From").unwrap().as_str(), "1");
    assert!(delivery.message_id().unwrap().starts_with("acme:redrive-1-"), "{:?}", delivery.message_id());
    delivery.ack().await.unwrap();
    consuming.stop().await;
}

#[tokio::test]
async fn a_letter_that_was_redriven_but_not_deleted_is_not_redriven_twice() {
    let broker = Broker::new().await;
    bury(&broker, "scenario.run.requested", HeaderMap::new(), REQUEST.into()).await;
    // Two who read the letter before either deletes it, as after a crash in between.
    let (one, two) = tokio::join!(Letters::open(&broker.connection), Letters::open(&broker.connection));
    let (one, two) = (one.unwrap(), two.unwrap());
    let (first, second) = (one.get(1).await.unwrap(), two.get(1).await.unwrap());
    let (first, second) = (one.redrive(&first).await.unwrap(), two.redrive(&second).await.unwrap());
    assert_eq!((first.duplicate, second.duplicate), (false, true));
    assert_eq!((first.sequence, requests(&broker).await), (second.sequence, 1));
}

#[tokio::test]
async fn a_letter_whose_message_is_refused_stays() {
    let broker = Broker::new().await;
    bury(&broker, "scenario.run.requested", HeaderMap::new(), REQUEST.into()).await;
    let mut config = broker.topology.requests_stream.cached_info().config.clone();
    config.max_message_size = 10;
    broker.connection.jetstream.update_stream(config).await.unwrap();
    let letters = Letters::open(&broker.connection).await.unwrap();
    let error = letters.redrive(&letters.get(1).await.unwrap()).await.unwrap_err();
    assert!(matches!(error, LetterError::Refused { sequence: 1, .. }), "{error:?}");
    assert_eq!((all(&broker).await.len(), requests(&broker).await), (1, 0));
}

#[tokio::test]
async fn bytes_too_large_for_a_letter_are_an_object_and_are_redriven_whole() {
    let broker = Broker::new().await;
    let payload = Bytes::from("x".repeat(broker.connection.max_payload() - 1_024));
    bury(&broker, "scenario.run.requested", HeaderMap::new(), payload.clone()).await;
    let letters = Letters::open(&broker.connection).await.unwrap();
    let letter = letters.get(1).await.unwrap();
    let object = letter.letter().unwrap().payload_object.clone().unwrap();
    assert_eq!((object.bucket.as_str(), object.bytes), ("SCENARIO_TRANSCRIPTS", payload.len()));
    assert!(payload.starts_with(&letter.bytes().unwrap()) && !letter.bytes().unwrap().is_empty());
    letters.redrive(&letter).await.unwrap();
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    assert_eq!(delivery.payload(), &payload);
    delivery.ack().await.unwrap();
    consuming.stop().await;
}

#[tokio::test]
async fn a_letter_whose_bytes_are_gone_is_not_redriven_and_says_why() {
    let broker = Broker::new().await;
    let payload = "x".repeat(broker.connection.max_payload() - 1_024);
    bury(&broker, "scenario.run.requested", HeaderMap::new(), payload.into()).await;
    let letters = Letters::open(&broker.connection).await.unwrap();
    let letter = letters.get(1).await.unwrap();
    let object = letter.letter().unwrap().payload_object.clone().unwrap();
    broker.topology.transcripts.delete(&object.name).await.unwrap();
    let error = letters.redrive(&letter).await.unwrap_err();
    assert!(matches!(error, LetterError::Truncated { sequence: 1 }), "{error}");
    assert!(error.to_string().contains("too large"), "{error}");
    assert_eq!((all(&broker).await.len(), requests(&broker).await), (1, 0));
}

#[tokio::test]
async fn a_message_that_fills_all_that_the_server_takes_is_redriven_and_leaves_nothing_behind() {
    let broker = Broker::new().await;
    let most = broker.connection.max_payload();
    // The second leaves room for an id, and for none of its own headers.
    let mut headers = HeaderMap::new();
    headers.insert("X-Mine", "m".repeat(400));
    for (payload, headers) in [("x".repeat(most), HeaderMap::new()), ("y".repeat(most - 430), headers)] {
        bury(&broker, "scenario.run.requested", headers, payload.into()).await;
    }
    let letters = Letters::open(&broker.connection).await.unwrap();
    let found = all(&broker).await;
    let mut consuming = broker.consume(1);
    for (letter, room) in found.iter().zip([Room::None, Room::IdOnly]) {
        assert_eq!(letters.redrive(letter).await.unwrap().headers, room);
        let (delivery, _slot) = consuming.next().await;
        assert_eq!(delivery.payload().len(), letter.letter().unwrap().payload_object.as_ref().unwrap().bytes);
        assert_eq!(delivery.message_id().is_some(), room == Room::IdOnly);
        assert!(delivery.headers().get("X-Mine").is_none());
        delivery.ack().await.unwrap();
    }
    consuming.stop().await;
    assert!(all(&broker).await.is_empty());
    for letter in &found {
        assert!(!has_object(&broker, letter).await);
    }
}

#[tokio::test]
async fn a_letter_that_is_discarded_takes_its_bytes_with_it_and_nobody_elses() {
    let broker = Broker::new().await;
    let payload = "x".repeat(broker.connection.max_payload() - 1_024);
    for _ in 0..2 {
        bury(&broker, "scenario.run.requested", HeaderMap::new(), payload.clone().into()).await;
    }
    let letters = Letters::open(&broker.connection).await.unwrap();
    let found = all(&broker).await;
    letters.discard(&found[0]).await.unwrap();
    assert!(!has_object(&broker, &found[0]).await, "the bytes are a tenant's");
    letters.redrive(&found[1]).await.unwrap();
    assert_eq!((all(&broker).await.len(), requests(&broker).await), (0, 1));
}

/// Whether the bytes that were put aside for a letter are there.
async fn has_object(broker: &Broker, letter: &Letter) -> bool {
    let object = letter.letter().unwrap().payload_object.as_ref().unwrap();
    broker.topology.transcripts.get(&object.name).await.is_ok()
}

#[tokio::test]
async fn headers_too_large_for_a_letter_are_cut_and_the_letter_says_so() {
    let broker = Broker::new().await;
    let mut headers = HeaderMap::new();
    // JSON writes each of these bytes as six; the server takes headers of up to 64 KB.
    headers.insert("X-Large", "\u{1}".repeat(60_000));
    headers.insert("X-Small", "kept");
    let payload = Bytes::from("x".repeat(800_000));
    bury(&broker, "scenario.run.requested", headers, payload.clone()).await;
    let found = all(&broker).await;
    let letter = found[0].letter().unwrap();
    assert!(letter.headers_truncated && letter.reason.contains("headers are cut"), "{}", letter.reason);
    assert_eq!(letter.headers["X-Small"], ["kept"]);
    assert!(letter.headers["X-Large"][0].ends_with("[truncated]"));
    assert_eq!(letter.payload_object.as_ref().unwrap().bytes, payload.len());
}

#[tokio::test]
async fn letters_are_read_in_order_and_one_that_is_no_letter_can_be_discarded() {
    let broker = Broker::new().await;
    bury(&broker, "scenario.run.requested", HeaderMap::new(), "first".into()).await;
    let junk = broker.connection.jetstream.publish("scenario.run.dead_lettered", "junk".into());
    junk.await.unwrap().await.unwrap();
    bury(&broker, "scenario.run.requested.acme", HeaderMap::new(), "third".into()).await;
    let found = all(&broker).await;
    let projects: Vec<_> = found.iter().map(Letter::project).collect();
    assert_eq!(projects, [None, None, ProjectId::parse("acme").ok()]);
    assert!(found[0].content.is_ok() && found[1].content.is_err());
    let letters = Letters::open(&broker.connection).await.unwrap();
    assert!(matches!(letters.redrive(&found[1]).await, Err(LetterError::Unreadable { sequence: 2, .. })));
    let second = letters.get(2).await.unwrap();
    letters.discard(&second).await.unwrap();
    assert!(matches!(letters.discard(&second).await, Err(LetterError::Missing { sequence: 2 })));
    assert_eq!(all(&broker).await.iter().map(|letter| letter.sequence).collect::<Vec<_>>(), [1, 3]);
}

#[tokio::test]
async fn what_is_buried_while_letters_are_redriven_is_not_met_again() {
    let broker = Broker::new().await;
    bury(&broker, "scenario.run.requested", HeaderMap::new(), "first".into()).await;
    let letters = Letters::open(&broker.connection).await.unwrap();
    bury(&broker, "scenario.run.requested", HeaderMap::new(), "second".into()).await;
    assert_eq!(letters.next(0).await.unwrap().unwrap().sequence, 1);
    assert_eq!(letters.next(2).await.unwrap(), None);
}

/// How often the server delivers in the tests below.
const DELIVERIES: i64 = 2;

/// A request that the server gave up on.
async fn give_up(broker: &Broker) {
    let config = broker.topology.requests.cached_info().config.clone();
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    let few = pull::Config {
        durable_name: config.durable_name,
        ack_wait: config.ack_wait,
        max_ack_pending: config.max_ack_pending,
        max_waiting: config.max_waiting,
        max_deliver: DELIVERIES,
        ..pull::Config::default()
    };
    let _: PullConsumer = stream.create_consumer(few).await.unwrap();
    broker.publish(REQUEST).await;
    let mut consuming = broker.consume(1);
    for _ in 0..DELIVERIES {
        let (delivery, slot) = consuming.next().await;
        delivery.nak(None).await.unwrap();
        drop(slot);
    }
    let advisories = broker.connection.jetstream.get_stream("SCENARIO_ADVISORIES").await.unwrap();
    until(async || advisories.get_info().await.unwrap().state.messages > 0).await;
    consuming.stop().await;
}

fn given_up(broker: &Broker) -> GivenUp {
    GivenUp {
        requests: GivenUpRequests::new(&broker.connection, &broker.topology, &broker.settings.consumer),
        dead_letters: DeadLetters::new(&broker.connection),
        states: RunStates::new(&broker.connection, &broker.topology),
        publisher: EventPublisher::new(&broker.connection, &broker.topology, &broker.settings.events),
        default_set: SetId::parse("default").unwrap(),
        metrics: Metrics::new().unwrap(),
    }
}

/// Runs two workers until no request and no advisory is left.
async fn clear_up(broker: &Broker) {
    let stop = CancellationToken::new();
    let start = || {
        let (worker, stop) = (given_up(broker), stop.clone());
        tokio::spawn(async move { worker.run(stop).await })
    };
    let tasks = [start(), start()];
    until(async || {
        let left = broker.topology.advisories.get_info().await.unwrap();
        requests(broker).await == 0 && left.num_pending == 0 && left.num_ack_pending == 0
    })
    .await;
    stop.cancel();
    for task in tasks {
        within(task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_request_that_the_server_gave_up_becomes_one_dead_letter_and_leaves_the_queue() {
    let broker = Broker::new().await;
    give_up(&broker).await;
    assert_eq!(requests(&broker).await, 1, "the server keeps what it delivers no more");
    clear_up(&broker).await;
    let found = all(&broker).await;
    assert_eq!(found.len(), 1);
    let letter = found[0].letter().unwrap();
    assert_eq!((letter.code, letter.deliveries), (DeadLetterCode::DeliveriesExhausted, 2));
    assert_eq!((letter.subject.as_str(), letter.stream_sequence), ("scenario.run.requested", 1));
    assert_eq!(found[0].bytes().unwrap(), REQUEST);
}

#[tokio::test]
async fn an_advisory_that_comes_again_after_a_crash_adds_no_second_letter() {
    let broker = Broker::new().await;
    give_up(&broker).await;
    let advisory = {
        let stream = broker.connection.jetstream.get_stream("SCENARIO_ADVISORIES").await.unwrap();
        stream.get_raw_message(1).await.unwrap()
    };
    // A worker that buried the request and crashed before it took the request out.
    let original = broker.topology.requests_stream.get_raw_message(1).await.unwrap();
    let buried = scenario_worker::queue::Original {
        subject: &original.subject,
        headers: &original.headers,
        payload: &original.payload,
        stream_sequence: 1,
        stored_as: format!("1@{}", original.time.unix_timestamp_nanos()),
        deliveries: 2,
    };
    DeadLetters::new(&broker.connection)
        .bury(buried, DeadLetterCode::DeliveriesExhausted, "x")
        .await
        .unwrap();
    clear_up(&broker).await;
    assert_eq!(all(&broker).await.len(), 1);
    // The same advisory once more, when the request is long gone.
    broker.connection.client.publish(advisory.subject, advisory.payload).await.unwrap();
    let advisories = broker.connection.jetstream.get_stream("SCENARIO_ADVISORIES").await.unwrap();
    until(async || advisories.get_info().await.unwrap().state.messages == 2).await;
    clear_up(&broker).await;
    assert_eq!(all(&broker).await.len(), 1);
}

#[tokio::test]
async fn an_advisory_of_a_consumer_that_was_created_anew_is_void() {
    let broker = Broker::new().await;
    give_up(&broker).await;
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    stream.delete_consumer("scenario-workers").await.unwrap();
    let topology =
        scenario_worker::queue::topology::ensure(&broker.connection, &broker.settings).await.unwrap();
    let broker = Broker { topology, ..broker };
    let worker = given_up(&broker);
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { worker.run(stop).await }
    });
    until(async || broker.topology.advisories.get_info().await.unwrap().ack_floor.stream_sequence == 1).await;
    stop.cancel();
    within(task).await.unwrap().unwrap();
    assert_eq!((requests(&broker).await, all(&broker).await.len()), (1, 0), "the request is delivered again");
}

#[tokio::test]
async fn a_run_whose_request_was_given_up_goes_on_when_its_letter_is_redriven() {
    let broker = Broker::new().await;
    let states = RunStates::new(&broker.connection, &broker.topology);
    let key = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("r1").unwrap() };
    let now = OffsetDateTime::now_utc();
    let claim = async |sequence| states.claim(&key, sequence, 1, 5, now).await.unwrap();
    let Claim::Granted(stale) = claim(1).await else { panic!("not granted") };
    give_up(&broker).await;
    clear_up(&broker).await;
    assert!(stale.hand_back(None).await.is_err(), "a worker that still thinks it has the run is refused");
    let letters = Letters::open(&broker.connection).await.unwrap();
    let redriven = letters.redrive(&letters.get(1).await.unwrap()).await.unwrap();
    match claim(redriven.sequence).await {
        Claim::Granted(run) => assert_eq!(run.attempt(), 2),
        other => panic!("the redriven request may not run: {other:?}"),
    }
    assert!(matches!(claim(99).await, Claim::OwnedByOther { .. }), "it is owned again");
}
