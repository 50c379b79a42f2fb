//! The stage: a worker among hostile variables, its tenants' endpoints, their agent and models, and whoever writes down
//! what all of them see.

use std::fs;

use async_nats::{Client, HeaderMap};
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::agent::{Agent, Asked};
use super::cast::{Kind, Places, Run, Tenant, judged};
use super::evidence::{Door, Evidence, Seen, Told};
use crate::end_to_end::strangers::publish;
use crate::support::openai::{self, ModelServer, Received};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::tls;
use crate::support::worker::{PATIENCE, Place, text};

/// Tenants that share the first endpoint, told apart by their keys alone.
const SHARING: usize = 8;
/// Tenants with an endpoint of their own that speaks TLS and HTTP/2.
const ALONE_OVER_TLS: usize = 6;
/// Tenants with an endpoint of their own that speaks neither. That of the last of them is down for a while.
const ALONE_IN_CLEAR: usize = 6;
const TENANTS: usize = SHARING + ALONE_OVER_TLS + ALONE_IN_CLEAR;
/// Endpoints that speak TLS come first.
const DOORS_OVER_TLS: usize = 1 + ALONE_OVER_TLS;

/// Variables that mean the trap.
const TO_THE_TRAP: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];
/// Variables of proxies, which the worker's own exporters obey and nothing of a run may: they mean the worker's endpoint,
/// where everything else is seen.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Variables that would change what is sent.
const HOSTILE: [(&str, &str); 13] = [
    (
        "OTEL_EXPORTER_OTLP_HEADERS",
        "authorization=Bearer CanaryVariableHeader,x-variable=CanaryVariableHeader",
    ),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-auth-token=CanaryVariableHeader"),
    ("OTEL_SERVICE_NAME", "CanaryVariableService"),
    ("OTEL_RESOURCE_ATTRIBUTES", "deploy.token=CanaryVariableResource"),
    ("OTEL_PROPAGATORS", "b3,b3multi,jaeger,xray,baggage"),
    ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "7"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "100000"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"),
];

/// Everybody but the worker.
pub(super) struct Stage {
    place: Place,
    pub(super) tenants: Vec<Tenant>,
    pub(super) agent: Agent,
    doors: Vec<OtlpReceiver>,
    own: OtlpReceiver,
    trap: OtlpReceiver,
    models: ModelServer,
    client: Client,
    told: watch::Receiver<Vec<Told>>,
    /// How many questions for orphans the agent has had.
    orphans: watch::Receiver<usize>,
    _writers: [AbortOnDropHandle<()>; 2],
}

impl Stage {
    pub(super) async fn new(isolation: &str, concurrency: usize) -> Self {
        let (agent, waiting) = Agent::start().await;
        let (own, trap) = (OtlpReceiver::start(Mode::Ok).await, OtlpReceiver::start(Mode::Ok).await);
        let place = place(isolation, concurrency, &own, &trap);
        let client = place.nats.client().await;
        let (telling, told) = watch::channel(Vec::new());
        let (counting, orphans) = watch::channel(0);
        let events = client.subscribe("scenario.events.>").await.unwrap();
        client.flush().await.unwrap();
        let writers = [
            tokio::spawn(write_down(events, telling)),
            tokio::spawn(interfere(client.clone(), waiting, counting)),
        ];
        let tenants = (0..TENANTS).map(|number| Tenant::new(number, number.saturating_sub(SHARING - 1)));
        let stage = Self {
            place,
            tenants: tenants.collect(),
            agent,
            doors: doors().await,
            own,
            trap,
            models: ModelServer::start(play).await,
            client,
            told,
            orphans,
            _writers: writers.map(AbortOnDropHandle::new),
        };
        stage.import().await;
        stage
    }

