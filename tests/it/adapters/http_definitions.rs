//! What a definition may say of an HTTP agent's answers: checked before it is stored.

use std::sync::Arc;

use scenario_worker::adapters::{HttpAdapterFactory, TargetAdapterFactory as _};
use serde_json::{Value, json};

use super::stage::{Shelf, http_agent, with};

fn check(config: Value) -> Result<(), String> {
    let shelf = Arc::new(Shelf::default());
    let factory = HttpAdapterFactory::new(shelf.clone(), shelf, crate::support::egress::open());
    factory.check(&http_agent(with(json!({ "url": "http://a.example" }), config)))
}

#[test]
fn a_definition_that_says_everything_is_taken() {
    let everything = json!({
        "timeoutSeconds": 120, "connectTimeoutSeconds": 5, "firstByteTimeoutSeconds": 30, "idleTimeoutSeconds": 120,
        "maxResponseBytes": 67_108_864,
        "outputPath": "$.reply",
        "status": { "success": ["2xx", 404, "409-410"], "errorPath": "$.error" },
        "retries": { "attempts": 10, "on": [429, "5xx", "connect", "timeout", "interrupted"], "idempotent": true },
        "stream": {
            "format": "sse", "delta": "$.delta", "event": ["delta", "end"], "accumulate": "append",
            "done": { "path": "$.type", "oneOf": ["end", "stop"] }, "error": { "event": "error" },
        },
        "toolCalls": { "path": "$.calls[*]", "name": "$.name", "arguments": "$.input", "id": "$.id", "index": "$.n" },
        "usage": { "inputTokens": "$.usage.in", "outputTokens": "$.usage.out" },
        "poll": {
            "url": "https://a.example/jobs/{{ reply.id }}?k={{ secrets.KEY }}", "intervalSeconds": 0.5,
            "until": { "path": "$.status", "equals": "done" }, "failed": "$.failed",
        },
    });
    check(everything).unwrap();
}

#[test]
fn what_the_readme_shows_can_be_written() {
    let readme = include_str!("../../../README.md");
    let section = readme.split_once("### What an HTTP agent answers").unwrap().1;
    let example = section.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    check(serde_saphyr::from_str(example).unwrap()).unwrap();
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let wrong = [
        (json!({ "connectTimeoutSeconds": 0 }), "connectTimeoutSeconds: 0 is less than 1"),
        (
            json!({ "firstByteTimeoutSeconds": 61 }),
            "firstByteTimeoutSeconds: 61 is more than timeoutSeconds (60)",
        ),
        (
            json!({ "idleTimeoutSeconds": 9, "timeoutSeconds": 8 }),
            "idleTimeoutSeconds: 9 is more than timeoutSeconds (8)",
        ),
        (json!({ "idleTimeoutSeconds": 1.5 }), "idleTimeoutSeconds: "),
        (json!({ "maxResponseBytes": 0 }), "maxResponseBytes: 0 is not 1 to 67108864"),
        (json!({ "maxResponseBytes": 67_108_865 }), "maxResponseBytes: 67108865 is not"),
        (json!({ "status": { "success": [500] } }), "status.success: '500' is never"),
        (json!({ "status": { "success": "2xx" } }), "status.success: "),
        (json!({ "status": { "succes": [200] } }), "status.succes: unknown field"),
        (json!({ "status": { "errorPath": "error" } }), "status.errorPath: 'error' is no JSONPath"),
        (json!({ "retries": { "attempts": 11 } }), "retries.attempts: 11 is not 2 to 10"),
        (json!({ "retries": { "on": ["always"] } }), "retries.on: 'always' is no status"),
        (
            json!({ "retries": { "on": ["timeout"] }, "onUnknown": "fail" }),
            "retries.on: after 'timeout' it is unknown",
        ),
        (json!({ "stream": { "delta": "$.t" } }), "missing field `format`"),
        (json!({ "stream": { "format": "sse", "delta": "t" } }), "stream.delta: 't' is no JSONPath"),
        (json!({ "stream": { "format": "ndjson" } }), "stream.delta: "),
        (json!({ "stream": { "format": "sse", "done": "$.a[" } }), "stream.done: '$.a['"),
        (json!({ "toolCalls": { "name": "$.name" } }), "missing field `path`"),
        (json!({ "toolCalls": { "path": "$..*..*" } }), "toolCalls.path: '$..*..*' is too costly"),
        (json!({ "toolCalls": { "path": "$", "arguments": "args" } }), "toolCalls.arguments: 'args'"),
        (json!({ "usage": { "inputTokens": "in" } }), "usage.inputTokens: 'in'"),
        (json!({ "usage": { "tokens": "$.in" } }), "usage.tokens: unknown field"),
        (json!({ "poll": { "intervalSeconds": 0 } }), "poll.intervalSeconds: 0 is not 0.1 to 300"),
        (json!({ "poll": { "url": "$.a[" } }), "poll.url: '$.a['"),
        (json!({ "poll": { "url": "/jobs/{{ reply.id" } }), "poll.url"),
        (json!({ "poll": { "until": "done" } }), "poll.until: 'done' is no JSONPath"),
        (json!({ "poll": { "until": { "path": "$.a" } } }), "poll.until: either `equals` or `oneOf`"),
        (
            json!({ "poll": { "failed": { "path": "$.a", "is": 1 } } }),
            "poll.failed: it is no JSONPath, and no map",
        ),
    ];
    for (config, part) in wrong {
        let problem = check(config.clone()).expect_err(&config.to_string());
        assert!(problem.starts_with("HTTP agent shop: ") && problem.contains(part), "{config}: {problem}");
    }
}

