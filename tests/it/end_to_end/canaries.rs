//! A different secret in every place where one can be configured, an agent, a model and an endpoint that give back whatever
//! they were sent in every encoding, and a look at everything that the program writes.

use std::fs::File;
use std::path::Path;

use async_nats::jetstream;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use tokio::process::Child;

use super::strangers::publish;
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};
use crate::support::nats::SECRET_PASSWORD;
use crate::support::openai::{Answer as ModelAnswer, LINE, ModelServer, play};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::worker::{PATIENCE, Place, signal, text, within};

/// Each begins with letters and digits, which no encoding of texts changes, and goes on with what many change.
const PASSWORD: &str = "CanaryPassword01 \"/+<&%41x";
const HEADER: &str = "CanaryHeader02 \"/+<&'x";
const PATH: &str = "CanaryPath03/?ü x";
const QUERY: &str = "CanaryQuery04 &=+#";
const LITERAL: &str = "CanaryLiteral05";
const PROVIDER: &str = "CanaryProvider06-\"x";
const TELEMETRY: &str = "CanaryTelemetry07/+x";
const PARAMETER: &str = "CanaryParameter08-\"&x";
const OWN: &str = "CanaryOwn13";
const SINK: &str = "CanarySink14/+x";
const STORE: &str = "CanaryStore09";
const HOST: &str = "CanaryHost14";
const UNUSED: &str = "CanaryUnused10";
/// The key that seals, as base64: 32 bytes that are letters.
const KEY: &str = "Q2FuYXJ5S2V5MTFDYW5hcnlLZXkxMUNhbmFyeUtleTE=";
/// What in the texts above no encoding of texts changes.
const CORES: [&str; 16] = [
    OWN,
    HOST,
    // As parsers of URLs write it.
    "canaryhost14",
    "CanarySink14",
    "CanaryPassword01",
    "CanaryHeader02",
    "CanaryPath03",
    "CanaryQuery04",
    "CanaryLiteral05",
    "CanaryProvider06",
    "CanaryTelemetry07",
    "CanaryParameter08",
    "CanaryStore09",
    "CanaryUnused10",
    SECRET_PASSWORD,
    "CanaryKey11",
];

/// How the core of a secret looks, whatever was done to the text around it.
fn forms(core: &str) -> Vec<String> {
    let each = |write: fn(u8) -> String| core.bytes().map(write).collect::<String>();
    let mut forms = vec![
        core.to_owned(),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("%{byte:02X}")),
        each(|byte| format!("\\u{byte:04x}")),
        each(|byte| format!("&#{byte};")),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
    ];
    for before in 0..3 {
        let bytes = [&[0; 3][..before], core.as_bytes()].concat();
        let encoded = BASE64_STANDARD.encode(&bytes);
        forms.push(encoded[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned());
    }
    let urlsafe = forms.last().unwrap().replace('+', "-").replace('/', "_");
    forms.push(urlsafe);
    forms
}

/// Everything that was written, by where.
#[derive(Default)]
struct Written(Vec<(String, String)>);

impl Written {
    fn add(&mut self, place: impl Into<String>, bytes: &[u8]) {
        self.0.push((place.into(), text(bytes)));
    }

    fn leaks(&self) -> Vec<String> {
        let found = |(place, text): &(String, String)| {
            let forms = CORES.iter().flat_map(|core| forms(core));
            let found = forms.filter(|form| text.contains(form)).map(|form| around(place, text, &form));
            found.collect::<Vec<_>>()
        };
        self.0.iter().flat_map(found).collect()
    }

    fn says(&self, words: &str) -> bool {
        self.0.iter().any(|(_, text)| text.contains(words))
    }
}

/// Where a leak is, with what stands before it.
fn around(place: &str, text: &str, form: &str) -> String {
    let at = text.find(form).unwrap();
    let from = text.floor_char_boundary(at.saturating_sub(300));
    format!("{place}: …{}", &text[from..at + form.len()])
}

