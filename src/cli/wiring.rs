//! Where ports meet their implementations. Nothing else in the crate names both sides.

use std::sync::Arc;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{ErrorCode, kv};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::error::{CliError, chain};
use super::keys::keyring;
use crate::adapters::{HttpAdapterFactory, PromptAdapterFactory, Registry, ScenarioTexts};
use crate::definitions::{AgentDefinition, TelemetryDestination, TelemetryProtocol};
use crate::egress::{Client, EgressPolicy};
use crate::events::{BaggageKey, SetId};
use crate::execution::limits::{Limiter, ScopeKind};
use crate::execution::metering::CallMeter;
use crate::execution::orchestrator::Orchestrator;
use crate::execution::planner::{PlanDefaults, Planner};
use crate::execution::ports::{RunTracers, SystemClock};
use crate::models::Factory;
use crate::queue::limits::LimitCounts;
use crate::queue::{
    Cancellations, Cassettes, Connection, Consumer, DeadLetters, EventPublisher, GivenUpRequests, KvLimiter,
    RunStates, Scheduler, Topology, TopologyError, connect as connect_to,
};
use crate::settings::{EgressSettings, Settings};
use crate::store::{AgentCheck, Store, StoreError};
use crate::telemetry::export::OtlpSender;
use crate::telemetry::metrics::{LimitsMetric, Metrics};
use crate::telemetry::run::RunTracerFactory;
use crate::worker::{Endpoints, GivenUp, Listening, Processor, ProcessorParts, Service};

/// The store and everything that reads definitions from it.
pub(super) struct Definitions {
    /// The store.
    pub(super) store: Store,
    /// Every target type that there is.
    pub(super) targets: Arc<Registry>,
    models: Arc<Factory>,
    defaults: PlanDefaults,
    client: Client,
    /// What agents are told of their run as baggage.
    telling: Vec<BaggageKey>,
}

impl Definitions {
    /// Opens the store, which is created where it is missing, brings its tables up to date, and wires what reads from it.
    pub(super) async fn open(settings: &Settings) -> Result<Self, CliError> {
        let keys = keyring(&settings.store)?;
        let store = Store::open(&settings.store.url).await.map_err(|error| unusable(&error))?;
        store.migrate().await.map_err(|error| unusable(&error))?;
        Self::of(store.with_keys(keys), settings).await
    }

    /// As [`Definitions::open`], for who only reads: no database is created.
    pub(super) async fn open_existing(settings: &Settings) -> Result<Self, CliError> {
        let keys = keyring(&settings.store)?;
        let store = Store::open_existing(&settings.store.url).await.map_err(|error| unusable(&error))?;
        Self::of(store.with_keys(keys), settings).await
    }

    /// Refuses at once what would have to wait for an import.
    pub(super) async fn require_some(&self) -> Result<(), CliError> {
        self.store.check().await.map_err(|error| match error {
            StoreError::NoFile { .. } | StoreError::Empty { .. } => CliError::refused(error),
            error => unusable(&error),
        })
    }

    async fn of(store: Store, settings: &Settings) -> Result<Self, CliError> {
        store.check_keys().await.map_err(|error| unusable(&error))?;
        let shared = Arc::new(store.clone());
        let client = way_out(settings)?;
        let models = Arc::new(Factory::new(shared.clone(), client.clone()));
        let telling = settings.telemetry.run.baggage.clone();
        let targets = Arc::new(targets(&shared, &models, client.clone(), telling.clone()));
        Ok(Self { store, targets, models, defaults: plan_defaults(settings), client, telling })
    }

