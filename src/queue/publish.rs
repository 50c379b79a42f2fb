//! One publish into a stream, confirmed by it.

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{Context, Error, ErrorCode};
use bytes::Bytes;

use super::retry::{Next, WRITE_PATIENCE, retry};

/// Publishes until the stream confirms, refuses, or patience is over. A retry may meet its own first write, so the
/// message has to say what makes it harmless: an id, or an expected revision.
pub(super) async fn publish(
    jetstream: &Context,
    subject: &str,
    headers: &HeaderMap,
    payload: &Bytes,
) -> Result<PublishAck, PublishError> {
    retry(WRITE_PATIENCE, judge, || async {
        jetstream.publish_with_headers(subject.to_owned(), headers.clone(), payload.clone()).await?.await
    })
    .await
}

/// Whether a failed publish may go better next time. What the stream itself refuses stays refused, except where
/// another write is under way: that one decides.
fn judge(error: &PublishError) -> Next {
    match error.kind() {
        PublishErrorKind::WrongLastSequence
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::MaxPayloadExceeded => Next::Stop,
        PublishErrorKind::Other => match refusal(error) {
            Some(refusal) if !is_passing(refusal) => Next::Stop,
            _ => Next::Again,
        },
        PublishErrorKind::StreamNotFound
        | PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending => Next::Again,
    }
}

fn refusal(error: &PublishError) -> Option<&Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// The server's own troubles (5xx) pass, and so does a write under way.
fn is_passing(error: &Error) -> bool {
    const SERVER_TROUBLE: usize = 500;
    error.code() >= SERVER_TROUBLE || error.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
}
