//! The channels: subjects, what travels on each, and the stream that keeps it.

use serde_json::{Map, Value, json};

use super::reference;
use crate::events::subjects::{self, EventKind};
use crate::events::{InvalidId, ProjectId, RunId, RunKey, schema};

/// The parts of subjects that are ids.
const PARAMETERS: [(&str, &str); 2] = [
    ("projectId", "The tenant's project: 1 to 128 of A-Z a-z 0-9 _ -"),
    ("scenarioRunId", "The run: 1 to 128 of A-Z a-z 0-9 _ -"),
];

/// A subject.
pub(super) struct Channel {
    /// What operations call it.
    pub(super) key: String,
    /// With ids as parameters; none for the place that each request names for its answer.
    address: Option<String>,
    summary: &'static str,
    /// Names of the payloads' schemas.
    pub(super) messages: &'static [&'static str],
    stream: Option<&'static str>,
}

/// Every channel by its key.
pub(super) fn all() -> Value {
    let channels = [commands(), stored(), republished(), service()].into_iter().flatten();
    Value::Object(channels.map(|channel| (channel.key.clone(), channel.written())).collect())
}

/// The key of the channel on which events of `kind` are kept.
pub(super) fn stored_key(kind: EventKind) -> String {
    format!("stored_{}", kind.as_str())
}

/// The payload of events of `kind`.
pub(super) fn payload_of(kind: EventKind) -> &'static [&'static str] {
    match kind {
        EventKind::Started => &[schema::RUN_STARTED],
        EventKind::Message => &[schema::RUN_MESSAGE],
        EventKind::Completed => &[schema::RUN_COMPLETED],
        EventKind::TelemetryDelivered => &[schema::RUN_TELEMETRY_DELIVERED],
    }
}

/// What clients publish, and what becomes of it where it cannot be read.
fn commands() -> Vec<Channel> {
    let run = Channel {
        key: "requested".to_owned(),
        address: Some(subjects::REQUESTED.to_owned()),
        summary: "Requests for runs.",
        messages: &[schema::RUN_REQUESTED],
        stream: Some(subjects::REQUESTS_STREAM),
    };
    let cancel = Channel {
        key: "cancel_requested".to_owned(),
        address: Some(subjects::CANCEL_REQUESTED.to_owned()),
        summary: "Requests to cancel.",
        messages: &[schema::CANCEL_REQUESTED],
        stream: Some(subjects::COMMANDS_STREAM),
    };
    let of_project = [run.of_project(subjects::requested), cancel.of_project(subjects::cancel_requested)];
    [run, cancel, dead_letters()].into_iter().chain(of_project).collect()
}

fn dead_letters() -> Channel {
    Channel {
        key: "dead_lettered".to_owned(),
        address: Some(subjects::DEAD_LETTERED.to_owned()),
        summary: "What can never be run.",
        messages: &[schema::RUN_DEAD_LETTERED],
        stream: Some(subjects::DEAD_LETTERS_STREAM),
    }
}

/// What runs report, as it is kept: one subject a run and kind.
fn stored() -> Vec<Channel> {
    let channel = |kind: EventKind| Channel {
        key: stored_key(kind),
        address: Some(parameterised(|key| subjects::event(key, kind))),
        summary: "What runs report, kept: one subject for each run and kind of event.",
        messages: payload_of(kind),
        stream: Some(subjects::EVENTS_STREAM),
    };
    EventKind::ALL.into_iter().map(channel).collect()
}

/// The same as the server repeats it.
fn republished() -> Vec<Channel> {
    let channel = |kind: EventKind| Channel {
        key: kind.as_str().to_owned(),
        address: Some(subjects::plain(kind)),
        summary: "The same for whoever listens now: the server repeats what it has kept, unless `events.republish` is off.",
        messages: payload_of(kind),
        stream: None,
    };
    EventKind::ALL.into_iter().map(channel).collect()
}

/// Who wants an answer asks here, and hears it where the request says.
fn service() -> Vec<Channel> {
    const SCHEDULE: [&str; 2] = [schema::SCHEDULE_REPLY, schema::ERROR_REPLY];
    const CANCEL: [&str; 2] = [schema::CANCEL_REPLY, schema::ERROR_REPLY];
    const STATUS: [&str; 2] = [schema::STATUS_REPLY, schema::ERROR_REPLY];
    let calls = [
        call("schedule", subjects::SERVICE_SCHEDULE, &[schema::RUN_REQUESTED], &SCHEDULE),
        call("cancel", subjects::SERVICE_CANCEL, &[schema::CANCEL_REQUESTED], &CANCEL),
        call("status", subjects::SERVICE_STATUS, &[schema::STATUS_REQUEST], &STATUS),
    ];
    calls.into_iter().flatten().collect()
}

/// Where something is asked, and where it is answered.
fn call(
    key: &str,
    subject: &str,
    messages: &'static [&'static str],
    answers: &'static [&'static str],
) -> [Channel; 2] {
    let question = Channel {
        key: key.to_owned(),
        address: Some(subject.to_owned()),
        summary: "Asks the NATS micro service `scenario-worker`.",
        messages,
        stream: None,
    };
    let answer = Channel {
        key: format!("{key}_reply"),
        address: None,
        summary: "Its answer, on the subject that the request names.",
        messages: answers,
        stream: None,
    };
    [question, answer]
}

/// The subject of a run with its ids as parameters.
fn parameterised(subject: impl Fn(&RunKey) -> String) -> String {
    let [project, run] = PARAMETERS.map(|(name, _)| name);
    let key = || Ok::<_, InvalidId>(RunKey { project: ProjectId::parse(project)?, run: RunId::parse(run)? });
    let subject = key().map_or_else(|error| error.to_string(), |key| subject(&key));
    PARAMETERS.iter().fold(subject, |subject, (name, _)| subject.replace(name, &format!("{{{name}}}")))
}

impl Channel {
    /// The channel that is one project's.
    fn of_project(&self, subject: fn(&ProjectId) -> String) -> Self {
        let address = parameterised(|key| subject(&key.project));
        Self { key: format!("{}_of_project", self.key), address: Some(address), ..*self }
    }

    fn written(&self) -> Value {
        let message = |name: &&str| ((*name).to_owned(), reference(&["components", "messages", name]));
        let messages: Map<String, Value> = self.messages.iter().map(message).collect();
        let mut written = json!({ "address": self.address, "summary": self.summary, "messages": messages });
        let address = self.address.as_deref().unwrap_or_default();
        let parameters = PARAMETERS.into_iter().filter(|(name, _)| address.contains(&format!("{{{name}}}")));
        let parameters: Map<String, Value> =
            parameters.map(|(name, what)| (name.to_owned(), json!({ "description": what }))).collect();
        if !parameters.is_empty() {
            written["parameters"] = Value::Object(parameters);
        }
        if let Some(stream) = self.stream {
            written["x-jetstream-stream"] = stream.into();
        }
        written
    }
}