    /// The same definitions, whose calls keep to their limits by way of `limiter` and are counted by `meter`, if there is any.
    pub(super) fn for_runs(&self, limiter: KvLimiter, meter: Option<Arc<dyn CallMeter>>) -> Self {
        let (shared, limiter): (_, Arc<dyn Limiter>) = (Arc::new(self.store.clone()), Arc::new(limiter));
        let models = Factory::new(shared.clone(), self.client.clone());
        let models = models.limited_by(Arc::clone(&limiter), shared.clone()).counted_by(meter.clone());
        let (models, client, telling) = (Arc::new(models), self.client.clone(), self.telling.clone());
        let targets = targets(&shared, &models, client.clone(), telling.clone());
        let targets = Arc::new(targets.limited_by(limiter, shared).counted_by(meter));
        let (store, defaults) = (self.store.clone(), self.defaults.clone());
        Self { store, targets, models, defaults, client, telling }
    }

    /// Resolves requests by these definitions.
    pub(super) fn planner(&self, cassettes: Cassettes) -> Planner {
        let shared = Arc::new(self.store.clone());
        Planner {
            scenarios: shared.clone(),
            projects: shared,
            models: self.models.clone(),
            targets: self.targets.clone(),
            cassettes: Arc::new(cassettes),
            texts: Arc::new(ScenarioTexts),
            defaults: self.defaults.clone(),
        }
    }

    /// Schedules runs of these definitions.
    pub(super) fn scheduler(
        &self,
        connection: &Connection,
        settings: &Settings,
    ) -> Result<Scheduler, CliError> {
        let planner = self.planner(Cassettes::at(connection));
        Ok(Scheduler::new(connection, Arc::new(planner), default_set(settings)?))
    }
}

/// A wrong key is a setting to be corrected; everything else may be the database's fault.
pub(super) fn unusable(error: &StoreError) -> CliError {
    match error {
        StoreError::Sealed { .. } => CliError::refused(chain(error)),
        _ => CliError::out_of_reach(error),
    }
}

/// Every target type: a new one is a line here.
fn targets(store: &Arc<Store>, models: &Arc<Factory>, client: Client, telling: Vec<BaggageKey>) -> Registry {
    Registry::new()
        .with(PromptAdapterFactory::new(store.clone(), models.clone()))
        .with(HttpAdapterFactory::new(store.clone(), store.clone(), client).telling(telling))
}

fn plan_defaults(settings: &Settings) -> PlanDefaults {
    let run = &settings.run;
    PlanDefaults {
        max_turns: run.max_turns,
        timeout: run.timeout(),
        stall_timeout: run.stall_timeout(),
        judge_on_timeout: run.judge_on_timeout,
        model: run.default_model.clone(),
    }
}

/// Connects to the broker.
pub(super) async fn connect(settings: &Settings, name: &str) -> Result<Connection, CliError> {
    connect_to(&settings.nats, name).await.map_err(|error| CliError::out_of_reach(&error))
}

/// Says at once what is the matter where no worker has ever been: without its streams a client would try for long.
pub(super) async fn require_streams(connection: &Connection, streams: &[&str]) -> Result<(), CliError> {
    for stream in streams {
        let Err(error) = connection.jetstream.get_stream(stream).await else { continue };
        match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                return Err(CliError::OutOfReach(format!(
                    "the broker has no stream {stream}: start a worker first: `scenario-worker serve` creates the streams"
                )));
            }
            // A user may be allowed to publish and not to look; what is done next reports for itself.
            _ => tracing::debug!(stream, %error, "the stream cannot be looked up"),
        }
    }
    Ok(())
}

/// What is the matter with the broker: it may be out of reach, or not be as it has to be.
pub(super) fn unfit(error: &TopologyError) -> CliError {
    if error.may_pass() { CliError::out_of_reach(error) } else { CliError::refused(chain(error)) }
}