#[test]
fn what_has_the_wrong_shape_is_told_which_one_it_must_have() {
    for (config, place) in [
        (
            json!({ "auth": "hunter2" }),
            "auth: must be a mapping with `type`: none, bearer, api_key, basic or oauth2",
        ),
        (json!({ "auth": { "type": "bearer", "token": 424_242 } }), "auth: must be a text; put it in quotes"),
        (json!({ "headers": ["x"] }), "headers[0]: must be a mapping with `key` and `value`"),
        (json!({ "headers": { "X": "hunter2" } }), "headers: must be a list"),
        (json!({ "query": [{ "key": "k", "value": true }] }), "query[0].value: must be a text"),
        (json!({ "tls": "hunter2" }), "tls: must be a mapping of `caCertificate`"),
        (json!({ "session": "hunter2" }), "session: must be a mapping"),
        (json!({ "session": { "start": 5 } }), "session.start: must be a mapping"),
        (json!({ "secretsInBody": "hunter2" }), "secretsInBody: must be true or false"),
        (json!({ "onUnknown": 5 }), "onUnknown: must be "),
        (json!({ "timeoutSeconds": "5" }), "timeoutSeconds: must be a whole number that is not negative"),
        (json!({ "poll": { "intervalSeconds": "hunter2" } }), "poll.intervalSeconds: must be a number"),
    ] {
        let problem = check(config.clone()).expect_err(&config.to_string());
        assert!(problem.starts_with(&format!("HTTP agent shop: {place}")), "{config}: {problem}");
        for unwanted in ["struct", "enum", "Definition", "sequence", "u64", "f64", "hunter2", "424242"] {
            assert!(!problem.contains(unwanted), "{config}: {problem}");
        }
    }
}

#[test]
fn a_look_for_a_secret_that_nobody_has_is_found_before_the_run() {
    check(json!({ "poll": { "url": "/jobs/{{ secrets.KEY }}" } })).unwrap();
    let problem = check(json!({ "poll": { "url": "/jobs/{% if secrets.KEY %}x{% endif %}" } })).unwrap_err();
    assert!(problem.contains("poll.url") && problem.contains("secret"), "{problem}");
}
