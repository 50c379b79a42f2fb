//! How a server is greeted, and what every request to it says since.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::adapters::http::line::Call;
use crate::adapters::http::request::Outgoing;
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
const INITIALIZED: &str = "notifications/initialized";

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What came of greeting a server.
#[derive(Serialize, Deserialize)]
pub(super) enum Greeting {
    /// It answered.
    Answered { session: Option<String>, version: String },
    /// It takes every request by itself.
    Refused,
}

/// Greets the server.
pub(super) async fn greet(call: &Call<'_>) -> Result<Greeting, RunFailure> {
    let greeting = initialize(call).await?;
    if matches!(greeting, Greeting::Answered { .. }) {
        let mut request = call.aside(&json_rpc::notification(INITIALIZED))?;
        greeting.mark(call, &mut request, INITIALIZED, None)?;
        call.send(request).await?.accepted().await?;
    }
    Ok(greeting)
}

async fn initialize(call: &Call<'_>) -> Result<Greeting, RunFailure> {
    let params = json!({ "protocolVersion": GREETED_IN, "capabilities": {}, "clientInfo": client_info() });
    let request = call.aside(&json_rpc::request(GREETING, "initialize", &params))?;
    let answer = match call.send(request).await?.accepted().await {
        Ok(answer) => answer,
        Err(refusal) if json_rpc::error_in(refusal.body.as_ref()).is_some_and(|error| wants_none(&error)) => {
            return Ok(Greeting::Refused);
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let session = answer.headers().get(SESSION_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    match json_rpc::settle(call, answer, GREETING).await? {
        Ok(result) => Ok(Greeting::Answered { session, version: version_of(&result) }),
        Err(error) if wants_none(&error) => Ok(Greeting::Refused),
        Err(error) => Err(call.agent_error(&error.to_string())),
    }
}

/// The revision that the server speaks.
fn version_of(result: &Value) -> String {
    result.get("protocolVersion").and_then(Value::as_str).unwrap_or(GREETED_IN).to_owned()
}

/// Ends the session, where there is one. A server may not let clients do that, or have ended it before.
pub(super) async fn part(call: &Call<'_>, greeting: &Greeting) -> Result<(), RunFailure> {
    if !greeting.has_session() {
        return Ok(());
    }
    let mut request = call.reading()?;
    request.method = Method::DELETE;
    greeting.mark(call, &mut request, "", None)?;
    match call.send(request).await?.accepted().await {
        Ok(_) => Ok(()),
        Err(other) if matches!(other.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND) => {
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn wants_none(error: &RpcError) -> bool {
    let supported = error.data.get("supported").and_then(Value::as_array);
    let is_stateless = supported.is_some_and(|versions| versions.iter().any(|version| version == STATELESS));
    is_stateless || NO_GREETINGS.contains(&error.code)
}

fn client_info() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}

impl Greeting {
    pub(super) fn has_session(&self) -> bool {
        matches!(self, Self::Answered { session: Some(_), .. })
    }

    /// `params` with what a server without greetings is told each time.
    pub(super) fn with_meta(&self, mut params: Value) -> Value {
        if matches!(self, Self::Refused) {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientInfo": client_info(),
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        params
    }

    /// Adds the headers that a request for `method` (of `name`) needs.
    pub(super) fn mark(
        &self,
        call: &Call<'_>,
        request: &mut Outgoing,
        method: &'static str,
        name: Option<&str>,
    ) -> Result<(), RunFailure> {
        let fields: [(HeaderName, Option<&str>); 4] = match self {
            Self::Answered { session, version } => {
                // Who knows the id can speak in the session.
                if let Some(id) = session {
                    call.keep_secret(id);
                }
                [(VERSION, Some(version)), (SESSION_ID, session.as_deref()), (METHOD, None), (NAME, None)]
            }
            Self::Refused => {
                [(VERSION, Some(STATELESS)), (SESSION_ID, None), (METHOD, Some(method)), (NAME, name)]
            }
        };
        for (field, text) in fields.into_iter().filter_map(|(field, text)| Some((field, text?))) {
            let mut value = HeaderValue::from_str(text)
                .map_err(|_| call.invalid("it gives a version or a session that is no header's value"))?;
            value.set_sensitive(field == SESSION_ID);
            request.headers.insert(field, value);
        }
        Ok(())
    }
}
