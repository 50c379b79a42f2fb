//! Nothing of one plane, run or tenant reaches another.
//!
//! Global subscribers and environment variables belong to a process, so these tests start this test program again.
#![expect(clippy::unwrap_used, reason = "a double that cannot work must fail its test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::HeaderMap;
use scenario_worker::execution::ports::RunTracers as _;
use scenario_worker::execution::types::{SpanEnd, SpanStart};
use scenario_worker::http_client;
use scenario_worker::telemetry::propagation::headers;
use scenario_worker::telemetry::receiver::ReceivedSpan;
use scenario_worker::telemetry::run::RunTracerFactory;
use scenario_worker::telemetry::worker::{WorkerTelemetryOptions, init};
use serde_json::json;
use tokio::net::TcpListener;
use tracing::Instrument as _;
use tracing::level_filters::LevelFilter;

use super::play::{destination, factory, factory_with, judgement, open_turn, said, spec, target, transcript};
use crate::support::otlp_receiver::{Attempt, DEADLINE, Mode, OtlpReceiver};

const RUNS: usize = 200;
const WORKER_SECRET: &str = "secret-of-the-worker";
/// Begins the lines in which a child process names the traces of its runs.
const TRACE_LINE: &str = "trace-of-a-run ";

/// Runs one ignored test of this program in a process of its own.
fn alone(test: &str, variables: &[(&str, &str)]) -> Output {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let tail = error.len().saturating_sub(8000);
    let tail = error.ceil_char_boundary(tail);
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{}", &error[tail..]);
    output
}

#[test]
fn two_tenants_and_the_worker_see_nothing_of_each_other() {
    let authorization = format!("authorization=Bearer {WORKER_SECRET},x-worker={WORKER_SECRET}");
    let output = alone(
        "telemetry::isolation::many_runs_of_two_tenants",
        &[("SCENARIO_WORKER_LOG", "trace"), ("OTEL_EXPORTER_OTLP_HEADERS", &authorization)],
    );
    let out = String::from_utf8(output.stdout).unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let traces: Vec<_> = out.lines().filter_map(|line| line.split_once(TRACE_LINE)).map(|l| l.1).collect();
    assert_eq!(traces.len(), RUNS + 1);
    assert!(log.contains("not every span of a run was exported"), "the failed export is not in the log");
    assert!(log.matches("work inside a run").count() >= RUNS, "the worker did not log");
    for trace in traces {
        assert!(!log.contains(trace), "the worker's log has the trace {trace}");
    }
    for secret in ["key-of-acme", "key-of-brix", WORKER_SECRET] {
        assert!(!log.contains(secret), "the worker's log has a credential");
    }
}

/// What an agent saw: the `traceparent` of each run's call.
type Seen = Arc<Mutex<BTreeMap<String, String>>>;

async fn agent() -> (String, Seen) {
    async fn answer(State(seen): State<Seen>, headers: HeaderMap) {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        seen.lock().unwrap().insert(header("x-run"), header("traceparent"));
    }
    let seen = Seen::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().route("/", post(answer)).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, seen)
}

/// A run that does what real ones do: worker spans around it, tasks, calls with the run's context. Answers its trace.
async fn busy_run(
    factory: RunTracerFactory,
    client: reqwest::Client,
    agent: String,
    receiver: Arc<OtlpReceiver>,
    n: usize,
) -> String {
    let project = tenant(n);
    let run = format!("{project}-{n}");
    let key = format!("key-of-{project}");
    let trace = factory.start(spec(project, &run, Some(destination(&receiver, &key))));
    let span = trace.root().child(SpanStart::Target { target: target(), transcript: transcript(&[]) });
    let call = async move {
        tracing::info!("work inside a run");
        let mut request = client.post(agent).header("x-run", run);
        for (name, value) in headers(&span.context()) {
            request = request.header(name, value);
        }
        request.send().await.unwrap().error_for_status().unwrap();
        span.end(said("I am sorry.", 0));
    };
    tokio::spawn(call.instrument(tracing::info_span!("call_of_a_run"))).await.unwrap();
    trace.flush().await;
    let turn = open_turn(&*trace);
    let inner = async move { turn.end(SpanEnd::Done) };
    inner.instrument(tracing::trace_span!("turn_of_a_run")).await;
    let receipt = trace.finish(SpanEnd::Judged(judgement())).await;
    assert_eq!((receipt.spans, receipt.exported, receipt.error), (3, 3, None));
    receipt.trace_id.unwrap()
}

