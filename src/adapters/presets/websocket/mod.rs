//! Targets of type `websocket`: agents that are told a message over a WebSocket and answer with messages.
//!
//! A connection is one run's, or one turn's. One that is a run's is this worker's too: a run that goes on elsewhere connects again.
//!
//! Specification: RFC 6455.

mod listening;
mod socket;

use std::borrow::Cow;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use self::listening::{Heard, Rules};
use self::socket::Socket;
use super::adapter::Preset;
use crate::adapters::http::line::Call;
use crate::adapters::http::request::unusable;
use crate::adapters::template::no_secrets;
use crate::adapters::template::{Escape, Place, Template};
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetReply;

/// The message where a definition has none.
const USUAL_JSON: &str =
    r#"{"messages": {{ messages }}, "threadId": "{{ threadId }}", "input": "{{ input }}"}"#;
const USUAL_TEXT: &str = "{{ input }}";
/// The schemes of the protocol, and of the request that it begins with.
const SCHEMES: [(&str, &str); 2] = [("ws://", "http://"), ("wss://", "https://")];

/// What people write about such an agent.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WebSocketDefinition {
    /// How long a connection lasts.
    #[serde(default)]
    connect: Lasting,
    /// What the agent says before it is asked.
    #[serde(default)]
    greeting: Greeting,
    /// What messages are.
    #[serde(default)]
    format: Format,
    /// The message that asks the agent: a template.
    #[serde(default)]
    message_template: Option<String>,
    /// Where in a message the agent's words are: a `JSONPath`.
    #[serde(default)]
    output_path: Option<String>,
    /// Where in a message an error is: a `JSONPath`.
    #[serde(default)]
    error_path: Option<String>,
    /// Which message ends the answer; the first with words in it where this is left out.
    #[serde(default)]
    done: Option<DoneDefinition>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Lasting {
    #[default]
    Run,
    Turn,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Greeting {
    /// Nothing.
    #[default]
    None,
    /// One message on each connection, which is waited for and answers nobody.
    Skip,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Text,
}

/// What ends an answer: exactly one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DoneDefinition {
    /// A message with something at this path.
    #[serde(default)]
    path: Option<String>,
    /// What has to be at the path.
    #[serde(default)]
    equals: Option<Value>,
    /// A message that is this text.
    #[serde(default)]
    text: Option<String>,
    /// The end of the connection.
    #[serde(default)]
    closed: bool,
}

/// An agent behind a WebSocket.
pub(super) struct WebSocketAgent {
    lasting: Lasting,
    greeting: Greeting,
    message: Template,
    rules: Rules,
    /// The run's connection between turns. Whoever takes it and fails leaves nothing behind.
    open: Mutex<Option<Socket>>,
}

#[async_trait]
impl Preset for WebSocketAgent {
    const KIND: &'static str = "websocket";
    const NAME: &'static str = "WebSocket agent";
    const UPGRADES: bool = true;
    type Definition = WebSocketDefinition;

    fn from_definition(definition: WebSocketDefinition) -> Result<Self, String> {
        let message = message_template(definition.format, definition.message_template.as_deref())?;
        let (lasting, greeting) = (definition.connect, definition.greeting);
        let rules = Rules::read(definition)?;
        if rules.end_is_closing() && lasting == Lasting::Run {
            return Err(
                "done.closed: a connection that ends with the answer needs `connect: turn`".to_owned()
            );
        }
        Ok(Self { lasting, greeting, message, rules, open: Mutex::default() })
    }

    fn http_url(written: &str) -> Cow<'_, str> {
        let known = SCHEMES.iter().find_map(|(own, http)| Some((http, written.strip_prefix(own)?)));
        known.map_or(Cow::Borrowed(written), |(http, rest)| Cow::Owned(format!("{http}{rest}")))
    }

    /// Only the beginning of a connection carries the context, and it is of the turn that began it.
    fn continues_trace(&self) -> bool {
        self.lasting == Lasting::Turn
    }

    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure> {
        let message = self.message.render(&call.variables()).map_err(|error| unusable(error.to_string()))?;
        let kept = self.open.lock().await.take();
        let mut socket = match kept.and_then(Socket::still_open) {
            Some(socket) => socket,
            None => self.connect(call).await?,
        };
        socket.say(call, message).await?;
        let heard = self.listen(call, &mut socket).await?;
        match self.lasting {
            Lasting::Run => *self.open.lock().await = Some(socket),
            Lasting::Turn => socket.close().await,
        }
        Ok(TargetReply { content: heard.words, ..TargetReply::default() })
    }
}

impl WebSocketAgent {
    async fn connect(&self, call: &Call<'_>) -> Result<Socket, RunFailure> {
        let mut socket = socket::connect(call).await?;
        if self.greeting == Greeting::Skip {
            let heard = socket.hear(call).await?;
            let greeting = heard.ok_or_else(|| socket.closed_early(call))?;
            self.rules.pass_over(call, &greeting)?;
        }
        Ok(socket)
    }

    async fn listen(&self, call: &Call<'_>, socket: &mut Socket) -> Result<Heard, RunFailure> {
        let mut heard = Heard::default();
        while let Some(message) = socket.hear(call).await? {
            if self.rules.take(call, &message, &mut heard)? {
                return Ok(heard);
            }
        }
        if self.rules.end_is_closing() {
            return Ok(heard);
        }
        Err(socket.closed_early(call))
    }
}

fn message_template(format: Format, written: Option<&str>) -> Result<Template, String> {
    let (usual, escape) = match format {
        Format::Json => (USUAL_JSON, Escape::Json),
        Format::Text => (USUAL_TEXT, Escape::Text),
    };
    let source = written.filter(|source| !source.trim().is_empty()).unwrap_or(usual);
    let place = "messageTemplate";
    no_secrets(place, source)?;
    let template = Template::compile(Place::Field(place.to_owned()), source, escape);
    template.map_err(|error| error.to_string())
}
