//! A receipt says what the endpoint saw, whatever that does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scenario_worker::definitions::ContentCapture;
use scenario_worker::events::{DeliveryFailureKind as Kind, TelemetryReceipt};
use scenario_worker::execution::ports::RunTracers as _;
use scenario_worker::execution::types::{ChatReply, SceneRole, SpanEnd, SpanNote, SpanStart, TraceSpec};
use scenario_worker::telemetry::export::Packed;
use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::telemetry::spool::{NotKept, Parcel, SpanSpool};
use serde_json::{Value, json};

use super::play::{
    SPANS, called_a_tool, chat, conversation, destination, factory, factory_with, judgement, run, said, spec,
    target, transcript,
};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::span_spool::{FullSpool, KEPT_BY_OTHERS, MemorySpool};
use crate::support::worker::within;

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
        (Mode::Says("[]"), left(Kind::NotOtlp, None)),
        (Mode::Says("null"), left(Kind::NotOtlp, None)),
        (Mode::Says(r#"{"error":"unauthorised","status":"error"}"#), left(Kind::NotOtlp, None)),
        (
            Mode::Says(r#"{"partial_success":{"rejected_spans":1.0,"error_message":"bad"}}"#),
            rejected(1, Kind::Partial, None),
        ),
        (Mode::Chatty(100_000), ALL),
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
        // It took all but one.
        Mode::Says(text) if text.contains("rejected_spans") => SPANS - 1,
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
    let receipt = run(&factory, TraceSpec { earlier, ..given }).await;
    assert_eq!((receipt.spans, receipt.exported, receipt.spooled), (2 * SPANS - 1, SPANS, SPANS - 1));
    assert_eq!(receiver.spans().len() as u64, receipt.exported);
    assert!(receipt.error.unwrap().contains("6 spans are kept and sent later"));
}

/// A spool that nobody hears of again.
#[derive(Debug)]
struct Silence;

#[async_trait]
impl SpanSpool for Silence {
    async fn keep(&self, _: &Parcel, _: &Packed) -> Result<(), NotKept> {
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
async fn an_answer_without_end_is_told_as_what_it_is_and_the_spans_do_not_come_again() {
    let receiver = OtlpReceiver::start(Mode::Chatty(2 * 1024 * 1024)).await;
    let spool = Arc::new(MemorySpool::default());
    let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(spool.clone());
    let receipt = run(&factory, spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
    assert_eq!((receipt.exported, receipt.rejected, receipt.undelivered), (0, 0, SPANS));
    let [error] = receipt.errors.as_slice() else { panic!("{receipt:?}") };
    assert_eq!((error.kind, error.spans), (Kind::AnswerTooLarge, SPANS));
    assert!(error.message.contains("too large to be read"), "{}", error.message);
    assert_eq!((receiver.attempts().len(), spool.parcels().len()), (1, 0));
}

#[tokio::test]
async fn what_an_endpoint_has_to_say_about_spans_that_it_took_is_in_the_receipt() {
    let says = Mode::Says(r#"{"partialSuccess":{"rejectedSpans":"0","errorMessage":"an old schema"}}"#);
    let receiver = OtlpReceiver::start(says).await;
    let receipt = run(&factory(), spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
    assert_eq!((receipt.exported, receipt.error, receipt.errors), (SPANS, None, Vec::new()));
    assert_eq!(receipt.warnings, ["an old schema"]);
}

#[tokio::test]
async fn a_full_spool_is_one_reason_for_each_span_and_says_nothing_of_what_others_keep() {
    let receiver = OtlpReceiver::start(Mode::Refuse(401)).await;
    let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(Arc::new(FullSpool));
    let receipt = run(&factory, spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
    assert_eq!((receipt.spooled, receipt.undelivered), (0, SPANS));
    let [error] = receipt.errors.as_slice() else { panic!("{receipt:?}") };
    assert_eq!((error.kind, error.status, error.spans), (Kind::Spool, Some(401), SPANS));
    assert!(error.message.contains("telemetry.spool.max_bytes") && error.message.contains("answered 401"));
    assert!(!format!("{receipt:?}").contains(&KEPT_BY_OTHERS.to_string()), "{receipt:?}");
}

#[tokio::test]
async fn while_an_endpoint_does_not_take_spans_those_of_each_step_are_put_away_at_once() {
    let receiver = OtlpReceiver::start(Mode::Refuse(503)).await;
    let spool = Arc::new(MemorySpool::default());
    let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(spool.clone());
    let trace = factory.start(spec("acme", "r1", Some(destination(&receiver, KEY))));
    for step in 1..=3 {
        conversation(&*trace);
        trace.flush().await;
        within(async || spool.spans().len() as u64 == step * (SPANS - 1)).await;
        within(async || trace.counts().spooled == step * (SPANS - 1)).await;
    }
    assert_eq!((spool.parcels().len(), receiver.attempts().len()), (3, 1), "one parcel a step, one knock");
    let counts = trace.counts();
    assert_eq!(
        (counts.made, counts.unconfirmed()),
        (3 * (SPANS - 1), 0),
        "nothing is lost with the worker now"
    );
    receiver.become_mode(Mode::Ok);
    let receipt = trace.finish(SpanEnd::Done).await;
    let kept = 3 * (SPANS - 1);
    assert_eq!((receipt.spans, receipt.exported, receipt.spooled), (kept + 1, 1, kept));
    assert_eq!((receipt.undelivered, receiver.spans().len()), (0, 1));
    let [error] = receipt.errors.as_slice() else { panic!("{receipt:?}") };
    assert_eq!((error.status, error.spans), (Some(503), kept));
}

#[tokio::test]
async fn an_endpoint_that_takes_spans_has_none_put_away() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let spool = Arc::new(MemorySpool::default());
    let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(spool.clone());
    let trace = factory.start(spec("acme", "r1", Some(destination(&receiver, KEY))));
    for step in 1..=3 {
        conversation(&*trace);
        trace.flush().await;
        within(async || receiver.spans().len() as u64 == step * (SPANS - 1)).await;
    }
    assert_eq!(trace.finish(SpanEnd::Done).await.spooled, 0);
    assert!(spool.parcels().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_is_not_knocked_at_by_the_end_of_the_run_either() {
    let asks = Mode::RefuseAtFirst { times: 1, status: 503, retry_after: Some(300) };
    let receiver = OtlpReceiver::start(asks).await;
    let spool = Arc::new(MemorySpool::default());
    let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(spool.clone());
    let trace = factory.start(spec("acme", "r1", Some(destination(&receiver, KEY))));
    conversation(&*trace);
    trace.flush().await;
    within(async || !spool.parcels().is_empty()).await;
    let receipt = trace.finish(SpanEnd::Done).await;
    assert_eq!((receipt.exported, receipt.spooled, receiver.attempts().len()), (0, SPANS, 1));
    for (parcel, _) in spool.parcels() {
        let pause = parcel.not_before.unwrap() - parcel.at;
        assert!(pause > Duration::from_secs(200) && pause <= Duration::from_mins(5), "{pause}");
    }
}

#[tokio::test]
async fn an_endpoint_that_asks_for_less_time_than_there_is_is_waited_for() {
    let asks = Mode::RefuseAtFirst { times: 1, status: 503, retry_after: Some(1) };
    let receiver = OtlpReceiver::start(asks).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, KEY))));
    conversation(&*trace);
    trace.flush().await;
    within(async || !receiver.attempts().is_empty()).await;
    let receipt = trace.finish(SpanEnd::Done).await;
    assert_eq!((receipt.exported, receiver.attempts().len()), (SPANS, 2));
}

#[tokio::test]
async fn whoever_goes_on_with_a_run_hands_on_every_reason() {
    let receiver = OtlpReceiver::start(Mode::Refuse(401)).await;
    let spool = Arc::new(MemorySpool::default());
    let factory = factory_with(DEADLINE, Metrics::new().unwrap()).spooling_to(spool.clone());
    let given = spec("acme", "r1", Some(destination(&receiver, KEY)));
    let first = factory.start(given.clone());
    conversation(&*first);
    let earlier = first.suspend().await;
    receiver.become_mode(Mode::PartialJson(3));
    let receipt = run(&factory, TraceSpec { earlier, ..given }).await;
    let reasons: Vec<_> =
        receipt.errors.iter().map(|error| (error.kind, error.status, error.spans)).collect();
    assert_eq!(reasons, [(Kind::Status, Some(401), SPANS - 1), (Kind::Partial, None, 3)]);
    assert_eq!((receipt.exported, receipt.spooled), (SPANS - 3, SPANS - 1));
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
    for note in notes() {
        failing.note(note);
    }
    failing.end(SpanEnd::Failed { code: "http_error".into(), message: "the agent said: mug".into() });
    for end in ends() {
        trace.root().child(chat(SceneRole::UserSimulator)).end(end);
    }
    trace.finish(SpanEnd::Judged(judgement())).await;
    let spans = receiver.spans();
    let text = serde_json::to_string(&spans).unwrap();
    for word in [
        "mug",
        "sorry",
        "Be a customer",
        "because",
        "one is missing",
        "offers a refund",
        "Decides",
        "Refund request",
    ] {
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
    let events: Vec<_> =
        failed.events.iter().map(|event| (event.name.as_str(), json!(event.attributes))).collect();
    assert_eq!(
        events,
        [
            (
                "langwatch.prompt.unbound_inputs",
                json!({ "langwatch.prompt.unbound_inputs.names": ["order"] })
            ),
            ("langwatch.session.not_ended", json!({ "error.type": "http_status" })),
            ("scenario.limits.waited", json!({ "scenario.limits.waited_ms": 7 })),
            (
                "scenario.target_spans",
                json!({ "scenario.target_spans.wait_ms": 7, "scenario.target_spans.count": 1,
                        "scenario.target_spans.settled": true })
            ),
        ]
    );
}

/// One of every kind, with words wherever words can be.
fn notes() -> Vec<SpanNote> {
    let waited = Duration::from_millis(7);
    let notes = vec![
        SpanNote::UnboundInputs { names: vec!["order".into(), "the mug".into()] },
        SpanNote::SessionNotEnded { code: "http_status".into(), message: "HTTP 500: a mug".into() },
        SpanNote::Waited { waited },
        SpanNote::TargetSpans { waited, spans: 1, settled: true },
    ];
    for note in &notes {
        // A new kind has to be played here, too.
        match note {
            SpanNote::UnboundInputs { .. }
            | SpanNote::SessionNotEnded { .. }
            | SpanNote::Waited { .. }
            | SpanNote::TargetSpans { .. } => {}
        }
    }
    notes
}

/// The ends that a model or an agent has a say in.
fn ends() -> Vec<SpanEnd> {
    let words = || "a mug, because".to_owned();
    let reply = ChatReply {
        content: words(),
        model: Some(words()),
        response_id: Some(words()),
        finish_reason: Some(words()),
        ..ChatReply::default()
    };
    vec![
        SpanEnd::Replied(reply),
        SpanEnd::Continued { reasoning: words() },
        SpanEnd::Failed { code: words(), message: words() },
        called_a_tool(),
    ]
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
