//! What a scenario leaves open, and how a request fills it in.

use std::sync::Arc;

use scenario_worker::definitions::Scenario;
use scenario_worker::events::{Attribution, MessageRole, TraceContext};
use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::limits::Admission;
use scenario_worker::execution::planner::RunPlan;
use scenario_worker::execution::ports::{TargetReply, TargetTurn};
use scenario_worker::execution::types::Message;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::desk::{Desk, request, with};
use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::spans::Recorded;

/// A scenario that leaves open where and how long, with texts wherever there can be one.
fn open() -> Value {
    json!({
        "situation": "You live in {{ region }}.\n{% if vip %}You are known.{% endif %}\n",
        "criteria": ["It names {{ params.region }}", "It says {{ days }} days"],
        "script": [
            { "user": "Hello from {{ region }}" },
            { "agent": "{{ days }}" },
            { "message": { "role": "tool", "content": "{\"region\": \"{{ region }}\"}" } },
            { "judge": { "criteria": ["It is in {{ region }}"], "context": "{{ days }} days" } },
            { "proceed": { "turns": 2, "until": { "contains": "{{ region }}" } } },
            { "check": { "contains": "{{ region }}" } },
            { "fail": "not in {{ region }}" },
        ],
        "checks": [{ "name": "says {{ days }}", "required": true, "contains": "{{ days }}" }],
        "parameters": [
            { "name": "region", "description": "Where" },
            { "name": "days", "defaultValue": 30 },
            { "name": "vip", "default": false },
        ],
    })
}

fn desk() -> Desk {
    Desk::default().with_scenario(open())
}

fn declared(parameters: &Value) -> Desk {
    Desk::default().with_scenario(json!({ "parameters": parameters }))
}

fn coded(failure: &RunFailure) -> (&str, Attribution) {
    (failure.code.as_ref(), failure.attributed_to)
}

#[tokio::test]
async fn every_text_that_is_played_has_the_parameters_in_it() {
    let hostile = "\"eu\" {{ days }} \\";
    let brief = desk().plan(json!({ "parameters": { "region": hostile, "days": 7 } })).await.unwrap().brief;
    let expected = with(
        open(),
        json!({
            "situation": format!("You live in {hostile}.\n\n"),
            "criteria": [format!("It names {hostile}"), "It says 7 days"],
            "script": [
                { "user": format!("Hello from {hostile}") },
                { "agent": "7" },
                { "message": { "role": "tool", "content": format!("{{\"region\": \"{hostile}\"}}") } },
                { "judge": { "criteria": [format!("It is in {hostile}")], "context": "7 days" } },
                { "proceed": { "turns": 2, "until": { "contains": hostile } } },
                { "check": { "contains": hostile } },
                { "fail": format!("not in {hostile}") },
            ],
            "checks": [{ "name": "says 7", "required": true, "contains": "7" }],
        }),
    );
    let expected: Scenario = serde_json::from_value(with(Desk::default().scenario, expected)).unwrap();
    assert_eq!(brief.scenario, expected);
    assert_eq!(Value::from(brief.parameters), json!({ "region": hostile, "days": 7, "vip": false }));
}

#[tokio::test]
async fn what_the_request_gives_comes_before_the_default() {
    for (given, days) in
        [(json!({}), json!(30)), (json!({ "days": null }), json!(30)), (json!({ "days": "x" }), json!("x"))]
    {
        let parameters = with(json!({ "region": "eu" }), given);
        let brief = desk().plan(json!({ "parameters": parameters })).await.unwrap().brief;
        assert_eq!(brief.parameters["days"], days);
    }
}

#[tokio::test]
async fn a_scenario_without_parameters_is_taken_as_it_is() {
    let texts =
        json!({ "situation": "Say {{ nothing }} {% raw %} {{ secrets.X }}\r\n", "criteria": ["{{", "{% x"] });
    let desk = Desk::default().with_scenario(texts);
    let given = json!({ "anything": [1, { "a": null }], "long": "x".repeat(20_000) });
    let brief = desk.plan(json!({ "parameters": given })).await.unwrap().brief;
    assert_eq!(serde_json::to_value(&brief.scenario).unwrap()["situation"], desk.scenario["situation"]);
    assert_eq!(json!(brief.scenario.criteria), desk.scenario["criteria"]);
    assert_eq!(Value::from(brief.parameters), given);
}

#[tokio::test]
async fn a_parameter_that_nobody_declared_is_named_with_those_that_are() {
    let failure = desk().refusal(json!({ "region": "eu", "regoin": "hunter2", "day": 1 })).await;
    assert_eq!(coded(&failure), ("scenario_parameter_unknown", Attribution::Definition));
    assert_eq!(
        failure.message,
        "Scenario refund has no parameter 'regoin', 'day'; it declares 'region', 'days', 'vip'"
    );
}

