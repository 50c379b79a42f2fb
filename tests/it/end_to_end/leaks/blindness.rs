//! The counters see: each is shown a leak of its kind.

use std::collections::BTreeSet;

use scenario_worker::telemetry::receiver::{Attributes, ReceivedLink, ReceivedSpan};
use serde_json::json;

use super::agent::FORGED;
use super::cast::{Run, Tenant, words_of};
use super::counters::{Counter, Leaks};
use super::evidence::{Door, Evidence, Seen, Told};

/// Of the worker itself.
const WORKERS: &str = "00000000000000000000000000000abc";

fn trace(run: usize) -> String {
    format!("{:032x}", 0x1000 + run)
}

fn span(run: &Run, tenant: &Tenant, number: usize) -> ReceivedSpan {
    let attributes = Attributes::from([("scenario.run_id".to_owned(), json!(run.id))]);
    let parent = run.parent.as_ref();
    let link = parent.filter(|_| !run.continues());
    ReceivedSpan {
        trace_id: trace(number),
        span_id: format!("{:016x}", 0x2000 + number),
        parent_span_id: None,
        name: "langwatch.scenario.run".to_owned(),
        kind: "internal",
        start_unix_nanos: 0,
        end_unix_nanos: 0,
        status: "ok",
        status_message: String::new(),
        attributes,
        repeated_attributes: Vec::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        links: link
            .map(|p| ReceivedLink { trace_id: p.trace.clone(), span_id: p.span.clone() })
            .into_iter()
            .collect(),
        resource: Attributes::from([("scenario.project_id".to_owned(), json!(tenant.project))]),
        scope: "scenario-worker".to_owned(),
    }
}

fn seen(door: Door, path: &str, headers: String, content: String) -> Seen {
    Seen { door, path: path.to_owned(), headers, content, spans: Vec::new() }
}

/// What a worker leaves behind that plays one run for each of two tenants, and leaks nothing.
fn clean() -> Evidence {
    let tenants = vec![Tenant::new(0, 0), Tenant::new(1, 1)];
    let runs: Vec<Run> = [Run::new(0, 2), Run::new(1, 2)].into_iter().collect();
    let mut evidence = Evidence { tenants, runs, ..Evidence::default() };
    for number in 0..2 {
        play(&mut evidence, number);
    }
    let worker =
        ReceivedSpan { trace_id: WORKERS.to_owned(), ..span(&evidence.runs[0], &evidence.tenants[0], 0) };
    let worker = ReceivedSpan { name: "process".to_owned(), attributes: Attributes::new(), ..worker };
    evidence
        .seen
        .push(seen(Door::Worker, "/v1/traces", String::new(), String::new()).with_spans(vec![worker]));
    evidence
}

