//! How a server is greeted, and what every request to it says since.

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::adapters::http::request::Outgoing;
use crate::adapters::presets::call::Call;
use crate::adapters::presets::json_rpc::{self, RpcError};
use crate::execution::failure::RunFailure;

/// The revision that is asked for in a greeting; the server answers with the one that it speaks.
const GREETED_IN: &str = "2025-11-25";
/// The revision without greetings.
const STATELESS: &str = "2026-07-28";
/// What a server of [`STATELESS`] says of a greeting: unknown method, headers that do not fit, capability or version that it lacks.
const NO_GREETINGS: [i64; 4] = [-32601, -32020, -32021, -32022];
/// The greeting's own id: it has no turn.
const GREETING: &str = "initialize";

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What a server has been told and has answered.
#[derive(Debug, Clone)]
pub(super) enum Session {
    /// It was greeted.
    Greeted { id: Option<HeaderValue>, version: HeaderValue },
    /// It takes every request by itself.
    Stateless,
}

/// Greets the server.
pub(super) async fn begin(call: &Call<'_>) -> Result<Session, RunFailure> {
    let session = greet(call).await?;
    if matches!(session, Session::Greeted { .. }) {
        let mut request = call.aside(&json_rpc::notification("notifications/initialized"))?;
        session.mark(&mut request, "notifications/initialized", None);
        call.send(request).await?.accepted().await?;
    }
    Ok(session)
}

async fn greet(call: &Call<'_>) -> Result<Session, RunFailure> {
    let params = json!({ "protocolVersion": GREETED_IN, "capabilities": {}, "clientInfo": client_info() });
    let request = call.aside(&json_rpc::request(GREETING, "initialize", &params))?;
    let answer = match call.send(request).await?.accepted().await {
        Ok(answer) => answer,
        Err(refusal)
            if refusal.body.as_ref().and_then(json_rpc::error_of).is_some_and(|e| wants_none(&e)) =>
        {
            return Ok(Session::Stateless);
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let id = answer.headers().get(SESSION_ID).cloned();
    match json_rpc::settle(call, answer, GREETING).await? {
        Ok(result) => greeted(call, &result, id),
        Err(error) if wants_none(&error) => Ok(Session::Stateless),
        Err(error) => Err(call.agent_error(&error.to_string())),
    }
}

/// The server says which revision it speaks; a session's id is none of everybody's business, for whoever knows it can speak there.
fn greeted(call: &Call<'_>, result: &Value, id: Option<HeaderValue>) -> Result<Session, RunFailure> {
    let version = result.get("protocolVersion").and_then(Value::as_str).unwrap_or(GREETED_IN);
    let version = HeaderValue::from_str(version);
    let version = version.map_err(|_| call.invalid("its protocolVersion is no version"))?;
    let id = id.map(|mut id| {
        id.set_sensitive(true);
        id
    });
    Ok(Session::Greeted { id, version })
}

fn wants_none(error: &RpcError) -> bool {
    let supported = error.data.get("supported").and_then(Value::as_array);
    let is_stateless = supported.is_some_and(|versions| versions.iter().any(|version| version == STATELESS));
    is_stateless || NO_GREETINGS.contains(&error.code)
}

fn client_info() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}

impl Session {
    pub(super) fn has_id(&self) -> bool {
        matches!(self, Self::Greeted { id: Some(_), .. })
    }

    /// `params` with what a server without sessions is told each time.
    pub(super) fn with_meta(&self, mut params: Value) -> Value {
        if matches!(self, Self::Stateless) {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientInfo": client_info(),
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        params
    }

    /// Adds the headers that a request for `method` (of `name`) needs.
    pub(super) fn mark(&self, request: &mut Outgoing, method: &'static str, name: Option<&str>) {
        match self {
            Self::Greeted { id, version } => {
                request.headers.insert(VERSION, version.clone());
                if let Some(id) = id {
                    request.headers.insert(SESSION_ID, id.clone());
                }
            }
            Self::Stateless => {
                request.headers.insert(VERSION, HeaderValue::from_static(STATELESS));
                request.headers.insert(METHOD, HeaderValue::from_static(method));
                if let Some(name) = name.and_then(|name| HeaderValue::from_str(name).ok()) {
                    request.headers.insert(NAME, name);
                }
            }
        }
    }
}