/// Whatever was sent, as it came and in every encoding, and a secret of the project that it learned elsewhere.
fn echo(request: &AgentRequest) -> String {
    let target = percent_encoding::percent_decode_str(&request.target).decode_utf8_lossy();
    let mut all = format!("{target} {} {} {UNUSED}", request.target, request.body);
    for name in ["authorization", "x-shop", "x-api-token", "x-of-run"] {
        for value in request.header_values(name) {
            all = format!("{all}\n{name}: {value}");
            if let Some(pair) = value.strip_prefix("Basic ") {
                all = format!("{all} = {}", text(&BASE64_STANDARD.decode(pair).unwrap()));
            }
        }
    }
    let percent = all.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let entities = all.chars().map(|c| format!("&#{};", u32::from(c))).collect::<Vec<_>>().concat();
    let forms = [
        json!(json!(all).to_string()).to_string(),
        percent,
        entities,
        url::form_urlencoded::byte_serialize(all.as_bytes()).collect(),
        hex::encode(&all),
        BASE64_STANDARD.encode(&all),
        BASE64_URL_SAFE_NO_PAD.encode(format!("x{all}")),
        BASE64_STANDARD.encode(format!("xy{all}")),
        all,
    ];
    forms.join("\n\n")
}

async fn echoing_agent() -> HttpAgent {
    HttpAgent::start(|request| {
        let echoed = echo(request);
        if request.target.starts_with("/broken") {
            Answer::status(500, echoed)
        } else {
            Answer::json(&json!({ "reply": echoed }))
        }
    })
    .await
}

async fn echoing_models() -> ModelServer {
    ModelServer::start(|request| {
        let key = request.header("authorization");
        if request.path.starts_with("/sink") {
            return ModelAnswer::json(
                400,
                &json!({ "error": format!("no {key} {}", request.header("x-auth-token")) }),
            );
        }
        if request.path.starts_with("/refusing") {
            return ModelAnswer::json(
                401,
                &json!({ "error": { "message": format!("no entry with {key}") } }),
            );
        }
        let speaks = request.body["tools"].as_array().is_none_or(Vec::is_empty);
        if speaks { ModelAnswer::says(&format!("{LINE} My key is {key}")) } else { play(&request.body) }
    })
    .await
}

fn definitions(models: &ModelServer, agent: &str, otlp: &str) -> String {
    let base = models.origin();
    let agent = |id: &str| {
        json!({
            "id": id, "type": "http",
            "url": format!("{agent}/{id}/{{{{ secrets.PATH }}}}?q={{{{ secrets.QUERY }}}}"),
            "headers": [
                { "key": "X-Shop", "value": "{{ secrets.HEADER }}" },
                { "key": "X-Api-Token", "value": LITERAL },
                { "key": "X-Of-Run", "value": "{{ secrets.ofRun }}" },
            ],
            "auth": { "type": "basic", "username": "shop", "password": "{{ secrets.PASSWORD }}" },
        })
    };
    json!({
        "project": {
            "id": "acme", "defaultModel": "openai/m",
            "telemetry": {
                "endpoint": otlp, "apiKey": TELEMETRY, "protocol": "otlp",
                "events": { "endpoint": format!("{base}/sink"), "apiKey": SINK },
            },
        },
        "providers": [
            { "id": "openai", "kind": "openai", "baseUrl": format!("{base}/v1"), "apiKey": PROVIDER },
            { "id": "refusing", "kind": "openai", "baseUrl": format!("{base}/refusing"), "apiKey": PROVIDER },
        ],
        "secrets": { "HOST": HOST, "PATH": PATH, "QUERY": QUERY, "HEADER": HEADER, "PASSWORD": PASSWORD, "UNUSED": UNUSED },
        "prompts": [{ "id": "refused", "systemPrompt": "You are kind.", "model": "refusing/m" }],
        "agents": [
            agent("echo"), agent("broken"),
            { "id": "nowhere", "type": "http", "url": "http://{{ secrets.HOST }}.localhost:1/" },
        ],
        "scenarios": [{
            "id": "refund", "name": "Refund", "situation": "A mug broke.", "criteria": ["The agent refunds"],
            "maxTurns": 2, "parameters": [{ "name": "ofRun", "secret": true }],
        }],
    })
    .to_string()
}

