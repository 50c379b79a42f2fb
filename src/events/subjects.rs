//! Names on the wire: subjects, streams, buckets and headers. Clients rely on each of them.

use super::{BatchRunId, ProjectId, RunId, RunKey};

/// Stream of the requests: a work queue.
pub const REQUESTS_STREAM: &str = "SCENARIO_REQUESTS";
/// Stream of the cancel requests: a work queue.
pub const COMMANDS_STREAM: &str = "SCENARIO_COMMANDS";
/// Stream of everything that runs report.
pub const EVENTS_STREAM: &str = "SCENARIO_EVENTS";
/// Stream of the messages that can never be run.
pub const DEAD_LETTERS_STREAM: &str = "SCENARIO_DEAD_LETTERS";
/// Stream of what the server says about requests that it delivers no more.
pub const ADVISORIES_STREAM: &str = "SCENARIO_ADVISORIES";
/// Object store of the transcripts that are too large for a run state.
pub const TRANSCRIPTS_BUCKET: &str = "SCENARIO_TRANSCRIPTS";
/// Object store of the cassettes: what recorded runs said and heard.
pub const CASSETTES_BUCKET: &str = "SCENARIO_CASSETTES";
/// Object store of spans that their endpoints have not taken yet.
pub const SPANS_BUCKET: &str = "SCENARIO_SPANS";
/// Stream of what there is in that store: a work queue.
pub const SPOOL_STREAM: &str = "SCENARIO_SPOOL";
/// Key-value bucket of the run states, cancel marks, and what became of spooled spans.
pub const RUNS_BUCKET: &str = "SCENARIO_RUNS";
/// Key-value bucket in which workers agree on limits of calls.
pub const LIMITS_BUCKET: &str = "SCENARIO_LIMITS";

/// Where clients publish requests; `.<projectId>` may follow.
pub const REQUESTED: &str = "scenario.run.requested";
/// Where clients publish cancel requests; `.<projectId>` may follow.
pub const CANCEL_REQUESTED: &str = "scenario.run.cancel_requested";
/// Where the service schedules a run and answers with its receipt.
pub const SERVICE_SCHEDULE: &str = "scenario.run.schedule";
/// Where the service cancels a run or a batch, and says where the run was.
pub const SERVICE_CANCEL: &str = "scenario.run.cancel";
/// Where the service says where a run is.
pub const SERVICE_STATUS: &str = "scenario.run.status";
/// Where the worker puts dead letters.
pub const DEAD_LETTERED: &str = "scenario.run.dead_lettered";
/// Where the worker says what it has put into [`SPANS_BUCKET`]; `.<projectId>` follows.
pub const SPOOLED: &str = "scenario.telemetry.spooled";
/// Where a worker offers spans of a target to whoever plays the run; `.<trace id>` follows.
pub const RECEIVED: &str = "scenario.telemetry.received";
/// Where the server says that it delivers a request no more, whatever the consumer's name is.
pub const GIVEN_UP: &str = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.SCENARIO_REQUESTS.*";
/// What the events stream stores.
pub const EVENTS_FILTER: &str = "scenario.events.*.*.*";
/// The plain subject that the server republishes a stored event on.
pub const REPUBLISH_TEMPLATE: &str = "scenario.run.{{wildcard(3)}}";

/// Header: idempotency key of a message.
pub const HEADER_MESSAGE_ID: &str = "Nats-Msg-Id";
/// Header: the run.
pub const HEADER_RUN_ID: &str = "Scenario-Run-Id";
/// Header: the project.
pub const HEADER_PROJECT_ID: &str = "Scenario-Project-Id";
/// Header: the batch.
pub const HEADER_BATCH_RUN_ID: &str = "Scenario-Batch-Run-Id";
/// Header: the sequence of the dead letter that this message was before.
pub const HEADER_REDRIVEN_FROM: &str = "Scenario-Redriven-From";
/// Header: the payload's media type.
pub const HEADER_CONTENT_TYPE: &str = "Content-Type";
/// Media type of every payload.
pub const CONTENT_TYPE_JSON: &str = "application/json";
/// Header of an answer that is an error: its code (NATS micro, ADR-32).
pub const HEADER_SERVICE_ERROR: &str = "Nats-Service-Error";
/// Header of an answer that is an error: its number, as in HTTP (NATS micro, ADR-32).
pub const HEADER_SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";
/// Header: W3C trace context. NATS header names are case-sensitive; this one is lowercase.
pub const HEADER_TRACEPARENT: &str = "traceparent";
/// Header: W3C trace state.
pub const HEADER_TRACESTATE: &str = "tracestate";

