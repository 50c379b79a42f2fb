//! Agents behind known protocols.

mod a2a;
mod definitions;
mod hostile;
mod langgraph;
mod mcp;
mod openai;
mod retries;
mod websocket;

use std::sync::Arc;

use scenario_worker::adapters::presets::with_presets;
use scenario_worker::adapters::{HttpAdapterFactory, Registry};
use scenario_worker::events::{MessageRole, ProjectId, RunId, RunKey, TraceContext};
use scenario_worker::execution::failure::{PlanError, RunFailure};
use scenario_worker::execution::limits::Admission;
use scenario_worker::execution::ports::{
    SessionCall, TargetAdapter, TargetAdapters as _, TargetReply, TargetTurn,
};
use scenario_worker::execution::types::{Message, Session};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::stage::{LINE, Shelf, THREAD, TRACEPARENT, agent, dialogue, secrets, spec};
use crate::support::spans::{Recorded, RecordingSpan};

/// Every preset's type.
const KINDS: [&str; 6] = ["a2a", "langgraph", "mcp", "openai_chat", "openai_responses", "websocket"];
/// A secret of the project, and what it is.
const KEY: (&str, &str) = ("KEY", "k-very-secret-123");

fn registry(shelf: Shelf) -> Registry {
    let shelf = Arc::new(shelf);
    let http = HttpAdapterFactory::new(shelf.clone(), shelf, crate::support::egress::open());
    with_presets(Registry::new(), &http)
}

/// An adapter for the agent `shop` of `kind`.
async fn adapter(kind: &str, config: Value) -> Result<Box<dyn TargetAdapter>, PlanError> {
    let shelf = Shelf { agents: vec![agent(kind, config)], secrets: secrets([KEY]), ..Shelf::default() };
    registry(shelf).adapter(spec(kind, "shop", json!({ "region": "eu" }))).await
}

/// A run's side of the conversation.
struct Talk {
    adapter: Box<dyn TargetAdapter>,
    run: RunKey,
    span: RecordingSpan,
    /// What the run stores of the agent's side.
    session: Option<Session>,
}

impl Talk {
    async fn with(kind: &str, config: Value) -> Self {
        let context = TraceContext::from_headers(&[TRACEPARENT], &[""]).unwrap().unwrap();
        Self {
            adapter: adapter(kind, config).await.expect("the definition is usable"),
            run: RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse(THREAD).unwrap() },
            span: Recorded::default().span(context),
            session: None,
        }
    }

    /// The same run on another worker, which knows what is stored and nothing else.
    async fn elsewhere(self, kind: &str, config: Value) -> Self {
        Self { adapter: adapter(kind, config).await.unwrap(), ..self }
    }

    async fn begin(&mut self) -> Result<(), RunFailure> {
        self.session = self.adapter.begin(SessionCall { run: &self.run, span: &self.span }).await?;
        Ok(())
    }

    async fn say(&mut self, transcript: &Arc<[Message]>) -> Result<TargetReply, RunFailure> {
        let Self { adapter, run, span, session } = self;
        let turn = TargetTurn {
            run,
            turn: 2,
            transcript,
            span,
            session: session.as_ref(),
            admission: Admission::default(),
            so_far: None,
        };
        let reply = adapter.reply(turn).await?;
        if let Some(left) = &reply.session {
            *session = Some(left.clone());
        }
        Ok(reply)
    }

    async fn end(self) -> Result<(), RunFailure> {
        let session = self.session.expect("something is remembered");
        self.adapter.end(SessionCall { run: &self.run, span: &self.span }, session).await
    }
}

/// Asks an agent with this definition once.
async fn ask(kind: &str, config: Value) -> Result<TargetReply, RunFailure> {
    Talk::with(kind, config).await.say(&dialogue(LINE)).await
}

/// The conversation after the agent's answer and another line of the customer.
fn then(transcript: &Arc<[Message]>, answer: &str, line: &str) -> Arc<[Message]> {
    let message = |role, content: &str| Message {
        turn: 3,
        role,
        content: content.to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    };
    let more = [message(MessageRole::Assistant, answer), message(MessageRole::User, line)];
    transcript.iter().cloned().chain(more).collect()
}
