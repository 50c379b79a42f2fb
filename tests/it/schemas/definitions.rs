//! The schema of definition files takes what the program takes, and refuses what it refuses for its shape.

use std::sync::Arc;

use scenario_worker::adapters::presets::with_presets;
use scenario_worker::adapters::{HttpAdapterFactory, Registry};
use scenario_worker::store::files::{SourceFile, parse};
use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::schemas::{problems, validator};

const README: &str = include_str!("../../../README.md");
const SHIPPED: [(&str, &str); 3] = [
    ("demo.yaml", include_str!("../../../config/demo.yaml")),
    ("example.yaml", include_str!("../../../config/example.yaml")),
    ("scripts.yaml", include_str!("../../../config/scripts.yaml")),
];

fn documents(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

#[test]
fn what_is_shipped_fits() {
    let validator = validator("definitions");
    for (name, yaml) in SHIPPED {
        for document in documents(yaml) {
            assert_eq!(problems(&validator, &document), [""; 0], "{name}");
        }
    }
}

#[test]
fn what_the_readme_shows_fits() {
    let validator = validator("definitions");
    let mut shown = 0;
    for example in README.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        for mut document in documents(example) {
            // Some examples are a part of a document.
            let fields = document.as_object_mut().unwrap();
            fields.entry("project").or_insert(json!({ "id": "acme" }));
            if fields.keys().all(|key| {
                ["project", "providers", "secrets", "prompts", "agents", "scenarios"].contains(&key.as_str())
            }) {
                shown += 1;
                assert_eq!(problems(&validator, &document), [""; 0], "{example}");
            }
        }
    }
    assert!(shown >= 3, "{shown}");
}

/// A document with an agent, a scenario and more.
fn document(agent: Value, scenario: Value, more: Value) -> Value {
    let mut agents = json!({ "id": "a", "type": "http", "url": "https://a.example" });
    let mut scenarios =
        json!({ "id": "s", "name": "S", "situation": "A mug broke.", "criteria": ["It is kind"] });
    let mut whole = json!({ "project": { "id": "acme" } });
    for (part, changes) in [(&mut agents, agent), (&mut scenarios, scenario), (&mut whole, more)] {
        let Value::Object(changes) = changes else { panic!("changes are an object") };
        for (key, value) in changes {
            part[key] = value;
        }
    }
    whole["agents"] = json!([agents]);
    whole["scenarios"] = json!([scenarios]);
    whole
}

fn with_agent(agent: Value) -> Value {
    document(agent, json!({}), json!({}))
}

fn with_scenario(scenario: Value) -> Value {
    document(json!({}), scenario, json!({}))
}

fn with(more: Value) -> Value {
    document(json!({}), json!({}), more)
}

/// Whether the program takes it.
fn is_taken(registry: &Registry, document: &Value) -> bool {
    let file = SourceFile { name: "d.json".to_owned(), text: document.to_string() };
    let parsed = parse(&[file], &|_| None);
    parsed.is_ok_and(|parsed| {
        parsed[0].document().agents.iter().all(|agent| registry.check_agent(agent).is_ok())
    })
}

async fn registry(database: &TestDatabase) -> Registry {
    let store = Arc::new(database.store().await);
    let http = HttpAdapterFactory::new(store.clone(), store, crate::support::egress::open());
    with_presets(Registry::new().with(http.clone()), &http)
}

