//! Graphs behind a LangGraph server.

use serde_json::{Value, json};

use super::{Talk, ask, then};
use crate::adapters::stage::{LINE, dialogue, with};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::protocols::events;
use crate::support::protocols::langgraph::LangGraphServer;

fn config(url: &str) -> Value {
    json!({ "url": url, "assistant": "support" })
}

fn says(text: &str) -> Value {
    json!({ "type": "ai", "content": text, "tool_calls": [] })
}

#[tokio::test]
async fn a_run_has_a_thread_whichever_worker_it_is_on() {
    let server =
        LangGraphServer::start(|messages| vec![says(&format!("I know {} messages", messages.len()))]).await;
    let mut talk = Talk::with("langgraph", config(server.http.url())).await;
    let first = dialogue(LINE);
    let answer = talk.say(&first).await.unwrap().content;
    assert_eq!(answer, "I know 1 messages");
    let second = then(&first, &answer, "And?");
    assert_eq!(talk.say(&second).await.unwrap().content, "I know 3 messages");
    let mut elsewhere = Talk::with("langgraph", config(server.http.url())).await;
    let third = then(&second, "x", "Hello?");
    assert_eq!(elsewhere.say(&third).await.unwrap().content, "I know 5 messages");
    elsewhere.say(&third).await.unwrap();
    let said: Vec<Value> = server
        .thread()
        .iter()
        .filter(|message| message["type"] == "human")
        .map(|message| message["content"].clone())
        .collect();
    assert_eq!(said, [LINE, "And?", "Hello?"], "a line that is sent again takes the place of itself");
    let body = server.http.requests()[0].json();
    assert_eq!(
        (&body["assistant_id"], &body["if_not_exists"], &body["multitask_strategy"]),
        (&json!("support"), &json!("create"), &json!("rollback"))
    );
}

#[tokio::test]
async fn without_a_thread_every_turn_sends_the_conversation() {
    let server = LangGraphServer::start(|messages| vec![says(&messages.len().to_string())]).await;
    let reply = ask("langgraph", with(config(server.http.url()), json!({ "thread": "none" }))).await.unwrap();
    assert_eq!(reply.content, "3");
    let request = server.http.requests().remove(0);
    assert_eq!(request.target, "/runs/wait");
    assert_eq!(request.json().get("if_not_exists"), None);
}

#[tokio::test]
async fn a_stream_ends_in_the_same_state() {
    let server = LangGraphServer::start(|_| vec![says("Sorry!")]).await;
    let reply = ask("langgraph", with(config(server.http.url()), json!({ "stream": true }))).await.unwrap();
    assert_eq!(reply.content, "Sorry!");
    let request = server.http.requests().remove(0);
    assert!(request.target.ends_with("/runs/stream"), "{}", request.target);
    assert_eq!(request.json()["stream_mode"], json!(["values"]));
}

#[tokio::test]
async fn tools_and_tokens_since_the_customer_s_line_are_the_turn_s() {
    let server = LangGraphServer::start(|_| {
        vec![
            json!({ "type": "ai", "content": "", "tool_calls": [{ "id": "c1", "name": "refund", "args": { "order": 7 } }], "usage_metadata": { "input_tokens": 5, "output_tokens": 2 } }),
            json!({ "type": "tool", "content": "done", "tool_call_id": "c1" }),
            json!({ "type": "ai", "content": [{ "type": "text", "text": "Refunded." }], "usage_metadata": { "input_tokens": 7, "output_tokens": 3 } }),
        ]
    })
    .await;
    let reply = ask("langgraph", config(server.http.url())).await.unwrap();
    assert_eq!(
        (reply.content.as_str(), reply.usage.input_tokens, reply.usage.output_tokens),
        ("Refunded.", 12, 5)
    );
    let call = &reply.tool_calls[0];
    assert_eq!((call.name.as_str(), &call.arguments), ("refund", &json!({ "order": 7 })));
}

#[tokio::test]
async fn states_of_other_forms_are_read_too() {
    let constructor = |class: &str, text: &str| json!({ "lc": 1, "type": "constructor", "id": ["langchain_core", "messages", class], "kwargs": { "content": text } });
    let javascript =
        json!({ "messages": [constructor("HumanMessage", "hi"), constructor("AIMessage", "Yes")] });
    for (state, path, words) in [
        (javascript, None, "Yes"),
        (
            json!({ "messages": [{ "role": "user", "content": "hi" }, { "role": "assistant", "content": "Yes" }] }),
            None,
            "Yes",
        ),
        (json!({ "answer": { "text": "Yes" } }), Some("$.answer.text"), "Yes"),
        (json!({ "messages": [], "__interrupt__": [{ "value": "Shall I?", "id": "i" }] }), None, "Shall I?"),
    ] {
        let server = HttpAgent::start(move |_| Answer::json(&state)).await;
        let more = path.map_or(json!({}), |path| json!({ "outputPath": path }));
        assert_eq!(ask("langgraph", with(config(server.url()), more)).await.unwrap().content, words);
    }
}

#[tokio::test]
async fn a_graph_that_waits_is_answered() {
    let server = HttpAgent::start(|request| match request.json().get("command") {
        None => Answer::json(&json!({ "__interrupt__": [{ "value": "Shall I?" }] })),
        Some(command) => Answer::json(&json!({ "messages": [says(&command.to_string())] })),
    })
    .await;
    let mut talk = Talk::with("langgraph", config(server.url())).await;
    let first = dialogue(LINE);
    talk.say(&first).await.unwrap();
    let reply = talk.say(&then(&first, "Shall I?", "Yes")).await.unwrap();
    assert_eq!(reply.content, "{\"resume\":\"Yes\"}");
    assert_eq!(server.requests()[1].json().get("input"), None);
}

#[tokio::test]
async fn more_of_the_input_and_its_configuration_are_templates() {
    let server = LangGraphServer::start(|_| vec![says("Yes")]).await;
    let more = json!({
        "input": { "region": "{{ params.region }}" },
        "config": { "configurable": { "user": "{{ threadId }}" }, "recursion_limit": 9 },
    });
    ask("langgraph", with(config(server.http.url()), more)).await.unwrap();
    let body = server.http.requests().remove(0).json();
    assert_eq!(body["input"]["region"], "eu");
    assert_eq!(body["config"], json!({ "configurable": { "user": "run-1" }, "recursion_limit": 9 }));
    assert_eq!(body.get("context"), None);
}

#[tokio::test]
async fn failures_are_told_in_the_graph_s_words() {
    let state = json!({ "__error__": { "error": "ValueError", "message": "no stock" } });
    let server = HttpAgent::start(move |_| Answer::json(&state)).await;
    let failure = ask("langgraph", config(server.url())).await.unwrap_err();
    assert!(failure.message.ends_with("reports an error: ValueError: no stock"), "{failure}");
    let error = json!({ "error": "TimeoutError", "message": "too slow" });
    let server = HttpAgent::start(move |_| events([("error", error.clone())])).await;
    let failure = ask("langgraph", with(config(server.url()), json!({ "stream": true }))).await.unwrap_err();
    assert_eq!(
        (failure.code.as_ref(), failure.message.ends_with("TimeoutError: too slow")),
        ("agent_error", true)
    );
    let server = HttpAgent::start(|_| Answer::json(&json!({ "answer": "Yes" }))).await;
    let failure = ask("langgraph", config(server.url())).await.unwrap_err();
    assert_eq!(failure.code, "output_path_no_match");
}
