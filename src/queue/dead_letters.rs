//! Messages that can never be run: kept with their reason and their bytes.

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use time::OffsetDateTime;

use super::publish::publish;
use super::{Connection, Delivery, headers};
use crate::events::{DeadLetter, DeadLetterCode, subjects};
use crate::execution::failure::Unavailable;

/// Where the bytes do not fit, this part of what the server takes is kept of them: base64 makes four bytes of three.
const KEPT_PART: usize = 2;

/// Buries messages.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    connection: Connection,
}

impl DeadLetters {
    /// Buries in the stream behind `connection`.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self { connection: connection.clone() }
    }

    /// Stores `delivery` with its reason. The delivery still has to be terminated. Burying it again, after a crash,
    /// adds nothing.
    ///
    /// # Errors
    /// [`Unavailable`] if the stream does not have it after all retries.
    pub async fn bury(
        &self,
        delivery: &Delivery,
        code: DeadLetterCode,
        reason: impl Into<String>,
    ) -> Result<(), Unavailable> {
        let mut letter = letter(delivery, code, reason.into());
        let buried = match self.publish(delivery, &letter).await? {
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                shorten(&mut letter, delivery.payload(), self.connection.max_payload());
                self.publish(delivery, &letter).await?
            }
            buried => buried,
        };
        buried.map_err(|error| unavailable(delivery, error))
    }

    async fn publish(
        &self,
        delivery: &Delivery,
        letter: &DeadLetter,
    ) -> Result<Result<(), PublishError>, Unavailable> {
        let payload: Bytes = serde_json::to_vec(letter).map_err(|error| unavailable(delivery, error))?.into();
        let mut headers = HeaderMap::new();
        let id = format!("{}:{}", delivery.subject(), delivery.stored_as());
        headers.insert(subjects::HEADER_MESSAGE_ID, id);
        headers.insert(subjects::HEADER_CONTENT_TYPE, subjects::CONTENT_TYPE_JSON);
        let jetstream = &self.connection.jetstream;
        Ok(publish(jetstream, subjects::DEAD_LETTERED, &headers, &payload).await.map(drop))
    }
}

fn letter(delivery: &Delivery, code: DeadLetterCode, reason: String) -> DeadLetter {
    DeadLetter {
        code,
        reason,
        subject: delivery.subject().to_owned(),
        headers: headers::to_map(delivery.headers()),
        payload: STANDARD.encode(delivery.payload()),
        stream_sequence: delivery.stream_sequence(),
        deliveries: delivery.deliveries(),
        at: OffsetDateTime::now_utc(),
    }
}

/// A message near the server's limit does not fit as base64; its beginning has to do, and the reason says so.
fn shorten(letter: &mut DeadLetter, payload: &Bytes, max_payload: usize) {
    let kept = payload.len().min(max_payload / KEPT_PART);
    letter.payload = STANDARD.encode(&payload[..kept]);
    letter.reason = format!(
        "{} (only the first {kept} of {} bytes of the payload are kept)",
        letter.reason,
        payload.len()
    );
}

fn unavailable(
    delivery: &Delivery,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Unavailable {
    let attempted = format!("storing message {} as a dead letter", delivery.stream_sequence());
    Unavailable::new(attempted, source)
}
