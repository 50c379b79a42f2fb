//! One delivery of a message: read, then settled exactly once.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::{Client, HeaderMap, Message, Subject};
use bytes::Bytes;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, warn};

use super::lease::{LeaseMisses, SharedLeaseClock};
use super::retry::Pause;
use super::{Connection, headers, spans};
use crate::events::{InvalidTraceContext, TraceContext, subjects};
use crate::text::cut;

/// Time for the server to confirm one settlement or heartbeat before it is asked again.
pub(super) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest reason that the server is told, in bytes: it goes into an advisory for people.
const MAX_TERM_REASON: usize = 256;

static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

/// Why a settlement is not confirmed. The message comes back after `ack_wait` unless it was settled all the same.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The lease is over, so another worker may have the message; settling it now would be settling theirs.
    #[error("did not {verb} message {sequence}: its lease was over before")]
    LeaseOver {
        /// What was to be done.
        verb: &'static str,
        /// The message's stream sequence.
        sequence: u64,
    },
    /// The server did not confirm while the lease lasted.
    #[error("could not {verb} message {sequence} before its lease was over")]
    Unconfirmed {
        /// What was to be done.
        verb: &'static str,
        /// The message's stream sequence.
        sequence: u64,
        /// The last attempt's error.
        #[source]
        source: async_nats::Error,
    },
}

/// A delivered message. Drop it unsettled and it comes back only after `ack_wait`.
#[must_use = "a delivery that is not settled comes back only after `ack_wait`"]
pub struct Delivery {
    message: Message,
    client: Client,
    reply: Subject,
    stream_sequence: u64,
    deliveries: u64,
    stored_at: OffsetDateTime,
    clock: Arc<SharedLeaseClock>,
    misses: LeaseMisses,
    /// The work on it, once somebody works on it.
    processing: Span,
    settled: bool,
}

impl Delivery {
    /// Reads what the reply subject says; `None` if this is no message of a consumer.
    pub(super) fn new(message: Message, connection: &Connection, ack_wait: Duration) -> Option<Self> {
        let reply = message.reply.clone()?;
        let message = jetstream::Message { message, context: connection.jetstream.clone() };
        let info = message.info().ok()?;
        Some(Self {
            reply,
            client: connection.client.clone(),
            stream_sequence: info.stream_sequence,
            deliveries: u64::try_from(info.delivered).unwrap_or_default(),
            stored_at: info.published,
            clock: Arc::new(SharedLeaseClock::new(ack_wait)),
            misses: connection.lease_misses.clone(),
            processing: Span::none(),
            settled: false,
            message: message.message,
        })
    }

