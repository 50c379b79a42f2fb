//! HTTP agents that mean harm, or are broken in ways that do some.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tokio::net::TcpListener;

use super::stage::{ask, with};
use super::table::Expected::{Fails, Says};
use super::table::{Row, answering, play, reply};
use crate::support::http_agent::{Answer, HttpAgent};

/// What a compressed answer of some kilobytes unpacks to, in bytes.
const BOMB: usize = 8 * 1024 * 1024;

fn raw(bytes: impl AsRef<[u8]>) -> Vec<Answer> {
    vec![Answer::Raw(bytes.as_ref().to_vec())]
}

fn chunks(chunks: &str) -> Vec<Answer> {
    raw(format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn compressed(body: Vec<u8>) -> Vec<Answer> {
    vec![reply(200, &[("content-encoding", "gzip"), ("content-type", "text/plain")], body)]
}

fn redirect(to: &str) -> Answer {
    reply(307, &[("location", to)], "")
}

#[tokio::test]
async fn answers_that_break_the_protocol_are_no_answers() {
    let broken = "before its reply was complete";
    let rows: Vec<Row> = vec![
        ("nothing at all", json!({}), raw(""), Fails("http_invalid_response", broken)),
        ("a reset at once", json!({}), vec![Answer::Reset(vec![])], Fails("http_invalid_response", broken)),
        (
            "a reset in the headers",
            json!({}),
            vec![Answer::Reset(b"HTTP/1.1 200 OK\r\nx-".to_vec())],
            Fails("http_invalid_response", broken),
        ),
        (
            "a reset in the body",
            json!({}),
            vec![Answer::Reset(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec())],
            Fails("http_invalid_response", broken),
        ),
        (
            "another protocol",
            json!({}),
            raw("SSH-2.0-OpenSSH_9.6\r\n"),
            Fails("http_invalid_response", broken),
        ),
        ("no status", json!({}), raw("HTTP/1.1 OK\r\n\r\n"), Fails("http_invalid_response", broken)),
        (
            "a status of two digits",
            json!({}),
            raw("HTTP/1.1 20 OK\r\n\r\n"),
            Fails("http_invalid_response", broken),
        ),
        (
            "a body without a status",
            json!({}),
            raw("{\"reply\": \"Sure\"}"),
            Fails("http_invalid_response", broken),
        ),
        (
            "a header with a NUL",
            json!({}),
            raw("HTTP/1.1 200 OK\r\nx-a: \0\r\ncontent-length: 4\r\n\r\nSure"),
            Fails("http_invalid_response", broken),
        ),
        (
            "a header without a name",
            json!({}),
            raw("HTTP/1.1 200 OK\r\n: a\r\ncontent-length: 4\r\n\r\nSure"),
            Fails("http_invalid_response", broken),
        ),
        (
            "headers that break off",
            json!({}),
            raw("HTTP/1.1 200 OK\r\ncontent-le"),
            Fails("http_invalid_response", broken),
        ),
        (
            "less than its length",
            json!({}),
            raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nSure"),
            Fails("http_invalid_response", broken),
        ),
        (
            "more than its length",
            json!({}),
            raw("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nSure and more"),
            Says("Sure"),
        ),
        (
            "a length below nothing",
            json!({}),
            raw("HTTP/1.1 200 OK\r\ncontent-length: -4\r\n\r\nSure"),
            Fails("http_invalid_response", broken),
        ),
        (
            "two lengths",
            json!({}),
            raw("HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 2\r\n\r\nSure"),
            Fails("http_invalid_response", broken),
        ),
        ("no length", json!({}), raw("HTTP/1.1 200 OK\r\n\r\nSure"), Says("Sure")),
        ("chunks", json!({}), chunks("2\r\nSu\r\n2;x=y\r\nre\r\n0\r\n\r\n"), Says("Sure")),
        ("no last chunk", json!({}), chunks("4\r\nSure\r\n"), Fails("http_invalid_response", broken)),
        ("a chunk that breaks off", json!({}), chunks("9\r\nSure"), Fails("http_invalid_response", broken)),
        (
            "a chunk's size that is none",
            json!({}),
            chunks("zz\r\nSure\r\n0\r\n\r\n"),
            Fails("http_invalid_response", broken),
        ),
        (
            "a chunk's size that overflows",
            json!({}),
            chunks("fffffffffffffffff\r\nSure\r\n0\r\n\r\n"),
            Fails("http_invalid_response", broken),
        ),
        (
            "a chunk that is longer than it says",
            json!({}),
            chunks("2\r\nSure\r\n0\r\n\r\n"),
            Fails("http_invalid_response", broken),
        ),
    ];
    play(rows).await;
}

#[tokio::test]
async fn answers_without_measure_are_not_taken_in() {
    let small = json!({ "maxResponseBytes": 1000 });
    let endless = |begin: &str, again: &str| vec![Answer::Forever(begin.into(), again.repeat(500).into())];
    let largest: &str = "x".repeat(1000).leak();
    let too_large = "is larger than the 1000 bytes that are read";
    let rows: Vec<Row> = vec![
        (
            "a body without end",
            small.clone(),
            vec![Answer::Endless { status: 200 }],
            Fails("http_response_too_large", too_large),
        ),
        (
            "chunks without end",
            small.clone(),
            endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
            Fails("http_response_too_large", too_large),
        ),
        (
            "a length that is a lie",
            small.clone(),
            endless("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "x"),
            Fails("http_response_too_large", too_large),
        ),
        (
            "a failure without end",
            small.clone(),
            vec![Answer::Endless { status: 500 }],
            Fails("http_status", "… [truncated]"),
        ),
        (
            "just as much as is taken in",
            small.clone(),
            raw(format!("HTTP/1.1 200 OK\r\n\r\n{largest}")),
            Says(largest),
        ),
        (
            "one byte more",
            small,
            raw(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1001))),
            Fails("http_response_too_large", too_large),
        ),
        (
            "headers without end",
            json!({}),
            endless("HTTP/1.1 200 OK\r\n", "x-a: b\r\n"),
            Fails("http_invalid_response", ""),
        ),
        (
            "a header without end",
            json!({}),
            endless("HTTP/1.1 200 OK\r\nx-a: ", "b"),
            Fails("http_invalid_response", ""),
        ),
        (
            "a little that unpacks to much",
            json!({}),
            compressed(gzip(&vec![b'x'; BOMB])),
            Fails("http_response_too_large", "4194304 bytes"),
        ),
        (
            "packed twice",
            json!({ "maxResponseBytes": 100_000 }),
            compressed(gzip(&gzip(&vec![b'x'; BOMB]))),
            Fails("http_invalid_response", "it is not UTF-8"),
        ),
        ("packed", json!({}), compressed(gzip(b"Sure")), Says("Sure")),
        ("packed, they say", json!({}), compressed(b"Sure".to_vec()), Fails("http_invalid_response", "")),
        (
            "packed, and cut off",
            json!({}),
            compressed(gzip(b"Sure, I can help")[..20].to_vec()),
            Fails("http_invalid_response", ""),
        ),
        (
            "JSON that is deeper than deep",
            json!({ "outputPath": "$.a" }),
            raw(format!("HTTP/1.1 200 OK\r\n\r\n{}", "[".repeat(100_000))),
            Fails("http_invalid_response", "it is not JSON"),
        ),
    ];
    play(rows).await;
}

#[tokio::test]
async fn redirects_lead_only_where_they_may_and_not_for_ever() {
    let chain = |hops: usize| -> Vec<Answer> {
        (0..hops).map(|_| redirect("/next")).chain([reply(200, &[], "Sure")]).collect()
    };
    let rows: Vec<Row> = vec![
        ("one", json!({}), chain(1), Says("Sure")),
        ("ten", json!({}), chain(10), Says("Sure")),
        ("eleven", json!({}), chain(11), Fails("http_unreachable", "redirects more than 10 times")),
        (
            "in a circle",
            json!({}),
            vec![redirect("/chat")],
            Fails("http_unreachable", "redirects more than 10 times"),
        ),
        (
            "to metadata",
            json!({}),
            vec![redirect("http://169.254.169.254/latest/meta-data/")],
            Fails("egress_refused", "metadata"),
        ),
        (
            "to metadata by a number",
            json!({}),
            vec![redirect("http://2852039166/")],
            Fails("egress_refused", "169.254.169.254"),
        ),
        (
            "to metadata by another number",
            json!({}),
            vec![redirect("http://0xa9.0xfe.0251.254/")],
            Fails("egress_refused", "169.254.169.254"),
        ),
        (
            "to metadata in the new form",
            json!({}),
            vec![redirect("http://[::ffff:169.254.169.254]/")],
            Fails("egress_refused", "metadata"),
        ),
        (
            "to metadata by name",
            json!({}),
            vec![redirect("http://metadata.google.internal/")],
            Fails("egress_refused", "metadata"),
        ),
        (
            "to metadata on the tenth hop",
            json!({}),
            (0..9).map(|_| redirect("/next")).chain([redirect("http://169.254.169.254/")]).collect(),
            Fails("egress_refused", "metadata"),
        ),
        ("to a file", json!({}), vec![redirect("file:///etc/passwd")], Fails("egress_refused", "'file'")),
        ("to nowhere", json!({}), vec![reply(302, &[], "")], Fails("http_status", "HTTP 302 Found")),
        ("to no place at all", json!({}), vec![redirect("http://")], Fails("http_status", "HTTP 307 ")),
    ];
    play(rows).await;
}

#[tokio::test]
async fn every_limit_of_time_is_told_in_its_own_words() {
    let stall = |bytes: &str| Answer::Stall(vec![bytes.as_bytes().to_vec()]);
    let half = stall("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    let stream = json!({ "stream": { "format": "sse", "delta": "$.t" }, "idleTimeoutSeconds": 1 });
    for (name, config, answer, words, hint) in [
        (
            "all",
            json!({ "timeoutSeconds": 1 }),
            Answer::Hang,
            "did not answer within 1 seconds",
            "raise timeoutSeconds",
        ),
        (
            "all, in the body",
            json!({ "timeoutSeconds": 1 }),
            half.clone(),
            "did not answer within 1 seconds",
            "raise timeoutSeconds",
        ),
        (
            "first byte",
            json!({ "firstByteTimeoutSeconds": 1 }),
            Answer::Hang,
            "did not begin to answer within 1 seconds",
            "firstByteTimeoutSeconds",
        ),
        (
            "first byte, in the headers",
            json!({ "firstByteTimeoutSeconds": 1 }),
            stall("HTTP/1.1 200 OK\r\nx-"),
            "did not begin to answer within 1 seconds",
            "firstByteTimeoutSeconds",
        ),
        (
            "first byte, behind news that are none",
            json!({ "firstByteTimeoutSeconds": 1 }),
            stall("HTTP/1.1 103 Early Hints\r\n\r\n"),
            "did not begin to answer within 1 seconds",
            "firstByteTimeoutSeconds",
        ),
        (
            "idle",
            json!({ "idleTimeoutSeconds": 1 }),
            half,
            "fell silent for 1 seconds in the middle of its answer",
            "idleTimeoutSeconds",
        ),
        (
            "idle, in a stream",
            stream,
            stall("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\"t\":\"Su\"}\n\n"),
            "fell silent for 1 seconds in the middle of its answer",
            "idleTimeoutSeconds",
        ),
    ] {
        let agent = answering(vec![answer]).await;
        let config = with(json!({ "url": agent.url(), "timeoutSeconds": 20 }), config);
        let failure = ask(config).await.unwrap_err();
        assert_eq!(failure.code, "http_timeout", "{name}");
        assert_eq!(failure.message, format!("{}/ {words}", agent.url()), "{name}");
        assert!(failure.hint.unwrap().contains(hint), "{name}");
    }
}

#[tokio::test]
async fn a_failure_whose_body_stalls_is_still_told_by_its_status() {
    let stalled = b"HTTP/1.1 503 x\r\ncontent-length: 100\r\n\r\nbusy".to_vec();
    let agent = HttpAgent::start(move |_| Answer::Stall(vec![stalled.clone()])).await;
    let config = json!({ "url": agent.url(), "idleTimeoutSeconds": 1, "timeoutSeconds": 20 });
    let failure = ask(config).await.unwrap_err();
    let said =
        format!("HTTP 503 Service Unavailable from {}/ (request-id: none): busy… [truncated]", agent.url());
    assert_eq!((failure.code.as_ref(), failure.message), ("http_status", said));
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_in_time_is_told_as_such() {
    // Whoever connects waits for a greeting that never comes.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/chat", silent.local_addr().unwrap());
    let config = json!({ "url": url, "timeoutSeconds": 20, "connectTimeoutSeconds": 1 });
    let failure = ask(config).await.unwrap_err();
    assert_eq!(failure.code, "http_unreachable");
    assert_eq!(
        failure.message,
        format!("{url} could not be reached: no connection came about within 1 seconds")
    );
}