fn tenant(n: usize) -> &'static str {
    ["acme", "brix"][n % 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "sets the process's subscriber: `two_tenants_and_the_worker_see_nothing_of_each_other` starts it"]
async fn many_runs_of_two_tenants() {
    let worker = OtlpReceiver::start(Mode::Ok).await;
    let tenants = [OtlpReceiver::start(Mode::Ok).await, OtlpReceiver::start(Mode::Ok).await].map(Arc::new);
    let (url, seen) = agent().await;
    let options = WorkerTelemetryOptions {
        otlp_endpoint: Some(worker.endpoint()),
        span_level: LevelFilter::TRACE,
        ..Default::default()
    };
    let telemetry = init(&options).unwrap();
    let factory = factory_with(DEADLINE, telemetry.metrics());
    let client = http_client::builder().build().unwrap();
    let runs = (0..RUNS).map(|n| {
        let run = busy_run(factory.clone(), client.clone(), url.clone(), Arc::clone(&tenants[n % 2]), n);
        tokio::spawn(run.instrument(tracing::info_span!("execute", n)))
    });
    let ended = futures::future::join_all(runs.collect::<Vec<_>>()).await;
    let traces: Vec<String> = ended.into_iter().map(Result::unwrap).collect();
    assert!(telemetry.metrics().render().contains(&format!("spans_exported_total {}", 3 * RUNS)));
    println!("{TRACE_LINE}{}", refused_run(&factory).await);
    telemetry.shutdown().await;

    for trace in &traces {
        println!("{TRACE_LINE}{trace}");
    }
    let distinct: BTreeSet<_> = traces.iter().cloned().collect();
    assert_eq!(distinct.len(), RUNS, "runs share a trace");
    for (n, receiver) in tenants.iter().enumerate() {
        tenant_has_its_own(receiver, n, &traces);
    }
    worker_has_its_own(&worker, &distinct);
    let calls = seen.lock().unwrap().clone();
    for (n, trace) in traces.iter().enumerate() {
        let traceparent = &calls[&format!("{}-{n}", tenant(n))];
        assert!(traceparent.contains(trace.as_str()), "run {n} called its agent with {traceparent}");
    }
}

/// A run whose endpoint refuses its spans and repeats what it was sent. Answers its trace.
async fn refused_run(factory: &RunTracerFactory) -> String {
    let refusing = OtlpReceiver::start(Mode::Refuse(401)).await;
    let given = spec("acme", "acme-refused", Some(destination(&refusing, "key-of-acme")));
    let receipt = super::play::run(factory, given).await;
    assert!(receipt.error.unwrap().contains("answered 401"));
    receipt.trace_id.unwrap()
}

