//! A server that speaks MCP over streamable HTTP.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::Rpc;
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};

/// Which revision the server is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// It greets, gives sessions, and forgets the first one after `calls` calls of a tool.
    Greeting { calls: usize },
    /// It takes every request by itself, as 2026-07-28 has it.
    Stateless,
}

/// A server with one tool that answers its arguments by `play`.
pub(crate) async fn server(era: Era, play: impl Fn(&Value) -> Rpc + Send + Sync + 'static) -> HttpAgent {
    let (sessions, calls) = (AtomicUsize::new(0), AtomicUsize::new(0));
    HttpAgent::start(move |request| {
        if request.method == "DELETE" {
            return Answer::status(204, "");
        }
        let message = request.json();
        match (era, message["method"].as_str().unwrap()) {
            (Era::Greeting { .. }, "initialize") => {
                greeting(&message, sessions.fetch_add(1, Ordering::SeqCst) + 1)
            }
            (Era::Greeting { .. }, "notifications/initialized") => Answer::status(202, ""),
            (Era::Greeting { calls: most }, "tools/call") => {
                let made = calls.fetch_add(1, Ordering::SeqCst);
                let valid = if made < most { "session-1" } else { "session-2" };
                if request.header("mcp-session-id") != Some(valid) {
                    return Answer::status(404, "no such session");
                }
                play(&message["params"]["arguments"]).answer(&message)
            }
            (Era::Stateless, "tools/call") if is_complete(request, &message) => {
                play(&message["params"]["arguments"]).answer(&message)
            }
            (Era::Stateless, _) => {
                let error = json!({ "code": -32020, "message": "Header mismatch" });
                Answer::Reply {
                    status: 400,
                    headers: vec![("content-type", "application/json".to_owned())],
                    body: json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }).to_string().into(),
                }
            }
            (_, other) => Rpc::Error(-32601, "Method not found").answer(&json!({ "id": other })),
        }
    })
    .await
}

fn greeting(message: &Value, session: usize) -> Answer {
    let result = json!({ "protocolVersion": "2025-06-18", "capabilities": { "tools": {} }, "serverInfo": { "name": "double", "version": "1" } });
    Answer::Reply {
        status: 200,
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("mcp-session-id", format!("session-{session}")),
        ],
        body: json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string().into(),
    }
}

fn is_complete(request: &AgentRequest, message: &Value) -> bool {
    let version = message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
    request.header("mcp-protocol-version") == version
        && version == Some("2026-07-28")
        && request.header("mcp-method") == Some("tools/call")
        && request.header("mcp-name") == message["params"]["name"].as_str()
}

/// A tool's result of one text.
pub(crate) fn text(text: &str) -> Rpc {
    Rpc::Result(json!({ "content": [{ "type": "text", "text": text }] }))
}
