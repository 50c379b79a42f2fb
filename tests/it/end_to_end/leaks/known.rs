//! Marks by which it is known whose a text is.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, MatchKind};
use scenario_worker::telemetry::receiver::ReceivedSpan;

use super::agent::{FORGED, RUN};
use super::cast::{Run, words_of};
use super::evidence::{Door, Evidence};

/// In every value that a hostile variable of the environment has.
pub(super) const VARIABLE: &str = "CanaryVariable";

/// What a credential opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opens {
    Spans,
    Agent,
    Model,
}

/// Something in a text that says whose it is. Numbers are those of tenants and runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Key(Opens, usize),
    /// A run's id.
    Id(usize),
    /// What a run's agent says.
    Words(usize),
    /// The trace of a run, or of several that continue it.
    Trace(String),
    /// A trace of the worker's own.
    WorkersTrace,
    /// A value of a hostile variable.
    Variable,
    /// A trace that agents claim.
    Forged,
}

/// The evidence with an index of its marks.
pub(super) struct Known<'a> {
    pub(super) evidence: &'a Evidence,
    /// The trace of each run, by its number.
    traces: Vec<Option<String>>,
    workers_traces: BTreeSet<&'a str>,
    numbers: BTreeMap<&'a str, usize>,
    finder: AhoCorasick,
    marks: Vec<Mark>,
}

impl<'a> Known<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        let outcomes = evidence.outcomes();
        let told =
            |run: &Run| outcomes.get(run.id.as_str())?["telemetry"]["traceId"].as_str().map(str::to_owned);
        let continued = |run: &Run| run.parent.as_ref().filter(|_| run.continues()).map(|p| p.trace.clone());
        let traces = evidence.runs.iter().map(|run| continued(run).or_else(|| told(run))).collect::<Vec<_>>();
        let of_worker = evidence.seen.iter().filter(|seen| seen.door == Door::Worker);
        let workers_traces =
            of_worker.flat_map(|seen| &seen.spans).map(|span| span.trace_id.as_str()).collect();
        let patterns = patterns(evidence, &traces, &workers_traces);
        let (texts, marks): (Vec<String>, Vec<Mark>) = patterns.into_iter().unzip();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts).unwrap();
        let numbers =
            evidence.runs.iter().enumerate().map(|(number, run)| (run.id.as_str(), number)).collect();
        Self { evidence, traces, workers_traces, numbers, finder, marks }
    }

    /// Every mark in `text`.
    pub(super) fn marks(&self, text: &str) -> BTreeSet<Mark> {
        self.finder.find_iter(text).map(|found| self.marks[found.pattern().as_usize()].clone()).collect()
    }

    /// The number of the run with this id.
    pub(super) fn number(&self, run: &str) -> Option<usize> {
        self.numbers.get(run).copied()
    }

    /// The run that made a span, or for which an agent made it.
    pub(super) fn run_of(&self, span: &ReceivedSpan) -> Option<usize> {
        let id = span.attributes.get("scenario.run_id").or_else(|| span.attributes.get(RUN))?;
        self.number(id.as_str()?)
    }

    /// The trace of a run, if it has one.
    pub(super) fn trace_of(&self, run: usize) -> Option<&str> {
        self.traces[run].as_deref()
    }

    pub(super) fn is_workers_trace(&self, trace: &str) -> bool {
        self.workers_traces.contains(trace)
    }

    /// The one tenant whose key for `opens` stands in `headers`.
    pub(super) fn owner(&self, headers: &str, opens: Opens) -> Option<usize> {
        let found = self.marks(headers);
        let mut owners = found.iter().filter_map(|mark| match mark {
            Mark::Key(key, tenant) if *key == opens => Some(*tenant),
            _ => None,
        });
        owners.next().filter(|_| owners.next().is_none())
    }
}

fn patterns(
    evidence: &Evidence,
    traces: &[Option<String>],
    workers_traces: &BTreeSet<&str>,
) -> BTreeMap<String, Mark> {
    let mut patterns =
        BTreeMap::from([(VARIABLE.to_owned(), Mark::Variable), (FORGED.to_owned(), Mark::Forged)]);
    for (number, tenant) in evidence.tenants.iter().enumerate() {
        let keys = [
            (&tenant.spans_key, Opens::Spans),
            (&tenant.agent_key, Opens::Agent),
            (&tenant.model_key, Opens::Model),
        ];
        patterns.extend(keys.map(|(key, opens)| (key.clone(), Mark::Key(opens, number))));
    }
    for (number, run) in evidence.runs.iter().enumerate() {
        patterns.extend([(run.id.clone(), Mark::Id(number)), (words_of(&run.id), Mark::Words(number))]);
    }
    patterns.extend(traces.iter().flatten().map(|trace| (trace.clone(), Mark::Trace(trace.clone()))));
    let own = workers_traces.iter().filter(|trace| !traces.iter().flatten().any(|run| run == *trace));
    patterns.extend(own.map(|trace| ((*trace).to_owned(), Mark::WorkersTrace)));
    patterns
}
