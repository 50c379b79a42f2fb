//! Targets of type `mcp`: one tool of a server that speaks the Model Context Protocol over streamable HTTP.
//!
//! Each turn is one call of the tool. Servers of the revisions up to 2025-11-25 are greeted before the first turn, and may give a session,
//! which is ended behind the last. Servers of 2026-07-28 refuse the greeting and are called at once.
//!
//! Specification: <https://modelcontextprotocol.io/specification/2025-11-25> and
//! <https://modelcontextprotocol.io/specification/2026-07-28>.

mod result;
mod session;

use async_trait::async_trait;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::session::Greeting;
use super::adapter::Preset;
use super::remembered::{remember, remembered};
use super::{ids, json_rpc};
use crate::adapters::http::line::Call;
use crate::adapters::http::path::ReplyPath;
use crate::adapters::http::request::unusable;
use crate::adapters::template::JsonTemplate;
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetReply;
use crate::execution::types::Session;

/// What people write about a tool.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct McpDefinition {
    /// The tool's name.
    tool: String,
    /// Its arguments; texts are templates.
    #[serde(default)]
    arguments: Map<String, Value>,
    /// Where in the tool's result the words are: a `JSONPath`.
    #[serde(default)]
    output_path: Option<String>,
}

/// A tool.
pub(super) struct McpTool {
    tool: String,
    arguments: JsonTemplate,
    output: Option<ReplyPath>,
}

#[async_trait]
impl Preset for McpTool {
    const KIND: &'static str = "mcp";
    const NAME: &'static str = "MCP tool";
    type Definition = McpDefinition;

    fn from_definition(definition: McpDefinition) -> Result<Self, String> {
        let McpDefinition { tool, arguments, output_path } = definition;
        if tool.is_empty() || !tool.chars().all(|character| character.is_ascii_graphic()) {
            return Err(format!(
                "tool: '{tool}' is no name of a tool: it has letters, digits and signs only"
            ));
        }
        let arguments = JsonTemplate::compile("arguments", &Value::Object(arguments))?;
        let output = ReplyPath::parse_written("outputPath", output_path.as_ref())?;
        Ok(Self { tool, arguments, output })
    }

    async fn begin(&self, call: &Call<'_>) -> Result<Option<Session>, RunFailure> {
        Ok(Some(remember(&Some(session::greet(call).await?))))
    }

    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure> {
        let arguments = self.arguments.render(&call.variables());
        let arguments = arguments.map_err(|error| unusable(error.to_string()))?;
        let (result, greeting) = self.call_tool(call, &arguments).await?;
        let content = result::words(call, &result, self.output.as_ref())?;
        Ok(TargetReply { content, session: Some(remember(&Some(greeting))), ..TargetReply::default() })
    }

    async fn end(&self, call: &Call<'_>, session: Session) -> Result<(), RunFailure> {
        match remembered::<Option<Greeting>>(Some(&session))? {
            Some(greeting) => session::part(call, &greeting).await,
            None => Ok(()),
        }
    }
}

impl McpTool {
    /// The tool's result, and how the server was greeted.
    async fn call_tool(&self, call: &Call<'_>, arguments: &Value) -> Result<(Value, Greeting), RunFailure> {
        if let Some(greeting) = remembered::<Option<Greeting>>(call.turn.session)?
            && let Some(result) = self.ask(call, &greeting, arguments).await?
        {
            return Ok((result, greeting));
        }
        // Nobody greeted the server yet, or it has forgotten that.
        let greeting = session::greet(call).await?;
        match self.ask(call, &greeting, arguments).await? {
            Some(result) => Ok((result, greeting)),
            None => Err(call.invalid("it does not know the session that it has just given")),
        }
    }

    /// The tool's result; `None` if the server does not know the session any more.
    async fn ask(
        &self,
        call: &Call<'_>,
        greeting: &Greeting,
        arguments: &Value,
    ) -> Result<Option<Value>, RunFailure> {
        let id = ids::message(call.turn, call.turn.transcript.len()).to_string();
        let params = greeting.with_meta(json!({ "name": self.tool, "arguments": arguments }));
        let mut request = call.asking(&json_rpc::request(&id, "tools/call", &params))?;
        greeting.mark(call, &mut request, "tools/call", Some(&self.tool))?;
        let answer = match call.send(request).await?.accepted().await {
            Ok(answer) => answer,
            Err(gone) if gone.status == StatusCode::NOT_FOUND && greeting.has_session() => return Ok(None),
            Err(refusal) => return Err(refusal.into()),
        };
        let result = json_rpc::settle(call, answer, &id).await?;
        result.map(Some).map_err(|error| call.agent_error(&error.to_string()))
    }
}
