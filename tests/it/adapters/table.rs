//! Tables of what an agent answers and what is made of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::ports::TargetReply;
use serde_json::{Value, json};

use super::stage::{ask, with};
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};

/// What is to be made of the answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    /// The agent said this.
    Says(&'static str),
    /// The turn fails with this code, and words that contain these.
    Fails(&'static str, &'static str),
}

/// One row: its name, the definition without the URL, the answers in order (the last one is repeated), and what comes of it.
pub(super) type Row = (&'static str, Value, Vec<Answer>, Expected);

/// Plays every row against an agent of its own, and tells all rows that came out otherwise.
pub(super) async fn play(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for (name, config, answers, expected) in rows {
        let (reply, _) = play_one(config, answers).await;
        let right = match (&reply, expected) {
            (Ok(reply), Expected::Says(words)) => reply.content == words,
            (Err(failure), Expected::Fails(code, part)) => {
                failure.code == code && failure.message.contains(part)
            }
            _ => false,
        };
        if !right {
            wrong.push(format!("{name}: expected {expected:?}, got {reply:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Asks an agent that gives `answers` in order, and says what it was sent.
pub(super) async fn play_one(
    config: Value,
    answers: Vec<Answer>,
) -> (Result<TargetReply, RunFailure>, Vec<AgentRequest>) {
    let agent = answering(answers).await;
    let place = json!({ "url": format!("{}/chat?key=1", agent.url()), "timeoutSeconds": 20 });
    let reply = ask(with(place, config)).await;
    (reply, agent.requests())
}

/// An agent that gives `answers` in order, and the last one again and again.
pub(super) async fn answering(answers: Vec<Answer>) -> HttpAgent {
    let asked = AtomicUsize::new(0);
    HttpAgent::start(move |_| {
        let index = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        answers[index].clone()
    })
    .await
}

/// An answer of `status` with headers and a body.
pub(super) fn reply(status: u16, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> Answer {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Answer::Reply { status, headers, body: body.into() }
}

/// JSON with a status.
pub(super) fn json_of(status: u16, body: &Value) -> Answer {
    reply(status, &[("content-type", "application/json")], body.to_string())
}

/// 200 with JSON.
#[expect(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
pub(super) fn ok(body: Value) -> Vec<Answer> {
    vec![json_of(200, &body)]
}

/// 200 with server-sent events.
pub(super) fn sse(body: &str) -> Vec<Answer> {
    vec![Answer::typed("text/event-stream", body)]
}