#[tokio::test]
async fn a_text_that_reads_what_has_no_value_is_named() {
    for (more, field) in [
        (json!({}), "situation"),
        (json!({ "situation": "x", "criteria": ["y", "{{ region }}"] }), "criteria[1]"),
        (json!({ "situation": "x", "criteria": ["y"] }), "script[0]"),
        (
            json!({ "situation": "x", "criteria": ["y"], "script": [], "checks": [{ "contains": "{{ region }}" }] }),
            "checks[0]",
        ),
    ] {
        let failure = desk().with_scenario(more).refusal(json!({})).await;
        assert_eq!(coded(&failure), ("scenario_parameter_missing", Attribution::Definition));
        assert!(failure.message.contains(&format!("{field} reads 'region'")), "{failure}");
    }
    let misspelt =
        desk().with_scenario(json!({ "situation": "{{ regoin }}" })).refusal(json!({ "region": "eu" })).await;
    assert!(
        misspelt.message.contains("'regoin'") && misspelt.message.contains("declares 'region'"),
        "{misspelt}"
    );
}

#[tokio::test]
async fn a_text_that_is_no_template_is_named() {
    for (text, cause) in [
        ("{{ region", "syntax error"),
        ("{{ region | nope }}", "unknown filter"),
        ("{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}", "too much work"),
        ("{{ [1] * 90000000 }}", "`*`"),
        ("{{ empty }}", "says nothing"),
    ] {
        let criteria = json!(["fine", text]);
        let parameters = json!([{ "name": "region" }, { "name": "empty", "default": " " }]);
        let desk = Desk::default().with_scenario(json!({ "criteria": criteria, "parameters": parameters }));
        let failure = desk.refusal(json!({ "region": "eu" })).await;
        assert_eq!(coded(&failure), ("scenario_parameter_template_invalid", Attribution::Definition));
        assert!(failure.message.contains("criteria[1]") && failure.message.contains(cause), "{failure}");
    }
}

#[tokio::test]
async fn values_beyond_their_limits_are_refused_without_being_repeated() {
    let desk = declared(&json!([{ "name": "a" }, { "name": "token", "secret": true }]));
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("p{n}"), json!(n))).collect();
    let large: serde_json::Map<String, Value> =
        (0..5).map(|n| (format!("p{n}"), json!("hunter2".repeat(580)))).collect();
    for (parameters, part) in [
        (Value::from(many), "51 parameters; at most 50"),
        (Value::from(large), "at most 16384"),
        (json!({ "a": "hunter2".repeat(600) }), "'a' has 4200 characters; it may have at most 4096"),
        (json!({ "a": ["hunter2"] }), "'a' must be a text, a number, or true or false"),
        (json!({ "a": { "b": "hunter2" } }), "'a' must be"),
        (json!({ "token": 4242 }), "'token' must be a text; put it in quotes"),
    ] {
        let failure = desk.refusal(parameters).await;
        assert_eq!(coded(&failure), ("scenario_parameter_invalid", Attribution::Definition));
        assert!(failure.message.contains(part), "{part} is not in {failure}");
        assert!(!failure.message.contains("hunter2") && !failure.message.contains("4242"), "{failure}");
    }
    let longest = json!({ "a": "x".repeat(4096), "token": "t" });
    desk.plan(json!({ "parameters": longest })).await.unwrap();
}

#[tokio::test]
async fn a_secret_must_come_with_the_request() {
    let desk = declared(&json!([{ "name": "token", "secret": true }]));
    for parameters in [json!({}), json!({ "token": null }), json!({ "token": "" })] {
        let failure = desk.refusal(parameters).await;
        assert_eq!(coded(&failure), ("scenario_secret_parameter_missing", Attribution::Definition));
        assert!(failure.message.contains("'token'"), "{failure}");
    }
}

#[tokio::test]
async fn a_secret_that_a_definition_would_show_is_refused() {
    for parameters in [
        json!([{ "name": "token", "secret": true, "default": "hunter2" }]),
        json!([{ "name": "token" }, { "name": "token", "secret": true }]),
    ] {
        let failure = declared(&parameters).refusal(json!({ "token": "hunter2" })).await;
        assert_eq!(coded(&failure), ("scenario_secret_parameter_conflict", Attribution::Definition));
        assert!(failure.message.contains("'token'") && !failure.message.contains("hunter2"), "{failure}");
    }
}

