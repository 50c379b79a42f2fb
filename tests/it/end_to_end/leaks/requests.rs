//! What requests hold, door by door.

use std::collections::BTreeSet;

use scenario_worker::telemetry::receiver::ReceivedSpan;

use super::counters::{Counter, Leaks};
use super::evidence::{Door, Seen};
use super::known::{Known, Mark, Opens};

/// Headers that say something of a trace.
const TRACED: [&str; 4] = ["traceparent", "tracestate", "baggage", "b3"];
/// Paths of the worker's own telemetry.
const OF_WORKER: [&str; 2] = ["/v1/traces", "/v1/metrics"];
/// What only spans of runs have.
const OF_RUNS: [&str; 3] = ["langwatch.", "gen_ai.", "scenario.run_id"];

pub(super) fn look(known: &Known<'_>, leaks: &mut Leaks) {
    for seen in &known.evidence.seen {
        match seen.door {
            Door::Tenants(door) => at_tenants(known, leaks, seen, door),
            Door::Worker => at_worker(known, leaks, seen),
            Door::Trap => leaks.add(Counter::Trap, format_args!("{} {}", seen.path, seen.headers)),
            Door::Agent => at_agent(known, leaks, seen),
            Door::Models => at_models(known, leaks, seen),
        }
    }
}

fn at_tenants(known: &Known<'_>, leaks: &mut Leaks, seen: &Seen, door: usize) {
    let Some(tenant) = known.owner(&seen.headers, Opens::Spans) else {
        return leaks.add(Counter::OtherKey, format_args!("nobody's or several: {}", seen.headers));
    };
    if known.evidence.tenants[tenant].door != door {
        leaks.add(Counter::OtherDoor, format_args!("the key of {tenant} at {door}"));
    }
    for span in &seen.spans {
        of_tenant(known, leaks, span, tenant, door);
    }
    let runs: BTreeSet<usize> = seen.spans.iter().filter_map(|span| known.run_of(span)).collect();
    if runs.len() > 1 {
        leaks.add(Counter::Mixed, format_args!("{runs:?} for {tenant}"));
    }
    let is_own = |mark: &Mark| *mark == Mark::Key(Opens::Spans, tenant);
    leaks.judge(known, "headers of an export", &seen.headers, is_own);
    leaks.judge(known, "an export", &seen.content, |mark| is_of(known, mark, &runs));
    without_trace(leaks, seen);
}

/// A span at `door` with the key of `tenant`.
fn of_tenant(known: &Known<'_>, leaks: &mut Leaks, span: &ReceivedSpan, tenant: usize, door: usize) {
    let named = |what: &str| format!("{what}: {} of {} ({:?})", span.name, span.trace_id, span.resource);
    let Some(run) = known.run_of(span).filter(|_| !known.is_workers_trace(&span.trace_id)) else {
        return leaks.add(Counter::Stranger, named("nobody's"));
    };
    let evidence = known.evidence;
    let owner = &evidence.tenants[evidence.runs[run].tenant];
    let said = [
        ("scenario.project_id", owner.project.clone()),
        ("service.name", format!("agent-of-{}", owner.project)),
    ];
    let says_so = said.iter().any(|(key, value)| span.resource.get(*key).is_some_and(|is| is == value));
    if evidence.runs[run].tenant != tenant || !says_so {
        leaks.add(Counter::OtherKey, named("with the key of another"));
    }
    if owner.door != door {
        leaks.add(Counter::OtherDoor, named("at the endpoint of another"));
    }
    if known.trace_of(run) != Some(&span.trace_id) {
        leaks.add(Counter::WrongTrace, named("in another trace"));
    }
}

/// Whether a mark is of one of `runs`, and no credential.
fn is_of(known: &Known<'_>, mark: &Mark, runs: &BTreeSet<usize>) -> bool {
    match mark {
        Mark::Id(run) | Mark::Words(run) => runs.contains(run),
        Mark::Trace(trace) => runs.iter().any(|run| known.trace_of(*run) == Some(trace)),
        _ => false,
    }
}

