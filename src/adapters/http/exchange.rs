//! One turn with an agent: asking, asking again, looking for the answer, all within one limit of time.

use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT;
use tokio::time::{Instant, timeout_at};

use super::attempt::{Answer, Failed};
use super::caller::Caller;
use super::polling::{Poll, Standing, look};
use super::request::Outgoing;
use super::response::{self, asked_pause, invalid, reported};
use super::retry::JITTER;
use super::rules::ReplyRules;
use super::streaming::StreamFormat;
use super::transport::Received;
use super::tries::told;
use crate::adapters::codes;
use crate::adapters::template::Variables;
use crate::events::Attribution;
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetReply;

/// What is needed to ask an agent.
pub(super) struct Exchange<'a, 'c> {
    pub(super) caller: &'a mut Caller<'c>,
    pub(super) rules: &'a ReplyRules,
    /// What a template of where to look for the answer can read.
    pub(super) variables: &'a (dyn Fn() -> Variables + Sync),
}

impl Exchange<'_, '_> {
    /// Sends `request` and brings back what the agent says.
    pub(super) async fn run(mut self, mut request: Outgoing) -> Result<TargetReply, RunFailure> {
        self.ask_for_a_stream(&mut request);
        let answer = self.answer(&request).await?;
        let (place, reply) = self.read(answer)?;
        if reply.content.trim().is_empty() && reply.tool_calls.is_empty() {
            return Err(response::empty(&place));
        }
        Ok(reply)
    }

    /// Some agents stream only to who asks for it. A definition that says what it accepts knows better.
    fn ask_for_a_stream(&self, request: &mut Outgoing) {
        let accepted = match self.rules.stream.as_ref().map(|stream| stream.format) {
            None => return,
            Some(StreamFormat::Sse) => "text/event-stream, application/json;q=0.9",
            Some(StreamFormat::Ndjson) => "application/x-ndjson, application/json;q=0.9",
        };
        request.headers.entry(ACCEPT).or_insert(HeaderValue::from_static(accepted));
    }

    fn read(&self, answer: Answer) -> Result<(String, TargetReply), RunFailure> {
        match answer {
            Answer::Told { place, reply } => Ok((place, reply)),
            Answer::Whole(received) => {
                let reply = response::read(&received, self.rules, self.caller.scrubber())?;
                Ok((received.place, reply))
            }
        }
    }

    async fn answer(&mut self, request: &Outgoing) -> Result<Answer, RunFailure> {
        let answer = self.ask(request).await?;
        match &self.rules.poll {
            None => Ok(answer),
            Some(poll) => self.wait_for_answer(poll, request, answer).await,
        }
    }

    /// Looks for the answer until it is there. Only the limit of the whole turn ends that.
    async fn wait_for_answer(
        &mut self,
        poll: &Poll,
        request: &Outgoing,
        mut answer: Answer,
    ) -> Result<Answer, RunFailure> {
        let mut before = None;
        loop {
            let Answer::Whole(received) = &answer else { return Ok(answer) };
            if self.is_final(poll, received)? {
                return Ok(answer);
            }
            let url = poll
                .url(received, before.as_ref(), self.variables)
                .map_err(|problem| no_place(&received.place, &problem))?;
            let pause = tokio::time::sleep(poll.pause(asked_pause(&received.headers)));
            timeout_at(self.caller.deadline(), pause).await.map_err(|_| self.caller.late(request))?;
            answer = self.ask(&look(request, url.clone())).await?;
            before = Some(url);
        }
    }

    fn is_final(&self, poll: &Poll, received: &Received) -> Result<bool, RunFailure> {
        match poll.standing(received) {
            Standing::Final => Ok(true),
            Standing::Pending => Ok(false),
            Standing::Failed(error) => Err(reported(&received.place, &error, self.caller.scrubber())),
            Standing::NotJson(error) => Err(invalid(&received.place, &format!("it is not JSON: {error}"))),
        }
    }

    /// Asks as often as the definition allows.
    async fn ask(&mut self, request: &Outgoing) -> Result<Answer, RunFailure> {
        let mut attempts = 1;
        loop {
            let attempt = timeout_at(self.caller.deadline(), self.attempt(request)).await;
            match attempt.map_err(|_| self.caller.late(request))? {
                Ok(answer) => return Ok(answer),
                Err(failed) => self.wait_after(failed, attempts).await?,
            }
            attempts += 1;
        }
    }

    /// Waits until the agent may be asked again. An error says that it is not.
    async fn wait_after(&mut self, failed: Failed, attempts: u32) -> Result<(), RunFailure> {
        let Some(pause) = self.pause(attempts, &failed) else {
            return Err(self.told(failed, attempts, None));
        };
        if Instant::now() + pause >= self.caller.deadline() {
            return Err(self.told(failed, attempts, Some(pause)));
        }
        tokio::time::sleep(pause).await;
        self.caller.admitted_again(failed.throttled()).await;
        Ok(())
    }

    fn pause(&self, attempts: u32, failed: &Failed) -> Option<Duration> {
        let (trouble, asked) = failed.trouble()?;
        self.rules.retries.pause(attempts, trouble, asked, rand::random_range(JITTER))
    }

    /// The failure, with what was done about it.
    fn told(&self, failed: Failed, attempts: u32, too_long: Option<Duration>) -> RunFailure {
        told(failed.into_failure(self.caller.scrubber()), attempts, too_long)
    }
}

fn no_place(place: &str, problem: &str) -> RunFailure {
    let message = format!("{place} answers later, but does not say where: {problem}");
    RunFailure::new(codes::HTTP_INVALID_RESPONSE, Attribution::Target, message)
        .with_hint("Say in poll.url of the agent's definition where the answer will be")
}
