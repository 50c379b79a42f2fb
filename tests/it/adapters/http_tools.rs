//! What HTTP agents say of their work beside their words.

use serde_json::{Value, json};

use super::stage::{LINE, ask_with, dialogue, http_adapter, secrets, with};
use super::table::{answering, json_of, ok, play_one};

fn openai() -> Value {
    json!({
        "outputPath": "$.choices[0].message.content",
        "toolCalls": {
            "path": "$.choices[0].message.tool_calls[*]", "name": "$.function.name", "arguments": "$.function.arguments",
        },
        "usage": { "inputTokens": "$.usage.prompt_tokens", "outputTokens": "$.usage.completion_tokens" },
    })
}

fn anthropic() -> Value {
    json!({
        "outputPath": "$.content[?@.type == 'text'].text",
        "toolCalls": { "path": "$.content[?@.type == 'tool_use']", "arguments": "$.input" },
    })
}

#[expect(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
fn message(message: Value) -> Value {
    json!({ "choices": [{ "message": message }], "usage": { "prompt_tokens": 11, "completion_tokens": "5" } })
}

#[tokio::test]
async fn tool_calls_are_found_where_the_definition_says() {
    let function =
        |arguments: Value| json!({ "id": "c1", "function": { "name": "refund", "arguments": arguments } });
    let refund = json!([["c1", "refund", { "order": 7 }]]);
    for (name, config, body, words, expected) in [
        (
            "arguments as text",
            openai(),
            message(json!({ "content": "Done.", "tool_calls": [function(json!("{\"order\":7}"))] })),
            "Done.",
            refund.clone(),
        ),
        (
            "arguments as a map",
            openai(),
            message(json!({ "content": "Done.", "tool_calls": [function(json!({ "order": 7 }))] })),
            "Done.",
            refund.clone(),
        ),
        (
            "arguments that are no JSON",
            openai(),
            message(json!({ "content": "Done.", "tool_calls": [function(json!("{oops"))] })),
            "Done.",
            json!([["c1", "refund", "{oops"]]),
        ),
        (
            "no arguments",
            openai(),
            message(json!({ "content": "Done.", "tool_calls": [function(Value::Null)] })),
            "Done.",
            json!([["c1", "refund", {}]]),
        ),
        (
            "without words",
            openai(),
            message(json!({ "content": null, "tool_calls": [function(json!({ "order": 7 }))] })),
            "",
            refund.clone(),
        ),
        (
            "without a place for words",
            openai(),
            message(json!({ "tool_calls": [function(json!({ "order": 7 }))] })),
            "",
            refund,
        ),
        ("no calls", openai(), message(json!({ "content": "Hello." })), "Hello.", json!([])),
        (
            "null instead of calls",
            openai(),
            message(json!({ "content": "Hello.", "tool_calls": null })),
            "Hello.",
            json!([]),
        ),
        (
            "among other parts",
            anthropic(),
            json!({ "content": [{ "type": "text", "text": "Done." }, { "type": "tool_use", "id": "t", "name": "look", "input": { "q": 1 } }] }),
            "Done.",
            json!([["t", "look", { "q": 1 }]]),
        ),
        (
            "several, in order",
            json!({ "outputPath": "$.text", "toolCalls": { "path": "$.actions[*]", "name": "$.tool", "arguments": "$.with" } }),
            json!({ "text": "Done.", "actions": [{ "tool": "look" }, { "tool": "refund", "with": [1] }, { "tool": "look" }] }),
            "Done.",
            json!([["", "look", {}], ["", "refund", [1]], ["", "look", {}]]),
        ),
    ] {
        let (reply, _) = play_one(config, ok(body)).await;
        let reply = reply.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let calls: Vec<Value> = reply.tool_calls.iter().map(|c| json!([c.id, c.name, c.arguments])).collect();
        assert_eq!((reply.content.as_str(), Value::from(calls)), (words, expected), "{name}");
    }
}

#[tokio::test]
async fn tool_calls_that_cannot_be_read_are_a_failure() {
    let many: Vec<Value> = (0..300).map(|n| json!({ "function": { "name": format!("tool-{n}") } })).collect();
    for (calls, part) in [
        (
            json!([{ "id": "c1" }]),
            "a tool call has no name: toolCalls.name '$.function.name' matches nothing in it",
        ),
        (json!(["refund"]), "a tool call has no name"),
        (Value::from(many), "more than 256 tool calls"),
    ] {
        let (reply, _) =
            play_one(openai(), ok(message(json!({ "content": "x", "tool_calls": calls })))).await;
        let failure = reply.unwrap_err();
        assert_eq!(failure.code, "http_invalid_response");
        assert!(failure.message.contains(part), "{failure}");
    }
}

#[tokio::test]
async fn tokens_are_what_the_agent_reports_and_nothing_where_it_does_not() {
    for (usage, expected) in [
        (json!({ "prompt_tokens": 11, "completion_tokens": "5" }), (11, 5)),
        (json!({ "prompt_tokens": 11 }), (11, 0)),
        (json!({ "prompt_tokens": -3, "completion_tokens": "many" }), (0, 0)),
        (Value::Null, (0, 0)),
    ] {
        let body = json!({ "choices": [{ "message": { "content": "Hello." } }], "usage": usage });
        let reply = play_one(openai(), ok(body)).await.0.unwrap();
        assert_eq!(
            (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.calls),
            (expected.0, expected.1, 0)
        );
    }
}

#[tokio::test]
async fn tool_calls_that_echo_a_secret_do_not_carry_it_on() {
    let body = message(json!({ "content": "Done.", "tool_calls": [
        { "id": "c1", "function": { "name": "call", "arguments": { "headers": ["Bearer token-123456"] } } },
    ] }));
    let agent = answering(vec![json_of(200, &body)]).await;
    let mut config = openai();
    config["url"] = agent.url().into();
    let known = secrets([("KEY", "token-123456")]);
    let reply = ask_with(config, known, json!({}), &dialogue(LINE)).await.unwrap();
    assert_eq!(reply.tool_calls[0].arguments, json!({ "headers": ["Bearer [redacted]"] }));
}

#[tokio::test]
async fn an_agent_reports_its_tools_only_where_its_definition_says_how() {
    let tools = json!({ "toolCalls": { "path": "$.calls[*]", "name": "$.name" } });
    for (more, reports) in [(tools, true), (json!({}), false)] {
        let config = with(json!({ "url": "https://shop.example/chat" }), more);
        let adapter = http_adapter(config, secrets([]), json!({})).await.unwrap();
        assert_eq!(adapter.reports_tool_calls(), reports);
    }
}
