//! An agent that speaks A2A: its card, and JSON-RPC below `/rpc`.

use serde_json::{Value, json};

use super::Rpc;
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};

/// An agent whose card names `version`, and which answers method and parameters by `play`.
pub(crate) async fn agent(
    version: &'static str,
    streams: bool,
    play: impl Fn(&str, &Value) -> Rpc + Send + Sync + 'static,
) -> HttpAgent {
    HttpAgent::start(move |request| match request.target.as_str() {
        "/.well-known/agent-card.json" => Answer::json(&card(version, streams, request)),
        "/rpc" => {
            let asked = request.json();
            play(asked["method"].as_str().unwrap(), &asked["params"]).answer(&asked)
        }
        other => Answer::status(404, format!("nothing at {other}")),
    })
    .await
}

fn card(version: &str, streams: bool, request: &AgentRequest) -> Value {
    let url = format!("http://{}/rpc", request.header("host").unwrap());
    let capabilities = json!({ "streaming": streams });
    if version.starts_with('0') {
        return json!({ "name": "double", "protocolVersion": version, "url": url, "capabilities": capabilities });
    }
    let other = json!({ "url": "http://127.0.0.1:9", "protocolBinding": "GRPC", "protocolVersion": version });
    let own = json!({ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": version, "tenant": "t1" });
    json!({ "name": "double", "supportedInterfaces": [other, own], "capabilities": capabilities })
}

/// A task of version 1.0 in `state`, with these results.
pub(crate) fn task(state: &str, said: &str, artifacts: &[&str]) -> Value {
    let mut status = json!({ "state": state });
    if !said.is_empty() {
        status["message"] = json!({ "role": "ROLE_AGENT", "parts": [{ "text": said }] });
    }
    let artifact = |text: &&str| json!({ "artifactId": format!("a-{text}"), "parts": [{ "text": text }] });
    let artifacts: Vec<Value> = artifacts.iter().map(artifact).collect();
    json!({ "id": "task-1", "contextId": "context-1", "status": status, "artifacts": artifacts })
}
