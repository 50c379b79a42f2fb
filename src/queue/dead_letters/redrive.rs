//! Redriving: the message goes back to where it came from.

use async_nats::header::{HeaderName, HeaderValue};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use tracing::warn;

use super::bury::open_objects;
use super::{Letter, LetterError, Letters};
use crate::events::{DeadLetter, subjects};
use crate::execution::failure::Unavailable;
use crate::queue::objects::digest;
use crate::queue::publish::publish;
use crate::text::chain;

/// Beginning of the headers that tell the server what to do. They were obeyed when the message came first; an
/// expected sequence of then, for one, could not hold now.
const SERVER_HEADERS: &str = "Nats-";

/// A message that is in its stream again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redriven {
    /// The stream.
    pub stream: String,
    /// Where the stream has it.
    pub sequence: u64,
    /// The stream had it already: an earlier redrive was cut short before it deleted the letter.
    pub duplicate: bool,
    /// How much of its headers it has.
    pub headers: Room,
}

/// How many headers there is room for beside the bytes of a message: the server limits both together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// For the original ones and the new ones.
    All,
    /// For the new message id.
    IdOnly,
    /// For none.
    None,
}

impl Room {
    /// The roomiest first.
    const ALL: [Self; 3] = [Self::All, Self::IdOnly, Self::None];
}

