//! Agents behind a WebSocket.

use serde_json::{Value, json};

use super::{Talk, adapter, ask, then};
use crate::adapters::stage::{LINE, TRACEPARENT, dialogue, failure, history, with};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::protocols::websocket::{Act, Arrived, WebSocketServer};

fn act(value: &Value) -> Act {
    Act::Say(value.to_string())
}

#[tokio::test]
async fn an_agent_is_told_the_usual_message_and_its_first_words_are_the_answer() {
    let server = WebSocketServer::start(|_| {
        vec![act(&json!({ "type": "typing" })), Act::Ping, act(&json!({ "type": "text", "reply": "Sorry!" }))]
    })
    .await;
    let auth = json!({ "type": "bearer", "token": "{{ secrets.KEY }}" });
    let config = json!({ "url": format!("{}/chat?thread={{{{ threadId }}}}", server.url()), "auth": auth, "outputPath": "$.reply" });
    assert_eq!(ask("websocket", config).await.unwrap().content, "Sorry!");
    let Arrived::Connection(target, headers) = server.arrived().remove(0) else { panic!("no connection") };
    assert_eq!(target, "/chat?thread=run-1");
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(header("authorization"), Some("Bearer k-very-secret-123"));
    assert_eq!(header("traceparent"), Some(TRACEPARENT));
    let message: Value = serde_json::from_str(&server.messages()[0]).unwrap();
    assert_eq!(message, json!({ "messages": history(LINE), "threadId": "run-1", "input": LINE }));
}

