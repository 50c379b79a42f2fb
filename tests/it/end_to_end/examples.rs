//! The shipped example of scripts and checks, played to its end.

use serde_json::{Value, json};

use crate::support::http_agent::{Answer, HttpAgent};
use crate::support::worker::{Place, json_lines, text};

const EXAMPLE: &str = include_str!("../../../config/scripts.yaml");
/// The provider of the example, which is nobody's in a test, and the same models offline.
const PROVIDER: &str = "kind: openai\n    baseUrl: \"http://127.0.0.1:11434/v1\"";
const OFFLINE: &str =
    "kind: scripted\n    models: { \"qwen3:8b\": { replies: [\"I want a refund for my mug.\"] } }";
/// Where the example says how its agent tells of tools.
const TOOL_CALLS: &str = "toolCalls: ";

/// An agent that does everything that the first scenario asks for.
async fn perfect_agent() -> HttpAgent {
    HttpAgent::start(|_| {
        Answer::json(&json!({
            "reply": "I am sorry about the mug. Your refund will be with you within 3 business days.",
            "toolCalls": [
                { "name": "find_order", "arguments": { "id": 7 } },
                { "name": "create_refund", "arguments": { "order": 7, "currency": "EUR" } },
            ],
        }))
    })
    .await
}

fn example(agent: &HttpAgent) -> String {
    assert!(EXAMPLE.contains(PROVIDER) && EXAMPLE.contains(TOOL_CALLS));
    EXAMPLE.replace(PROVIDER, OFFLINE).replace("${AGENT_URL}", agent.url())
}

/// Plays the first scenario of `definitions`.
async fn played(place: &Place, more: &[&str]) -> Value {
    let request: [&str; 9] = [
        "schedule",
        "--project",
        "acme",
        "--scenario",
        "refund",
        "--target",
        "http:my-agent",
        "--wait",
        "--json",
    ];
    let output = place.run(&[&request, more].concat()).await;
    json_lines(&output.stdout).into_iter().nth(1).unwrap_or_else(|| panic!("{}", text(&output.stderr)))
}

/// The checks that are not met, by their ids.
fn unmet(outcome: &Value) -> Vec<&str> {
    let criteria = outcome["criteria"].as_array().unwrap().iter();
    criteria.filter(|result| result["status"] != "met").filter_map(|result| result["id"].as_str()).collect()
}

#[tokio::test]
async fn a_perfect_agent_passes_every_check_of_the_example() {
    let (place, agent) = (Place::new(), perfect_agent().await);
    place.import(&example(&agent)).await;
    let _worker = place.serve().await;
    let outcome = played(&place, &[]).await;
    assert_eq!(outcome["status"], "SUCCESS", "{outcome:#}");
    assert_eq!(outcome["criteria"].as_array().unwrap().len(), 13, "a criterion and twelve checks");
    assert_eq!(outcome["toolCallsUnknown"], Value::Null);
}

#[tokio::test]
async fn an_agent_whose_tools_nobody_knows_of_passes_no_check_of_tools_played_replayed_or_rejudged() {
    let (place, agent) = (Place::new(), perfect_agent().await);
    let forgotten = example(&agent).replace(TOOL_CALLS, "# toolCalls: ").replace(", required: true", "");
    place.import(&forgotten).await;
    let _worker = place.serve().await;
    let first = played(&place, &["--run-id", "one", "--cassette", "record"]).await;
    let replayed = played(&place, &["--cassette", "replay"]).await;
    let again = place.run(&["rejudge", "--project", "acme", "one", "--json"]).await;
    let rejudged = json_lines(&again.stdout).remove(0);
    assert_eq!(agent.requests().len(), 1, "{first:#}");
    for outcome in [&first, &replayed, &rejudged] {
        assert_eq!((&outcome["status"], &outcome["toolCallsUnknown"]), (&json!("FAILED"), &json!(true)));
        assert_eq!(unmet(outcome), ["check5", "check6", "check7"], "{outcome:#}");
    }
    assert!(first["reasoning"].as_str().unwrap().contains("is not known"), "{}", first["reasoning"]);
}
