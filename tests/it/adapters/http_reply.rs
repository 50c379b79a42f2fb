//! What is made of an HTTP agent's reply.

use scenario_worker::events::Attribution;
use scenario_worker::execution::failure::RunFailure;
use serde_json::{Value, json};

use super::stage::ask;
use crate::support::http_agent::{Answer, HttpAgent};

async fn reply(
    content_type: &'static str,
    body: &'static [u8],
    output: Option<&str>,
) -> Result<String, RunFailure> {
    let agent = HttpAgent::start(move |_| Answer::typed(content_type, body)).await;
    let config = match output {
        Some(path) => json!({ "url": agent.url(), "outputPath": path }),
        None => json!({ "url": agent.url() }),
    };
    ask(config).await.map(|reply| reply.content)
}

async fn json_reply(body: &'static str, output: Option<&str>) -> Result<String, RunFailure> {
    reply("application/json; charset=utf-8", body.as_bytes(), output).await
}

#[tokio::test]
async fn without_a_path_the_whole_reply_is_what_was_said() {
    assert_eq!(json_reply("\"Sure\"", None).await.unwrap(), "Sure");
    assert_eq!(json_reply("{ \"b\": 1,\n \"a\": [true] }", None).await.unwrap(), r#"{"b":1,"a":[true]}"#);
    assert_eq!(reply("application/problem+json", b"[ 1 ]", None).await.unwrap(), "[1]");
    assert_eq!(reply("text/plain", b"{ \"a\": 1 }\n", None).await.unwrap(), "{ \"a\": 1 }\n");
    assert_eq!(reply("text/html", b"Yes, <b>sure</b>", None).await.unwrap(), "Yes, <b>sure</b>");
    assert_eq!(reply("text/plain; charset=iso-8859-1", b"caf\xe9", None).await.unwrap(), "café");
    let utf_16 = b"\"\0S\0u\0r\0e\0\"\0";
    assert_eq!(reply("application/json; charset=utf-16le", utf_16, None).await.unwrap(), "Sure");
    assert_eq!(reply("text/plain", "\u{feff}Grüße".as_bytes(), None).await.unwrap(), "Grüße");
}

#[tokio::test]
async fn a_path_takes_the_first_match() {
    let body =
        r#"{"reply": "Sure", "n": 2.5, "choices": [{"text": "one"}, {"text": "two"}], "o": {"a": [1]}}"#;
    for (path, expected) in [
        ("$.reply", "Sure"),
        (" $.n ", "2.5"),
        ("$.choices[*].text", "one"),
        ("$..text", "one"),
        ("$.choices[?@.text == 'two'].text", "two"),
        ("$.o", r#"{"a":[1]}"#),
        (
            "",
            "{\"reply\":\"Sure\",\"n\":2.5,\"choices\":[{\"text\":\"one\"},{\"text\":\"two\"}],\"o\":{\"a\":[1]}}",
        ),
    ] {
        assert_eq!(json_reply(body, Some(path)).await.unwrap(), expected, "{path}");
    }
    assert_eq!(reply("text/plain", b"{\"reply\": \"Sure\"}", Some("$.reply")).await.unwrap(), "Sure");
}

#[tokio::test]
async fn a_path_that_matches_nothing_is_an_error_and_never_the_whole_body() {
    let failure = json_reply(r#"{"other": "Sure"}"#, Some("$.reply")).await.unwrap_err();
    assert_eq!((failure.code.as_ref(), failure.attributed_to), ("output_path_no_match", Attribution::Target));
    assert!(failure.message.contains("'$.reply' matches nothing"), "{failure}");
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_is_an_error() {
    for (content_type, body, output, part) in [
        ("application/json", &b"{\"a\":"[..], None, "is not JSON"),
        ("text/html", b"<html>", Some("$.reply"), "is not JSON"),
        ("text/plain", b"caf\xe9", None, "is not UTF-8"),
        ("application/json", b"\"caf\xe9\"", Some("$"), "is not UTF-8"),
        ("text/plain; charset=klingon", b"caf\xe9", None, "declared to be 'klingon'"),
        ("text/plain; charset=shift_jis", b"caf\x81", None, "declared to be 'shift_jis'"),
        ("text/html; charset=utf-8", b"\n<!DOCTYPE html><form>Log in", None, "a page of the web (text/html)"),
        ("text/html", b"<html lang=en>Log in", None, "a page of the web (text/html)"),
        ("text/plain", b"<HTML>Log in", None, "a page of the web (text/plain)"),
    ] {
        let failure = reply(content_type, body, output).await.unwrap_err();
        assert_eq!(
            (failure.code.as_ref(), failure.attributed_to),
            ("http_invalid_response", Attribution::Target)
        );
        assert!(failure.message.contains(part), "{failure}");
    }
}

#[tokio::test]
async fn an_empty_reply_is_an_error() {
    for (content_type, body, output) in [
        ("text/plain", &b""[..], None),
        ("application/json", b"", None),
        ("application/json", b"\" \"", None),
        ("application/json", b"null", None),
        ("application/json", b"{\"reply\": null}", Some("$.reply")),
        ("application/json", b"{\"reply\": \"\"}", Some("$.reply")),
    ] {
        let failure = reply(content_type, body, output).await.unwrap_err();
        assert_eq!((failure.code.as_ref(), failure.attributed_to), ("empty_reply", Attribution::Target));
    }
}

#[tokio::test]
async fn a_large_reply_below_the_limit_is_read() {
    let text = "é".repeat(1024 * 1024);
    let body = Value::from(text.as_str()).to_string();
    let agent = HttpAgent::start(move |_| Answer::typed("application/json", body.clone())).await;
    assert_eq!(ask(json!({ "url": agent.url() })).await.unwrap().content, text);
}

#[tokio::test]
async fn an_answer_that_echoes_the_credentials_does_not_carry_them_on() {
    let agent = HttpAgent::start(|request| {
        let sent = request.header("authorization").unwrap_or_default().to_owned();
        Answer::typed("text/plain", format!("I was sent {sent}. You owe us 12 EUR.").into_bytes())
    })
    .await;
    let auth = json!({ "type": "basic", "username": "12", "password": "a-long-secret" });
    let config = json!({ "url": agent.url(), "auth": auth, "headers": [{ "key": "X-Key", "value": "a-long-secret" }] });
    let said = ask(config).await.unwrap().content;
    assert_eq!(said, "I was sent Basic [redacted]. You owe us 12 EUR.", "short ones stay, they are words");
}
