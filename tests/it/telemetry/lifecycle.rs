//! Spans that end in other ways than intended, and how a trace is connected to its request.
#![expect(clippy::unwrap_used, reason = "what a helper cannot read must fail its test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use scenario_worker::events::{
    CriterionResult, CriterionStatus, DeliveryFailureKind, MessageRole, TraceContext, TraceContextMode,
};
use scenario_worker::execution::ports::RunTracers as _;
use scenario_worker::execution::types::{Judgement, SpanCounts, SpanEnd, SpanStart, TraceSpec};
use scenario_worker::telemetry::export::MAX_REQUEST_BYTES;
use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::telemetry::propagation::headers;
use scenario_worker::telemetry::receiver::ReceivedSpan;
use scenario_worker::telemetry::run::MAX_SPAN_BYTES;

use super::play::{
    SPANS, child_of, conversation, destination, factory, factory_with, judgement, open_turn, run, said, spec,
    target, transcript,
};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::span_spool::MemorySpool;
use crate::support::worker::within;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn parent() -> TraceContext {
    TraceContext::from_headers(&[PARENT], &["vendor=1"]).unwrap().unwrap()
}

#[tokio::test]
async fn a_run_links_to_the_span_of_its_request_and_has_a_trace_of_its_own() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let given =
        child_of(spec("acme", "r1", Some(destination(&receiver, "k"))), parent(), TraceContextMode::Link);
    let receipt = run(&factory(), given).await;
    let spans = receiver.spans();
    let root = spans.iter().find(|span| span.parent_span_id.is_none()).unwrap();
    assert_eq!(root.links.len(), 1);
    assert_eq!(root.links[0].trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(root.links[0].span_id, "b7ad6b7169203331");
    assert_ne!(root.trace_id, root.links[0].trace_id);
    assert!(spans.iter().all(|span| Some(&span.trace_id) == receipt.trace_id.as_ref()));
}

#[tokio::test]
async fn a_run_that_continues_its_request_is_part_of_its_trace_even_if_that_was_not_sampled() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let given =
        child_of(spec("acme", "r1", Some(destination(&receiver, "k"))), parent(), TraceContextMode::Continue);
    let trace = factory().start(given);
    let outgoing = headers(&trace.root().context());
    conversation(&*trace);
    let receipt = trace.finish(SpanEnd::Done).await;
    assert_eq!(receipt.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!((receipt.exported, receiver.spans().len() as u64), (SPANS, SPANS));
    let root = receiver.spans().into_iter().find(|span| span.name == "langwatch.scenario.run").unwrap();
    assert_eq!(root.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
    assert!(root.links.is_empty());
    assert_eq!(outgoing[0].1, format!("00-{}-{}-01", root.trace_id, root.span_id));
    assert_eq!(outgoing[1], ("tracestate", "vendor=1".to_owned()));
}

#[tokio::test]
async fn every_attempt_of_a_run_is_in_the_same_trace_under_the_same_root() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let first = run(&factory(), spec("acme", "r1", Some(destination(&receiver, "k")))).await;
    let second = run(&factory(), spec("acme", "r1", Some(destination(&receiver, "k")))).await;
    let other = run(&factory(), spec("other", "r1", Some(destination(&receiver, "k")))).await;
    assert_eq!(first.trace_id, second.trace_id);
    assert_ne!(first.trace_id, other.trace_id);
    let mut ids: Vec<String> = receiver.spans().into_iter().map(|span| span.span_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, 3 * SPANS - 1, "the two attempts share their root and nothing else");
}

