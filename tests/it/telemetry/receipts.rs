//! A receipt says what the endpoint saw, whatever that does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scenario_worker::definitions::ContentCapture;
use scenario_worker::events::{DeliveryFailureKind as Kind, TelemetryReceipt};
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::execution::ports::RunTracers as _;
use scenario_worker::execution::types::{SpanEnd, SpanStart};
use scenario_worker::telemetry::export::Packed;
use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::telemetry::spool::{Parcel, SpanSpool};
use serde_json::Value;

use super::play::{
    SPANS, conversation, destination, factory, factory_with, judgement, run, said, spec, target, transcript,
};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::span_spool::MemorySpool;

const KEY: &str = "key-that-nobody-may-see";
/// Enough for an endpoint that answers; those that do not cost it.
const DEADLINE: Duration = Duration::from_secs(8);

/// What has to become of a run's spans.
#[derive(Clone, Copy)]
struct Expected {
    exported: u64,
    rejected: u64,
    /// Kept for later where there is a spool, else lost.
    left: u64,
    why: Option<(Kind, Option<u16>)>,
}

const ALL: Expected = Expected { exported: SPANS, rejected: 0, left: 0, why: None };

fn left(kind: Kind, status: Option<u16>) -> Expected {
    Expected { exported: 0, rejected: 0, left: SPANS, why: Some((kind, status)) }
}

fn rejected(count: u64, kind: Kind, status: Option<u16>) -> Expected {
    Expected { exported: SPANS - count, rejected: count, left: 0, why: Some((kind, status)) }
}

fn table() -> Vec<(Mode, Expected)> {
    let busy = |times| Mode::RefuseAtFirst { times, status: 429, retry_after: Some(1) };
    let busy_for_long = Mode::RefuseAtFirst { times: 1, status: 429, retry_after: Some(3600) };
    vec![
        (Mode::Ok, ALL),
        (Mode::Slow(Duration::from_secs(1)), ALL),
        (Mode::Refuse(400), rejected(SPANS, Kind::Status, Some(400))),
        (Mode::Refuse(401), left(Kind::Status, Some(401))),
        (Mode::Refuse(402), left(Kind::Status, Some(402))),
        (Mode::Refuse(413), rejected(SPANS, Kind::Status, Some(413))),
        (busy(1), ALL),
        (busy_for_long, left(Kind::Status, Some(429))),
        (Mode::Refuse(503), left(Kind::Status, Some(503))),
        (Mode::PartialProtobuf(3), rejected(3, Kind::Partial, None)),
        (Mode::PartialJson(2), rejected(2, Kind::Partial, None)),
        // More than it was sent is all that it was sent.
        (Mode::PartialJson(100), rejected(SPANS, Kind::Partial, None)),
        (Mode::Html, left(Kind::NotOtlp, None)),
        (Mode::Reset, left(Kind::Transport, None)),
        (Mode::HalfAnswer, left(Kind::Transport, None)),
        (Mode::Hang, left(Kind::Deadline, None)),
    ]
}

fn check(mode: &Mode, receipt: &TelemetryReceipt, expected: Expected, spooled: u64) {
    let found = (receipt.exported, receipt.rejected, receipt.spooled, receipt.undelivered);
    assert_eq!(found, (expected.exported, expected.rejected, spooled, expected.left - spooled), "{mode:?}");
    let parts = receipt.exported + receipt.rejected + receipt.spooled + receipt.undelivered;
    assert_eq!((receipt.spans, parts, receipt.unconfirmed), (SPANS, SPANS, 0), "{mode:?}");
    let errors: Vec<_> = receipt.errors.iter().map(|e| ((e.kind, e.status), e.spans)).collect();
    let missing = SPANS - expected.exported;
    let is_expected = match (expected.why, errors.as_slice()) {
        (None, []) => receipt.error.is_none(),
        // Which of several attempts was the last is up to the clock.
        (Some((Kind::Transport | Kind::Status, _)), [((Kind::Deadline, _), spans)]) => *spans == missing,
        (Some(why), [(found, spans)]) => (*found, *spans) == (why, missing) && receipt.error.is_some(),
        _ => false,
    };
    assert!(is_expected, "{mode:?}: {receipt:?}");
    assert!(!format!("{receipt:?}").contains(KEY), "{mode:?}: {receipt:?}");
}

/// The spans that the endpoint knows of as taken.
fn taken(receiver: &OtlpReceiver, mode: &Mode) -> u64 {
    match mode {
        Mode::PartialProtobuf(_) | Mode::PartialJson(_) => {
            let sent: usize = receiver.attempts().iter().map(|attempt| attempt.spans().len()).sum();
            let refused = match mode {
                Mode::PartialProtobuf(refused) => u64::try_from(*refused).unwrap(),
                Mode::PartialJson(refused) => *refused,
                _ => 0,
            };
            (sent as u64).saturating_sub(refused)
        }
        _ => receiver.spans().len() as u64,
    }
}

