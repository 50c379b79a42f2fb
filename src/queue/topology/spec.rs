//! What is asked of each stream and consumer.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Republish, RetentionPolicy, StorageType};

use crate::events::subjects;
use crate::settings::Settings;

/// Deliveries after which the server gives up on a message: never. Hand-backs and retries in an outage are deliveries,
/// too, so a limit would end good requests; lost executions are counted in the run state, and what can never be run is
/// buried. A limit that an operator sets stays.
pub const MAX_DELIVER: i64 = -1;
/// `max_deliver` of a definition that says nothing about it.
const UNSET: i64 = 0;
/// The durable consumer of the cancel requests. A work queue has one, whatever the consumer group's name is.
pub const COMMANDS_DURABLE: &str = "scenario-commands";

/// The durable consumer of the server's advisories.
pub const ADVISORIES_DURABLE: &str = "scenario-advisories";
/// The durable consumer of the notices of spooled spans.
pub const SPOOL_DURABLE: &str = "scenario-spool";
/// The durable consumer of the events, for platforms that are told of them.
pub const SINK_DURABLE: &str = "scenario-sink";
/// Events that are told or wait for their next attempt, over all workers: all of them, so that those of a dead platform are in
/// nobody's way.
const SINK_MAX_ACK_PENDING: i64 = -1;
/// The durable consumer of the outcomes, for the history. Whoever writes them down has what it was given settled within
/// a minute, or writes it again.
pub const HISTORY_DURABLE: &str = "scenario-history";
/// Time to write outcomes down behind those that came before them.
const HISTORY_ACK_WAIT: Duration = Duration::from_mins(1);
/// Outcomes that are written down or wait for the database, over all workers; the others wait in the stream.
const HISTORY_MAX_ACK_PENDING: i64 = 1_024;
/// How much longer than `telemetry.spool.retention_seconds` the broker has them: whoever gives them up wants to say so.
pub(in crate::queue) const SPOOL_GRACE: Duration = Duration::from_hours(1);
/// Time to send spooled spans once and to write down what became of them.
const SPOOL_ACK_WAIT: Duration = Duration::from_mins(1);
/// Notices that are sent or wait for their next attempt, over all workers: all of them, so that those of a dead endpoint
/// are in nobody's way.
const SPOOL_MAX_ACK_PENDING: i64 = -1;

/// Open pulls of all workers together. It cannot be changed later, so it is roomy.
const MAX_WAITING: i64 = 4_096;
/// How long a cancel request waits for a worker: one day.
const COMMANDS_MAX_AGE: Duration = Duration::from_hours(24);
/// Time to turn one cancel request into a mark.
const COMMANDS_ACK_WAIT: Duration = Duration::from_secs(30);
/// Cancel requests being turned into marks, over all workers.
const COMMANDS_MAX_ACK_PENDING: i64 = 256;
/// Time to make a dead letter of one request that the server gave up.
const ADVISORIES_ACK_WAIT: Duration = Duration::from_mins(2);
/// Requests being made dead letters after an advisory, over all workers.
const ADVISORIES_MAX_ACK_PENDING: i64 = 256;
/// How long the other streams remember a `Nats-Msg-Id`: longer than any publish is retried.
const DEDUP_WINDOW: Duration = Duration::from_mins(2);
/// How long the marker of an expired key stays in the bucket, so that a watcher that was away still learns of it.
const MARKER_TTL: Duration = Duration::from_mins(5);
/// What comes before the name of a key-value bucket (ADR-8) and of an object store (ADR-20) to name its stream.
const BUCKET_STREAM_PREFIX: &str = "KV_";
const OBJECTS_STREAM_PREFIX: &str = "OBJ_";

/// What is asked of a stream.
pub(super) struct StreamSpec {
    pub(super) name: String,
    subjects: Vec<String>,
    replicas: usize,
    kind: Kind,
}

enum Kind {
    WorkQueue { max_age: Option<Duration>, dedup: Duration },
    Events { max_age: Duration, republish: bool },
    Kept { max_age: Duration },
    Bucket,
    Objects { max_age: Duration },
}

impl StreamSpec {
    pub(super) fn requests(settings: &Settings) -> Self {
        let dedup = Duration::from_secs(settings.requests.dedup_window_seconds);
        let kind = Kind::WorkQueue { max_age: None, dedup };
        Self::new(settings, subjects::REQUESTS_STREAM, plain_and_per_project(subjects::REQUESTED), kind)
    }

