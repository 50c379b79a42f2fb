//! What people write about agents behind known protocols.

use scenario_worker::definitions::Document;
use scenario_worker::store::files::{SourceFile, parse};
use serde_json::{Value, json};

use super::{KINDS, adapter, registry};
use crate::adapters::stage::{Shelf, agent, failure, spec, with};
use scenario_worker::execution::ports::TargetAdapters as _;

const README: &str = include_str!("../../../../README.md");

/// The YAML below the heading, as a whole file.
fn example() -> Document {
    let section =
        README.split("### Agents behind known protocols\n").nth(1).expect("the README has the section");
    let yaml =
        section.split("```yaml\n").nth(1).expect("the section has an example").split("```").next().unwrap();
    let file = SourceFile { name: "README.md".to_owned(), text: format!("project: {{ id: acme }}\n{yaml}") };
    let variable = |name: &str| panic!("{name} is not needed");
    parse(&[file], &variable).unwrap().remove(0).document().clone()
}

#[test]
fn what_the_readme_shows_can_be_imported_and_shows_every_type() {
    let document = example();
    for agent in &document.agents {
        registry(Shelf::default()).check_agent(agent).unwrap();
        assert!(agent.config.len() <= 5, "{} needs more than a few lines", agent.id);
    }
    let mut shown: Vec<&str> = document.agents.iter().map(|agent| agent.kind.as_str()).collect();
    shown.sort_unstable();
    assert_eq!(shown, KINDS);
}

fn least(kind: &str) -> Value {
    match kind {
        "langgraph" => json!({ "url": "https://a.example", "assistant": "a" }),
        "mcp" => json!({ "url": "https://a.example", "tool": "t" }),
        "websocket" => json!({ "url": "wss://a.example" }),
        _ => json!({ "url": "https://a.example" }),
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    let mut cases: Vec<(&str, Value, &str)> = KINDS
        .iter()
        .flat_map(|kind| {
            [
                (*kind, json!({ "colour": "red" }), "unknown field `colour`"),
                (*kind, json!({ "colour": "red" }), "or a field of every agent: url, query, headers"),
                (*kind, json!({ "url": "gopher://a" }), "url: its scheme is 'gopher'"),
                (*kind, json!({ "url": 5 }), "url: "),
                (*kind, json!({ "timeoutSeconds": 0 }), "timeoutSeconds: 0"),
                (*kind, json!({ "retries": { "attempts": 1 } }), "retries.attempts: 1 is not 2 to 10"),
                (*kind, json!({ "auth": { "type": "magic" } }), "auth"),
                (*kind, json!({ "headers": [{ "key": "Content-Length", "value": "1" }] }), "content-length"),
            ]
        })
        .collect();
    cases.extend([
        ("a2a", json!({ "protocolVersion": "2.0" }), "protocolVersion: '2.0'"),
        ("a2a", json!({ "context": "mine" }), "context: unknown variant"),
        ("mcp", json!({ "tool": "" }), "tool: ''"),
        ("mcp", json!({ "arguments": { "q": "{{ input" } }), "arguments.q"),
        ("mcp", json!({ "arguments": { "q": "{{ secrets.KEY }}" } }), "arguments.q: a secret can be used"),
        ("mcp", json!({ "outputPath": "reply" }), "outputPath: 'reply'"),
        ("openai_chat", json!({ "body": { "messages": [] } }), "body.messages"),
        ("openai_responses", json!({ "body": { "input": "" } }), "body.input"),
        ("openai_responses", json!({ "history": "none" }), "history: unknown variant"),
        ("langgraph", json!({ "assistant": null }), "assistant"),
        ("langgraph", json!({ "input": { "messages": [] } }), "input.messages"),
        ("langgraph", json!({ "thread": "mine" }), "thread: unknown variant"),
        ("websocket", json!({ "done": { "path": "$.a", "text": "b" } }), "done: it is exactly one of"),
        ("websocket", json!({ "done": {} }), "done: it is exactly one of"),
        ("websocket", json!({ "done": { "path": "a" } }), "done.path: 'a'"),
        ("websocket", json!({ "done": { "closed": true } }), "connect: turn"),
        ("websocket", json!({ "greeting": "hello" }), "greeting: unknown variant"),
        ("websocket", json!({ "errorPath": "a" }), "errorPath: 'a'"),
        ("websocket", json!({ "messageTemplate": "{{ secrets.KEY }}" }), "messageTemplate: a secret"),
    ]);
    for (kind, more, part) in cases {
        let agent = agent(kind, with(least(kind), more.clone()));
        let problem = registry(Shelf::default()).check_agent(&agent).expect_err(&format!("{kind} {more}"));
        assert!(problem.contains(" shop: ") && problem.contains(part), "{kind} {more}: {problem}");
    }
}

#[tokio::test]
async fn what_a_run_needs_and_does_not_find_is_an_outcome() {
    for kind in KINDS {
        let nobody =
            failure(registry(Shelf::default()).adapter(spec(kind, "x", json!({}))).await.err().unwrap());
        assert_eq!(nobody.code, "target_not_found", "{kind}");
        let auth = json!({ "auth": { "type": "bearer", "token": "{{ secrets.OTHER }}" } });
        let unknown = failure(adapter(kind, with(least(kind), auth)).await.err().unwrap());
        assert_eq!(unknown.code, "secret_not_found", "{kind}");
        assert!(unknown.message.contains("'OTHER'"), "{unknown}");
    }
}
