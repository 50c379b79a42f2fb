//! Burying a message: it is kept with its reason and its bytes.

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use time::OffsetDateTime;

use crate::events::{DeadLetter, DeadLetterCode, PayloadObject, subjects};
use crate::execution::failure::Unavailable;
use crate::queue::objects::{Objects, digest};
use crate::queue::publish::publish;
use crate::queue::{Connection, Delivery, headers};
use crate::text::cut;

/// Where the bytes do not fit, this part of what the server takes is kept of them in the letter itself: base64 makes
/// four bytes of three, and headers and reason need room, too.
const KEPT_PART: usize = 4;
/// Headers together may take one in this many of the bytes that the server takes, before they are cut.
const HEADERS_PART: usize = 4;
/// Headers that are kept where they do not fit as they were, and bytes of each of their names and values.
const KEPT_HEADERS: usize = 64;
const KEPT_HEADER_BYTES: usize = 256;
/// What the names of objects with the bytes of dead letters begin with; no project has it in its id.
const OBJECT_PREFIX: &str = "dead-letter:";

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
                let most = self.connection.max_payload();
                shorten_headers(&mut letter, most / HEADERS_PART);
                // On the heap: it is rare and large.
                Box::pin(self.put_aside(&mut letter, &original, most / KEPT_PART)).await?;
                self.publish(&original, &letter).await?
            }
            buried => buried,
        };
        buried.map_err(|error| unavailable(&original, error))?;
        self.connection.burials.add(code);
        Ok(())
    }

    /// All of the bytes become an object, if they are more than `most`; the letter keeps their beginning.
    async fn put_aside(
        &self,
        letter: &mut DeadLetter,
        original: &Original<'_>,
        most: usize,
    ) -> Result<(), Unavailable> {
        let payload = original.payload;
        if payload.len() <= most {
            return Ok(());
        }
        // Burying again writes the same once more; another letter of the same bytes has an object of its own, so that each
        // can be deleted with its letter.
        let (sha256, bytes) = (digest(payload), payload.len());
        let name = format!("{OBJECT_PREFIX}{}:{sha256}", original.stored_as);
        open_objects(&self.connection).await?.put(&name, payload).await?;
        letter.payload = STANDARD.encode(&payload[..most]);
        letter.payload_truncated = true;
        letter.reason =
            format!("{} (of {bytes} bytes only {most} are in this letter, all in an object)", letter.reason);
        let bucket = subjects::TRANSCRIPTS_BUCKET.to_owned();
        letter.payload_object = Some(PayloadObject { bucket, name, bytes, sha256 });
        Ok(())
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
        payload_object: None,
        headers_truncated: false,
        stream_sequence: original.stream_sequence,
        deliveries: original.deliveries,
        at: OffsetDateTime::now_utc(),
    }
}

/// The store of the bytes that do not fit into letters. It is needed so seldom that it is looked up each time.
pub(super) async fn open_objects(connection: &Connection) -> Result<Objects, Unavailable> {
    let bucket = subjects::TRANSCRIPTS_BUCKET;
    let store = connection.jetstream.get_object_store(bucket).await;
    let store =
        store.map_err(|error| Unavailable::new(format!("opening the object store {bucket}"), error))?;
    Ok(Objects::new(connection, &store))
}

/// Headers that are larger than `most` bytes as JSON do not fit; the beginnings of the first ones have to do.
fn shorten_headers(letter: &mut DeadLetter, most: usize) {
    // JSON may write a byte as six.
    if serde_json::to_vec(&letter.headers).is_ok_and(|json| json.len() <= most) {
        return;
    }
    let count = letter.headers.len();
    let kept = std::mem::take(&mut letter.headers).into_iter().take(KEPT_HEADERS);
    letter.headers = kept
        .map(|(name, values)| (short(&name), values.first().map(|v| short(v)).into_iter().collect()))
        .collect();
    letter.headers_truncated = true;
    letter.reason = format!("{} (its {count} headers are cut)", letter.reason);
}

fn short(text: &str) -> String {
    cut(text, KEPT_HEADER_BYTES)
}

fn unavailable(
    original: &Original<'_>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Unavailable {
    Unavailable::new(format!("storing message {} as a dead letter", original.stream_sequence), source)
}