#[tokio::test]
async fn a_connection_is_the_run_s_or_the_turn_s() {
    for (connect, connections) in [("run", 1), ("turn", 2)] {
        let server = WebSocketServer::start(|message| {
            vec![Act::Say(format!("{message}!")), Act::Say("unasked".into())]
        })
        .await;
        let config = json!({ "url": server.url(), "connect": connect, "format": "text" });
        let mut talk = Talk::with("websocket", config).await;
        let first = dialogue(LINE);
        assert_eq!(talk.say(&first).await.unwrap().content, format!("{LINE}!"));
        talk.say(&then(&first, "x", "And?")).await.unwrap();
        assert_eq!(
            (server.connections(), server.messages()),
            (connections, vec![LINE.to_owned(), "And?".to_owned()])
        );
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_between_turns_is_made_again() {
    let server = WebSocketServer::start(|message| vec![Act::Say(format!("{message}!")), Act::Close]).await;
    let mut talk = Talk::with("websocket", json!({ "url": server.url(), "format": "text" })).await;
    let first = dialogue(LINE);
    talk.say(&first).await.unwrap();
    // The goodbye may be under way: then the second turn fails, and a third one finds it.
    let mut answer = talk.say(&then(&first, "x", "And?")).await;
    if answer.is_err() {
        answer = talk.say(&then(&first, "x", "And?")).await;
    }
    assert_eq!((answer.unwrap().content.as_str(), server.connections()), ("And?!", 2));
}

#[tokio::test]
async fn an_answer_of_several_messages_ends_where_the_definition_says() {
    let piece = |text: &str| act(&json!({ "delta": text }));
    for (end, done) in [
        (
            Some(json!({ "delta": null, "event": "end" }).to_string()),
            json!({ "path": "$.event", "equals": "end" }),
        ),
        (Some(json!({ "final": true }).to_string()), json!({ "path": "$.final" })),
        (Some("[DONE]".to_owned()), json!({ "text": "[DONE]" })),
        (None, json!({ "closed": true })),
    ] {
        let server = WebSocketServer::start(move |_| {
            let last = end.clone().map_or(Act::Close, Act::Say);
            vec![piece("Sor"), piece("ry!"), last, piece("too late")]
        })
        .await;
        let config = json!({ "url": server.url(), "connect": "turn", "outputPath": "$.delta", "done": done });
        assert_eq!(ask("websocket", config).await.unwrap().content, "Sorry!", "{done}");
    }
}

#[tokio::test]
async fn a_message_of_one_s_own_keeps_its_form_whatever_was_said() {
    let server = WebSocketServer::start(|_| vec![act(&json!("Yes"))]).await;
    let template = r#"{"type": "say", "text": "{{ input }}", "region": {{ params.region }}}"#;
    let mut talk = Talk::with("websocket", json!({ "url": server.url(), "messageTemplate": template })).await;
    let line = "\", \"type\": \"admin\", \"x\": \"{{ secrets.KEY }}\n";
    assert_eq!(talk.say(&dialogue(line)).await.unwrap().content, "Yes");
    let message: Value = serde_json::from_str(&server.messages()[0]).unwrap();
    assert_eq!(message, json!({ "type": "say", "text": line, "region": "eu" }));
}

#[tokio::test]
async fn a_greeting_is_no_answer_where_the_definition_says_so() {
    let welcome = || vec![act(&json!({ "text": "Welcome!" }))];
    for connect in ["run", "turn"] {
        let server = WebSocketServer::greeting(welcome(), |message| {
            let said: Value = serde_json::from_str(message).unwrap();
            vec![act(&json!({ "text": format!("{}!", said["input"].as_str().unwrap()) }))]
        })
        .await;
        let config =
            json!({ "url": server.url(), "outputPath": "$.text", "connect": connect, "greeting": "skip" });
        let mut talk = Talk::with("websocket", config).await;
        let first = dialogue(LINE);
        assert_eq!(talk.say(&first).await.unwrap().content, format!("{LINE}!"));
        assert_eq!(talk.say(&then(&first, "x", "And?")).await.unwrap().content, "And?!");
    }
    for (first, code) in
        [(act(&json!({ "error": "who are you?" })), "agent_error"), (Act::Close, "http_invalid_response")]
    {
        let server = WebSocketServer::greeting(vec![first], |_| vec![act(&json!("Yes"))]).await;
        let config = json!({ "url": server.url(), "errorPath": "$.error", "greeting": "skip" });
        assert_eq!(ask("websocket", config).await.unwrap_err().code, code);
        assert!(server.messages().is_empty(), "nobody was asked");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    for (acts, more, code, words) in [
        (
            r#"{"error":"no stock"}"#,
            json!({ "errorPath": "$.error", "outputPath": "$.reply" }),
            "agent_error",
            "reports an error: no stock",
        ),
        ("not json", json!({}), "http_invalid_response", "a message is not JSON"),
        ("close", json!({}), "http_invalid_response", "closed before the answer was complete"),
        (
            "close with reason",
            json!({}),
            "http_invalid_response",
            "closed before the answer was complete (code 1011: internal [redacted] boom)",
        ),
        ("bytes", json!({}), "http_invalid_response", "not UTF-8"),
        ("large", json!({ "format": "text" }), "http_response_too_large", "4194304"),
        ("flood", json!({ "outputPath": "$.never" }), "http_response_too_large", "4194304"),
        ("hang", json!({ "timeoutSeconds": 1 }), "http_timeout", "within 1 seconds"),
    ] {
        let server = WebSocketServer::start(move |_| match acts {
            "close" => vec![Act::Close],
            "close with reason" => vec![Act::CloseWith(1011, "internal k-very-secret-123 boom")],
            "bytes" => vec![Act::Bytes(vec![0xff, 0xfe])],
            "large" => vec![Act::Say("x".repeat(5 * 1024 * 1024))],
            "flood" => (0..10).map(|_| act(&json!("x".repeat(1024 * 1024)))).collect(),
            "hang" => vec![],
            text => vec![Act::Say(text.to_owned())],
        })
        .await;
        let failure = ask("websocket", with(json!({ "url": server.url() }), more)).await.unwrap_err();
        assert_eq!(failure.code, code, "{acts}: {failure}");
        assert!(failure.message.contains(words), "{acts}: {failure}");
        assert!(failure.message.contains(server.url()), "by its own scheme: {acts}: {failure}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_websocket_is_told_apart() {
    let plain = HttpAgent::start(|_| Answer::json(&json!("hello"))).await;
    let failure = ask("websocket", json!({ "url": plain.url() })).await.unwrap_err();
    assert!(failure.message.contains("does not speak WebSocket"), "{failure}");
    let refusing = HttpAgent::start(|_| Answer::status(401, "who are you")).await;
    let failure = ask("websocket", json!({ "url": refusing.url().replace("http", "ws") })).await.unwrap_err();
    assert!(
        failure.message.starts_with("HTTP 401 Unauthorized") && failure.message.ends_with("who are you"),
        "{failure}"
    );
    let lying = HttpAgent::start(|_| {
        Answer::Raw(b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: no\r\n\r\n".to_vec())
    })
    .await;
    let failure = ask("websocket", json!({ "url": lying.url() })).await.unwrap_err();
    assert!(failure.message.contains("its handshake does not answer ours"), "{failure}");
}

#[tokio::test]
async fn where_nobody_may_go_no_websocket_goes_either() {
    for url in ["ws://169.254.169.254/", "ws://[::ffff:a9fe:a9fe]/", "wss://metadata.google.internal/"] {
        let failure = failure(adapter("websocket", json!({ "url": url })).await.err().unwrap());
        assert_eq!(failure.code, "egress_refused", "{url}: {failure}");
    }
}
