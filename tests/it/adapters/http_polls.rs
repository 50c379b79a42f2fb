//! HTTP agents that take a request in at once and answer later.

use serde_json::{Value, json};

use super::stage::{LINE, ask_with, dialogue, failure, http_adapter, secrets, with};
use super::table::Expected::{Fails, Says};
use super::table::{Row, answering, json_of, play, play_one, reply};
use crate::support::http_agent::Answer;

fn accepted(location: &str) -> Answer {
    reply(202, &[("location", location)], "")
}

fn poll(poll: Value) -> Value {
    json!({ "poll": with(json!({ "intervalSeconds": 0.1 }), poll), "outputPath": "$.reply" })
}

fn job(status: &str) -> Answer {
    json_of(200, &json!({ "id": "j 1/2", "status": status, "url": "/jobs/7?all=1" }))
}

fn done() -> Answer {
    json_of(200, &json!({ "status": "done", "reply": "Sure" }))
}

fn until() -> Value {
    json!({ "path": "$.status", "equals": "done" })
}

#[tokio::test]
async fn an_answer_that_comes_later_is_looked_for() {
    let failed = json!({ "path": "$.status", "oneOf": ["failed", "cancelled"] });
    let at_url = |more: Value| poll(with(json!({ "url": "$.url", "until": until() }), more));
    let rows: Vec<Row> = vec![
        ("202, then the answer", poll(json!({})), vec![accepted("/jobs/7"), done()], Says("Sure")),
        (
            "202 several times",
            poll(json!({})),
            vec![accepted("/jobs/7"), reply(202, &[], ""), accepted("/jobs/8"), done()],
            Says("Sure"),
        ),
        ("an answer at once", poll(json!({})), vec![done()], Says("Sure")),
        (
            "a place in the reply",
            at_url(json!({})),
            vec![job("queued"), job("running"), done()],
            Says("Sure"),
        ),
        ("done at once", at_url(json!({})), vec![done()], Says("Sure")),
        (
            "a template",
            poll(json!({ "url": "/jobs/{{ reply.id }}", "until": until() })),
            vec![job("queued"), done()],
            Says("Sure"),
        ),
        (
            "another place by a redirect",
            poll(json!({})),
            vec![accepted("/jobs/7"), reply(303, &[("location", "/answers/7")], ""), done()],
            Says("Sure"),
        ),
        (
            "a job that failed",
            at_url(json!({ "failed": failed.clone() })),
            vec![job("queued"), job("failed")],
            Fails("agent_error", "reports an error: failed"),
        ),
        (
            "a job that failed at once",
            at_url(json!({ "failed": failed })),
            vec![job("cancelled")],
            Fails("agent_error", "cancelled"),
        ),
        (
            "no place",
            poll(json!({})),
            vec![reply(202, &[], "")],
            Fails("http_invalid_response", "no Location header"),
        ),
        (
            "no place at the path",
            at_url(json!({})),
            vec![json_of(202, &json!({ "status": "queued" }))],
            Fails("http_invalid_response", "poll.url '$.url' matches nothing"),
        ),
        (
            "a reply without JSON",
            at_url(json!({})),
            vec![reply(200, &[], "<html>")],
            Fails("http_invalid_response", "it is not JSON"),
        ),
        (
            "a job that is gone",
            poll(json!({})),
            vec![accepted("/jobs/7"), reply(404, &[], "gone")],
            Fails("http_status", "HTTP 404 Not Found"),
        ),
        (
            "a look that is tried again",
            with(poll(json!({})), json!({ "retries": { "on": [404] } })),
            vec![accepted("/jobs/7"), reply(404, &[], "not yet"), done()],
            Says("Sure"),
        ),
        (
            "an answer that is a failure",
            poll(json!({})),
            vec![accepted("/jobs/7"), reply(500, &[], "oops")],
            Fails("http_status", "HTTP 500 "),
        ),
        (
            "a place where nothing may be called",
            poll(json!({})),
            vec![accepted("http://169.254.169.254/latest/")],
            Fails("egress_refused", "169.254.169.254"),
        ),
        (
            "a place that is no web address",
            poll(json!({})),
            vec![accepted("file:///etc/passwd")],
            Fails("egress_refused", "the scheme 'file' is not called"),
        ),
        (
            "an answer that comes bit by bit in the end",
            json!({ "poll": { "intervalSeconds": 0.1 }, "stream": { "format": "sse", "delta": "$.t" } }),
            vec![accepted("/jobs/7"), Answer::typed("text/event-stream", "data: {\"t\":\"Sure\"}\n\n")],
            Says("Sure"),
        ),
    ];
    play(rows).await;
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_with_the_time_of_the_turn() {
    let config = with(poll(json!({})), json!({ "timeoutSeconds": 1 }));
    let (reply, requests) = play_one(config, vec![accepted("/jobs/7")]).await;
    let failure = reply.unwrap_err();
    assert_eq!(failure.code, "http_timeout");
    assert!(failure.message.ends_with("/chat did not answer within 1 seconds"), "{failure}");
    assert!(requests.len() > 1, "it was looked for");
}

#[tokio::test]
async fn a_place_where_nobody_may_look_is_known_before_the_run() {
    let config =
        json!({ "url": "https://shop.example/chat", "poll": { "url": "http://169.254.169.254/jobs" } });
    let failure = failure(http_adapter(config, secrets([]), json!({})).await.err().unwrap());
    assert_eq!(failure.code, "egress_refused");
    assert!(failure.message.starts_with("HTTP agent shop: poll.url may not be called: "), "{failure}");
}

#[tokio::test]
async fn the_agent_says_when_to_look_again() {
    let later = reply(202, &[("location", "/jobs/7"), ("retry-after", "3600")], "");
    let config = with(poll(json!({})), json!({ "timeoutSeconds": 1 }));
    let (reply, requests) = play_one(config, vec![later, done()]).await;
    assert_eq!((reply.unwrap_err().code.as_ref(), requests.len()), ("http_timeout", 1));
}

#[tokio::test]
async fn a_look_is_a_get_that_proves_who_asks_and_repeats_nothing() {
    let config = json!({
        "auth": { "type": "bearer", "token": "t-123456" },
        "headers": [{ "key": "X-Tenant", "value": "acme" }],
        "poll": { "intervalSeconds": 0.1, "url": "/jobs/{{ reply.id }}?tenant={{ params.none }}&k={{ secrets.KEY }}", "until": until() },
        "outputPath": "$.reply",
    });
    let agent = answering(vec![job("queued"), done()]).await;
    let config = with(config, json!({ "url": format!("{}/v1/chat", agent.url()) }));
    let known = secrets([("KEY", "k-123456")]);
    assert_eq!(ask_with(config, known, json!({}), &dialogue(LINE)).await.unwrap().content, "Sure");
    let look = &agent.requests()[1];
    assert_eq!((look.method.as_str(), look.target.as_str()), ("GET", "/jobs/j%201%2F2?tenant=&k=k-123456"));
    assert_eq!(look.header("authorization"), Some("Bearer t-123456"));
    assert_eq!(look.header("x-tenant"), Some("acme"));
    assert_eq!(
        (look.header("idempotency-key"), look.header("content-type"), look.body.as_str()),
        (None, None, "")
    );
}

#[tokio::test]
async fn nothing_that_proves_who_asks_leaves_the_origin() {
    let elsewhere = answering(vec![done()]).await;
    let agent = answering(vec![accepted(&format!("{}/jobs/7", elsewhere.url()))]).await;
    let config = with(
        poll(json!({})),
        json!({
            "url": agent.url(),
            "auth": { "type": "bearer", "token": "t-123456" },
            "headers": [{ "key": "X-Key", "value": "k-123456" }, { "key": "Cookie", "value": "session=1" }],
        }),
    );
    let reply = ask_with(config, secrets([]), json!({}), &dialogue(LINE)).await.unwrap();
    assert_eq!(reply.content, "Sure");
    let look = &elsewhere.requests()[0];
    for name in ["authorization", "x-key", "cookie", "traceparent", "idempotency-key"] {
        assert_eq!(look.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn what_the_agent_says_of_itself_does_not_lead_out_of_its_place_in_a_template() {
    for id in ["..", "%2e%2e", "."] {
        let first = json_of(202, &json!({ "id": id }));
        let config = poll(json!({ "url": "/jobs/{{ reply.id }}/state" }));
        let (reply, requests) = play_one(config, vec![first, done()]).await;
        // The second one is escaped, and so it is a name like any other.
        if id == "%2e%2e" {
            assert_eq!(requests[1].target, "/jobs/%252e%252e/state");
            continue;
        }
        let failure = reply.unwrap_err();
        assert!(failure.message.contains("dots only"), "{failure}");
        assert_eq!(requests.len(), 1);
    }
}
