use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;

use super::*;

const CALL: &str = "0101010101010101";
const PATIENCE: Duration = Duration::from_secs(10);

fn inbox(owns_trace: bool) -> (Arc<Inbox>, Arc<SpanBuffer>) {
    let buffer = SpanBuffer::new(true);
    let inbox = Inbox::new(owns_trace, PATIENCE, Arc::clone(&buffer), Metrics::new().unwrap());
    inbox.expect(CALL);
    (inbox, buffer)
}

fn span(id: u8, parent: u8) -> Span {
    let name = KeyValue {
        key: "gen_ai.tool.name".to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(format!("tool{id}"))) }),
        ..KeyValue::default()
    };
    Span {
        trace_id: vec![9; 16],
        span_id: vec![id; 8],
        parent_span_id: vec![parent; 8],
        attributes: vec![name],
        start_time_unix_nano: id.into(),
        ..Span::default()
    }
}

fn bundle(spans: Vec<Span>) -> Bundle {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    Bundle { trace: [9; 16], groups: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

fn waiting(buffer: &SpanBuffer) -> usize {
    buffer.take().next_batch(usize::MAX).map_or(0, |batch| batch.len())
}

fn tools(heard: &Heard) -> Vec<&str> {
    heard.work.iter().map(|work| work.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_as_soon_as_the_spans_are_whole() {
    let (inbox, _) = inbox(true);
    let began = Instant::now();
    let child = inbox.take(&bundle(vec![span(3, 2)])).unwrap();
    assert_eq!(child, Reception { taken: 1, owns: true, ..Reception::default() });
    let late = async {
        tokio::time::sleep(PATIENCE / 2).await;
        inbox.take(&bundle(vec![span(2, 1)])).unwrap();
    };
    let (heard, ()) = tokio::join!(inbox.below(CALL), late);
    assert_eq!((tools(&heard), heard.settled), (vec!["tool2", "tool3"], true));
    assert_eq!(began.elapsed(), PATIENCE / 2);
}

#[tokio::test(start_paused = true)]
async fn patience_has_an_end_and_an_agent_that_never_sends_is_not_waited_for_twice() {
    let (inbox, _) = inbox(true);
    let began = Instant::now();
    assert_eq!(inbox.below(CALL).await, Heard::default());
    assert_eq!(began.elapsed(), PATIENCE);
    inbox.expect("0202020202020202");
    inbox.below("0202020202020202").await;
    assert_eq!(began.elapsed(), PATIENCE, "it was not waited for again");
    inbox.take(&bundle(vec![span(5, 4)])).unwrap();
    inbox.below("0202020202020202").await;
    assert_eq!(began.elapsed(), 2 * PATIENCE, "it sends, after all");
}

#[test]
fn a_span_that_comes_twice_is_passed_on_once() {
    let (inbox, buffer) = inbox(true);
    for _ in 0..2 {
        assert_eq!(inbox.take(&bundle(vec![span(2, 1), span(2, 1)])).unwrap().taken, 2);
    }
    assert_eq!((waiting(&buffer), inbox.passed_on()), (1, 1));
    inbox.close();
    assert_eq!(inbox.take(&bundle(vec![span(3, 1)])), None);
}

#[test]
fn in_somebody_elses_trace_only_the_descendants_of_a_call_are_passed_on() {
    let (inbox, buffer) = inbox(false);
    inbox.take(&bundle(vec![span(3, 2), span(50, 49)])).unwrap();
    assert_eq!((waiting(&buffer), inbox.passed_on()), (0, 0), "nobody knows whose they are");
    inbox.take(&bundle(vec![span(2, 1)])).unwrap();
    assert_eq!((waiting(&buffer), inbox.passed_on()), (2, 2));
    inbox.close();
    assert_eq!((waiting(&buffer), inbox.passed_on()), (2, 2), "what belongs to nobody goes nowhere");
}

#[test]
fn what_is_no_span_or_too_much_is_refused_and_the_rest_is_taken() {
    let (inbox, _) = inbox(true);
    let reception = inbox.take(&bundle(vec![span(0, 1), span(2, 1)])).unwrap();
    assert_eq!((reception.taken, reception.refused[&Refusal::Invalid]), (1, 1));
    let mut around = bundle(vec![span(3, 1)]);
    around.groups[0].schema_url = "x".repeat(MAX_ENVELOPE_BYTES);
    assert_eq!(inbox.take(&around).unwrap().refused[&Refusal::TooLarge], 1);
    let many =
        (0_u64..5000).map(|n| Span { span_id: (n + 1000).to_be_bytes().to_vec(), ..span(1, 1) }).collect();
    let reception = inbox.take(&bundle(many)).unwrap();
    assert_eq!(reception.taken + reception.refused[&Refusal::Full], 5000);
    assert!(reception.taken > 1000, "{reception:?}");
}

#[tokio::test(start_paused = true)]
async fn spans_of_which_nobody_is_told_leave_it_open_which_tools_were_called() {
    let (inbox, _) = inbox(true);
    let many =
        (0_u64..1100).map(|n| Span { span_id: (n + 1000).to_be_bytes().to_vec(), ..span(1, 1) }).collect();
    inbox.take(&bundle(many)).unwrap();
    let heard = inbox.below(CALL).await;
    assert!(!heard.settled && heard.left_out > 0, "{}", heard.left_out);
}