    async fn import(&self) {
        let authority = tls::authority_pem();
        fs::write(self.place.path("authority.pem"), &authority).unwrap();
        let doors = self.doors.iter().map(OtlpReceiver::endpoint).collect();
        let places = Places { doors, agent: self.agent.url(), models: self.models.origin(), authority };
        let mut arguments = vec!["import".to_owned()];
        for tenant in &self.tenants {
            let file = self.place.path(&format!("{}.json", tenant.project));
            fs::write(&file, tenant.definitions(&places).to_string()).unwrap();
            arguments.push(file.to_str().unwrap().to_owned());
        }
        let output = self.place.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// The place, with one more variable for workers that are started from now on.
    pub(super) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.place = self.place.with_variable(name, value);
        self
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Asks for `runs`.
    pub(super) async fn ask(&self, runs: &[Run]) {
        for run in runs {
            let tenant = &self.tenants[run.tenant];
            let mut headers = HeaderMap::new();
            if let Some(parent) = &run.parent {
                headers.insert("traceparent", parent.header());
                headers.insert("baggage", "user.email=somebody");
            }
            let subject = format!("scenario.run.requested.{}", tenant.project);
            publish(&self.client, &subject, headers, run.request(tenant).to_string().into_bytes()).await;
        }
    }

    /// Waits until the agent has had a question for each of so many orphans.
    pub(super) async fn until_orphans(&self, count: usize) {
        let mut orphans = self.orphans.clone();
        let asked = orphans.wait_for(|asked| *asked >= count);
        tokio::time::timeout(2 * PATIENCE, asked).await.expect("every orphan's agent is asked").unwrap();
    }

    /// Waits until what was told is enough, for as long as something is told.
    pub(super) async fn until_told(&self, what: &str, is_enough: impl Fn(&[Told]) -> bool) {
        let mut told = self.told.clone();
        while !is_enough(&told.borrow_and_update()) {
            let more = tokio::time::timeout(2 * PATIENCE, told.changed()).await;
            more.unwrap_or_else(|_| panic!("{what} do not come")).unwrap();
        }
    }

    /// The last endpoint takes no spans for a while.
    pub(super) fn close_last_door(&self) {
        self.doors.last().unwrap().become_mode(Mode::Refuse(503));
    }

    /// The endpoint that was down takes spans again.
    pub(super) fn open_last_door(&self) {
        self.doors.last().unwrap().become_mode(Mode::Ok);
    }

    /// Whether everybody who can speak HTTP/2 was spoken to in it.
    pub(super) fn speaks_http2(&self) -> bool {
        let asked = self.agent.asked();
        let over_tls = self.doors[..DOORS_OVER_TLS].iter().flat_map(OtlpReceiver::attempts);
        let mut versions =
            over_tls.map(|attempt| attempt.version).chain(asked.iter().map(|asked| asked.version));
        versions.all(|version| version == axum::http::Version::HTTP_2)
    }

    /// What everybody saw of `runs`.
    pub(super) fn evidence(&self, runs: Vec<Run>, log: Vec<String>) -> Evidence {
        let tenants = self.tenants.clone();
        let mut seen: Vec<Seen> = self.agent.asked().iter().map(question).collect();
        seen.extend(self.models.received().iter().map(model_call));
        seen.extend(exports(Door::Worker, &self.own));
        seen.extend(exports(Door::Trap, &self.trap));
        let mut held = Vec::new();
        for (number, door) in self.doors.iter().enumerate() {
            seen.extend(exports(Door::Tenants(number), door));
            held.extend(door.spans().into_iter().map(|span| (number, span)));
        }
        Evidence { tenants, runs, seen, held, told: self.told.borrow().clone(), log }
    }
}

async fn doors() -> Vec<OtlpReceiver> {
    let mut doors = Vec::new();
    for _ in 0..DOORS_OVER_TLS {
        doors.push(OtlpReceiver::over_tls(Mode::Ok).await);
    }
    for _ in 0..ALONE_IN_CLEAR {
        doors.push(OtlpReceiver::start(Mode::Ok).await);
    }
    doors
}

fn place(isolation: &str, concurrency: usize, own: &OtlpReceiver, trap: &OtlpReceiver) -> Place {
    let place = Place::new();
    let authority = place.path("authority.pem").display().to_string();
    let place = place
        .with("RUN__ISOLATION", isolation)
        .with("WORKER__CONCURRENCY", &concurrency.to_string())
        // Short enough to wait for, and longer than a busy machine keeps a heartbeat waiting.
        .with("CONSUMER__ACK_WAIT_SECONDS", "6")
        .with("CONSUMER__MAX_ATTEMPTS", "50")
        .with("LOG__FORMAT", "json")
        .with("TELEMETRY__WORKER__OTLP_ENDPOINT", &own.endpoint())
        .with("TELEMETRY__RECEIVER__BIND", "127.0.0.1:0")
        .with("TELEMETRY__RECEIVER__SETTLE_SECONDS", "1")
        .with("TELEMETRY__RUN__DEADLINE_SECONDS", "8")
        .with("TELEMETRY__SPOOL__RETRY_SECONDS", "1")
        .with_variable("SSL_CERT_FILE", &authority)
        .with_variable("SCENARIO_WORKER_LOG", "trace");
    let place = HOSTILE.into_iter().fold(place, |place, (name, value)| place.with_variable(name, value));
    let place = PROXIES.into_iter().fold(place, |place, name| place.with_variable(name, &own.endpoint()));
    TO_THE_TRAP.into_iter().fold(place, |place, name| place.with_variable(name, &trap.endpoint()))
}

/// Customers, agents and judges of every tenant.
fn play(request: &Received) -> openai::Answer {
    if request.path.starts_with("/refusing") {
        return openai::Answer::json(401, &json!({ "error": { "message": "no entry" } }));
    }
    match openai::play(&request.body) {
        openai::Answer::Whole { status, headers, body } => {
            openai::Answer::Whole { status, headers, body: judged(&request.body, body) }
        }
        other => other,
    }
}

/// Writes every event down.
async fn write_down(mut events: async_nats::Subscriber, telling: watch::Sender<Vec<Told>>) {
    while let Some(event) = events.next().await {
        let [_, _, _, run, kind] = event.subject.split('.').collect::<Vec<_>>()[..] else {
            panic!("{}", event.subject)
        };
        let headers = event
            .headers
            .iter()
            .flat_map(HeaderMap::iter)
            .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}\n")));
        let payload = serde_json::from_slice(&event.payload).unwrap();
        let told = Told { run: run.to_owned(), kind: kind.to_owned(), headers: headers.collect(), payload };
        telling.send_modify(|all| all.push(told));
    }
}

