//! The customer's, the judge's and the agents' servers, and the endpoint for spans. They know who calls, for which run
//! and which step, and write down when the call began, how it ended and whether its answer was read.
//!
//! Every scenario has the run's id as its situation, so that each model request names its run; every worker has its
//! own path, so that each call names its worker.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName};
use scenario_worker::execution::types::{DECIDE_TOOL, judging};
use scenario_worker::telemetry::receiver;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::history::{CallEnd, Recorder, now};
use super::script::{self, AGENT, CAREFUL_AGENT, MAX_TURNS, Part, Step};
use super::wire::{self, Asked, Exchange};

/// The header by which an agent knows a repeated call.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The attribute by which spans name their run.
const RUN_ID: &str = "scenario.run_id";
const OK: u16 = 200;
/// What an agent says to a question that it refuses.
const BAD_REQUEST: u16 = 400;

/// Decides when a call is answered, and hears when it was.
pub(crate) trait Director: Send + Sync + 'static {
    /// The call is answered when this is over.
    fn before(&self, run: &str, step: Step) -> BoxFuture<'static, ()>;
    /// The whole answer was handed over.
    fn after(&self, run: &str, step: Step);
    /// The run's spans are taken when this is over.
    fn exporting(&self, run: &str) -> BoxFuture<'static, ()>;
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
        let handler = move |asked, exchange| stage.clone().attend(asked, exchange).boxed();
        let (origin, task) = wire::serve(Arc::new(handler)).await;
        Self { origin, task }
    }

    /// Definitions that lead worker number `worker` here: one scenario for each of `runs`, of the same name, in a document for
    /// each project.
    pub(crate) fn definitions(&self, worker: usize, runs: &[String]) -> String {
        let mut projects = BTreeMap::<_, Vec<_>>::new();
        for run in runs {
            projects.entry(script::project_of(run)).or_default().push(run);
        }
        let documents = projects.iter().map(|(project, runs)| self.project(worker, project, runs));
        documents.collect::<Vec<_>>().join("\n---\n")
    }

    fn project(&self, worker: usize, project: &str, runs: &[&String]) -> String {
        let scenario = |run: &&String| json!({ "id": run, "name": run, "situation": run, "criteria": ["It ends well"], "maxTurns": MAX_TURNS });
        let base = format!("{}/{worker}", self.origin);
        let agent = |id, on_unknown| json!({ "id": id, "type": "http", "url": format!("{base}/chat"), "outputPath": "$.reply", "onUnknown": on_unknown });
        json!({
            "project": {
                "id": project,
                "defaultModel": "double/model",
                "telemetry": { "endpoint": base, "protocol": "otlp" },
            },
            "providers": [{ "id": "double", "kind": "openai", "baseUrl": format!("{base}/v1"), "apiKey": "k" }],
            "agents": [agent(AGENT, "retry"), agent(CAREFUL_AGENT, "fail")],
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

/// A call that was understood, and what is said to it.
struct Cue {
    run: String,
    step: Step,
    key: Option<String>,
    status: u16,
    answer: Value,
}

impl Stage {
    /// A call that is not understood must not pass for a failure of the network.
    async fn attend(self, asked: Asked, exchange: Exchange) {
        let recorder = self.recorder.clone();
        if AssertUnwindSafe(self.serve(asked, exchange)).catch_unwind().await.is_err() {
            recorder.history().misunderstood += 1;
        }
    }

    async fn serve(self, asked: Asked, exchange: Exchange) {
        let (worker, path) = asked.path[1..].split_once('/').expect("a path begins with a worker");
        let (worker, path) = (worker.parse().unwrap(), path.to_owned());
        match path.as_str() {
            "chat" => self.play(worker, agent(&asked), exchange).await,
            "v1/chat/completions" => self.play(worker, model(&asked), exchange).await,
            "v1/traces" => self.take_spans(&asked, exchange).await,
            other => panic!("{other} was asked for"),
        }
    }

    /// Answers when the director says so, and watches what becomes of the answer.
    async fn play(self, worker: usize, cue: Cue, mut exchange: Exchange) {
        let Cue { run, step, key, status, answer } = cue;
        let call = self.recorder.call(run.clone(), step, worker, key);
        let ready = exchange.hold(self.director.before(&run, step)).await;
        if !ready || !exchange.answer(status, answer.to_string().as_bytes()).await {
            return self.recorder.call_ended(call, CallEnd::Abandoned(now()));
        }
        self.recorder.call_ended(call, CallEnd::Answered(now()));
        self.director.after(&run, step);
        if exchange.was_read().await {
            self.recorder.call_was_read(call);
        }
    }

    /// An empty answer says that all spans are welcome. Whoever goes away before that is not missed.
    async fn take_spans(self, asked: &Asked, mut exchange: Exchange) {
        let headers = asked
            .headers
            .iter()
            .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()));
        let spans = receiver::decode(&headers.collect::<HeaderMap>(), &asked.body).unwrap();
        let run = spans[0].attributes[RUN_ID].as_str().unwrap();
        if exchange.hold(self.director.exporting(run)).await {
            exchange.answer(OK, b"{}").await;
        }
    }
}

fn agent(asked: &Asked) -> Cue {
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let run = body["threadId"].as_str().unwrap().to_owned();
    let said = body["messages"].as_array().unwrap().iter();
    let lines: Vec<String> = said.map(|message| message["content"].as_str().unwrap().to_owned()).collect();
    let step = Step { turn: u32::try_from(lines.len() / 2).unwrap() + 1, part: Part::Agent };
    let (status, answer) = if script::is_refused(&run, step) {
        (BAD_REQUEST, json!({ "error": "I do not answer to that" }))
    } else {
        (OK, json!({ "reply": script::agent_line(&run, &script::render(&lines)) }))
    };
    Cue { run, step, key: asked.headers.get(IDEMPOTENCY_KEY).cloned(), status, answer }
}

fn model(asked: &Asked) -> Cue {
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
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
    Cue { run, step: Step { turn, part }, key: None, status: OK, answer }
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

/// Characters of a line that a judge quotes.
const QUOTED_CHARS: usize = 60;

/// The beginning of the agent's first line in the transcript that a judge reads, as evidence.
fn agents_first_line(so_far: &str) -> Value {
    let words = so_far.lines().find_map(|line| line.strip_prefix("[1] agent: "));
    let quote = words.map(|words| serde_json::from_str::<String>(words).unwrap());
    // A long line is shown with its middle left out.
    let beginning = quote.map(|quote| quote.chars().take(QUOTED_CHARS).collect::<String>());
    beginning.map(|quote| json!({ "message": 1, "quote": quote })).into_iter().collect()
}

/// The text between two marks; empty where they are not.
fn between(message: &Value, from: &str, to: &str) -> String {
    let text = message["content"].as_str().unwrap_or_default();
    let rest = text.split_once(from).map_or("", |(_, rest)| rest);
    rest.rsplit_once(to).map_or("", |(inside, _)| inside).to_owned()
}
