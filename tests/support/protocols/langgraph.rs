//! A LangGraph server with one graph, which keeps the messages of threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::events;
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};

type Threads = Arc<Mutex<BTreeMap<String, Vec<Value>>>>;

/// A server whose graph answers its messages with `play`'s messages.
pub(crate) struct LangGraphServer {
    pub(crate) http: HttpAgent,
    threads: Threads,
}

impl LangGraphServer {
    pub(crate) async fn start(play: impl Fn(&[Value]) -> Vec<Value> + Send + Sync + 'static) -> Self {
        let threads = Threads::default();
        let kept = Arc::clone(&threads);
        let http = HttpAgent::start(move |request| run(request, &kept, &play)).await;
        Self { http, threads }
    }

    /// The messages of the only thread.
    pub(crate) fn thread(&self) -> Vec<Value> {
        let threads = self.threads.lock().unwrap();
        assert_eq!(threads.len(), 1, "one thread is expected: {threads:?}");
        threads.values().next().unwrap().clone()
    }
}

fn run(request: &AgentRequest, threads: &Threads, play: &dyn Fn(&[Value]) -> Vec<Value>) -> Answer {
    let body = request.json();
    let path: Vec<&str> = request.target.trim_matches('/').split('/').collect();
    let (thread, how) = match path.as_slice() {
        ["threads", id, "runs", how] => (Some((*id).to_owned()), *how),
        ["runs", how] => (None, *how),
        other => return Answer::status(404, format!("nothing at {other:?}")),
    };
    let mut threads = threads.lock().unwrap();
    let mut messages = thread.as_ref().and_then(|id| threads.get(id)).cloned().unwrap_or_default();
    for message in body["input"]["messages"].as_array().unwrap() {
        // As the graphs' own reducer does: a message of the same id takes the place of itself.
        match messages.iter_mut().find(|known| known["id"] == message["id"]) {
            Some(known) => *known = human(message),
            None => messages.push(human(message)),
        }
    }
    messages.extend(play(&messages));
    if let Some(id) = thread {
        threads.insert(id, messages.clone());
    }
    let state = json!({ "messages": messages });
    match how {
        "wait" => Answer::json(&state),
        _ => events([
            ("metadata", json!({ "run_id": "r" })),
            ("values", json!({ "messages": [] })),
            ("values", state),
            ("end", Value::Null),
        ]),
    }
}

fn human(message: &Value) -> Value {
    let kind = if message["role"] == "user" { "human" } else { "ai" };
    json!({ "id": message["id"], "type": kind, "content": message["content"] })
}
