//! What events and the log hold.

use std::collections::BTreeSet;

use super::counters::{Counter, Leaks};
use super::evidence::Told;
use super::known::{Known, Mark};

/// Subject of the question which worker plays a trace, before the trace.
const ASKED: &str = "scenario.telemetry.received.";

pub(super) fn look(known: &Known<'_>, leaks: &mut Leaks) {
    for told in &known.evidence.told {
        event(known, leaks, told);
    }
    for line in &known.evidence.log {
        let marks = known.marks(line);
        if !marks.is_empty() {
            log_line(known, leaks, line, &marks);
        }
    }
}

fn event(known: &Known<'_>, leaks: &mut Leaks, told: &Told) {
    let Some(run) = known.number(&told.run) else {
        return leaks.add(Counter::OtherRun, format_args!("an event of no run: {}", told.run));
    };
    let trace = told.header("traceparent").and_then(|value| value.split('-').nth(1));
    let expected = known.evidence.runs[run].parent.as_ref().and_then(|_| known.trace_of(run));
    if trace != expected {
        leaks.add(
            Counter::TraceHeaders,
            format_args!("{trace:?} and not {expected:?} on an event of run {run}"),
        );
    }
    let text = format!("{} {}", told.headers, told.payload);
    leaks.judge(known, &format!("an event of run {run}"), &text, |mark| match mark {
        Mark::Id(number) | Mark::Words(number) => *number == run,
        Mark::Trace(trace) => known.trace_of(run) == Some(trace),
        _ => false,
    });
}

/// A line may name runs, and then say what is theirs.
fn log_line(known: &Known<'_>, leaks: &mut Leaks, line: &str, marks: &BTreeSet<Mark>) {
    for mark in marks {
        let counter = match mark {
            Mark::Id(_) | Mark::WorkersTrace => continue,
            Mark::Key(..) | Mark::Variable => Counter::SecretInLog,
            Mark::Words(run) if marks.contains(&Mark::Id(*run)) => continue,
            Mark::Trace(trace) if is_about(known, line, marks, trace) => continue,
            Mark::Words(_) | Mark::Trace(_) | Mark::Forged => Counter::RunInLog,
        };
        leaks.add(counter, format_args!("{mark:?} in {line}"));
    }
}

/// Whether a line is about a run with this trace: it names the run, or is the question who plays that trace, of which the
/// broker's client tells.
fn is_about(known: &Known<'_>, line: &str, marks: &BTreeSet<Mark>, trace: &str) -> bool {
    let is_of_trace = |run: &usize| known.trace_of(*run) == Some(trace);
    let mut named = marks.iter().filter_map(|mark| match mark {
        Mark::Id(run) => Some(*run),
        _ => None,
    });
    named.any(|run| is_of_trace(&run)) || line.contains(&format!("{ASKED}{trace}"))
}