#[tokio::test]
async fn a_trace_that_goes_on_elsewhere_is_counted_as_a_whole_and_has_one_root() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let given = spec("acme", "r1", Some(destination(&receiver, "k")));
    let first = factory().start(given.clone());
    conversation(&*first);
    let earlier = first.suspend().await;
    assert_eq!((earlier.made, earlier.exported), (SPANS - 1, SPANS - 1));
    let second = run(&factory(), TraceSpec { earlier, ..given.clone() }).await;
    assert_eq!((second.spans, second.exported, second.error), (2 * SPANS - 1, 2 * SPANS - 1, None));
    let roots = receiver.spans().into_iter().filter(|span| span.parent_span_id.is_none()).count();
    assert_eq!(roots, 1);
    let crashed = SpanCounts { made: 5, exported: 3, ..SpanCounts::default() };
    let third = run(&factory(), TraceSpec { earlier: crashed, ..given }).await;
    assert_eq!((third.spans, third.exported), (5 + SPANS, 3 + SPANS));
    assert_eq!((third.unconfirmed, third.undelivered), (2, 0));
    assert_eq!(third.errors[0].kind, DeliveryFailureKind::WorkerLost);
    assert!(third.error.unwrap().contains("what became of 2 spans"));
}

#[tokio::test]
async fn a_span_that_nobody_ends_ends_as_abandoned() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    drop(open_turn(&*trace));
    let panicking = open_turn(&*trace);
    let task = tokio::spawn(async move {
        let _span = panicking;
        panic!("a bug in the run");
    });
    assert!(task.await.unwrap_err().is_panic());
    let outlives = open_turn(&*trace);
    let receipt = trace.finish(SpanEnd::Failed { code: "worker_panic".into(), message: "bug".into() }).await;
    assert_eq!((receipt.spans, receipt.exported, receipt.error), (4, 4, None));
    let [open] = receipt.errors.as_slice() else { panic!("{:?}", receipt.errors) };
    assert_eq!((open.kind, open.spans), (DeliveryFailureKind::OpenSpans, 1));
    let spans = receiver.spans();
    let turns: Vec<_> = spans.iter().filter(|span| span.name == "langwatch.scenario.turn").collect();
    assert_eq!(turns.len(), 3);
    for turn in turns {
        assert_eq!((turn.status, &turn.attributes["error.type"]), ("error", &"abandoned".into()));
    }
    let root = spans.iter().find(|span| span.parent_span_id.is_none()).unwrap();
    assert_eq!((root.status, &root.attributes["error.type"]), ("error", &"worker_panic".into()));
    outlives.end(SpanEnd::Done);
}

#[tokio::test]
async fn what_begins_after_the_end_is_no_span_but_keeps_the_context() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    let turn = open_turn(&*trace);
    let receipt = trace.finish(SpanEnd::Done).await;
    let late = turn.child(SpanStart::Turn { number: 10 });
    assert_eq!(late.context(), turn.context());
    late.end(SpanEnd::Done);
    assert_eq!((receipt.spans, receiver.spans().len()), (2, 2));
}

#[tokio::test]
async fn a_trace_may_be_written_from_many_threads() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| conversation(&*trace));
        }
    });
    let made = 8 * (SPANS - 1) + 1;
    let receipt = trace.finish(SpanEnd::Done).await;
    assert_eq!((receipt.spans, receipt.exported, receipt.error), (made, made, None));
    let spans = receiver.spans();
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len() as u64, made);
    let parents_are_there =
        |span: &ReceivedSpan| span.parent_span_id.iter().all(|parent| ids.contains(parent));
    assert!(spans.iter().all(parents_are_there));
}

#[tokio::test]
async fn a_trace_that_is_dropped_unfinished_is_counted() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let metrics = Metrics::new().unwrap();
    let factory = factory_with(Duration::from_secs(30), metrics.clone());
    let trace = factory.start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    conversation(&*trace);
    drop(trace);
    let text = metrics.render();
    let line = format!("scenario_worker_spans_dropped_total{{reason=\"unfinished\"}} {SPANS}");
    assert!(text.contains(&line), "{text}");
    assert_eq!(receiver.attempts().len(), 0);
}

