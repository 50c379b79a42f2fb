//! Asking an agent once.

use std::time::Duration;

use super::assembly::{Assembled, Assembly, StreamFault};
use super::content_type::{essence, is_json, is_stream};
use super::exchange::Exchange;
use super::no_reply::NoReply;
use super::request::Outgoing;
use super::response::{invalid, reported, status_failure, throttled};
use super::streaming::StreamRules;
use super::transport::{Arrived, Received};
use crate::adapters::codes;
use crate::execution::failure::RunFailure;
use crate::execution::limits::Throttled;
use crate::execution::ports::TargetReply;
use crate::scrub::Scrubber;

const UNDESCRIBED_HINT: &str = "Say in the agent's definition where the words are, such as `stream: { format: sse, delta: $.text }`, or let the agent \
     answer in one piece";

/// An answer.
pub(super) enum Answer {
    /// In one piece.
    Whole(Received),
    /// Bit by bit, put together.
    Told { place: String, reply: TargetReply },
}

/// Why there is none.
pub(super) enum Failed {
    NoReply(NoReply),
    Status(Box<Received>),
    Reply(RunFailure),
}

impl From<NoReply> for Failed {
    fn from(error: NoReply) -> Self {
        Self::NoReply(error)
    }
}

impl From<RunFailure> for Failed {
    fn from(failure: RunFailure) -> Self {
        Self::Reply(failure)
    }
}

impl Failed {
    /// What the agent says of the number of calls.
    pub(super) fn throttled(&self) -> Option<Throttled> {
        match self {
            Self::Status(received) => throttled(received),
            Self::NoReply(_) | Self::Reply(_) => None,
        }
    }

    /// As the run reports it.
    pub(super) fn into_failure(self, scrubber: &Scrubber) -> RunFailure {
        match self {
            Self::NoReply(error) => error.into(),
            Self::Status(received) => status_failure(&received, scrubber),
            Self::Reply(failure) => failure,
        }
    }
}

impl Exchange<'_, '_> {
    /// Asks once.
    pub(super) async fn attempt(&mut self, request: &Outgoing) -> Result<Answer, Failed> {
        let limits = &self.rules.limits;
        let arrived = self.caller.send(request).await?;
        if !self.is_success(&arrived) {
            return Err(Failed::Status(Box::new(arrived.take_shown(limits).await)));
        }
        let kind = essence(&arrived.headers);
        match &self.rules.stream {
            Some(stream) if !is_json(&kind) && !self.comes_later(&arrived) => {
                self.listen(stream, arrived).await
            }
            None if is_stream(&kind) => Err(undescribed(&arrived.place, &kind).into()),
            _ => Ok(Answer::Whole(arrived.take(limits).await?)),
        }
    }

    fn is_success(&self, arrived: &Arrived) -> bool {
        self.rules.status.is_success(arrived.status) || self.comes_later(arrived)
    }

    fn comes_later(&self, arrived: &Arrived) -> bool {
        self.rules.poll.is_some() && arrived.status == http::StatusCode::ACCEPTED
    }

    /// Puts the answer together as it comes. What comes behind its end is not waited for.
    async fn listen(&self, stream: &StreamRules, arrived: Arrived) -> Result<Answer, Failed> {
        let (place, sent, rules) = (arrived.place.clone(), arrived.sent, self.rules);
        let mut assembly = Assembly::new(stream, rules.tool_calls.as_ref(), &rules.usage, rules.limits.bytes);
        let mut body = arrived.into_body(&rules.limits);
        let mut first_chunk = None;
        while !assembly.is_done() {
            let Some(piece) = body.next().await? else { break };
            assembly.push(&piece).map_err(|fault| self.faulty(&place, fault))?;
            if assembly.has_begun() {
                first_chunk.get_or_insert_with(|| sent.elapsed());
            }
        }
        let told = assembly.finish().map_err(|fault| self.faulty(&place, fault))?;
        Ok(Answer::Told { place, reply: reply(told, first_chunk) })
    }

    fn faulty(&self, place: &str, fault: StreamFault) -> Failed {
        match fault {
            StreamFault::Reported(error) => Failed::Reply(reported(place, &error, self.caller.scrubber())),
            StreamFault::Unfinished => {
                Failed::NoReply(NoReply::Interrupted { place: place.to_owned(), cause: fault.to_string() })
            }
            fault => Failed::Reply(invalid(place, &fault.to_string())),
        }
    }
}

fn reply(told: Assembled, first_chunk: Option<Duration>) -> TargetReply {
    let Assembled { words, calls, usage } = told;
    TargetReply { content: words, tool_calls: calls, usage, first_chunk, ..TargetReply::default() }
}

fn undescribed(place: &str, kind: &str) -> RunFailure {
    let message = format!("{place} answers bit by bit ({kind}), and its definition has no `stream`");
    RunFailure::definition(codes::STREAM_NOT_DESCRIBED, message).with_hint(UNDESCRIBED_HINT)
}
