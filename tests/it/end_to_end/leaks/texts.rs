//! What events and the log hold.

use std::collections::BTreeSet;

use super::counters::{Counter, Leaks};
use super::evidence::Told;
use super::known::{Known, Mark};

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
    let named = |run: &usize| marks.contains(&Mark::Id(*run));
    for mark in marks {
        let counter = match mark {
            Mark::Id(_) | Mark::WorkersTrace => continue,
            Mark::Key(..) | Mark::Variable => Counter::SecretInLog,
            Mark::Words(run) if named(run) => continue,
            Mark::Trace(trace)
                if known
                    .evidence
                    .runs
                    .iter()
                    .enumerate()
                    .any(|(run, _)| named(&run) && known.trace_of(run) == Some(trace)) =>
            {
                continue;
            }
            Mark::Words(_) | Mark::Trace(_) | Mark::Forged => Counter::RunInLog,
        };
        leaks.add(counter, format_args!("{mark:?} in {line}"));
    }
}