#[tokio::test]
async fn a_receipt_is_what_the_endpoint_saw_and_the_rest_is_lost_without_a_spool() {
    let played = table().into_iter().map(async |(mode, expected)| {
        let receiver = OtlpReceiver::start(mode.clone()).await;
        let factory = factory_with(DEADLINE, Metrics::new().unwrap());
        let receipt = run(&factory, spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
        check(&mode, &receipt, expected, 0);
        assert_eq!(taken(&receiver, &mode), receipt.exported, "{mode:?}");
    });
    futures::future::join_all(played).await;
}

#[tokio::test]
async fn what_an_endpoint_does_not_take_is_kept_with_everything_but_the_key() {
    let played = table().into_iter().map(async |(mode, expected)| {
        let receiver = OtlpReceiver::start(mode.clone()).await;
        let spool = Arc::new(MemorySpool::default());
        let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(spool.clone());
        let receipt = run(&factory, spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
        check(&mode, &receipt, expected, expected.left);
        assert_eq!(taken(&receiver, &mode), receipt.exported, "{mode:?}");
        assert_eq!(spool.spans().len() as u64, expected.left, "{mode:?}");
        for (parcel, _) in spool.parcels() {
            let note = serde_json::to_string(&parcel).unwrap();
            assert!(!note.contains(KEY) && !note.contains(&receiver.endpoint()), "{note}");
            assert_eq!(Some(parcel.trace_id), receipt.trace_id);
        }
        let kept = format!("{:?}", spool.spans());
        assert!(!kept.contains(KEY), "{mode:?}");
    });
    futures::future::join_all(played).await;
}

#[tokio::test]
async fn a_run_that_goes_on_elsewhere_leaves_its_spans_in_the_spool_and_says_so() {
    let receiver = OtlpReceiver::start(Mode::Refuse(503)).await;
    let spool = Arc::new(MemorySpool::default());
    let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(spool.clone());
    let given = spec("acme", "r1", Some(destination(&receiver, KEY)));
    let first = factory.start(given.clone());
    conversation(&*first);
    let earlier = first.suspend().await;
    assert_eq!((earlier.made, earlier.spooled, earlier.unconfirmed()), (SPANS - 1, SPANS - 1, 0));
    receiver.become_mode(Mode::Ok);
    let receipt = run(&factory, scenario_worker::execution::types::TraceSpec { earlier, ..given }).await;
    assert_eq!((receipt.spans, receipt.exported, receipt.spooled), (2 * SPANS - 1, SPANS, SPANS - 1));
    assert_eq!(receiver.spans().len() as u64, receipt.exported);
    assert!(receipt.error.unwrap().contains("6 spans are kept and sent later"));
}

/// A spool that nobody hears of again.
#[derive(Debug)]
struct Silence;

#[async_trait]
impl SpanSpool for Silence {
    async fn keep(&self, _: &Parcel, _: &Packed) -> Result<(), Unavailable> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn spans_of_which_the_spool_does_not_say_in_time_that_it_has_them_are_in_doubt_and_not_lost() {
    let receiver = OtlpReceiver::start(Mode::Refuse(503)).await;
    let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(Arc::new(Silence));
    let receipt = run(&factory, spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
    assert_eq!((receipt.spans, receipt.unconfirmed, receipt.undelivered), (SPANS, SPANS, 0), "{receipt:?}");
    let told: Vec<_> = receipt.errors.iter().map(|error| (error.kind, error.spans)).collect();
    assert_eq!(told, [(Kind::Spool, SPANS)], "{receipt:?}");
}

#[tokio::test]
async fn without_leave_to_capture_content_no_word_leaves_the_worker() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let mut there = destination(&receiver, KEY);
    there.capture = Some(ContentCapture::Metadata);
    let trace = factory().start(spec("acme", "r1", Some(there)));
    conversation(&*trace);
    let line = transcript(&[(scenario_worker::events::MessageRole::User, "My mug is broken.")]);
    let failing = trace.root().child(SpanStart::Target { target: target(), transcript: line });
    failing.end(SpanEnd::Failed { code: "http_error".into(), message: "the agent said: mug".into() });
    trace.finish(SpanEnd::Judged(judgement())).await;
    let spans = receiver.spans();
    let text = serde_json::to_string(&spans).unwrap();
    for word in ["mug", "sorry", "Be a customer", "because", "one is missing", "offers a refund", "Decides"] {
        assert!(!text.contains(word), "'{word}' left the worker: {text}");
    }
    let chat = spans.iter().find(|span| span.name == "chat gpt-5-mini").unwrap();
    assert_eq!(chat.attributes["gen_ai.usage.input_tokens"], 11);
    let judge = spans.iter().find(|span| span.name == "langwatch.judge.call").unwrap();
    assert_eq!(judge.attributes["scenario.verdict"], "failure");
    let evaluation = judge.events.iter().find(|event| event.name == "langwatch.evaluation.custom").unwrap();
    let evaluation: Value =
        serde_json::from_str(evaluation.attributes["json_encoded_event"].as_str().unwrap()).unwrap();
    assert_eq!((&evaluation["passed"], &evaluation["score"]), (&false.into(), &0.5.into()));
    let criterion = judge.events.iter().find(|event| event.name == "gen_ai.evaluation.result").unwrap();
    assert_eq!(criterion.attributes["gen_ai.evaluation.name"], "c1");
    let failed = spans.iter().find(|span| span.status == "error").unwrap();
    assert_eq!(failed.attributes["error.type"], "http_error");
}

#[tokio::test]
async fn a_project_may_ask_for_content_where_the_worker_does_not() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let quiet = factory().capturing(ContentCapture::Metadata);
    run(&quiet, spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
    assert!(!serde_json::to_string(&receiver.spans()).unwrap().contains("mug"));
    let mut there = destination(&receiver, KEY);
    there.capture = Some(ContentCapture::Full);
    let trace = quiet.start(spec("acme", "r2", Some(there)));
    trace.root().child(SpanStart::Turn { number: 1 }).end(said("My mug is broken.", 0));
    trace.finish(SpanEnd::Done).await;
    assert!(serde_json::to_string(&receiver.spans()).unwrap().contains("mug"));
}
