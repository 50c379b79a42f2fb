//! What the outcome says about the spans, for every way in which an endpoint can behave.

use std::time::Duration;

use scenario_worker::definitions::{Secret, TelemetryDestination, TelemetryProtocol};
use scenario_worker::execution::ports::RunTracers as _;
use scenario_worker::execution::types::SpanEnd;
use scenario_worker::telemetry::metrics::Metrics;

use super::play::{SPANS, conversation, destination, factory, factory_with, judgement, run, spec};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::worker::within;

const KEY: &str = "key-that-nobody-may-see";

async fn receipt_of(mode: Mode) -> (OtlpReceiver, u64, Option<String>) {
    let receiver = OtlpReceiver::start(mode).await;
    let receipt = run(&factory(), spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
    assert_eq!(receipt.spans, SPANS);
    assert_eq!(receipt.trace_id.as_ref().map(String::len), Some(32));
    let error = receipt.error;
    assert!(!error.as_deref().unwrap_or_default().contains(KEY), "{error:?}");
    (receiver, receipt.exported, error)
}

#[tokio::test]
async fn an_endpoint_that_takes_everything_gets_everything_with_its_key() {
    let (receiver, exported, error) = receipt_of(Mode::Ok).await;
    assert_eq!((exported, error), (SPANS, None));
    assert_eq!(receiver.spans().len() as u64, SPANS);
    let attempts = receiver.attempts();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].path, "/api/otel/v1/traces");
    assert_eq!(attempts[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(attempts[0].header("x-auth-token"), Some(KEY));
    assert_eq!(attempts[0].header("content-encoding"), Some("gzip"));
    assert_eq!(attempts[0].header("traceparent"), None);
}

#[tokio::test]
async fn a_refusal_is_in_the_receipt_without_the_key_that_the_server_echoes() {
    for status in [400, 401, 402, 404, 413] {
        let (receiver, exported, error) = receipt_of(Mode::Refuse(status)).await;
        let error = error.unwrap();
        assert_eq!(exported, 0);
        assert!(error.contains(&format!("answered {status}: no entry with")), "{error}");
        assert!(error.contains("[redacted]"), "{error}");
        assert_eq!(receiver.attempts().len(), 1, "{status} was retried");
    }
}

#[tokio::test]
async fn a_server_that_is_busy_for_a_while_gets_the_spans_in_the_end() {
    for (status, retry_after) in [(503, None), (502, None), (504, Some(0)), (429, Some(1))] {
        let (receiver, exported, error) =
            receipt_of(Mode::RefuseAtFirst { times: 2, status, retry_after }).await;
        assert_eq!((exported, error), (SPANS, None), "{status}");
        assert_eq!((receiver.attempts().len(), receiver.spans().len() as u64), (3, SPANS));
    }
}

#[tokio::test]
async fn a_server_that_asks_for_more_time_than_there_is_is_not_waited_for() {
    let (receiver, exported, error) =
        receipt_of(Mode::RefuseAtFirst { times: 1, status: 429, retry_after: Some(3600) }).await;
    assert_eq!((exported, receiver.attempts().len()), (0, 1));
    assert!(error.unwrap().contains("answered 429"));
}

#[tokio::test]
async fn rejected_spans_are_counted_and_not_sent_again() {
    for mode in [Mode::PartialProtobuf(3), Mode::PartialJson(3)] {
        let (receiver, exported, error) = receipt_of(mode).await;
        assert_eq!((exported, receiver.attempts().len()), (SPANS - 3, 1));
        assert!(error.unwrap().ends_with("rejected spans: bad spans (3 spans)"));
    }
}

#[tokio::test]
async fn a_web_site_is_no_endpoint() {
    let (_, exported, error) = receipt_of(Mode::Html).await;
    let error = error.unwrap();
    assert_eq!(exported, 0);
    assert!(
        error.contains("/api/otel/v1/traces answered with text/html, but not as an OTLP endpoint does"),
        "{error}"
    );
}

#[tokio::test]
async fn an_endpoint_that_hangs_costs_no_more_than_the_deadline() {
    let receiver = OtlpReceiver::start(Mode::Hang).await;
    let factory = factory_with(Duration::from_millis(300), Metrics::new().unwrap());
    let receipt = run(&factory, spec("acme", "r1", Some(destination(&receiver, KEY)))).await;
    let error = receipt.error.unwrap();
    assert_eq!(receipt.exported, 0);
    assert!(error.contains("did not take the spans within"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_with_its_cause() {
    let (_, exported, error) = receipt_of(Mode::Reset).await;
    let error = error.unwrap();
    assert_eq!(exported, 0);
    assert!(error.contains("/api/otel/v1/traces failed: "), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_told_with_its_cause() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let gone = destination(&receiver, KEY);
    drop(receiver);
    // The aborted server closes its socket when its task is dropped.
    tokio::task::yield_now().await;
    let receipt = run(&factory(), spec("acme", "r1", Some(gone))).await;
    assert!(receipt.error.unwrap().contains("Connection refused"));
}

#[tokio::test]
async fn without_an_endpoint_the_receipt_says_so() {
    let receipt = run(&factory(), spec("acme", "r1", None)).await;
    assert_eq!((receipt.spans, receipt.exported), (SPANS, 0));
    let error = receipt.error.unwrap();
    assert!(error.contains("no telemetry endpoint is configured for project acme"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_told_without_repeating_it() {
    let metrics = Metrics::new().unwrap();
    let broken = TelemetryDestination {
        endpoint: "collector with a hunter2 in it".into(),
        api_key: Some(Secret::new(KEY)),
        protocol: TelemetryProtocol::Otlp,
        capture: None,
        events: None,
    };
    let receipt =
        run(&factory_with(Duration::from_secs(1), metrics.clone()), spec("acme", "r1", Some(broken))).await;
    let error = receipt.error.unwrap();
    assert!(error.contains("is not a valid URL") && !error.contains("hunter2"), "{error}");
    assert!(metrics.render().contains("export_failures_total{kind=\"invalid_destination\"} 1"));
}

#[tokio::test]
async fn what_a_flush_could_not_send_arrives_with_the_end() {
    let receiver = OtlpReceiver::start(Mode::Refuse(401)).await;
    let metrics = Metrics::new().unwrap();
    let factory = factory_with(Duration::from_secs(30), metrics.clone());
    let trace = factory.start(spec("acme", "r1", Some(destination(&receiver, KEY))));
    conversation(&*trace);
    trace.flush().await;
    within(async || !receiver.attempts().is_empty()).await;
    // Asked again or not, it has the spans in the end.
    trace.flush().await;
    receiver.become_mode(Mode::Ok);
    let receipt = trace.finish(SpanEnd::Judged(judgement())).await;
    assert_eq!((receipt.exported, receipt.error), (SPANS, None));
    assert_eq!(receiver.spans().len() as u64, SPANS);
    assert_eq!((receipt.errors, receipt.undelivered), (Vec::new(), 0));
    let text = metrics.render();
    assert!(text.contains("scenario_worker_export_failures_total{kind=\"status\"} 1"), "{text}");
    assert!(text.contains(&format!("scenario_worker_spans_exported_total {SPANS}")), "{text}");
}

#[tokio::test]
async fn a_flush_makes_a_trace_visible_before_its_end() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, KEY))));
    conversation(&*trace);
    trace.flush().await;
    within(async || receiver.spans().len() as u64 == SPANS - 1).await;
    let receipt = trace.finish(SpanEnd::Done).await;
    assert_eq!((receipt.spans, receipt.exported), (SPANS, SPANS));
    let root = receiver.spans().pop().unwrap();
    assert_eq!((root.name.as_str(), root.parent_span_id), ("langwatch.scenario.run", None));
}
