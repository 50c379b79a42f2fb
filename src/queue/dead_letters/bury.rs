//! Burying a message: it is kept with its reason and its bytes.

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use time::OffsetDateTime;

use crate::events::{DeadLetter, DeadLetterCode, subjects};
use crate::execution::failure::Unavailable;
use crate::queue::publish::publish;
use crate::queue::{Connection, Delivery, headers};

/// Where the bytes do not fit, this part of what the server takes is kept of them: base64 makes four bytes of three.
const KEPT_PART: usize = 2;

/// The message that is buried.
#[derive(Debug, Clone)]
pub struct Original<'a> {
    /// The subject that it was published on.
    pub subject: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its bytes.
    pub payload: &'a Bytes,
    /// Where its stream has it.
    pub stream_sequence: u64,
    /// Names it for ever: [`Delivery::stored_as`].
    pub stored_as: String,
    /// How often it was delivered.
    pub deliveries: u64,
}

impl<'a> From<&'a Delivery> for Original<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        Self {
            subject: delivery.subject(),
            headers: delivery.headers(),
            payload: delivery.payload(),
            stream_sequence: delivery.stream_sequence(),
            stored_as: delivery.stored_as(),
            deliveries: delivery.deliveries(),
        }
    }
}

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

    /// Stores `original` with its reason. It still has to be taken out of its own stream. Burying it again, after a
    /// crash, adds nothing.
    ///
    /// # Errors
    /// [`Unavailable`] if the stream does not have it after all retries.
    pub async fn bury(
        &self,
        original: impl Into<Original<'_>>,
        code: DeadLetterCode,
        reason: impl Into<String>,
    ) -> Result<(), Unavailable> {
        let original = original.into();
        let mut letter = letter(&original, code, reason.into());
        let buried = match self.publish(&original, &letter).await? {
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                shorten(&mut letter, original.payload, self.connection.max_payload());
                self.publish(&original, &letter).await?
            }
            buried => buried,
        };
        buried.map_err(|error| unavailable(&original, error))
    }

    async fn publish(
        &self,
        original: &Original<'_>,
        letter: &DeadLetter,
    ) -> Result<Result<(), PublishError>, Unavailable> {
        let payload: Bytes = serde_json::to_vec(letter).map_err(|error| unavailable(original, error))?.into();
        let mut headers = HeaderMap::new();
        let id = format!("{}:{}", original.subject, original.stored_as);
        headers.insert(subjects::HEADER_MESSAGE_ID, id);
        headers.insert(subjects::HEADER_CONTENT_TYPE, subjects::CONTENT_TYPE_JSON);
        let jetstream = &self.connection.jetstream;
        Ok(publish(jetstream, subjects::DEAD_LETTERED, &headers, &payload).await.map(drop))
    }
}

fn letter(original: &Original<'_>, code: DeadLetterCode, reason: String) -> DeadLetter {
    DeadLetter {
        code,
        reason,
        subject: original.subject.to_owned(),
        headers: headers::to_map(original.headers),
        payload: STANDARD.encode(original.payload),
        payload_truncated: false,
        stream_sequence: original.stream_sequence,
        deliveries: original.deliveries,
        at: OffsetDateTime::now_utc(),
    }
}

/// A message near the server's limit does not fit as base64; its beginning has to do, and the letter says so.
fn shorten(letter: &mut DeadLetter, payload: &Bytes, max_payload: usize) {
    let kept = payload.len().min(max_payload / KEPT_PART);
    letter.payload = STANDARD.encode(&payload[..kept]);
    letter.payload_truncated = true;
    letter.reason = format!(
        "{} (only the first {kept} of {} bytes of the payload are kept)",
        letter.reason,
        payload.len()
    );
}

fn unavailable(
    original: &Original<'_>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Unavailable {
    Unavailable::new(format!("storing message {} as a dead letter", original.stream_sequence), source)
}
