//! Tools of MCP servers.

use serde_json::{Value, json};

use super::{Talk, ask, then};
use crate::adapters::stage::{LINE, dialogue, history, with};
use crate::support::protocols::mcp::{Era, server, text};
use crate::support::protocols::{Rpc, events};

const GREETING: Era = Era::Greeting { calls: usize::MAX };

fn config(url: &str) -> Value {
    json!({ "url": format!("{url}/mcp"), "tool": "ask", "arguments": { "question": "{{ input }}" } })
}

#[tokio::test]
async fn a_server_is_greeted_once_its_tool_is_called_each_turn_and_the_session_is_ended() {
    let server =
        server(GREETING, |arguments| text(&format!("You said: {}", arguments["question"].as_str().unwrap())))
            .await;
    let mut talk = Talk::with("mcp", config(server.url())).await;
    talk.begin().await.unwrap();
    let first = dialogue(LINE);
    let reply = talk.say(&first).await.unwrap();
    assert_eq!(reply.content, format!("You said: {LINE}"));
    assert_eq!(talk.say(&then(&first, "x", "Hm")).await.unwrap().content, "You said: Hm");
    talk.end().await.unwrap();
    let mut requests = server.requests();
    let parting = requests.pop().unwrap();
    assert_eq!((parting.method.as_str(), parting.header("mcp-session-id")), ("DELETE", Some("session-1")));
    let methods: Vec<Value> = requests.iter().map(|request| request.json()["method"].clone()).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call", "tools/call"]);
    assert_eq!(requests[0].json()["params"]["protocolVersion"], "2025-11-25");
    assert!(
        requests
            .iter()
            .all(|request| request.header("accept") == Some("application/json, text/event-stream"))
    );
    for request in &requests[1..] {
        assert_eq!(
            request.header("mcp-protocol-version"),
            Some("2025-06-18"),
            "the one that the server speaks"
        );
        assert_eq!(request.header("mcp-session-id"), Some("session-1"));
    }
    let keys: Vec<Option<&str>> = requests.iter().map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys, [None, None, Some("run-1:2"), Some("run-1:2")]);
}

#[tokio::test]
async fn a_run_that_goes_on_elsewhere_goes_on_in_its_session() {
    let server = server(GREETING, |_| text("Yes")).await;
    let mut talk = Talk::with("mcp", config(server.url())).await;
    talk.begin().await.unwrap();
    let mut elsewhere = talk.elsewhere("mcp", config(server.url())).await;
    elsewhere.say(&dialogue(LINE)).await.unwrap();
    assert_eq!(server.requests().len(), 3, "nobody greets twice");
    assert!(!format!("{:?}", elsewhere.session).contains("session-1"));
}

#[tokio::test]
async fn a_forgotten_session_is_begun_again() {
    let server = server(Era::Greeting { calls: 1 }, |_| text("Yes")).await;
    let mut talk = Talk::with("mcp", config(server.url())).await;
    let first = dialogue(LINE);
    talk.say(&first).await.unwrap();
    assert_eq!(talk.say(&then(&first, "Yes", "And?")).await.unwrap().content, "Yes");
    let greetings =
        server.requests().iter().filter(|request| request.json()["method"] == "initialize").count();
    assert_eq!(greetings, 2);
}

#[tokio::test]
async fn a_server_without_greetings_is_called_at_once() {
    let server = server(Era::Stateless, |_| text("Yes")).await;
    let mut talk = Talk::with("mcp", config(server.url())).await;
    let first = dialogue(LINE);
    assert_eq!(talk.say(&first).await.unwrap().content, "Yes");
    assert_eq!(talk.say(&then(&first, "Yes", "And?")).await.unwrap().content, "Yes");
    let methods: Vec<Value> =
        server.requests().iter().map(|request| request.json()["method"].clone()).collect();
    assert_eq!(methods, ["initialize", "tools/call", "tools/call"], "it refuses a greeting once");
}

#[tokio::test]
async fn arguments_keep_their_types_and_whatever_was_said_stays_a_text() {
    let server = server(GREETING, |_| text("Yes")).await;
    let arguments = json!({
        "question": "{{ input }}", "history": "{{ messages }}", "days": "{{ mine }}", "limit": 5,
        "note": "thread {{ threadId }} in {{ params.region }}", "nested": { "list": ["{{ input }}"] },
    });
    let config = with(
        config(server.url()),
        json!({
            "arguments": arguments, "fieldMappings": { "mine": { "type": "value", "value": 30 } },
        }),
    );
    let line = "30\", \"admin\": true, \"x\": \"{{ secrets.KEY }}";
    let mut talk = Talk::with("mcp", config).await;
    talk.say(&dialogue(line)).await.unwrap();
    let sent = server.requests().pop().unwrap().json()["params"]["arguments"].clone();
    assert_eq!(
        sent,
        json!({
            "question": line, "history": history(line), "days": 30, "limit": 5,
            "note": "thread run-1 in eu", "nested": { "list": [line] },
        })
    );
}

#[tokio::test]
async fn a_result_may_come_as_a_stream_among_other_messages() {
    let server = server(GREETING, |_| {
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
        let result = json!({ "jsonrpc": "2.0", "id": Value::Null, "result": { "content": [{ "type": "text", "text": "Yes" }] } });
        Rpc::Raw(events([("message", progress), ("message", result)]))
    })
    .await;
    assert_eq!(ask("mcp", config(server.url())).await.unwrap().content, "Yes");
}

#[tokio::test]
async fn the_words_are_texts_or_structure_or_what_the_path_leads_to() {
    let image = json!({ "type": "image", "data": "AAAA", "mimeType": "image/png" });
    let resource = json!({ "type": "resource", "resource": { "uri": "x:y", "text": "More" } });
    for (result, path, words) in [
        (json!({ "content": [{ "type": "text", "text": "Yes" }, image, resource] }), None, "Yes\nMore"),
        (json!({ "content": [], "structuredContent": { "reply": "Yes" } }), None, "{\"reply\":\"Yes\"}"),
        (
            json!({ "content": [], "structuredContent": { "reply": "Yes" } }),
            Some("$.structuredContent.reply"),
            "Yes",
        ),
    ] {
        let server = server(GREETING, move |_| Rpc::Result(result.clone())).await;
        let config = with(config(server.url()), path.map_or(json!({}), |path| json!({ "outputPath": path })));
        assert_eq!(ask("mcp", config).await.unwrap().content, words);
    }
}

#[tokio::test]
async fn failures_are_told_in_the_server_s_words() {
    let failed = json!({ "isError": true, "content": [{ "type": "text", "text": "no such order" }] });
    for (answer, code, words) in [
        (
            Rpc::Error(-32602, "Unknown tool: ask"),
            "agent_error",
            "reports an error: Unknown tool: ask (code -32602)",
        ),
        (Rpc::Result(failed), "agent_error", "reports an error: no such order"),
        (Rpc::Result(json!({ "resultType": "input_required" })), "agent_error", "asks for input"),
        (Rpc::Result(json!({ "content": [] })), "empty_reply", "empty reply"),
    ] {
        let answer = std::sync::Mutex::new(Some(answer));
        let server = server(GREETING, move |_| answer.lock().unwrap().take().unwrap()).await;
        let failure = ask("mcp", config(server.url())).await.unwrap_err();
        assert_eq!(failure.code, code, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    }
}
