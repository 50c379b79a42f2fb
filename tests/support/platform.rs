//! LangWatch as far as it takes events of scenario runs: strict about what it is told, with the rules by which it folds that
//! into runs. What breaks the order is kept as a complaint.
#![expect(clippy::unwrap_used, reason = "a double that cannot work must fail its test")]

mod schema;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How the platform behaves.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// It takes what it is told.
    Take,
    /// It takes it after a while.
    Slow(Duration),
    /// It refuses with a status, and repeats the credentials that it was sent.
    Refuse(u16),
    /// It refuses what is about this run.
    RefuseRun(&'static str, u16),
    /// It refuses so often, perhaps asking to be left alone for some seconds, and then takes everything.
    RefuseAtFirst { times: usize, status: u16, retry_after: Option<u64> },
    /// Requests of more bytes are too large.
    AtMost(usize),
    /// It is a web site.
    Html,
    /// It never answers.
    Hang,
}

/// One request, whatever became of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) key: String,
    pub(crate) event: Value,
    pub(crate) at: Instant,
    pub(crate) bytes: usize,
}

impl Told {
    /// The run.
    pub(crate) fn run(&self) -> &str {
        self.event["scenarioRunId"].as_str().unwrap()
    }

    /// What kind of event it is.
    pub(crate) fn kind(&self) -> &str {
        self.event["type"].as_str().unwrap()
    }
}

/// A run as the platform shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shown {
    pub(crate) status: String,
    pub(crate) metadata: Value,
    pub(crate) messages: Vec<Value>,
    pub(crate) results: Value,
    started: bool,
    last: i64,
    snapshot_at: i64,
    finished: bool,
}

#[derive(Debug, Default)]
struct Log {
    told: Vec<Told>,
    /// By key and run: each key is another project.
    runs: BTreeMap<(String, String), Shown>,
    complaints: Vec<String>,
    /// Of which runs something is told at the moment.
    now: Vec<(String, String)>,
}

#[derive(Clone)]
struct Shared {
    log: Arc<Mutex<Log>>,
    mode: Arc<Mutex<Mode>>,
}

/// The platform. It stops when it is dropped.
pub(crate) struct LangWatch {
    address: SocketAddr,
    shared: Shared,
    server: JoinHandle<()>,
}

impl Drop for LangWatch {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl LangWatch {
    pub(crate) async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared { log: Arc::default(), mode: Arc::new(Mutex::new(mode)) };
        let app = Router::new()
            .route("/api/scenario-events", post(take))
            .route("/api/otel/v1/traces", post(async || axum::Json(json!({}))))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared, server }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Behaves differently from now on.
    pub(crate) fn become_mode(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// Everything that it was told.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.log().told.clone()
    }

    /// What it was told of a run.
    pub(crate) fn told_of(&self, run: &str) -> Vec<Told> {
        self.told().into_iter().filter(|told| told.run() == run).collect()
    }

    /// The kinds of what it was told of a run.
    pub(crate) fn kinds_of(&self, run: &str) -> Vec<String> {
        self.told_of(run).iter().map(|told| told.kind().to_owned()).collect()
    }

    /// The run of the project with `key`.
    pub(crate) fn run(&self, key: &str, run: &str) -> Option<Shown> {
        self.log().runs.get(&(key.to_owned(), run.to_owned())).cloned()
    }

    /// The statuses of the runs that it shows of the project with `key`.
    pub(crate) fn statuses(&self, key: &str) -> Vec<String> {
        let log = self.log();
        log.runs.iter().filter(|((of, _), _)| of == key).map(|(_, run)| run.status.clone()).collect()
    }

    /// What was told that should not have been, or not then.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.log().complaints.clone()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().unwrap()
    }
}

/// Says that the telling of a run is over, however it ends.
struct Telling(Shared, (String, String));

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.log.lock().unwrap().now.retain(|run| *run != self.1);
    }
}