fn tenant_has_its_own(receiver: &OtlpReceiver, tenant_index: usize, traces: &[String]) {
    let (own, other) = (tenant(tenant_index), tenant(tenant_index + 1));
    let spans = receiver.spans();
    assert_eq!(spans.len(), 3 * RUNS / 2);
    for span in &spans {
        let known = ["langwatch.scenario.run", "langwatch.scenario.turn", "invoke_agent shop-agent"];
        assert!(known.contains(&span.name.as_str()), "a foreign span: {}", span.name);
        assert_eq!(span.resource["scenario.project_id"], own);
        let run = span.attributes["scenario.run_id"].as_str().unwrap();
        let n: usize = run.strip_prefix(&format!("{own}-")).unwrap().parse().unwrap();
        assert_eq!(span.trace_id, traces[n], "a run is in two traces");
    }
    for attempt in receiver.attempts() {
        let Attempt { headers, .. } = &attempt;
        assert_eq!(headers["authorization"].to_str().unwrap(), format!("Bearer key-of-{own}"));
        assert_eq!(headers["x-auth-token"].to_str().unwrap(), format!("key-of-{own}"));
        assert!(!headers.contains_key("x-worker") && !headers.contains_key("traceparent"));
        let runs: BTreeSet<_> =
            attempt.spans().iter().map(|span| span.attributes["scenario.run_id"].to_string()).collect();
        assert_eq!(runs.len(), 1, "one request holds spans of several runs");
        let text = serde_json::to_string(&attempt.spans()).unwrap();
        assert!(!text.contains(other) && !text.contains(WORKER_SECRET) && !text.contains("key-of-"));
    }
}

fn worker_has_its_own(worker: &OtlpReceiver, traces: &BTreeSet<String>) {
    let spans = worker.spans();
    for expected in ["execute", "call_of_a_run", "turn_of_a_run"] {
        let count = spans.iter().filter(|span| span.name == expected).count();
        assert_eq!(count, RUNS, "{expected}");
    }
    for span in &spans {
        assert!(!traces.contains(&span.trace_id), "{} is in a run's trace", span.name);
        assert!(!span.attributes.contains_key("scenario.run_id"), "{} is a run's span", span.name);
    }
    let text = serde_json::to_string(&spans).unwrap();
    assert!(!text.contains("key-of-") && !traces.iter().any(|trace| text.contains(trace)));
    let attempts = worker.attempts();
    assert!(attempts.iter().any(|attempt| attempt.path == "/v1/metrics"), "no metrics were exported");
    for attempt in attempts {
        assert_eq!(attempt.header("x-worker"), Some(WORKER_SECRET));
    }
}

#[test]
fn a_run_that_panics_takes_its_spans_along_and_those_of_no_other() {
    let output = alone("telemetry::isolation::many_runs_that_panic", &[("SCENARIO_WORKER_LOG", "trace")]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("a bug in a run") && !log.contains("key-of-"), "{log}");
}

/// A run whose work panics in a task of its own while a call is open; its supervisor finishes the trace all the same.
async fn panicking_run(factory: RunTracerFactory, receiver: Arc<OtlpReceiver>, n: usize) -> String {
    let project = tenant(n);
    let destination = destination(&receiver, &format!("key-of-{project}"));
    let trace = factory.start(spec(project, &format!("{project}-{n}"), Some(destination)));
    let span = trace.root().child(SpanStart::Target { target: target(), transcript: transcript(&[]) });
    let work = async move {
        let _open = span.child(SpanStart::Turn { number: 1 });
        panic!("a bug in a run");
    };
    let ended = tokio::spawn(work.instrument(tracing::info_span!("call_of_a_run"))).await;
    assert!(ended.is_err_and(|error| error.is_panic()));
    let receipt = trace.finish(SpanEnd::Judged(judgement())).await;
    assert_eq!((receipt.spans, receipt.exported), (3, 3), "{receipt:?}");
    receipt.trace_id.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "sets the process's subscriber: `a_run_that_panics_takes_its_spans_along_and_those_of_no_other` starts it"]
