//! Streams, consumers and buckets: created or updated, then compared with what the server says it has.
//!
//! Only the fields that this program asks for are touched and compared; limits that an operator sets besides stay.

mod apply;
mod definition;
mod drift;
mod passing;
mod spec;

use std::fmt;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::object_store::ObjectStore;
use async_nats::jetstream::{kv, stream};

use super::Connection;
use crate::events::subjects;
use crate::settings::Settings;
use apply::Applier;
pub(super) use definition::ConsumerDefinition;
pub use drift::{Difference, Differences};
pub(super) use spec::SPOOL_GRACE;
pub use spec::{
    ADVISORIES_DURABLE, COMMANDS_DURABLE, HISTORY_DURABLE, MAX_DELIVER, SINK_DURABLE, SPOOL_DURABLE,
};
use spec::{ConsumerSpec, StreamSpec};

/// What the program needs of JetStream, checked.
#[derive(Clone)]
pub struct Topology {
    /// The consumer group on the requests.
    pub requests: PullConsumer,
    /// The stream of the requests.
    pub requests_stream: stream::Stream,
    /// The durable consumer on what the server says about requests that it gave up.
    pub advisories: PullConsumer,
    /// The durable consumer on the cancel requests.
    pub commands: PullConsumer,
    /// The stream of what runs report.
    pub events: stream::Stream,
    /// Run states and cancel marks.
    pub runs: kv::Store,
    /// What workers agree on about limits of calls.
    pub limits: kv::Store,
    /// Transcripts that are too large for a run state.
    pub transcripts: ObjectStore,
    /// Cassettes.
    pub cassettes: ObjectStore,
    /// Spans that their endpoints have not taken.
    pub spans: ObjectStore,
    /// The stream behind [`Topology::spans`].
    pub spans_stream: stream::Stream,
    /// The durable consumer on the notices of such spans.
    pub spooled: PullConsumer,
    /// The durable consumer on the events, for platforms that are told of them.
    pub told: PullConsumer,
    /// The durable consumer on the outcomes, for the history.
    pub recorded: PullConsumer,
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology").finish_non_exhaustive()
    }
}

/// Why the topology is not as needed.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Something is not there, and this program may not create it.
    #[error("{what} is missing and `nats.manage_topology` is false: create it, or let the worker do it")]
    Missing {
        /// The stream or consumer.
        what: String,
    },
    /// Something is defined otherwise than needed.
    #[error("{what} is defined otherwise than needed: {differences}; change the definition or the settings")]
    Drift {
        /// The stream or consumer.
        what: String,
        /// Field by field.
        differences: Differences,
    },
    /// The server does not take the definition.
    #[error(
        "the server refuses to define {what} ({differences}): {source}; what cannot be changed has to be deleted and created anew"
    )]
    Refused {
        /// The stream or consumer.
        what: String,
        /// What would have changed, field by field.
        differences: Differences,
        /// What the server says.
        source: async_nats::Error,
    },
    /// The server does not answer, or has no JetStream for this account.
    #[error("looking up {what} failed: is JetStream enabled for this account, and may this user read it?")]
    Unreadable {
        /// The stream or consumer.
        what: String,
        /// What the client says.
        source: async_nats::Error,
    },
}

impl TopologyError {
    /// Whether it may go better in a moment: JetStream did not answer, or has no leader at present.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Drift { .. } => false,
            Self::Refused { source, .. } => passing::write_may_pass(source),
            Self::Unreadable { source, .. } => passing::read_may_pass(source),
        }
    }

    /// Whether the stream of a consumer does not exist.
    pub(super) fn is_without_stream(&self) -> bool {
        let Self::Unreadable { source, .. } = self else { return false };
        let error = source.downcast_ref::<ConsumerInfoError>().map(ConsumerInfoError::kind);
        error == Some(ConsumerInfoErrorKind::StreamNotFound)
    }
}

/// Streams that are only brought about: nothing refers to them, or only by name.
const UNREFERRED: [fn(&Settings) -> StreamSpec; 8] = [
    StreamSpec::commands,
    StreamSpec::dead_letters,
    StreamSpec::advisories,
    StreamSpec::runs_bucket,
    StreamSpec::limits_bucket,
    StreamSpec::transcripts,
    StreamSpec::cassettes,
    StreamSpec::spool,
];

/// Brings the topology about, or only checks it if `nats.manage_topology` is false.
///
/// # Errors
/// [`TopologyError`] that names the stream or consumer, the field, what is expected and what was found.
pub async fn ensure(connection: &Connection, settings: &Settings) -> Result<Topology, TopologyError> {
    // On the heap: the steps together are a large future.
    Box::pin(apply_all(connection, settings)).await
}

#[expect(clippy::too_many_lines, reason = "one line a stream, consumer or bucket")]
async fn apply_all(connection: &Connection, settings: &Settings) -> Result<Topology, TopologyError> {
    let applier = Applier::new(connection, settings.nats.manage_topology);
    let requests_stream = applier.stream(&StreamSpec::requests(settings)).await?;
    for spec in UNREFERRED {
        applier.stream(&spec(settings)).await?;
    }
    let spans_stream = applier.stream(&StreamSpec::spans(settings)).await?;
    Ok(Topology {
        events: applier.stream(&StreamSpec::events(settings)).await?,
        requests: applier.consumer(&ConsumerSpec::requests(settings)).await?,
        advisories: applier.consumer(&ConsumerSpec::advisories()).await?,
        requests_stream,
        commands: applier.consumer(&ConsumerSpec::commands()).await?,
        runs: bucket(connection, subjects::RUNS_BUCKET).await?,
        limits: bucket(connection, subjects::LIMITS_BUCKET).await?,
        transcripts: objects(connection, subjects::TRANSCRIPTS_BUCKET).await?,
        cassettes: objects(connection, subjects::CASSETTES_BUCKET).await?,
        spans: objects(connection, subjects::SPANS_BUCKET).await?,
        spans_stream,
        spooled: applier.consumer(&ConsumerSpec::spool()).await?,
        // Behind the stream of the events, which is applied first.
        told: applier.consumer(&ConsumerSpec::sink(settings)).await?,
        recorded: applier.consumer(&ConsumerSpec::history()).await?,
    })
}

/// A key-value bucket.
///
/// # Errors
/// [`TopologyError`] if it is not there, or the server does not answer.
pub async fn bucket(connection: &Connection, bucket: &str) -> Result<kv::Store, TopologyError> {
    connection.jetstream.get_key_value(bucket).await.map_err(|error| {
        let what = format!("bucket {bucket}");
        TopologyError::Unreadable { what, source: Box::new(error) }
    })
}

async fn objects(connection: &Connection, bucket: &str) -> Result<ObjectStore, TopologyError> {
    connection.jetstream.get_object_store(bucket).await.map_err(|error| {
        let what = format!("object store {bucket}");
        TopologyError::Unreadable { what, source: Box::new(error) }
    })
}