/// Runs the program, and keeps what it prints.
async fn run(place: &Place, arguments: &[&str], written: &mut Written) -> Vec<serde_json::Value> {
    let output = place.run(arguments).await;
    let name = arguments.join(" ").replace(PARAMETER, "…");
    written.add(format!("stdout of {name}"), &output.stdout);
    written.add(format!("stderr of {name}"), &output.stderr);
    let lines = text(&output.stdout);
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn serve(place: &Place, log: &Path) -> Child {
    let file = File::create(log).unwrap();
    place.command(&["serve"]).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap()
}

fn says(log: &Path, words: &str) -> bool {
    text(&std::fs::read(log).unwrap()).contains(words)
}

/// Every message of every stream, those behind buckets and object stores included.
async fn streams(client: &async_nats::Client, written: &mut Written) {
    let context = jetstream::new(client.clone());
    let names: Vec<String> = context.stream_names().try_collect().await.unwrap();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let stream = context.get_stream(&name).await.unwrap();
        let state = &stream.cached_info().state;
        written.add(format!("stream {name}"), format!("{:?}", stream.cached_info()).as_bytes());
        for sequence in state.first_sequence..=state.last_sequence {
            // Some were replaced or deleted.
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            let head = format!("{} {:?}", message.subject, message.headers);
            written.add(format!("stream {name}, message {sequence}"), head.as_bytes());
            written.add(format!("stream {name}, message {sequence}"), &message.payload);
        }
    }
}

