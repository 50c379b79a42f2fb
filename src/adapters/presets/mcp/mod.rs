//! Targets of type `mcp`: one tool of a server that speaks the Model Context Protocol over streamable HTTP.
//!
//! Each turn is one call of the tool. Servers of the revisions up to 2025-11-25 are greeted first and may give a session, which is this
//! worker's: a run that goes on elsewhere greets again. Servers of 2026-07-28 refuse the greeting and are called at once.
//!
//! Specification: <https://modelcontextprotocol.io/specification/2025-11-25> and
//! <https://modelcontextprotocol.io/specification/2026-07-28>.

mod result;
mod session;

use async_trait::async_trait;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::session::Session;
use super::adapter::Preset;
use super::call::{Call, words};
use super::json_template::JsonTemplate;
use super::unseen::Memory;
use super::{ids, json_rpc};
use crate::adapters::http::output::OutputPath;
use crate::adapters::http::request::unusable;
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetReply;

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
    output: Option<OutputPath>,
    session: Memory<Option<Session>>,
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
        let output = output_path.as_deref().map(OutputPath::parse).transpose()?;
        Ok(Self { tool, arguments, output, session: Memory::default() })
    }

    async fn answer(&self, call: &Call<'_>) -> Result<TargetReply, RunFailure> {
        let arguments = self.arguments.render(&call.variables());
        let arguments = arguments.map_err(|error| unusable(error.to_string()))?;
        let result = self.call_tool(call, &arguments).await?;
        result::words(call, &result, self.output.as_ref()).map(words)
    }
}

impl McpTool {
    async fn call_tool(&self, call: &Call<'_>, arguments: &Value) -> Result<Value, RunFailure> {
        let known = self.session.get();
        let may_be_over = known.is_some();
        let session = match known {
            Some(session) => session,
            None => self.begin(call).await?,
        };
        match self.ask(call, &session, arguments).await? {
            Some(result) => Ok(result),
            // The server has forgotten the session; it is greeted once more.
            None if may_be_over => {
                let session = self.begin(call).await?;
                let again = self.ask(call, &session, arguments).await?;
                again.ok_or_else(|| call.invalid("it forgets each session that it gives"))
            }
            None => Err(call.invalid("it does not know the session that it has just given")),
        }
    }

    async fn begin(&self, call: &Call<'_>) -> Result<Session, RunFailure> {
        let session = session::begin(call).await?;
        self.session.set(Some(session.clone()));
        Ok(session)
    }

    /// The tool's result; `None` if the server does not know the session any more.
    async fn ask(
        &self,
        call: &Call<'_>,
        session: &Session,
        arguments: &Value,
    ) -> Result<Option<Value>, RunFailure> {
        let id = ids::message(call.turn, call.turn.transcript.len()).to_string();
        let params = session.with_meta(json!({ "name": self.tool, "arguments": arguments }));
        let mut request = call.asking(&json_rpc::request(&id, "tools/call", &params))?;
        session.mark(&mut request, "tools/call", Some(&self.tool));
        let answer = match call.send(request).await?.accepted().await {
            Ok(answer) => answer,
            Err(gone) if gone.status == StatusCode::NOT_FOUND && session.has_id() => return Ok(None),
            Err(refusal) => return Err(refusal.into()),
        };
        let result = json_rpc::settle(call, answer, &id).await?;
        result.map(Some).map_err(|error| call.agent_error(&error.to_string()))
    }
}