#[tokio::test]
async fn no_text_may_read_a_secret() {
    let parameters = json!([{ "name": "token", "secret": true }]);
    for (more, field) in [
        (json!({ "situation": "{{ token }}" }), "situation"),
        (json!({ "criteria": ["{{ params.token }}"] }), "criteria[0]"),
        (json!({ "script": ["user", { "user": "{{ secrets.token }}" }] }), "script[1]"),
        (json!({ "checks": [{ "contains": "{{ token | upper }}" }] }), "checks[0]"),
    ] {
        let desk = declared(&parameters).with_scenario(more);
        let failure = desk.refusal(json!({ "token": "hunter2" })).await;
        assert_eq!(coded(&failure), ("scenario_secret_parameter_in_text", Attribution::Definition));
        assert!(failure.message.contains(&format!("{field} reads the secret 'token'")), "{failure}");
        assert!(!failure.message.contains("hunter2"), "{failure}");
    }
}

/// An agent that repeats the credentials that it is sent.
async fn echo() -> HttpAgent {
    HttpAgent::start(|request| {
        let heard = request.header("authorization").unwrap_or_default();
        Answer::json(&json!({ "reply": format!("I was told {heard}") }))
    })
    .await
}

/// A project whose agent reads parameters and secrets wherever it can.
fn reading(agent: &HttpAgent) -> Desk {
    let agent = json!({
        "id": "shop", "type": "http", "url": format!("{}/{{{{ params.region }}}}?k={{{{ secrets.token }}}}", agent.url()),
        "auth": { "type": "bearer", "token": "{{ secrets.token }}-{{ secrets.other }}" },
        "bodyTemplate": r#"{"days": {{ params.days }}, "region": {{ params.region }}, "token": "{{ params.token }}"}"#,
        "outputPath": "$.reply",
    });
    let parameters = json!([
        { "name": "region" }, { "name": "days", "default": 30 }, { "name": "token", "secret": true },
    ]);
    let secrets = vec![("token", "of-the-project"), ("other", "other-secret")];
    Desk { agent, secrets, ..declared(&parameters) }
}

async fn ask(plan: &RunPlan) -> Result<TargetReply, RunFailure> {
    let transcript: Arc<[Message]> = Arc::new([Message {
        turn: 1,
        role: MessageRole::User,
        content: "Hello".into(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    }]);
    let context = TraceContext { trace_id: [0; 16], span_id: [0; 8], flags: 0, state: String::new() };
    let (run, recorded) = (request(json!({})).key, Recorded::default());
    let span = recorded.span(context);
    plan.target
        .reply(TargetTurn {
            run: &run,
            turn: 1,
            transcript: &transcript,
            span: &span,
            session: None,
            admission: Admission::default(),
            so_far: None,
        })
        .await
}

#[tokio::test]
async fn a_target_reads_parameters_with_defaults_and_the_run_s_secret_before_the_project_s() {
    let agent = echo().await;
    let plan = reading(&agent)
        .plan(json!({ "parameters": { "region": "eu", "token": "of-the-run" } }))
        .await
        .unwrap();
    let reply = ask(&plan).await.unwrap();
    let asked = agent.requests().remove(0);
    assert_eq!(asked.header("authorization"), Some("Bearer of-the-run-other-secret"));
    assert_eq!(asked.target, "/eu?k=of-the-run");
    assert_eq!(asked.json(), json!({ "days": 30, "region": "eu", "token": "" }));
    assert_eq!(reply.content, "I was told Bearer [redacted]");
}

#[tokio::test]
async fn a_secret_of_a_run_is_not_in_its_errors() {
    let agent = HttpAgent::start(|request| {
        Answer::status(500, request.header("authorization").unwrap_or_default().as_bytes())
    })
    .await;
    let plan = reading(&agent)
        .plan(json!({ "parameters": { "region": "eu", "token": "of-the-run" } }))
        .await
        .unwrap();
    let failure = ask(&plan).await.unwrap_err();
    assert!(failure.message.starts_with("HTTP 500") && failure.message.contains("[redacted]"), "{failure}");
    assert!(!failure.message.contains("of-the-run"), "{failure}");
}

#[tokio::test]
async fn a_run_that_goes_on_has_its_texts_as_they_were_and_its_secrets_from_the_request() {
    let agent = echo().await;
    let desk = reading(&agent).with_scenario(json!({ "situation": "In {{ region }}" }));
    let request = request(json!({ "parameters": { "region": "{{ days }}", "token": "of-the-run" } }));
    let first = desk.plan_from(&request, None).await.unwrap().brief;
    let stored = serde_json::to_string(&first).unwrap();
    assert!(!stored.contains("of-the-run") && stored.contains("token"), "{stored}");
    let meanwhile = desk.with_scenario(json!({ "situation": "Elsewhere", "parameters": [] }));
    let second = meanwhile.plan_from(&request, Some(&first)).await.unwrap();
    assert_eq!((second.brief.scenario.situation.as_str(), &second.brief), ("In {{ days }}", &first));
    ask(&second).await.unwrap();
    assert_eq!(agent.requests()[0].header("authorization"), Some("Bearer of-the-run-other-secret"));
}
