use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};

use super::*;
use crate::execution::types::WorkKind;
use crate::telemetry::ingress::Group;

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
    Bundle { trace: [9; 16], groups: vec![Group { around: Arc::default(), spans }] }
}

fn numbered(n: u64, parent: &[u8]) -> Span {
    let span_id = (n + 1_000_000).to_be_bytes().to_vec();
    Span { span_id, parent_span_id: parent.to_vec(), ..Span::default() }
}

/// Spans that tell of no tool.
fn steps(from: u64, count: u64, parent: &[u8]) -> Bundle {
    bundle((from..from + count).map(|n| numbered(n, parent)).collect())
}

fn waiting(buffer: &SpanBuffer) -> usize {
    buffer.take().next_batch(usize::MAX).map_or(0, |batch| batch.len())
}

fn tools(heard: &Heard) -> Vec<&str> {
    let tools = heard.work.iter().filter(|work| work.kind == WorkKind::Tool);
    tools.map(|work| work.name.as_str()).collect()
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
    assert_eq!(began.elapsed(), PATIENCE, "whoever sent that need not be the agent");
    inbox.take(&bundle(vec![span(6, 1)])).unwrap();
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
    let huge = Span { name: "x".repeat(2 * 1024 * 1024), ..span(3, 1) };
    assert_eq!(inbox.take(&bundle(vec![huge])).unwrap().refused[&Refusal::TooLarge], 1);
    let reception = inbox.take(&steps(0, 5000, &[1; 8])).unwrap();
    assert_eq!((reception.taken, reception.refused[&Refusal::Full]), (4095, 905));
    assert_eq!(inbox.passed_on(), 4096);
}

#[test]
fn who_finds_no_room_may_come_again_when_there_is_some() {
    let (inbox, buffer) = inbox(true);
    let large = |n| Span { name: "x".repeat(900_000), ..numbered(n, &[1; 8]) };
    let sent = bundle((0..6).map(large).collect());
    let reception = inbox.take(&sent).unwrap();
    assert_eq!((reception.taken, reception.refused[&Refusal::Busy]), (4, 2));
    assert_eq!(inbox.take(&sent).unwrap().refused[&Refusal::Busy], 2);
    buffer.take().give_up();
    assert_eq!(inbox.take(&sent).unwrap(), Reception { taken: 6, owns: true, ..Reception::default() });
    assert_eq!((waiting(&buffer), inbox.passed_on()), (2, 6));
}

#[test]
fn spans_that_were_taken_before_their_parent_wait_for_room_too() {
    let (inbox, buffer) = inbox(true);
    let large = |n, parent: u8| Span { name: "x".repeat(900_000), ..numbered(n, &[parent; 8]) };
    inbox.take(&bundle((0..4).map(|n| large(n, 1)).collect())).unwrap();
    inbox.take(&bundle((10..14).map(|n| large(n, 7)).collect())).unwrap();
    inbox.take(&bundle(vec![span(7, 1)])).unwrap();
    assert_eq!(inbox.passed_on(), 5);
    buffer.take().give_up();
    inbox.close();
    assert_eq!((waiting(&buffer), inbox.passed_on()), (4, 9));
}

/// What strangers send who know the trace id: without a parent, below one that there is not, and below the run's root.
fn strangers(count: u64) -> [Bundle; 3] {
    [steps(0, count, &[]), steps(100_000, count, &[77; 8]), steps(200_000, count, &[3; 8])]
}

#[tokio::test(start_paused = true)]
async fn strangers_take_nothing_from_the_target_and_are_waited_for_by_nobody() {
    for owns_trace in [true, false] {
        let (inbox, buffer) = inbox(owns_trace);
        inbox.made(SpanId::from_bytes([3; 8]), Work::Run);
        inbox.take(&bundle(vec![span(12, 11)])).unwrap();
        assert!(strangers(1500).iter().all(|sent| inbox.take(sent).is_some()));
        let began = Instant::now();
        let targets = inbox.take(&steps(500_000, 4000, &[1; 8])).unwrap();
        assert_eq!(targets.taken, 4000, "{targets:?}");
        inbox.take(&bundle(vec![span(11, 1), span(13, 11)])).unwrap();
        let heard = inbox.below(CALL).await;
        assert_eq!((began.elapsed(), heard.settled, heard.tools_left_out), (Duration::ZERO, true, 0));
        assert_eq!(tools(&heard), ["tool11", "tool12", "tool13"]);
        inbox.close();
        let passed_on = (waiting(&buffer), inbox.passed_on());
        assert_eq!(passed_on, (4003 + 512, 4003 + 512), "theirs have their own share");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_comes_first_outlasts_more_strangers_than_there_is_room_for() {
    let (inbox, _) = inbox(true);
    inbox.take(&bundle(vec![span(12, 11)])).unwrap();
    for sent in strangers(6000) {
        inbox.take(&sent).unwrap();
    }
    inbox.take(&bundle(vec![span(11, 1)])).unwrap();
    let heard = inbox.below(CALL).await;
    assert_eq!((tools(&heard), heard.settled), (vec!["tool11", "tool12"], true));
}

#[tokio::test(start_paused = true)]
async fn what_came_with_a_span_below_the_call_is_waited_for() {
    let (inbox, _) = inbox(true);
    inbox.take(&bundle(vec![span(4, 3), span(2, 1)])).unwrap();
    let began = Instant::now();
    let late = async {
        tokio::time::sleep(PATIENCE / 2).await;
        inbox.take(&bundle(vec![span(3, 2)])).unwrap();
    };
    let (heard, ()) = tokio::join!(inbox.below(CALL), late);
    assert_eq!((tools(&heard), heard.settled), (vec!["tool2", "tool3", "tool4"], true));
    assert_eq!(began.elapsed(), PATIENCE / 2);
}

#[tokio::test(start_paused = true)]
async fn an_agent_may_make_more_spans_than_are_passed_on_and_its_tools_are_heard_of() {
    let (inbox, _) = inbox(true);
    inbox.take(&steps(0, 9000, &[1; 8])).unwrap();
    inbox.take(&bundle(vec![span(2, 1)])).unwrap();
    let heard = inbox.below(CALL).await;
    assert!(heard.settled && heard.tools_left_out == 0 && heard.left_out > 8900, "{}", heard.left_out);
    assert!(tools(&heard).contains(&"tool2"));
}

#[tokio::test(start_paused = true)]
async fn tools_of_which_nobody_is_told_leave_it_open_which_were_called_and_are_counted() {
    let (inbox, _) = inbox(true);
    let tool = |n: u64| Span { span_id: (n + 1000).to_be_bytes().to_vec(), ..span(1, 1) };
    inbox.take(&bundle((0..1100).map(tool).collect())).unwrap();
    let heard = inbox.below(CALL).await;
    assert!(!heard.settled);
    assert_eq!(heard.tools_left_out, 1100 - heard.work.len() as u64);
    assert_eq!(heard.left_out, heard.tools_left_out);
}
