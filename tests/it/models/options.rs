//! Tools, conversations with tools, and parameters, over the three provider APIs.

use scenario_worker::definitions::{ResponseFormat, Sampling, ToolChoice};
use scenario_worker::events::ToolCall;
use scenario_worker::execution::types::{ChatMessage, ChatOptions, ChatRequest, ChatRole, ToolSpec};
use serde_json::{Map, Value, json};

use super::{chat, model, question, remote};
use crate::support::openai::{Answer, ModelServer};

const KINDS: [&str; 3] = ["openai", "anthropic", "gemini"];

fn tool(name: &str) -> ToolSpec {
    let parameters = json!({ "type": "object", "properties": { "id": { "type": "string" } } });
    ToolSpec { name: name.to_owned(), description: format!("It does {name}."), parameters }
}

fn extra(value: Value) -> Map<String, Value> {
    let Value::Object(extra) = value else { panic!("not a map: {value}") };
    extra
}

/// An answer that every API understands in its own way.
fn any_answer() -> Answer {
    Answer::json(
        200,
        &json!({
            "choices": [{ "message": { "content": "ok" } }],
            "content": [{ "type": "text", "text": "ok" }],
            "candidates": [{ "content": { "parts": [{ "text": "ok" }] } }],
        }),
    )
}

/// What goes over the wire of `kind`.
async fn sent(kind: &str, request: &ChatRequest) -> Value {
    let server = ModelServer::start(|_| any_answer()).await;
    assert_eq!(chat(remote(kind, &server.base_url()), request).await.unwrap().content, "ok");
    server.only_request().body
}

async fn sent_with(kind: &str, sampling: Sampling, options: ChatOptions) -> Value {
    sent(kind, &ChatRequest { sampling, options, ..question() }).await
}

fn everything() -> (Sampling, ChatOptions) {
    let sampling = Sampling { temperature: Some(0.5), max_tokens: Some(64), ..Sampling::default() };
    let options = ChatOptions {
        top_p: Some(0.9),
        stop: vec!["END".into(), "\n\n".into()],
        response_format: Some(ResponseFormat::Schema(json!({ "type": "object" }))),
        ..ChatOptions::default()
    };
    (sampling, options)
}

#[tokio::test]
async fn parameters_go_out_in_each_provider_s_own_names() {
    let schema = json!({ "type": "object" });
    let (mut sampling, mut options) = everything();
    let said = json!([{ "role": "user", "content": "Hello?" }]);
    options.extra = extra(json!({ "top_k": 5, "output_config": { "effort": "low" } }));
    assert_eq!(
        sent_with("anthropic", sampling.clone(), options.clone()).await,
        json!({
            "model": "m", "max_tokens": 64, "messages": said, "system": "Be brief.", "temperature": 0.5,
            "output_config": { "format": { "type": "json_schema", "schema": schema }, "effort": "low" },
            "top_p": 0.9, "stop_sequences": ["END", "\n\n"], "top_k": 5,
        })
    );
    (sampling.seed, options.frequency_penalty, options.presence_penalty) = (Some(7), Some(-1.0), Some(1.5));
    options.extra = extra(json!({ "generationConfig": { "topK": 5 } }));
    let config = json!({
        "temperature": 0.5, "maxOutputTokens": 64, "seed": 7, "topP": 0.9, "frequencyPenalty": -1.0,
        "presencePenalty": 1.5, "stopSequences": ["END", "\n\n"], "responseMimeType": "application/json",
        "responseJsonSchema": schema, "topK": 5,
    });
    assert_eq!(sent_with("gemini", sampling.clone(), options.clone()).await["generationConfig"], config);
    options.extra = extra(json!({ "logit_bias": { "1": 2 } }));
    let format = json!({ "type": "json_schema", "json_schema": { "name": "reply", "schema": schema, "strict": true } });
    assert_eq!(
        sent_with("openai", sampling, options).await,
        json!({
            "model": "m",
            "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Hello?" }],
            "temperature": 0.5, "max_tokens": 64, "seed": 7, "top_p": 0.9, "frequency_penalty": -1.0, "presence_penalty": 1.5,
            "stop": ["END", "\n\n"], "response_format": format, "logit_bias": { "1": 2 },
        })
    );
}

#[tokio::test]
async fn replies_in_json_are_asked_for_where_the_api_can() {
    let asked = |format| ChatOptions { response_format: Some(format), ..ChatOptions::default() };
    let json = || asked(ResponseFormat::Json);
    let openai = sent_with("openai", Sampling::default(), json()).await;
    assert_eq!(openai["response_format"], json!({ "type": "json_object" }));
    let gemini = sent_with("gemini", Sampling::default(), json()).await;
    assert_eq!(gemini["generationConfig"], json!({ "responseMimeType": "application/json" }));
    for kind in KINDS {
        let text = sent_with(kind, Sampling::default(), asked(ResponseFormat::Text)).await;
        assert_eq!(text, sent_with(kind, Sampling::default(), ChatOptions::default()).await, "{kind}");
    }
}