    /// The subject that the message was published on.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// Its bytes.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.message.payload
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.message.headers.as_ref().unwrap_or(&NO_HEADERS)
    }

    /// Where the stream has it.
    #[must_use]
    pub fn stream_sequence(&self) -> u64 {
        self.stream_sequence
    }

    /// How often it was delivered, this time included.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Its `Nats-Msg-Id`, if it has one.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        let id = self.headers().get(subjects::HEADER_MESSAGE_ID)?.as_str();
        (!id.is_empty()).then_some(id)
    }

    /// Names the message for ever, the same on each delivery: its stream sequence and when it was stored. The time is
    /// there because a stream that was deleted and created anew counts from 1 again.
    #[must_use]
    pub fn stored_as(&self) -> String {
        stored_as(self.stream_sequence, self.stored_at)
    }

    /// The trace context of its headers.
    ///
    /// # Errors
    /// [`InvalidTraceContext`] if it is not beyond doubt.
    pub fn trace_context(&self) -> Result<Option<TraceContext>, InvalidTraceContext> {
        headers::trace_context(self.headers())
    }

    /// The message is done with.
    ///
    /// # Errors
    /// [`SettleError`] if the server does not confirm while the lease lasts.
    pub async fn ack(self) -> Result<(), SettleError> {
        self.settle("ack", Bytes::from_static(b"+ACK")).await
    }

    /// Gives the message back, to be delivered again at once or after `delay`. A delayed message keeps its place
    /// among the consumer's `max_ack_pending`.
    ///
    /// # Errors
    /// [`SettleError`] if the server does not confirm while the lease lasts.
    pub async fn nak(self, delay: Option<Duration>) -> Result<(), SettleError> {
        let verdict = match delay {
            None => "-NAK".to_owned(),
            Some(delay) => format!("-NAK {{\"delay\":{}}}", delay.as_nanos()),
        };
        self.settle("nak", verdict.into()).await
    }

    /// The message can never be processed; the server drops it and tells whoever listens to advisories why.
    ///
    /// # Errors
    /// [`SettleError`] if the server does not confirm while the lease lasts.
    pub async fn term(self, reason: &str) -> Result<(), SettleError> {
        let reason = cut(reason, MAX_TERM_REASON).replace(char::is_control, " ");
        self.settle("terminate", format!("+TERM {reason}").into()).await
    }

    /// Leaves the message to whoever has it now: its lease is lost, and settling it would be settling theirs.
    pub fn abandon(mut self) {
        self.settled = true;
    }

    pub(super) fn processed_in(&mut self, span: &Span) {
        self.processing = span.clone();
    }

    /// The work on it, as the worker's traces have it.
    #[must_use]
    pub fn processing(&self) -> &Span {
        &self.processing
    }

    pub(super) fn clock(&self) -> &Arc<SharedLeaseClock> {
        &self.clock
    }

    pub(super) fn misses(&self) -> LeaseMisses {
        self.misses.clone()
    }

    pub(super) fn confirmer(&self) -> Confirmer {
        Confirmer { client: self.client.clone(), reply: self.reply.clone() }
    }

    async fn settle(mut self, verb: &'static str, verdict: Bytes) -> Result<(), SettleError> {
        self.settled = true;
        let span = spans::settle(verb, &self);
        let result = self.insist(verb, verdict).instrument(span.clone()).await;
        spans::settled(&span, &result);
        result
    }

    /// Asks until the server confirms or the lease is over.
    async fn insist(&self, verb: &'static str, verdict: Bytes) -> Result<(), SettleError> {
        let (sequence, confirmer) = (self.stream_sequence, self.confirmer());
        let (mut pause, mut last) = (Pause::default(), None);
        while let Some(left) = self.clock.remaining(Instant::now()) {
            match confirmer.confirm(verdict.clone(), left).await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(pause.next().min(left)).await;
        }
        Err(match last {
            Some(source) => SettleError::Unconfirmed { verb, sequence, source },
            None => SettleError::LeaseOver { verb, sequence },
        })
    }
}

impl fmt::Debug for Delivery {
    /// Without payload and headers, which belong to a tenant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("subject", &self.subject())
            .field("stream_sequence", &self.stream_sequence)
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled {
            warn!(
                nats.stream_sequence = self.stream_sequence,
                "a delivery was dropped without being settled; it comes back after `ack_wait`"
            );
        }
    }
}

/// [`Delivery::stored_as`] of a message that was stored at this sequence and time.
pub(super) fn stored_as(stream_sequence: u64, stored_at: OffsetDateTime) -> String {
    format!("{stream_sequence}@{}", stored_at.unix_timestamp_nanos())
}

/// Asks the server to confirm what it is told about one delivery.
#[derive(Debug, Clone)]
pub(super) struct Confirmer {
    client: Client,
    reply: Subject,
}

impl Confirmer {
    /// Sends `verdict` and waits for the confirmation, at most `patience`.
    ///
    /// It is a request, not an acknowledgement with an inbox: the latter takes the server's "nobody listens" for a yes.
    pub(super) async fn confirm(&self, verdict: Bytes, patience: Duration) -> Result<(), async_nats::Error> {
        let request = self.client.request(self.reply.clone(), verdict);
        tokio::time::timeout(patience.min(CONFIRM_TIMEOUT), request).await??;
        Ok(())
    }
}
