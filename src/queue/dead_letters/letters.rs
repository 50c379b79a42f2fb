//! Reading dead letters, and taking them out of their stream.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use time::OffsetDateTime;

use super::bury::open_objects;
use crate::events::{DeadLetter, ProjectId, subjects};
use crate::execution::failure::Unavailable;
use crate::queue::Connection;

/// Why a dead letter cannot be had, redriven or discarded.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// No worker has created the stream yet.
    #[error("there is no stream {} yet; a worker creates it when it starts", subjects::DEAD_LETTERS_STREAM)]
    NoStream,
    /// There is no such letter.
    #[error("there is no dead letter {sequence}; it expired, or somebody redrove or discarded it")]
    Missing {
        /// What was asked for.
        sequence: u64,
    },
    /// The letter itself is broken.
    #[error("dead letter {sequence} cannot be read: {problem}; it can only be discarded")]
    Unreadable {
        /// The letter.
        sequence: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The letter has only a part of its message.
    #[error(
        "dead letter {sequence} cannot be redriven: its message was too large to be kept whole, and only its beginning is left; \
         publish the message again and discard the letter"
    )]
    Truncated {
        /// The letter.
        sequence: u64,
    },
    /// The letter's message came from a subject that is none of this program's.
    #[error(
        "dead letter {sequence} cannot be redriven: '{subject}' is no subject of requests or cancel requests"
    )]
    ForeignSubject {
        /// The letter.
        sequence: u64,
        /// The subject.
        subject: String,
    },
    /// The stream of the original subject does not take the message.
    #[error(
        "dead letter {sequence} cannot be redriven: the stream of '{subject}' refuses the message: {reason}"
    )]
    Refused {
        /// The letter.
        sequence: u64,
        /// The original subject.
        subject: String,
        /// What the server says.
        reason: String,
    },
    /// The broker does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A dead letter in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its name: where the stream has it.
    pub sequence: u64,
    /// When the stream stored it.
    pub stored_at: OffsetDateTime,
    /// What it says, or why it cannot be read.
    pub content: Result<DeadLetter, String>,
}

impl Letter {
    fn read(message: &StreamMessage) -> Self {
        let content = serde_json::from_slice(&message.payload).map_err(|error| error.to_string());
        Self { sequence: message.sequence, stored_at: message.time, content }
    }

    /// What it says.
    ///
    /// # Errors
    /// [`LetterError::Unreadable`] if it is broken.
    pub fn letter(&self) -> Result<&DeadLetter, LetterError> {
        self.content.as_ref().map_err(|problem| self.unreadable(problem.clone()))
    }

    /// The bytes of the message, as far as they are kept.
    ///
    /// # Errors
    /// [`LetterError::Unreadable`] if the letter is broken.
    pub fn bytes(&self) -> Result<Bytes, LetterError> {
        let decoded = STANDARD.decode(&self.letter()?.payload);
        decoded.map(Bytes::from).map_err(|error| self.unreadable(format!("`payload` is no base64: {error}")))
    }

    /// The project of the message, where its subject or its payload names one.
    #[must_use]
    pub fn project(&self) -> Option<ProjectId> {
        /// The one field that is looked for; all else may be wrong.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Named {
            project_id: ProjectId,
        }
        let subject = self.content.as_ref().ok()?.subject.as_str();
        if let Some(run) = subjects::event_run(subject) {
            return Some(run.project);
        }
        match subjects::request_project(subject).or_else(|| subjects::cancel_project(subject)) {
            Some(token) => ProjectId::parse(token).ok(),
            None => Some(serde_json::from_slice::<Named>(&self.bytes().ok()?).ok()?.project_id),
        }
    }

    fn unreadable(&self, problem: String) -> LetterError {
        LetterError::Unreadable { sequence: self.sequence, problem }
    }
}

/// The dead letters that the stream has.
#[derive(Debug, Clone)]
pub struct Letters {
    pub(super) connection: Connection,
    stream: Stream,
}

impl Letters {
    /// The letters that are there now.
    ///
    /// # Errors
    /// [`LetterError::NoStream`] if there is no stream of dead letters, [`LetterError::Unavailable`] if the broker does
    /// not answer.
    pub async fn open(connection: &Connection) -> Result<Self, LetterError> {
        let name = subjects::DEAD_LETTERS_STREAM;
        match connection.jetstream.get_stream(name).await {
            Ok(stream) => Ok(Self { connection: connection.clone(), stream }),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Err(LetterError::NoStream)
                }
                _ => Err(Unavailable::new(format!("looking up the stream {name}"), error).into()),
            },
        }
    }

    /// The letter with this sequence.
    ///
    /// # Errors
    /// [`LetterError::Missing`] if there is none, [`LetterError::Unavailable`] if the broker does not answer.
    pub async fn get(&self, sequence: u64) -> Result<Letter, LetterError> {
        match self.stream.get_raw_message(sequence).await {
            Ok(message) => Ok(Letter::read(&message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                Err(LetterError::Missing { sequence })
            }
            Err(error) => Err(Unavailable::new(format!("reading dead letter {sequence}"), error).into()),
        }
    }

    /// The first letter at `from` or behind it, of those that were there at [`Letters::open`]: what is redriven and
    /// fails again is not met a second time.
    ///
    /// # Errors
    /// [`LetterError::Unavailable`] if the broker does not answer.
    pub async fn next(&self, from: u64) -> Result<Option<Letter>, LetterError> {
        let last = self.stream.cached_info().state.last_sequence;
        if from > last {
            return Ok(None);
        }
        match self.stream.get_first_raw_message_by_subject(subjects::DEAD_LETTERED, from).await {
            Ok(message) => Ok(Some(Letter::read(&message)).filter(|letter| letter.sequence <= last)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(Unavailable::new(format!("reading dead letters from {from} on"), error).into()),
        }
    }

    /// Deletes the letter and the bytes that were put aside for it. The bytes go first: what is cut short can be repeated.
    ///
    /// # Errors
    /// As [`Letters::get`].
    pub async fn discard(&self, letter: &Letter) -> Result<(), LetterError> {
        self.delete_object(letter).await?;
        self.delete(letter.sequence).await
    }

    /// Deletes the bytes that were put aside for the letter, if any were.
    pub(super) async fn delete_object(&self, letter: &Letter) -> Result<(), Unavailable> {
        match letter.content.as_ref().ok().and_then(|content| content.payload_object.as_ref()) {
            Some(object) => open_objects(&self.connection).await?.delete(&object.name).await,
            None => Ok(()),
        }
    }

    pub(super) async fn delete(&self, sequence: u64) -> Result<(), LetterError> {
        let Err(error) = self.stream.delete_message(sequence).await else { return Ok(()) };
        // The server's answer does not tell a letter that is gone from one that cannot be deleted.
        self.get(sequence).await?;
        Err(Unavailable::new(format!("deleting dead letter {sequence}"), error).into())
    }
}
