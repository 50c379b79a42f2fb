//! Whether each run's trace is whole where its tenant looks, and as its receipt says.

use std::collections::{BTreeMap, BTreeSet};

use scenario_worker::telemetry::receiver::ReceivedSpan;
use serde_json::Value;

use super::cast::{Relation, Run};
use super::counters::{Counter, Leaks};
use super::known::Known;

/// The name of a run's root.
const ROOT: &str = "langwatch.scenario.run";

/// Spans by id: one that was sent again is still one.
type Held<'a> = BTreeMap<&'a str, &'a ReceivedSpan>;

pub(super) fn look(known: &Known<'_>, leaks: &mut Leaks) {
    let mut by_run: Vec<Held<'_>> = vec![Held::new(); known.evidence.runs.len()];
    for (_, span) in &known.evidence.held {
        if let Some(run) = known.run_of(span) {
            by_run[run].insert(&span.span_id, span);
        }
    }
    let outcomes = known.evidence.outcomes();
    for (run, held) in known.evidence.runs.iter().zip(&by_run) {
        let Some(outcome) = outcomes.get(run.id.as_str()) else {
            leaks.add(Counter::Lost, format_args!("{} has no outcome", run.id));
            continue;
        };
        receipt(leaks, run, held, outcome, known.evidence.later(&run.id));
        // Nobody knows whether the others are there.
        let is_whole = outcome["telemetry"]["unconfirmed"].is_null();
        if is_whole || held.values().any(|span| span.name == ROOT) {
            root(leaks, run, held);
        }
        // A worker that is killed never ends the turn whose calls it has sent.
        if is_whole && outcome["attempts"] == 1 {
            parents(leaks, run, held);
        }
    }
}

/// What was delivered is there, and nothing else but what nobody knows of.
fn receipt(leaks: &mut Leaks, run: &Run, held: &Held<'_>, outcome: &Value, later: Option<&Value>) {
    let receipt = &outcome["telemetry"];
    let count = |name: &str| receipt[name].as_u64().unwrap_or_default();
    let later = later.map_or(0, |later| later["exported"].as_u64().unwrap_or_default());
    let (there, known) = (held.len() as u64, count("exported") + count("spooled"));
    let sum = known + count("unconfirmed") == count("spans");
    let told = count("exported") + later <= there && known <= count("exported") + later;
    // A worker that is killed has sent spans of a step that it has not told of.
    let no_more = there <= count("spans") || outcome["attempts"] != 1;
    if !(sum && told && no_more) {
        leaks.add(
            Counter::Lost,
            format_args!("{there} spans of {} are there, {later} later: {receipt}", run.id),
        );
    }
}

fn root(leaks: &mut Leaks, run: &Run, held: &Held<'_>) {
    let roots: Vec<_> = held.values().filter(|span| span.name == ROOT).collect();
    let [root] = roots.as_slice() else {
        return leaks.add(Counter::Roots, format_args!("{} has {} roots", run.id, roots.len()));
    };
    let parent = run.parent.as_ref();
    let linked = root.links.iter().map(|link| (link.trace_id.as_str(), link.span_id.as_str()));
    let links: BTreeSet<_> = linked.collect();
    let of = |relation| parent.filter(move |parent| parent.relation == relation);
    let expected = of(Relation::Links).map(|parent| (parent.trace.as_str(), parent.span.as_str()));
    let above = of(Relation::Continues).map(|parent| parent.span.as_str());
    if root.parent_span_id.as_deref() != above || links != expected.into_iter().collect() {
        leaks.add(
            Counter::Roots,
            format_args!("{} has a root below {:?} with {links:?}", run.id, root.parent_span_id),
        );
    }
}

fn parents(leaks: &mut Leaks, run: &Run, held: &Held<'_>) {
    for span in held.values().filter(|span| span.name != ROOT) {
        if !span.parent_span_id.as_ref().is_some_and(|parent| held.contains_key(parent.as_str())) {
            leaks.add(
                Counter::Dangling,
                format_args!("{} of {} is below {:?}", span.name, run.id, span.parent_span_id),
            );
        }
    }
}