impl Letters {
    /// Publishes the letter's message on its original subject, with its bytes and headers, and deletes the letter once
    /// the stream has the message. Headers are left out where there is no room for them, see [`Redriven::headers`].
    ///
    /// Its new `Nats-Msg-Id` is made of the letter's sequence and time. So a letter that is redriven twice, because of
    /// a crash before it was deleted, is one message inside the stream's deduplication window, and one run behind it:
    /// run ids follow from message ids, and a run belongs to its first request. A message that fills all that the server
    /// takes has no room for an id. It is published once, without one: who redrives it again after a crash may get a
    /// second message.
    ///
    /// # Errors
    /// [`LetterError`] that names the letter and says why; it is still there then.
    pub async fn redrive(&self, letter: &Letter) -> Result<Redriven, LetterError> {
        let original = letter.letter()?;
        check(letter.sequence, original)?;
        let payload = self.all_bytes(letter, original).await?;
        let (ack, headers) = self.publish(letter, original, &payload).await?;
        match self.delete(letter.sequence).await {
            Ok(()) | Err(LetterError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Err(error) = self.delete_object(letter).await {
            warn!(letter = letter.sequence, error = %chain(&error), "the bytes of a dead letter that was redriven stay until they expire");
        }
        Ok(Redriven { stream: ack.stream, sequence: ack.sequence, duplicate: ack.duplicate, headers })
    }

    /// Publishes with as many headers as there is room for.
    async fn publish(
        &self,
        letter: &Letter,
        original: &DeadLetter,
        payload: &Bytes,
    ) -> Result<(PublishAck, Room), LetterError> {
        let (jetstream, subject) = (&self.connection.jetstream, &original.subject);
        let mut last = None;
        for room in Room::ALL {
            let headers = headers(letter, original, room)?;
            let published = match room {
                Room::All | Room::IdOnly => publish(jetstream, subject, &headers, payload).await,
                // Nothing would make a repetition harmless.
                Room::None => publish_once(jetstream, subject, payload).await,
            };
            match published {
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => last = Some(error),
                Err(error) => return Err(refused(letter.sequence, original, error)),
                Ok(ack) => return Ok((ack, room)),
            }
        }
        Err(match last {
            Some(error) => refused(letter.sequence, original, error),
            None => LetterError::Truncated { sequence: letter.sequence },
        })
    }
}

async fn publish_once(
    jetstream: &Context,
    subject: &str,
    payload: &Bytes,
) -> Result<PublishAck, PublishError> {
    jetstream.publish(subject.to_owned(), payload.clone()).await?.await
}

impl Letters {
    /// The bytes of the message, from the letter or from where they were put aside.
    async fn all_bytes(&self, letter: &Letter, original: &DeadLetter) -> Result<Bytes, LetterError> {
        let Some(object) = &original.payload_object else { return letter.bytes() };
        match open_objects(&self.connection).await?.get(&object.name).await? {
            Some(bytes) if digest(&bytes) == object.sha256 => Ok(bytes.into()),
            _ => Err(LetterError::Truncated { sequence: letter.sequence }),
        }
    }
}

fn check(sequence: u64, letter: &DeadLetter) -> Result<(), LetterError> {
    let subject = letter.subject.as_str();
    let is_own = |plain: &str, project: Option<&str>| subject == plain || project.is_some();
    if !is_own(subjects::REQUESTED, subjects::request_project(subject))
        && !is_own(subjects::CANCEL_REQUESTED, subjects::cancel_project(subject))
    {
        return Err(LetterError::ForeignSubject { sequence, subject: subject.to_owned() });
    }
    let is_whole = !letter.payload_truncated || letter.payload_object.is_some();
    if letter.headers_truncated || !is_whole { Err(LetterError::Truncated { sequence }) } else { Ok(()) }
}

/// The original headers, a fresh message id, and where the message comes from, as far as there is room.
fn headers(letter: &Letter, original: &DeadLetter, room: Room) -> Result<HeaderMap, LetterError> {
    let mut headers = HeaderMap::new();
    if room != Room::None {
        headers.insert(subjects::HEADER_MESSAGE_ID, message_id(letter));
    }
    if room != Room::All {
        return Ok(headers);
    }
    let kept = original.headers.iter().filter(|(name, _)| !name.starts_with(SERVER_HEADERS));
    for (name, values) in kept {
        let broken = || LetterError::Unreadable {
            sequence: letter.sequence,
            problem: format!("its header '{}' is no header", name.escape_default()),
        };
        for value in values {
            let name: HeaderName = name.parse().map_err(|_| broken())?;
            headers.append(name, value.parse::<HeaderValue>().map_err(|_| broken())?);
        }
    }
    headers.insert(subjects::HEADER_REDRIVEN_FROM, letter.sequence.to_string());
    Ok(headers)
}

/// A stream that was created anew counts from 1 again, so the time is part of it.
fn message_id(letter: &Letter) -> String {
    let id = format!("redrive-{}-{}", letter.sequence, letter.stored_at.unix_timestamp_nanos());
    match letter.project() {
        Some(project) => format!("{project}:{id}"),
        None => id,
    }
}

/// What the stream itself says no to is told from a broker that is away.
fn refused(sequence: u64, letter: &DeadLetter, error: PublishError) -> LetterError {
    let subject = letter.subject.clone();
    let answer =
        std::error::Error::source(&error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    match (error.kind(), answer) {
        (PublishErrorKind::Other, Some(answer)) => {
            LetterError::Refused { sequence, subject, reason: answer.to_string() }
        }
        (PublishErrorKind::MaxPayloadExceeded, _) => {
            LetterError::Refused { sequence, subject, reason: error.to_string() }
        }
        _ => Unavailable::new(format!("publishing dead letter {sequence} on '{subject}'"), error).into(),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::events::DeadLetterCode;

    fn letter(subject: &str, payload: &str, headers: &[(&str, &str)]) -> Letter {
        use base64::Engine as _;
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
        let content = DeadLetter {
            code: DeadLetterCode::InvalidRequest,
            reason: String::new(),
            subject: subject.to_owned(),
            headers: headers.collect(),
            payload: base64::engine::general_purpose::STANDARD.encode(payload),
            payload_truncated: false,
            payload_object: None,
            headers_truncated: false,
            stream_sequence: 1,
            deliveries: 1,
            at: OffsetDateTime::UNIX_EPOCH,
        };
        Letter { sequence: 7, stored_at: OffsetDateTime::UNIX_EPOCH, content: Ok(content) }
    }

    #[test]
    fn the_fresh_id_carries_the_project_where_it_is_known() {
        let id = |subject, payload| message_id(&letter(subject, payload, &[]));
        assert_eq!(id("scenario.run.requested.acme", r#"{"projectId":"other"}"#), "acme:redrive-7-0");
        assert_eq!(id("scenario.run.requested", r#"{"projectId":"acme"}"#), "acme:redrive-7-0");
        assert_eq!(id("scenario.run.requested", "nonsense"), "redrive-7-0");
        assert_eq!(id("scenario.run.requested", r#"{"projectId":"a.b"}"#), "redrive-7-0");
    }

    #[test]
    fn what_told_the_server_what_to_do_is_left_out_and_all_else_is_kept() {
        let letter = letter(
            "scenario.run.requested",
            "",
            &[("Nats-Msg-Id", "acme:old"), ("Nats-Expected-Last-Sequence", "1"), ("X-Mine", "kept")],
        );
        let headers = headers(&letter, letter.letter().unwrap(), Room::All).unwrap();
        let names: Vec<String> = crate::queue::headers::to_map(&headers).into_keys().collect();
        assert_eq!(names, ["Nats-Msg-Id", "Scenario-Redriven-From", "X-Mine"]);
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), "redrive-7-0");
    }

    #[test]
    fn a_letter_from_elsewhere_or_with_a_forged_header_is_refused() {
        for subject in ["$JS.API.STREAM.DELETE.X", "scenario.run.requested_not", "scenario.run.completed"] {
            let letter = letter(subject, "", &[]);
            let error = check(7, letter.letter().unwrap()).unwrap_err();
            assert!(matches!(error, LetterError::ForeignSubject { .. }), "{subject}: {error}");
        }
        let forged = letter("scenario.run.requested", "", &[("X", "a\r\nb")]);
        assert!(headers(&forged, forged.letter().unwrap(), Room::All).is_err());
    }
}