fn good() -> Vec<Value> {
    vec![
        with(json!({})),
        with(json!({ "prompts": null, "secrets": { "A": "b" } })),
        with(
            json!({ "providers": [{ "id": "p", "kind": "openai", "apiKey": null, "prices": { "m": { "inputPerMillion": 0.25, "outputPerMillion": 2 } } }] }),
        ),
        with(
            json!({ "providers": [{ "id": "p", "kind": "scripted", "models": { "m": { "replies": ["a", { "when": "b", "text": "c" }], "otherwise": "unmet" } } }] }),
        ),
        with(
            json!({ "prompts": [{ "id": "p", "systemPrompt": "Hi", "fieldMappings": { "q": { "type": "source", "path": ["thread_id"] } } }] }),
        ),
        with_agent(
            json!({ "auth": { "type": "oauth2", "tokenUrl": "https://t.example", "clientId": "a", "clientSecret": "b" } }),
        ),
        with_agent(
            json!({ "retries": { "attempts": 3, "on": ["connect", 503, "5xx"] }, "idleTimeoutSeconds": 5 }),
        ),
        with_agent(
            json!({ "session": { "start": { "url": "https://a.example/s", "bodyTemplate": "{}", "capture": { "t": "$.token", "c": { "cookie": "sid" } } } } }),
        ),
        with_agent(json!({ "type": "mcp", "tool": "ask", "arguments": { "q": "{{ input }}" } })),
        with_agent(
            json!({ "type": "websocket", "url": "wss://a.example", "format": "text", "done": { "text": "END" } }),
        ),
        with_agent(json!({ "type": "openai_responses", "history": "full" })),
        with(
            json!({ "prompts": [{ "id": "p", "systemPrompt": "Hi", "toolChoice": { "tool": "t" }, "responseFormat": "json",
            "tools": [{ "name": "t", "result": { "a": 1 } }] }] }),
        ),
        with(
            json!({ "project": { "id": "acme", "telemetry": { "endpoint": "https://l.example", "apiKey": "k", "events": true } } }),
        ),
        with_agent(json!({ "limits": { "maxInFlight": 2 } })),
        with_scenario(
            json!({ "script": ["user", "agent", { "user": "Hi" }, { "agent": null }, { "message": { "role": "tool", "content": "{}" } }, { "proceed": 2 }, { "check": { "contains": "a" } }, { "judge": { "criteria": ["b"] } }, "succeed"], "criteria": [] }),
        ),
        with_scenario(
            json!({ "script": [{ "proceed": { "turns": 2, "until": { "toolCalled": "refund" } } }, "judge"] }),
        ),
        with_scenario(
            json!({ "checks": [{ "name": "n", "required": true, "contains": ["a", "b"], "ignoreCase": true }, { "turns": { "max": 4 }, "contains": null }] }),
        ),
        with_scenario(
            json!({ "checks": [{ "jsonSchema": { "type": "object" } }, { "costUsd": { "max": 0.5 } }, { "toolCalled": { "name": "t", "times": 2 } }] }),
        ),
        with_scenario(
            json!({ "parameters": [{ "name": "region", "default": "eu" }, { "name": "n", "defaultValue": 3 }] }),
        ),
        with_scenario(
            json!({ "models": { "judge": ["a/b", "c/d", "e/f"] }, "userSimulator": { "form": "role_reversal", "temperature": 0.5 } }),
        ),
    ]
}

fn bad() -> Vec<Value> {
    vec![
        json!({ "agents": [] }),
        with(json!({ "project": { "id": "a.b" } })),
        with(json!({ "project": { "id": "acme", "colour": "red" } })),
        with(json!({ "agent": [] })),
        with(json!({ "secrets": { "A": 5 } })),
        with(json!({ "providers": [{ "id": "p", "kind": "magic" }] })),
        with(json!({ "providers": [{ "id": "", "kind": "openai" }] })),
        with(
            json!({ "providers": [{ "id": "p", "kind": "openai", "prices": { "m": { "inputPerMillion": -1, "outputPerMillion": 2 } } }] }),
        ),
        with(json!({ "prompts": [{ "id": "p", "systemPrompt": "Hi", "toolChoice": "sometimes" }] })),
        with(
            json!({ "project": { "id": "acme", "telemetry": { "endpoint": "https://l.example", "events": "yes" } } }),
        ),
        with(json!({ "prompts": [{ "id": "p" }] })),
        with(json!({ "prompts": [{ "id": "p", "systemPrompt": "Hi", "temperature": 3 }] })),
        with_agent(json!({ "type": "magic" })),
        with_agent(json!({ "url": null })),
        with_agent(json!({ "outputpath": "$.a" })),
        with_agent(json!({ "tool": "only mcp has one" })),
        with_agent(json!({ "auth": { "type": "bearer" } })),
        with_agent(json!({ "limits": { "maxInFlight": 0 } })),
        with_agent(json!({ "type": "openai_chat", "history": "full" })),
        with_agent(json!({ "type": "a2a", "context": "mine" })),
        with_agent(json!({ "type": "langgraph" })),
        with_scenario(json!({ "name": null })),
        with_scenario(json!({ "maxTurns": 101 })),
        with_scenario(json!({ "maxTurns": "6" })),
        with_scenario(json!({ "script": ["usr"] })),
        with_scenario(json!({ "script": [{ "user": "a", "agent": "b" }] })),
        with_scenario(json!({ "script": ["message"] })),
        with_scenario(json!({ "script": ["check"] })),
        with_scenario(json!({ "script": [{ "proceed": 0 }, "judge"] })),
        with_scenario(json!({ "checks": [{ "name": "empty" }] })),
        with_scenario(json!({ "checks": [{ "contains": "a", "turns": { "max": 2 } }] })),
        with_scenario(json!({ "checks": [{ "contains": null }] })),
        with_scenario(json!({ "parameters": [{ "name": "2a" }] })),
        with_scenario(json!({ "parameters": [{ "name": "a", "default": [1] }] })),
        with_scenario(json!({ "models": { "judge": [] } })),
        with_scenario(json!({ "starts": "nobody" })),
    ]
}

#[tokio::test]
async fn schema_and_program_agree() {
    let (validator, database) = (validator("definitions"), TestDatabase::sqlite());
    let registry = registry(&database).await;
    let (mut wrong, cases) = (Vec::new(), [(true, good()), (false, bad())]);
    for (expected, documents) in cases {
        for document in documents {
            let found = (is_taken(&registry, &document), problems(&validator, &document));
            if (found.0, found.1.is_empty()) != (expected, expected) {
                wrong.push(format!(
                    "{document}\n  expected {expected}, the program says {}, the schema {:?}",
                    found.0, found.1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