async fn objection(kind: &str, sampling: &Sampling, options: &ChatOptions) -> Option<String> {
    model(remote(kind, "http://127.0.0.1:9/v1"), "p/m").await.objection(sampling, options)
}

#[tokio::test]
async fn what_an_api_does_not_know_is_named_and_not_left_out() {
    let (none, no) = (Sampling::default(), ChatOptions::default());
    let cases = [
        (Sampling { seed: Some(1), ..none.clone() }, no.clone(), "does not know `seed`"),
        (
            none.clone(),
            ChatOptions { frequency_penalty: Some(1.0), presence_penalty: Some(1.0), ..no.clone() },
            "does not know `frequencyPenalty` and `presencePenalty`",
        ),
        (
            none.clone(),
            ChatOptions { response_format: Some(ResponseFormat::Json), ..no.clone() },
            "does not know `responseFormat: json`",
        ),
        (
            Sampling { temperature: Some(1.5), ..none.clone() },
            no.clone(),
            "takes a `temperature` of at most 1, not of 1.5",
        ),
    ];
    for (sampling, options, expected) in cases {
        assert_eq!(objection("anthropic", &sampling, &options).await.as_deref(), Some(expected));
        assert_eq!(objection("openai", &sampling, &options).await, None, "{expected}");
        assert_eq!(objection("gemini", &sampling, &options).await, None, "{expected}");
    }
    let (sampling, options) = everything();
    for kind in KINDS {
        assert_eq!(objection(kind, &sampling, &options).await, None, "{kind}");
    }
}

#[tokio::test]
async fn extra_keys_cannot_contradict_what_is_asked_for_otherwise() {
    let (sampling, options) = everything();
    for (kind, added, taken) in [
        ("openai", json!({ "top_p": 1 }), "top_p"),
        ("anthropic", json!({ "max_tokens": 1 }), "max_tokens"),
        ("gemini", json!({ "generationConfig": { "topP": 1 } }), "generationConfig.topP"),
        ("gemini", json!({ "generationConfig": 1 }), "generationConfig"),
    ] {
        let options = ChatOptions { extra: extra(added), ..options.clone() };
        let expected = format!("is asked for `{taken}` already, so `extra` cannot have it");
        assert_eq!(objection(kind, &sampling, &options).await, Some(expected), "{kind}");
    }
}

#[tokio::test]
async fn a_price_and_a_limit_hide_no_objection() {
    let mut definition = remote("anthropic", "http://127.0.0.1:9/v1");
    definition["prices"] = json!({ "m": { "inputPerMillion": 1, "outputPerMillion": 1 } });
    let seeded = Sampling { seed: Some(1), ..Sampling::default() };
    assert!(model(definition, "p/m").await.objection(&seeded, &ChatOptions::default()).is_some());
}

#[tokio::test]
async fn tools_are_offered_and_chosen_in_each_provider_s_form() {
    let choices = [
        (None, [Value::Null, Value::Null, Value::Null]),
        (Some(ToolChoice::Auto), [json!("auto"), json!({ "type": "auto" }), json!({ "mode": "AUTO" })]),
        (Some(ToolChoice::None), [json!("none"), json!({ "type": "none" }), json!({ "mode": "NONE" })]),
        (Some(ToolChoice::Required), [json!("required"), json!({ "type": "any" }), json!({ "mode": "ANY" })]),
        (
            Some(ToolChoice::Tool("look".into())),
            [
                json!({ "type": "function", "function": { "name": "look" } }),
                json!({ "type": "tool", "name": "look" }),
                json!({ "mode": "ANY", "allowedFunctionNames": ["look"] }),
            ],
        ),
    ];
    for (tool_choice, expected) in choices {
        for (kind, expected) in KINDS.into_iter().zip(expected) {
            let tools = vec![tool("look"), tool("refund")];
            let options = ChatOptions { tools, tool_choice: tool_choice.clone(), ..ChatOptions::default() };
            let body = sent_with(kind, Sampling::default(), options).await;
            let (chosen, names) = match kind {
                "openai" => (
                    &body["tool_choice"],
                    body["tools"].as_array().unwrap().iter().map(|t| &t["function"]["name"]).collect(),
                ),
                "anthropic" => (
                    &body["tool_choice"],
                    body["tools"].as_array().unwrap().iter().map(|t| &t["name"]).collect(),
                ),
                _ => {
                    let declared = body["tools"][0]["functionDeclarations"].as_array().unwrap();
                    (
                        &body["toolConfig"]["functionCallingConfig"],
                        declared.iter().map(|t| &t["name"]).collect::<Vec<_>>(),
                    )
                }
            };
            assert_eq!((chosen, names), (&expected, vec![&json!("look"), &json!("refund")]), "{kind}");
        }
    }
}

fn call(id: &str, arguments: Value) -> ToolCall {
    ToolCall { id: id.to_owned(), name: "look".to_owned(), arguments }
}