/// Wires the worker to what the broker has, and listens for who asks.
#[expect(clippy::too_many_lines, reason = "one line a part")]
pub(super) async fn service(
    settings: &Settings,
    definitions: &Definitions,
    connection: &Connection,
    topology: &Topology,
    metrics: &Metrics,
) -> Result<(Service, Listening), CliError> {
    let cancellations = Cancellations::new(connection, topology, &settings.consumer);
    let hand_back = CancellationToken::new();
    let meter: Arc<dyn CallMeter> = Arc::new(metrics.clone());
    let parts = ProcessorParts {
        orchestrator: Orchestrator {
            planner: definitions
                .for_runs(limiter(settings, connection, &topology.limits, metrics), Some(meter))
                .planner(Cassettes::new(connection, topology)),
            tracers: tracers(settings, metrics, &hand_back)?,
            clock: Arc::new(SystemClock),
        },
        states: RunStates::new(connection, topology),
        publisher: EventPublisher::new(connection, topology, &settings.events),
        dead_letters: DeadLetters::new(connection),
        cancellations: cancellations.clone(),
        consumer: settings.consumer.clone(),
        stall_timeout: settings.run.stall_timeout(),
        default_set: default_set(settings)?,
        metrics: metrics.clone(),
    };
    let given_up = GivenUp {
        requests: GivenUpRequests::new(connection, topology, &settings.consumer),
        dead_letters: parts.dead_letters.clone(),
        states: parts.states.clone(),
        publisher: parts.publisher.clone(),
        default_set: parts.default_set.clone(),
        metrics: metrics.clone(),
    };
    let endpoints = Endpoints {
        connection: connection.clone(),
        scheduler: definitions.scheduler(connection, settings)?,
        states: parts.states.clone(),
        metrics: metrics.clone(),
    };
    let endpoints = Box::pin(endpoints.listen()).await.map_err(|error| CliError::out_of_reach(&error))?;
    let service = Service {
        consumer: Consumer::new(connection, &topology.requests, settings.consumer.pull_expires()),
        cancellations,
        given_up,
        processor: Arc::new(Processor::new(parts, hand_back.clone())),
        concurrency: settings.worker.concurrency,
        drain: settings.worker.drain(),
        hand_back,
        metrics: metrics.clone(),
    };
    Ok((service, endpoints))
}

/// What a lost worker had in flight counts until its runs are delivered again.
fn limiter(settings: &Settings, connection: &Connection, store: &kv::Store, metrics: &Metrics) -> KvLimiter {
    let limiter = KvLimiter::new(connection, store, settings.consumer.ack_wait());
    let counting = limiter.clone();
    metrics.observe_limits(move || {
        let counts = counting.counts().into_iter();
        let metric = |(kind, LimitCounts { waits, waited, refusals }): (ScopeKind, _)| LimitsMetric {
            kind: kind.as_str(),
            waits,
            waited,
            refusals,
        };
        counts.map(metric).collect()
    });
    limiter
}

fn tracers(
    settings: &Settings,
    metrics: &Metrics,
    hurry: &CancellationToken,
) -> Result<Arc<dyn RunTracers>, CliError> {
    let sender = OtlpSender::new(way_out(settings)?);
    let run = &settings.telemetry.run;
    let default = run.default_endpoint.clone().map(|endpoint| TelemetryDestination {
        endpoint,
        api_key: None,
        protocol: TelemetryProtocol::Otlp,
    });
    let factory = RunTracerFactory::new(sender, default, run.deadline(), metrics.clone());
    Ok(Arc::new(factory.hurried_by(hurry.clone())))
}

/// The client through which runs call out.
fn way_out(settings: &Settings) -> Result<Client, CliError> {
    let EgressSettings { allow_private_networks, allowed_hosts, proxy } = &settings.egress;
    let policy = EgressPolicy::new(*allow_private_networks, allowed_hosts).map_err(CliError::refused)?;
    let proxy = proxy.as_deref().map(Url::parse).transpose().map_err(CliError::refused)?;
    Client::new(policy, proxy.as_ref()).map_err(CliError::refused)
}

fn default_set(settings: &Settings) -> Result<SetId, CliError> {
    SetId::parse(settings.run.default_set_id.clone()).map_err(CliError::refused)
}

impl AgentCheck for Registry {
    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        self.check_agent(agent)
    }
}
