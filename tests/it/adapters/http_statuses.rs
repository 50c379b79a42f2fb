//! Which answers of HTTP agents are answers.

use serde_json::json;

use super::table::Expected::{Fails, Says};
use super::table::{Row, json_of, ok, play, reply};
use crate::support::http_agent::Answer;

fn text(status: u16, body: &str) -> Vec<Answer> {
    vec![reply(status, &[("content-type", "text/plain")], body)]
}

#[tokio::test]
async fn a_status_says_whether_an_answer_is_one() {
    let success = |statuses: serde_json::Value| json!({ "status": { "success": statuses } });
    let path = || json!({ "outputPath": "$.reply" });
    let said = || json!({ "reply": "Sure" });
    let promised = Fails("http_invalid_response", "answers later, and its definition has no `poll`");
    let rows: Vec<Row> = vec![
        ("200", json!({}), text(200, "Sure"), Says("Sure")),
        ("201", json!({}), text(201, "Sure"), Says("Sure")),
        ("202 without polling", json!({}), text(202, "Sure"), Says("Sure")),
        ("202 with the words", path(), vec![json_of(202, &said())], Says("Sure")),
        ("a promise", json!({}), vec![json_of(202, &json!({ "status": "run" }))], promised),
        ("a place to look", json!({}), vec![reply(202, &[("location", "/jobs/7")], "Sure")], promised),
        (
            "a place to look beside words",
            path(),
            vec![reply(
                202,
                &[("location", "/jobs/7"), ("content-type", "application/json")],
                said().to_string(),
            )],
            promised,
        ),
        (
            "a promise that is the answer",
            json!({ "status": { "success": [200, 202] } }),
            vec![json_of(202, &json!("Sure"))],
            Says("Sure"),
        ),
        (
            "a place to look that is no matter",
            json!({ "status": { "success": [202] } }),
            vec![reply(202, &[("location", "/jobs/7")], "Sure")],
            Says("Sure"),
        ),
        ("299", json!({}), text(299, "Sure"), Says("Sure")),
        ("204 says nothing", json!({}), text(204, ""), Fails("empty_reply", "empty reply")),
        ("a page of a failed server", json!({}), text(500, "<html>Oops"), Fails("http_status", "HTTP 500 ")),
        (
            "a failed server with a good reply",
            json!({ "outputPath": "$.reply" }),
            vec![json_of(500, &json!({ "reply": "Sure" }))],
            Fails("http_status", "HTTP 500 Internal Server Error"),
        ),
        ("502", json!({}), text(502, "bad gateway"), Fails("http_status", "HTTP 502 Bad Gateway")),
        ("404", json!({}), text(404, "No such order"), Fails("http_status", "HTTP 404 Not Found")),
        ("304", json!({}), text(304, ""), Fails("http_status", "HTTP 304 Not Modified")),
        (
            "422 with its diagnosis",
            json!({}),
            text(422, "input: too long"),
            Fails("http_status", "input: too long"),
        ),
        ("a status of nobody's", json!({}), text(799, "?"), Fails("http_status", "HTTP 799 Unknown")),
        ("404 declared", success(json!([200, 404])), text(404, "No such order"), Says("No such order")),
        ("404 in quotes", success(json!(["200", "404"])), text(404, "No such order"), Says("No such order")),
        ("4xx declared", success(json!(["2xx", "4xx"])), text(410, "It is gone"), Says("It is gone")),
        ("a range declared", success(json!(["400-404"])), text(403, "Not for you"), Says("Not for you")),
        ("beside the range", success(json!(["400-404"])), text(405, "?"), Fails("http_status", "HTTP 405 ")),
        ("500 beside 4xx", success(json!(["4xx"])), text(500, "Sure"), Fails("http_status", "HTTP 500 ")),
        ("200 not declared", success(json!([201])), text(200, "Sure"), Fails("http_status", "HTTP 200 OK")),
        (
            "204 not declared",
            success(json!([200])),
            text(204, ""),
            Fails("http_status", "HTTP 204 No Content"),
        ),
    ];
    play(rows).await;
}

#[tokio::test]
async fn a_reply_that_reports_an_error_is_one_whatever_its_status() {
    let rules =
        json!({ "status": { "success": [200, 404], "errorPath": "$.error" }, "outputPath": "$.reply" });
    let whole = json!({ "status": { "errorPath": "$..error" } });
    let rows: Vec<Row> = vec![
        (
            "a text",
            rules.clone(),
            ok(json!({ "error": "out of order", "reply": "Sure" })),
            Fails("agent_error", "/chat reports an error: out of order"),
        ),
        (
            "a map",
            rules.clone(),
            ok(json!({ "error": { "code": 7 } })),
            Fails("agent_error", r#"error: {"code":7}"#),
        ),
        ("true", rules.clone(), ok(json!({ "error": true })), Fails("agent_error", "true")),
        ("null", rules.clone(), ok(json!({ "error": null, "reply": "Sure" })), Says("Sure")),
        ("false", rules.clone(), ok(json!({ "error": false, "reply": "Sure" })), Says("Sure")),
        ("empty", rules.clone(), ok(json!({ "error": "", "reply": "Sure" })), Says("Sure")),
        ("none", rules.clone(), ok(json!({ "reply": "Sure" })), Says("Sure")),
        (
            "in a 404 that is an answer",
            rules.clone(),
            vec![json_of(404, &json!({ "error": "gone" }))],
            Fails("agent_error", "gone"),
        ),
        (
            "in a 500 the status comes first",
            rules,
            vec![json_of(500, &json!({ "error": "gone" }))],
            Fails("http_status", "HTTP 500 "),
        ),
        (
            "deep within",
            whole.clone(),
            ok(json!({ "a": [{ "error": "deep" }] })),
            Fails("agent_error", "deep"),
        ),
        (
            "in JSON that does not say that it is",
            whole.clone(),
            text(200, r#"{"error": "hidden"}"#),
            Fails("agent_error", "hidden"),
        ),
        ("a text is no JSON to look into", whole, text(200, "error: none"), Says("error: none")),
    ];
    play(rows).await;
}