async fn take(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(key) = key(&headers) else { return answer(401, "no key", None) };
    let event = match schema::read(&body) {
        Ok(event) => event,
        Err(problem) => {
            shared.log.lock().unwrap().complaints.push(problem.clone());
            return answer(400, &problem, None);
        }
    };
    let run = (key.clone(), event["scenarioRunId"].as_str().unwrap().to_owned());
    {
        let mut log = shared.log.lock().unwrap();
        if log.now.contains(&run) {
            log.complaints.push(format!("two tell of {run:?} at once"));
        }
        log.now.push(run.clone());
        log.told.push(Told { key: key.clone(), event: event.clone(), at: Instant::now(), bytes: body.len() });
    }
    let telling = Telling(shared.clone(), run);
    let mode = behaviour(&mut shared.mode.lock().unwrap());
    match mode {
        Mode::Slow(takes) => tokio::time::sleep(takes).await,
        Mode::RefuseRun(run, status) if event["scenarioRunId"] == run => {
            return answer(status, &format!("no {key}"), None);
        }
        Mode::AtMost(bytes) if body.len() > bytes => return answer(413, "too large", None),
        Mode::Refuse(status) => return answer(status, &format!("no {key}"), None),
        Mode::RefuseAtFirst { times: 1.., status, retry_after } => {
            return answer(status, "not now", retry_after);
        }
        Mode::Html => return ([(header::CONTENT_TYPE, "text/html")], "<html>welcome</html>").into_response(),
        Mode::Hang => std::future::pending().await,
        Mode::Take | Mode::RefuseAtFirst { .. } | Mode::RefuseRun(..) | Mode::AtMost(_) => {}
    }
    shared.log.lock().unwrap().fold(&key, &event);
    drop(telling);
    (StatusCode::CREATED, axum::Json(json!({ "success": true }))).into_response()
}

/// Both headers say it, and they agree.
fn key(headers: &HeaderMap) -> Option<String> {
    let bearer = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let token = headers.get("x-auth-token")?.to_str().ok()?;
    (bearer == token && headers.get(header::CONTENT_TYPE)? == "application/json").then(|| bearer.to_owned())
}

fn answer(status: u16, why: &str, retry_after: Option<u64>) -> Response {
    let mut response =
        (StatusCode::from_u16(status).unwrap(), axum::Json(json!({ "error": why }))).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// What to do with this request, and one refusal less for the next.
fn behaviour(mode: &mut Mode) -> Mode {
    let now = mode.clone();
    if let Mode::RefuseAtFirst { times, .. } = mode {
        *times = times.saturating_sub(1);
    }
    now
}

impl Log {
    fn fold(&mut self, key: &str, event: &Value) {
        let id = event["scenarioRunId"].as_str().unwrap();
        let run = self.runs.entry((key.to_owned(), id.to_owned())).or_default();
        let (kind, at) = (event["type"].as_str().unwrap(), event["timestamp"].as_i64().unwrap());
        if let Some(complaint) = run.complaint(kind, at) {
            self.complaints.push(format!("{kind} of {id} at {at}: {complaint}"));
        }
        run.fold(kind, at, event);
    }
}

impl Shown {
    /// What is wrong about hearing this now. The same thing again, with the same time, is not.
    fn complaint(&self, kind: &str, at: i64) -> Option<&'static str> {
        let is_end = kind == "SCENARIO_RUN_FINISHED";
        if self.finished && !is_end {
            return Some("it is behind the end");
        }
        if !self.started && kind != "SCENARIO_RUN_STARTED" {
            return Some("it is before the beginning");
        }
        (at < self.last).then_some("its time goes back")
    }

    fn fold(&mut self, kind: &str, at: i64, event: &Value) {
        self.last = self.last.max(at);
        match kind {
            "SCENARIO_RUN_STARTED" => {
                self.started = true;
                self.metadata = event["metadata"].clone();
                self.become_status("IN_PROGRESS");
            }
            "SCENARIO_MESSAGE_SNAPSHOT" if at > self.snapshot_at => {
                self.snapshot_at = at;
                event["messages"].as_array().unwrap().clone_into(&mut self.messages);
            }
            "SCENARIO_RUN_FINISHED" if !self.finished => {
                self.become_status(event["status"].as_str().unwrap());
                self.finished = true;
                self.results = event["results"].clone();
            }
            _ => {}
        }
    }

    /// Finished is final.
    fn become_status(&mut self, status: &str) {
        if !self.finished {
            status.clone_into(&mut self.status);
        }
    }
}