    pub(super) fn commands(settings: &Settings) -> Self {
        let kind = Kind::WorkQueue { max_age: Some(COMMANDS_MAX_AGE), dedup: DEDUP_WINDOW };
        Self::new(
            settings,
            subjects::COMMANDS_STREAM,
            plain_and_per_project(subjects::CANCEL_REQUESTED),
            kind,
        )
    }

    pub(super) fn events(settings: &Settings) -> Self {
        let events = &settings.events;
        let kind = Kind::Events { max_age: events.longest_retention(), republish: events.republish };
        Self::new(settings, subjects::EVENTS_STREAM, vec![subjects::EVENTS_FILTER.to_owned()], kind)
    }

    pub(super) fn dead_letters(settings: &Settings) -> Self {
        let kind = Kind::Kept { max_age: Duration::from_secs(settings.events.failed_retention_seconds) };
        Self::new(settings, subjects::DEAD_LETTERS_STREAM, vec![subjects::DEAD_LETTERED.to_owned()], kind)
    }

    pub(super) fn advisories(settings: &Settings) -> Self {
        let kind = Kind::Kept { max_age: Duration::from_secs(settings.events.failed_retention_seconds) };
        Self::new(settings, subjects::ADVISORIES_STREAM, vec![subjects::GIVEN_UP.to_owned()], kind)
    }

    pub(super) fn runs_bucket(settings: &Settings) -> Self {
        Self::bucket(settings, subjects::RUNS_BUCKET)
    }

    pub(super) fn limits_bucket(settings: &Settings) -> Self {
        Self::bucket(settings, subjects::LIMITS_BUCKET)
    }

    fn bucket(settings: &Settings, bucket: &str) -> Self {
        let name = format!("{BUCKET_STREAM_PREFIX}{bucket}");
        Self::new(settings, &name, vec![format!("$KV.{bucket}.>")], Kind::Bucket)
    }

    pub(super) fn transcripts(settings: &Settings) -> Self {
        let max_age = Duration::from_secs(settings.events.failed_retention_seconds);
        Self::objects(settings, subjects::TRANSCRIPTS_BUCKET, max_age)
    }

    pub(super) fn cassettes(settings: &Settings) -> Self {
        let max_age = Duration::from_secs(settings.cassettes.retention_seconds);
        Self::objects(settings, subjects::CASSETTES_BUCKET, max_age)
    }

    pub(super) fn spans(settings: &Settings) -> Self {
        Self::objects(settings, subjects::SPANS_BUCKET, settings.telemetry.spool.retention() + SPOOL_GRACE)
    }

    pub(super) fn spool(settings: &Settings) -> Self {
        let max_age = Some(settings.telemetry.spool.retention() + SPOOL_GRACE);
        let kind = Kind::WorkQueue { max_age, dedup: DEDUP_WINDOW };
        Self::new(settings, subjects::SPOOL_STREAM, vec![format!("{}.*", subjects::SPOOLED)], kind)
    }

    fn objects(settings: &Settings, bucket: &str, max_age: Duration) -> Self {
        let name = format!("{OBJECTS_STREAM_PREFIX}{bucket}");
        let subjects = vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")];
        Self::new(settings, &name, subjects, Kind::Objects { max_age })
    }

    fn new(settings: &Settings, name: &str, subjects: Vec<String>, kind: Kind) -> Self {
        Self { name: name.to_owned(), subjects, replicas: settings.nats.replicas, kind }
    }

    /// `base` with what is asked for in place.
    pub(super) fn over(&self, base: Config) -> Config {
        let base = Config {
            name: self.name.clone(),
            subjects: self.subjects.clone(),
            storage: StorageType::File,
            num_replicas: self.replicas,
            ..base
        };
        match self.kind {
            Kind::WorkQueue { max_age, dedup } => Config {
                retention: RetentionPolicy::WorkQueue,
                max_age: max_age.unwrap_or(base.max_age),
                duplicate_window: dedup,
                ..base
            },
            Kind::Events { max_age, republish } => events_over(base, max_age, republish),
            Kind::Kept { max_age } => kept_over(base, max_age),
            Kind::Bucket => bucket_over(base),
            Kind::Objects { max_age } => objects_over(base, max_age),
        }
    }
}

fn kept_over(base: Config, max_age: Duration) -> Config {
    Config {
        retention: RetentionPolicy::Limits,
        max_age,
        // The server refuses a window longer than the age.
        duplicate_window: DEDUP_WINDOW.min(max_age),
        ..base
    }
}

