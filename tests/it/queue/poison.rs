//! Messages that the client library cannot read.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scenario_worker::events::{DeadLetter, DeadLetterCode};
use scenario_worker::queue::{Cancellations, ConsumerError, Letters};
use tokio_util::sync::CancellationToken;

use super::{Broker, text, until, within};
use crate::support::raw_nats::RawClient;

const SUBJECT: &[u8] = b"scenario.run.requested";

async fn broker() -> Broker {
    // What was lost behind a bad message comes again after this.
    Broker::with(|settings| settings.consumer.ack_wait_seconds = 2).await
}

async fn letters(broker: &Broker) -> Vec<DeadLetter> {
    let letters = Letters::open(&broker.connection).await.unwrap();
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(letter) = letters.next(from).await.unwrap() {
        from = letter.sequence + 1;
        found.push(letter.letter().unwrap().clone());
    }
    found
}

async fn left(broker: &Broker, stream: &str) -> u64 {
    broker.connection.jetstream.get_stream(stream).await.unwrap().cached_info().state.messages
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_buried_once_by_two_workers_and_all_else_arrives() {
    const BAD: [(&[u8], &[u8]); 5] = [
        (SUBJECT, b"X-Mine: k\xffpt\r\n"),
        (SUBJECT, b"X-Mine: kept\r\nno colon\r\n"),
        (SUBJECT, b"X Mine: kept\r\n"),
        (b"scenario.run.requested.a\xffb", b""),
        ("scenario.run.requested.a\u{a0}b".as_bytes(), b""),
    ];
    let one = broker().await;
    let two = Broker::on(one.account.clone(), |settings| settings.consumer.ack_wait_seconds = 2).await;
    let mut raw = RawClient::connect(&one.account).await;
    for (number, (subject, headers)) in BAD.iter().enumerate() {
        raw.publish(subject, headers, format!("bad {number}").as_bytes()).await;
        raw.publish(SUBJECT, b"X-Mine: kept\r\n", format!("good {number}").as_bytes()).await;
    }
    raw.flush().await;
    let (mut consuming, mut beside) = (one.consume(4), two.consume(4));
    let mut seen = BTreeSet::new();
    while seen.len() < BAD.len() {
        let (delivery, slot) = tokio::select! { one = consuming.next() => one, two = beside.next() => two };
        assert!(text(&delivery).starts_with("good"), "{}", text(&delivery));
        let name = text(&delivery);
        // The connection may be lost again at this moment; then it comes again.
        if delivery.ack().await.is_ok() {
            seen.insert(name);
        }
        drop(slot);
    }
    until(async || left(&one, "SCENARIO_REQUESTS").await == 0).await;
    let found = letters(&one).await;
    assert_eq!(found.len(), BAD.len(), "each is buried once");
    let counted = |broker: &Broker| broker.connection.burials.counts().values().sum::<u64>();
    assert!(counted(&one) + counted(&two) >= BAD.len() as u64, "each burial is counted");
    let first = found.iter().find(|letter| letter.stream_sequence == 1).unwrap();
    assert_eq!(first.code, DeadLetterCode::InvalidRequest);
    assert!(first.reason.contains("headers are not UTF-8"), "{}", first.reason);
    assert_eq!(STANDARD.decode(&first.payload).unwrap(), b"bad 0");
    assert_eq!(first.headers["X-Mine"], ["k\u{fffd}pt"]);
    let block = STANDARD.decode(&first.headers["Scenario-Unreadable-Headers"][0]).unwrap();
    assert_eq!(block, b"NATS/1.0\r\nX-Mine: k\xffpt\r\n\r\n");
    consuming.stop().await;
    beside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_the_library_ends_the_loop_and_the_next_process_buries_it() {
    let victim = broker().await;
    let mut raw = RawClient::connect(&victim.account).await;
    raw.publish(SUBJECT, b"A: b\rc\r\n", b"bad").await;
    raw.flush().await;
    let error = within(victim.consume(1).task).await.unwrap().unwrap_err();
    assert!(matches!(error, ConsumerError::Closed), "{error}");
    let next = Broker::on(victim.account.clone(), |settings| settings.consumer.ack_wait_seconds = 2).await;
    let consuming = next.consume(1);
    until(async || left(&next, "SCENARIO_REQUESTS").await == 0).await;
    let found = letters(&next).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].reason.contains("line break"), "{}", found[0].reason);
    consuming.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_request_that_cannot_be_read_is_buried_too() {
    let broker = broker().await;
    let cancellations = Cancellations::new(&broker.connection, &broker.topology, &broker.settings.consumer);
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { cancellations.run(stop).await }
    });
    let mut raw = RawClient::connect(&broker.account).await;
    raw.publish(b"scenario.run.cancel_requested", b"A: \xff\r\n", b"bad").await;
    raw.flush().await;
    until(async || letters(&broker).await.len() == 1).await;
    let good = br#"{"projectId":"acme","scenarioRunId":"r1"}"#;
    raw.publish(b"scenario.run.cancel_requested", b"", good).await;
    raw.flush().await;
    until(async || matches!(broker.topology.runs.get("cancel.acme.r1").await, Ok(Some(_)))).await;
    until(async || left(&broker, "SCENARIO_COMMANDS").await == 0).await;
    assert_eq!(letters(&broker).await.len(), 1);
    stop.cancel();
    within(task).await.unwrap().unwrap();
}