/// Cancels runs whose agent thinks, and counts orphans.
async fn interfere(
    client: Client,
    mut waiting: mpsc::UnboundedReceiver<Asked>,
    orphans: watch::Sender<usize>,
) {
    while let Some(asked) = waiting.recv().await {
        match Kind::of(&asked.run) {
            Kind::Orphaned => orphans.send_modify(|count| *count += 1),
            Kind::Cancelled => {
                let cancel = json!({ "projectId": asked.project, "scenarioRunId": asked.run });
                let cancel = cancel.to_string().into_bytes();
                publish(&client, "scenario.run.cancel_requested", HeaderMap::new(), cancel).await;
            }
            _ => {}
        }
    }
}

fn question(asked: &Asked) -> Seen {
    Seen::new(Door::Agent, &format!("/{}", asked.project), &asked.headers, asked.body.as_bytes())
}

fn model_call(received: &Received) -> Seen {
    Seen::new(Door::Models, &received.path, &received.headers, received.body.to_string().as_bytes())
}

fn exports(door: Door, receiver: &OtlpReceiver) -> Vec<Seen> {
    let attempts = receiver.attempts();
    let seen = attempts.iter().map(|attempt| {
        Seen::new(door, &attempt.path, &attempt.headers, &attempt.content()).with_spans(attempt.spans())
    });
    seen.collect()
}
