//! What an HTTP agent is sent.

use std::sync::Arc;

use scenario_worker::adapters::{HttpAdapterFactory, TargetAdapterFactory as _};
use scenario_worker::definitions::Secrets;
use scenario_worker::events::BaggageKey;
use serde_json::{Value, json};

use super::stage::{
    LINE, Shelf, THREAD, TRACEPARENT, TRACESTATE, ask, ask_with, dialogue, failure, history, http_adapter,
    http_agent, secrets, spec, take_turn, with,
};
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};
use crate::support::spans::Recorded;

const HOSTILE: &str = "\"quoted\" \\ back\nline {{ secrets.KEY }} {% raw %} }} {\"a\":1} \u{7} ü";

async fn agent() -> HttpAgent {
    HttpAgent::start(|_| Answer::json(&json!("ok"))).await
}

async fn sent(config: Value, secrets: Secrets, parameters: Value, line: &str) -> AgentRequest {
    let agent = agent().await;
    let path = config["url"].as_str().unwrap_or_default().to_owned();
    let config = with(config, json!({ "url": format!("{}{path}", agent.url()) }));
    let reply = ask_with(config, secrets, parameters, &dialogue(line)).await.unwrap();
    assert_eq!(reply.content, "ok");
    agent.requests().remove(0)
}

async fn sent_by(config: Value) -> AgentRequest {
    sent(config, secrets([("KEY", "k-123")]), json!({ "region": "eu/west", "list": [1, "b\""] }), LINE).await
}

#[tokio::test]
async fn a_definition_without_a_body_sends_the_conversation() {
    let request = sent_by(json!({ "url": "/chat" })).await;
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/chat"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.json(), json!({ "messages": history(LINE), "threadId": THREAD, "input": LINE }));
}

#[tokio::test]
async fn a_hostile_line_arrives_as_it_was_said_and_resolves_no_secret() {
    let body = r#"{"thread": "{{ threadId }}", "message": "{{ input }}", "history": {{ messages }}, "text": "{{ messages }}"}"#;
    let template =
        json!({ "bodyTemplate": body, "headers": [{ "key": "X-Note", "value": "{{ params.region }}" }] });
    let request = sent(
        template,
        secrets([("KEY", "k-123")]),
        json!({ "region": HOSTILE.replace(['\n', '\u{7}'], "") }),
        HOSTILE,
    )
    .await;
    let text = history(HOSTILE).to_string();
    let expected = json!({ "thread": THREAD, "message": HOSTILE, "history": history(HOSTILE), "text": text });
    assert_eq!(request.json(), expected);
    assert_eq!(request.header("x-note"), Some(HOSTILE.replace(['\n', '\u{7}'], "").as_str()));
    let usual = sent(json!({}), secrets([("KEY", "k-123")]), json!({}), HOSTILE).await;
    assert_eq!(usual.json()["input"], json!(HOSTILE));
}

#[tokio::test]
async fn parameters_keep_their_json_types_in_a_body_and_are_components_of_a_url() {
    let config = json!({
        "url": "/{{ params.region }}/chat?q={{ input }}&t={{ traceId }}",
        "bodyTemplate": r#"{"list": {{ params.list }}, "region": "{{ params.region }}", "none": "{{ params.no.such }}"}"#,
    });
    let request = sent_by(config).await;
    let trace = &TRACEPARENT[3..35];
    assert_eq!(request.target, format!("/eu%2Fwest/chat?q=My%20mug%20is%20broken&t={trace}"));
    assert_eq!(request.json(), json!({ "list": [1, "b\""], "region": "eu/west", "none": "" }));
}

#[tokio::test]
async fn variables_of_the_definition_s_own_stand_for_facts_and_values_everywhere() {
    let source = |field: &str| json!({ "type": "source", "path": [field] });
    let mappings = json!({
        "line": source("input"), "talk": source("messages"), "session": source("threadId"),
        "tenant": { "type": "value", "value": "a/b" }, "limit": { "type": "value", "value": 5 },
        "input": { "type": "value", "value": "{{ line }}" },
    });
    let config = json!({
        "url": "/{{ tenant }}?s={{ session }}",
        "headers": [{ "key": "X-Tenant", "value": "{{ tenant }} {{ session }}" }],
        "bodyTemplate": r#"{"line": "{{ line }}", "talk": {{ talk }}, "text": "{{ talk }}", "limit": {{ limit }}, "input": {{ input }}}"#,
        "fieldMappings": mappings,
    });
    let request = sent(config, Secrets::new(), json!({}), HOSTILE).await;
    assert_eq!((request.target.as_str(), request.header("x-tenant")), ("/a%2Fb?s=run-1", Some("a/b run-1")));
    let talk = history(HOSTILE);
    assert_eq!(
        request.json(),
        json!({ "line": HOSTILE, "talk": talk, "text": talk.to_string(), "limit": 5, "input": "{{ line }}" })
    );
}