fn without_trace(leaks: &mut Leaks, seen: &Seen) {
    for name in TRACED.into_iter().filter(|name| seen.header(name).is_some()) {
        leaks.add(Counter::TraceHeaders, format_args!("{name} at {:?} {}", seen.door, seen.headers));
    }
}

/// A consumer's span names the run's message, and nothing else of it.
fn at_worker(known: &Known<'_>, leaks: &mut Leaks, seen: &Seen) {
    if !OF_WORKER.contains(&seen.path.as_str()) {
        leaks.add(
            Counter::Trap,
            format_args!("'{}' at the worker's own endpoint {}", seen.path, seen.headers),
        );
    }
    let is_trace = !seen.spans.is_empty();
    let text = format!("{} {}", seen.headers, seen.content);
    for mark in known.marks(&text) {
        match mark {
            Mark::WorkersTrace | Mark::Variable => {}
            Mark::Id(_) if is_trace => {}
            Mark::Key(..) => leaks.add(Counter::Secret, format_args!("{mark:?} in the worker's {text}")),
            _ => {
                leaks
                    .add(Counter::RunAtWorker, format_args!("{mark:?} in the worker's {} {text}", seen.path));
            }
        }
    }
    for word in OF_RUNS.into_iter().filter(|word| text.contains(word)) {
        leaks.add(Counter::RunAtWorker, format_args!("{word} in the worker's {} {text}", seen.path));
    }
}

fn at_agent(known: &Known<'_>, leaks: &mut Leaks, seen: &Seen) {
    let asked: serde_json::Value = serde_json::from_str(&seen.content).unwrap_or_default();
    let Some(run) = asked["run"].as_str().and_then(|run| known.number(run)) else {
        return leaks.add(Counter::OtherRun, format_args!("a question of no run: {}", seen.content));
    };
    let tenant = known.evidence.runs[run].tenant;
    if known.owner(&seen.headers, Opens::Agent) != Some(tenant)
        || seen.path.trim_start_matches('/') != known.evidence.tenants[tenant].project
    {
        leaks.add(Counter::OtherKey, format_args!("run {run} asked {} {}", seen.path, seen.headers));
    }
    let trace = seen.header("traceparent").and_then(|value| value.split('-').nth(1));
    if trace.is_none() || trace != known.trace_of(run) {
        leaks.add(Counter::WrongTrace, format_args!("run {run} asked with {trace:?}"));
    }
    for name in TRACED.into_iter().skip(1).filter(|name| seen.header(name).is_some()) {
        leaks.add(Counter::TraceHeaders, format_args!("{name} for an agent: {}", seen.headers));
    }
    let runs = BTreeSet::from([run]);
    let is_own = |mark: &Mark| *mark == Mark::Key(Opens::Agent, tenant) || is_of(known, mark, &runs);
    leaks.judge(known, "headers of a question", &seen.headers, is_own);
    leaks.judge(known, "a question", &seen.content, |mark| is_of(known, mark, &runs));
}

fn at_models(known: &Known<'_>, leaks: &mut Leaks, seen: &Seen) {
    let Some(tenant) = known.owner(&seen.headers, Opens::Model) else {
        return leaks.add(Counter::OtherKey, format_args!("nobody's or several: {}", seen.headers));
    };
    let marks = known.marks(&seen.content);
    let runs: BTreeSet<usize> = marks.iter().filter_map(run_in).collect();
    if runs.len() > 1 {
        leaks.add(Counter::Mixed, format_args!("{runs:?} in a request to models"));
    }
    if runs.iter().any(|run| known.evidence.runs[*run].tenant != tenant) {
        leaks.add(Counter::OtherKey, format_args!("{runs:?} with the model key of {tenant}"));
    }
    let is_own = |mark: &Mark| *mark == Mark::Key(Opens::Model, tenant);
    leaks.judge(known, "headers for models", &seen.headers, is_own);
    leaks.judge(known, "a request to models", &seen.content, |mark| run_in(mark).is_some());
    without_trace(leaks, seen);
}

fn run_in(mark: &Mark) -> Option<usize> {
    match mark {
        Mark::Id(run) | Mark::Words(run) => Some(*run),
        _ => None,
    }
}