#[tokio::test]
async fn a_flush_under_way_at_the_end_is_cut_off_and_its_spans_are_kept() {
    let receiver = OtlpReceiver::start(Mode::Hang).await;
    let spool = Arc::new(MemorySpool::default());
    let factory = factory_with(Duration::from_secs(1), Metrics::new().unwrap()).spooling_to(spool.clone());
    let trace = factory.start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    conversation(&*trace);
    trace.flush().await;
    within(async || !receiver.attempts().is_empty()).await;
    let receipt = trace.finish(SpanEnd::Done).await;
    assert_eq!((receipt.exported, receipt.spooled, receipt.undelivered), (0, SPANS, 0));
    assert_eq!(spool.spans().len() as u64, SPANS);
}

#[tokio::test]
async fn a_run_that_makes_more_spans_than_fit_says_how_many_were_dropped() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let metrics = Metrics::new().unwrap();
    let factory = factory_with(Duration::from_secs(30), metrics.clone());
    let trace = factory.start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    for _ in 0..3000 {
        open_turn(&*trace).end(SpanEnd::Done);
    }
    let receipt = trace.finish(SpanEnd::Judged(judgement())).await;
    let dropped = 3001 - receipt.exported;
    assert!(dropped > 0 && receipt.exported > 1000, "{receipt:?}");
    assert_eq!(receipt.spans, 3001);
    assert!(receipt.error.unwrap().contains(&format!("the run's buffer was full ({dropped} spans)")));
    assert!(
        receiver.spans().iter().any(|span| span.name == "langwatch.scenario.run"),
        "the root was dropped"
    );
    let line = format!("spans_dropped_total{{reason=\"buffer_full\"}} {dropped}");
    assert!(metrics.render().contains(&line));
}

#[tokio::test]
async fn a_large_trace_travels_in_requests_of_bounded_size() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    // Each span keeps four lines of its input and its output: 80 KiB, and more than one request in all.
    let lines: Vec<String> = (0..8).map(|n| format!("{n}").repeat(16 * 1024)).collect();
    let lines: Vec<_> = lines.iter().map(|line| (MessageRole::User, line.as_str())).collect();
    for _ in 0..80 {
        let start = SpanStart::Target { target: target(), transcript: transcript(&lines) };
        trace.root().child(start).end(said(lines[0].1, 0));
    }
    let receipt = trace.finish(SpanEnd::Done).await;
    assert_eq!((receipt.exported, receipt.error), (81, None));
    assert_eq!(receiver.attempts().len(), 2);
    assert!(receiver.attempts().iter().all(|attempt| attempt.unpacked().len() <= MAX_REQUEST_BYTES));
}

#[tokio::test]
async fn an_endpoint_to_which_a_request_is_too_large_gets_smaller_ones() {
    let receiver = OtlpReceiver::start(Mode::AtMost(500_000)).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    let line = "x".repeat(16 * 1024);
    for _ in 0..80 {
        trace.root().child(SpanStart::Turn { number: 1 }).end(said(&line, 0));
    }
    let receipt = trace.finish(SpanEnd::Done).await;
    assert_eq!((receipt.exported, receipt.error), (81, None));
    assert_eq!(receiver.spans().len(), 81);
}

#[tokio::test]
async fn a_judgement_too_large_for_a_request_is_cut_and_arrives() {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let trace = factory().start(spec("acme", "r1", Some(destination(&receiver, "k"))));
    let long = "because ".repeat(2048);
    let result = |n| CriterionResult::new(format!("c{n}"), "It is said", CriterionStatus::Met, long.clone());
    let judgement = Judgement::derive((0..400).map(result).collect(), "all is said".into());
    let receipt = trace.finish(SpanEnd::Judged(judgement)).await;
    assert_eq!((receipt.exported, receipt.error), (1, None));
    assert!(receiver.attempts()[0].unpacked().len() < MAX_SPAN_BYTES * 2);
    assert_eq!(receiver.spans()[0].attributes["scenario.span.cut"], true);
}
