//! Agents that speak A2A.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Talk, ask, then};
use crate::adapters::stage::{LINE, TRACEPARENT, dialogue};
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};
use crate::support::protocols::a2a::{agent, task};
use crate::support::protocols::{Rpc, events};

fn asked(agent: &HttpAgent) -> Vec<AgentRequest> {
    agent.requests().into_iter().filter(|request| request.method == "POST").collect()
}

#[tokio::test]
async fn version_1_is_spoken_where_the_card_names_it() {
    let agent = agent("1.0", false, |_, _| {
        Rpc::Result(json!({ "task": task("TASK_STATE_COMPLETED", "", &["Sorry!"]) }))
    })
    .await;
    assert_eq!(ask("a2a", json!({ "url": agent.url() })).await.unwrap().content, "Sorry!");
    let request = asked(&agent).remove(0);
    assert_eq!(request.header("a2a-version"), Some("1.0"));
    assert_eq!(
        (request.header("idempotency-key"), request.header("traceparent")),
        (Some("run-1:2"), Some(TRACEPARENT))
    );
    let body = request.json();
    assert_eq!((&body["method"], &body["params"]["tenant"]), (&json!("SendMessage"), &json!("t1")));
    let message = &body["params"]["message"];
    assert_eq!((&message["role"], &message["parts"]), (&json!("ROLE_USER"), &json!([{ "text": LINE }])));
    let card = &agent.requests()[0];
    assert_eq!(
        (card.method.as_str(), card.header("idempotency-key")),
        ("GET", None),
        "only the question is the question"
    );
}

#[tokio::test]
async fn version_03_is_spoken_where_the_card_names_it() {
    let answer = json!({ "kind": "message", "role": "agent", "messageId": "m", "contextId": "c", "parts": [
        { "kind": "text", "text": "Sorry!" }, { "kind": "data", "data": { "order": 7 } }, { "kind": "file", "file": {} },
    ] });
    let agent = agent("0.3.0", false, move |_, _| Rpc::Result(answer.clone())).await;
    assert_eq!(ask("a2a", json!({ "url": agent.url() })).await.unwrap().content, "Sorry!\n{\"order\":7}");
    let request = asked(&agent).remove(0);
    assert_eq!(request.header("a2a-version"), None);
    let body = request.json();
    assert_eq!(
        (&body["method"], &body["params"]["configuration"]["blocking"]),
        (&json!("message/send"), &json!(true))
    );
    assert_eq!(body["params"]["message"]["parts"], json!([{ "kind": "text", "text": LINE }]));
}

