//! The customer's, the judge's and the agent's servers. They know who calls, for which run and which step, and write
//! down when the call began and how it ended.
//!
//! Every scenario has the run's id as its situation, so that each model request names its run; every worker has its
//! own path, so that each call names its worker.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use futures::future::BoxFuture;
use futures::stream;
use scenario_worker::execution::types::{DECIDE_TOOL, judging};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::history::{CallEnd, Recorder, now};
use super::script::{self, AGENT, MAX_TURNS, PROJECT, Part, Step};

/// Decides when a call is answered, and hears when it was.
pub(crate) trait Director: Send + Sync + 'static {
    /// The call is answered when this is over.
    fn before(&self, run: &str, step: Step) -> BoxFuture<'static, ()>;
    /// The whole answer was handed over.
    fn after(&self, run: &str, step: Step);
    /// Spans are taken when this is over.
    fn exporting(&self) -> BoxFuture<'static, ()>;
}

#[derive(Clone)]
struct Stage {
    recorder: Recorder,
    director: Arc<dyn Director>,
}

/// The servers. They end when this is dropped.
pub(crate) struct Doubles {
    origin: String,
    task: JoinHandle<()>,
}

impl Doubles {
    /// Starts them.
    pub(crate) async fn start(recorder: &Recorder, director: Arc<dyn Director>) -> Self {
        let stage = Stage { recorder: recorder.clone(), director };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/{worker}/chat", post(agent))
            .route("/{worker}/v1/chat/completions", post(model))
            .route("/{worker}/v1/traces", post(traces))
            .with_state(stage);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, task }
    }

    /// Definitions that lead worker number `worker` here: one scenario for each of `runs`, of the same name.
    pub(crate) fn definitions(&self, worker: usize, runs: &[String]) -> String {
        let scenario = |run: &String| json!({ "id": run, "name": run, "situation": run, "criteria": ["It ends well"], "maxTurns": MAX_TURNS });
        let base = format!("{}/{worker}", self.origin);
        json!({
            "project": {
                "id": PROJECT,
                "defaultModel": "double/model",
                "telemetry": { "endpoint": base, "protocol": "otlp" },
            },
            "providers": [{ "id": "double", "kind": "openai", "baseUrl": format!("{base}/v1"), "apiKey": "k" }],
            "agents": [{ "id": AGENT, "type": "http", "url": format!("{base}/chat"), "outputPath": "$.reply" }],
            "scenarios": runs.iter().map(scenario).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

impl Drop for Doubles {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A call under way. Dropped before it is answered, it was abandoned.
struct OpenCall {
    stage: Stage,
    number: usize,
    run: String,
    step: Step,
    answered: bool,
}

impl OpenCall {
    fn answered(mut self) {
        self.answered = true;
        self.stage.recorder.call_ended(self.number, CallEnd::Answered(now()));
        self.stage.director.after(&self.run, self.step);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if !self.answered {
            self.stage.recorder.call_ended(self.number, CallEnd::Abandoned(now()));
        }
    }
}

impl Stage {
    /// Answers when the director says so. The call is over when the last byte is handed over.
    async fn play(self, worker: usize, run: &str, step: Step, answer: Value) -> Response {
        let number = self.recorder.call(run.to_owned(), step, worker);
        let director = Arc::clone(&self.director);
        let call = OpenCall { stage: self, number, run: run.to_owned(), step, answered: false };
        director.before(run, step).await;
        let whole = Bytes::from(answer.to_string());
        let body = stream::unfold((Some(whole), Some(call)), |(whole, mut call)| async move {
            if let Some(whole) = whole {
                return Some((Ok::<_, Infallible>(whole), (None, call)));
            }
            if let Some(call) = call.take() {
                call.answered();
            }
            None
        });
        Response::builder().header(CONTENT_TYPE, "application/json").body(Body::from_stream(body)).unwrap()
    }
}

/// Takes spans; an empty answer says that all of them are welcome.
async fn traces(State(stage): State<Stage>) {
    stage.director.exporting().await;
}

async fn agent(State(stage): State<Stage>, Path(worker): Path<usize>, Json(body): Json<Value>) -> Response {
    let run = body["threadId"].as_str().unwrap();
    let said = body["messages"].as_array().unwrap().iter();
    let lines: Vec<String> = said.map(|message| message["content"].as_str().unwrap().to_owned()).collect();
    let turn = u32::try_from(lines.len() / 2).unwrap() + 1;
    let answer = json!({ "reply": script::agent_line(run, &script::render(&lines)) });
    stage.play(worker, run, Step { turn, part: Part::Agent }, answer).await
}

async fn model(State(stage): State<Stage>, Path(worker): Path<usize>, Json(body): Json<Value>) -> Response {
    let run = between(&body["messages"][0], "<situation>\n", "\n</situation>");
    let so_far = between(&body["messages"][1], "<transcript>\n", "</transcript>");
    let messages = so_far.lines().count();
    let (part, message) = reply(&body, &run, &so_far, messages);
    let turn = u32::try_from(messages / 2).unwrap() + u32::from(part == Part::Customer);
    let answer = json!({
        "model": "double",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    });
    stage.play(worker, &run, Step { turn, part }, answer).await
}

/// Whose part the model plays, and its message.
fn reply(body: &Value, run: &str, so_far: &str, messages: usize) -> (Part, Value) {
    let Some(tool) = body["tools"][0]["function"]["name"].as_str() else {
        return (
            Part::Customer,
            json!({ "role": "assistant", "content": script::customer_line(run, so_far) }),
        );
    };
    let (part, arguments) = if tool == DECIDE_TOOL {
        let enough = messages >= 2 * script::turns_of(run) as usize;
        let decision = if enough { judging::DECISION_VERDICT } else { judging::DECISION_CONTINUE };
        (Part::Decide, json!({ "reasoning": "As the script says.", "decision": decision }))
    } else {
        let evidence = agents_first_line(so_far);
        let met = json!({ "requirement": "It ends well", "evidence": evidence, "reasoning": "It did.", "status": "met" });
        (Part::Verdict, json!({ "criteria": { "c1": met }, "reasoning": "All is well." }))
    };
    let call = json!({ "id": "call_1", "type": "function", "function": { "name": tool, "arguments": arguments.to_string() } });
    (part, json!({ "role": "assistant", "content": null, "tool_calls": [call] }))
}

/// The agent's first line in the transcript that a judge reads, as evidence.
fn agents_first_line(so_far: &str) -> Value {
    let words = so_far.lines().find_map(|line| line.strip_prefix("[1] agent: "));
    let quote = words.map(|words| serde_json::from_str::<String>(words).unwrap());
    quote.map(|quote| json!({ "message": 1, "quote": quote })).into_iter().collect()
}

/// The text between two marks; empty where they are not.
fn between(message: &Value, from: &str, to: &str) -> String {
    let text = message["content"].as_str().unwrap_or_default();
    let rest = text.split_once(from).map_or("", |(_, rest)| rest);
    rest.rsplit_once(to).map_or("", |(inside, _)| inside).to_owned()
}
