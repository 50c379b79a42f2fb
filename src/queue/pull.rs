//! One pull: a request for a number of messages that stays open for a while, on an inbox of its own.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::{BatchConfig, BatchRequestError};
use async_nats::{Client, Message, StatusCode, SubscribeError, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use tracing::debug;

/// Idle heartbeats in the time that a pull stays open, and the longest pause between two of them. The server wants
/// at least two.
const HEARTBEATS_PER_PULL: u32 = 10;
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(5);
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(500);
/// Heartbeats that may stay out before the pull counts as broken.
const MISSED_HEARTBEATS: u32 = 2;
/// Statuses other than heartbeats that one pull may bring.
const OTHER_STATUSES: u64 = 4;
/// Time for the server to deliver what it has sent when a pull is closed.
pub(super) const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What came of a pull, one piece at a time.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message of the stream.
    Message(Message),
    /// The server says that it is there, or something that does not matter.
    Heartbeat,
    /// The pull is over in the ordinary way; more may be asked for at once.
    Ended,
    /// The server ended the pull for a reason of its own; the consumer may be gone or moving.
    Refused(String),
    /// The server does not understand the request: asking again cannot help.
    Invalid(String),
    /// Nothing was heard for too long.
    Silence,
    /// The client library has stopped for good.
    Closed,
}

/// Why a pull could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("cannot subscribe to the inbox of a pull")]
    Subscribe(#[from] SubscribeError),
    #[error("cannot send the request of a pull")]
    Request(#[from] BatchRequestError),
}

/// An open pull.
pub(super) struct Pull {
    client: Client,
    inbox: String,
    subscriber: Subscriber,
    heartbeat: Duration,
    expires: Duration,
    /// Messages that may still come.
    credits: u64,
    /// Everything that came, statuses included.
    heard: u64,
}

impl Pull {
    /// Asks for `credits` messages within `expires`.
    pub(super) async fn open(
        client: &Client,
        consumer: &PullConsumer,
        credits: usize,
        expires: Duration,
    ) -> Result<Self, OpenError> {
        let (inbox, heartbeat) = (client.new_inbox(), heartbeat(expires));
        let subscriber = client.subscribe(inbox.clone()).await?;
        let request = BatchConfig {
            batch: credits,
            expires: Some(expires),
            idle_heartbeat: heartbeat,
            ..BatchConfig::default()
        };
        consumer.request_batch(request, inbox.clone().into()).await?;
        let credits = credits as u64;
        Ok(Self { client: client.clone(), inbox, subscriber, heartbeat, expires, credits, heard: 0 })
    }

    /// The next thing that comes. Cancelling this loses nothing.
    pub(super) async fn next(&mut self) -> Heard {
        match tokio::time::timeout(self.heartbeat * MISSED_HEARTBEATS, self.subscriber.next()).await {
            Ok(Some(message)) => self.note(message),
            Ok(None) => Heard::Closed,
            Err(_) => Heard::Silence,
        }
    }

    /// Ends the pull so that no message is swallowed, and returns those that were on their way.
    ///
    /// A plain unsubscribe makes the client forget what the server has sent already, and those messages come back
    /// only after `ack_wait`. So the subscription gets an end at a number that the server cannot have reached, and
    /// the difference is filled with empty messages to the own inbox. Server and client then stop at the same
    /// message, and what the consumer sends later finds no interest and is queued again at once.
    pub(super) async fn close(mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        match tokio::time::timeout(CLOSE_PATIENCE, self.fence_off(&mut messages)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "the connection was gone when a pull was closed"),
            Err(_) => debug!("the server did not confirm in time that a pull is closed"),
        }
        messages
    }

    async fn fence_off(&mut self, messages: &mut Vec<Message>) -> Result<(), async_nats::Error> {
        let end = self.heard + self.credits + self.most_statuses();
        self.subscriber.unsubscribe_after(end).await?;
        for _ in self.heard..end {
            self.client.publish(self.inbox.clone(), Bytes::new()).await?;
        }
        while let Some(message) = self.subscriber.next().await {
            if let Heard::Message(message) = self.note(message) {
                messages.push(message);
            }
        }
        Ok(())
    }

    fn most_statuses(&self) -> u64 {
        let heartbeats = self.expires.as_nanos() / self.heartbeat.as_nanos().max(1);
        u64::try_from(heartbeats).unwrap_or(u64::MAX / 2) + OTHER_STATUSES
    }

    fn note(&mut self, message: Message) -> Heard {
        self.heard += 1;
        let heard = classify(message);
        if matches!(heard, Heard::Message(_)) {
            self.credits = self.credits.saturating_sub(1);
        }
        heard
    }
}

fn heartbeat(expires: Duration) -> Duration {
    let wished = (expires / HEARTBEATS_PER_PULL).clamp(SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT);
    // The server refuses a heartbeat longer than half of the pull.
    wished.min(expires / 2)
}

/// What a message on the inbox means (ADR-37 and the server's consumer.go).
fn classify(message: Message) -> Heard {
    /// Ends of a pull that bring a 409 although nothing is wrong.
    const ORDINARY: [&str; 2] = ["Batch Completed", "Message Size Exceeds MaxBytes"];
    const BAD_REQUEST: u16 = 400;
    const CONFLICT: u16 = 409;
    // Only messages of a stream ask for an answer. What looks like a status there is a header of the tenant's.
    if message.reply.is_some() {
        return Heard::Message(message);
    }
    let Some(status) = message.status else { return Heard::Heartbeat };
    let text = message.description.unwrap_or_default();
    match status {
        StatusCode::IDLE_HEARTBEAT => Heard::Heartbeat,
        StatusCode::NOT_FOUND | StatusCode::TIMEOUT => Heard::Ended,
        _ if status.as_u16() == CONFLICT && ORDINARY.contains(&text.as_str()) => Heard::Ended,
        _ if status.as_u16() == BAD_REQUEST => Heard::Invalid(text),
        _ => Heard::Refused(format!("{} {text}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, description: &str) -> Message {
        Message {
            subject: "_INBOX.a".into(),
            reply: None,
            payload: Bytes::new(),
            headers: None,
            status: Some(StatusCode::from_u16(code).unwrap()),
            description: Some(description.to_owned()),
            length: 0,
        }
    }

    #[test]
    fn statuses_mean_what_the_server_means() {
        assert!(matches!(classify(status(100, "Idle Heartbeat")), Heard::Heartbeat));
        for (code, text) in [(404, "No Messages"), (408, "Request Timeout"), (409, "Batch Completed")] {
            assert!(matches!(classify(status(code, text)), Heard::Ended), "{code} {text}");
        }
        for (code, text) in [(409, "Consumer Deleted"), (409, "Leadership Change"), (503, "")] {
            assert!(matches!(classify(status(code, text)), Heard::Refused(_)), "{code} {text}");
        }
        assert!(matches!(classify(status(400, "Bad Request")), Heard::Invalid(_)));
        let forged = Message { reply: Some("$JS.ACK.x".into()), ..status(400, "Bad Request") };
        assert!(matches!(classify(forged), Heard::Message(_)));
        let fence = Message { status: None, ..status(100, "") };
        assert!(matches!(classify(fence), Heard::Heartbeat));
    }

    #[test]
    fn a_heartbeat_is_at_most_half_of_the_pull() {
        assert_eq!(heartbeat(Duration::from_secs(10)), Duration::from_secs(1));
        assert_eq!(heartbeat(Duration::from_millis(600)), Duration::from_millis(300));
        assert_eq!(heartbeat(Duration::from_mins(10)), LONGEST_HEARTBEAT);
    }
}