fn events_over(base: Config, max_age: Duration, republish: bool) -> Config {
    Config {
        allow_direct: true,
        allow_message_ttl: true,
        republish: republish.then(|| Republish {
            source: subjects::EVENTS_FILTER.to_owned(),
            destination: subjects::REPUBLISH_TEMPLATE.to_owned(),
            headers_only: false,
        }),
        ..kept_over(base, max_age)
    }
}

/// What makes a stream a key-value bucket (ADR-8) with per-key TTL and markers of expired keys (ADR-48).
fn bucket_over(base: Config) -> Config {
    Config {
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_messages_per_subject: 1,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        allow_message_ttl: true,
        subject_delete_marker_ttl: Some(MARKER_TTL),
        ..base
    }
}

/// What makes a stream an object store (ADR-20). What a crash leaves behind goes with its age.
fn objects_over(base: Config, max_age: Duration) -> Config {
    Config { discard: DiscardPolicy::New, allow_rollup: true, allow_direct: true, ..kept_over(base, max_age) }
}

fn plain_and_per_project(subject: &str) -> Vec<String> {
    vec![subject.to_owned(), format!("{subject}.*")]
}

/// What is asked of a durable pull consumer.
pub(super) struct ConsumerSpec {
    pub(super) stream: &'static str,
    pub(super) name: String,
    ack_wait: Duration,
    max_ack_pending: i64,
    deliver: DeliverPolicy,
    /// Empty for everything in the stream.
    filter: &'static str,
}

impl ConsumerSpec {
    pub(super) fn requests(settings: &Settings) -> Self {
        let consumer = &settings.consumer;
        Self {
            stream: subjects::REQUESTS_STREAM,
            name: consumer.durable.clone(),
            ack_wait: consumer.ack_wait(),
            max_ack_pending: consumer.max_ack_pending,
            deliver: DeliverPolicy::All,
            filter: "",
        }
    }

    pub(super) fn commands() -> Self {
        Self {
            stream: subjects::COMMANDS_STREAM,
            name: COMMANDS_DURABLE.to_owned(),
            ack_wait: COMMANDS_ACK_WAIT,
            max_ack_pending: COMMANDS_MAX_ACK_PENDING,
            deliver: DeliverPolicy::All,
            filter: "",
        }
    }

    pub(super) fn spool() -> Self {
        Self {
            stream: subjects::SPOOL_STREAM,
            name: SPOOL_DURABLE.to_owned(),
            ack_wait: SPOOL_ACK_WAIT,
            max_ack_pending: SPOOL_MAX_ACK_PENDING,
            deliver: DeliverPolicy::All,
            filter: "",
        }
    }

    /// What was there before anybody could ask for it to be told stays untold.
    pub(super) fn sink(settings: &Settings) -> Self {
        Self {
            stream: subjects::EVENTS_STREAM,
            name: SINK_DURABLE.to_owned(),
            ack_wait: settings.telemetry.sink.hold(),
            max_ack_pending: SINK_MAX_ACK_PENDING,
            deliver: DeliverPolicy::New,
            filter: "",
        }
    }

    /// What was there before is history, too.
    pub(super) fn history() -> Self {
        Self {
            stream: subjects::EVENTS_STREAM,
            name: HISTORY_DURABLE.to_owned(),
            ack_wait: HISTORY_ACK_WAIT,
            max_ack_pending: HISTORY_MAX_ACK_PENDING,
            deliver: DeliverPolicy::All,
            filter: subjects::OUTCOMES_FILTER,
        }
    }

    pub(super) fn advisories() -> Self {
        Self {
            stream: subjects::ADVISORIES_STREAM,
            name: ADVISORIES_DURABLE.to_owned(),
            ack_wait: ADVISORIES_ACK_WAIT,
            max_ack_pending: ADVISORIES_MAX_ACK_PENDING,
            deliver: DeliverPolicy::All,
            filter: "",
        }
    }

    /// `base` with what is asked for in place. There is no backoff: it would replace `ack_wait`.
    pub(super) fn over(&self, base: consumer::Config) -> consumer::Config {
        consumer::Config {
            durable_name: Some(self.name.clone()),
            deliver_subject: None,
            deliver_policy: self.deliver,
            replay_policy: ReplayPolicy::Instant,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            max_deliver: if base.max_deliver == UNSET { MAX_DELIVER } else { base.max_deliver },
            max_ack_pending: self.max_ack_pending,
            max_waiting: MAX_WAITING,
            filter_subject: self.filter.to_owned(),
            filter_subjects: Vec::new(),
            backoff: Vec::new(),
            headers_only: false,
            inactive_threshold: Duration::ZERO,
            ..base
        }
    }
}
