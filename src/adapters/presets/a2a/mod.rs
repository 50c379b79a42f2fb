//! Targets of type `a2a`: agents that speak the Agent2Agent protocol over JSON-RPC, in version 1.0 or 0.3.
//!
//! The agent keeps the conversation under a context that is derived from the run, or that it gives itself. A task that asks for more is
//! continued.
//!
//! Specification: <https://a2a-protocol.org/latest/specification/>.

mod card;
mod dialect;
mod progress;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;

use self::card::Interface;
use self::dialect::{Dialect, Outbound};
use self::progress::{Outcome, Progress};
use super::adapter::Preset;
use super::ids;
use super::json_rpc::{self, Reply};
use super::remembered::{remember, remembered};
use super::unseen::{first_unseen, heard_after, said};
use crate::adapters::http::line::{Answer, Call};
use crate::events::MessageRole;
use crate::execution::failure::RunFailure;
use crate::execution::ports::{TargetReply, TargetTurn};

/// The first wait before a task is looked at again. Each is twice the one before.
const FIRST_POLL: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_POLL: Duration = Duration::from_secs(5);

/// What people write about an A2A agent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct A2aDefinition {
    /// Whether the URL is where the agent's card is; else it is where JSON-RPC is spoken.
    #[serde(default = "yes")]
    card: bool,
    /// Whether to ask for a stream; the card says where this is left out.
    #[serde(default)]
    stream: Option<bool>,
    /// The protocol's version; the card says where there is one.
    #[serde(default)]
    protocol_version: Option<String>,
    /// Who names the context.
    #[serde(default)]
    context: ContextDefinition,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ContextDefinition {
    /// It is derived from the run.
    #[default]
    Run,
    /// The agent gives it with its first answer.
    Agent,
}

fn yes() -> bool {
    true
}

/// An A2A agent.
pub(super) struct A2a {
    card: bool,
    stream: Option<bool>,
    dialect: Option<Dialect>,
    context: ContextDefinition,
    interface: OnceCell<Interface>,
}

/// What the agent has said of the conversation.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered {
    context: Option<String>,
    /// The task that asks for more.
    task: Option<String>,
    heard: Option<usize>,
}

#[async_trait]
impl Preset for A2a {
    const KIND: &'static str = "a2a";
    const NAME: &'static str = "A2A agent";
    type Definition = A2aDefinition;

    fn from_definition(definition: A2aDefinition) -> Result<Self, String> {
        let A2aDefinition { card, stream, protocol_version, context } = definition;
        let dialect = protocol_version.as_deref().map(Dialect::of_version).transpose()?;
        Ok(Self { card, stream, dialect, context, interface: OnceCell::new() })
    }

    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure> {
        let interface = self.interface.get_or_try_init(|| self.find(call)).await?;
        let outbound = self.outbound(call.turn)?;
        let mut progress = self.ask(call, interface, &outbound).await?;
        let mut wait = FIRST_POLL;
        let outcome = loop {
            match progress.outcome() {
                Outcome::Working => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_POLL);
                    self.look_again(call, interface, &mut progress).await?;
                }
                outcome => break outcome,
            }
        };
        conclude(call, outcome, &progress, outbound)
    }
}

impl A2a {
    async fn find(&self, call: &Call<'_>) -> Result<Interface, RunFailure> {
        if self.card {
            return card::interface(call, self.dialect).await;
        }
        Ok(Interface::of_definition(self.dialect.unwrap_or_default()))
    }

    fn outbound(&self, turn: &TargetTurn<'_>) -> Result<Outbound, RunFailure> {
        let Remembered { context, task, heard } = remembered(turn.session)?;
        let derived = || ids::conversation(turn.run).to_string();
        let context = context.or_else(|| (self.context == ContextDefinition::Run).then(derived));
        let unseen = said(turn, first_unseen(turn, heard));
        let mut texts: Vec<String> = unseen
            .filter(|(_, message)| message.role == MessageRole::User)
            .map(|(_, message)| message.content.clone())
            .collect();
        if texts.is_empty() {
            texts.push(String::new());
        }
        let message_id = ids::message(turn, turn.transcript.len()).to_string();
        Ok(Outbound { message_id, context, task, texts })
    }

    async fn ask(
        &self,
        call: &Call<'_>,
        interface: &Interface,
        outbound: &Outbound,
    ) -> Result<Progress, RunFailure> {
        let streams = self.stream.unwrap_or(interface.streams);
        let dialect = interface.dialect;
        let method = if streams { dialect.stream_method() } else { dialect.send_method() };
        let params = interface.addressed(dialect.send_params(outbound));
        let body = json_rpc::request(&outbound.message_id, method, &params);
        let request = interface.aim(call.asking(&body)?);
        let answer = call.send(request).await?.accepted().await?;
        let mut progress = Progress::default();
        take_in(call, answer, &outbound.message_id, &mut progress).await?;
        Ok(progress)
    }

    async fn look_again(
        &self,
        call: &Call<'_>,
        interface: &Interface,
        progress: &mut Progress,
    ) -> Result<(), RunFailure> {
        let Some(task) = progress.task.clone() else {
            return Err(call.invalid("it neither answers nor names a task that could be looked at"));
        };
        let params = interface.addressed(serde_json::json!({ "id": task }));
        let body = json_rpc::request(&task, interface.dialect.get_method(), &params);
        let request = interface.aim(call.aside(&body)?);
        let answer = call.send(request).await?.accepted().await?;
        take_in(call, answer, &task, progress).await
    }
}

/// What is said, and what is remembered.
fn conclude(
    call: &Call<'_>,
    outcome: Outcome,
    progress: &Progress,
    outbound: Outbound,
) -> Result<TargetReply, RunFailure> {
    let (said, task) = match outcome {
        Outcome::Said(said) => (said, None),
        Outcome::Asks(said) => (said, progress.task.clone()),
        Outcome::Failed(words) => return Err(call.agent_error(&words)),
        Outcome::Working | Outcome::Unknown(_) => {
            let state = progress.state.as_deref().unwrap_or_default();
            return Err(call.invalid(&format!("its task is in the unknown state '{state}'")));
        }
    };
    let context = progress.context.clone().or(outbound.context);
    let session = remember(&Remembered { context, task, heard: Some(heard_after(call.turn)) });
    Ok(TargetReply { content: said, session: Some(session), ..TargetReply::default() })
}

/// Takes in one answer, or one after the other until the stream ends or nothing more is needed.
async fn take_in(
    call: &Call<'_>,
    answer: Answer<'_>,
    id: &str,
    progress: &mut Progress,
) -> Result<(), RunFailure> {
    if !answer.is_events() {
        return learn(call, answer.json().await?, id, progress);
    }
    let mut events = answer.events();
    while progress.is_open() {
        match events.next_json().await? {
            Some((_, message)) => learn(call, message, id, progress)?,
            // A task can still be looked at; anything else is lost.
            None if progress.task.is_some() => break,
            None => return Err(events.broke_off()),
        }
    }
    Ok(())
}

fn learn(call: &Call<'_>, message: Value, id: &str, progress: &mut Progress) -> Result<(), RunFailure> {
    match json_rpc::reply(message, id).map_err(|problem| call.invalid(&problem))? {
        Reply::Result(result) => progress.take(result).map_err(|problem| call.invalid(&problem)),
        Reply::Error(error) => Err(call.agent_error(&error.to_string())),
        Reply::Aside => Ok(()),
    }
}
