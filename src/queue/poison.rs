//! Messages that the client library cannot read.
//!
//! The server takes any bytes as headers. The library gives up the whole connection where it cannot read them, so
//! nothing behind such a message arrives, and the message itself comes again and again without ever being seen. So
//! after a pull that was cut short, the stream is read through the server's API, which answers in JSON, and what the
//! library cannot read is buried and deleted.

mod headers;

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::RequestError;
use async_nats::jetstream::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::delivery::stored_as;
use super::{Connection, DeadLetters, Original};
use crate::events::DeadLetterCode;
use crate::execution::failure::Unavailable;
use crate::text::chain;

/// Messages that one look reads at most; the next look goes on behind them.
const MOST_READ: usize = 2_048;
/// Messages behind the last delivered one that are read, too: one bad message seldom comes alone, and each costs a
/// connection.
const LOOK_AHEAD: u64 = 1_024;
/// Time for one look.
const LOOK_PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks: the shortest, and the longest, in milliseconds.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 1_000..=1_250;

/// How far a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To the last message that was delivered: a process before this one may have met something.
    Delivered,
    /// Beyond it.
    Ahead,
}

/// Looks for messages of one consumer that cannot be read.
#[derive(Debug)]
pub(super) struct Poison {
    connection: Connection,
    dead_letters: DeadLetters,
    durable: PullConsumer,
    progress: Mutex<Progress>,
}

/// What one look leaves for the next.
#[derive(Debug)]
struct Progress {
    not_before: Instant,
    /// Where a look stopped that was not finished; 0 otherwise.
    resume: u64,
}

/// Why a look was not finished.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("the consumer cannot be looked up")]
    Consumer(#[from] async_nats::jetstream::context::ConsumerInfoError),
    #[error("the stream cannot be read")]
    Request(#[from] RequestError),
    #[error("the stream cannot be read")]
    Refused(#[from] async_nats::jetstream::Error),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A message as the server's API shows it. The client's own type of this name reads the headers.
#[derive(Debug, Deserialize)]
struct Stored {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
struct Found {
    message: Stored,
}

#[derive(Debug, Deserialize)]
struct Deleted {}

/// Asks for the first message at a sequence or behind it.
#[derive(Debug, Serialize)]
struct GetNext {
    seq: u64,
    next_by_subj: &'static str,
}

#[derive(Debug, Serialize)]
struct Delete {
    seq: u64,
    /// Without writing over the bytes on the disk, as an acknowledgement does.
    no_erase: bool,
}

impl Poison {
    pub(super) fn new(connection: &Connection, durable: &PullConsumer) -> Self {
        Self {
            connection: connection.clone(),
            dead_letters: DeadLetters::new(connection),
            durable: durable.clone(),
            progress: Mutex::new(Progress { not_before: Instant::now(), resume: 0 }),
        }
    }

    /// Buries and deletes what cannot be read, after a pause if the last look was not long ago. What goes wrong is tried
    /// again by the next look.
    pub(super) async fn clear(&self, reach: Reach) {
        let mut progress = self.progress.lock().await;
        tokio::time::sleep_until(progress.not_before).await;
        match tokio::time::timeout(LOOK_PATIENCE, self.look(reach, &mut progress.resume)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(error = %chain(&error), "could not look for messages that cannot be read");
            }
            Err(_) => debug!("a look for messages that cannot be read took too long"),
        }
        let pause = Duration::from_millis(rand::rng().random_range(PAUSE_MS));
        progress.not_before = Instant::now() + pause;
    }

    async fn look(&self, reach: Reach, resume: &mut u64) -> Result<(), LookError> {
        let info = self.durable.get_info().await?;
        let delivered = info.delivered.stream_sequence;
        let last = if reach == Reach::Ahead { delivered.saturating_add(LOOK_AHEAD) } else { delivered };
        let mut from = (info.ack_floor.stream_sequence + 1).max(*resume);
        for _ in 0..MOST_READ {
            // No message is asked for behind the last one: at rest, a look costs one question.
            let found = if from > last { None } else { self.next(from).await? };
            let Some(stored) = found.filter(|stored| stored.seq <= last) else {
                *resume = 0;
                return Ok(());
            };
            from = stored.seq + 1;
            if let Some(problem) = problem(&stored) {
                self.bury(&stored, problem, stored.seq <= delivered).await?;
            }
            *resume = from;
        }
        Ok(())
    }

    /// The first message at `seq` or behind it.
    async fn next(&self, seq: u64) -> Result<Option<Stored>, LookError> {
        const NO_MESSAGE: usize = 404;
        let request = GetNext { seq, next_by_subj: ">" };
        let answer = self.connection.jetstream.request(self.subject("GET"), &request).await?;
        match answer {
            Response::Ok(Found { message }) => Ok(Some(message)),
            Response::Err { error } if error.code() == NO_MESSAGE => Ok(None),
            Response::Err { error } => Err(error.into()),
        }
    }

    /// The letter first: a crash in between only repeats it, and so does another worker.
    async fn bury(&self, stored: &Stored, problem: &str, was_delivered: bool) -> Result<(), LookError> {
        let sequence = stored.seq;
        warn!(nats.stream_sequence = sequence, problem, "dead letter: a message cannot be read");
        let payload = STANDARD.decode(&stored.data).unwrap_or_default().into();
        let original = Original {
            subject: &stored.subject,
            headers: &headers::readable(&block(stored)),
            payload: &payload,
            stream_sequence: sequence,
            stored_as: stored_as(sequence, stored.time),
            deliveries: u64::from(was_delivered),
        };
        let reason = format!("the message cannot be read: {problem}");
        self.dead_letters.bury(original, DeadLetterCode::InvalidRequest, reason).await?;
        self.delete(sequence).await
    }

    async fn delete(&self, sequence: u64) -> Result<(), LookError> {
        let request = Delete { seq: sequence, no_erase: true };
        match self.connection.jetstream.request(self.subject("DELETE"), &request).await? {
            Response::Ok(Deleted {}) => {}
            // Another worker was faster, or the next look tries again.
            Response::Err { error } => {
                debug!(nats.stream_sequence = sequence, %error, "a message that cannot be read was not deleted");
            }
        }
        Ok(())
    }

    fn subject(&self, verb: &str) -> String {
        format!("STREAM.MSG.{verb}.{}", self.durable.cached_info().stream_name)
    }
}

fn block(stored: &Stored) -> Vec<u8> {
    STANDARD.decode(&stored.hdrs).unwrap_or_default()
}

/// What the client library cannot read about a message.
fn problem(stored: &Stored) -> Option<&'static str> {
    // The protocol separates its words with spaces, and the library takes any white space for one. In JSON the server
    // replaces what is no UTF-8.
    if stored.subject.contains(|c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER) {
        return Some("its subject has white space or is not UTF-8");
    }
    headers::problem(&block(stored))
}
