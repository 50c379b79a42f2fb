//! What everybody saw, as plain data.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::HeaderMap;
use scenario_worker::telemetry::receiver::ReceivedSpan;
use serde_json::Value;

use super::cast::{Run, Tenant};

/// Where a request arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// A telemetry endpoint of tenants.
    Tenants(usize),
    /// The worker's own telemetry endpoint.
    Worker,
    /// Where nothing may arrive.
    Trap,
    Agent,
    Models,
}

/// A request that the worker made.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) door: Door,
    pub(super) path: String,
    /// A line each.
    pub(super) headers: String,
    /// As text, with its spans, if it has any, as JSON behind it.
    pub(super) content: String,
    pub(super) spans: Vec<ReceivedSpan>,
}

impl Seen {
    pub(super) fn new(door: Door, path: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let content = String::from_utf8_lossy(body).into_owned();
        Self { door, path: path.to_owned(), headers: lines(headers), content, spans: Vec::new() }
    }

    pub(super) fn with_spans(mut self, spans: Vec<ReceivedSpan>) -> Self {
        self.content.push_str(&serde_json::to_string(&spans).unwrap());
        self.spans = spans;
        self
    }

    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// An event that was published.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) run: String,
    pub(super) kind: String,
    /// A line each.
    pub(super) headers: String,
    pub(super) payload: Value,
}

impl Told {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    pub(super) tenants: Vec<Tenant>,
    pub(super) runs: Vec<Run>,
    pub(super) seen: Vec<Seen>,
    /// What the endpoints of tenants took, with the endpoint.
    pub(super) held: Vec<(usize, ReceivedSpan)>,
    pub(super) told: Vec<Told>,
    /// Lines of the logs of all workers.
    pub(super) log: Vec<String>,
}

impl Evidence {
    /// The outcomes by run.
    pub(super) fn outcomes(&self) -> BTreeMap<&str, &Value> {
        let completed = self.told.iter().filter(|told| told.kind == "completed");
        completed.map(|told| (told.run.as_str(), &told.payload)).collect()
    }

    /// What came of spans that a run's outcome calls spooled.
    pub(super) fn later(&self, run: &str) -> Option<&Value> {
        let told = self.told.iter().find(|told| told.run == run && told.kind == "telemetry_delivered");
        told.map(|told| &told.payload)
    }
}

fn lines(headers: &HeaderMap) -> String {
    headers.iter().fold(String::new(), |mut lines, (name, value)| {
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        lines
    })
}

fn header<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = lines.lines().filter_map(|line| line.split_once(": "));
    pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