async fn many_runs_that_panic() {
    let worker = OtlpReceiver::start(Mode::Ok).await;
    let tenants = [OtlpReceiver::start(Mode::Ok).await, OtlpReceiver::start(Mode::Ok).await].map(Arc::new);
    let (otlp_endpoint, span_level) = (Some(worker.endpoint()), LevelFilter::TRACE);
    let options = WorkerTelemetryOptions { otlp_endpoint, span_level, ..Default::default() };
    let telemetry = init(&options).unwrap();
    let factory = factory_with(DEADLINE, telemetry.metrics());
    let runs = (0..RUNS).map(|n| {
        let run = panicking_run(factory.clone(), Arc::clone(&tenants[n % 2]), n);
        tokio::spawn(run.instrument(tracing::info_span!("execute", n)))
    });
    let ended = futures::future::join_all(runs.collect::<Vec<_>>()).await;
    telemetry.shutdown().await;
    let traces: Vec<String> = ended.into_iter().map(Result::unwrap).collect();
    for (n, receiver) in tenants.iter().enumerate() {
        tenant_has_its_own(receiver, n, &traces);
        let abandoned = |span: &&ReceivedSpan| span.attributes.get("error.type") == Some(&json!("abandoned"));
        assert_eq!(receiver.spans().iter().filter(abandoned).count(), RUNS, "two calls of each run");
    }
    let text = serde_json::to_string(&worker.spans()).unwrap();
    assert!(text.contains("call_of_a_run") && !traces.iter().any(|trace| text.contains(trace)));
}

#[test]
fn no_variable_changes_what_a_tenant_gets() {
    let nowhere = "http://127.0.0.1:9";
    alone(
        "telemetry::isolation::a_run_among_hostile_variables",
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer stolen,x-worker-secret=stolen"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-auth-token=stolen"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", nowhere),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", nowhere),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deploy.token=stolen,service.name=stolen"),
            ("OTEL_SERVICE_NAME", "stolen"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
            ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
            ("OTEL_SDK_DISABLED", "true"),
            ("HTTP_PROXY", nowhere),
            ("http_proxy", nowhere),
        ],
    );
}

#[tokio::test]
#[ignore = "needs hostile variables: `no_variable_changes_what_a_tenant_gets` starts it"]
async fn a_run_among_hostile_variables() {
    assert_eq!(std::env::var("OTEL_SERVICE_NAME").as_deref(), Ok("stolen"), "started without the variables");
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let receipt = super::play::run(&factory(), spec("acme", "r1", Some(destination(&receiver, "key")))).await;
    assert_eq!((receipt.exported, receipt.error), (super::play::SPANS, None));
    let attempts = receiver.attempts();
    assert_eq!(attempts[0].header("authorization"), Some("Bearer key"));
    assert_eq!(attempts[0].header("content-encoding"), Some("gzip"));
    for attempt in attempts {
        assert!(!format!("{:?}", attempt.headers).contains("stolen"), "{:?}", attempt.headers);
    }
    let spans = receiver.spans();
    assert!(!json!(spans).to_string().contains("stolen"));
    assert!(spans.iter().all(|span| span.attributes.len() > 5 && span.dropped_attributes == 0));
    assert_eq!(spans.iter().map(|span| span.events.len()).sum::<usize>(), 3);
}

#[test]
fn a_worker_whose_own_endpoint_is_gone_says_so_and_stops() {
    let output = alone("telemetry::isolation::a_worker_without_its_endpoint", &[]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("WARN") && log.contains("of the worker could not be exported"), "{log}");
}

#[tokio::test]
#[ignore = "sets the process's subscriber: `a_worker_whose_own_endpoint_is_gone_says_so_and_stops` starts it"]
async fn a_worker_without_its_endpoint() {
    let gone = OtlpReceiver::start(Mode::Reset).await;
    let options = WorkerTelemetryOptions { otlp_endpoint: Some(gone.endpoint()), ..Default::default() };
    let telemetry = init(&options).unwrap();
    assert!(init(&options).unwrap_err().to_string().contains("subscriber already"));
    tracing::info_span!("work").in_scope(|| tracing::info!("at work"));
    assert!(telemetry.metrics().render().contains("scenario_worker_deliveries_total 0"));
    telemetry.shutdown().await;
}
