//! Agents that answer bit by bit.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use scenario_worker::events::Attribution;
use serde_json::{Value, json};

use super::stage::with;
use super::table::Expected::{Fails, Says};
use super::table::{Row, ok, play, play_one, reply, sse};
use crate::support::http_agent::Answer;

const OPENAI: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"I am \"}}]}\n\n: keep-alive\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"sorry.\"}}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
const OLLAMA: &str = "{\"message\":{\"content\":\"I am \"},\"done\":false}\n{\"message\":{\"content\":\"sorry.\"},\"done\":false}\n\
    {\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":11,\"eval_count\":5}\n";

fn openai() -> Value {
    json!({ "stream": { "format": "sse", "delta": "$.choices[0].delta.content", "done": "[DONE]" } })
}

fn ollama() -> Value {
    json!({ "stream": { "format": "ndjson", "delta": "$.message.content", "done": "$.done", "error": "$.error" } })
}

fn ndjson(body: &str) -> Vec<Answer> {
    vec![Answer::typed("application/x-ndjson", body)]
}

/// A chunked answer, a chunk for each of `pieces`, and no end.
fn chunked(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let head =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunk = |piece: &&[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    std::iter::once(head).chain(pieces.iter().map(chunk)).collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn the_words_of_a_stream_are_put_together() {
    let named = |events: Value| json!({ "stream": { "format": "sse", "delta": "$.text", "event": events, "done": { "event": "end" } } });
    let events = "event: start\ndata: nothing\n\nevent: delta\ndata: {\"text\":\"Su\"}\n\nevent: thought\ndata: {\"text\":\"hm\"}\n\nevent: delta\ndata: {\"text\":\"re\"}\n\nevent: end\ndata:\n\n";
    let whole = chunked(&OPENAI.as_bytes().chunks(1).collect::<Vec<_>>()).concat();
    let rows: Vec<Row> = vec![
        ("OpenAI's", openai(), sse(OPENAI), Says("I am sorry.")),
        ("in lines that end in CRLF", openai(), sse(&OPENAI.replace('\n', "\r\n")), Says("I am sorry.")),
        ("in lines that end in CR", openai(), sse(&OPENAI.replace('\n', "\r")), Says("I am sorry.")),
        (
            "byte by byte, without an end of the body",
            openai(),
            vec![Answer::Stall(vec![whole])],
            Says("I am sorry."),
        ),
        ("Ollama's", ollama(), ndjson(OLLAMA), Says("I am sorry.")),
        ("Ollama's without the last line end", ollama(), ndjson(OLLAMA.trim_end()), Says("I am sorry.")),
        ("named events", named(json!("delta")), sse(events), Says("Sure")),
        ("several names", named(json!(["delta", "thought"])), sse(events), Says("Suhmre")),
        (
            "the answer so far in each event",
            json!({ "stream": { "format": "ndjson", "delta": "$", "accumulate": "last" } }),
            ndjson("\"Su\"\n\"Sure\"\n"),
            Says("Sure"),
        ),
        (
            "words that are no JSON",
            json!({ "stream": { "format": "sse" } }),
            sse("data: Well,\ndata: yes\n\ndata:  sure\n\ndata: [DONE]\n\n"),
            Says("Well,\nyes sure"),
        ),
        (
            "under a type that says nothing",
            openai(),
            vec![Answer::typed("text/plain", OPENAI)],
            Says("I am sorry."),
        ),
        ("under no type", openai(), vec![reply(200, &[], OPENAI)], Says("I am sorry.")),
        (
            "compressed",
            openai(),
            vec![reply(
                200,
                &[("content-type", "text/event-stream"), ("content-encoding", "gzip")],
                gzip(OPENAI.as_bytes()),
            )],
            Says("I am sorry."),
        ),
        (
            "an agent that answers in one piece all the same",
            with(openai(), json!({ "outputPath": "$.reply" })),
            ok(json!({ "reply": "Sure" })),
            Says("Sure"),
        ),
        (
            "what follows the end is not looked at",
            openai(),
            sse(&format!("{OPENAI}data: nonsense\n\n")),
            Says("I am sorry."),
        ),
        (
            "ends with its body where nothing marks the end",
            json!({ "stream": { "format": "sse", "delta": "$.t" } }),
            sse("data: {\"t\":\"Sure\"}\n\n"),
            Says("Sure"),
        ),
    ];
    play(rows).await;
}

#[tokio::test]
async fn a_stream_that_is_no_answer_is_a_failure() {
    let events_error =
        json!({ "stream": { "format": "sse", "delta": "$.t", "error": { "event": "error" } } });
    let small = with(openai(), json!({ "maxResponseBytes": 100 }));
    let broken = chunked(&[&OPENAI.as_bytes()[..60]]).concat();
    let rows: Vec<Row> = vec![
        (
            "without its mark at the end",
            openai(),
            sse(&OPENAI.replace("data: [DONE]\n\n", "")),
            Fails("http_invalid_response", "ended before `stream.done`"),
        ),
        (
            "with half a mark at the end",
            openai(),
            sse(OPENAI.trim_end()),
            Fails("http_invalid_response", "ended before `stream.done`"),
        ),
        (
            "Ollama's without its mark",
            ollama(),
            ndjson(&OLLAMA.replace("true", "false")),
            Fails("http_invalid_response", "ended before `stream.done`"),
        ),
        (
            "that reports an error",
            ollama(),
            ndjson("{\"message\":{\"content\":\"I\"}}\n{\"error\":\"out of memory\"}\n"),
            Fails("agent_error", "/chat reports an error: out of memory"),
        ),
        (
            "that reports an error by an event",
            events_error,
            sse("data: {\"t\":\"I\"}\n\nevent: error\ndata: too busy\n\n"),
            Fails("agent_error", "too busy"),
        ),
        (
            "with an event that is no JSON",
            openai(),
            sse("data: {\"choices\":[]}\n\ndata: oh\n\n"),
            Fails("http_invalid_response", "event 2 of the stream is not JSON"),
        ),
        (
            "with a line that is no JSON",
            ollama(),
            ndjson("{}\n<html>\n"),
            Fails("http_invalid_response", "line 2 of the stream is not JSON"),
        ),
        ("that says nothing", openai(), sse("data: [DONE]\n\n"), Fails("empty_reply", "empty reply")),
        ("that is empty", openai(), sse(""), Fails("http_invalid_response", "ended before `stream.done`")),
        (
            "that is too large",
            small.clone(),
            sse(OPENAI),
            Fails("http_response_too_large", "larger than the 100 bytes"),
        ),
        (
            "whose first line does not end",
            small,
            vec![Answer::Endless { status: 200 }],
            Fails("http_response_too_large", "larger than the 100 bytes"),
        ),
        (
            "that is cut off",
            openai(),
            vec![Answer::Raw(broken.clone())],
            Fails("http_invalid_response", "before its reply was complete"),
        ),
        (
            "that is reset",
            openai(),
            vec![Answer::Reset(broken)],
            Fails("http_invalid_response", "before its reply was complete"),
        ),
        (
            "with a status that is none",
            openai(),
            vec![reply(503, &[("content-type", "text/event-stream")], OPENAI)],
            Fails("http_status", "HTTP 503 "),
        ),
        (
            "server-sent events that nobody described",
            json!({}),
            sse(OPENAI),
            Fails("stream_not_described", "text/event-stream"),
        ),
        (
            "even with a path",
            json!({ "outputPath": "$.reply" }),
            sse(OPENAI),
            Fails("stream_not_described", "text/event-stream"),
        ),
        (
            "lines that nobody described",
            json!({}),
            ndjson(OLLAMA),
            Fails("stream_not_described", "application/x-ndjson"),
        ),
        (
            "an endless one that nobody described",
            json!({}),
            vec![Answer::Forever(chunked(&[]).concat(), b"5\r\n: hi\n\r\n".to_vec())],
            Fails("stream_not_described", "text/event-stream"),
        ),
    ];
    play(rows).await;
}

#[tokio::test]
async fn a_stream_that_nobody_described_is_put_down_to_the_definition() {
    let (reply, _) = play_one(json!({}), sse(OPENAI)).await;
    let failure = reply.unwrap_err();
    assert_eq!(failure.attributed_to, Attribution::Definition);
    assert!(failure.hint.unwrap().contains("stream: { format: sse"));
}

#[tokio::test]
async fn tools_tokens_and_the_first_words_of_a_stream_are_told() {
    let rules = with(
        openai(),
        json!({
            "toolCalls": { "path": "$.choices[0].delta.tool_calls[*]", "name": "$.function.name", "arguments": "$.function.arguments" },
            "usage": { "inputTokens": "$.usage.prompt_tokens", "outputTokens": "$.usage.completion_tokens" },
        }),
    );
    let call =
        |call: Value| format!("data: {}\n\n", json!({ "choices": [{ "delta": { "tool_calls": [call] } }] }));
    let stream = [
        call(json!({ "index": 0, "id": "c1", "function": { "name": "refund", "arguments": "{\"or" } })),
        call(json!({ "index": 0, "function": { "arguments": "der\":7}" } })),
        OPENAI.to_owned(),
    ];
    let (reply, requests) = play_one(rules, sse(&stream.concat())).await;
    let reply = reply.unwrap();
    assert_eq!(reply.content, "I am sorry.");
    assert_eq!((reply.usage.input_tokens, reply.usage.output_tokens), (11, 5));
    let call = &reply.tool_calls[0];
    assert_eq!(
        (call.id.as_str(), call.name.as_str(), &call.arguments),
        ("c1", "refund", &json!({ "order": 7 }))
    );
    assert!(reply.first_chunk.is_some());
    assert_eq!(requests[0].header("accept"), Some("text/event-stream, application/json;q=0.9"));
}

#[tokio::test]
async fn a_reply_in_one_piece_has_no_first_words() {
    let (reply, requests) = play_one(json!({}), ok(json!("Sure"))).await;
    assert_eq!(reply.unwrap().first_chunk, None);
    assert_eq!(requests[0].header("accept"), Some("*/*"));
}

#[tokio::test]
async fn a_definition_knows_better_what_it_accepts() {
    let own = json!({ "headers": [{ "key": "Accept", "value": "text/x-own" }] });
    let (_, requests) = play_one(with(openai(), own), sse(OPENAI)).await;
    assert_eq!(requests[0].header("accept"), Some("text/x-own"));
}