/// What was published, but for the request itself, which carries the run's secret until the run is over.
async fn published(mut everything: async_nats::Subscriber, written: &mut Written) {
    everything.unsubscribe().await.unwrap();
    let mut requests = Vec::new();
    while let Some(message) = everything.next().await {
        if message.subject.starts_with("scenario.run.requested") {
            requests.push(message.payload);
        } else if !requests.contains(&message.payload) {
            written.add(format!("subject {}", message.subject), &message.payload);
        }
    }
    assert!(requests.len() >= 5, "every run was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_that_the_program_writes() {
    look_everywhere("task").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_that_the_program_writes_where_runs_have_processes() {
    look_everywhere("process").await;
}

#[expect(clippy::too_many_lines, reason = "one story, from the definitions to the search")]
async fn look_everywhere(isolation: &str) {
    let (models, agent) = (echoing_models().await, echoing_agent().await);
    let (tenant, own) = (OtlpReceiver::start(Mode::Ok).await, OtlpReceiver::start(Mode::Ok).await);
    let place = Place::with_secret_password()
        .with("RUN__ISOLATION", isolation)
        .with("STORE__ENCRYPTION_KEYS", KEY)
        .with("TELEMETRY__WORKER__OTLP_ENDPOINT", &own.endpoint().replace("//", &format!("//me:{OWN}@")))
        .with_variable("SCENARIO_WORKER_LOG", "trace");
    let mut written = Written::default();
    let client = place.nats.client().await;
    let everything = client.subscribe(">").await.unwrap();
    let file = place.path("definitions.json");
    std::fs::write(&file, definitions(&models, agent.url(), &tenant.endpoint())).unwrap();
    run(&place, &["import", file.to_str().unwrap()], &mut written).await;
    let log = place.path("log");
    let mut worker = serve(&place, &log);
    within(async || says(&log, "takes requests")).await;

    let parameter = format!("ofRun={PARAMETER}");
    let mut runs = Vec::new();
    for (target, more) in [
        ("http:echo", &["--cassette", "record"][..]),
        ("http:broken", &[]),
        ("prompt:refused", &[]),
        ("http:nowhere", &[]),
        ("http:echo", &[]),
    ] {
        // The last one meets an endpoint that refuses spans, and says with which key they came.
        tenant.become_mode(if runs.len() == 4 { Mode::Refuse(401) } else { Mode::Ok });
        let schedule =
            ["schedule", "--project", "acme", "--scenario", "refund", "--target", target, "--wait", "--json"];
        let lines =
            run(&place, &[&schedule[..], &["--param", &parameter], more].concat(), &mut written).await;
        assert_eq!(lines.len(), 2, "a receipt and an outcome: {lines:?}");
        runs.push(lines[1].clone());
    }
    let errors: Vec<_> = runs.iter().map(|run| run["error"]["code"].as_str()).collect();
    assert_eq!(
        errors,
        [None, Some("http_status"), Some("model_provider_error"), Some("http_unreachable"), None],
        "{runs:?}"
    );
    assert!(runs[4]["telemetry"]["error"].as_str().unwrap().contains("[redacted]"), "{}", runs[4]);
    publish(&client, "scenario.run.requested.acme", async_nats::HeaderMap::new(), b"no JSON".to_vec()).await;
    within(async || says(&log, "invalid_json")).await;
    // The platform that is to be told of the runs refuses, and says with which key it was told.
    within(async || says(&log, "sink_refused")).await;

    let id = runs[0]["scenarioRunId"].as_str().unwrap();
    for arguments in [
        &["config", "show"][..],
        &["config", "show", "--json"],
        &["config", "check"],
        &["config", "check", "--connect", "--json"],
        &["migrate"],
        &["watch", "--run", id, "--json"],
        &["rejudge", "--project", "acme", id, "--json", "--param", &parameter],
        &["dead-letters", "list", "--json"],
        &["--store-url", &format!("postgres://me:{STORE}@127.0.0.1:1/x"), "migrate"],
        &["--store-url", &format!("postgres://me:{STORE}@127.0.0.1:1/x"), "config", "show"],
        &["--nats-url", &format!("nats://me:{SECRET_PASSWORD}@127.0.0.1:1"), "dead-letters", "list"],
    ] {
        run(&place, arguments, &mut written).await;
    }
    let address = text(&std::fs::read(&log).unwrap());
    let address = address.split_once("health=").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let http = scenario_worker::http_client::builder().build().unwrap();
    for path in ["metrics", "readyz"] {
        let answer = http.get(format!("http://{address}/{path}")).send().await.unwrap();
        written.add(path, &answer.bytes().await.unwrap());
    }
    own.become_mode(Mode::Refuse(401));
    signal(&worker, "TERM");
    tokio::time::timeout(PATIENCE, worker.wait()).await.unwrap().unwrap();
    written.add("the worker's log", &std::fs::read(&log).unwrap());
    streams(&client, &mut written).await;
    published(everything, &mut written).await;
    for name in ["worker.db", "worker.db-wal", "worker.db-shm"] {
        written.add(name, &std::fs::read(place.path(name)).unwrap_or_default());
    }
    for (name, receiver) in [("the tenant's spans", &tenant), ("the worker's telemetry", &own)] {
        for attempt in receiver.attempts() {
            written.add(name, &attempt.body);
            written.add(name, format!("{:?}", attempt.spans()).as_bytes());
        }
    }

    let asked = agent.requests();
    for secret in [HEADER, LITERAL, PARAMETER] {
        assert!(
            asked.iter().all(|request| format!("{request:?}").contains(&format!("{secret:?}"))),
            "{secret}"
        );
    }
    assert!(own.attempts().iter().all(|attempt| attempt.header("authorization").is_some()));
    for witness in ["DEBUG", "http://", "Refund", "[redacted]", "sealed:v1:", "scenario_worker"] {
        assert!(written.says(witness), "'{witness}' is nowhere: the search does not look where it should");
    }
    let leaks = written.leaks();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
