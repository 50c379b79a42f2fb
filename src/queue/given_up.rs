//! Requests that the server delivers no more, because it delivered them too often.
//!
//! They stay in their stream, where nobody sees them. The server says so in an advisory, which a stream keeps until a
//! worker has taken the request out.

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use serde::Deserialize;
use time::OffsetDateTime;
use tracing::warn;

use super::dead_letters::Original;
use super::delivery::stored_as;
use super::{Connection, Consumer, Delivery, Topology, headers};
use crate::events::{RequestIdentity, RequestPayload, RequestRejection, RunRequest, SetId, subjects};
use crate::execution::failure::Unavailable;
use crate::settings::ConsumerSettings;

/// What the server says; the rest of it does not matter.
#[derive(Debug, Deserialize)]
struct Advisory {
    consumer: String,
    stream_seq: u64,
    deliveries: u64,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
}

/// A request that is in its stream and is delivered to nobody.
#[derive(Debug)]
pub struct GivenUpRequest {
    message: StreamMessage,
    deliveries: u64,
}

impl GivenUpRequest {
    /// Where the stream has it.
    #[must_use]
    pub fn stream_sequence(&self) -> u64 {
        self.message.sequence
    }

    /// How often it was delivered.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// The message, to be buried.
    #[must_use]
    pub fn original(&self) -> Original<'_> {
        Original {
            subject: &self.message.subject,
            headers: &self.message.headers,
            payload: &self.message.payload,
            stream_sequence: self.message.sequence,
            stored_as: stored_as(self.message.sequence, self.message.time),
            deliveries: self.deliveries,
        }
    }

    /// The request as every delivery of it was read.
    ///
    /// # Errors
    /// [`RequestRejection`] if it can never be run.
    pub fn request(&self, default_set: &SetId) -> Result<RunRequest, RequestRejection> {
        let stored_as = stored_as(self.message.sequence, self.message.time);
        let id = self.message.headers.get(subjects::HEADER_MESSAGE_ID).map(async_nats::HeaderValue::as_str);
        let identity = RequestIdentity {
            subject: &self.message.subject,
            message_id: id.filter(|id| !id.is_empty()),
            stored_as: &stored_as,
            trace_context: headers::trace_context(&self.message.headers).ok().flatten(),
        };
        RequestPayload::decode(&self.message.payload)?.resolve(identity, default_set)
    }
}

/// The requests that the server gave up, one advisory each.
#[derive(Debug, Clone)]
pub struct GivenUpRequests {
    advisories: Consumer,
    requests: Stream,
    consumer: PullConsumer,
}

impl GivenUpRequests {
    /// Over the streams of `topology`.
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology, settings: &ConsumerSettings) -> Self {
        Self {
            advisories: Consumer::new(connection, &topology.advisories, settings.pull_expires()),
            requests: topology.requests_stream.clone(),
            consumer: topology.requests.clone(),
        }
    }

    /// Where the advisories come from.
    #[must_use]
    pub fn advisories(&self) -> &Consumer {
        &self.advisories
    }

    /// The request that `advisory` is about. `None` if it is gone already, or delivered again.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer.
    pub async fn find(&self, advisory: &Delivery) -> Result<Option<GivenUpRequest>, Unavailable> {
        let sequence = advisory.stream_sequence();
        let Some(advisory) = read(advisory) else { return Ok(None) };
        if self.is_void(&advisory).await? {
            return Ok(None);
        }
        match self.requests.get_raw_message(advisory.stream_seq).await {
            Ok(message) => Ok(Some(GivenUpRequest { message, deliveries: advisory.deliveries })),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => {
                let attempted = format!("reading the request that the advisory at {sequence} is about");
                Err(Unavailable::new(attempted, error))
            }
        }
    }

    /// A consumer that was created after the advisory delivers every message again; and where the stream was created
    /// anew, the sequence is another message's.
    async fn is_void(&self, advisory: &Advisory) -> Result<bool, Unavailable> {
        let info = self.consumer.get_info().await;
        let info =
            info.map_err(|error| Unavailable::new("looking up the consumer of the requests", error))?;
        Ok(info.name != advisory.consumer || info.created > advisory.timestamp)
    }

    /// Takes the request out of its stream. One that is gone already is fine.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer or refuses.
    pub async fn remove(&self, request: &GivenUpRequest) -> Result<(), Unavailable> {
        let sequence = request.stream_sequence();
        let Err(error) = self.requests.delete_message(sequence).await else { return Ok(()) };
        match self.requests.get_raw_message(sequence).await {
            Err(gone) if gone.kind() == RawMessageErrorKind::NoMessageFound => Ok(()),
            _ => Err(Unavailable::new(format!("deleting request {sequence} from its stream"), error)),
        }
    }
}

/// Only the server writes advisories, so what cannot be read is nobody's request.
fn read(delivery: &Delivery) -> Option<Advisory> {
    serde_json::from_slice(delivery.payload())
        .inspect_err(|error| {
            let sequence = delivery.stream_sequence();
            warn!(sequence, %error, "an advisory cannot be read and is dropped");
        })
        .ok()
}