/// One run's requests, event and line.
fn play(evidence: &mut Evidence, number: usize) {
    let (run, tenant) = (evidence.runs[number].clone(), evidence.tenants[number].clone());
    let (words, trace) = (words_of(&run.id), trace(number));
    let made = span(&run, &tenant, number);
    let bearer = |key: &str| format!("authorization: Bearer {key}\n");
    let question = json!({ "run": run.id, "message": words }).to_string();
    let traced = format!("{}traceparent: 00-{trace}-2222222222222222-01\n", bearer(&tenant.agent_key));
    evidence.seen.extend([
        seen(Door::Tenants(number), "/v1/traces", bearer(&tenant.spans_key), words.clone())
            .with_spans(vec![made.clone()]),
        seen(Door::Agent, &format!("/{}", tenant.project), traced, question),
        seen(Door::Models, "/v1/chat/completions", bearer(&tenant.model_key), words),
    ]);
    evidence.held.push((number, made));
    let receipt = json!({ "traceId": trace, "spans": 1, "exported": 1 });
    let parent = run.parent.map(|_| format!("traceparent: 00-{trace}-3333333333333333-01\n"));
    evidence.told.push(Told {
        run: run.id.clone(),
        kind: "completed".to_owned(),
        headers: parent.unwrap_or_default(),
        payload: json!({ "scenarioRunId": run.id, "attempts": 1, "telemetry": receipt }),
    });
    evidence.log.push(format!(r#"{{"run":"{}","message":"{trace} {}"}}"#, run.id, words_of(&run.id)));
}

/// The `nth` request at such a door.
fn at(evidence: &mut Evidence, door: Door) -> &mut Seen {
    evidence.seen.iter_mut().find(|seen| seen.door == door).unwrap()
}

/// A leak that is put into clean evidence.
type Leak = fn(&mut Evidence);

fn leaks() -> Vec<(Counter, Leak)> {
    vec![
        (Counter::OtherKey, |all| {
            let (key, other) = (all.tenants[0].spans_key.clone(), all.tenants[1].spans_key.clone());
            let export = at(all, Door::Tenants(0));
            export.headers = export.headers.replace(&key, &other);
        }),
        (Counter::OtherKey, |all| {
            let (key, other) = (all.tenants[0].agent_key.clone(), all.tenants[1].agent_key.clone());
            let question = at(all, Door::Agent);
            question.headers = question.headers.replace(&key, &other);
        }),
        (Counter::OtherKey, |all| {
            let words = words_of(&all.runs[1].id);
            at(all, Door::Models).content = words;
        }),
        (Counter::OtherDoor, |all| at(all, Door::Tenants(0)).door = Door::Tenants(1)),
        (Counter::Mixed, |all| {
            let other = at(all, Door::Tenants(1)).spans.clone();
            at(all, Door::Tenants(0)).spans.extend(other);
        }),
        (Counter::Mixed, |all| {
            let words = words_of(&all.runs[1].id);
            at(all, Door::Models).content.push_str(&words);
        }),
        (Counter::Stranger, |all| {
            let worker = at(all, Door::Worker).spans.clone();
            at(all, Door::Tenants(0)).spans.extend(worker);
        }),
        (Counter::Stranger, |all| at(all, Door::Tenants(0)).spans[0].attributes.clear()),
        (Counter::WrongTrace, |all| at(all, Door::Tenants(0)).spans[0].trace_id = trace(1)),
        (Counter::WrongTrace, |all| {
            at(all, Door::Agent).headers = format!("traceparent: 00-{}-22-01\n", trace(1));
        }),
        (Counter::RunAtWorker, |all| at(all, Door::Worker).content.push_str(&trace(0))),
        (Counter::RunAtWorker, |all| {
            let words = words_of(&all.runs[0].id);
            at(all, Door::Worker).content.push_str(&words);
        }),
        (Counter::RunAtWorker, |all| at(all, Door::Worker).content.push_str("gen_ai.input.messages")),
        (Counter::RunAtWorker, |all| {
            let metrics = all.runs[0].id.clone();
            all.seen.push(seen(Door::Worker, "/v1/metrics", String::new(), metrics));
        }),
        (Counter::WorkersTrace, |all| at(all, Door::Agent).headers.push_str(WORKERS)),
        (Counter::WorkersTrace, |all| all.told[0].payload["x"] = json!(WORKERS)),
        (Counter::WorkersTrace, |all| at(all, Door::Tenants(0)).content.push_str(WORKERS)),
        (Counter::Secret, |all| {
            let key = all.tenants[0].spans_key.clone();
            at(all, Door::Tenants(0)).content.push_str(&key);
        }),
        (Counter::Secret, |all| {
            let key = all.tenants[0].model_key.clone();
            at(all, Door::Worker).headers.push_str(&key);
        }),
        (Counter::Secret, |all| all.told[0].payload["x"] = json!(all.tenants[0].agent_key)),
        (Counter::Trap, |all| all.seen.push(seen(Door::Trap, "/", String::new(), String::new()))),
        (Counter::Trap, |all| all.seen.push(seen(Door::Worker, "/chat", String::new(), String::new()))),
        (Counter::Variable, |all| at(all, Door::Tenants(0)).headers.push_str("x: CanaryVariableHeader\n")),
        (Counter::Forged, |all| at(all, Door::Agent).headers.push_str(FORGED)),
        (Counter::OtherRun, |all| {
            let words = words_of(&all.runs[1].id);
            at(all, Door::Tenants(0)).content.push_str(&words);
        }),
        (Counter::OtherRun, |all| all.told[0].payload["x"] = json!(trace(1))),
        (Counter::TraceHeaders, |all| at(all, Door::Models).headers.push_str("traceparent: x\n")),
        (Counter::TraceHeaders, |all| at(all, Door::Agent).headers.push_str("baggage: a=b\n")),
        (Counter::TraceHeaders, |all| all.told[0].headers.push_str("traceparent: 00-11-22-01\n")),
        (Counter::SecretInLog, |all| all.log.push(all.tenants[0].model_key.clone())),
        (Counter::SecretInLog, |all| all.log.push("CanaryVariableResource".to_owned())),
        (Counter::RunInLog, |all| all.log.push(format!("{} {}", all.runs[1].id, trace(0)))),
        (Counter::RunInLog, |all| all.log.push(words_of(&all.runs[1].id))),
        (Counter::Lost, |all| drop(all.held.remove(0))),
        (Counter::Lost, |all| all.told[0].payload["telemetry"]["exported"] = json!(0)),
        (Counter::Lost, |all| drop(all.told.remove(0))),
        (Counter::Roots, |all| all.held[0].1.parent_span_id = Some("4444444444444444".to_owned())),
        (Counter::Roots, |all| {
            let again = ReceivedSpan { span_id: "5555555555555555".to_owned(), ..all.held[0].1.clone() };
            all.held.push((0, again));
        }),
        (Counter::Dangling, |all| {
            let orphan = ReceivedSpan {
                span_id: "6666666666666666".to_owned(),
                name: "call".to_owned(),
                parent_span_id: Some("7777777777777777".to_owned()),
                ..all.held[0].1.clone()
            };
            all.held.push((0, orphan));
        }),
    ]
}

#[test]
fn every_counter_sees_a_leak_of_its_kind_and_none_where_there_is_none() {
    let leaks_of_clean = Leaks::in_(&clean());
    assert!(leaks_of_clean.counters().is_empty(), "{leaks_of_clean}");
    for (number, (counter, leak)) in leaks().into_iter().enumerate() {
        let mut evidence = clean();
        leak(&mut evidence);
        let found = Leaks::in_(&evidence);
        assert!(found.counters().contains(&counter), "leak {number} is not {counter:?} but\n{found}");
    }
    let tried: BTreeSet<Counter> = leaks().into_iter().map(|(counter, _)| counter).collect();
    assert_eq!(tried, BTreeSet::from(Counter::ALL), "every counter is tried");
}