/// A conversation in which two tools were called at once and have answered.
fn answered(calls: &[ToolCall; 2], verbatim: Option<Value>) -> ChatRequest {
    let [first, second] = calls;
    let answers = [ChatMessage::answering(first, "{\"n\":1}"), ChatMessage::answering(second, "none")];
    let called = ChatMessage { verbatim, ..ChatMessage::calling("Let me see.", calls.to_vec()) };
    let mut messages = question().messages;
    messages.push(called);
    messages.extend(answers);
    messages.push(ChatMessage::new(ChatRole::User, "And?"));
    let options = ChatOptions { tools: vec![tool("look")], ..ChatOptions::default() };
    ChatRequest { messages, options, ..question() }
}

#[tokio::test]
async fn calls_and_their_answers_are_told_over_chat_completions() {
    let request = answered(&[call("a", json!({ "id": "7" })), call("", json!("{broken"))], None);
    let messages = sent("openai", &request).await["messages"].clone();
    let called = |id: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": "look", "arguments": arguments } });
    assert_eq!(
        messages.as_array().unwrap()[2..],
        [
            json!({
                "role": "assistant", "content": "Let me see.",
                "tool_calls": [called("a", "{\"id\":\"7\"}"), called("call_2", "{broken")],
            }),
            json!({ "role": "tool", "content": "{\"n\":1}", "tool_call_id": "a" }),
            json!({ "role": "tool", "content": "none", "tool_call_id": "call_2" }),
            json!({ "role": "user", "content": "And?" }),
        ]
    );
}

#[tokio::test]
async fn calls_and_their_answers_are_told_over_anthropic_messages() {
    let calls = [call("a", json!({ "id": "7" })), call("b", json!("{broken"))];
    let messages = sent("anthropic", &answered(&calls, None)).await["messages"].clone();
    let results = json!([
        { "type": "tool_result", "tool_use_id": "a", "content": "{\"n\":1}" },
        { "type": "tool_result", "tool_use_id": "b", "content": "none" },
    ]);
    assert_eq!(
        messages.as_array().unwrap()[1..],
        [
            json!({ "role": "assistant", "content": [
                { "type": "text", "text": "Let me see." },
                { "type": "tool_use", "id": "a", "name": "look", "input": { "id": "7" } },
                { "type": "tool_use", "id": "b", "name": "look", "input": {} },
            ]}),
            json!({ "role": "user", "content": results }),
            json!({ "role": "user", "content": "And?" }),
        ]
    );
    let thoughts = json!([{ "type": "thinking", "thinking": "hm", "signature": "s" }]);
    let messages = sent("anthropic", &answered(&calls, Some(thoughts.clone()))).await["messages"].clone();
    assert_eq!(messages[1], json!({ "role": "assistant", "content": thoughts }));
}

#[tokio::test]
async fn calls_and_their_answers_are_told_over_gemini() {
    let calls = [call("", json!({ "id": "7" })), call("b", json!("{broken"))];
    let contents = sent("gemini", &answered(&calls, None)).await["contents"].clone();
    assert_eq!(
        contents.as_array().unwrap()[1..],
        [
            json!({ "role": "model", "parts": [
                { "text": "Let me see." },
                { "functionCall": { "name": "look", "args": { "id": "7" } } },
                { "functionCall": { "name": "look", "args": {}, "id": "b" } },
            ]}),
            json!({ "role": "user", "parts": [
                { "functionResponse": { "name": "look", "response": { "n": 1 } } },
                { "functionResponse": { "name": "look", "response": { "result": "none" }, "id": "b" } },
            ]}),
            json!({ "role": "user", "parts": [{ "text": "And?" }] }),
        ]
    );
    let signed = json!([{ "functionCall": { "name": "look", "args": {} }, "thoughtSignature": "s" }]);
    let contents = sent("gemini", &answered(&calls, Some(signed.clone()))).await["contents"].clone();
    assert_eq!(contents[1], json!({ "role": "model", "parts": signed }));
}

#[tokio::test]
async fn an_answer_with_calls_is_kept_as_its_provider_wants_it_back() {
    let blocks = json!([
        { "type": "thinking", "thinking": "hm", "signature": "s" },
        { "type": "text", "text": "" },
        { "type": "tool_use", "id": "t", "name": "look", "input": { "n": 3 } },
    ]);
    let parts = json!([{ "functionCall": { "name": "look", "args": { "n": 3 } }, "thoughtSignature": "s" }]);
    let cases = [
        ("anthropic", json!({ "content": blocks }), json!([blocks[0], blocks[2]])),
        ("gemini", json!({ "candidates": [{ "content": { "parts": parts } }] }), parts),
    ];
    for (kind, answer, expected) in cases {
        let server = ModelServer::answering([Answer::json(200, &answer)]).await;
        let reply = chat(remote(kind, &server.base_url()), &question()).await.unwrap();
        assert_eq!(reply.verbatim, Some(expected), "{kind}");
    }
    let server = ModelServer::answering([any_answer()]).await;
    assert_eq!(chat(remote("gemini", &server.base_url()), &question()).await.unwrap().verbatim, None);
}