/// The kinds of event that a run reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The run began.
    Started,
    /// Something was said.
    Message,
    /// The one outcome.
    Completed,
    /// Spans that the outcome calls spooled have arrived.
    TelemetryDelivered,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Started, Self::Message, Self::Completed, Self::TelemetryDelivered];

    /// The last token of the event's subject.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Message => "message",
            Self::Completed => "completed",
            Self::TelemetryDelivered => "telemetry_delivered",
        }
    }

    /// The kind that a subject's last token names.
    #[must_use]
    pub fn from_subject(subject: &str) -> Option<Self> {
        let token = subject.rsplit('.').next()?;
        Self::ALL.into_iter().find(|kind| kind.as_str() == token)
    }
}

/// The subject that requests of `project` are published on.
#[must_use]
pub fn requested(project: &ProjectId) -> String {
    format!("{REQUESTED}.{project}")
}

/// The subject that cancel requests of `project` are published on.
#[must_use]
pub fn cancel_requested(project: &ProjectId) -> String {
    format!("{CANCEL_REQUESTED}.{project}")
}

/// The subject that says what was spooled for `project`.
#[must_use]
pub fn spooled(project: &ProjectId) -> String {
    format!("{SPOOLED}.{project}")
}

/// The subjects of all outcomes.
pub const OUTCOMES_FILTER: &str = "scenario.events.*.*.completed";

/// The subject that stores an event of `key`.
#[must_use]
pub fn event(key: &RunKey, kind: EventKind) -> String {
    format!("scenario.events.{}.{}.{}", key.project, key.run, kind.as_str())
}

/// The subjects of all events of `key`.
#[must_use]
pub fn events_of(key: &RunKey) -> String {
    format!("scenario.events.{}.{}.*", key.project, key.run)
}

/// The run that the subject of an event names.
#[must_use]
pub fn event_run(subject: &str) -> Option<RunKey> {
    let mut tokens = subject.strip_prefix("scenario.events.")?.split('.');
    let (project, run) = (tokens.next()?, tokens.next()?);
    Some(RunKey { project: ProjectId::parse(project).ok()?, run: RunId::parse(run).ok()? })
}

/// The plain subject that events of `kind` are republished on.
#[must_use]
pub fn plain(kind: EventKind) -> String {
    format!("scenario.run.{}", kind.as_str())
}

/// Key of a run's state in [`RUNS_BUCKET`].
#[must_use]
pub fn run_state_key(key: &RunKey) -> String {
    format!("run.{}.{}", key.project, key.run)
}

/// Key of a run's cancel mark in [`RUNS_BUCKET`].
#[must_use]
pub fn cancel_key(key: &RunKey) -> String {
    format!("cancel.{}.{}", key.project, key.run)
}

/// Key of a batch's cancel mark in [`RUNS_BUCKET`].
#[must_use]
pub fn cancel_batch_key(project: &ProjectId, batch: &BatchRunId) -> String {
    format!("cancelbatch.{project}.{}", batch.token())
}

/// Key in [`RUNS_BUCKET`] of what became of a run's spooled spans.
#[must_use]
pub fn spool_key(key: &RunKey) -> String {
    format!("spool.{}.{}", key.project, key.run)
}

/// Key in [`RUNS_BUCKET`] of what the platform of the run's project was told of it.
#[must_use]
pub fn sink_key(key: &RunKey) -> String {
    format!("sink.{}.{}", key.project, key.run)
}

/// Key in [`RUNS_BUCKET`] that whoever tells the platform of the run holds.
#[must_use]
pub fn sink_lock_key(key: &RunKey) -> String {
    format!("sinklock.{}.{}", key.project, key.run)
}

/// The keys of every cancel mark, as a watch names them.
pub const CANCEL_KEYS: [&str; 2] = ["cancel.>", "cancelbatch.>"];

/// The project token of a request's subject, if it has one.
#[must_use]
pub fn request_project(subject: &str) -> Option<&str> {
    subject.strip_prefix(REQUESTED)?.strip_prefix('.')
}

/// The project token of a cancel request's subject, if it has one.
#[must_use]
pub fn cancel_project(subject: &str) -> Option<&str> {
    subject.strip_prefix(CANCEL_REQUESTED)?.strip_prefix('.')
}