#[tokio::test]
async fn a_get_has_no_body() {
    let request = sent_by(json!({ "url": "/", "method": "get", "bodyTemplate": "{}" })).await;
    assert_eq!((request.method.as_str(), request.body.as_str()), ("GET", ""));
    assert_eq!(request.header("content-type"), None);
}

#[tokio::test]
async fn a_form_is_written_as_a_form() {
    let config = json!({
        "headers": [{ "key": "content-type", "value": "application/x-www-form-urlencoded" }],
        "bodyTemplate": "q={{ input }}&r={{ params.region }}",
    });
    let request = sent_by(config).await;
    assert_eq!(request.header("Content-Type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.body, "q=My%20mug%20is%20broken&r=eu%2Fwest");
}

#[tokio::test]
async fn every_way_of_authenticating_arrives() {
    let cases = [
        (json!({ "type": "none" }), "authorization", None),
        (json!({ "type": "bearer", "token": "{{ secrets.KEY }}" }), "authorization", Some("Bearer k-123")),
        (
            json!({ "type": "bearer", "token": "plain {{ input }}" }),
            "authorization",
            Some("Bearer plain {{ input }}"),
        ),
        (
            json!({ "type": "api_key", "header": "X-Api-Key", "value": "v-{{secrets.KEY}}" }),
            "x-api-key",
            Some("v-k-123"),
        ),
        (
            json!({ "type": "basic", "username": "me", "password": "{{ secrets.KEY }}" }),
            "authorization",
            Some("Basic bWU6ay0xMjM="),
        ),
        (json!({ "type": "basic", "username": "me" }), "authorization", Some("Basic bWU6")),
    ];
    for (auth, header, expected) in cases {
        assert_eq!(sent_by(json!({ "auth": auth })).await.header(header), expected);
    }
}

#[tokio::test]
async fn authentication_wins_over_a_header_of_the_same_name() {
    let config = json!({
        "headers": [{ "key": "authorization", "value": "mine" }, { "key": " X-Tenant ", "value": "a" }],
        "auth": { "type": "bearer", "token": "t" },
    });
    let request = sent_by(config).await;
    assert_eq!(request.header("Authorization"), Some("Bearer t"));
    assert_eq!(request.header("x-tenant"), Some("a"));
}

#[tokio::test]
async fn the_run_s_trace_goes_along_unless_the_definition_has_its_own() {
    let request = sent_by(json!({})).await;
    assert_eq!(request.header("traceparent"), Some(TRACEPARENT));
    assert_eq!(request.header("tracestate"), Some(TRACESTATE));
    let own = json!({ "headers": [{ "key": "TraceParent", "value": "own-{{ traceparent }}" }] });
    let request = sent_by(own).await;
    assert_eq!(request.header("traceparent"), Some(format!("own-{TRACEPARENT}").as_str()));
    assert_eq!(request.header("tracestate"), None);
    let own_state = sent_by(json!({ "headers": [{ "key": "tracestate", "value": "own=1" }] })).await;
    assert_eq!(own_state.header("tracestate"), Some("own=1"));
    assert_eq!(own_state.header("traceparent"), Some(TRACEPARENT));
}

#[tokio::test]
async fn an_agent_is_told_only_what_is_allowed_as_baggage_unless_the_definition_has_its_own() {
    let agent = agent().await;
    let told = async |allowed: &[BaggageKey], config: Value| {
        let config = with(config, json!({ "url": agent.url() }));
        let shelf = Arc::new(Shelf { agents: vec![http_agent(config)], ..Shelf::default() });
        let factory = HttpAdapterFactory::new(shelf.clone(), shelf, crate::support::egress::open());
        let adapter =
            factory.telling(allowed.to_vec()).create(spec("http", "shop", json!({}))).await.unwrap();
        take_turn(adapter.as_ref(), &dialogue(LINE), &Recorded::default()).await.unwrap();
        agent.requests().pop().unwrap().header("baggage").map(str::to_owned)
    };
    let both = [BaggageKey::Origin, BaggageKey::Run];
    assert_eq!(told(&[], json!({})).await, None);
    let expected = format!("langwatch.origin=simulation,scenario.run_id={THREAD}");
    assert_eq!(told(&both, json!({})).await, Some(expected));
    let own = json!({ "headers": [{ "key": "Baggage", "value": "mine=1" }] });
    assert_eq!(told(&both, own).await.as_deref(), Some("mine=1"));
}

#[tokio::test]
async fn secrets_resolve_in_url_and_headers_and_stay_as_written_in_the_body() {
    let config = json!({
        "url": "/{{ secrets.PATH }}",
        "headers": [{ "key": "X-Key", "value": "{{ secrets.PATH }}/{{ params.region }}" }],
        "bodyTemplate": r#"{"key": "{{secrets.PATH}}", "other": "{{ secrets.UNKNOWN }}"}"#,
    });
    let secret = "p{{ input }}";
    let request = sent(config, secrets([("PATH", secret)]), json!({ "region": "eu" }), LINE).await;
    assert_eq!(request.target, "/p%7B%7B%20input%20%7D%7D");
    assert_eq!(request.header("x-key"), Some("p{{ input }}/eu"));
    assert_eq!(request.json(), json!({ "key": "{{secrets.PATH}}", "other": "{{ secrets.UNKNOWN }}" }));
}

#[tokio::test]
async fn a_secret_keeps_to_its_place_in_the_url() {
    let url = "/echo/{{ secrets.TOKEN }}/messages?key={{ secrets.TOKEN }}&tenant=1";
    let known = secrets([("TOKEN", "admin/all?tenant=2#&x=%41")]);
    let request = sent(json!({ "url": url }), known, json!({}), LINE).await;
    let token = "admin%2Fall%3Ftenant%3D2%23%26x%3D%2541";
    assert_eq!(request.target, format!("/echo/{token}/messages?key={token}&tenant=1"));
}

#[tokio::test]
async fn an_unknown_secret_is_a_failure_of_the_definition_that_names_it() {
    for config in [
        json!({ "url": "http://a.example/{{ secrets.NO }}" }),
        json!({ "url": "http://a.example", "headers": [{ "key": "X-A", "value": "{{ secrets.NO }}" }] }),
        json!({ "url": "http://a.example", "auth": { "type": "bearer", "token": "{{ secrets.NO }}" } }),
    ] {
        let failure = failure(http_adapter(config, Secrets::new(), json!({})).await.err().unwrap());
        assert_eq!(failure.code, "secret_not_found");
        assert!(failure.message.contains("'NO'"), "{failure}");
    }
}

#[tokio::test]
async fn a_line_break_in_a_header_is_refused_with_the_header_s_name_and_not_sent() {
    for line in ["a\r\nX-Evil: 1", "a\nb", "a\0b"] {
        let agent = agent().await;
        let config = json!({ "url": agent.url(), "headers": [{ "key": "X-Line", "value": "{{ input }}" }] });
        let failure = ask_with(config, Secrets::new(), json!({}), &dialogue(line)).await.unwrap_err();
        assert_eq!(failure.code, "template_failed");
        assert!(failure.message.contains("headers \"X-Line\" contains a line break or NUL"), "{failure}");
        assert!(agent.requests().is_empty());
    }
}

#[tokio::test]
async fn a_url_that_a_run_makes_unusable_is_a_failure_of_the_definition() {
    let failure = ask(json!({ "url": "{{ input }}" })).await.unwrap_err();
    assert_eq!(failure.code, "template_failed");
    assert!(failure.message.contains("url"), "{failure}");
}

#[tokio::test]
async fn a_repeated_question_is_known_by_its_key() {
    let (first, again) = (sent_by(json!({})).await, sent_by(json!({})).await);
    let key = first.header("idempotency-key").unwrap().to_owned();
    assert!(key.starts_with(THREAD) && again.header("idempotency-key") == Some(key.as_str()), "{key}");
    let own = sent_by(json!({ "headers": [{ "key": "Idempotency-Key", "value": "mine" }] })).await;
    assert_eq!(own.header("idempotency-key"), Some("mine"));
}

#[tokio::test]
async fn parameters_of_the_query_are_one_value_each_behind_those_of_the_url() {
    let config = json!({
        "url": "/chat?a=1#end",
        "query": [
            { "key": "q", "value": "{{ input }}" },
            { "key": "two words", "value": "{{ params.region | raw }}&b=2" },
            { "key": "key", "value": "{{ secrets.KEY }}" },
        ],
    });
    let request = sent(config, secrets([("KEY", "k&1=/")]), json!({ "region": "x&y=z" }), "a&b=c #ü+").await;
    assert_eq!(
        request.target,
        "/chat?a=1&q=a%26b%3Dc%20%23%C3%BC%2B&two%20words=x%26y%3Dz%26b%3D2&key=k%261%3D%2F"
    );
}

#[tokio::test]
async fn secrets_resolve_in_the_body_only_where_the_definition_says_so() {
    let known = || secrets([("KEY", "k\"1\\{{ input }}")]);
    let body = r#"{"key": "Bearer {{ secrets.KEY }}", "bare": {{ secrets.KEY }}, "line": "{{ input }}"}"#;
    let config = json!({ "bodyTemplate": body, "secretsInBody": true });
    let request = sent(config, known(), json!({}), LINE).await;
    let key = "k\"1\\{{ input }}";
    assert_eq!(request.json(), json!({ "key": format!("Bearer {key}"), "bare": key, "line": LINE }));
    let form = json!({
        "headers": [{ "key": "Content-Type", "value": "application/x-www-form-urlencoded" }],
        "bodyTemplate": "key={{ secrets.KEY }}", "secretsInBody": true,
    });
    let request = sent(form, known(), json!({}), LINE).await;
    assert_eq!(request.body, "key=k%221%5C%7B%7B%20input%20%7D%7D");
    let said = sent(json!({ "bodyTemplate": body }), known(), json!({}), "{{ secrets.KEY }}").await;
    assert!(!said.body.contains("k\\\"1"), "{}", said.body);
}

#[tokio::test]
async fn a_secret_of_the_body_is_not_shown_when_it_comes_back() {
    let agent = HttpAgent::start(|request| Answer::typed("text/plain", request.body.clone())).await;
    let config = json!({ "url": agent.url(), "bodyTemplate": r#"{"key": "{{ secrets.KEY }}"}"#, "secretsInBody": true });
    let reply =
        ask_with(config, secrets([("KEY", "quo\"ted-key")]), json!({}), &dialogue(LINE)).await.unwrap();
    assert_eq!(reply.content, r#"{"key": "[redacted]"}"#);
}

#[tokio::test]
async fn a_definition_s_headers_and_a_body_with_secrets_stay_with_their_origin() {
    let other = agent().await;
    let to = format!("{}/elsewhere", other.url());
    let redirecting = move |_: &AgentRequest| Answer::Reply {
        status: 307,
        headers: vec![("location", to.clone())],
        body: vec![],
    };
    let agent = HttpAgent::start(redirecting).await;
    let headers =
        json!([{ "key": "X-Api-Key", "value": "literal" }, { "key": "Accept", "value": "text/plain" }]);
    let config =
        json!({ "url": agent.url(), "headers": headers, "bodyTemplate": r#"{"key": "{{ secrets.KEY }}"}"# });
    ask_with(config.clone(), secrets([("KEY", "k-123")]), json!({}), &dialogue(LINE)).await.unwrap();
    let request = other.requests().remove(0);
    assert_eq!((request.header("x-api-key"), request.header("accept")), (None, Some("text/plain")));
    let config = with(config, json!({ "secretsInBody": true }));
    let failure =
        ask_with(config, secrets([("KEY", "k-123")]), json!({}), &dialogue(LINE)).await.unwrap_err();
    assert!(failure.message.starts_with("HTTP 307"), "{failure}");
    assert_eq!(other.requests().len(), 1);
}

#[tokio::test]
async fn an_address_that_may_not_be_called_is_known_before_the_run() {
    for url in [
        "http://169.254.169.254/latest",
        "http://2852039166/",
        "http://metadata.google.internal/",
        "http://[fd00:ec2::254]/{{ secrets.KEY }}",
        "{{ secrets.URL }}/chat",
    ] {
        let known = secrets([("KEY", "k-123"), ("URL", "http://0xa9fea9fe")]);
        let refused = http_adapter(json!({ "url": url }), known, json!({})).await.err().unwrap();
        let failure = failure(refused);
        assert_eq!(failure.code, "egress_refused");
        assert!(failure.message.starts_with("HTTP agent shop: url may not be called: "), "{failure}");
        assert!(!failure.message.contains("k-123"), "{failure}");
    }
    let by_line = json!({ "url": "http://{{ params.host }}/" });
    assert!(http_adapter(by_line, Secrets::new(), json!({ "host": "169.254.169.254" })).await.is_ok());
}