#[tokio::test]
async fn the_query_goes_along_to_the_agent_s_own_origin_and_to_no_other() {
    let done =
        || Answer::json(&json!({ "jsonrpc": "2.0", "result": task("TASK_STATE_COMPLETED", "Fine", &[]) }));
    let elsewhere = HttpAgent::start(move |_| done()).await;
    for (interface, expected) in [
        ("/rpc", Some("/rpc?apikey=k-very-secret-123")),
        ("/rpc?v=1&apikey=k-very-secret-123", Some("/rpc?v=1&apikey=k-very-secret-123")),
        ("", None),
    ] {
        let other = format!("{}/rpc?v=1", elsewhere.url());
        let agent = HttpAgent::start(move |request| {
            if request.method == "POST" {
                return done();
            }
            assert!(request.target.ends_with("?apikey=k-very-secret-123"), "{}", request.target);
            let own = format!("http://{}{interface}", request.header("host").unwrap());
            let url = if interface.is_empty() { other.clone() } else { own };
            Answer::json(&json!({ "name": "double", "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }] }))
        })
        .await;
        let query = json!([{ "key": "apikey", "value": "{{ secrets.KEY }}" }]);
        assert_eq!(ask("a2a", json!({ "url": agent.url(), "query": query })).await.unwrap().content, "Fine");
        assert_eq!(asked(&agent).first().map(|request| request.target.as_str()), expected);
    }
    assert_eq!(elsewhere.requests()[0].target, "/rpc?v=1");
}

#[tokio::test]
async fn a_task_is_looked_at_until_it_is_done() {
    let looks = AtomicUsize::new(0);
    let agent = agent("1.0", false, move |method, params| match method {
        "SendMessage" => Rpc::Result(json!({ "task": task("TASK_STATE_SUBMITTED", "", &[]) })),
        "GetTask" => {
            assert_eq!(params["id"], "task-1");
            let done = looks.fetch_add(1, Ordering::SeqCst) == 1;
            Rpc::Result(task(
                if done { "TASK_STATE_COMPLETED" } else { "TASK_STATE_WORKING" },
                "It is done",
                &[],
            ))
        }
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(ask("a2a", json!({ "url": agent.url() })).await.unwrap().content, "It is done");
    let requests = asked(&agent);
    assert_eq!(requests.len(), 3);
    assert!(requests[1..].iter().all(|request| request.header("idempotency-key").is_none()));
}

#[tokio::test]
async fn a_stream_is_put_together_in_both_versions() {
    let pieces = |names: [&str; 2], kinds: bool| {
        let event = |name: &str, kind: &str, mut value: Value| {
            value["taskId"] = json!("task-1");
            value["contextId"] = json!("c");
            if kinds {
                value["kind"] = json!(kind);
                return value;
            }
            json!({ name: value })
        };
        let artifact = |text: &str, append: bool| json!({ "artifact": { "artifactId": "a", "parts": [{ "kind": "text", "text": text }] }, "append": append });
        vec![
            event(names[0], "status-update", json!({ "status": { "state": "working" } })),
            event(names[1], "artifact-update", artifact("Sor", false)),
            event(names[1], "artifact-update", artifact("ry!", true)),
            event(names[0], "status-update", json!({ "status": { "state": "completed" }, "final": true })),
        ]
    };
    for (version, stream, method) in [
        ("1.0", pieces(["statusUpdate", "artifactUpdate"], false), "SendStreamingMessage"),
        ("0.3.0", pieces(["", ""], true), "message/stream"),
    ] {
        let agent = agent(version, true, move |_, _| Rpc::Stream(stream.clone())).await;
        assert_eq!(ask("a2a", json!({ "url": agent.url() })).await.unwrap().content, "Sorry!");
        assert_eq!(asked(&agent)[0].json()["method"], method);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_made_up_for_by_the_task() {
    let agent = agent("1.0", true, |method, _| match method {
        "GetTask" => Rpc::Result(task("TASK_STATE_COMPLETED", "", &["Sorry!"])),
        _ => Rpc::Stream(vec![json!({ "task": task("TASK_STATE_WORKING", "", &[]) })]),
    })
    .await;
    assert_eq!(ask("a2a", json!({ "url": agent.url() })).await.unwrap().content, "Sorry!");
    let agent = self::agent("1.0", true, |_, _| Rpc::Raw(events([]))).await;
    let failure = ask("a2a", json!({ "url": agent.url() })).await.unwrap_err();
    assert_eq!(failure.code, "http_invalid_response", "{failure}");
}

#[tokio::test]
async fn the_context_is_the_run_s_and_a_task_that_asks_is_continued() {
    let agent = agent("1.0", false, |_, params| {
        let state = if params["message"].get("taskId").is_some() {
            "TASK_STATE_COMPLETED"
        } else {
            "TASK_STATE_INPUT_REQUIRED"
        };
        let mut task = task(state, "Which order?", &[]);
        task["contextId"] = params["message"]["contextId"].clone();
        Rpc::Result(json!({ "task": task }))
    })
    .await;
    let config = json!({ "url": agent.url() });
    let mut talk = Talk::with("a2a", config.clone()).await;
    let first = dialogue(LINE);
    assert_eq!(talk.say(&first).await.unwrap().content, "Which order?");
    talk.say(&then(&first, "Which order?", "Seven")).await.unwrap();
    ask("a2a", config.clone()).await.unwrap();
    let mut asked_back = Talk::with("a2a", config.clone()).await;
    asked_back.say(&first).await.unwrap();
    let mut elsewhere = asked_back.elsewhere("a2a", config).await;
    elsewhere.say(&then(&first, "Which order?", "Seven")).await.unwrap();
    let messages: Vec<Value> =
        asked(&agent).iter().map(|request| request.json()["params"]["message"].clone()).collect();
    assert_eq!((&messages[0].get("taskId"), &messages[1]["taskId"]), (&None, &json!("task-1")));
    assert_eq!(messages[1]["parts"], json!([{ "text": "Seven" }]));
    assert_eq!(messages[0]["contextId"], messages[1]["contextId"]);
    assert_ne!(messages[0]["messageId"], messages[1]["messageId"]);
    assert_eq!(messages[0], messages[2], "whoever goes on with the run says the same");
    assert_eq!(messages[1], messages[4], "and goes on with the task");
}

#[tokio::test]
async fn a_context_of_the_agent_s_own_is_taken_over() {
    let agent =
        agent("1.0", false, |_, _| Rpc::Result(json!({ "task": task("TASK_STATE_COMPLETED", "Yes", &[]) })))
            .await;
    let mut talk = Talk::with("a2a", json!({ "url": agent.url(), "context": "agent" })).await;
    let first = dialogue(LINE);
    talk.say(&first).await.unwrap();
    talk.say(&then(&first, "Yes", "And?")).await.unwrap();
    let contexts: Vec<Value> = asked(&agent)
        .iter()
        .map(|request| request.json()["params"]["message"]["contextId"].clone())
        .collect();
    assert_eq!(contexts, [Value::Null, json!("context-1")]);
}

#[tokio::test]
async fn failures_are_told_in_the_agent_s_words() {
    for (answer, words) in [
        (Rpc::Error(-32001, "Task not found"), "Task not found (code -32001)"),
        (Rpc::Result(task("TASK_STATE_FAILED", "no stock", &[])), "the task is failed: no stock"),
        (Rpc::Result(task("rejected", "", &[])), "the task is rejected: it says no more"),
        (Rpc::Result(task("auth-required", "log in", &[])), "the task is auth-required: log in"),
    ] {
        let answer = std::sync::Mutex::new(Some(answer));
        let agent = agent("1.0", false, move |_, _| answer.lock().unwrap().take().unwrap()).await;
        let failure = ask("a2a", json!({ "url": agent.url() })).await.unwrap_err();
        assert_eq!(failure.message, format!("{}/ reports an error: {words}", agent.url()));
        assert_eq!(failure.code, "agent_error");
    }
}

#[tokio::test]
async fn a_card_leads_no_credentials_to_another_origin() {
    let card = json!({ "url": "http://127.0.0.1:9/rpc", "protocolVersion": "0.3.0" });
    let agent = HttpAgent::start(move |_| Answer::json(&card)).await;
    let auth = json!({ "type": "bearer", "token": "{{ secrets.KEY }}" });
    let failure = ask("a2a", json!({ "url": agent.url(), "auth": auth })).await.unwrap_err();
    assert_eq!(failure.code, "invalid_target");
    assert!(failure.message.contains("leads to http://127.0.0.1:9/rpc"), "{failure}");
    let failure = ask("a2a", json!({ "url": agent.url() })).await.unwrap_err();
    assert_eq!(failure.code, "http_unreachable", "without credentials it is followed: {failure}");
}

#[tokio::test]
async fn cards_that_cannot_be_used_say_why() {
    for (card, words) in [
        (
            json!({ "supportedInterfaces": [{ "url": "http://a", "protocolBinding": "GRPC", "protocolVersion": "1.0" }] }),
            "only GRPC 1.0",
        ),
        (json!({ "url": "nowhere", "protocolVersion": "0.3.0" }), "url: "),
        (json!({ "url": 5 }), "invalid type"),
        (json!([]), "cannot be used"),
    ] {
        let agent = HttpAgent::start(move |_| Answer::json(&card)).await;
        let failure = ask("a2a", json!({ "url": agent.url() })).await.unwrap_err();
        assert!(failure.message.contains(words), "{words}: {failure}");
    }
    let agent = HttpAgent::start(|_| Answer::status(404, "nothing")).await;
    let failure = ask("a2a", json!({ "url": agent.url() })).await.unwrap_err();
    assert!(failure.hint.unwrap().contains("card: false"));
    assert_eq!(agent.requests().len(), 2, "the older place is tried, too");
}

#[tokio::test]
async fn without_a_card_the_url_is_where_the_agent_is_asked() {
    let agent =
        HttpAgent::start(|request| Rpc::Result(task("completed", "", &["Yes"])).answer(&request.json()))
            .await;
    let config = json!({ "url": format!("{}/a2a", agent.url()), "card": false, "protocolVersion": "0.3" });
    assert_eq!(ask("a2a", config).await.unwrap().content, "Yes");
    let request = agent.requests().remove(0);
    assert_eq!((request.target.as_str(), &request.json()["method"]), ("/a2a", &json!("message/send")));
}
